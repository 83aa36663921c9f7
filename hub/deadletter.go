package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// Bounds of the dead letters; the oldest go first.
const (
	maxDeadLetters     = 1000
	maxDeadLetterBytes = 64 << 20
)

// deadLetterQueue is the store's queue of dead letters.
const deadLetterQueue = "/dead-letters"

// DeadLetter is a message that an endpoint did not get.
type DeadLetter struct {
	ID       string
	Endpoint string
	// Reason is refused, deliveryAttempts, queueFull, endpointRemoved,
	// hubClosing or cannotBeDelivered.
	Reason string
	// LastError of the attempts, which may have been none.
	LastError string
	Attempts  int
	Time      time.Time
	Message   iothub.Telemetry

	number uint64 // in the store, 0 while it is on its way there
}

func (d *DeadLetter) size() int {
	return iothub.MessageSize(&d.Message.System, d.Message.Properties, d.Message.Body)
}

// storedDeadLetter is the stored form, version 1.
type storedDeadLetter struct {
	Version   int       `json:"v"`
	ID        string    `json:"id"`
	Endpoint  string    `json:"endpoint"`
	Reason    string    `json:"reason"`
	LastError string    `json:"lastError,omitempty"`
	Attempts  int       `json:"attempts"`
	Time      time.Time `json:"time"`
	Enqueued  time.Time `json:"enqueued"`
	Message   []byte    `json:"message"`
}

// deadLetters are kept in memory and, by a goroutine that lives while there is
// something to write, in the store: who adds one does not wait.
type deadLetters struct {
	mu      sync.Mutex
	list    []*DeadLetter
	bytes   int
	gone    []uint64 // to be removed from the store
	writing bool
	idle    sync.Cond
}

func (h *Hub) loadDeadLetters(ctx context.Context) error {
	entries, err := h.o.Queues.Load(ctx, deadLetterQueue)
	if err != nil {
		return fmt.Errorf("hub: dead letters: %w", err)
	}
	for _, e := range entries {
		var s storedDeadLetter
		if err := json.Unmarshal(e.Payload, &s); err != nil || s.Version != 1 {
			h.o.Logger.Error("a stored dead letter cannot be read; it is passed over", "number", e.Number, "err", err)
			continue
		}
		t, err := iothub.DecodeTelemetry(s.Message)
		if err != nil {
			h.o.Logger.Error("a stored dead letter cannot be read; it is passed over", "number", e.Number, "err", err)
			continue
		}
		t.EnqueuedTime = s.Enqueued
		d := &DeadLetter{s.ID, s.Endpoint, s.Reason, s.LastError, s.Attempts, s.Time, t, e.Number}
		h.deadLetters.list = append(h.deadLetters.list, d)
		h.deadLetters.bytes += d.size()
	}
	return nil
}

// deadLetter keeps what an endpoint did not get. It never waits.
func (h *Hub) deadLetter(endpoint string, d *delivery, reason string) {
	h.o.Logger.Warn("a message is dead-lettered", "endpoint", endpoint, "device", d.message.ID, "reason", reason, "err", d.lastErr)
	letter := &DeadLetter{
		ID: d.id, Endpoint: endpoint, Reason: reason, LastError: d.lastErr, Attempts: d.attempts, Time: h.now(), Message: d.message,
	}
	l := &h.deadLetters
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, letter)
	l.bytes += letter.size()
	for len(l.list) > maxDeadLetters || l.bytes > maxDeadLetterBytes {
		l.dropLocked(0)
	}
	h.writeDeadLettersLocked()
}

func (l *deadLetters) dropLocked(at int) {
	d := l.list[at]
	l.list = slices.Delete(l.list, at, at+1)
	l.bytes -= d.size()
	if d.number != 0 {
		l.gone = append(l.gone, d.number)
	}
}

func (h *Hub) writeDeadLettersLocked() {
	if l := &h.deadLetters; !l.writing {
		l.writing = true
		go h.writeDeadLetters()
	}
}

// writeDeadLetters brings the store to what the memory has.
func (h *Hub) writeDeadLetters() {
	l, ctx := &h.deadLetters, context.Background()
	for {
		l.mu.Lock()
		gone := l.gone
		l.gone = nil
		at := slices.IndexFunc(l.list, func(d *DeadLetter) bool { return d.number == 0 })
		if at < 0 && len(gone) == 0 {
			l.writing = false
			l.idle.Broadcast()
			l.mu.Unlock()
			return
		}
		var next *DeadLetter
		if at >= 0 {
			next = l.list[at]
		}
		l.mu.Unlock()
		if len(gone) > 0 {
			if err := h.o.Queues.Remove(ctx, deadLetterQueue, gone...); err != nil {
				h.o.Logger.Error("dead letters cannot be removed from the store", "err", err)
			}
		}
		if next == nil {
			continue
		}
		number, err := h.o.Queues.Append(ctx, deadLetterQueue, next.encode())
		l.mu.Lock()
		switch at := slices.Index(l.list, next); {
		case err != nil:
			h.o.Logger.Error("a dead letter cannot be stored and is lost", "endpoint", next.Endpoint, "err", err)
			if at >= 0 {
				l.dropLocked(at)
			}
		case at < 0: // dropped meanwhile
			l.gone = append(l.gone, number)
		default:
			next.number = number
		}
		l.mu.Unlock()
	}
}

func (d *DeadLetter) encode() []byte {
	// Texts, numbers, bytes and times of this era always marshal.
	data, _ := json.Marshal(storedDeadLetter{
		1, d.ID, d.Endpoint, d.Reason, d.LastError, d.Attempts, d.Time.UTC(), d.Message.EnqueuedTime.UTC(),
		iothub.AppendTelemetry(nil, &d.Message),
	})
	return data
}

// flushDeadLetters waits until all are stored.
func (h *Hub) flushDeadLetters() {
	l := &h.deadLetters
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.writing {
		l.idle.Wait()
	}
}

// DeadLetters returns the messages that webhooks did not get, oldest first:
// the last 1,000, or 64 MiB of them. Their bodies must not be changed.
func (h *Hub) DeadLetters() []DeadLetter {
	l := &h.deadLetters
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]DeadLetter, len(l.list))
	for i, d := range l.list {
		out[i] = *d
	}
	return out
}

// ClearDeadLetters forgets all dead letters and returns how many those were.
// It returns once the store has forgotten them too.
func (h *Hub) ClearDeadLetters() int {
	l := &h.deadLetters
	l.mu.Lock()
	n := len(l.list)
	for len(l.list) > 0 {
		l.dropLocked(len(l.list) - 1)
	}
	h.writeDeadLettersLocked()
	l.mu.Unlock()
	h.flushDeadLetters()
	return n
}
