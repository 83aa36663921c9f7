// Package store states what the hub asks of storage, as small operations that
// an embedded database and a distributed one can both offer: records written
// under an expected revision, per-device queues, and an append-only partitioned
// log. No transaction crosses this contract.
//
// Package storetest is the executable form of the contract. store/bolt and
// store/journal are the embedded implementations, store/memory keeps nothing.
package store

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// Errors of the contract. Anything else that an operation returns is a fault of
// the storage itself.
var (
	// ErrNotFound: there is no record or entry under that key.
	ErrNotFound = errors.New("store: not found")
	// ErrExists: a record to be created is there already.
	ErrExists = errors.New("store: exists")
	// ErrConflict: the record has another revision than expected.
	ErrConflict = errors.New("store: revision conflict")
	// ErrClosed: the store is closed.
	ErrClosed = errors.New("store: closed")
	// ErrLocked: another process has the stored files open. Only opening returns it.
	ErrLocked = errors.New("store: in use by another process")
)

// Durability is how safe a write is before it is acknowledged.
type Durability string

// The three modes.
const (
	// DurabilityNone acknowledges what is in memory; a killed process may lose it.
	DurabilityNone Durability = "none"
	// DurabilityOS acknowledges what the operating system has; a killed process
	// loses nothing, a power cut may.
	DurabilityOS Durability = "os"
	// DurabilityFsync acknowledges what is on the disk.
	DurabilityFsync Durability = "fsync"
)

// Record is an identity with its twin, written and deleted as one.
type Record struct {
	Identity iothub.Identity
	Twin     iothub.Twin
	// MQTTSession holds the subscriptions of the identity's persistent MQTT
	// session, topic filter to granted QoS; nil when it has no session.
	MQTTSession map[string]byte
	// Revision counts the writes of this record, from 1. Put sets it.
	Revision uint64
}

// Records keeps identities and twins.
type Records interface {
	// Get returns the record of id, or ErrNotFound. The caller must not change
	// what the record's maps, slices and pointers lead to.
	Get(ctx context.Context, id iothub.ID) (Record, error)
	// Put writes r durably under r.Identity.ID when the stored revision is
	// r.Revision, and returns the new revision. Revision 0 creates: ErrExists
	// when there is one. Otherwise ErrConflict or ErrNotFound when the stored
	// revision differs or there is none. A module needs its device: ErrNotFound.
	Put(ctx context.Context, r Record) (uint64, error)
	// PutMany does a Put of each record, in their order and each for itself, in as
	// few commits as it can, and returns when all are durable or refused: the
	// errors of the records by their place, nil for one that was written, which
	// then has the revision given plus one. The same record may come twice. Who
	// wraps Records must treat each record that was written like one of Put.
	PutMany(ctx context.Context, records []Record) []error
	// Delete removes the record when its revision is the given one (0: any).
	// With a device go its modules, and with each identity its queue.
	Delete(ctx context.Context, id iothub.ID, revision uint64) error
	// List returns up to limit records (at least 1) in key order: by device ID,
	// a device before its modules, those by module ID. resume is the next value
	// of the page before, "" for the first; next is "" after the last page, and
	// any text is a valid resume. Records written meanwhile appear or not; none
	// is returned twice.
	List(ctx context.Context, filter ListFilter, resume string, limit int) (records []Record, next string, err error)
	// Count returns the number of records that each filter would list.
	Count(ctx context.Context) (Counts, error)
}

// ListFilter narrows a listing. The zero value lists all devices and modules.
type ListFilter struct {
	// Kind is "devices", "modules" or "" for both.
	Kind string
	// DeviceID, if set, lists only that device and its modules.
	DeviceID string
}

// Counts of stored identities.
type Counts struct {
	Devices, DisabledDevices, Modules int
}

// Entry is a queued payload.
type Entry struct {
	// Number rises strictly within a queue, from 1, and is never used again
	// while the queue's identity exists, not even after a restart.
	Number  uint64
	Payload []byte
}

// Queues keeps small ordered queues of opaque payloads. A queue is named by a
// text: QueueName(id) for the cloud-to-device queue of an identity (deleted
// with its record), or any name that starts with "/", which no identity's name
// does, for the hub's own.
//
// An operation whose ctx ends while it waits returns the error of ctx; it may
// take effect all the same. This holds for Records too.
type Queues interface {
	// Append adds payload at the end, durably, and returns its number, or
	// ErrNotFound when the identity that the queue belongs to does not exist: a
	// message must not outlive its device and reach the next one of that name.
	Append(ctx context.Context, queue string, payload []byte) (uint64, error)
	// Load returns all entries of the queue in order; none for an unknown queue.
	Load(ctx context.Context, queue string) ([]Entry, error)
	// Replace changes the payload of an entry, or returns ErrNotFound.
	Replace(ctx context.Context, queue string, number uint64, payload []byte) error
	// Remove deletes entries, durably; unknown numbers are passed over.
	Remove(ctx context.Context, queue string, numbers ...uint64) error
	// Move deletes an entry and appends payload to another queue in one atomic
	// step, so that the end of a message and its feedback are one event. It
	// returns ErrNotFound, and appends nothing, when the entry is gone or the
	// other queue's identity does not exist.
	Move(ctx context.Context, queue string, number uint64, to string, payload []byte) (uint64, error)
	// RemoveAsync is Remove without waiting: done (may be nil) runs once the
	// removal is durable or has failed, on a goroutine of the store, and must
	// not block. For protocol callbacks.
	RemoveAsync(queue string, number uint64, done func(error))
	// MoveAsync is Move without waiting, under the same rules.
	MoveAsync(queue string, number uint64, to string, payload []byte, done func(uint64, error))
}

