package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"unicode/utf8"

	"github.com/hubnerite/hubnerite/iothub"
)

const (
	// MaxBody is the largest body the API reads, in bytes. The largest
	// documented one is a direct method with 128 KiB of payload.
	MaxBody = 512 << 10
	// maxDepth is how deep objects and arrays of a body may nest.
	maxDepth = 64

	jsonContentType = "application/json; charset=utf-8"
)

// readBody returns the whole body: UTF-8, not empty, not nested too deeply.
// Whether it is JSON is for the decoder to say.
func (c *call) readBody() ([]byte, error) { return c.readBodyUpTo(MaxBody) }

// readBodyUpTo is readBody with another limit, in bytes.
func (c *call) readBodyUpTo(limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(underlying(c.w), c.r.Body, limit))
	switch {
	case err != nil:
		return nil, bodyError(err)
	case len(body) == 0:
		return nil, iothub.NewError(iothub.CodeArgumentNull, "The request has no body.")
	case !utf8.Valid(body):
		return nil, &syntaxFault{errors.New("it is not UTF-8")}
	case tooDeep(body):
		return nil, &syntaxFault{fmt.Errorf("it nests more than %d levels", maxDepth)}
	}
	return body, nil
}

// bodyError says why a body could not be read.
func bodyError(err error) error {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return iothub.NewError(iothub.CodeRequestTimedOut, "The body did not arrive in time.").WithCause(err)
	}
	return iothub.NewError(iothub.CodeGenericBadRequest, "The body could not be read.").WithCause(err)
}

// underlying returns the server's own writer: only with that one can
// http.MaxBytesReader end the connection after a body that is too large.
func underlying(w http.ResponseWriter) http.ResponseWriter {
	if u, ok := w.(*response); ok {
		return u.ResponseWriter
	}
	return w
}

// decode reads the body as exactly one JSON object into v, a pointer to a
// struct. Members that v does not have are passed over.
func (c *call) decode(v any) error {
	body, err := c.readBody()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return &syntaxFault{err}
	}
	if string(trimSpace(body)) == "null" {
		return iothub.NewError(iothub.CodeArgumentNull, "The body is null.")
	}
	return nil
}

func trimSpace(b []byte) []byte {
	space := func(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
	for len(b) > 0 && space(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && space(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// tooDeep counts brackets outside of texts, before any decoder recurses.
func tooDeep(body []byte) bool {
	depth, text := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// setETag sends an etag, quoted.
func setETag(h http.Header, etag string) { setExact(h, "ETag", `"`+etag+`"`) }

// setExact sets a header with its name as it is written here, which is as the
// service writes it: the Java client for digital twins compares names by case.
func setExact(h http.Header, name, value string) {
	h.Del(name)
	h[name] = []string{value}
}

// reply writes a JSON body with status 200. etag is sent quoted, as a header;
// empty means none.
func (c *call) reply(etag string, body []byte) error {
	if etag != "" {
		setETag(c.w.Header(), etag)
	}
	c.w.Header().Set("Content-Type", jsonContentType)
	c.w.WriteHeader(http.StatusOK)
	// A failed write means that the peer is gone.
	_, _ = c.w.Write(body)
	return nil
}

// replyJSON is reply for values that encode without failing.
func (c *call) replyJSON(v any) error { return c.reply("", mustJSON(v)) }

// noContent answers 204.
func (c *call) noContent() error {
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// ifMatch returns the If-Match header; the registry knows its forms.
func (c *call) ifMatch() string { return c.r.Header.Get("If-Match") }
