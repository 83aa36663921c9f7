package hub

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// Receive locks and returns the next message; false when none is due. When the
// lock lapses the message is there again and its delivery count stays.
func (q *ServiceQueue) Receive(ctx context.Context) (ServiceDelivery, bool, error) {
	if err := ctx.Err(); err != nil {
		return ServiceDelivery{}, false, err
	}
	if !q.h.enter() {
		return ServiceDelivery{}, false, errClosing()
	}
	defer q.h.leave()
	now := q.h.now()
	q.mu.Lock()
	q.refresh(now)
	gone := q.expire(now)
	d, ok, err := q.receiveLocked(now)
	q.mu.Unlock()
	q.discard(gone)
	return d, ok, err
}

// receiveLocked is Receive under the queue's lock.
func (q *ServiceQueue) receiveLocked(now time.Time) (ServiceDelivery, bool, error) {
	b := q.next()
	if b == nil {
		return ServiceDelivery{}, false, nil
	}
	body, err := q.body(b)
	if err != nil {
		return ServiceDelivery{}, false, err
	}
	b.hold(now.Add(q.lock))
	return ServiceDelivery{
		C2DMessage: iothub.C2DMessage{
			System: iothub.SystemProperties{MessageID: b.messageID, UserID: q.h.o.Name, ContentType: q.contentType},
			Body:   body, Ack: iothub.AckNone, SequenceNumber: b.records[0].number,
			EnqueuedTime: b.enqueued, ExpiryTime: b.expiry, DeliveryCount: b.deliveryCount(),
		},
		LockToken: b.token,
	}, true, nil
}

// Complete removes a locked message, or DeviceMessageLockLost.
func (q *ServiceQueue) Complete(ctx context.Context, lockToken string) error {
	if !q.h.enter() {
		return errClosing()
	}
	defer q.h.leave()
	q.mu.Lock()
	b := q.locked(lockToken, q.h.now())
	if b == nil {
		q.mu.Unlock()
		return errLockLost()
	}
	b.busy = true
	numbers := b.numbers()
	q.mu.Unlock()
	err := q.h.o.Queues.Remove(context.WithoutCancel(ctx), q.name, numbers...)
	q.mu.Lock()
	b.unlock()
	if err == nil {
		q.remove(b)
	}
	wakes := q.wakesIf(err != nil)
	q.mu.Unlock()
	callAll(wakes)
	return err
}

// Abandon gives a locked message back and raises its delivery count; at the
// queue's maximum it is discarded.
func (q *ServiceQueue) Abandon(ctx context.Context, lockToken string) error {
	if !q.h.enter() {
		return errClosing()
	}
	defer q.h.leave()
	q.mu.Lock()
	b := q.locked(lockToken, q.h.now())
	if b == nil {
		q.mu.Unlock()
		return errLockLost()
	}
	count := b.deliveryCount() + 1
	if count >= q.maxDeliveryCount {
		q.mu.Unlock()
		q.h.o.Logger.Info("a message for back ends was abandoned too often and is discarded", "queue", q.name, "count", count)
		return q.Complete(ctx, lockToken)
	}
	b.busy = true
	first := *b.records[0]
	first.count = count
	q.mu.Unlock()
	err := q.h.o.Queues.Replace(context.WithoutCancel(ctx), q.name, first.number, first.encode())
	q.mu.Lock()
	b.unlock()
	if err == nil {
		b.records[0].count = count
	}
	wakes := q.wakesIf(true)
	q.mu.Unlock()
	callAll(wakes)
	return err
}

// Release gives a locked message back without raising its delivery count, for a
// receiver that went away. An unknown token does nothing.
func (q *ServiceQueue) Release(lockToken string) {
	q.mu.Lock()
	b := q.locked(lockToken, q.h.now())
	if b != nil {
		b.unlock()
	}
	wakes := q.wakesIf(b != nil)
	q.mu.Unlock()
	callAll(wakes)
}

// OnWaiting registers wake, called without blocking whenever Receive may have
// something; cancel unregisters it. wake must not block. What is there already
// is not announced: register first, then receive.
func (q *ServiceQueue) OnWaiting(wake func()) (cancel func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := new(func())
	*key = wake
	if q.wakes == nil {
		q.wakes = map[*func()]struct{}{}
	}
	q.wakes[key] = struct{}{}
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.wakes, key)
	}
}

// move puts a record in the place of an entry of another queue, durably and in
// one step, and offers it to back ends.
func (q *ServiceQueue) move(ctx context.Context, from string, number uint64, body json.RawMessage) error {
	r := &serviceRecord{body: body, at: q.h.now()}
	return wait(ctx, func(done func(error)) {
		q.h.work.Add(1) // Close waits for the caller and so for this, too.
		q.h.o.Queues.MoveAsync(from, number, q.name, r.encode(), func(number uint64, err error) {
			defer q.h.leave()
			if err == nil {
				callAll(q.add(number, r))
			}
			done(err)
		})
	})
}

// add takes a record that the store has, and returns whom to wake.
func (q *ServiceQueue) add(number uint64, r *serviceRecord) []func() {
	r.number = number
	q.mu.Lock()
	defer q.mu.Unlock()
	q.insert(r)
	return q.wakesIf(q.refresh(q.h.now()))
}

func (q *ServiceQueue) sweep(now time.Time) {
	q.mu.Lock()
	wakes := q.wakesIf(q.refresh(now))
	gone := q.expire(now)
	q.mu.Unlock()
	q.discard(gone)
	callAll(wakes)
}

// discard removes records from the store without waiting. The caller has
// entered the hub.
func (q *ServiceQueue) discard(gone []uint64) {
	for _, number := range gone {
		q.h.work.Add(1)
		q.h.o.Queues.RemoveAsync(q.name, number, func(err error) {
			if err != nil {
				q.h.o.Logger.Error("discarding a record for back ends failed", "queue", q.name, "err", err)
			}
			q.h.leave()
		})
	}
}

// load reads the records that a former run left.
func (q *ServiceQueue) load(ctx context.Context) error {
	entries, err := q.h.o.Queues.Load(ctx, q.name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		r, err := decodeServiceRecord(e.Payload)
		if err != nil {
			q.h.o.Logger.Error("a stored record for back ends cannot be read; it is passed over", "queue", q.name, "number", e.Number, "err", err)
			continue
		}
		r.number = e.Number
		q.insert(r)
	}
	return nil
}

func callAll(wakes []func()) {
	for _, wake := range wakes {
		wake()
	}
}
