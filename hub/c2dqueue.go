package hub

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/hubnerite/hubnerite/iothub"
)

// c2dState is where a message is in its life. Terminal states have no value:
// the entry is gone.
type c2dState uint8

const (
	// c2dEnqueued messages may be received.
	c2dEnqueued c2dState = iota
	// c2dInvisible messages are locked by a receiver.
	c2dInvisible
	// c2dReturning messages are being given back; the new delivery count is on
	// its way to the store. Later ones wait behind them, for the order's sake.
	c2dReturning
	// c2dEnding messages have their outcome, which is on its way to the store.
	c2dEnding
)

// c2dEntry is a message in its queue.
type c2dEntry struct {
	number uint64
	m      iothub.C2DMessage
	state  c2dState
	token  string
	// until is when the lock lapses; zero for as long as the holder is connected.
	until time.Time
	// holder is the connection that locked it; nil for a receiver without one.
	holder *Connection
	// spared says that no fault rule is asked about the next delivery.
	spared bool
}

// c2dQueue is the one queue of an identity that all protocols share, in order
// of enqueueing. It is memory only and guarded by its owner. A message that
// comes back, whichever way, is at its old place again.
// Source: IoT Hub devguide, cloud-to-device message life cycle.
//
// A module has another one like it, for its inputs; there, messages of a higher
// priority come first.
type c2dQueue struct {
	entries []*c2dEntry
	// mixed says that there were messages of different priorities.
	mixed bool
}

// insert adds a message at the place of its number.
func (q *c2dQueue) insert(number uint64, m iothub.C2DMessage) {
	m.SequenceNumber = number
	e := &c2dEntry{number: number, m: m}
	i, found := slices.BinarySearchFunc(q.entries, number, func(e *c2dEntry, n uint64) int {
		switch {
		case e.number < n:
			return -1
		case e.number > n:
			return 1
		}
		return 0
	})
	if !found {
		q.mixed = q.mixed || len(q.entries) > 0 && q.entries[0].m.Priority != m.Priority
		q.entries = slices.Insert(q.entries, i, e)
	}
}

// refresh ends lapsed locks and takes out of circulation what has expired,
// which it returns. A locked message does not expire: its receiver may still complete it.
func (q *c2dQueue) refresh(now time.Time) (expired []*c2dEntry) {
	for _, e := range q.entries {
		if e.state == c2dInvisible && !e.until.IsZero() && !now.Before(e.until) {
			e.unlock()
		}
		if e.state == c2dEnqueued && !now.Before(e.m.ExpiryTime) {
			e.state = c2dEnding
			expired = append(expired, e)
		}
	}
	return expired
}

// next returns the message to receive next, or nil. The caller refreshed.
func (q *c2dQueue) next() *c2dEntry {
	var best *c2dEntry
	for _, e := range q.entries {
		if e.state != c2dEnqueued && e.state != c2dReturning {
			continue
		}
		if best == nil || e.m.Priority < best.m.Priority {
			best = e
		}
		if !q.mixed {
			break
		}
	}
	if best == nil || best.state == c2dReturning {
		return nil
	}
	return best
}

// lock makes e invisible to others and returns it as a delivery.
func (e *c2dEntry) lock(holder *Connection, until time.Time) Delivery {
	e.state, e.token, e.holder, e.until = c2dInvisible, uuid.NewString(), holder, until
	return Delivery{Message: e.m, LockToken: e.token}
}

func (e *c2dEntry) unlock() {
	e.state, e.token, e.holder, e.until = c2dEnqueued, "", nil, time.Time{}
}

// locked returns the message under a lock that still holds, or nil.
func (q *c2dQueue) locked(token string, now time.Time) *c2dEntry {
	for _, e := range q.entries {
		if e.state == c2dInvisible && e.token == token && (e.until.IsZero() || now.Before(e.until)) {
			return e
		}
	}
	return nil
}

// heldLocked returns the message, in whichever queue, under a lock that still holds, or nil.
func (p *peer) heldLocked(token string, now time.Time) *c2dEntry {
	if e := p.queue.locked(token, now); e != nil {
		return e
	}
	return p.inputs.locked(token, now)
}

// releaseHolder gives back what a connection had locked; delivery counts stay.
func (q *c2dQueue) releaseHolder(c *Connection) {
	for _, e := range q.entries {
		if e.state == c2dInvisible && e.holder == c {
			e.unlock()
		}
	}
}

// takeAll gives every message its outcome at once and returns those; what had
// one already is left alone.
func (q *c2dQueue) takeAll() (taken []*c2dEntry) {
	for _, e := range q.entries {
		// A message on its way back is ended by the one who gives it back.
		if e.state == c2dEnqueued || e.state == c2dInvisible {
			e.unlock()
			e.state = c2dEnding
			taken = append(taken, e)
		}
	}
	return taken
}

// remove takes e out; a second time does nothing.
func (q *c2dQueue) remove(e *c2dEntry) {
	if i := slices.Index(q.entries, e); i >= 0 {
		q.entries = slices.Delete(q.entries, i, i+1)
	}
	q.mixed = q.mixed && len(q.entries) > 0
}

// waiting counts the messages without an outcome, locked ones included.
func (q *c2dQueue) waiting() int {
	n := 0
	for _, e := range q.entries {
		if e.state != c2dEnding {
			n++
		}
	}
	return n
}

// quiet reports whether no message is locked or on its way.
func (q *c2dQueue) quiet() bool {
	return !slices.ContainsFunc(q.entries, func(e *c2dEntry) bool { return e.state != c2dEnqueued })
}

// wantsExpiry reports whether a message asks to be told of its expiry.
func (q *c2dQueue) wantsExpiry() bool {
	return slices.ContainsFunc(q.entries, func(e *c2dEntry) bool {
		return e.m.Ack.WantsFeedback(iothub.OutcomeExpired)
	})
}

// nextDue is when refresh will find the next lapsed lock or expired message;
// zero for never.
func (q *c2dQueue) nextDue() time.Time {
	var due time.Time
	for _, e := range q.entries {
		t := time.Time{}
		switch e.state {
		case c2dEnqueued:
			t = e.m.ExpiryTime
		case c2dInvisible:
			t = e.until
		}
		if !t.IsZero() && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	return due
}
