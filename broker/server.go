package broker

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

const (
	// maxPacketSize bounds one packet: the largest message and the longest topic.
	maxPacketSize = iothub.MaxTelemetrySize + maxTopic + 16
	// readBuffer is the library's read buffer of a connection in bytes. Most of
	// what is sent does not pass through it.
	readBuffer = 1 << 10
)

var errClosing = iothub.NewError(iothub.CodeServiceUnavailable, "the server is closing")

// Options configure a Server. Hubs is required.
type Options struct {
	// Hubs finds the hub that a CONNECT names.
	Hubs hub.Lookup
	// Logger gets one line for each connection that is refused or cut; nil discards.
	Logger *slog.Logger
	// Now is the clock for time stamps; nil means time.Now.
	Now func() time.Time
	// ConnectTimeout is the time from accept to CONNECT, TLS handshake included,
	// and again for the decision on it; 0 means 30 s.
	ConnectTimeout time.Duration
	// WriteTimeout is how long one write may take before the client counts as
	// gone; 0 means 30 s.
	WriteTimeout time.Duration
	// C2DWindow is how many cloud-to-device messages may be unacknowledged on one
	// connection; 0 means 16.
	C2DWindow int
}

// Server is the MQTT front end. It is safe for concurrent use.
type Server struct {
	o       Options
	library library
	// ctx ends when Shutdown begins.
	ctx    context.Context
	cancel context.CancelFunc
	seed   maphash.Seed
	// connecting serializes CONNECTs of one identity.
	connecting [64]sync.Mutex

	mu        sync.Mutex
	closing   bool
	number    uint64
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	sessions  map[sessionKey]*session
	// unacknowledged is what pumps left for the next connection of a persistent
	// session. It is memory only: after a restart messages go out as new.
	unacknowledged map[sessionKey]map[uint64]uint16
	// running counts connections and accept loops.
	running sync.WaitGroup
}

// New returns a server without listeners; Shutdown ends it.
func New(o Options) (*Server, error) {
	if o.Hubs == nil {
		return nil, errors.New("broker: Options.Hubs is required")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = 30 * time.Second
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 30 * time.Second
	}
	if o.C2DWindow == 0 {
		o.C2DWindow = 16
	}
	s := &Server{
		o: o, seed: maphash.MakeSeed(),
		listeners: map[net.Listener]struct{}{}, conns: map[*conn]struct{}{},
		sessions: map[sessionKey]*session{}, unacknowledged: map[sessionKey]map[uint64]uint16{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	var err error
	s.library, err = newLibrary(&hook{server: s})
	return s, err
}

// library is what the server needs of the MQTT library.
type library interface {
	// EstablishConnection serves a connection until it ends, and closes it.
	EstablishConnection(listener string, c net.Conn) error
	Close() error
}

// ServeConn speaks MQTT on an accepted connection until it ends, and closes it.
// protocol is "mqtt" or "mqtt-ws". A connection that has the method
// ConnectionState of tls.Conn can authenticate by client certificate; one that
// has CloseWrite is ended by it.
func (s *Server) ServeConn(nc net.Conn, protocol string) {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		_ = nc.Close()
		return
	}
	s.number++
	c := newConn(nc, s.number, protocol, s.o.ConnectTimeout, s.o.WriteTimeout)
	s.conns[c] = struct{}{}
	s.running.Add(1)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		s.running.Done()
	}()
	s.logEnd(c, s.library.EstablishConnection(protocol, c))
}

// logEnd writes the one line about why a connection ended.
func (s *Server) logEnd(c *conn, err error) {
	if cause := c.endCause(); cause != nil {
		err = cause
	}
	log := s.o.Logger.With("device", c.claimed, "conn", c.number, "remote", c.RemoteAddr().String())
	var refused *connectError
	switch {
	case err == nil, errors.Is(err, errDisconnected), errors.Is(err, io.EOF):
		log.Debug("MQTT connection ended", "err", err)
	case errors.Is(err, errClosing):
		log.Debug("MQTT connection closed", "err", err)
	case errors.As(err, &refused):
		log.Warn("MQTT connection refused", "connack", refused.code, "code", publicCode(err), "err", err)
	case c.session == nil && errors.Is(err, os.ErrDeadlineExceeded):
		log.Warn("MQTT connection cut: no CONNECT in time", "err", err)
	case c.session == nil:
		log.Warn("MQTT connection cut before CONNECT", "code", publicCode(err), "err", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		log.Warn("MQTT connection cut: keep-alive passed without a packet", "err", err)
	default:
		log.Warn("MQTT connection cut", "code", publicCode(err), "err", err)
	}
}

// Shutdown closes the listeners and ends every connection, wills included, and
// waits until nothing runs any more. When ctx ends first it closes the sockets
// and returns the error of ctx.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	first := !s.closing
	s.closing = true
	for l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.conns {
		c.abort(errClosing)
	}
	s.mu.Unlock()
	s.cancel()
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
		s.mu.Lock()
		for c := range s.conns {
			_ = c.Conn.Close()
		}
		s.mu.Unlock()
		<-done
	}
	if first {
		err = errors.Join(err, s.library.Close())
	}
	return err
}

// live returns the session of an identity, or nil.
func (s *Server) live(key sessionKey) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[key]
}

// remember enters a session, unless the server is closing.
func (s *Server) remember(ss *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.sessions[ss.key] = ss
	return true
}

// forget removes a session that has ended.
func (s *Server) forget(ss *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[ss.key] == ss {
		delete(s.sessions, ss.key)
	}
}

// keepUnacknowledged keeps what a pump left for the next connection.
func (s *Server) keepUnacknowledged(key sessionKey, left map[uint64]uint16) {
	if len(left) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unacknowledged[key] = left
}

// takeUnacknowledged returns what keepUnacknowledged was given, once.
func (s *Server) takeUnacknowledged(key sessionKey) map[uint64]uint16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.unacknowledged[key]
	delete(s.unacknowledged, key)
	return left
}

// id is the name of the connection for the MQTT library: unique in the process.
func (c *conn) id() string { return strconv.FormatUint(c.number, 10) }

// claim remembers who the client says it is, for the log.
func (c *conn) claim(clientID string) {
	const limit = 2*iothub.MaxIDLength + 1
	c.claimed = clientID[:min(len(clientID), limit)]
}
