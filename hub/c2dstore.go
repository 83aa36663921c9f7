package hub

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// markerQueue names the identities whose queues hold messages that want to be
// told of their expiry. A restarted hub reads it to know which queues to watch;
// all others can wait until somebody asks for them.
const markerQueue = "/c2d"

// load reads the queue of p if it is not in memory. Messages of an earlier
// identity with the same name are discarded. The caller holds p.io.
func (h *Hub) load(ctx context.Context, p *peer, generation string) error {
	p.mu.Lock()
	loaded := p.loaded
	p.mu.Unlock()
	if loaded {
		return nil
	}
	queue, err := h.loadQueue(ctx, p, store.QueueName(p.id), generation)
	if err != nil {
		return err
	}
	var inputs c2dQueue
	if p.id.IsModule() {
		if inputs, err = h.loadQueue(ctx, p, inputQueueName(p.id), generation); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue, p.inputs, p.loaded, p.nextExpiry, p.lastUse = queue, inputs, true, time.Time{}, h.now()
	p.scheduleLocked()
	return nil
}

// loadQueue reads one of the queues of p.
func (h *Hub) loadQueue(ctx context.Context, p *peer, name, generation string) (queue c2dQueue, err error) {
	entries, err := h.o.Queues.Load(ctx, name)
	if err != nil {
		return queue, err
	}
	var stale []uint64
	for _, e := range entries {
		m, err := iothub.DecodeC2D(e.Payload)
		switch {
		case err != nil:
			h.o.Logger.Error("a stored message cannot be read; it is passed over",
				"device", p.id, "number", e.Number, "err", err)
		case m.GenerationID != generation:
			stale = append(stale, e.Number)
		default:
			queue.insert(e.Number, m)
		}
	}
	if len(stale) > 0 {
		err = h.o.Queues.Remove(ctx, name, stale...)
	}
	return queue, err
}

// loadExisting checks that the identity exists and loads its queue.
func (h *Hub) loadExisting(ctx context.Context, p *peer) error {
	p.io.Lock()
	defer p.io.Unlock()
	identity, err := h.registered(ctx, p.id)
	if err != nil {
		if iothub.ErrorCode(err).HTTPStatus() == 404 {
			h.forget(p)
		}
		return err
	}
	return h.load(ctx, p, identity.GenerationID)
}

// unloadLocked drops the messages from memory; the store has them.
func (p *peer) unloadLocked() {
	p.nextExpiry = p.queue.nextDue()
	if due := p.inputs.nextDue(); p.nextExpiry.IsZero() || !due.IsZero() && due.Before(p.nextExpiry) {
		p.nextExpiry = due
	}
	p.queue, p.inputs, p.loaded = c2dQueue{}, c2dQueue{}, false
}

// forget drops what the hub keeps of an identity that is gone.
func (h *Hub) forget(p *peer) {
	h.faults.withdraw(p.id)
	p.mu.Lock()
	marker := p.marker
	p.queue, p.inputs, p.loaded, p.nextExpiry, p.marker = c2dQueue{}, c2dQueue{}, false, time.Time{}, 0
	p.stateUpdated = time.Time{}
	p.lastActivity.Store(0)
	p.scheduleLocked()
	p.mu.Unlock()
	if marker != 0 {
		h.removeMarker(marker)
	}
	h.forgetInputs(p)
}

// storeC2D appends m to the store's queue, after the marker that it may need.
// The caller holds p.io.
func (h *Hub) storeC2D(ctx context.Context, p *peer, m *iothub.C2DMessage) error {
	// A caller that leaves must not leave a message behind that memory lacks.
	ctx = context.WithoutCancel(ctx)
	p.mu.Lock()
	marked := p.marker != 0
	p.mu.Unlock()
	if !marked && m.Ack.WantsFeedback(iothub.OutcomeExpired) {
		number, err := h.o.Queues.Append(ctx, markerQueue, []byte(p.id.String()))
		if err != nil {
			return err
		}
		p.mu.Lock()
		p.marker = number
		p.mu.Unlock()
	}
	number, err := h.o.Queues.Append(ctx, queueName(m), iothub.AppendC2D(nil, m))
	m.SequenceNumber = number
	if err == nil {
		h.noteC2D(EventSent, *m, nil, "")
	}
	return err
}

// loadMarkers makes peers for the identities whose queues must be watched. The
// first Sweep loads those queues.
func (h *Hub) loadMarkers(ctx context.Context) error {
	entries, err := h.o.Queues.Load(ctx, markerQueue)
	if err != nil {
		return err
	}
	var stale []uint64
	for _, e := range entries {
		id, err := iothub.ParseID(string(e.Payload))
		if err != nil {
			stale = append(stale, e.Number)
			continue
		}
		p := h.acquire(id)
		if p.marker != 0 {
			stale = append(stale, e.Number)
		} else {
			p.marker, p.nextExpiry = e.Number, time.Unix(0, 0)
			p.scheduleLocked()
		}
		h.release(p)
	}
	if len(stale) == 0 {
		return nil
	}
	return h.o.Queues.Remove(ctx, markerQueue, stale...)
}

// dropMarker removes the marker of p when no message needs it. It does nothing
// while somebody else is at the queue.
func (h *Hub) dropMarker(p *peer) {
	if !p.io.TryLock() {
		return
	}
	defer p.io.Unlock()
	p.mu.Lock()
	marker := p.marker
	if !p.loaded || p.queue.wantsExpiry() {
		marker = 0
	} else {
		p.marker = 0
	}
	p.mu.Unlock()
	if marker != 0 {
		h.removeMarker(marker)
	}
}

func (h *Hub) removeMarker(marker uint64) {
	if !h.enter() {
		return
	}
	h.o.Queues.RemoveAsync(markerQueue, marker, func(err error) {
		if err != nil {
			h.o.Logger.Error("removing a queue marker failed", "err", err)
		}
		h.leave()
	})
}

// end stores the outcome of a message in state c2dEnding, with its feedback
// record if it asked for one, in one step. done runs once that is durable or
// failed; after a failure the message waits again. The caller has entered the
// hub and is not in p.mu.
func (h *Hub) end(p *peer, e *c2dEntry, o iothub.Outcome, now time.Time, done func(error)) {
	h.work.Add(1) // Close waits for the caller and so for this, too.
	h.hold(p)
	finish := func(err error) {
		p.mu.Lock()
		switch {
		case err == nil:
			p.queueOf(&e.m).remove(e)
			if e.m.Input == "" {
				h.messageEnded(p, e, o)
			} else if o != iothub.OutcomeSuccess {
				h.o.Logger.Info("a message at a module's input ended without being taken",
					"device", p.id, "input", e.m.Input, "from", e.m.From, "outcome", o)
			}
		case errors.Is(err, store.ErrNotFound):
			p.queueOf(&e.m).remove(e)
			err = errLockLost()
		default:
			e.unlock()
			h.o.Logger.Error("storing the outcome of a message failed", "device", p.id, "outcome", o, "err", err)
		}
		p.scheduleLocked()
		p.mu.Unlock()
		h.release(p)
		done(err)
		h.leave()
	}
	name := queueName(&e.m)
	if !e.m.Ack.WantsFeedback(o) {
		h.o.Queues.RemoveAsync(name, e.number, finish)
		return
	}
	r := newFeedbackRecord(&e.m, o, now)
	h.o.Queues.MoveAsync(name, e.number, feedbackQueueName, r.encode(), func(number uint64, err error) {
		if err == nil {
			h.keepFeedback(p, e, number, r)
			h.note(Activity{Kind: ActivityFeedback, Event: EventRecorded, ID: p.id, Time: now, Body: r.body})
		}
		finish(err)
	})
}

// keepFeedback takes a stored record into the feedback queue, unless the
// identity was deleted meanwhile, whose unsent feedback is discarded.
func (h *Hub) keepFeedback(p *peer, e *c2dEntry, number uint64, r *serviceRecord) {
	p.mu.Lock()
	known := slices.Contains(p.queue.entries, e)
	var wakes []func()
	if known {
		wakes = h.feedback.add(number, r)
	}
	p.mu.Unlock()
	callAll(wakes)
	if !known {
		h.work.Add(1) // Close waits for end and so for this, too.
		go func() {   // Not on the store's goroutine.
			defer h.leave()
			h.feedback.discard([]uint64{number})
		}()
	}
}

// endAll ends messages without waiting; failures are logged.
func (h *Hub) endAll(p *peer, entries []*c2dEntry, o iothub.Outcome, now time.Time) {
	for _, e := range entries {
		h.end(p, e, o, now, func(error) {})
	}
}

// endSoon is endAll from a goroutine of its own, for callers that may be on a
// goroutine of the store: a front end may receive the next message from the
// callback that ended the last one.
func (h *Hub) endSoon(p *peer, entries []*c2dEntry, o iothub.Outcome, now time.Time) {
	if len(entries) == 0 {
		return
	}
	h.work.Add(1) // As in end.
	h.hold(p)
	go func() {
		defer h.leave()
		defer h.release(p)
		h.endAll(p, entries, o, now)
	}()
}

// endAndWait ends messages and returns what went wrong, if anything did.
func (h *Hub) endAndWait(p *peer, entries []*c2dEntry, o iothub.Outcome, now time.Time) error {
	var (
		all  sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	all.Add(len(entries))
	for _, e := range entries {
		h.end(p, e, o, now, func(err error) {
			if err != nil && iothub.ErrorCode(err) != iothub.CodeDeviceMessageLockLost {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
			all.Done()
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
