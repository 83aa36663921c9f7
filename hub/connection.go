package hub

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// Client is what the hub asks of a connected device's front end. The hub calls
// it from any goroutine, some while it holds the device's lock: the methods
// must not block and must not call back into the hub. Disconnect may come
// before Connect has returned.
type Client interface {
	// DeliverMethod hands over a direct method call; the answer comes back
	// through Connection.AnswerMethod with the same RequestID. An error means
	// that the client cannot take it (it is gone): the call fails as not online.
	DeliverMethod(req iothub.MethodRequest) error
	// DeliverDesired hands over a change of the desired properties, in version
	// order. body is the JSON object with $version.
	DeliverDesired(version int64, body []byte)
	// C2DWaiting says that ReceiveC2D or ReceiveInput may have something. It may be
	// called without need and is not called again until that one found nothing.
	C2DWaiting()
	// Disconnect ends the connection: evicted by a newer one
	// (ConnectionForcefullyClosedOnNewConnection), device disabled or deleted,
	// token expired, hub closing. The front end then calls Connection.Close.
	Disconnect(reason *iothub.Error)
}

// ConnectionOptions describe a new connection.
type ConnectionOptions struct {
	Grant iothub.Grant
	// Protocol is "mqtt", "mqtt-ws", "amqp" or "amqp-ws", for logs and admin.
	// It also rules the locks of cloud-to-device messages: on MQTT, which cannot
	// settle twice, they last as long as the connection; else iothub.C2DLock.
	Protocol string
	// RemoteAddr is the peer's address, for logs and admin.
	RemoteAddr string
	// ModelID is the announced digital twin model, or "".
	ModelID string
}

// locksLast reports whether locks last as long as the connection.
func (o *ConnectionOptions) locksLast() bool { return strings.HasPrefix(o.Protocol, "mqtt") }

// Connection is the live attachment of one identity. Its methods are safe for
// concurrent use. After Close, sends are refused with DeviceConnectionClosedRemotely.
type Connection struct {
	h        *Hub
	p        *peer
	client   Client
	o        ConnectionOptions
	identity iothub.Identity
	grant    atomic.Pointer[iothub.Grant]
	modelID  atomic.Pointer[string]
	closed   atomic.Bool
	// edge is the edge device whose routes rule what the client sends, "" for none; set
	// before Connect returns.
	edge string
	// delays keeps what fault rules delay in order.
	delays delayLine
	// late is a cloud-to-device message that a fault rule holds back; nil for none.
	late atomic.Pointer[lateDelivery]
	// lapsed says that the connection was ended because its token expired.
	lapsed atomic.Bool

	// Guarded by p.mu.
	methods, desired, c2d, inputs bool
	// signalled: C2DWaiting was called and ReceiveC2D has not come up empty since;
	// inputsSignalled is the same of ReceiveInput.
	signalled, inputsSignalled bool
}

// Connect attaches id after AuthenticateDevice allowed it. The identity's older
// connection, if any, is told to Disconnect first and its locked messages
// are available again: the newcomer evicts. Methods, desired changes and C2D
// start disabled. Errors are those of AuthenticateDevice, and the refusals of a
// fault in effect: ConnectionRejectedOnFaultInjection and those of Invoke faults.
func (h *Hub) Connect(ctx context.Context, id iothub.ID, o ConnectionOptions, client Client) (*Connection, error) {
	if !h.enter() {
		return nil, errClosing()
	}
	defer h.leave()
	if err := h.Throttle(ctx, iothub.ThrottleConnect, 1); err != nil {
		return nil, err
	}
	if err := h.refuseConnect(id); err != nil {
		return nil, err
	}
	if _, err := h.obey(ctx, FaultOnConnect, o.Protocol, id, client); err != nil {
		return nil, err
	}
	c := &Connection{h: h, p: h.acquire(id), client: client, o: o}
	c.grant.Store(&o.Grant)
	c.modelID.Store(&o.ModelID)
	old, calls, err := c.attach(ctx)
	if err != nil {
		h.release(c.p)
		return nil, err
	}
	if old != nil {
		h.detached(old, calls, errTakenOver())
		old.client.Disconnect(errTakenOver())
	}
	// The identity may have been disabled or deleted since attach looked: then
	// whoever did it found no connection to end.
	if _, err := h.o.Registry.Admit(ctx, id, *c.grant.Load()); err != nil {
		c.Close()
		return nil, err
	}
	h.o.Logger.Debug("connected", "device", id, "conn", o.RemoteAddr, "protocol", o.Protocol)
	return c, nil
}

