package emulator

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"sync"
)

// listen binds a port on the address. On a loopback address the other family's
// loopback address is bound too when it can be: Node.js before 20 tries only
// the first address of localhost, whichever that is.
func listen(bind string, port int) (net.Listener, error) {
	if bind == "localhost" {
		bind = "127.0.0.1"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(bind, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	other := otherLoopback(bind)
	if other == "" {
		return l, nil
	}
	second, err := net.Listen("tcp", net.JoinHostPort(other, strconv.Itoa(portOf(l))))
	if err != nil {
		// No IPv6, or the port is another program's there.
		return l, nil
	}
	return join(l, second), nil
}

// listenWithFallback is listen, with another port when this one is refused for
// lack of privilege; fellBack says so. The listen function is a parameter
// because a test cannot rely on a port that it may not bind.
func listenWithFallback(
	listen func(string, int) (net.Listener, error), bind string, port, fallback int,
) (l net.Listener, fellBack bool, err error) {
	l, err = listen(bind, port)
	if fallback == 0 || !errors.Is(err, fs.ErrPermission) {
		return l, false, err
	}
	l, fallbackErr := listen(bind, fallback)
	if fallbackErr != nil {
		return nil, false, fmt.Errorf("%w; nor can the fallback: %w", err, fallbackErr)
	}
	return l, true, nil
}

func otherLoopback(bind string) string {
	switch bind {
	case "127.0.0.1":
		return "::1"
	case "::1":
		return "127.0.0.1"
	}
	return ""
}

func portOf(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

// joined is several listeners as one. Its address is the first one's.
type joined struct {
	listeners []net.Listener
	accepted  chan acceptance
	done      chan struct{}
	once      sync.Once
	wait      sync.WaitGroup
	closeErr  error
}

type acceptance struct {
	conn net.Conn
	err  error
}

func join(listeners ...net.Listener) *joined {
	j := &joined{listeners: listeners, accepted: make(chan acceptance), done: make(chan struct{})}
	for _, l := range listeners {
		j.wait.Go(func() { j.acceptFrom(l) })
	}
	return j
}

func (j *joined) acceptFrom(l net.Listener) {
	for {
		c, err := l.Accept()
		select {
		case j.accepted <- acceptance{c, err}:
		case <-j.done:
			if c != nil {
				_ = c.Close()
			}
			return
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// Accept implements net.Listener.
func (j *joined) Accept() (net.Conn, error) {
	select {
	case a := <-j.accepted:
		return a.conn, a.err
	case <-j.done:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: j.Addr(), Err: net.ErrClosed}
	}
}

// Close implements net.Listener.
func (j *joined) Close() error {
	j.once.Do(func() {
		close(j.done)
		var errs []error
		for _, l := range j.listeners {
			errs = append(errs, l.Close())
		}
		j.wait.Wait()
		j.closeErr = errors.Join(errs...)
	})
	return j.closeErr
}

// Addr implements net.Listener.
func (j *joined) Addr() net.Addr { return j.listeners[0].Addr() }
