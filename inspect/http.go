package inspect

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"time"
	"unicode/utf8"
)

// maxHTTPBody is how much of a body is kept.
const maxHTTPBody = 8 << 10

// Handler returns next with its requests and answers looked at, one connection for each address that they come from.
// redact hides what is secret in an Authorization header.
func (r *Recorder) Handler(next http.Handler, protocol string, redact func(string) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		// A WebSocket takes the connection over, and is looked at as what it carries.
		if !r.Watching() || request.Header.Get("Upgrade") != "" {
			next.ServeHTTP(w, request)
			return
		}
		began := r.now()
		seen := &seenBody{ReadCloser: request.Body}
		head := requestHead(request, redact)
		request.Body = seen
		answer := &seenAnswer{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			c := r.requests(protocol, request.RemoteAddr)
			c.bytesIn.Add(int64(len(head)) + seen.size)
			c.bytesOut.Add(answer.size)
			r.addAt(c, In, began, len(head)+int(seen.size), append([]byte(head), seen.kept...))
			text := fmt.Sprintf("HTTP/1.1 %d %s\r\n%s\r\n", answer.status, http.StatusText(answer.status), headerLines(answer.Header()))
			r.addAt(c, Out, r.now(), len(text)+int(answer.size), append([]byte(text), answer.kept...))
		}()
		next.ServeHTTP(answer, request)
	})
}

// requests returns the connection for what comes from an address.
func (r *Recorder) requests(protocol, remote string) *connection {
	r.mu.Lock()
	id := r.byAddress[protocol+" "+remote]
	c := r.conns[id]
	r.mu.Unlock()
	if c != nil {
		return c
	}
	c = r.open(protocol, nil, nil, httpText{})
	r.mu.Lock()
	defer r.mu.Unlock()
	c.remote = remote
	r.byAddress[protocol+" "+remote] = c.id
	// Nobody tells when it ends; it goes when there are too many.
	r.forgetLater(c)
	return c
}

// seenBody remembers the beginning of what is read.
type seenBody struct {
	io.ReadCloser
	kept []byte
	size int64
}

func (b *seenBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.size += int64(n)
	b.kept = append(b.kept, p[:min(n, maxHTTPBody-len(b.kept))]...)
	return n, err
}

// seenAnswer remembers the status and the beginning of what is written.
type seenAnswer struct {
	http.ResponseWriter
	status int
	kept   []byte
	size   int64
}

func (a *seenAnswer) WriteHeader(status int) {
	if status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *seenAnswer) Write(p []byte) (int, error) {
	n, err := a.ResponseWriter.Write(p)
	a.size += int64(n)
	a.kept = append(a.kept, p[:min(n, maxHTTPBody-len(a.kept))]...)
	return n, err
}

// Unwrap is for http.ResponseController.
func (a *seenAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func requestHead(r *http.Request, redact func(string) string) string {
	header := r.Header.Clone()
	if values := header["Authorization"]; len(values) > 0 {
		header.Set("Authorization", redact(values[0]))
	}
	uri := r.RequestURI
	if before, after, found := strings.Cut(uri, "sig="); found {
		// The signature of a storage address.
		_, rest, _ := strings.Cut(after, "&")
		uri = before + "sig=…"
		if rest != "" {
			uri += "&" + rest
		}
	}
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", r.Method, uri, r.Host, headerLines(header))
}

func headerLines(h http.Header) string {
	var lines []string
	for name, values := range h {
		for _, value := range values {
			lines = append(lines, name+": "+strings.NewReplacer("\r", "", "\n", "").Replace(value)+"\r\n")
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "")
}

// httpText is the Codec of what Handler records: each frame is a request or an answer.
type httpText struct{}

func (httpText) Length(b []byte) int { return len(b) }

func (httpText) Describe(frame []byte) Description {
	first, rest, _ := strings.Cut(string(frame), "\r\n")
	d := Description{Type: "request", Summary: strings.TrimSuffix(first, " HTTP/1.1")}
	if status, ok := strings.CutPrefix(first, "HTTP/1.1 "); ok {
		d.Type, d.Summary = "answer", status
	}
	headers, reader := map[string]string{}, bufio.NewReader(strings.NewReader(rest))
	for {
		line, err := reader.ReadString('\n')
		name, value, found := strings.Cut(strings.TrimRight(line, "\r\n"), ": ")
		if err != nil || !found {
			break
		}
		headers[name] = value
	}
	fields := map[string]any{"headers": headers}
	if body, _ := io.ReadAll(reader); len(body) > 0 {
		fields["body"] = body
		if trimmed := bytes.TrimSpace(body); json.Valid(trimmed) {
			fields["body"] = json.RawMessage(trimmed)
		} else if utf8.Valid(body) {
			fields["body"] = string(body)
		}
	}
	d.Fields = fields
	return d
}

// addAt is add with a time.
func (r *Recorder) addAt(c *connection, d Direction, at time.Time, size int, raw []byte) {
	if len(raw) > maxFrameBytes {
		raw = raw[:maxFrameBytes]
	}
	r.record(c, d, at, size, raw)
}
