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

// c2dSource is a link on which a device gets cloud-to-device messages, or a module
// the messages at its inputs.
type c2dSource struct {
	device *device
	link   *deviceLink
	sender *amqp.Sender
	kind   *c2dKind
	// held is a message that is locked and could not be sent yet; guarded by
	// device.pumping.
	held *hub.Delivery
	// until is when the lock of held lapses.
	until time.Time
}

// c2dKind are the links for messages of one kind, with what the hub has for them.
type c2dKind struct {
	// links in the order attached: the last one counts. Guarded by device.mu.
	links   []*c2dSource
	enable  func(*hub.Connection, bool)
	receive func(*hub.Connection) (hub.Delivery, bool)
}

// openC2D opens a link for cloud-to-device messages.
func (d *device) openC2D(l *deviceLink, s *amqp.Sender) *amqp.Acceptance {
	return d.openSource(&d.c2d, l, s)
}

// openInputs opens the link on which a module gets the messages at its inputs. It has
// the address on which the module sends telemetry.
// Source: IoT Edge hub, AMQP (module messages); the device SDKs.
func (d *device) openInputs(l *deviceLink, s *amqp.Sender) *amqp.Acceptance {
	return d.openSource(&d.inputs, l, s)
}

func (d *device) openSource(kind *c2dKind, l *deviceLink, s *amqp.Sender) *amqp.Acceptance {
	c := &c2dSource{device: d, link: l, sender: s, kind: kind}
	d.mu.Lock()
	defer d.mu.Unlock()
	kind.links = append(kind.links, c)
	// After the end of an earlier link, which gives back what that had locked.
	d.doLocked(func() { kind.enable(d.conn, true) })
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
	d.pumpKind(&d.c2d)
	d.pumpKind(&d.inputs)
}

// pumpKind is pumpC2D for one kind of messages, with d.pumping held.
func (d *device) pumpKind(kind *c2dKind) {
	for {
		c := last(d, &kind.links)
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
			d.peer.log.Debug("message to the device not sent", "device", d.id, "err", err)
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
	delivery, ok := c.kind.receive(c.device.conn)
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
		c.device.peer.hub().CompleteC2DAsync(c.device.id, delivery.LockToken, nil)
	}
	return err
}

// Where a message at an input carries what AMQP has no field for.
// Source: IoT Edge hub, AMQP (constants of its message converter).
const (
	inputNameAnnotation          = "x-opt-input-name"
	connectionDeviceIDAnnotation = "iothub-connection-device-id"
	connectionModuleIDAnnotation = "iothub-connection-module-id"
)

// encodeC2D writes a message as devices get it.
// Source: IoT Hub devguide, cloud-to-device messages; what the C# and Java
// clients read, with its types.
func encodeC2D(delivery *hub.Delivery, token uuid.UUID) ([]byte, error) {
	m := &delivery.Message
	annotations := wire.Map{}.
		Add(wire.Symbol("x-opt-sequence-number"), m.SequenceNumber).
		Add(wire.Symbol("x-opt-lock-token"), wire.UUID(token)).
		Add(wire.Symbol("iothub-enqueuedtime"), m.EnqueuedTime).
		Add(wire.Symbol("iothub-deliverycount"), uint8(min(m.DeliveryCount, 255)))
	if m.Input != "" {
		annotations = annotations.Add(wire.Symbol(inputNameAnnotation), m.Input).
			Add(wire.Symbol(connectionDeviceIDAnnotation), m.From.DeviceID)
		if m.From.IsModule() {
			annotations = annotations.Add(wire.Symbol(connectionModuleIDAnnotation), m.From.ModuleID)
		}
		if m.System.InterfaceID != "" {
			annotations = annotations.Add(wire.Symbol(interfaceIDAnnotation), m.System.InterfaceID)
		}
	}
	b, err := wire.AppendMessageAnnotations(nil, annotations)
	if err != nil {
		return nil, err
	}
	p := &wire.Properties{
		MessageID: textOrNil(m.System.MessageID), CorrelationID: textOrNil(m.System.CorrelationID),
		To:          "/" + m.ID.ResourcePath() + "/messages/deviceBound",
		ContentType: wire.Symbol(m.System.ContentType), ContentEncoding: wire.Symbol(m.System.ContentEncoding),
		AbsoluteExpiryTime: m.ExpiryTime,
	}
	if m.Input != "" {
		p.To = m.System.To
		// The sender's, which is text; the hub's own is how long the message may wait.
		p.AbsoluteExpiryTime, _ = time.Parse(time.RFC3339Nano, m.System.Expiry)
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
	if m.Input != "" {
		application = addText(application, schemaProperty, m.System.Schema)
		application = addText(application, creationTimeProperty, m.System.CreationTime)
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

func addText(m wire.Map, name, value string) wire.Map {
	if value == "" {
		return m
	}
	return m.Add(name, value)
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
			answer = wire.Rejected{Error: c.device.refuse("cloud-to-device settlement", err)}
		}
		_ = sent.Settle(answer) // a link that ended needs no answer
	}
	switch state.(type) {
	case wire.Released, wire.Modified:
		answer(p.hub().AbandonC2D(p.hubContext(), id, token))
	case wire.Rejected:
		answer(p.hub().RejectC2D(p.hubContext(), id, token))
	default:
		p.hub().CompleteC2DAsync(id, token, answer)
	}
}

// Closed implements amqp.Source: without any link left, what was not settled is
// available again, at once and with its old delivery count.
func (c *c2dSource) Closed(*amqp.Sender, []*amqp.Sent, error) {
	d := c.device
	d.mu.Lock()
	c.kind.links = slices.DeleteFunc(c.kind.links, func(other *c2dSource) bool { return other == c })
	if len(c.kind.links) == 0 {
		d.doLocked(func() { c.kind.enable(d.conn, false) })
	} else {
		d.doLocked(d.pumpC2D)
	}
	d.mu.Unlock()
	d.leave(c.link)
}
