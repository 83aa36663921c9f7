package amqp

import (
	"bytes"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// Receiver is the server's end of a link on which the client sends.
type Receiver struct {
	link
	sink Sink

	// Below is guarded by conn.mu.
	window        uint32 // Acceptance.Credit
	deliveryCount uint32 // deliveries begun by the client, serial
	granted       uint32 // deliveryCount up to which the client was last given credit, serial
	limit         uint32 // the highest granted so far, serial: what the client may still use
	outstanding   uint32 // deliveries begun and not settled
	current       *Delivery
	skip          bool // the rest of the current delivery is thrown away: it is too large
}

func newReceiver(s *Session, frame *wire.Attach) *Receiver {
	r := &Receiver{link: link{session: s, frame: frame}}
	r.receiver = r
	return r
}

// SetCredit changes how many unsettled messages the client may have under way; see [Acceptance.Credit]. 0 stops
// the client, as far as it has not used its credit already: what is sent within credit granted before is
// still delivered.
func (r *Receiver) SetCredit(n uint32) {
	c := r.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	shrunk := n < r.window
	r.window = n
	if r.state != linkAttached {
		return
	}
	if shrunk {
		r.writeCreditLocked()
	} else {
		r.replenishLocked()
	}
}

// startLocked grants the first credit.
func (r *Receiver) startLocked(a *Acceptance) {
	r.deliveryCount = r.frame.InitialDeliveryCount.Or(0)
	r.granted, r.limit = r.deliveryCount, r.deliveryCount
	if !a.NoCredit && r.window == 0 { // not set by SetCredit before the answer
		if r.window = a.Credit; r.window == 0 {
			r.window = defaultReceiverCredit
		}
	}
	r.replenishLocked()
}

// freeLocked is the credit to grant: the window less what is under way.
func (r *Receiver) freeLocked() uint32 {
	if r.outstanding >= r.window {
		return 0
	}
	return r.window - r.outstanding
}

// replenishLocked grants credit when at most half of the window is left to the client.
func (r *Receiver) replenishLocked() {
	left := after(r.granted, r.deliveryCount)
	if free := r.freeLocked(); r.state == linkAttached && left <= r.window/2 && free > left {
		r.writeCreditLocked()
	}
}

// writeCreditLocked tells the link's state and the credit it has now. The limit does not shrink: the client may use
// what it was granted before it hears otherwise.
func (r *Receiver) writeCreditLocked() {
	credit := r.freeLocked()
	flow := r.session.windowsLocked()
	flow.Handle = wire.Some(r.handle)
	flow.DeliveryCount = wire.Some(r.deliveryCount)
	flow.LinkCredit = wire.Some(credit)
	r.session.writeLocked(flow)
	r.granted = r.deliveryCount + credit
	if credit > after(r.limit, r.deliveryCount) {
		r.limit = r.granted
	}
}

// after is how far a is after b in serial number arithmetic (RFC 1982), or 0 if it is before.
func after(a, b uint32) uint32 {
	if d := a - b; d < 1<<31 {
		return d
	}
	return 0
}

// onTransfer takes one transfer frame and hands its message over when it is complete.
func (s *Session) onTransfer(t *wire.Transfer, payload []byte) {
	c := s.conn
	c.mu.Lock()
	d, done, fault := s.transferLocked(t, payload)
	if fault != nil {
		s.endLocked(fault)
	}
	c.mu.Unlock()
	if done {
		d.receiver.session.conn.Protect("message", func() { d.receiver.sink.Message(d) })
	}
}

// transferLocked returns the delivery that the frame completes, or an error that ends the session. Faults of one
// link only detach it.
func (s *Session) transferLocked(t *wire.Transfer, payload []byte) (d *Delivery, done bool, fault *Error) {
	if s.state != sessionOpen {
		return nil, false, nil
	}
	if fault := s.receivedFrameLocked(); fault != nil {
		return nil, false, fault
	}
	l := s.byHandle[t.Handle]
	switch {
	case l == nil:
		return nil, false, newError(wire.ErrSessionUnattachedHandle, "transfer on a handle without link")
	case l.receiver == nil:
		return nil, false, newError(wire.ErrSessionErrantLink, "transfer on a link that receives")
	case l.state != linkAttached:
		return nil, false, nil // sent before the client saw our detach
	}
	r := l.receiver
	if r.current == nil {
		if fault := r.beginDeliveryLocked(t); fault != nil {
			r.detachLocked(fault)
			return nil, false, nil
		}
	} else if t.DeliveryID.Set && t.DeliveryID.Value != r.current.id {
		r.detachLocked(newError(wire.ErrNotAllowed, "a delivery began before the one before it ended"))
		return nil, false, nil
	}
	d = r.current
	d.PreSettled = d.PreSettled || t.Settled
	if t.Aborted {
		r.outstanding--
		r.dropPartialLocked()
		r.replenishLocked()
		return nil, false, nil
	}
	if fault := r.addLocked(payload, t.More); fault != nil {
		r.detachLocked(fault)
		return nil, false, nil
	}
	if t.More {
		return nil, false, nil
	}
	r.current = nil
	if r.skip {
		r.skip = false
		d.settled = true
		r.outstanding--
		s.settleLocked(wire.RoleReceiver, d.id, wire.Rejected{Error: r.tooLarge()})
		r.replenishLocked()
		return nil, false, nil
	}
	s.conn.partial -= d.counted
	d.counted = len(d.Payload)
	s.conn.unsettled += d.counted
	return d, true, nil
}

// beginDeliveryLocked takes what only the first frame of a delivery says.
func (r *Receiver) beginDeliveryLocked(t *wire.Transfer) *Error {
	switch {
	case !t.DeliveryID.Set || t.DeliveryTag == nil:
		return newError(wire.ErrInvalidField, "the first transfer of a delivery needs delivery-id and delivery-tag")
	case r.deliveryCount == r.limit:
		return newError(wire.ErrLinkTransferLimitExceeded, "more messages than the link's credit")
	}
	r.current = &Delivery{
		Tag:      bytes.Clone(t.DeliveryTag),
		Format:   t.MessageFormat.Or(0),
		id:       t.DeliveryID.Value,
		receiver: r,
	}
	r.deliveryCount++
	r.outstanding++
	return nil
}

// addLocked adds a frame's payload to the current delivery, within the limits of the link and the connection. A
// message that is too large is refused by its outcome where it has one, else by detaching the link.
func (r *Receiver) addLocked(payload []byte, more bool) *Error {
	c, d := r.session.conn, r.current
	if r.skip {
		return nil
	}
	size := len(d.Payload) + len(payload)
	if uint64(size) > r.maxMessage {
		if d.PreSettled {
			return r.tooLarge()
		}
		r.skip = true
		c.partial -= d.counted
		d.counted, d.Payload = 0, nil
		return nil
	}
	if more && c.partial+len(payload) > max(c.cfg.MaxUnsettledBytes, int(min(r.maxMessage, 1<<62))) {
		return newError(wire.ErrResourceLimitExceeded, "too many half-sent messages")
	}
	if d.Payload == nil && !more {
		d.Payload = bytes.Clone(payload)
		return nil
	}
	d.Payload = append(d.Payload, payload...)
	d.counted += len(payload)
	c.partial += len(payload)
	return nil
}

func (r *Receiver) tooLarge() *Error {
	return newError(wire.ErrLinkMessageSizeExceeded, "the message is larger than the link's max-message-size")
}

// dropPartialLocked forgets a half-received delivery.
func (r *Receiver) dropPartialLocked() {
	if r.current != nil {
		r.session.conn.partial -= r.current.counted
		r.current = nil
	}
	r.skip = false
}

// Delivery is one message that a client sent. It must be settled exactly once; the settling methods may be called from any
// goroutine and in any order, also after the link ended, when they return [ErrLinkClosed] and tell no one.
type Delivery struct {
	// Payload is the encoded message, with all its sections. It belongs to the sink.
	Payload []byte
	// Tag is the client's delivery tag. It belongs to the sink.
	Tag []byte
	// Format is the message format of the first transfer frame; 0 is the standard's message.
	Format uint32
	// PreSettled deliveries expect no answer; settling them only makes room.
	PreSettled bool
	// Value is for the handler's use.
	Value any

	receiver *Receiver
	id       uint32

	// Below is guarded by conn.mu.
	settled bool
	counted int // bytes of Payload in the connection's count
}

// Receiver is the link that the message arrived on.
func (d *Delivery) Receiver() *Receiver { return d.receiver }

// Accept settles with accepted.
func (d *Delivery) Accept() error { return d.Settle(wire.Accepted{}) }

// Reject settles with rejected. err may be nil.
func (d *Delivery) Reject(err *Error) error { return d.Settle(wire.Rejected{Error: err}) }

// Release settles with released.
func (d *Delivery) Release() error { return d.Settle(wire.Released{}) }

// Settle settles with any outcome. It fails with [ErrSettled] the second time and with [ErrLinkClosed] after the
// link.
func (d *Delivery) Settle(outcome wire.DeliveryState) error {
	r := d.receiver
	s, c := r.session, r.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.settled {
		return ErrSettled
	}
	d.settled = true
	r.outstanding--
	before := c.unsettled
	c.unsettled -= d.counted
	if limit := c.cfg.MaxUnsettledBytes; before > limit && c.unsettled <= limit {
		c.room.Broadcast()
	}
	if r.state != linkAttached || s.state != sessionOpen || c.state != connOpen {
		return ErrLinkClosed
	}
	if !d.PreSettled {
		s.settleLocked(wire.RoleReceiver, d.id, outcome)
	}
	r.replenishLocked()
	return nil
}
