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

// feedbackQueueName is the store's queue of feedback records, one per entry.
const feedbackQueueName = "/feedback"

// maxFeedbackRecords is the most records of one feedback message.
// Source: IoT Hub devguide, cloud-to-device message feedback.
const maxFeedbackRecords = 64

// feedbackRecord is a record with what the queue needs to know of it.
type feedbackRecord struct {
	number uint64
	rec    iothub.FeedbackRecord
	at     time.Time
	// count is the delivery count of the message whose first record this is.
	count int
}

func newFeedbackRecord(m *iothub.C2DMessage, o iothub.Outcome, now time.Time) *feedbackRecord {
	return &feedbackRecord{at: now, rec: iothub.FeedbackRecord{
		OriginalMessageID:  m.System.MessageID,
		Description:        string(o),
		DeviceGenerationID: m.GenerationID,
		DeviceID:           m.ID.DeviceID,
		ModuleID:           m.ID.ModuleID,
		EnqueuedTimeUTC:    iothub.FormatTime(now),
		StatusCode:         o,
	}}
}

// storedFeedback is the stored form of a record, version 1.
type storedFeedback struct {
	Version int                   `json:"v"`
	Record  iothub.FeedbackRecord `json:"record"`
	At      time.Time             `json:"at"`
	Count   int                   `json:"count,omitempty"`
}

func (r *feedbackRecord) encode() []byte {
	// Texts, an integer and a time of this era always marshal.
	data, _ := json.Marshal(storedFeedback{1, r.rec, r.at.UTC(), r.count})
	return data
}

func decodeFeedbackRecord(data []byte) (*feedbackRecord, error) {
	var s storedFeedback
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	if s.Version != 1 {
		return nil, errors.New("hub: feedback record of an unknown version")
	}
	return &feedbackRecord{rec: s.Record, at: s.At, count: s.Count}, nil
}

// feedbackBatch is one feedback message.
type feedbackBatch struct {
	records          []*feedbackRecord
	messageID        string
	enqueued, expiry time.Time
	token            string
	until            time.Time
	// busy while its settlement is on its way to the store.
	busy bool
}

func (b *feedbackBatch) lock(until time.Time) { b.token, b.until = uuid.NewString(), until }
func (b *feedbackBatch) unlock()              { b.token, b.until, b.busy = "", time.Time{}, false }

func (b *feedbackBatch) deliveryCount() int { return b.records[0].count }

func (b *feedbackBatch) numbers() []uint64 {
	numbers := make([]uint64, len(b.records))
	for i, r := range b.records {
		numbers[i] = r.number
	}
	return numbers
}

// feedbackQueue groups records into messages and locks those. Its methods are
// called with mu held.
type feedbackQueue struct {
	interval, ttl time.Duration
	// outcomes are told to those who wait for them by name, with feedback or without.
	outcomes outcomes

	mu sync.Mutex
	// loose records are not in a message yet, in order of their numbers.
	loose   []*feedbackRecord
	batches []*feedbackBatch
	// last is when the last message was formed.
	last  time.Time
	wakes map[*func()]struct{}
}

func (f *feedbackQueue) insert(r *feedbackRecord) {
	i := len(f.loose)
	for i > 0 && f.loose[i-1].number > r.number {
		i--
	}
	f.loose = slices.Insert(f.loose, i, r)
}

// refresh ends lapsed locks and forms the messages that are due: with 64
// records, or the interval after the last one. It reports whether there is
// something new to receive.
func (f *feedbackQueue) refresh(now time.Time) (changed bool) {
	for _, b := range f.batches {
		if !b.busy && b.token != "" && !now.Before(b.until) {
			b.unlock()
			changed = true
		}
	}
	for len(f.loose) >= maxFeedbackRecords || len(f.loose) > 0 && f.intervalOver(now) {
		n := min(len(f.loose), maxFeedbackRecords)
		f.batches = append(f.batches, &feedbackBatch{
			records: slices.Clone(f.loose[:n]), messageID: uuid.NewString(),
			enqueued: now, expiry: f.loose[0].at.Add(f.ttl),
		})
		f.loose = slices.Delete(f.loose, 0, n)
		f.last, changed = now, true
	}
	return changed
}

// expire takes out the messages whose time to live is over and that no receiver
// has, and returns the numbers of their records.
func (f *feedbackQueue) expire(now time.Time) (gone []uint64) {
	f.batches = slices.DeleteFunc(f.batches, func(b *feedbackBatch) bool {
		if b.busy || b.token != "" || now.Before(b.expiry) {
			return false
		}
		gone = append(gone, b.numbers()...)
		return true
	})
	return gone
}

// intervalOver is also true when the clock was set back.
func (f *feedbackQueue) intervalOver(now time.Time) bool {
	return f.last.IsZero() || now.Sub(f.last) >= f.interval || now.Before(f.last)
}

func (f *feedbackQueue) next() *feedbackBatch {
	for _, b := range f.batches {
		if b.token == "" && !b.busy {
			return b
		}
	}
	return nil
}

func (f *feedbackQueue) locked(token string, now time.Time) *feedbackBatch {
	for _, b := range f.batches {
		if b.token == token && token != "" && !b.busy && now.Before(b.until) {
			return b
		}
	}
	return nil
}

func (f *feedbackQueue) remove(b *feedbackBatch) {
	if i := slices.Index(f.batches, b); i >= 0 {
		f.batches = slices.Delete(f.batches, i, i+1)
	}
}

// take removes the records that match and that no receiver has, and returns
// their numbers.
func (f *feedbackQueue) take(match func(*feedbackRecord) bool) (gone []uint64) {
	matching := func(r *feedbackRecord) bool {
		if match(r) {
			gone = append(gone, r.number)
			return true
		}
		return false
	}
	f.loose = slices.DeleteFunc(f.loose, matching)
	f.batches = slices.DeleteFunc(f.batches, func(b *feedbackBatch) bool {
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
func (f *feedbackQueue) wakesIf(changed bool) []func() {
	if !changed {
		return nil
	}
	wakes := make([]func(), 0, len(f.wakes))
	for wake := range f.wakes {
		wakes = append(wakes, *wake)
	}
	return wakes
}
