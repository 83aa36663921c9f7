package broker

import (
	"errors"
	"net"
	"time"
)

// Serve accepts connections until the listener is closed, here or by Shutdown,
// and then returns nil. The listener does the TLS, if any; the handshake runs on
// the connection's goroutine within the connect time-out. protocol is as for
// ServeConn.
func (s *Server) Serve(l net.Listener, protocol string) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return l.Close()
	}
	s.listeners[l] = struct{}{}
	s.running.Add(1)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
		_ = l.Close()
		s.running.Done()
	}()
	var delay time.Duration
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			delay = 0
			go s.ServeConn(c, protocol)
		case errors.Is(err, net.ErrClosed):
			return nil
		default:
			// Out of file descriptors, most likely: waiting helps.
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			s.o.Logger.Warn("accept failed", "err", err, "retry", delay)
			select {
			case <-time.After(delay):
			case <-s.ctx.Done():
				return nil
			}
		}
	}
}
