package hub

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// What a front end does that gets one of these as an error: it says nothing.
var (
	// ErrUnanswered ends the exchange without an answer; on HTTPS with the connection.
	ErrUnanswered = errors.New("hub: a fault rule leaves this unanswered")
	// ErrSilent leaves an HTTPS request open.
	ErrSilent = errors.New("hub: a fault rule leaves this connection half open")
)

// SilentClient is a Client that can be left half open.
type SilentClient interface {
	Client
	// Silence leaves the socket open; nothing is sent on it or taken from it any more. It does not wait.
	Silence()
}

// Socket is a connection that is no device's: a back end's, or one that is in its TLS handshake.
type Socket interface {
	// Reset ends it with a TCP reset. It does not wait.
	Reset(reason *iothub.Error)
	// Silence is that of SilentClient.
	Silence()
}

// delayLine keeps what is delayed in order among itself.
type delayLine struct {
	mu   sync.Mutex
	last chan struct{}
}

// fault returns the rule that hits an operation. Without rules it costs one atomic load.
func (h *Hub) fault(operation, protocol string, id iothub.ID) (faultEffect, bool) {
	if h.rules.list.Load() == nil {
		return faultEffect{}, false
	}
	for _, r := range h.rules.all() {
		if !r.about(operation, protocol, id.DeviceID) {
			continue
		}
		if delay, hit := r.take(id); hit {
			h.note(Activity{Kind: ActivityFault, Event: EventHit, ID: id, Protocol: protocol, Operation: operation, Rule: r.ID})
			h.o.Logger.Debug("a fault rule hits", "device", id, "rule", r.ID, "operation", operation, "action", string(r.Action))
			return faultEffect{r, delay}, true
		}
	}
	return faultEffect{}, false
}

// FaultHandshake applies the rules to a TLS handshake. The certificate to show is "" for the right one. An error ends the
// handshake: ErrUnanswered after the socket was dealt with, ctx's, ServiceUnavailable while closing.
func (h *Hub) FaultHandshake(ctx context.Context, protocol string, s Socket) (FaultCertificateKind, error) {
	e, hit := h.fault(FaultOnHandshake, protocol, iothub.ID{})
	if hit && e.rule.Action == FaultCertificate {
		return e.rule.Certificate, nil
	}
	_, err := h.carryOut(ctx, e, hit, s)
	return "", err
}

func (e *faultEffect) refusal() *iothub.Error {
	return iothub.NewError(e.rule.Code, "Refused by the fault rule %s.", e.rule.ID)
}

// FaultRequest applies the rules to a request over HTTPS. A nil error lets it pass. Errors:
// that of a rule, ErrUnanswered, ErrSilent, ctx's, ServiceUnavailable while closing.
func (h *Hub) FaultRequest(ctx context.Context, operation string, id iothub.ID) error {
	if ctx.Value(exemption{}) != nil {
		return nil
	}
	_, err := h.obey(ctx, operation, "https", id, nil)
	return err
}

// FaultC2DSend applies the rules to a message of a back end. times says how often it shall be stored: never, if a rule loses
// what it acknowledges. Errors: that of a rule, ErrUnanswered for no answer at all, ctx's, ServiceUnavailable while closing.
func (h *Hub) FaultC2DSend(ctx context.Context, protocol string, id iothub.ID, s Socket) (times int, err error) {
	e, hit := h.fault(FaultOnC2DSend, protocol, id)
	if hit && e.rule.Acknowledge {
		return 0, nil
	}
	twice, err := h.carryOut(ctx, e, hit, s)
	switch {
	case err != nil:
		return 0, err
	case twice:
		return 2, nil
	}
	return 1, nil
}

// FaultEvents applies the rules to events that a back end is about to get. A nil error lets them pass. Errors: that of a rule, with
// which the link ends; ErrUnanswered when the connection has been dealt with; ctx's, ServiceUnavailable while closing.
// Without rules it costs one atomic load.
func (h *Hub) FaultEvents(ctx context.Context, protocol string, s Socket) error {
	e, hit := h.fault(FaultOnEvents, protocol, iothub.ID{})
	if !hit {
		return nil
	}
	_, err := h.carryOut(ctx, e, hit, s)
	return err
}

// ServiceFault is what a rule does to a message that a back end is about to get.
type ServiceFault struct {
	// Delay, Twice and Lost say that it goes out later, twice or not at all.
	Delay       time.Duration
	Twice, Lost bool
	// Err ends the link; ErrUnanswered says that the connection has been dealt with.
	Err error
}

// Fault applies the rules to a message of the queue that a back end is about to get. It does not wait.
func (q *ServiceQueue) Fault(protocol string, s Socket) ServiceFault {
	operation := FaultOnFeedback
	if q == q.h.FileNotifications() {
		operation = FaultOnFileNotification
	}
	e, hit := q.h.fault(operation, protocol, iothub.ID{})
	if !hit {
		return ServiceFault{}
	}
	switch e.rule.Action {
	case FaultDrop:
		return ServiceFault{Lost: true}
	case FaultDelay:
		return ServiceFault{Delay: e.delay}
	case FaultDuplicate:
		return ServiceFault{Twice: true}
	case FaultRefuse:
		return ServiceFault{Err: e.refusal()}
	}
	e.cut(s)
	return ServiceFault{Err: ErrUnanswered}
}

