// Package clock is a clock that can be stopped, set and moved while programs run by it, so that a test need not wait for what takes hours.
package clock

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// The times that the clock can show. Deadlines of the hub are kept in nanoseconds of Unix time, which end in 2262.
const (
	MinYear = 1970
	MaxYear = 2200
)

// lastStretch is how far before its end Advance stops once: what follows from what has come due in between, such as the message with
// the feedback of an expired message 15 seconds later, is then due at the end.
const lastStretch = 30 * time.Second

// ErrOutOfRange is returned for a time that the clock cannot show.
var ErrOutOfRange = errors.New("the clock goes from 1970 to 2200")

// Clock shows the real time until it is moved. It is safe for concurrent use; Now costs an atomic load more than the real time.
type Clock struct {
	real func() time.Time
	// setting is nil as long as the clock shows the real time.
	setting atomic.Pointer[setting]

	// moving is held while the clock is moved and those who watch it are told.
	moving  sync.Mutex
	watches map[*watch]struct{}
}

// setting is never changed: a move makes a new one.
type setting struct {
	frozen bool
	at     time.Time     // while frozen
	offset time.Duration // ahead of the real time while it runs
}

type watch struct{ moved func(before, now time.Time) }

// State is what a clock shows and how it runs.
type State struct {
	Now, Real time.Time
	// Offset is how far Now is ahead of Real; negative when it is behind.
	Offset time.Duration
	Frozen bool
}

// New returns a clock that shows the time of real; nil means time.Now.
func New(real func() time.Time) *Clock {
	if real == nil {
		real = time.Now
	}
	return &Clock{real: real, watches: map[*watch]struct{}{}}
}

// Now returns what the clock shows.
func (c *Clock) Now() time.Time {
	s := c.setting.Load()
	switch {
	case s == nil:
		return c.real()
	case s.frozen:
		return s.at
	}
	return c.real().Add(s.offset)
}

// Real returns the time of the clock behind this one.
func (c *Clock) Real() time.Time { return c.real() }

// State returns what the clock shows and how it runs.
func (c *Clock) State() State {
	real := c.real()
	switch s := c.setting.Load(); {
	case s == nil:
		return State{Now: real, Real: real}
	case s.frozen:
		return State{Now: s.at, Real: real, Offset: s.at.Sub(real.Round(0)), Frozen: true}
	default:
		return State{Now: real.Add(s.offset), Real: real, Offset: s.offset}
	}
}

// Watch has moved called after every move, with the time before it and the time that the clock shows then. A move is over when all
// calls have returned; they must not move the clock. stop waits for a call in progress.
func (c *Clock) Watch(moved func(before, now time.Time)) (stop func()) {
	w := &watch{moved}
	c.moving.Lock()
	defer c.moving.Unlock()
	c.watches[w] = struct{}{}
	return func() {
		c.moving.Lock()
		defer c.moving.Unlock()
		delete(c.watches, w)
	}
}

// Freeze stops the clock at a time; zero is the one that it shows.
func (c *Clock) Freeze(at time.Time) error { return c.change(at, true) }

// Run lets the clock run from a time on; zero is the one that it shows.
func (c *Clock) Run(from time.Time) error { return c.change(from, false) }

// Set sets the clock, which goes on running or standing still.
func (c *Clock) Set(to time.Time) error {
	c.moving.Lock()
	defer c.moving.Unlock()
	s := c.setting.Load()
	return c.moveLocked(to, s != nil && s.frozen)
}

// Reset makes the clock show the real time again.
func (c *Clock) Reset() {
	c.moving.Lock()
	defer c.moving.Unlock()
	before := c.Now()
	c.setting.Store(nil)
	c.tellLocked(before)
}

// Advance moves the clock forward by d, which must not be negative. It stops for a moment shortly before the end, so that what follows from what comes due
// on the way is due at the end, too.
func (c *Clock) Advance(d time.Duration) error {
	c.moving.Lock()
	defer c.moving.Unlock()
	switch {
	case d < 0:
		return fmt.Errorf("a clock is not advanced by %v; set it to go back", d)
	case !inRange(c.Now().Add(d)):
		return ErrOutOfRange
	}
	if d > lastStretch {
		c.advanceLocked(d - lastStretch)
		d = lastStretch
	}
	c.advanceLocked(d)
	return nil
}

func (c *Clock) advanceLocked(d time.Duration) {
	before, next := c.Now(), setting{}
	if s := c.setting.Load(); s != nil {
		next = *s
	}
	next.at, next.offset = next.at.Add(d), next.offset+d // one of them counts
	c.setting.Store(&next)
	c.tellLocked(before)
}

func (c *Clock) change(to time.Time, frozen bool) error {
	c.moving.Lock()
	defer c.moving.Unlock()
	if to.IsZero() {
		to = c.Now()
	}
	return c.moveLocked(to, frozen)
}

func (c *Clock) moveLocked(to time.Time, frozen bool) error {
	if !inRange(to) {
		return ErrOutOfRange
	}
	before := c.Now()
	// Without its monotonic reading, so that differences are those of what is shown.
	next := &setting{frozen: frozen, at: to.Round(0)}
	if !frozen {
		next.offset = to.Sub(c.real())
	}
	c.setting.Store(next)
	c.tellLocked(before)
	return nil
}

func (c *Clock) tellLocked(before time.Time) {
	for w := range c.watches {
		w.moved(before, c.Now())
	}
}

func inRange(t time.Time) bool { return t.UTC().Year() >= MinYear && t.UTC().Year() < MaxYear }
