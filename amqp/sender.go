package amqp

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// Sender is the server's end of a link on which the client receives.
type Sender struct {
	link
	source Source

	// Below is guarded by conn.mu.
	mode          wire.SenderSettleMode
	firstCount    uint32 // initial-delivery-count
	deliveryCount uint32 // deliveries begun, serial
	credit        uint32
	draining      bool
	available     uint32
	lastTag       uint32
	tag           [engineTag]byte // of the current message, if it is settled and has none of its own

	current outgoing // the message being cut into frames
	waiting []*waitingSend
	armed   bool // Ready is owed
	queued  bool // in conn.readyQ or one of the session's lists

	firstSent, lastSent *Sent
}

// engineTag is the length of the tags that the engine makes.
const engineTag = 4

// outgoing is a message of which frames are still to be written.
type outgoing struct {
	active bool
	begun  bool // the first frame is written
	frame  wire.Transfer
	pieces [][]byte
	at     int // the piece that is next
	left   int // bytes
}

// waitingSend is a call of Send that waits.
type waitingSend struct {
	m    Message
	done chan error // buffered
}

// Message is what a [Sender] sends.
type Message struct {
	// Payload is the encoded message in pieces that are sent one after the other, so that sections of different
	// origin need not be copied together. The bytes must not change until Outcome, Closed, or the link's next
	// accepted message.
	Payload [][]byte
	// Tag is the delivery tag, at most 32 bytes, unique among the link's unsettled deliveries. nil: the engine makes a
	// tag of 4 bytes, a counter of the link.
	Tag []byte
	// Format is the message format; 0 is the standard's message.
	Format uint32
	// Settled sends pre-settled: no outcome. Only on a link in mixed mode; on others the link's mode decides.
	Settled bool
	// Value is for the handler's use; see [Sent].
	Value any
}

func newSender(session *Session, frame *wire.Attach) *Sender {
	s := &Sender{link: link{session: session, frame: frame}}
	s.sender = s
	return s
}

func (s *Sender) startLocked(a *Acceptance, mode wire.SenderSettleMode) {
	s.mode = mode
	s.firstCount = a.InitialDeliveryCount
	s.deliveryCount = a.InitialDeliveryCount
	s.armed = true
}

// TrySend sends m, or returns [ErrWouldBlock] if that is not possible at once; then [Source.Ready] is called when it is
// worth trying again. Other errors: [ErrLinkClosed], [ErrDeliveryTag].
func (s *Sender) TrySend(m Message) error {
	c := s.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.trySendLocked(&m)
}

func (s *Sender) trySendLocked(m *Message) error {
	switch {
	case len(m.Tag) > maxDeliveryTag:
		return ErrDeliveryTag
	case s.closedLocked():
		return ErrLinkClosed
	case len(s.waiting) > 0 || !s.roomLocked():
		s.armed = true
		s.enqueueLocked()
		return ErrWouldBlock
	}
	s.sendLocked(m)
	return nil
}

// Send is TrySend that waits until the message is taken, ctx ends or the link ends. It does not wait for the
// outcome. Calls that wait are served in order, before Ready is called. It must not be called from handler calls: the
// reader, which they hold up, is what would bring the credit.
func (s *Sender) Send(ctx context.Context, m Message) error {
	if len(m.Tag) > maxDeliveryTag {
		return ErrDeliveryTag
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c := s.session.conn
	c.mu.Lock()
	if s.closedLocked() {
		c.mu.Unlock()
		return ErrLinkClosed
	}
	if len(s.waiting) == 0 && s.roomLocked() {
		s.sendLocked(&m)
		c.mu.Unlock()
		return nil
	}
	w := &waitingSend{m, make(chan error, 1)}
	s.waiting = append(s.waiting, w)
	s.enqueueLocked()
	c.mu.Unlock()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(s.waiting, w); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
		return ctx.Err()
	}
	return <-w.done // taken or failed just now
}

// TrySendBatch sends messages in order until one cannot be sent at once, and returns how many it took; if that is not
// all, the error is the one that TrySend would return for the next. It costs less than as many calls of TrySend.
func (s *Sender) TrySendBatch(messages []Message) (taken int, err error) {
	c := s.session.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range messages {
		if err := s.trySendLocked(&messages[i]); err != nil {
			return i, err
		}
	}
	return len(messages), nil
}

// Credit is how many messages the client is ready to take now.
func (s *Sender) Credit() uint32 {
	s.session.conn.mu.Lock()
	defer s.session.conn.mu.Unlock()
	return s.credit
}

// WantReady arranges that [Source.Ready] is called once sending is possible, as a TrySend that would block does. It
// is for sources that look at Credit before they take a message from somewhere.
func (s *Sender) WantReady() {
	s.session.conn.mu.Lock()
	defer s.session.conn.mu.Unlock()
	s.armed = true
	s.enqueueLocked()
}

