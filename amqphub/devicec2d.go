package amqphub

import (
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// c2dSource is a link on which a device gets cloud-to-device messages.
type c2dSource struct {
	device *device
	link   *deviceLink
	sender *amqp.Sender
	// held is a message that is locked and could not be sent yet; guarded by
	// device.pumping.
	held *hub.Delivery
	// until is when the lock of held lapses.
	until time.Time
}

// openC2D opens such a link.
func (d *device) openC2D(l *deviceLink, s *amqp.Sender) *amqp.Acceptance {
	c := &c2dSource{device: d, link: l, sender: s}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.c2d = append(d.c2d, c)
	// After the end of an earlier link, which gives back what that had locked.
	d.doLocked(func() { d.conn.EnableC2D(true) })
	return &amqp.Acceptance{Source: c, MaxMessageSize: iothub.MaxTelemetrySize}
}

// C2DWaiting implements hub.Client.
func (d *device) C2DWaiting() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended == nil {
		d.doLocked(d.pumpC2D)
	}
}

// pumpC2D sends while there are messages and the last link has credit. It locks
// a message only when there is credit for it.
func (d *device) pumpC2D() {
	d.pumping.Lock()
	defer d.pumping.Unlock()
	for {
		c := last(d, &d.c2d)
		if c == nil || !c.takeLocked() {
			return
		}
		err := c.send(c.held)
		switch {
		case err == nil:
			c.held = nil
		case errors.Is(err, amqp.ErrWouldBlock): // Ready will come
			return
		default: // the link's end gives the message back
			d.peer.log.Debug("cloud-to-device message not sent", "device", d.id, "err", err)
			return
		}
	}
}

// takeLocked sees to it that there is a message to send; false if there is none.
func (c *c2dSource) takeLocked() bool {
	now := c.device.peer.server.now()
	if c.held != nil && now.Before(c.until) {
		return true
	}
	c.held = nil
	if c.sender.Credit() == 0 {
		c.sender.WantReady()
		return false
	}
	delivery, ok := c.device.conn.ReceiveC2D()
	if ok {
		c.held, c.until = &delivery, now.Add(iothub.C2DLock)
	}
	return ok
}

// send sends a message; on a link whose client wants everything settled that
// completes it.
func (c *c2dSource) send(delivery *hub.Delivery) error {
	token, err := uuid.Parse(delivery.LockToken)
	if err != nil {
		return err
	}
	b, err := encodeC2D(delivery, token)
	if err != nil {
		return err
	}
	// The tag is the lock token: the C# client reads it there.
	err = c.sender.TrySend(amqp.Message{Payload: [][]byte{b}, Tag: token[:], Value: delivery.LockToken})
	if err == nil && c.sender.Frame().SenderSettleMode == wire.SenderSettled {
		c.device.peer.hub.CompleteC2DAsync(c.device.id, delivery.LockToken, nil)
	}
	return err
}

// encodeC2D writes a message as devices get it.
// Source: IoT Hub devguide, cloud-to-device messages; what the C# and Java
// clients read, with its types.
func encodeC2D(delivery *hub.Delivery, token uuid.UUID) ([]byte, error) {
	m := &delivery.Message
	b, err := wire.AppendMessageAnnotations(nil, wire.Map{}.
		Add(wire.Symbol("x-opt-sequence-number"), m.SequenceNumber).
		Add(wire.Symbol("x-opt-lock-token"), wire.UUID(token)).
		Add(wire.Symbol("iothub-enqueuedtime"), m.EnqueuedTime).
		Add(wire.Symbol("iothub-deliverycount"), uint8(min(m.DeliveryCount, 255))))
	if err != nil {
		return nil, err
	}
	p := &wire.Properties{
		MessageID: textOrNil(m.System.MessageID), CorrelationID: textOrNil(m.System.CorrelationID),
		To:          "/" + m.ID.ResourcePath() + "/messages/deviceBound",
		ContentType: wire.Symbol(m.System.ContentType), ContentEncoding: wire.Symbol(m.System.ContentEncoding),
		AbsoluteExpiryTime: m.ExpiryTime,
	}
	if m.System.UserID != "" {
		p.UserID = []byte(m.System.UserID)
	}
	if b, err = wire.AppendProperties(b, p); err != nil {
		return nil, err
	}
	application := wire.Map{}
	if m.Ack != "" && m.Ack != iothub.AckNone {
		application = application.Add(ackProperty, string(m.Ack))
	}
	for _, q := range m.Properties {
		application = application.Add(q.Name, q.Value)
	}
	if len(application) > 0 {
		if b, err = wire.AppendApplicationProperties(b, application); err != nil {
			return nil, err
		}
	}
	return wire.AppendDataSection(b, m.Body), nil
}

// textOrNil keeps an ID that there is not off the wire.
func textOrNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// Ready implements amqp.Source. It sends at once, for a client that drains.
func (c *c2dSource) Ready(*amqp.Sender) { c.device.pumpC2D() }

// Outcome implements amqp.Source: accepted completes, rejected dead-letters,
// released and modified abandon.
// Source: IoT Hub devguide, cloud-to-device messages (AMQP).
func (c *c2dSource) Outcome(sent *amqp.Sent, state wire.DeliveryState) {
	token, _ := sent.Value.(string)
	c.device.do(func() { c.settle(sent, token, state) })
}

// settle carries an outcome out. A client that waits for the answer gets its own
// outcome back, or hears that the lock was lost.
func (c *c2dSource) settle(sent *amqp.Sent, token string, state wire.DeliveryState) {
	p, id := c.device.peer, c.device.id
	answer := func(err error) {
		var answer wire.DeliveryState // nil repeats the client's outcome
		if err != nil {
			answer = wire.Rejected{Error: p.refuse("cloud-to-device settlement", err)}
		}
		_ = sent.Settle(answer) // a link that ended needs no answer
	}
	switch state.(type) {
	case wire.Released, wire.Modified:
		answer(p.hub.AbandonC2D(p.hubContext(), id, token))
	case wire.Rejected:
		answer(p.hub.RejectC2D(p.hubContext(), id, token))
	default:
		p.hub.CompleteC2DAsync(id, token, answer)
	}
}

// Closed implements amqp.Source: without any link left, what was not settled is
// available again, at once and with its old delivery count.
func (c *c2dSource) Closed(*amqp.Sender, []*amqp.Sent, error) {
	d := c.device
	d.mu.Lock()
	d.c2d = slices.DeleteFunc(d.c2d, func(other *c2dSource) bool { return other == c })
	if len(d.c2d) == 0 {
		d.doLocked(func() { d.conn.EnableC2D(false) })
	} else {
		d.doLocked(d.pumpC2D)
	}
	d.mu.Unlock()
	d.leave(c.link)
}