// QueueName returns the name of the cloud-to-device queue of id.
func QueueName(id iothub.ID) string { return id.String() }

// Document is one of the hub's own small records: a configuration, a job.
type Document struct {
	Key     string
	Payload []byte
	// Revision counts the writes of the document, from 1.
	Revision uint64
}

// Documents keeps opaque payloads under keys, in collections that exist as soon
// as they are named. Collections and keys are texts of 1 to 1024 bytes without
// 0x00. A caller may keep and change what it passed in and what it got.
//
// An operation whose ctx ends while it waits may take effect all the same.
type Documents interface {
	// GetDocument returns a document, or ErrNotFound.
	GetDocument(ctx context.Context, collection, key string) (Document, error)
	// PutDocument writes d durably when the stored revision is d.Revision, and
	// returns the new revision. Revision 0 creates: ErrExists when there is one.
	// Otherwise ErrConflict or ErrNotFound when the stored revision differs or
	// there is none.
	PutDocument(ctx context.Context, collection string, d Document) (uint64, error)
	// DeleteDocument removes a document when its revision is the given one (0: any).
	// Errors: ErrNotFound, ErrConflict.
	DeleteDocument(ctx context.Context, collection, key string, revision uint64) error
	// ListDocuments returns up to limit documents (at least 1) of which the key
	// begins with prefix, in the byte order of the keys. resume is the next value of
	// the page before, "" for the first; next is "" after the last page, and any text
	// is a valid resume. Documents written meanwhile appear or not; none is returned
	// twice.
	ListDocuments(ctx context.Context, collection, prefix, resume string, limit int) (documents []Document, next string, err error)
}

// LogRecord is one stored telemetry message.
type LogRecord struct {
	Partition int
	// SequenceNumber starts at 0 and rises by one per record of a partition;
	// Offset rises strictly. Neither ever goes back, restarts included. Append
	// sets them.
	SequenceNumber int64
	Offset         int64
	// EnqueuedTime never falls within a partition; Append raises it when the
	// clock went back. Millisecond precision is kept.
	EnqueuedTime time.Time
	Payload      []byte
}

// BatchingLog is a Log that can be told that more is on its way at once.
type BatchingLog interface {
	Log
	// Hold says that the caller is going to append some records in one go, and
	// Release, which must follow soon, that this is all. In between the log may let
	// records gather that it would else store by ones and twos. Release may store
	// what has gathered and run the done of these records, whoever appended them,
	// before it returns: its caller must not hold a lock that they take.
	Hold()
	Release()
}

// PartitionInfo describes a partition of the log.
type PartitionInfo struct {
	// First is the sequence number of the oldest record still kept; Next is the
	// one that the next record will get. First == Next when it is empty.
	First, Next int64
	// LastOffset is the offset of the newest record and LastEnqueuedTime its
	// time; -1 and zero when there never was one.
	LastOffset       int64
	LastEnqueuedTime time.Time
}

// PositionKind says how a Position names a place in a partition.
type PositionKind string

// The kinds of positions.
const (
	// PositionEarliest is the oldest record kept.
	PositionEarliest PositionKind = "earliest"
	// PositionLatest is behind the newest record: what comes next.
	PositionLatest PositionKind = "latest"
	// PositionSequenceNumber and PositionOffset compare Value, PositionEnqueuedTime
	// compares Time.
	PositionSequenceNumber PositionKind = "sequenceNumber"
	PositionOffset         PositionKind = "offset"
	PositionEnqueuedTime   PositionKind = "enqueuedTime"
)

// Position is where to begin to read a partition.
type Position struct {
	Kind  PositionKind
	Value int64
	Time  time.Time
	// Inclusive begins at the record that has exactly Value or Time; otherwise
	// reading begins after it.
	Inclusive bool
}

// Before reports whether r lies before the position, and so is not to be read.
// It is for the kinds that compare; records are in order by each of the three.
func (p Position) Before(r *LogRecord) bool {
	var order int
	switch p.Kind {
	case PositionSequenceNumber:
		order = cmp.Compare(r.SequenceNumber, p.Value)
	case PositionOffset:
		order = cmp.Compare(r.Offset, p.Value)
	case PositionEnqueuedTime:
		order = r.EnqueuedTime.Compare(p.Time)
	}
	return order < 0 || order == 0 && !p.Inclusive
}

// Log is an append-only, partitioned log with retention.
type Log interface {
	// Partitions returns the number of partitions, fixed for a log.
	Partitions() int
	// Append stores a record and calls done exactly once, when the record is as
	// durable as the log's mode says, or with the error. done runs on a
	// goroutine of the log, or of who calls Release of a BatchingLog, and must not
	// block. Append itself returns quickly and never calls done;
	// when the partition's buffer is full it waits, which slows that sender
	// down, until ctx ends. The payload must not be changed afterwards.
	// Records of one partition get their numbers in the order of the calls.
	Append(ctx context.Context, partition int, enqueued time.Time, payload []byte, done func(LogRecord, error))
	// Read returns up to max durable records of the partition from sequence
	// number from on (older ones may be gone: then from the oldest kept). It
	// returns none when from is the next one.
	Read(ctx context.Context, partition int, from int64, max int) ([]LogRecord, error)
	// Find returns the sequence number of the first record to read from position
	// at on: at least First and at most Next of PartitionInfo, which is the
	// answer for a position behind the newest record.
	Find(ctx context.Context, partition int, at Position) (int64, error)
	// Wait returns once the partition has a durable record with a sequence
	// number of at least from, or ctx ends.
	Wait(ctx context.Context, partition int, from int64) error
	// Info describes the partition.
	Info(partition int) (PartitionInfo, error)
	// Close stores what was appended and releases everything.
	Close() error
}
