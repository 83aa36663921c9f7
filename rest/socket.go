package rest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// farewellTime is how long the peer has to answer the close frame, and to take
// it, before the connection is cut.
const farewellTime = time.Second

// socket is a WebSocket as the stream of bytes that it carries: what the peer
// sends may be spread over messages in any way, and every Write is one binary
// message. It is not bounded how large a message of the peer may be, because
// nothing is kept of it but what Read is given.
//
// It differs from the library's own stream in its deadlines, which are those of
// the connection below and give the usual errors, and in Close, which does not
// wait for the peer: protocols call it under their locks. The handler of the
// request sends the close frame when the protocol is done.
type socket struct {
	ws  *websocket.Conn
	raw net.Conn

	// message is what is left of the message being read, on the reader's goroutine.
	message io.Reader

	writing sync.Mutex // serializes Write

	mu     sync.Mutex
	closed bool
	// writeDeadline holds for each Write alone: the answer to a ping must not
	// meet the deadline of a write that is long done.
	writeDeadline time.Time
	writes        int
	// broken says that a message was not written whole: nothing can follow it.
	broken bool
	// status and reason, when set, are for the close frame.
	status websocket.StatusCode
	reason string
}

// newSocket wraps a WebSocket and the connection below it.
func newSocket(ws *websocket.Conn, raw net.Conn) *socket {
	// The library's limit is per message.
	ws.SetReadLimit(-1)
	return &socket{ws: ws, raw: raw}
}

// secureSocket is a socket over TLS. Protocols look for the method.
type secureSocket struct {
	*socket
	tls *tls.Conn
}

// ConnectionState returns the state of the TLS connection below.
func (s *secureSocket) ConnectionState() tls.ConnectionState { return s.tls.ConnectionState() }

// asNetConn returns the socket as a protocol gets it.
func (s *socket) asNetConn() net.Conn {
	if t, ok := s.raw.(*tls.Conn); ok {
		return &secureSocket{s, t}
	}
	return s
}

// Read implements net.Conn. A close frame of the peer and the end of the
// connection below are both io.EOF. A deadline that has passed is final.
func (s *socket) Read(p []byte) (int, error) {
	for {
		if s.message == nil {
			kind, message, err := s.ws.Reader(context.Background())
			if err != nil {
				return 0, s.readError(err)
			}
			if kind != websocket.MessageBinary {
				return 0, s.fail(websocket.StatusUnsupportedData, "binary messages only")
			}
			s.message = message
		}
		n, err := s.message.Read(p)
		if errors.Is(err, io.EOF) {
			s.message, err = nil, nil
		}
		switch {
		case err != nil:
			return n, s.readError(err)
		case n > 0 || len(p) == 0:
			return n, nil
		}
	}
}

// readError returns err as other connections have it.
func (s *socket) readError(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusNoStatusRcvd:
		return io.EOF
	}
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return err
}

// fail remembers why the connection will be closed and returns that.
func (s *socket) fail(status websocket.StatusCode, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.reason = status, reason
	return fmt.Errorf("WebSocket: %s", reason)
}

// Write sends p as one message. After an error nothing more can be written.
func (s *socket) Write(p []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return 0, net.ErrClosed
	}
	s.writes++
	_ = s.raw.SetWriteDeadline(s.writeDeadline)
	s.mu.Unlock()

	err := s.ws.Write(context.Background(), websocket.MessageBinary, p)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes--
	switch {
	case err != nil:
		s.broken = true
		if s.closed {
			err = net.ErrClosed
		}
		return 0, err
	case !s.closed:
		_ = s.raw.SetWriteDeadline(time.Time{})
	}
	return len(p), nil
}

// Close ends Read and Write at once. It does not wait, and tells the peer nothing
// yet.
func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.raw.SetDeadline(time.Unix(1, 0))
}

// SetDeadline implements net.Conn.
func (s *socket) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn.
func (s *socket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	return s.raw.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (s *socket) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.writeDeadline = t
	if s.writes == 0 {
		return nil
	}
	return s.raw.SetWriteDeadline(t)
}

// WebSocket tells the protocol, which asks by the method, what carries it.
func (s *socket) WebSocket() bool { return true }

// Raw returns the connection below, for fault injection.
func (s *socket) Raw() net.Conn { return s.raw }

// LocalAddr implements net.Conn.
func (s *socket) LocalAddr() net.Addr { return s.raw.LocalAddr() }

// RemoteAddr implements net.Conn.
func (s *socket) RemoteAddr() net.Addr { return s.raw.RemoteAddr() }

// finish sends the close frame, takes in what the peer still sends until its own
// close frame or until farewellTime is over, and closes the connection. Read and
// Write must have returned for good; status is the one of a connection to which
// nothing happened.
func (s *socket) finish(status websocket.StatusCode) {
	_ = s.Close()
	s.mu.Lock()
	broken, reason := s.broken, ""
	if s.status != 0 {
		status, reason = s.status, s.reason
	}
	s.mu.Unlock()
	if broken {
		// Within a message there is no saying good-bye, in TLS neither.
		s.cut()
	}
	_ = s.raw.SetDeadline(time.Time{})
	// Not a deadline: closing TLS would set one of its own.
	patience := time.AfterFunc(farewellTime, s.cut)
	defer patience.Stop()
	// Errors are the peer's leaving without a word.
	_ = s.ws.Close(status, reason)
}

// cut closes the connection below.
func (s *socket) cut() {
	below := s.raw
	if t, ok := below.(*tls.Conn); ok {
		below = t.NetConn()
	}
	_ = below.Close()
}
