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
		if delay, hit := r.take(); hit {
			h.note(Activity{Kind: ActivityFault, Event: EventHit, ID: id, Protocol: protocol, Operation: operation, Rule: r.ID})
			h.o.Logger.Debug("a fault rule hits", "device", id, "rule", r.ID, "operation", operation, "action", string(r.Action))
			return faultEffect{r, delay}, true
		}
	}
	return faultEffect{}, false
}

// HandshakeFault reports whether a rule shows a bad certificate in a TLS handshake.
func (h *Hub) HandshakeFault(protocol string) bool {
	_, hit := h.fault(FaultOnHandshake, protocol, iothub.ID{})
	return hit
}

func (e *faultEffect) refusal() *iothub.Error {
	return iothub.NewError(e.rule.Code, "Refused by the fault rule %s.", e.rule.ID)
}

// FaultRequest applies the rules to a request that comes over a protocol and has no connection of a device. A nil error lets it pass. Errors:
// that of a rule, ErrUnanswered, ErrSilent, ctx's, ServiceUnavailable while closing.
func (h *Hub) FaultRequest(ctx context.Context, operation, protocol string, id iothub.ID) error {
	if ctx.Value(exemption{}) != nil {
		return nil
	}
	_, err := h.obey(ctx, operation, protocol, id, nil)
	return err
}

// exemption marks the context of a request that no fault rule is about.
type exemption struct{}

// WithoutFaults exempts a request from FaultRequest: one that the management API makes for its own pages. What the request does to
// a device is not exempt.
func WithoutFaults(ctx context.Context) context.Context {
	return context.WithValue(ctx, exemption{}, true)
}

// obey applies the rules to an operation that can wait. client is the device's, if it has a connection. twice says that it shall be done twice.
func (h *Hub) obey(ctx context.Context, operation, protocol string, id iothub.ID, client Client) (twice bool, err error) {
	e, hit := h.fault(operation, protocol, id)
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
		if client == nil {
			return false, ErrSilent
		}
	}
	e.end(client)
	return false, ErrUnanswered
}

// end does to a connection what the rule says, if that is to end it.
func (e *faultEffect) end(client Client) {
	reason := iothub.NewError(iothub.CodeConnectionForcefullyClosedOnFaultInjection, "Closed by the fault rule %s.", e.rule.ID)
	switch c, ok := client.(FaultClient); {
	case client == nil:
	case e.rule.Action == FaultHalfOpen:
		if s, ok := client.(SilentClient); ok {
			s.Silence()
		}
	case e.rule.Action == FaultDisconnect && ok:
		c.InjectFault(iothub.Fault{Type: iothub.FaultKillTCP, CloseReason: "fault rule " + e.rule.ID}, reason)
	case e.rule.Action == FaultDisconnect:
		client.Disconnect(reason)
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

// faultDelivery applies the rules to a message that the device is about to get. lost says that it does not.
func (h *Hub) faultDelivery(protocol string, id iothub.ID, client Client) (lost bool) {
	e, hit := h.fault(FaultOnC2D, protocol, id)
	if !hit {
		return false
	}
	e.end(client)
	return true
}
