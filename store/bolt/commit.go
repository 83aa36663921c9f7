package bolt

import (
	"context"
	"errors"

	"go.etcd.io/bbolt"

	"github.com/hubnerite/hubnerite/store"
)

const (
	// maxBatch and maxBatchBytes bound a transaction, so that the first of many
	// writers does not wait for all of them.
	maxBatch      = 2000
	maxBatchBytes = 16 << 20
)

// operation is one write. apply runs on the committer, perhaps twice; it returns
// an error of the contract before it has changed anything, or any other error,
// which undoes the transaction. done runs after the commit.
type operation struct {
	size  int
	apply func(*batch) error
	done  func(error)
}

// batch is a transaction in the making.
type batch struct {
	tx        *bbolt.Tx
	records   *bbolt.Bucket
	queues    *bbolt.Bucket
	documents *bbolt.Bucket
	counts    store.Counts
	// written are the records to be shown to readers after the commit, nil for
	// deleted ones.
	written map[string]*cached
	// queueNames are the queues made and deleted.
	queueNames []queueName
}

// submit queues operations for the committer, in their order, and never waits. It
// reports whether the store is still open.
func (s *Store) submit(ops ...*operation) bool {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false
	}
	s.pending = append(s.pending, ops...)
	s.mu.Unlock()
	s.signal()
	return true
}

func (s *Store) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// write runs apply in a transaction and waits for the commit, or for the end of
// ctx, in which case the write may still happen.
func (s *Store) write(ctx context.Context, size int, apply func(*batch) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	result := make(chan error, 1)
	if !s.submit(&operation{size: size, apply: apply, done: func(err error) { result <- err }}) {
		return store.ErrClosed
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// writeAsync is write without waiting; done runs on the committer.
func (s *Store) writeAsync(size int, apply func(*batch) error, done func(error)) {
	if !s.submit(&operation{size: size, apply: apply, done: done}) {
		go done(store.ErrClosed)
	}
}

func (s *Store) commitLoop() {
	defer close(s.stopped)
	for {
		s.mu.Lock()
		ops, closed := s.pending, s.closed
		s.pending = nil
		s.mu.Unlock()
		for len(ops) > 0 {
			n, size := 0, 0
			for n < len(ops) && n < maxBatch && size < maxBatchBytes {
				size += ops[n].size
				n++
			}
			s.commit(ops[:n])
			ops = ops[n:]
		}
		if closed {
			return
		}
		<-s.wake
	}
}

// commit runs the operations in one transaction. When that fails, each gets its
// own, so that one that cannot be stored does not take others with it.
func (s *Store) commit(ops []*operation) {
	results := make([]error, len(ops))
	err := s.transaction(ops, results)
	if err != nil && len(ops) > 1 {
		s.log.Warn("store: a commit failed, its writes are tried one by one", "err", err)
		for i := range ops {
			if err := s.transaction(ops[i:i+1], results[i:i+1]); err != nil {
				results[i] = err
			}
		}
	} else if err != nil {
		s.log.Error("store: a write failed", "err", err)
		results[0] = err
	}
	for i, op := range ops {
		op.done(results[i])
	}
}

// transaction commits operations and makes them visible. The error of the
// contract that an operation met is its result; another one undoes them all.
func (s *Store) transaction(ops []*operation, results []error) error {
	b := &batch{counts: s.counts, written: map[string]*cached{}}
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b.tx = tx
		b.records, b.queues = tx.Bucket([]byte(bucketRecords)), tx.Bucket([]byte(bucketQueues))
		b.documents = tx.Bucket([]byte(bucketDocuments))
		for i, op := range ops {
			results[i] = op.apply(b)
			if results[i] != nil && !expected(results[i]) {
				return results[i]
			}
		}
		if b.counts == s.counts {
			return nil
		}
		return tx.Bucket([]byte(bucketMeta)).Put([]byte(keyCounts), encodeCounts(b.counts))
	})
	if err != nil {
		return err
	}
	s.cache.update(b.written)
	s.names.update(b.queueNames)
	s.mu.Lock()
	s.counts = b.counts
	s.mu.Unlock()
	return nil
}

// expected tells the contract's errors from those of the storage.
func expected(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrExists) || errors.Is(err, store.ErrConflict)
}
