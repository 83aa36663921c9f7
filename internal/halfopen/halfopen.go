// Package halfopen makes connections fall silent without ending them, for fault rules.
package halfopen

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Patience is how long the socket of a silent connection stays after the program here is done with it.
const Patience = 10 * time.Minute

// Listener accepts connections that can fall silent. Closing it ends those that are.
type Listener struct {
	net.Listener
	mu     sync.Mutex
	closed bool
	silent map[*Conn]struct{}
}

// NewListener returns a listener over another one.
func NewListener(l net.Listener) *Listener {
	return &Listener{Listener: l, silent: map[*Conn]struct{}{}}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c, l: l}, nil
}

// Close implements net.Listener.
func (l *Listener) Close() error {
	err := l.Listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for c := range l.silent {
		_ = c.Conn.Close()
	}
	return err
}

// Conn is an accepted connection.
type Conn struct {
	net.Conn
	l      *Listener
	silent atomic.Bool
	once   sync.Once
}

// NetConn returns the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Read implements net.Conn. What comes in silence is lost.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.silent.Load() {
			return n, err
		}
	}
}

// Write implements net.Conn. What is written in silence is lost.
func (c *Conn) Write(p []byte) (int, error) {
	if c.silent.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// CloseWrite ends the stream to the peer, unless it is to hear nothing.
func (c *Conn) CloseWrite() error {
	if c.silent.Load() {
		return nil
	}
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close implements net.Conn. The socket of a silent connection stays until the peer ends it, the listener closes, or Patience is over.
func (c *Conn) Close() error {
	if !c.silent.Load() {
		return c.Conn.Close()
	}
	c.once.Do(func() {
		c.l.mu.Lock()
		defer c.l.mu.Unlock()
		if c.l.closed {
			_ = c.Conn.Close()
			return
		}
		c.l.silent[c] = struct{}{}
		go c.drain()
	})
	return nil
}

func (c *Conn) drain() {
	_ = c.SetDeadline(time.Now().Add(Patience))
	_, _ = io.Copy(io.Discard, c.Conn)
	_ = c.Conn.Close()
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	delete(c.l.silent, c)
}

// Silence makes the connection at the bottom of c fall silent: what the peer sends is taken and lost, and it gets nothing any more. Those on
// top are asked for what is below them by the methods NetConn and Raw. It is false when there is no Conn. It may be called from any goroutine.
func Silence(c net.Conn) bool {
	for c != nil {
		switch t := c.(type) {
		case *Conn:
			t.silent.Store(true)
			return true
		case interface{ NetConn() net.Conn }:
			c = t.NetConn()
		case interface{ Raw() net.Conn }:
			c = t.Raw()
		default:
			return false
		}
	}
	return false
}