func errTakenOver() *iothub.Error {
	return iothub.NewError(iothub.CodeConnectionForcefullyClosedOnNewConnection,
		"The connection was closed because the same identity opened a new one.")
}

func errConnectionClosed() *iothub.Error {
	return iothub.NewError(iothub.CodeDeviceConnectionClosedRemotely, "The device's connection was closed.")
}

// attach puts c in the place of the identity's connection, which it returns
// with the method calls that waited for it.
func (c *Connection) attach(ctx context.Context) (old *Connection, calls []*call, err error) {
	h, p := c.h, c.p
	p.io.Lock()
	defer p.io.Unlock()
	if c.identity, err = h.o.Registry.Admit(ctx, p.id, c.o.Grant); err != nil {
		return nil, nil, err
	}
	c.edge = edgeOf(&c.identity)
	if c.o.ModelID != "" {
		if err := h.o.Registry.SetModelID(ctx, p.id, c.o.ModelID); err != nil {
			return nil, nil, err
		}
	}
	if err := h.load(ctx, p, c.identity.GenerationID); err != nil {
		return nil, nil, err
	}
	now := h.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if old = p.conn; old != nil {
		calls = p.detachLocked(now, errTakenOver())
	}
	h.tellConnection(opConnected, p.id, now)
	h.noteConnection(EventConnected, c, now, nil)
	p.conn, p.stateUpdated = c, now
	p.touch(now)
	if !p.id.IsModule() {
		h.connected.Add(1)
	}
	p.scheduleLocked()
	return old, calls, nil
}

// detachLocked takes the connection off the peer, for a reason, and returns the calls
// that waited for it. Its caller calls Hub.detached once it has left p.mu.
func (p *peer) detachLocked(now time.Time, why *iothub.Error) []*call {
	c := p.conn
	c.closed.Store(true)
	c.methods, c.desired, c.c2d, c.inputs = false, false, false, false
	p.conn, p.stateUpdated, p.lastUse = nil, now, now
	p.queue.releaseHolder(c)
	p.inputs.releaseHolder(c)
	calls := make([]*call, 0, len(p.pending))
	for _, call := range p.pending {
		calls = append(calls, call)
	}
	p.pending = nil
	p.scheduleLocked()
	c.h.tellConnection(opDisconnected, p.id, now)
	c.h.noteConnection(EventDisconnected, c, now, why)
	return calls
}

// detached does what follows detachLocked outside the lock.
func (h *Hub) detached(c *Connection, calls []*call, why *iothub.Error) {
	for _, call := range calls {
		call.result <- callResult{err: why}
	}
	if !c.p.id.IsModule() {
		h.connected.Add(-1)
	}
	h.o.Logger.Debug("disconnected", "device", c.p.id, "conn", c.o.RemoteAddr, "code", why.Code)
	h.release(c.p)
}

// disconnect ends the connection of p, if it has one.
func (h *Hub) disconnect(p *peer, reason *iothub.Error) { h.disconnectIf(p, nil, reason) }

// disconnectIf ends the connection of p if it is c, or whatever it is when c is nil.
func (h *Hub) disconnectIf(p *peer, c *Connection, reason *iothub.Error) {
	p.mu.Lock()
	current := p.conn
	if current == nil || c != nil && c != current {
		p.mu.Unlock()
		return
	}
	calls := p.detachLocked(h.now(), reason)
	p.mu.Unlock()
	h.detached(current, calls, errConnectionClosed())
	current.client.Disconnect(reason)
}

// ID returns the identity.
func (c *Connection) ID() iothub.ID { return c.p.id }

// Close ends the connection for the hub; idempotent. Messages it had locked are
// available again (their delivery count stays); pending methods fail.
func (c *Connection) Close() { c.CloseBecause(nil) }

