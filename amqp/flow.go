package amqp

import "github.com/hubnerite/hubnerite/amqp/wire"

// onFlow takes the session's window and, if the frame names a link, the link's credit. Every flow states all of it anew, so
// one that repeats the last changes nothing (OASIS AMQP 1.0 2.5.6, 2.6.7).
func (s *Session) onFlow(p *wire.Flow) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.state != sessionOpen {
		return
	}
	// Frames that the client had not seen when it wrote this use up its window.
	first := s.conn.cfg.firstID + 1
	unseen := after(s.nextOutgoingID, p.NextIncomingID.Or(first))
	s.remoteWindow = p.IncomingWindow - min(unseen, p.IncomingWindow)

	if p.Handle.Set {
		l := s.byHandle[p.Handle.Value]
		_, late := s.usedHandle[p.Handle.Value]
		switch {
		case l == nil && late: // some clients give credit once more after their detach
		case l == nil:
			s.endLocked(newError(wire.ErrSessionUnattachedHandle, "flow on a handle without link"))
			return
		case l.state != linkAttached:
		case l.sender != nil:
			l.sender.flowLocked(p)
		default:
			l.receiver.flowLocked(p)
		}
	} else if p.Echo {
		s.writeLocked(s.windowsLocked())
	}
	s.windowOpenedLocked()
	c.dispatchLocked()
}

// flowLocked takes what the client says of a link on which it sends.
func (r *Receiver) flowLocked(p *wire.Flow) {
	// A client may pass over credit instead of using it.
	if p.DeliveryCount.Set && r.current == nil {
		if skipped := after(p.DeliveryCount.Value, r.deliveryCount); skipped > 0 && skipped <= after(r.limit, r.deliveryCount) {
			r.deliveryCount = p.DeliveryCount.Value
			r.replenishLocked()
		}
	}
	if p.Echo {
		r.writeCreditLocked()
	}
}

// flowLocked takes the credit that the client gives to a link on which it receives.
func (s *Sender) flowLocked(p *wire.Flow) {
	if p.LinkCredit.Set {
		// The client counts from the deliveries it has seen, or knows of none yet.
		seen := p.DeliveryCount.Or(s.firstCount)
		s.credit = p.LinkCredit.Value - min(after(s.deliveryCount, seen), p.LinkCredit.Value)
	}
	s.draining = p.Drain
	if p.Echo && !p.Drain {
		s.writeFlowLocked(false)
	}
	if s.draining || s.credit > 0 {
		s.enqueueLocked()
	}
}

// writeFlowLocked tells the link's state.
func (s *Sender) writeFlowLocked(drain bool) {
	flow := s.session.windowsLocked()
	flow.Handle = wire.Some(s.handle)
	flow.DeliveryCount = wire.Some(s.deliveryCount)
	flow.LinkCredit = wire.Some(s.credit)
	flow.Available = wire.Some(s.available)
	flow.Drain = drain
	s.session.writeLocked(flow)
}

// drainLocked uses up the credit that is left and says so (OASIS AMQP 1.0 2.6.7).
func (s *Sender) drainLocked() {
	s.deliveryCount += s.credit
	s.credit = 0
	s.draining = false
	s.writeFlowLocked(true)
}