// Draining says that the client wants its credit used up: what is there should be sent now, the rest of the credit
// will be taken back (OASIS AMQP 1.0 2.6.7).
func (s *Sender) Draining() bool {
	s.session.conn.mu.Lock()
	defer s.session.conn.mu.Unlock()
	return s.draining
}

// SetAvailable sets the number of messages waiting, which the link's flow frames tell the client
// (OASIS AMQP 1.0 2.6.7). It sends nothing itself.
func (s *Sender) SetAvailable(n uint32) {
	s.session.conn.mu.Lock()
	defer s.session.conn.mu.Unlock()
	s.available = n
}

func (s *Sender) closedLocked() bool {
	return s.state >= linkDetaching || s.session.state >= sessionEnding || s.session.conn.state >= connClosing
}

// roomLocked reports whether a message can be begun at once.
func (s *Sender) roomLocked() bool {
	return s.state == linkAttached && s.credit > 0 && !s.current.active && s.session.remoteWindow > 0 &&
		len(s.session.conn.out) < outHighWater
}

// sendLocked begins a message and writes as much of it as there is room for.
func (s *Sender) sendLocked(m *Message) {
	ss := s.session
	settled := m.Settled
	if s.mode != wire.SenderMixed {
		settled = s.mode == wire.SenderSettled
	}
	id := ss.nextDeliveryID
	ss.nextDeliveryID++
	s.deliveryCount++
	s.credit--
	tag, room := m.Tag, s.tag[:0]
	var d *Sent
	if !settled {
		d = &Sent{Value: m.Value, sender: s, id: id}
		room = d.tag[:0]
	}
	if tag == nil {
		tag = binary.BigEndian.AppendUint32(room, s.lastTag)
		s.lastTag++
	}
	if d != nil {
		d.Tag = tag
		d.rememberLocked()
	}
	o := &s.current
	o.active, o.begun = true, false
	o.frame = wire.Transfer{
		Handle:        s.handle,
		DeliveryID:    wire.Some(id),
		DeliveryTag:   tag,
		MessageFormat: wire.Some(m.Format),
		Settled:       settled,
	}
	o.pieces, o.at, o.left = append(o.pieces[:0], m.Payload...), 0, 0
	for _, p := range m.Payload {
		o.left += len(p)
	}
	s.writeFramesLocked()
}

// writeFramesLocked writes frames of the current message until it is done, the client's window or the write
// buffer is full, or the link has had its share.
func (s *Sender) writeFramesLocked() {
	c, ss, o := s.session.conn, s.session, &s.current
	for start := len(c.out); o.active; {
		if ss.remoteWindow == 0 || len(c.out) >= outHighWater || len(c.out)-start >= senderQuantum {
			s.enqueueLocked()
			return
		}
		if !ss.writeTransferLocked(o) {
			o.active = false
			s.detachLocked(newError(wire.ErrFrameSizeTooSmall, "a transfer frame does not fit the client's max-frame-size"))
			return
		}
		ss.nextOutgoingID++
		ss.remoteWindow--
		if o.left == 0 {
			clear(o.pieces)
			*o = outgoing{pieces: o.pieces[:0]}
		}
	}
}

// writeTransferLocked writes one frame with as much of the message as fits.
func (s *Session) writeTransferLocked(o *outgoing) bool {
	c := s.conn
	c.writeDispositionsLocked()
	start := len(c.out)
	// Whether this is the last frame depends on the length of its fields, which does not depend on the answer.
	o.frame.More = o.left > int(c.writeMax)/2
	out, _, err := wire.AppendTransferFrame(c.out, s.channel, &o.frame, nil, c.writeMax)
	room := int(c.writeMax) - (len(out) - start)
	if more := room < o.left; err == nil && more != o.frame.More {
		o.frame.More = more
		out, _, err = wire.AppendTransferFrame(c.out, s.channel, &o.frame, nil, c.writeMax)
	}
	if err != nil {
		c.log.Error("amqp transfer not encoded", "err", err)
		return false
	}
	if room < min(o.left, 1) {
		return false
	}
	for room > 0 && o.left > 0 {
		piece := &o.pieces[o.at]
		n := min(room, len(*piece))
		out = append(out, (*piece)[:n]...)
		room -= n
		o.left -= n
		if *piece = (*piece)[n:]; len(*piece) == 0 {
			o.at++
		}
	}
	binary.BigEndian.PutUint32(out[start:], uint32(len(out)-start))
	c.out = out
	if !o.begun { // the frames that follow need not repeat this (OASIS AMQP 1.0 2.7.5)
		o.begun = true
		o.frame.DeliveryTag, o.frame.MessageFormat = nil, wire.Opt[uint32]{}
	}
	c.signal()
	return true
}

// failLocked ends everything that waits on a link that sends no more.
func (s *Sender) failLocked() {
	for _, w := range s.waiting {
		w.done <- ErrLinkClosed
	}
	s.waiting = nil
	s.current = outgoing{}
}
