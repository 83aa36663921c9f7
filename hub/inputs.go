package hub

import (
	"context"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

const (
	// maxInputQueue is how many messages may wait at the inputs of one module; ours.
	maxInputQueue = 10_000
	// maxArrivingInputs is how many messages of all modules may be on their way into such
	// queues; their senders wait then.
	maxArrivingInputs = 1024
)

// inputQueueName is the store's queue of the messages at the inputs of a module. It
// is the hub's own, and forgetInputs clears it when the module goes.
func inputQueueName(id iothub.ID) string { return "/inputs/" + id.String() }

// queueName returns the name of the store's queue that a message is in.
func queueName(m *iothub.C2DMessage) string {
	if m.Input != "" {
		return inputQueueName(m.ID)
	}
	return store.QueueName(m.ID)
}

// queueOf returns the queue that a message is in.
func (p *peer) queueOf(m *iothub.C2DMessage) *c2dQueue {
	if m.Input != "" {
		return &p.inputs
	}
	return &p.queue
}

// inputArrivals are messages on their way into one module's queue, in order.
type inputArrivals struct {
	waiting []inputArrival
	running bool
}

type inputArrival struct {
	message iothub.C2DMessage
	done    func(error)
}

// putInput stores a message at an input of its module. done runs once, when it is
// durable, refused or dropped; putInput itself waits for its turn only. Messages of
// one sender keep their order.
func (h *Hub) putInput(ctx context.Context, m iothub.C2DMessage, done func(error)) {
	select {
	case h.edges.arriving <- struct{}{}:
	case <-ctx.Done():
		done(ctx.Err())
		return
	case <-h.closing:
		done(errClosing())
		return
	}
	if !h.enter() {
		<-h.edges.arriving
		done(errClosing())
		return
	}
	p := h.acquire(m.ID)
	arrival := inputArrival{m, func(err error) {
		h.release(p)
		<-h.edges.arriving
		done(err)
		h.leave()
	}}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.arrivals.waiting = append(p.arrivals.waiting, arrival)
	if !p.arrivals.running {
		p.arrivals.running = true
		h.hold(p)
		go h.storeInputs(p)
	}
}

// storeInputs stores what arrives for one module, as long as something does. Its caller
// has given it a use of p.
func (h *Hub) storeInputs(p *peer) {
	defer h.release(p)
	for {
		p.mu.Lock()
		batch := p.arrivals.waiting
		p.arrivals.waiting = nil
		p.arrivals.running = len(batch) > 0
		p.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for i := range batch {
			batch[i].done(h.storeInput(p, &batch[i].message))
		}
	}
}

// storeInput stores one message. What is for a module that does not exist is dropped.
func (h *Hub) storeInput(p *peer, m *iothub.C2DMessage) error {
	ctx := context.Background()
	p.io.Lock()
	defer p.io.Unlock()
	identity, err := h.registered(ctx, p.id)
	if iothub.ErrorCode(err).HTTPStatus() == 404 {
		h.o.Logger.Warn("a route of the edge device leads to a module that does not exist; the message is dropped",
			"device", p.id, "input", m.Input)
		return nil
	}
	if err == nil {
		err = h.load(ctx, p, identity.GenerationID)
	}
	if err != nil {
		return err
	}
	m.GenerationID = identity.GenerationID
	return h.enqueue(ctx, p, m, m.EnqueuedTime, maxInputQueue, func(uint64) {})
}

// EnableInputs says whether the client takes messages at the module's inputs now, as
// EnableC2D does of cloud-to-device messages.
func (c *Connection) EnableInputs(on bool) {
	c.enable(on, &c.p.inputs, &c.inputs, &c.inputsSignalled)
}

// ReceiveInput locks and returns the next message at the module's inputs for this
// connection; false when there is none now. Its Message names the Input and the sender;
// CompleteC2D, RejectC2D, which drops it, and AbandonC2D, as often as one likes, settle it. The rules of locks
// are those of ReceiveC2D. It does not wait.
// Source: IoT Edge, deploy modules and establish routes (at-least-once delivery).
func (c *Connection) ReceiveInput() (Delivery, bool) {
	return c.receive(&c.p.inputs, &c.inputs, &c.inputsSignalled)
}

// forgetInputs removes the messages at the inputs of a module that is gone.
func (h *Hub) forgetInputs(p *peer) {
	if !p.id.IsModule() {
		return
	}
	ctx, name := context.Background(), inputQueueName(p.id)
	entries, err := h.o.Queues.Load(ctx, name)
	numbers := make([]uint64, len(entries))
	for i := range entries {
		numbers[i] = entries[i].Number
	}
	if err == nil && len(numbers) > 0 {
		err = h.o.Queues.Remove(ctx, name, numbers...)
	}
	if err != nil {
		h.o.Logger.Error("the messages at the inputs of a deleted module were not removed", "device", p.id, "err", err)
	}
}