// CloseBecause is Close with a reason, for those who look at what happened; nil is that the client left.
func (c *Connection) CloseBecause(reason error) {
	why := errConnectionClosed()
	if e := (*iothub.Error)(nil); errors.As(reason, &e) {
		why = e
	} else if reason != nil {
		why = iothub.NewError(why.Code, "%s", reason)
	}
	p := c.p
	p.mu.Lock()
	if p.conn != c {
		p.mu.Unlock()
		return
	}
	calls := p.detachLocked(c.h.now(), why)
	p.mu.Unlock()
	c.h.detached(c, calls, errConnectionClosed())
}

// SetModelID announces the digital twin model after the connection was made: on
// AMQP it comes with a link that need not be the first one. "" changes nothing.
func (c *Connection) SetModelID(ctx context.Context, modelID string) error {
	if modelID == "" || modelID == *c.modelID.Load() {
		return nil
	}
	if err := c.h.o.Registry.SetModelID(ctx, c.p.id, modelID); err != nil {
		return err
	}
	c.modelID.Store(&modelID)
	return nil
}

// Renew replaces the grant in place (AMQP put-token).
func (c *Connection) Renew(g iothub.Grant) {
	c.grant.Store(&g)
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.scheduleLocked()
}

// endLocked returns when the connection ends for its token, grace included; zero
// for a certificate.
func (c *Connection) endLocked() time.Time {
	expiry := c.grantLocked().Expiry
	if !expiry.IsZero() {
		expiry = expiry.Add(c.h.o.TokenGrace)
	}
	return expiry
}

// grantLocked returns the grant; Renew changes it only together with the schedule.
func (c *Connection) grantLocked() *iothub.Grant { return c.grant.Load() }

// EnableMethods says whether the client takes direct methods now. Callers that
// wait for the device to come online are woken.
func (c *Connection) EnableMethods(on bool) {
	p := c.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != c {
		return
	}
	c.methods = on
	if on && p.online != nil {
		close(p.online)
		p.online = nil
	}
}

// EnableDesired says whether the client takes desired property changes now.
func (c *Connection) EnableDesired(on bool) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.desired = on && c.p.conn == c
}

// EnableC2D says whether the client takes cloud-to-device messages now; turning
// it on calls C2DWaiting when some wait. Turning it off gives back what the
// client had locked, unless locks last as long as the connection.
func (c *Connection) EnableC2D(on bool) { c.enable(on, &c.p.queue, &c.c2d, &c.signalled) }

// enable says whether the client takes the messages of one of the peer's queues.
func (c *Connection) enable(on bool, queue *c2dQueue, enabled, signalled *bool) {
	p := c.p
	p.mu.Lock()
	var waiting Client
	if p.conn == c {
		*enabled, *signalled = on, false
		if !on && !c.o.locksLast() {
			queue.releaseHolder(c)
		}
		waiting = p.wakeLocked()
		p.scheduleLocked()
	}
	p.mu.Unlock()
	wake(waiting)
}

// wakeLocked returns the client that must hear of waiting messages, or nil. Its
// caller passes that to wake once it has left p.mu.
func (p *peer) wakeLocked() Client {
	c := p.conn
	if c == nil {
		return nil
	}
	woken := false
	if c.c2d && !c.signalled && p.queue.next() != nil {
		c.signalled, woken = true, true
	}
	if c.inputs && !c.inputsSignalled && p.inputs.next() != nil {
		c.inputsSignalled, woken = true, true
	}
	if woken {
		return c.client
	}
	return nil
}

func wake(c Client) {
	if c != nil {
		c.C2DWaiting()
	}
}

// MQTTSession returns the stored subscriptions of the identity; nil means no
// stored session.
func (c *Connection) MQTTSession(ctx context.Context) (map[string]byte, error) {
	return c.h.o.Registry.MQTTSession(ctx, c.p.id)
}

// SetMQTTSession stores the subscriptions durably; nil ends the session.
func (c *Connection) SetMQTTSession(ctx context.Context, subscriptions map[string]byte) error {
	return c.h.o.Registry.SetMQTTSession(ctx, c.p.id, subscriptions)
}
