package amqp

import (
	"slices"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// pendingDisposition is a settlement not yet written, which may still grow into a range.
type pendingDisposition struct {
	role        wire.Role
	first, last uint32
	state       wire.DeliveryState
}

// settleLocked tells the peer that a delivery is settled, together with its neighbours if they follow at once with the same
// outcome.
func (s *Session) settleLocked(role wire.Role, id uint32, state wire.DeliveryState) {
	c := s.conn
	if n := len(s.settled); n > 0 {
		if p := &s.settled[n-1]; p.role == role && p.last+1 == id && sameOutcome(p.state, state) {
			p.last = id
			return
		}
	} else {
		c.settling = append(c.settling, s)
	}
	s.settled = append(s.settled, pendingDisposition{role, id, id, state})
	c.signal()
}

// sameOutcome reports whether two outcomes are known to be equal.
func sameOutcome(a, b wire.DeliveryState) bool {
	switch a := a.(type) {
	case wire.Accepted:
		_, ok := b.(wire.Accepted)
		return ok
	case wire.Released:
		_, ok := b.(wire.Released)
		return ok
	case wire.Rejected:
		b, ok := b.(wire.Rejected)
		return ok && a.Error == b.Error
	}
	return false
}

// writeDispositionsLocked appends what settleLocked has gathered.
func (c *Conn) writeDispositionsLocked() {
	for i, s := range c.settling {
		c.settling[i] = nil
		for _, p := range s.settled {
			if s.state != sessionOpen || c.state >= connClosing {
				break
			}
			frame := &wire.Disposition{Role: p.role, First: p.first, Settled: true, State: p.state}
			if p.last != p.first {
				frame.Last = wire.Some(p.last)
			}
			c.appendFrameLocked(s.channel, frame)
		}
		clear(s.settled)
		s.settled = s.settled[:0]
	}
	c.settling = c.settling[:0]
}

// decided is an outcome to tell the handler.
type decided struct {
	d     *Sent
	state wire.DeliveryState
}

// onDisposition takes the client's outcomes of deliveries it received. What a client says of deliveries that it
// sent changes nothing: they are settled here as soon as their outcome is known. Ids that are not known, any more
// or at all, are passed over.
func (s *Session) onDisposition(p *wire.Disposition) {
	if p.Role == wire.RoleSender {
		return
	}
	c := s.conn
	terminal := p.State != nil && p.State.Code() != wire.CodeReceived
	if !terminal && !p.Settled {
		return
	}
	c.mu.Lock()
	var told []decided
	for _, id := range s.sentBetweenLocked(p.First, p.Last.Or(p.First)) {
		d := s.sent[id]
		if p.Settled {
			d.forgetLocked()
			d.peerSettled = true
		}
		if d.outcome != nil {
			continue // known since the client's first, unsettled, disposition
		}
		if d.outcome = p.State; !terminal {
			d.outcome = d.sender.defaultOutcome()
		}
		told = append(told, decided{d, d.outcome})
	}
	c.mu.Unlock()
	if len(told) == 0 {
		return
	}
	c.Protect("outcome", func() {
		for _, t := range told {
			t.d.sender.source.Outcome(t.d, t.state)
		}
	})
}

// sentBetweenLocked lists the unsettled deliveries from first to last in serial order, at a cost that does not depend on
// the range named.
func (s *Session) sentBetweenLocked(first, last uint32) []uint32 {
	span := last - first
	if span >= 1<<31 {
		return nil
	}
	var ids []uint32
	if uint64(span) < uint64(len(s.sent)) {
		for i := range span + 1 {
			if s.sent[first+i] != nil {
				ids = append(ids, first+i)
			}
		}
		return ids
	}
	for id := range s.sent {
		if id-first <= span {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b uint32) int { return int(a-first) - int(b-first) })
	return ids
}

// defaultOutcome is what a delivery has that the client settled without saying how (OASIS AMQP 1.0 3.5.3,
// default-outcome); without a default it counts as not processed.
func (s *Sender) defaultOutcome() wire.DeliveryState {
	if src := s.frame.Source; src != nil && src.DefaultOutcome != nil {
		return src.DefaultOutcome
	}
	return wire.Released{}
}

// Sent is a delivery that was sent unsettled and has no final answer yet.
type Sent struct {
	// Tag is the delivery tag, Value what Message.Value was.
	Tag   []byte
	Value any

	sender *Sender
	id     uint32
	tag    [engineTag]byte // room for Tag

	// Below is guarded by conn.mu.
	outcome     wire.DeliveryState // what the client said
	peerSettled bool
	gone        bool  // not in the session's map and the link's list any more
	prev, next  *Sent // the link's unsettled deliveries in the order sent
}

// Sender is the link that the message was sent on.
func (d *Sent) Sender() *Sender { return d.sender }

// PeerSettled says whether the client has settled, and so forgotten, the delivery. If not, it waits for
// [Sent.Settle] (receiver settle mode second).
func (d *Sent) PeerSettled() bool {
	d.sender.session.conn.mu.Lock()
	defer d.sender.session.conn.mu.Unlock()
	return d.peerSettled
}

// Settle ends a delivery for which Outcome was called. If the client settled it already, it does nothing and
// returns nil. Otherwise the client waits for this answer; state nil repeats the outcome the client gave, any other
// says what really happened, e.g. rejected. It may be called from any goroutine, once, and has to be called for
// each Outcome. Before Outcome, it takes the delivery back: no Outcome will follow. It fails with [ErrLinkClosed]
// after the link and with [ErrSettled] the second time.
func (d *Sent) Settle(state wire.DeliveryState) error {
	s := d.sender.session
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	switch {
	case d.peerSettled:
		return nil
	case d.gone && d.sender.state == linkAttached:
		return ErrSettled
	case d.gone || s.state != sessionOpen || s.conn.state != connOpen:
		return ErrLinkClosed
	}
	if state == nil {
		state = echoOutcome(d.outcome)
	}
	d.forgetLocked()
	s.settleLocked(wire.RoleSender, d.id, state)
	return nil
}

// echoOutcome repeats the client's outcome; without the error of a rejection, which clients would take for a refusal
// of their rejection.
func echoOutcome(state wire.DeliveryState) wire.DeliveryState {
	if _, ok := state.(wire.Rejected); ok {
		return wire.Rejected{}
	}
	return state
}

func (d *Sent) rememberLocked() {
	s := d.sender
	s.session.sent[d.id] = d
	if d.prev = s.lastSent; d.prev != nil {
		d.prev.next = d
	} else {
		s.firstSent = d
	}
	s.lastSent = d
}

func (d *Sent) forgetLocked() {
	if d.gone {
		return
	}
	d.gone = true
	s := d.sender
	delete(s.session.sent, d.id)
	if d.prev != nil {
		d.prev.next = d.next
	} else {
		s.firstSent = d.next
	}
	if d.next != nil {
		d.next.prev = d.prev
	} else {
		s.lastSent = d.prev
	}
	d.prev, d.next = nil, nil
}

// forgetLocked forgets all deliveries of a link and returns those without outcome.
func (s *Sender) forgetLocked() []*Sent {
	var open []*Sent
	for d := s.firstSent; d != nil; d = s.firstSent {
		d.forgetLocked()
		if d.outcome == nil {
			open = append(open, d)
		}
	}
	return open
}