// exemption marks the context of a request that no fault rule is about.
type exemption struct{}

// WithoutFaults exempts a request from FaultRequest: one that the management API makes for its own pages. What the request does to
// a device is not exempt.
func WithoutFaults(ctx context.Context) context.Context {
	return context.WithValue(ctx, exemption{}, true)
}

// obey applies the rules to an operation of a device that can wait. client is the device's, if it has a connection. twice says that
// it shall be done twice.
func (h *Hub) obey(ctx context.Context, operation, protocol string, id iothub.ID, client Client) (twice bool, err error) {
	e, hit := h.fault(operation, protocol, id)
	if !hit {
		return false, nil
	}
	var s Socket
	if client != nil {
		s = clientSocket{client}
	}
	return h.carryOut(ctx, e, hit, s)
}

// carryOut does what a rule that hit says to an operation that can wait; s is nil for a request over HTTPS.
func (h *Hub) carryOut(ctx context.Context, e faultEffect, hit bool, s Socket) (twice bool, err error) {
	if !hit {
		return false, nil
	}
	switch e.rule.Action {
	case FaultDelay:
		return false, h.pause(ctx, e.delay)
	case FaultDuplicate:
		return true, nil
	case FaultRefuse, FaultThrottle:
		return false, e.refusal()
	case FaultHalfOpen:
		if s == nil {
			return false, ErrSilent
		}
	}
	e.cut(s)
	return false, ErrUnanswered
}

// clientSocket is the socket of a device.
type clientSocket struct{ client Client }

func (c clientSocket) Reset(reason *iothub.Error) {
	if f, ok := c.client.(FaultClient); ok {
		f.InjectFault(iothub.Fault{Type: iothub.FaultKillTCP, CloseReason: reason.Message}, reason)
	} else {
		c.client.Disconnect(reason)
	}
}

func (c clientSocket) Silence() {
	if s, ok := c.client.(SilentClient); ok {
		s.Silence()
	}
}

// end is cut for a device; client may be nil.
func (e *faultEffect) end(client Client) {
	if client != nil {
		e.cut(clientSocket{client})
	}
}

// cut does to a connection what the rule says, if that is to end it; s may be nil.
func (e *faultEffect) cut(s Socket) {
	switch {
	case s == nil:
	case e.rule.Action == FaultHalfOpen:
		s.Silence()
	case e.rule.Action == FaultDisconnect:
		s.Reset(iothub.NewError(iothub.CodeConnectionForcefullyClosedOnFaultInjection, "Closed by the fault rule %s.", e.rule.ID))
	}
}

// pause waits in real time.
func (h *Hub) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-h.closing:
		return errClosing()
	}
}

// later runs do after a delay, in order among what is delayed on this line. The hub waits for it when it closes; do gets its error then.
func (h *Hub) later(line *delayLine, d time.Duration, do func(error)) {
	if !h.enter() {
		do(errClosing())
		return
	}
	mine := make(chan struct{})
	line.mu.Lock()
	before := line.last
	line.last = mine
	line.mu.Unlock()
	go func() {
		defer h.leave()
		defer close(mine)
		err := h.pause(context.Background(), d)
		if before != nil {
			<-before
		}
		do(err)
	}()
}

// faultTelemetry applies the rules to a message. It reports whether the message is dealt with.
func (c *Connection) faultTelemetry(ctx context.Context, t iothub.Telemetry, done func(error)) bool {
	e, hit := c.h.fault(FaultOnTelemetry, c.o.Protocol, c.p.id)
	if !hit {
		return false
	}
	switch e.rule.Action {
	case FaultDelay:
		t.Body, t.Properties = bytes.Clone(t.Body), slices.Clone(t.Properties) // they are the caller's again in a moment
		c.h.later(&c.delays, e.delay, func(err error) {
			if err == nil && c.closed.Load() {
				err = errConnectionClosed()
			}
			if err != nil {
				done(err)
				return
			}
			c.pass(ctx, t, done)
		})
	case FaultDuplicate:
		c.pass(ctx, t, func(error) {})
		c.pass(ctx, t, done)
	case FaultRefuse, FaultThrottle:
		done(e.refusal())
	default:
		e.end(c.client)
		if e.rule.Acknowledge {
			done(nil)
		} else {
			done(ErrFaultTaken)
		}
	}
	return true
}

// faultDesired applies the rules to a notification. It reports whether that is dealt with.
func (c *Connection) faultDesired(version int64, body []byte) bool {
	e, hit := c.h.fault(FaultOnTwinDesired, c.o.Protocol, c.p.id)
	if !hit {
		return false
	}
	switch e.rule.Action {
	case FaultDelay:
		c.h.later(&c.delays, e.delay, func(err error) {
			if err == nil {
				c.client.DeliverDesired(version, body)
			}
		})
	case FaultDuplicate:
		c.client.DeliverDesired(version, body)
		return false
	default:
		e.end(c.client)
	}
	return true
}
