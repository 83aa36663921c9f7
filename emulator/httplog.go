package emulator

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
)

// httpLog writes what net/http would keep to itself or tell nobody in
// particular: handshakes that fail, and requests that it refuses or gives up
// before a handler sees them.
type httpLog struct {
	log *slog.Logger

	mu sync.Mutex
	// begun holds the connections of which bytes of a request were read that
	// has not reached the handler. Bytes that came together with an earlier
	// request do not count: net/http does not tell of them.
	begun map[net.Conn]struct{}
}

type httpConnKey struct{}

// watchHTTP puts an httpLog on a server that does not serve yet.
func watchHTTP(s *http.Server, log *slog.Logger) {
	h := &httpLog{log: log, begun: map[net.Conn]struct{}{}}
	s.ConnState = h.state
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, httpConnKey{}, c) }
	s.ErrorLog = slog.NewLogLogger(errorLog{log.Handler()}, slog.LevelWarn)
	next := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(httpConnKey{}).(net.Conn); ok {
			h.forget(c)
		}
		next.ServeHTTP(w, r)
	})
}

func (h *httpLog) state(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateActive:
		h.mu.Lock()
		h.begun[c] = struct{}{}
		h.mu.Unlock()
	case http.StateIdle, http.StateHijacked:
		h.forget(c)
	case http.StateClosed:
		if h.forget(c) {
			h.log.Info("HTTP request refused", "remote", c.RemoteAddr().String(),
				"err", "it is malformed or too large, or did not arrive whole in time")
		}
	case http.StateNew:
	}
}

// forget reports whether the connection had begun a request.
func (h *httpLog) forget(c net.Conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, begun := h.begun[c]
	delete(h.begun, c)
	return begun
}

// handshakeFailed is the message of a handshake that failed on a port with HTTPS.
const handshakeFailed = "TLS handshake failed"

// errorLog gives a line of net/http its level. A handshake is the peer's
// doing: often one that does not trust the certificate, which its user will
// look for here. One that ends with nothing said is a probe of the port.
type errorLog struct{ slog.Handler }

// Handle implements slog.Handler.
func (h errorLog) Handle(ctx context.Context, r slog.Record) error {
	if rest, ok := strings.CutPrefix(r.Message, "http: TLS handshake error from "); ok {
		remote, reason, _ := strings.Cut(rest, ": ")
		level := slog.LevelInfo
		switch {
		case reason == "EOF":
			level = slog.LevelDebug
		case tlsHint(reason) != "":
			level = slog.LevelWarn
		}
		handshake := slog.NewRecord(r.Time, level, handshakeFailed, r.PC)
		handshake.AddAttrs(slog.String("remote", remote), slog.String("err", reason))
		r = handshake
	}
	if !h.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}
