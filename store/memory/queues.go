package memory

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

type queue struct {
	last    uint64
	entries []store.Entry
}

func (q *queue) find(number uint64) (int, bool) {
	if q == nil {
		return 0, false
	}
	return slices.BinarySearchFunc(q.entries, number, func(e store.Entry, n uint64) int {
		switch {
		case e.Number < n:
			return -1
		case e.Number > n:
			return 1
		}
		return 0
	})
}

type queues data

// Append adds an entry.
func (q *queues) Append(ctx context.Context, name string, payload []byte) (uint64, error) {
	d := (*data)(q)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.checkLocked(ctx); err != nil {
		return 0, err
	}
	if !d.ownedLocked(name) {
		return 0, store.ErrNotFound
	}
	return d.appendLocked(name, payload), nil
}

// ownedLocked reports whether the queue may exist: its identity does, or it is
// the hub's own.
func (d *data) ownedLocked(name string) bool {
	if strings.HasPrefix(name, "/") {
		return true
	}
	device, module, _ := strings.Cut(name, "/")
	_, ok := d.records[iothub.ID{DeviceID: device, ModuleID: module}]
	return ok
}

func (d *data) appendLocked(name string, payload []byte) uint64 {
	q := d.queues[name]
	if q == nil {
		q = &queue{}
		d.queues[name] = q
	}
	q.last++
	q.entries = append(q.entries, store.Entry{Number: q.last, Payload: bytes.Clone(payload)})
	return q.last
}

// Load returns all entries.
func (q *queues) Load(ctx context.Context, name string) ([]store.Entry, error) {
	d := (*data)(q)
	d.mu.RLock()
	defer d.mu.RUnlock()
	if err := d.checkLocked(ctx); err != nil {
		return nil, err
	}
	queue := d.queues[name]
	if queue == nil {
		return nil, nil
	}
	out := slices.Clone(queue.entries)
	for i := range out {
		out[i].Payload = bytes.Clone(out[i].Payload)
	}
	return out, nil
}

// Replace changes the payload of an entry.
func (q *queues) Replace(ctx context.Context, name string, number uint64, payload []byte) error {
	d := (*data)(q)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.checkLocked(ctx); err != nil {
		return err
	}
	at, ok := d.queues[name].find(number)
	if !ok {
		return store.ErrNotFound
	}
	d.queues[name].entries[at].Payload = bytes.Clone(payload)
	return nil
}

// Remove deletes entries.
func (q *queues) Remove(ctx context.Context, name string, numbers ...uint64) error {
	d := (*data)(q)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.checkLocked(ctx); err != nil {
		return err
	}
	for _, number := range numbers {
		if at, ok := d.queues[name].find(number); ok {
			d.queues[name].entries = slices.Delete(d.queues[name].entries, at, at+1)
		}
	}
	return nil
}

// Move deletes an entry and appends another elsewhere.
func (q *queues) Move(ctx context.Context, name string, number uint64, to string, payload []byte) (uint64, error) {
	d := (*data)(q)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.checkLocked(ctx); err != nil {
		return 0, err
	}
	at, ok := d.queues[name].find(number)
	if !ok || !d.ownedLocked(to) {
		return 0, store.ErrNotFound
	}
	d.queues[name].entries = slices.Delete(d.queues[name].entries, at, at+1)
	return d.appendLocked(to, payload), nil
}

// RemoveAsync removes at once and reports from another goroutine.
func (q *queues) RemoveAsync(name string, number uint64, done func(error)) {
	err := q.Remove(context.Background(), name, number)
	if done != nil {
		q.async.post(func() { done(err) })
	}
}

// MoveAsync moves at once and reports from another goroutine.
func (q *queues) MoveAsync(name string, number uint64, to string, payload []byte, done func(uint64, error)) {
	moved, err := q.Move(context.Background(), name, number, to, payload)
	if done != nil {
		q.async.post(func() { done(moved, err) })
	}
}
