package emulator

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestHTTPLog: what net/http refuses by itself is one line, and a request that
// reached the handler none, whatever follows on its connection.
func TestHTTPLog(t *testing.T) {
	for _, test := range []struct {
		name, bytes, line string
		tls               bool
	}{
		{name: "served", bytes: "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "served twice", bytes: "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "nothing"},
		{name: "no HTTP", bytes: "nonsense\r\n\r\n", line: "HTTP request refused"},
		{name: "two hosts", bytes: "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", line: "HTTP request refused"},
		{name: "half a request", bytes: "GET / HTTP/1.1\r\nHo", line: "HTTP request refused"},
		{name: "no TLS", bytes: "nonsense\r\n\r\n", tls: true, line: "TLS handshake failed"},
		{name: "a probe", tls: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out lockedBuffer
			s := httptest.NewUnstartedServer(http.NotFoundHandler())
			watchHTTP(s.Config, slog.New(slog.NewTextHandler(&out, nil)))
			closed := make(chan struct{})
			// The test's own server counts connections by the same means.
			watch := s.Config.ConnState
			s.Config.ConnState = func(c net.Conn, state http.ConnState) {
				watch(c, state)
				if state == http.StateClosed {
					close(closed)
				}
			}
			if test.tls {
				s.StartTLS()
			} else {
				s.Start()
			}
			defer s.Close()
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if _, err := io.WriteString(conn, test.bytes); err != nil {
				t.Fatal(err)
			}
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, conn)
			<-closed
			switch got := out.String(); {
			case test.line == "" && got != "":
				t.Errorf("log: %s", got)
			case test.line != "" && (strings.Count(got, "\n") != 1 || !strings.Contains(got, test.line) || strings.Contains(got, "level=WARN") != test.tls || !test.tls && !strings.Contains(got, "level=INFO")):
				t.Errorf("log: %q, want one line with %q", got, test.line)
			}
		})
	}
}
