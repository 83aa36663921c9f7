package amqp

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// deadlineReader sets a read deadline before each read: the idle time-out, the shorter one of a frame that has begun,
// or a fixed time.
type deadlineReader struct {
	nc net.Conn
	// begun is how many bytes there are of a frame that is not complete; only the reader calls it.
	begun func() int
	frame time.Duration

	mu   sync.Mutex
	idle time.Duration // 0: none
	// fixed is set during the handshake and while closing.
	fixed time.Time
}

func (r *deadlineReader) Read(p []byte) (int, error) {
	begun := r.begun() > 0
	r.mu.Lock()
	limit, fixed := r.idle, r.fixed
	if begun && (limit == 0 || r.frame < limit) {
		limit = r.frame
	}
	switch {
	case !fixed.IsZero():
		_ = r.nc.SetReadDeadline(fixed)
	case limit > 0:
		_ = r.nc.SetReadDeadline(time.Now().Add(limit))
	default:
		_ = r.nc.SetReadDeadline(time.Time{})
	}
	r.mu.Unlock()
	n, err := r.nc.Read(p)
	ne := net.Error(nil)
	switch {
	case n != 0 || !errors.As(err, &ne) || !ne.Timeout():
		return n, err
	case fixed.IsZero() && begun && r.open():
		return 0, newError(wire.ErrConnectionFraming, fmt.Sprintf("a frame was begun and not continued for %v", limit))
	}
	return 0, fmt.Errorf("no bytes for %v: %w", limit, err)
}

// open reports whether no fixed time has been set.
func (r *deadlineReader) open() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fixed.IsZero()
}

// fix makes all reads end at t.
func (r *deadlineReader) fix(t time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fixed = t
	_ = r.nc.SetReadDeadline(t)
}

// relax lets each read take up to idle; 0 means any time.
func (r *deadlineReader) relax(idle time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fixed, r.idle = time.Time{}, idle
	_ = r.nc.SetReadDeadline(time.Time{})
}
