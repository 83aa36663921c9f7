// Package journal is the telemetry log: one append-only journal of segment
// files that all partitions share, so that one write and one sync serve every
// partition.
//
// A committer goroutine takes whatever was appended while the previous round
// was written, numbers and encodes it, writes it, syncs it in the mode fsync,
// and only then acknowledges it and shows it to readers. Unless there is a sync
// to wait for, a sender that announces its records with Hold does the same itself
// when it finds nobody else at work. The newest records are
// served from memory, older ones from the segments through a sparse index.
//
// # Files
//
// meta.json fixes the number of partitions. A segment, 00000000000000000001.log
// and so on, is a header with the state of every partition at its start (next
// sequence number, next offset, last time), then records, then, once it is
// sealed, its index. A record's checksum (CRC-32C) covers the segment's number,
// so that what an earlier life of a recycled file left behind never passes for
// a record. Only the last segment is scanned when the log is opened: what
// follows its last whole record was never acknowledged and is cut off.
package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/store"
)

// Defaults of Options.
const (
	DefaultPartitions   = 4
	DefaultRetention    = 24 * time.Hour
	DefaultMaxBytes     = 1 << 30
	DefaultSegmentBytes = 64 << 20
	DefaultTailBytes    = 32 << 20
	DefaultBufferBytes  = 4 << 20
)

// Bounds of the number of partitions, which are IoT Hub's.
const (
	MinPartitions = 2
	MaxPartitions = 32
)

// MaxPayload is the largest payload of a record in bytes.
const MaxPayload = 16 << 20

// Errors of the journal beside those of the contract.
var (
	// ErrPartition: there is no partition of that number.
	ErrPartition = errors.New("journal: no such partition")
	// ErrTooLarge: the payload is larger than MaxPayload.
	ErrTooLarge = errors.New("journal: the payload is too large")
	// ErrNewerFormat: a newer version of this program wrote the journal.
	ErrNewerFormat = errors.New("journal: written by a newer version")
)

// Options of a Log. The zero value works.
type Options struct {
	// Partitions, MinPartitions to MaxPartitions, counts when the log is created.
	// A log keeps its number: another one here is reported to Logger.
	Partitions int
	// Durability of acknowledged records; "" is store.DurabilityOS. With none,
	// records are acknowledged and readable before they are written.
	Durability store.Durability
	// Retention is how long a record is kept at least; 0 is DefaultRetention,
	// negative is forever. It goes with its segment, an eighth later at most
	// while the log is in use.
	Retention time.Duration
	// MaxBytes bounds the segments together; the oldest go first, whatever their
	// age. 0 is DefaultMaxBytes, negative is no bound.
	MaxBytes int64
	// SegmentBytes is when a segment is full; 0 is DefaultSegmentBytes, or an
	// eighth of MaxBytes if that is less.
	SegmentBytes int64
	// TailBytes bounds the newest payloads kept in memory for readers; 0 is
	// DefaultTailBytes.
	TailBytes int64
	// BufferBytes bounds what waits for the committer per partition; Append waits
	// when it is full. 0 is DefaultBufferBytes.
	BufferBytes int64
	// Now is the clock of the retention; nil is time.Now.
	Now func() time.Time
	// Logger hears of damage, failing writes and other partitions; nil is silence.
	Logger *slog.Logger
}

