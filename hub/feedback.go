package hub

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// FeedbackDelivery is a locked feedback message.
type FeedbackDelivery struct {
	// Body is the JSON array of iothub.FeedbackRecord.
	Body []byte
	iothub.C2DMessage
	LockToken string
}

// ReceiveFeedback locks and returns the next feedback message; false when none
// is due. The lock lasts C2DSettings.FeedbackLock; when it lapses the message is
// there again and its delivery count stays. Feedback is delivered at least once:
// after a restart, records not completed come again, perhaps grouped otherwise.
func (h *Hub) ReceiveFeedback(ctx context.Context) (FeedbackDelivery, bool, error) {
	if err := ctx.Err(); err != nil {
		return FeedbackDelivery{}, false, err
	}
	if !h.enter() {
		return FeedbackDelivery{}, false, errClosing()
	}
	defer h.leave()
	now := h.now()
	f := &h.feedback
	f.mu.Lock()
	f.refresh(now)
	gone := f.expire(now)
	d, ok, err := h.lockFeedback(now)
	f.mu.Unlock()
	h.discard(gone)
	return d, ok, err
}

// lockFeedback is ReceiveFeedback under the queue's lock.
func (h *Hub) lockFeedback(now time.Time) (FeedbackDelivery, bool, error) {
	b := h.feedback.next()
	if b == nil {
		return FeedbackDelivery{}, false, nil
	}
	body, err := b.body()
	if err != nil {
		return FeedbackDelivery{}, false, err
	}
	b.lock(now.Add(h.o.C2D.FeedbackLock))
	return FeedbackDelivery{
		Body: body,
		C2DMessage: iothub.C2DMessage{
			System: iothub.SystemProperties{
				MessageID: b.messageID, UserID: h.o.Name, ContentType: iothub.FeedbackContentType,
			},
			Body: body, Ack: iothub.AckNone, SequenceNumber: b.records[0].number,
			EnqueuedTime: b.enqueued, ExpiryTime: b.expiry, DeliveryCount: b.deliveryCount(),
		},
		LockToken: b.token,
	}, true, nil
}

// CompleteFeedback removes a locked feedback message, or DeviceMessageLockLost.
func (h *Hub) CompleteFeedback(ctx context.Context, lockToken string) error {
	if !h.enter() {
		return errClosing()
	}
	defer h.leave()
	f := &h.feedback
	f.mu.Lock()
	b := f.locked(lockToken, h.now())
	if b == nil {
		f.mu.Unlock()
		return errLockLost()
	}
	b.busy = true
	numbers := b.numbers()
	f.mu.Unlock()
	err := h.o.Queues.Remove(context.WithoutCancel(ctx), feedbackQueueName, numbers...)
	f.mu.Lock()
	b.unlock()
	if err == nil {
		f.remove(b)
	}
	wakes := f.wakesIf(err != nil)
	f.mu.Unlock()
	callAll(wakes)
	return err
}

// AbandonFeedback gives a locked feedback message back and raises its delivery
// count; at C2DSettings.FeedbackMaxDeliveryCount it is discarded.
func (h *Hub) AbandonFeedback(ctx context.Context, lockToken string) error {
	if !h.enter() {
		return errClosing()
	}
	defer h.leave()
	f := &h.feedback
	f.mu.Lock()
	b := f.locked(lockToken, h.now())
	if b == nil {
		f.mu.Unlock()
		return errLockLost()
	}
	count := b.deliveryCount() + 1
	if count >= h.o.C2D.FeedbackMaxDeliveryCount {
		f.mu.Unlock()
		h.o.Logger.Info("a feedback message was abandoned too often and is discarded", "count", count)
		return h.CompleteFeedback(ctx, lockToken)
	}
	b.busy = true
	first := *b.records[0]
	first.count = count
	f.mu.Unlock()
	err := h.o.Queues.Replace(context.WithoutCancel(ctx), feedbackQueueName, first.number, first.encode())
	f.mu.Lock()
	b.unlock()
	if err == nil {
		b.records[0].count = count
	}
	wakes := f.wakesIf(true)
	f.mu.Unlock()
	callAll(wakes)
	return err
}

// ReleaseFeedback gives a locked feedback message back without raising its
// delivery count, for a receiver that went away. An unknown token does nothing.
func (h *Hub) ReleaseFeedback(lockToken string) {
	f := &h.feedback
	f.mu.Lock()
	b := f.locked(lockToken, h.now())
	if b != nil {
		b.unlock()
	}
	wakes := f.wakesIf(b != nil)
	f.mu.Unlock()
	callAll(wakes)
}

// OnFeedback registers wake, called without blocking whenever ReceiveFeedback
// may have something; cancel unregisters it. wake must not block. What is there
// already is not announced: register first, then receive.
func (h *Hub) OnFeedback(wake func()) (cancel func()) {
	f := &h.feedback
	f.mu.Lock()
	defer f.mu.Unlock()
	key := new(func())
	*key = wake
	if f.wakes == nil {
		f.wakes = map[*func()]struct{}{}
	}
	f.wakes[key] = struct{}{}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.wakes, key)
	}
}

// addFeedback takes a record that the store has, and returns whom to wake.
func (h *Hub) addFeedback(number uint64, r *feedbackRecord) []func() {
	r.number = number
	f := &h.feedback
	f.mu.Lock()
	defer f.mu.Unlock()
	f.insert(r)
	return f.wakesIf(f.refresh(h.now()))
}

func (h *Hub) sweepFeedback(now time.Time) {
	f := &h.feedback
	f.mu.Lock()
	wakes := f.wakesIf(f.refresh(now))
	gone := f.expire(now)
	f.mu.Unlock()
	h.discard(gone)
	callAll(wakes)
}

// forgetFeedback discards the unsent records of a deleted identity, and with a
// device those of its modules.
// Source: IoT Hub devguide, cloud-to-device message feedback.
func (h *Hub) forgetFeedback(id iothub.ID) {
	f := &h.feedback
	f.mu.Lock()
	gone := f.take(func(r *feedbackRecord) bool {
		return r.rec.DeviceID == id.DeviceID && (!id.IsModule() || r.rec.ModuleID == id.ModuleID)
	})
	f.mu.Unlock()
	h.discard(gone)
}

// discard removes records from the store without waiting. The caller has
// entered the hub.
func (h *Hub) discard(gone []uint64) {
	for _, number := range gone {
		h.work.Add(1)
		h.o.Queues.RemoveAsync(feedbackQueueName, number, func(err error) {
			if err != nil {
				h.o.Logger.Error("discarding a feedback record failed", "err", err)
			}
			h.leave()
		})
	}
}

// loadFeedback reads the records that a former run left.
func (h *Hub) loadFeedback(ctx context.Context) error {
	h.feedback.interval, h.feedback.ttl = h.o.FeedbackInterval, h.o.C2D.FeedbackTTL
	entries, err := h.o.Queues.Load(ctx, feedbackQueueName)
	if err != nil {
		return err
	}
	for _, e := range entries {
		r, err := decodeFeedbackRecord(e.Payload)
		if err != nil {
			h.o.Logger.Error("a stored feedback record cannot be read; it is passed over", "number", e.Number, "err", err)
			continue
		}
		r.number = e.Number
		h.feedback.insert(r)
	}
	return nil
}

func callAll(wakes []func()) {
	for _, wake := range wakes {
		wake()
	}
}

// body is the JSON array of the records.
func (b *feedbackBatch) body() ([]byte, error) {
	records := make([]iothub.FeedbackRecord, len(b.records))
	for i, r := range b.records {
		records[i] = r.rec
	}
	return json.Marshal(records)
}
