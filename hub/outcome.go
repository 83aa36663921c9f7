package hub

import (
	"context"
	"sync"

	"github.com/hubnerite/hubnerite/iothub"
)

// outcomes tells those who wait for it what became of a message.
type outcomes struct {
	mu      sync.Mutex
	waiting map[outcomeKey]chan iothub.Outcome
}

type outcomeKey struct {
	id     iothub.ID
	number uint64
}

// watch returns a channel with room for the one outcome.
func (o *outcomes) watch(id iothub.ID, number uint64) <-chan iothub.Outcome {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.waiting == nil {
		o.waiting = map[outcomeKey]chan iothub.Outcome{}
	}
	c := make(chan iothub.Outcome, 1)
	o.waiting[outcomeKey{id, number}] = c
	return c
}

func (o *outcomes) forget(id iothub.ID, number uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.waiting, outcomeKey{id, number})
}

func (o *outcomes) tell(id iothub.ID, number uint64, outcome iothub.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := outcomeKey{id, number}
	if c, ok := o.waiting[key]; ok {
		c <- outcome
		delete(o.waiting, key)
	}
}

// SendC2DAndWait is SendC2D, and waits until the message has ended, whatever its
// Ack says, or ctx has: then the outcome is "". Feedback is not touched by it.
func (h *Hub) SendC2DAndWait(ctx context.Context, m iothub.C2DMessage) (iothub.C2DMessage, iothub.Outcome, error) {
	var ended <-chan iothub.Outcome
	sent, err := h.sendC2D(ctx, m, func(number uint64) { ended = h.feedback.outcomes.watch(m.ID, number) })
	if err != nil {
		return sent, "", err
	}
	defer h.feedback.outcomes.forget(m.ID, sent.SequenceNumber)
	select {
	case outcome := <-ended:
		return sent, outcome, nil
	case <-ctx.Done():
	case <-h.closing:
	}
	return sent, "", nil
}
