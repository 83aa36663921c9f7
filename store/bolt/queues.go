package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/hubnerite/hubnerite/store"
)

// queues keeps each queue in a bucket of its own: numbers (8 bytes, big-endian)
// to payloads. The bucket stays when it is empty, for its sequence.
type queues Store

// Append adds an entry.
func (q *queues) Append(ctx context.Context, name string, payload []byte) (uint64, error) {
	var number uint64
	payload = bytes.Clone(payload) // the caller may leave before the commit
	err := (*Store)(q).write(ctx, len(payload), func(b *batch) (err error) {
		number, err = b.append(name, payload)
		return err
	})
	if err != nil {
		return 0, err
	}
	return number, nil
}

func (b *batch) append(name string, payload []byte) (uint64, error) {
	if !b.owned(name) {
		return 0, store.ErrNotFound
	}
	q, err := b.queues.CreateBucketIfNotExists([]byte(name))
	if err != nil {
		return 0, err
	}
	b.queueNames = append(b.queueNames, queueName{name, true})
	q.FillPercent = 0.9 // keys only rise
	number, err := q.NextSequence()
	if err != nil {
		return 0, err
	}
	return number, q.Put(entryKey(number), payload)
}

// owned reports whether the queue may exist: its identity does, or it is the
// hub's own.
func (b *batch) owned(name string) bool {
	return strings.HasPrefix(name, "/") || b.records.Get(textKey(name)) != nil
}

// Load returns all entries.
func (q *queues) Load(ctx context.Context, name string) ([]store.Entry, error) {
	s := (*Store)(q)
	if err := s.ended(); err != nil {
		return nil, err
	}
	if !s.names.has(name) {
		return nil, ctx.Err()
	}
	var out []store.Entry
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		queue := tx.Bucket([]byte(bucketQueues)).Bucket([]byte(name))
		if queue == nil {
			return nil
		}
		return queue.ForEach(func(k, v []byte) error {
			out = append(out, store.Entry{Number: binary.BigEndian.Uint64(k), Payload: bytes.Clone(v)})
			return nil
		})
	})
	return out, err
}

// Replace changes the payload of an entry.
func (q *queues) Replace(ctx context.Context, name string, number uint64, payload []byte) error {
	payload = bytes.Clone(payload)
	return (*Store)(q).write(ctx, len(payload), func(b *batch) error {
		queue, key := b.find(name, number)
		if queue == nil {
			return store.ErrNotFound
		}
		return queue.Put(key, payload)
	})
}

// find returns the bucket and key of an entry, nil when there is none.
func (b *batch) find(name string, number uint64) (*bbolt.Bucket, []byte) {
	key := entryKey(number)
	queue := b.queues.Bucket([]byte(name))
	if queue == nil || queue.Get(key) == nil {
		return nil, nil
	}
	return queue, key
}

// Remove deletes entries.
func (q *queues) Remove(ctx context.Context, name string, numbers ...uint64) error {
	numbers = append([]uint64(nil), numbers...)
	return (*Store)(q).write(ctx, 0, func(b *batch) error { return b.remove(name, numbers) })
}

func (b *batch) remove(name string, numbers []uint64) error {
	queue := b.queues.Bucket([]byte(name))
	if queue == nil {
		return nil
	}
	for _, number := range numbers {
		if err := queue.Delete(entryKey(number)); err != nil {
			return err
		}
	}
	return nil
}

// Move deletes an entry and appends another elsewhere in one transaction.
func (q *queues) Move(ctx context.Context, name string, number uint64, to string, payload []byte) (uint64, error) {
	var moved uint64
	payload = bytes.Clone(payload)
	err := (*Store)(q).write(ctx, len(payload), func(b *batch) (err error) {
		moved, err = b.move(name, number, to, payload)
		return err
	})
	if err != nil {
		return 0, err
	}
	return moved, nil
}

func (b *batch) move(name string, number uint64, to string, payload []byte) (uint64, error) {
	queue, key := b.find(name, number)
	if queue == nil || !b.owned(to) {
		return 0, store.ErrNotFound
	}
	if err := queue.Delete(key); err != nil {
		return 0, err
	}
	return b.append(to, payload)
}

// RemoveAsync removes through the committer, which runs done.
func (q *queues) RemoveAsync(name string, number uint64, done func(error)) {
	(*Store)(q).writeAsync(0, func(b *batch) error { return b.remove(name, []uint64{number}) }, func(err error) {
		if done != nil {
			done(err)
		}
	})
}

// MoveAsync moves through the committer, which runs done.
func (q *queues) MoveAsync(name string, number uint64, to string, payload []byte, done func(uint64, error)) {
	var moved uint64
	payload = bytes.Clone(payload)
	(*Store)(q).writeAsync(len(payload), func(b *batch) (err error) {
		moved, err = b.move(name, number, to, payload)
		return err
	}, func(err error) {
		if err != nil {
			moved = 0
		}
		if done != nil {
			done(moved, err)
		}
	})
}

func entryKey(number uint64) []byte { return binary.BigEndian.AppendUint64(nil, number) }

// queueName is a queue that a transaction made, or deleted.
type queueName struct {
	name   string
	exists bool
}

// queueNames knows which queues there are, so that most identities, which have
// none, need no look into the file.
type queueNames struct {
	mu    sync.RWMutex
	names map[string]struct{}
}

func (n *queueNames) has(name string) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	_, ok := n.names[name]
	return ok
}

// load reads the names from the file.
func (n *queueNames) load(tx *bbolt.Tx) error {
	n.names = map[string]struct{}{}
	return tx.Bucket([]byte(bucketQueues)).ForEachBucket(func(name []byte) error {
		n.names[string(name)] = struct{}{}
		return nil
	})
}

// update takes over what a transaction did, in its order.
func (n *queueNames) update(changes []queueName) {
	if len(changes) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range changes {
		if c.exists {
			n.names[c.name] = struct{}{}
		} else {
			delete(n.names, c.name)
		}
	}
}
