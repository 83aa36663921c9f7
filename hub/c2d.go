package hub

import (
	"context"
	"errors"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// MaxC2DTTL is the longest time to live of a cloud-to-device message.
// Source: IoT Hub devguide, cloud-to-device messages (expiration).
const MaxC2DTTL = 48 * time.Hour

// Delivery is a locked cloud-to-device message. The lock lasts iothub.C2DLock,
// or, for a connection's delivery, as long as the connection if that is
// shorter. On MQTT it lasts as long as the connection.
type Delivery struct {
	Message iothub.C2DMessage
	// LockToken is a lower-case UUID.
	LockToken string
}

func errLockLost() *iothub.Error {
	return iothub.NewError(iothub.CodeDeviceMessageLockLost, "The lock on the message is unknown or over.")
}

// SendC2D enqueues a message for m.ID durably. The caller sets ID, System,
// Properties, Body, Ack and, if the sender gave one, ExpiryTime; the hub sets
// the rest. Messages of one identity have the order of the calls; concurrent
// calls have some order.
// Errors: DeviceNotFound, ModuleNotFound, DeviceMaximumQueueDepthExceeded,
// MessageTooLarge, InvalidMessageExpiryTime, ArgumentInvalid.
func (h *Hub) SendC2D(ctx context.Context, m iothub.C2DMessage) (iothub.C2DMessage, error) {
	return h.sendC2D(ctx, m, func(uint64) {})
}

// sendC2D is SendC2D with a call before anybody can receive the message.
func (h *Hub) sendC2D(ctx context.Context, m iothub.C2DMessage, stored func(number uint64)) (iothub.C2DMessage, error) {
	if !h.enter() {
		return iothub.C2DMessage{}, errClosing()
	}
	defer h.leave()
	if err := checkC2D(&m); err != nil {
		return iothub.C2DMessage{}, err
	}
	if err := h.admit(ctx, iothub.ThrottleC2DSend, 1, iothub.MessageSize(&m.System, m.Properties, m.Body)); err != nil {
		return iothub.C2DMessage{}, err
	}
	p := h.acquire(m.ID)
	defer h.release(p)
	p.io.Lock()
	defer p.io.Unlock()
	identity, err := h.registered(ctx, m.ID)
	if err != nil {
		return iothub.C2DMessage{}, err
	}
	if err := h.load(ctx, p, identity.GenerationID); err != nil {
		return iothub.C2DMessage{}, err
	}
	now := h.now()
	if err := h.checkExpiry(&m, now); err != nil {
		return iothub.C2DMessage{}, err
	}
	m.Input = ""
	m.EnqueuedTime, m.GenerationID, m.DeliveryCount = now, identity.GenerationID, 0
	if err := h.enqueue(ctx, p, &m, now, iothub.MaxC2DQueue, stored); err != nil {
		return iothub.C2DMessage{}, err
	}
	return m, nil
}

// enqueue puts a message into its queue, which holds up to limit, durably. The caller
// holds p.io and has loaded p.
func (h *Hub) enqueue(ctx context.Context, p *peer, m *iothub.C2DMessage, now time.Time, limit int, stored func(number uint64)) error {
	p.mu.Lock()
	queue := p.queueOf(m)
	expired := queue.refresh(now)
	depth := queue.waiting()
	p.mu.Unlock()
	h.endAll(p, expired, iothub.OutcomeExpired, now)
	if depth >= limit {
		return iothub.NewError(iothub.CodeDeviceMaximumQueueDepthExceeded, "%d messages wait for %q already.", depth, m.ID)
	}
	if err := h.storeC2D(ctx, p, m); errors.Is(err, store.ErrNotFound) {
		// Deleted with its device meanwhile.
		return iothub.NewError(iothub.CodeDeviceNotFound, "The device %q is not registered.", m.ID).WithCause(err)
	} else if err != nil {
		return err
	}
	stored(m.SequenceNumber)
	p.mu.Lock()
	queue.insert(m.SequenceNumber, *m)
	p.lastUse = now
	waiting := p.wakeLocked()
	p.scheduleLocked()
	p.mu.Unlock()
	wake(waiting)
	return nil
}

// checkC2D checks what does not depend on the receiver and fills in the ack.
func checkC2D(m *iothub.C2DMessage) error {
	ack, err := iothub.ParseAck(string(m.Ack))
	if err != nil {
		return err
	}
	m.Ack = ack
	if err := iothub.ValidateMessageID(m.System.MessageID); err != nil {
		return err
	}
	if n := iothub.MessageSize(&m.System, m.Properties, m.Body); n > iothub.MaxC2DSize {
		return iothub.NewError(iothub.CodeMessageTooLarge,
			"The message has %d bytes; the limit is %d.", n, iothub.MaxC2DSize)
	}
	return nil
}

// checkExpiry checks the sender's expiry time or fills in the hub's default.
func (h *Hub) checkExpiry(m *iothub.C2DMessage, now time.Time) error {
	switch {
	case m.ExpiryTime.IsZero():
		m.ExpiryTime = now.Add(h.o.C2D.DefaultTTL)
	case !m.ExpiryTime.After(now):
		return iothub.NewError(iothub.CodeInvalidMessageExpiryTime, "The expiry time %s is in the past.",
			iothub.FormatTime(m.ExpiryTime))
	case m.ExpiryTime.After(now.Add(MaxC2DTTL)):
		return iothub.NewError(iothub.CodeInvalidMessageExpiryTime, "The expiry time %s is more than %s away.",
			iothub.FormatTime(m.ExpiryTime), MaxC2DTTL)
	}
	return nil
}

// ReceiveC2D locks and returns the next waiting message of id for a receiver
// without a connection (HTTPS); false when there is none.
func (h *Hub) ReceiveC2D(ctx context.Context, id iothub.ID) (Delivery, bool, error) {
	if !h.enter() {
		return Delivery{}, false, errClosing()
	}
	defer h.leave()
	p := h.acquire(id)
	defer h.release(p)
	if err := h.loadExisting(ctx, p); err != nil {
		return Delivery{}, false, err
	}
	now := h.now()
	p.mu.Lock()
	p.lastUse = now
	d, ok, expired := p.receiveLocked(&p.queue, nil, now, now.Add(iothub.C2DLock))
	if ok {
		p.touch(now)
		h.noteC2D(EventDelivered, d.Message, nil, "")
	}
	p.mu.Unlock()
	h.endAll(p, expired, iothub.OutcomeExpired, now)
	if ok && h.rules.list.Load() != nil {
		return h.faultReceive(ctx, p, d)
	}
	return d, ok, nil
}

// ReceiveC2D locks and returns the next waiting message for this connection;
// false when there is none now. It does not wait.
func (c *Connection) ReceiveC2D() (Delivery, bool) {
	if c.h.rules.list.Load() == nil && c.late.Load() == nil {
		return c.receive(&c.p.queue, &c.c2d, &c.signalled)
	}
	return c.receiveWithFaults()
}

// receive receives from one of the peer's queues, if the client takes its messages.
func (c *Connection) receive(queue *c2dQueue, on, signalled *bool) (Delivery, bool) {
	if !c.h.enter() {
		return Delivery{}, false
	}
	defer c.h.leave()
	p, now := c.p, c.h.now()
	p.mu.Lock()
	if p.conn != c || !*on {
		p.mu.Unlock()
		return Delivery{}, false
	}
	var until time.Time
	if !c.o.locksLast() {
		until = now.Add(iothub.C2DLock)
	}
	d, ok, expired := p.receiveLocked(queue, c, now, until)
	if ok {
		p.touch(now)
		c.h.noteC2D(EventDelivered, d.Message, c, "")
	} else {
		*signalled = false
	}
	p.mu.Unlock()
	c.h.endSoon(p, expired, iothub.OutcomeExpired, now)
	return d, ok
}

// receiveLocked locks the next message; its caller stores the outcome of the
// expired ones once it has left p.mu.
func (p *peer) receiveLocked(queue *c2dQueue, c *Connection, now, until time.Time) (d Delivery, ok bool, expired []*c2dEntry) {
	expired = queue.refresh(now)
	if e := queue.next(); e != nil {
		d, ok = e.lock(c, until), true
	}
	p.scheduleLocked()
	return d, ok, expired
}

// CompleteC2D ends a locked message with success. DeviceMessageLockLost when
// the lock is unknown or over.
func (h *Hub) CompleteC2D(ctx context.Context, id iothub.ID, lockToken string) error {
	return wait(ctx, func(done func(error)) { h.settle(id, lockToken, iothub.OutcomeSuccess, done) })
}

// CompleteC2DAsync is CompleteC2D for protocol callbacks: done (may be nil)
// runs when the completion is durable or refused, and must not block.
func (h *Hub) CompleteC2DAsync(id iothub.ID, lockToken string, done func(error)) {
	if done == nil {
		done = func(error) {}
	}
	h.settle(id, lockToken, iothub.OutcomeSuccess, done)
}

// RejectC2D dead-letters a locked message.
func (h *Hub) RejectC2D(ctx context.Context, id iothub.ID, lockToken string) error {
	return wait(ctx, func(done func(error)) { h.settle(id, lockToken, iothub.OutcomeRejected, done) })
}

// wait turns an operation with a callback into one that returns.
func wait(ctx context.Context, start func(done func(error))) error {
	result := make(chan error, 1)
	start(func(err error) { result <- err })
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settle ends a locked message with the outcome that its receiver chose.
func (h *Hub) settle(id iothub.ID, lockToken string, o iothub.Outcome, done func(error)) {
	if !h.enter() {
		done(errClosing())
		return
	}
	defer h.leave()
	p := h.find(id)
	if p == nil {
		done(errLockLost())
		return
	}
	defer h.release(p)
	now := h.now()
	p.mu.Lock()
	e := p.heldLocked(lockToken, now)
	if e == nil {
		p.mu.Unlock()
		done(errLockLost())
		return
	}
	e.unlock()
	e.state = c2dEnding
	p.touch(now)
	p.scheduleLocked()
	p.mu.Unlock()
	h.end(p, e, o, now, done)
}

// AbandonC2D gives a locked message back at its old place and raises its
// delivery count; at the hub's maximum it is dead-lettered.
func (h *Hub) AbandonC2D(ctx context.Context, id iothub.ID, lockToken string) error {
	if !h.enter() {
		return errClosing()
	}
	defer h.leave()
	p := h.find(id)
	if p == nil {
		return errLockLost()
	}
	defer h.release(p)
	now := h.now()
	p.mu.Lock()
	e := p.heldLocked(lockToken, now)
	if e == nil {
		p.mu.Unlock()
		return errLockLost()
	}
	m := e.m
	m.DeliveryCount++
	e.unlock()
	e.state = c2dReturning
	if m.Input == "" && m.DeliveryCount >= h.o.C2D.MaxDeliveryCount {
		e.state = c2dEnding
	}
	p.touch(now)
	p.mu.Unlock()
	if e.state == c2dEnding {
		return wait(ctx, func(done func(error)) { h.end(p, e, iothub.OutcomeDeliveryCountExceeded, now, done) })
	}
	// The count is stored whether or not the caller is still there.
	err := h.o.Queues.Replace(context.WithoutCancel(ctx), queueName(&m), e.number, iothub.AppendC2D(nil, &m))
	p.mu.Lock()
	e.unlock()
	switch {
	case err == nil:
		e.m.DeliveryCount = m.DeliveryCount
		h.noteC2D(EventAbandoned, e.m, nil, "")
	case errors.Is(err, store.ErrNotFound):
		p.queueOf(&e.m).remove(e)
		err = errLockLost()
	}
	waiting := p.wakeLocked()
	p.scheduleLocked()
	p.mu.Unlock()
	wake(waiting)
	return err
}

// PurgeC2D removes all waiting messages of id (locked ones too) and returns
// their number. Messages that ask for negative feedback get Purged.
func (h *Hub) PurgeC2D(ctx context.Context, id iothub.ID) (int, error) {
	if !h.enter() {
		return 0, errClosing()
	}
	defer h.leave()
	p := h.acquire(id)
	defer h.release(p)
	if err := h.loadExisting(ctx, p); err != nil {
		return 0, err
	}
	now := h.now()
	p.mu.Lock()
	expired := p.queue.refresh(now)
	purged := p.queue.takeAll()
	p.scheduleLocked()
	p.mu.Unlock()
	h.endAll(p, expired, iothub.OutcomeExpired, now)
	return len(purged), h.endAndWait(p, purged, iothub.OutcomePurged, now)
}
