package bolt

import (
	"bytes"
	"context"
	"maps"

	"go.etcd.io/bbolt"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

type records Store

// Get returns the record of id, from memory where it can.
func (r *records) Get(ctx context.Context, id iothub.ID) (store.Record, error) {
	s := (*Store)(r)
	if err := s.ended(); err != nil {
		return store.Record{}, err
	}
	if err := ctx.Err(); err != nil {
		return store.Record{}, err
	}
	key := recordKey(id)
	hit, generation := s.cache.get(key)
	if hit != nil {
		return hit.record, nil
	}
	var value []byte
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		value = bytes.Clone(tx.Bucket([]byte(bucketRecords)).Get(key))
		return nil
	})
	if err != nil {
		return store.Record{}, err
	}
	if value == nil {
		return store.Record{}, store.ErrNotFound
	}
	rec, err := decodeRecord(value)
	if err == nil {
		s.cache.add(key, &cached{rec, int64(len(value))}, generation)
	}
	return rec, err
}

// Put writes the record under its revision.
func (r *records) Put(ctx context.Context, rec store.Record) (uint64, error) {
	size, apply, err := putOf(rec)
	if err != nil {
		return 0, err
	}
	if err := (*Store)(r).write(ctx, size, apply); err != nil {
		return 0, err
	}
	return rec.Revision + 1, nil
}

// PutMany queues all records at once, so that the committer finds them together.
func (r *records) PutMany(ctx context.Context, recs []store.Record) []error {
	s := (*Store)(r)
	errs := make([]error, len(recs))
	all := func(err error) []error {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	if err := ctx.Err(); err != nil {
		return all(err)
	}
	var ops []*operation
	type result struct {
		at  int
		err error
	}
	// With room for all, so that the committer never waits for one who left.
	results := make(chan result, len(recs))
	for i, rec := range recs {
		size, apply, err := putOf(rec)
		if err != nil {
			errs[i] = err
			continue
		}
		ops = append(ops, &operation{size: size, apply: apply, done: func(err error) { results <- result{i, err} }})
	}
	if !s.submit(ops...) {
		return all(store.ErrClosed)
	}
	for range ops {
		select {
		case r := <-results:
			errs[r.at] = r.err
		case <-ctx.Done():
			return all(ctx.Err())
		}
	}
	return errs
}

// putOf encodes a record and returns the size of that and what writes it.
func putOf(rec store.Record) (size int, apply func(*batch) error, err error) {
	id, expected := rec.Identity.ID, rec.Revision
	rec.Revision++
	rec.MQTTSession = maps.Clone(rec.MQTTSession)
	value, err := encodeRecord(rec)
	if err != nil {
		return 0, nil, err
	}
	key := recordKey(id)
	return len(value), func(b *batch) error {
		old := b.records.Get(key)
		switch {
		case expected == 0 && old != nil:
			return store.ErrExists
		case expected != 0 && old == nil:
			return store.ErrNotFound
		case expected != revision(old):
			return store.ErrConflict
		case old == nil && id.IsModule() && b.records.Get(recordKey(id.Device())) == nil:
			return store.ErrNotFound
		}
		count(&b.counts, key, old, -1)
		count(&b.counts, key, value, 1)
		b.written[string(key)] = &cached{rec, int64(len(value))}
		return b.records.Put(key, value)
	}, nil
}

// Delete removes the record with its queue and, for a device, its modules.
func (r *records) Delete(ctx context.Context, id iothub.ID, expected uint64) error {
	key := recordKey(id)
	return (*Store)(r).write(ctx, 0, func(b *batch) error {
		old := b.records.Get(key)
		switch {
		case old == nil:
			return store.ErrNotFound
		case expected != 0 && expected != revision(old):
			return store.ErrConflict
		}
		keys := [][]byte{key}
		if !id.IsModule() {
			// The modules' keys begin with their device's.
			c := b.records.Cursor()
			for k, _ := c.Seek(append(bytes.Clone(key), 0)); bytes.HasPrefix(k, key); k, _ = c.Next() {
				keys = append(keys, bytes.Clone(k))
			}
		}
		for _, k := range keys {
			count(&b.counts, k, b.records.Get(k), -1)
			b.written[string(k)] = nil
			if err := b.records.Delete(k); err != nil {
				return err
			}
			name := []byte(store.QueueName(keyID(k)))
			if b.queues.Bucket(name) == nil {
				continue
			}
			if err := b.queues.DeleteBucket(name); err != nil {
				return err
			}
			b.queueNames = append(b.queueNames, queueName{string(name), false})
		}
		return nil
	})
}

// List returns a page of records. The resume key is the last ID of a page.
func (r *records) List(ctx context.Context, filter store.ListFilter, resume string, limit int) ([]store.Record, string, error) {
	s := (*Store)(r)
	if err := s.ended(); err != nil {
		return nil, "", err
	}
	type found struct {
		key, value []byte
		hit        *cached
	}
	var page []found
	more := false
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket([]byte(bucketRecords)).Cursor()
		for k, v := seekList(c, filter, resume); k != nil; {
			isModule := k[len(k)-1] != 0
			if filter.DeviceID != "" && !bytes.HasPrefix(k, recordKey(iothub.ID{DeviceID: filter.DeviceID})) {
				return nil
			}
			if filter.Kind == "modules" && !isModule {
				k, v = c.Next()
				continue
			}
			if filter.Kind == "devices" && isModule {
				// Behind all modules of the device, however many.
				device, _, _ := bytes.Cut(k, []byte{0})
				k, v = c.Seek(append(bytes.Clone(device), 1))
				continue
			}
			if len(page) == max(limit, 1) {
				more = true
				return nil
			}
			f := found{key: bytes.Clone(k)}
			if f.hit, _ = s.cache.get(k); f.hit == nil || f.hit.record.Revision != revision(v) {
				f.hit, f.value = nil, bytes.Clone(v)
			}
			page = append(page, f)
			k, v = c.Next()
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	out := make([]store.Record, len(page))
	for i, f := range page {
		if f.hit != nil {
			out[i] = f.hit.record
		} else if out[i], err = decodeRecord(f.value); err != nil {
			return nil, "", err
		}
	}
	if more {
		return out, out[len(out)-1].Identity.ID.String(), nil
	}
	return out, "", nil
}

// seekList goes to the first key that a listing may show.
func seekList(c *bbolt.Cursor, filter store.ListFilter, resume string) (key, value []byte) {
	var from []byte
	if filter.DeviceID != "" {
		from = recordKey(iothub.ID{DeviceID: filter.DeviceID})
	}
	if resume != "" {
		if after := append(textKey(resume), 0); bytes.Compare(after, from) > 0 {
			from = after
		}
	}
	return c.Seek(from)
}

// Count returns the numbers of identities as of the last commit.
func (r *records) Count(ctx context.Context) (store.Counts, error) {
	s := (*Store)(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.Counts{}, store.ErrClosed
	}
	return s.counts, ctx.Err()
}
