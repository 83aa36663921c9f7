package amqp

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// ErrServerClosed is returned by [Server.Serve] and [Server.ServeConn] after Close or Shutdown.
var ErrServerClosed = errors.New("amqp: server closed")

// errTooManyConnections is the reason logged when Config.MaxConnections is reached.
var errTooManyConnections = errors.New("amqp: too many connections")

// Server accepts AMQP connections. Its methods may be called from any goroutine.
type Server struct {
	cfg Config

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	conns     map[*Conn]struct{}
	wg        sync.WaitGroup // every goroutine of every connection
}

// NewServer makes a server. It panics if cfg has no handler, or mechanisms without an authenticator.
func NewServer(cfg Config) *Server {
	if cfg.Handler == nil {
		panic("amqp: Config.Handler is required")
	}
	if len(cfg.SASL) > 0 && cfg.Authenticate == nil {
		panic("amqp: Config.Authenticate is required with Config.SASL")
	}
	return &Server{
		cfg:       cfg.withDefaults(),
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*Conn]struct{}),
	}
}

// Serve accepts connections from l until l fails or the server is closed, and closes l. It returns
// [ErrServerClosed] after Close or Shutdown, else the listener's error.
func (s *Server) Serve(l net.Listener) error {
	defer func() { _ = l.Close() }()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrServerClosed
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()

	var pause time.Duration
	for {
		nc, err := l.Accept()
		if err != nil {
			if s.isClosed() {
				return ErrServerClosed
			}
			// Running out of file descriptors must not end the service.
			if ne := net.Error(nil); errors.As(err, &ne) && !errors.Is(err, net.ErrClosed) {
				pause = min(max(2*pause, 5*time.Millisecond), time.Second)
				s.cfg.Logger.Warn("amqp accept failed", "err", err, "retry", pause)
				time.Sleep(pause)
				continue
			}
			return err
		}
		pause = 0
		c, err := s.add(nc)
		if err != nil {
			s.refuse(nc, err)
			continue
		}
		go func() {
			defer s.remove(c)
			_ = c.serve(context.Background())
		}()
	}
}

// ServeConn serves one connection and returns when it has ended and all its goroutines and handler calls are done. nc is
// closed. The error is nil if the client closed the connection without an error. When ctx ends, the connection is
// closed with amqp:connection:forced.
func (s *Server) ServeConn(ctx context.Context, nc net.Conn) error {
	c, err := s.add(nc)
	if err != nil {
		s.refuse(nc, err)
		return err
	}
	defer s.remove(c)
	return c.serve(ctx)
}

func (s *Server) refuse(nc net.Conn, err error) {
	_ = nc.Close()
	if !errors.Is(err, ErrServerClosed) {
		s.cfg.Logger.Warn("amqp connection refused", "remote", remoteAddr(nc), "err", err)
	}
}

func (s *Server) add(nc net.Conn) (*Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrServerClosed
	}
	if n := s.cfg.MaxConnections; n > 0 && len(s.conns) >= n {
		return nil, errTooManyConnections
	}
	c := newConn(&s.cfg, nc)
	s.conns[c] = struct{}{}
	s.wg.Add(1)
	return c, nil
}

func (s *Server) remove(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.wg.Done()
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// Shutdown stops the listeners, closes every connection with amqp:connection:forced, waits until all have ended, and
// returns nil. When ctx ends first, what is left is cut off, and ctx's error is returned after that. No handler
// call may wait for Shutdown.
func (s *Server) Shutdown(ctx context.Context) error {
	for _, c := range s.stop() {
		c.Close(&Error{Condition: wire.ErrConnectionForced, Description: "the server is shutting down"})
	}
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	for _, c := range s.list() {
		c.Abort()
	}
	<-done
	return ctx.Err()
}

// Close stops the listeners and cuts every connection off without a close frame, and waits until all have ended.
func (s *Server) Close() error {
	for _, c := range s.stop() {
		c.Abort()
	}
	s.wg.Wait()
	return nil
}

// Connections is the number of connections now served.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *Server) stop() []*Conn {
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		_ = l.Close()
	}
	s.mu.Unlock()
	return s.list()
}

func (s *Server) list() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

func randomContainerID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

func remoteAddr(nc net.Conn) string {
	if a := nc.RemoteAddr(); a != nil {
		return a.String()
	}
	return ""
}
