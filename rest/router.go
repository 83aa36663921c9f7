package rest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// Options configure the service API. Hubs is required.
type Options struct {
	// Hubs finds the hub of the Host header.
	Hubs hub.Lookup
	// Logger takes one line per refusal and per fault; nil discards.
	Logger *slog.Logger
	// StrictAPIVersion refuses versions that Azure is not known to have. Without
	// it every well-formed version is served as the newest one.
	StrictAPIVersion bool
	// Version is the emulator's, for the Server header of every answer.
	Version string
	// Now is the clock of error bodies; nil means time.Now.
	Now func() time.Time
	// WebSocket serves what a WebSocket carries, until its end; protocol is
	// WebSocketMQTT or WebSocketAMQP. Each Write on the connection is one binary
	// message. It has a method WebSocket, which returns true, and over TLS the
	// method ConnectionState of tls.Conn. Close does not wait for the peer. nil
	// refuses WebSockets.
	WebSocket func(ctx context.Context, c net.Conn, protocol string)
}

// Times for the server that carries the handler. A direct method may take
// MaxMethodTimeout for the device to connect and again for its answer, so
// WriteTimeout is longer than both.
const (
	ReadHeaderTimeout = 10 * time.Second
	ReadTimeout       = time.Minute
	WriteTimeout      = 2*iothub.MaxMethodTimeout + 30*time.Second
	IdleTimeout       = 2 * time.Minute
	// MaxHeaderBytes bounds the request line and headers; a path with two
	// identities of 128 escaped characters takes less than 1 KiB.
	MaxHeaderBytes = 32 << 10
)

// Configure sets the server's time-outs and header limit, so that a slow or
// silent client does not keep a connection.
func Configure(s *http.Server) {
	s.ReadHeaderTimeout = ReadHeaderTimeout
	s.ReadTimeout = ReadTimeout
	s.WriteTimeout = WriteTimeout
	s.IdleTimeout = IdleTimeout
	s.MaxHeaderBytes = MaxHeaderBytes
}

// Server is the service API as an http.Handler. It is safe for concurrent use.
type Server struct {
	o   Options
	mux *chi.Mux
	// sockets counts the WebSockets that are open.
	sockets sync.WaitGroup

	mu      sync.Mutex
	closing bool // no new WebSockets
	cut     bool // no farewells either
	// lingering are those of which the protocol is done.
	lingering map[*socket]struct{}
}

// New returns the handler of the service API. With WebSockets, call Shutdown in
// the end.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{o: o, mux: chi.NewRouter(), lingering: map[*socket]struct{}{}}
	s.mux.NotFound(s.notFound)
	s.mux.MethodNotAllowed(s.methodNotAllowed)
	for _, operations := range [][]operation{
		deviceOperations(), moduleOperations(), bulkOperations(), registryJobOperations(), twinOperations(), methodOperations(),
		c2dOperations(), feedbackOperations(), statisticsOperations(),
		telemetryOperations(), deviceC2DOperations(), fileOperations(), digitalTwinOperations(), jobOperations(), configurationOperations(), queryOperations(),
	} {
		for _, op := range operations {
			s.mux.Method(op.method, op.pattern, s.handle(op))
		}
	}
	for _, op := range unsupportedOperations() {
		s.mux.Method(op.method, op.pattern, s.refuse(op))
	}
	for _, path := range webSocketPaths() {
		if o.WebSocket == nil {
			s.mux.Method(http.MethodGet, path.pattern, s.refuse(unsupported{http.MethodGet, path.pattern, path.name}))
		} else {
			s.mux.Method(http.MethodGet, path.pattern, s.openWebSocket(path))
		}
	}
	return s
}

// ServeHTTP names and logs the request, settles its path and method, and keeps
// a panic from reaching the connection.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rid := uuid.NewString()
	out := &response{ResponseWriter: w}
	out.Header().Set("Server", "Hubnerite/"+s.o.Version)
	setExact(out.Header(), requestIDHeader, rid)
	start := time.Now() // not the hub's time, which may stand still
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // the sentinel is compared as net/http does
				panic(p)
			}
			s.o.Logger.Error("panic in a request", "rid", rid, "path", r.URL.Path, "err", fmt.Sprint(p), "stack", string(debug.Stack()))
			if out.status == 0 {
				s.sendError(out, rid, legacy, iothub.AsError(nil))
			}
		}
		if !s.o.Logger.Enabled(r.Context(), slog.LevelDebug) {
			return // its arguments cost more than they seem to
		}
		s.o.Logger.Debug("request", "rid", rid, "method", r.Method, "path", r.URL.Path, "code", out.status, "took", time.Since(start))
	}()
	r = settle(r)
	if strings.Contains(r.URL.RawPath+"/", "//") {
		// The routes would take the empty segment for a name.
		s.notFound(out, r)
		return
	}
	s.mux.ServeHTTP(out, r)
}

// settle returns the request as the routes expect it: the escaped path as the
// one to match, fixed segments in lower case, no slash at the end, and the
// method that X-HTTP-Method-Override asks for. The Java service SDK sends a
// twin's PATCH as an overridden POST.
func settle(r *http.Request) *http.Request {
	c := *r
	u := *r.URL
	// Routes match RawPath when it is set, and URL leaves it empty when the
	// escapes are the default ones; without this, parameters would arrive
	// sometimes decoded and sometimes not.
	u.RawPath = canonicalPath(u.EscapedPath())
	c.URL = &u
	if r.Method == http.MethodPost && strings.EqualFold(r.Header.Get("X-HTTP-Method-Override"), http.MethodPatch) {
		c.Method = http.MethodPatch
	}
	return &c
}

// response remembers the status of an answer.
type response struct {
	http.ResponseWriter
	status int
	size   int64
}

// WriteHeader implements http.ResponseWriter.
func (r *response) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *response) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.size += int64(n)
	return n, err
}

// written returns how many bytes of the answer's body were sent.
func written(w http.ResponseWriter) int64 {
	if r, ok := w.(*response); ok {
		return r.size
	}
	return 0
}

// Unwrap lets http.ResponseController reach the connection.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }

const requestIDHeader = "x-ms-request-id"

// requestID returns the identifier that ServeHTTP gave the request.
func requestID(w http.ResponseWriter) string {
	ids := map[string][]string(w.Header())[requestIDHeader] // not under its canonical name
	if len(ids) == 0 {
		return ""
	}
	return ids[0]
}

func (s *Server) notFound(w http.ResponseWriter, r *http.Request) {
	s.writeError(w, r, legacy, iothub.NewError(iothub.CodeGenericNotFound,
		"No operation of the IoT Hub service API has the path %q.", r.URL.Path))
}

func (s *Server) methodNotAllowed(w http.ResponseWriter, r *http.Request) {
	for _, m := range []string{http.MethodDelete, http.MethodGet, http.MethodPatch, http.MethodPost, http.MethodPut} {
		if s.mux.Match(chi.NewRouteContext(), m, r.URL.RawPath) {
			w.Header().Add("Allow", m)
		}
	}
	s.writeError(w, r, legacy, iothub.NewError(iothub.CodeGenericMethodNotAllowed,
		"The resource does not support the HTTP method %q.", r.Method))
}
