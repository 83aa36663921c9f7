package hub

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/hubnerite/hubnerite/iothub"
)

// ServiceQueue is a queue that back ends receive from under locks: feedback, or
// file notifications. Its records are durable one by one; a message holds one of
// them or several. Delivery is at least once: after a restart, what was not
// completed comes again, perhaps grouped otherwise.
type ServiceQueue struct {
	h *Hub
	// name is the store's queue, one record per entry, and what the log calls it.
	name string
	// contentType of the messages. Their bodies are arrays of up to most records,
	// or with most 0 one record.
	contentType string
	most        int
	// interval is the time from one message to the next, unless most are there.
	interval, ttl, lock time.Duration
	maxDeliveryCount    int

	mu sync.Mutex
	// loose records are not in a message yet, in order of their numbers.
	loose   []*serviceRecord
	batches []*serviceBatch
	// last is when the last message was formed.
	last  time.Time
	wakes map[*func()]struct{}
}

// ServiceDelivery is a locked message of a ServiceQueue. Its Body is JSON.
type ServiceDelivery struct {
	iothub.C2DMessage
	LockToken string
}

// serviceRecord is a record with what the queue needs to know of it.
type serviceRecord struct {
	number uint64
	// body is the record as back ends get it.
	body json.RawMessage
	at   time.Time
	// count is the delivery count of the message whose first record this is.
	count int
}

// storedRecord is the stored form of a record, version 1.
type storedRecord struct {
	Version int             `json:"v"`
	Record  json.RawMessage `json:"record"`
	At      time.Time       `json:"at"`
	Count   int             `json:"count,omitempty"`
}

func (r *serviceRecord) encode() []byte {
	// JSON, an integer and a time of this era always marshal.
	data, _ := json.Marshal(storedRecord{1, r.body, r.at.UTC(), r.count})
	return data
}

func decodeServiceRecord(data []byte) (*serviceRecord, error) {
	var s storedRecord
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	if s.Version != 1 {
		return nil, errors.New("hub: record for back ends of an unknown version")
	}
	return &serviceRecord{body: s.Record, at: s.At, count: s.Count}, nil
}

// serviceBatch is one message.
type serviceBatch struct {
	records          []*serviceRecord
	messageID        string
	enqueued, expiry time.Time
	token            string
	until            time.Time
	// busy while its settlement is on its way to the store.
	busy bool
}

func (b *serviceBatch) hold(until time.Time) { b.token, b.until = uuid.NewString(), until }
func (b *serviceBatch) unlock()              { b.token, b.until, b.busy = "", time.Time{}, false }

func (b *serviceBatch) deliveryCount() int { return b.records[0].count }

func (b *serviceBatch) numbers() []uint64 {
	numbers := make([]uint64, len(b.records))
	for i, r := range b.records {
		numbers[i] = r.number
	}
	return numbers
}

// body is the JSON array of the records, or the one record.
func (q *ServiceQueue) body(b *serviceBatch) ([]byte, error) {
	if q.most == 0 {
		return b.records[0].body, nil
	}
	bodies := make([]json.RawMessage, len(b.records))
	for i, r := range b.records {
		bodies[i] = r.body
	}
	return json.Marshal(bodies)
}

// The methods below are called with mu held.

func (q *ServiceQueue) insert(r *serviceRecord) {
	i := len(q.loose)
	for i > 0 && q.loose[i-1].number > r.number {
		i--
	}
	q.loose = slices.Insert(q.loose, i, r)
}

// refresh ends lapsed locks and forms the messages that are due: with as many
// records as one may have, or the interval after the last one. It reports whether
// there is something new to receive.
func (q *ServiceQueue) refresh(now time.Time) (changed bool) {
	for _, b := range q.batches {
		if !b.busy && b.token != "" && !now.Before(b.until) {
			b.unlock()
			changed = true
		}
	}
	most := max(q.most, 1)
	for len(q.loose) >= most || len(q.loose) > 0 && q.intervalOver(now) {
		n := min(len(q.loose), most)
		q.batches = append(q.batches, &serviceBatch{
			records: slices.Clone(q.loose[:n]), messageID: uuid.NewString(),
			enqueued: now, expiry: q.loose[0].at.Add(q.ttl),
		})
		q.loose = slices.Delete(q.loose, 0, n)
		q.last, changed = now, true
	}
	return changed
}

// expire takes out the messages whose time to live is over and that no receiver
// has, and returns the numbers of their records.
func (q *ServiceQueue) expire(now time.Time) (gone []uint64) {
	q.batches = slices.DeleteFunc(q.batches, func(b *serviceBatch) bool {
		if b.busy || b.token != "" || now.Before(b.expiry) {
			return false
		}
		gone = append(gone, b.numbers()...)
		return true
	})
	return gone
}

// intervalOver is also true when the clock was set back.
func (q *ServiceQueue) intervalOver(now time.Time) bool {
	return q.last.IsZero() || now.Sub(q.last) >= q.interval || now.Before(q.last)
}

func (q *ServiceQueue) next() *serviceBatch {
	for _, b := range q.batches {
		if b.token == "" && !b.busy {
			return b
		}
	}
	return nil
}

func (q *ServiceQueue) locked(token string, now time.Time) *serviceBatch {
	for _, b := range q.batches {
		if b.token == token && token != "" && !b.busy && now.Before(b.until) {
			return b
		}
	}
	return nil
}

func (q *ServiceQueue) remove(b *serviceBatch) {
	if i := slices.Index(q.batches, b); i >= 0 {
		q.batches = slices.Delete(q.batches, i, i+1)
	}
}

// take removes the records that match and that no receiver has, and returns
// their numbers.
func (q *ServiceQueue) take(match func(body json.RawMessage) bool) (gone []uint64) {
	matching := func(r *serviceRecord) bool {
		if match(r.body) {
			gone = append(gone, r.number)
			return true
		}
		return false
	}
	q.loose = slices.DeleteFunc(q.loose, matching)
	q.batches = slices.DeleteFunc(q.batches, func(b *serviceBatch) bool {
		if b.token != "" || b.busy {
			return false
		}
		count := b.deliveryCount()
		b.records = slices.DeleteFunc(b.records, matching)
		if len(b.records) > 0 {
			b.records[0].count = count
		}
		return len(b.records) == 0
	})
	return gone
}

// wakesIf returns what to call once mu is released.
func (q *ServiceQueue) wakesIf(changed bool) []func() {
	if !changed {
		return nil
	}
	wakes := make([]func(), 0, len(q.wakes))
	for wake := range q.wakes {
		wakes = append(wakes, *wake)
	}
	return wakes
}
