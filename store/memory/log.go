package memory

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/store"
)

const (
	// recordOverhead is what a record costs beside its payload, and what its
	// offset moves on by at least.
	recordOverhead = 64
	// maxUnreported bounds the records whose done has not run.
	maxUnreported = 1 << 16
)

// telemetry is the log. One lock serves all partitions.
type telemetry struct {
	maxBytes  int64
	retention time.Duration
	now       func() time.Time

	mu         sync.Mutex
	closed     chan struct{}
	partitions []partition
	// order holds the partition of each kept record, oldest first.
	order      []int
	bytes      int64
	unreported int
	// space is closed when unreported fell; nil while nobody waits.
	space chan struct{}
	done  runner
}

type partition struct {
	records  []store.LogRecord // the kept ones, first to next
	next     int64
	offset   int64 // of the next record
	last     int64 // offset of the newest record
	lastTime time.Time
	// changed is closed on the next append; nil while nobody waits.
	changed chan struct{}
}

func newTelemetry(o Options) *telemetry {
	l := &telemetry{
		maxBytes: o.MaxBytes, retention: o.Retention, now: o.Now,
		closed: make(chan struct{}), partitions: make([]partition, o.Partitions),
	}
	for i := range l.partitions {
		l.partitions[i].last = -1
	}
	return l
}

// Partitions returns the number of partitions.
func (l *telemetry) Partitions() int { return len(l.partitions) }

// Append keeps a record. done runs on another goroutine, in order.
func (l *telemetry) Append(ctx context.Context, p int, enqueued time.Time, payload []byte, done func(store.LogRecord, error)) {
	if err := l.check(p); err != nil {
		l.fail(done, err)
		return
	}
	l.mu.Lock()
	for l.unreported >= maxUnreported {
		if l.space == nil {
			l.space = make(chan struct{})
		}
		space := l.space
		l.mu.Unlock()
		select {
		case <-space:
		case <-l.closed:
		case <-ctx.Done():
			l.fail(done, ctx.Err())
			return
		}
		l.mu.Lock()
	}
	defer l.mu.Unlock()
	if err := l.closedErr(); err != nil {
		l.fail(done, err)
		return
	}
	rec := l.appendLocked(p, enqueued, payload)
	l.unreported++
	l.done.post(func() {
		l.reported()
		if done != nil {
			done(rec, nil)
		}
	})
}

func (l *telemetry) fail(done func(store.LogRecord, error), err error) {
	if done != nil {
		l.done.post(func() { done(store.LogRecord{}, err) })
	}
}

func (l *telemetry) appendLocked(p int, enqueued time.Time, payload []byte) store.LogRecord {
	part := &l.partitions[p]
	enqueued = enqueued.UTC().Truncate(time.Millisecond)
	if enqueued.Before(part.lastTime) {
		enqueued = part.lastTime
	}
	rec := store.LogRecord{
		Partition: p, SequenceNumber: part.next, Offset: part.offset, EnqueuedTime: enqueued, Payload: payload,
	}
	part.records = append(part.records, rec)
	part.next++
	part.last, part.lastTime = rec.Offset, enqueued
	part.offset += recordOverhead + int64(len(payload))
	l.order = append(l.order, p)
	l.bytes += recordOverhead + int64(len(payload))
	l.trimLocked()
	if part.changed != nil {
		close(part.changed)
		part.changed = nil
	}
	return rec
}

// trimLocked drops the oldest records beyond the limits. Records are kept in
// the order of arrival, so a later one of another partition with an earlier
// time may wait for its turn.
func (l *telemetry) trimLocked() {
	horizon := time.Time{}
	if l.retention > 0 {
		horizon = l.now().Add(-l.retention)
	}
	for len(l.order) > 0 {
		part := &l.partitions[l.order[0]]
		oldest := part.records[0]
		if (l.bytes <= l.maxBytes || len(l.order) == 1) && !oldest.EnqueuedTime.Before(horizon) {
			return
		}
		part.records[0] = store.LogRecord{}
		part.records = part.records[1:]
		l.order = l.order[1:]
		l.bytes -= recordOverhead + int64(len(oldest.Payload))
	}
}

func (l *telemetry) reported() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unreported--
	if l.space != nil {
		close(l.space)
		l.space = nil
	}
}

// Read returns kept records.
func (l *telemetry) Read(ctx context.Context, p int, from int64, limit int) ([]store.LogRecord, error) {
	if err := l.check(p); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trimLocked()
	part := &l.partitions[p]
	first := part.next - int64(len(part.records))
	kept := part.records[min(max(from-first, 0), int64(len(part.records))):]
	if len(kept) == 0 || limit <= 0 {
		return nil, nil
	}
	return append([]store.LogRecord(nil), kept[:min(limit, len(kept))]...), nil
}

// Find returns the first record to read.
func (l *telemetry) Find(ctx context.Context, p int, at store.Position) (int64, error) {
	if err := l.check(p); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trimLocked()
	part := &l.partitions[p]
	first := part.next - int64(len(part.records))
	switch at.Kind {
	case store.PositionEarliest:
		return first, nil
	case store.PositionLatest:
		return part.next, nil
	case store.PositionSequenceNumber, store.PositionOffset, store.PositionEnqueuedTime:
		before := sort.Search(len(part.records), func(i int) bool { return !at.Before(&part.records[i]) })
		return first + int64(before), nil
	}
	return 0, fmt.Errorf("memory: unknown kind of position %q", at.Kind)
}

// Wait returns once there is a record from on.
func (l *telemetry) Wait(ctx context.Context, p int, from int64) error {
	for {
		if err := l.check(p); err != nil {
			return err
		}
		l.mu.Lock()
		part := &l.partitions[p]
		if part.next > from {
			l.mu.Unlock()
			return nil
		}
		if part.changed == nil {
			part.changed = make(chan struct{})
		}
		changed := part.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-l.closed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Info describes a partition.
func (l *telemetry) Info(p int) (store.PartitionInfo, error) {
	if err := l.check(p); err != nil {
		return store.PartitionInfo{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trimLocked()
	part := &l.partitions[p]
	return store.PartitionInfo{
		First: part.next - int64(len(part.records)), Next: part.next,
		LastOffset: part.last, LastEnqueuedTime: part.lastTime,
	}, nil
}

// Close ends all waiting.
func (l *telemetry) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closedErr() == nil {
		close(l.closed)
	}
	return nil
}

func (l *telemetry) check(p int) error {
	if p < 0 || p >= len(l.partitions) {
		return fmt.Errorf("memory: no partition %d", p)
	}
	return l.closedErr()
}

func (l *telemetry) closedErr() error {
	select {
	case <-l.closed:
		return store.ErrClosed
	default:
		return nil
	}
}
