package hub

import (
	"context"
	"sync/atomic"
	"time"
)

// lateDelivery is a locked message that a fault rule holds back.
type lateDelivery struct {
	Delivery
	// due says that its time has come.
	due atomic.Bool
}

// receiveWithFaults is ReceiveC2D where there are fault rules. What is held back holds back what comes after it, so that the order
// stays; the client hears of C2DWaiting when its time has come.
func (c *Connection) receiveWithFaults() (Delivery, bool) {
	for {
		if late := c.late.Load(); late != nil {
			if !late.due.Load() {
				return Delivery{}, false
			}
			c.late.Store(nil)
			if c.p.holds(late.LockToken, c.h.now()) {
				return late.Delivery, true
			}
			continue // its lock ran out meanwhile, and it is in the queue again
		}
		d, ok := c.receive(&c.p.queue, &c.c2d, &c.signalled)
		if !ok || c.p.sparedDelivery(d.LockToken) {
			return d, ok
		}
		e, hit := c.h.fault(FaultOnC2D, c.o.Protocol, c.p.id)
		if !hit {
			return d, true
		}
		switch e.rule.Action {
		case FaultDelay:
			c.holdBack(d, e.delay)
			return Delivery{}, false
		case FaultDuplicate:
			c.p.repeatDelivery(d.LockToken)
			return d, true
		}
		e.end(c.client)
	}
}

// holdBack keeps a delivery for a while. It stays locked.
func (c *Connection) holdBack(d Delivery, delay time.Duration) {
	late := &lateDelivery{Delivery: d}
	c.late.Store(late)
	c.h.later(&delayLine{}, delay, func(err error) {
		late.due.Store(true)
		if err == nil && !c.closed.Load() {
			c.client.C2DWaiting()
		}
	})
}

// faultReceive applies the rules to a message that a receiver without a connection is about to get.
func (h *Hub) faultReceive(ctx context.Context, p *peer, d Delivery) (Delivery, bool, error) {
	if p.sparedDelivery(d.LockToken) {
		return d, true, nil
	}
	e, hit := h.fault(FaultOnC2D, "https", p.id)
	if !hit {
		return d, true, nil
	}
	twice, err := h.carryOut(ctx, e, hit, nil)
	if err != nil {
		return Delivery{}, false, err
	}
	if twice {
		p.repeatDelivery(d.LockToken)
	}
	return d, true, nil
}

// holds reports whether a lock still holds.
func (p *peer) holds(token string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heldLocked(token, now) != nil
}

// repeatDelivery lets a message that is on its way to the device be received once more: its lock is over, as if its time had run out.
func (p *peer) repeatDelivery(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.queue.entries {
		if e.state == c2dInvisible && e.token == token {
			e.unlock()
			e.spared = true
		}
	}
}

// sparedDelivery reports whether no rule is asked about a locked message, because one has repeated it.
func (p *peer) sparedDelivery(token string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.queue.entries {
		if e.token == token && e.spared {
			e.spared = false
			return true
		}
	}
	return false
}