func (o *Options) setDefaults() error {
	if o.Partitions == 0 {
		o.Partitions = DefaultPartitions
	}
	if o.Partitions < MinPartitions || o.Partitions > MaxPartitions {
		return fmt.Errorf("journal: %d partitions, must be %d to %d", o.Partitions, MinPartitions, MaxPartitions)
	}
	switch o.Durability {
	case "":
		o.Durability = store.DurabilityOS
	case store.DurabilityNone, store.DurabilityOS, store.DurabilityFsync:
	default:
		return fmt.Errorf("journal: unknown durability %q", o.Durability)
	}
	if o.Retention == 0 {
		o.Retention = DefaultRetention
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = DefaultSegmentBytes
		if o.MaxBytes > 0 {
			o.SegmentBytes = min(o.SegmentBytes, max(o.MaxBytes/8, 64<<10))
		}
	}
	if o.TailBytes == 0 {
		o.TailBytes = DefaultTailBytes
	}
	if o.BufferBytes == 0 {
		o.BufferBytes = DefaultBufferBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return nil
}

// Log is an open journal. It is a store.Log.
type Log struct {
	dir     string
	options Options
	lock    *os.File

	mu      sync.Mutex
	pending []pending
	// buffered is what pending holds per partition, in bytes.
	buffered []int64
	// space is closed when the committer took pending; nil while nobody waits.
	space      chan struct{}
	partitions []partition
	tailBytes  int64
	tailOrder  []uint8 // partitions of the records in the tails, oldest first
	segments   []*segment
	spare      string // a file to recycle, "" for none
	// holds counts those between Hold and Release. While there are any, records
	// wait for the next Release.
	holds int
	// writing: a goroutine, the committer or one in Release, has its turn to use
	// w. wanted: the committer waits for its end. due: so does what a Release
	// found pending.
	writing, wanted, due bool

	closing bool
	closed  chan struct{}

	// wake has room for one: pending is not empty, or the end.
	wake     chan struct{}
	sweep    chan chan struct{}
	stopped  chan struct{}
	once     sync.Once
	closeErr error

	w writer // of the goroutine whose turn it is
}

// pending is a record on its way to the committer.
type pending struct {
	partition int
	enqueued  time.Time
	payload   []byte
	done      func(store.LogRecord, error)
}

// partition is what readers may see of a partition.
type partition struct {
	next     int64
	last     int64 // offset of the newest record, -1 when there never was one
	lastTime time.Time
	// tail holds the newest records, up to next; room is the memory that it
	// wanders through.
	tail, room []store.LogRecord
	// changed is closed with the next durable record; nil while nobody waits.
	changed chan struct{}
}

// remember adds a record to the tail. Where the memory before the tail has become
// half as large as the tail, the tail moves back to its start instead of growing.
func (p *partition) remember(r store.LogRecord) {
	if n := len(p.tail); n == cap(p.tail) {
		if len(p.room) < n+n/2+minTail {
			p.room = make([]store.LogRecord, 2*n+minTail)
		}
		copy(p.room, p.tail)
		clear(p.room[n:])
		p.tail = p.room[:n]
	}
	p.tail = append(p.tail, r)
}

// minTail is the least number of records that a tail has room for.
const minTail = 16

// Partitions returns the number of partitions.
func (l *Log) Partitions() int { return len(l.partitions) }

// Append hands a record to the committer; see store.Log.
func (l *Log) Append(ctx context.Context, p int, enqueued time.Time, payload []byte, done func(store.LogRecord, error)) {
	if done == nil {
		done = func(store.LogRecord, error) {}
	}
	switch {
	case p < 0 || p >= len(l.partitions):
		go done(store.LogRecord{}, fmt.Errorf("%w: %d", ErrPartition, p))
		return
	case len(payload) > MaxPayload:
		go done(store.LogRecord{}, ErrTooLarge)
		return
	}
	l.mu.Lock()
	for l.buffered[p] >= l.options.BufferBytes && !l.closing {
		if l.space == nil {
			l.space = make(chan struct{})
		}
		space := l.space
		l.mu.Unlock()
		l.signal()
		select {
		case <-space:
		case <-ctx.Done():
			go done(store.LogRecord{}, ctx.Err())
			return
		}
		l.mu.Lock()
	}
	if l.closing {
		l.mu.Unlock()
		go done(store.LogRecord{}, store.ErrClosed)
		return
	}
	l.buffered[p] += frameSize(len(payload))
	l.pending = append(l.pending, pending{p, enqueued, payload, done})
	wake := len(l.pending) == 1 && l.holds == 0
	l.mu.Unlock()
	if wake {
		l.signal()
	}
}

// Hold implements store.BatchingLog.
func (l *Log) Hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holds++
}

// Release implements store.BatchingLog. Where storing does not wait for a disk
// and nobody else is at it, it stores what is pending itself: to wake the
// committer, and to have it wake whoever sends the answers, would cost more than
// the writing.
func (l *Log) Release() {
	l.mu.Lock()
	l.holds--
	if len(l.pending) == 0 {
		l.mu.Unlock()
		return
	}
	if l.writing || l.durable() {
		busy := l.writing
		l.due = l.due || busy
		l.mu.Unlock()
		if !busy {
			l.signal()
		}
		return
	}
	batch := l.takeLocked()
	l.mu.Unlock()
	l.commit(batch)
}

func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Wait returns once the partition has a durable record from on.
func (l *Log) Wait(ctx context.Context, p int, from int64) error {
	if p < 0 || p >= len(l.partitions) {
		return fmt.Errorf("%w: %d", ErrPartition, p)
	}
	for {
		l.mu.Lock()
		part := &l.partitions[p]
		if l.isClosed() {
			l.mu.Unlock()
			return store.ErrClosed
		}
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

// Info describes the partition.
func (l *Log) Info(p int) (store.PartitionInfo, error) {
	if p < 0 || p >= len(l.partitions) {
		return store.PartitionInfo{}, fmt.Errorf("%w: %d", ErrPartition, p)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isClosed() {
		return store.PartitionInfo{}, store.ErrClosed
	}
	part := &l.partitions[p]
	return store.PartitionInfo{
		First: l.segments[0].start[p].next, Next: part.next,
		LastOffset: part.last, LastEnqueuedTime: part.lastTime,
	}, nil
}

// Sweep removes what the retention no longer covers. The log does so itself,
// with every round and once a minute; tests and a clock that is advanced by
// hand call it.
func (l *Log) Sweep() {
	finished := make(chan struct{})
	select {
	case l.sweep <- finished:
		<-finished
	case <-l.stopped:
	}
}

// Close stores and acknowledges what was appended, seals nothing and releases
// the files. Everything waiting returns store.ErrClosed.
func (l *Log) Close() error {
	l.once.Do(func() {
		l.mu.Lock()
		l.closing = true
		if l.space != nil {
			close(l.space)
			l.space = nil
		}
		l.mu.Unlock()
		l.signal()
		<-l.stopped
		l.mu.Lock()
		defer l.mu.Unlock()
		close(l.closed)
		if l.w.broken == nil && l.options.Durability != store.DurabilityNone {
			l.closeErr = syncData(l.w.segment.file)
		}
		for _, s := range l.segments {
			l.closeErr = errors.Join(l.closeErr, s.file.Close())
		}
		l.closeErr = errors.Join(l.closeErr, l.lock.Close())
	})
	return l.closeErr
}

func (l *Log) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}
