// Package bolt keeps records, queues and documents in one bbolt file.
//
// One committer goroutine writes: it gathers what waits, commits it in a single
// transaction and then answers all of it. Nothing is acknowledged before the
// commit that holds it. Reads go to a bounded cache of decoded records and to
// short read transactions.
package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/hubnerite/hubnerite/store"
)

// Errors of Open.
var (
	// ErrLocked: another process has the file open.
	ErrLocked = store.ErrLocked
	// ErrNewerSchema: a newer version of this program wrote the file.
	ErrNewerSchema = errors.New("bolt: the file was written by a newer version")
)

// schemaVersion is the layout of the file that this package writes.
const schemaVersion = 1

// Names of the buckets and of the keys in meta.
const (
	bucketMeta      = "meta"
	bucketRecords   = "records"
	bucketQueues    = "queues"
	bucketDocuments = "documents"
	keySchema       = "schema"
	keyCounts       = "counts"
)

// Options of a Store. The zero value works.
type Options struct {
	// Durability of acknowledged writes; "" is store.DurabilityOS. The mode none
	// behaves as os: it would save nothing, since a commit without a sync is one
	// write. In both a power cut may damage the file, which Open then reports.
	Durability store.Durability
	// LockTimeout is how long Open waits for another process to let go of the
	// file; 0 is one second.
	LockTimeout time.Duration
	// CacheBytes bounds the encoded size of the records that are kept decoded in
	// memory, where they take about three times as much; 0 is 64 MiB.
	CacheBytes int64
	// CompactBytes is the size in bytes from which a file that is more than half
	// empty is rewritten by Open; 0 is 16 MiB.
	CompactBytes int64
	// Logger hears of compaction and of failing commits; nil is silence.
	Logger *slog.Logger
}

// Store is an open file. Its parts may be used from any number of goroutines.
type Store struct {
	db     *bbolt.DB
	log    *slog.Logger
	cache  *cache
	names  queueNames
	noSync bool

	mu      sync.Mutex
	pending []*operation
	closed  bool
	// wake has room for one: there is something pending, or the end.
	wake    chan struct{}
	stopped chan struct{}
	counts  store.Counts // as of the last commit, under mu

	closing sync.Once
	closeEr error
	backups sync.Mutex
}

// Open opens or creates the file at path, in a folder that exists. It reads no
// records, whatever their number, only the names of queues. It returns ErrLocked when another process
// has the file open and ErrNewerSchema when it cannot read the layout.
//
// A file that was not closed makes bbolt walk its pages to find the free ones,
// about 0.2 s per GB; Close stores that list.
func Open(path string, o Options) (*Store, error) {
	if o.Durability == "" {
		o.Durability = store.DurabilityOS
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = time.Second
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	if o.CompactBytes == 0 {
		o.CompactBytes = 16 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	db, err := openFile(path, o)
	if err != nil {
		return nil, err
	}
	if db, err = compact(db, path, o); err != nil {
		return nil, err
	}
	s := &Store{
		db: db, log: o.Logger, cache: newCache(o.CacheBytes), noSync: db.NoSync,
		wake: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("bolt: open %s: %w", path, err), db.Close())
	}
	if o.Durability == store.DurabilityFsync {
		if err := syncDir(filepath.Dir(path)); err != nil {
			return nil, errors.Join(fmt.Errorf("bolt: open %s: %w", path, err), db.Close())
		}
	}
	if err := db.View(s.names.load); err != nil {
		return nil, errors.Join(fmt.Errorf("bolt: open %s: %w", path, err), db.Close())
	}
	go s.commitLoop()
	return s, nil
}

// openFile opens the database and makes sure that it is the file at path: one
// that waited for the lock may have been replaced by a compaction meanwhile.
func openFile(path string, o Options) (*bbolt.DB, error) {
	for range 3 {
		var file *os.File
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout: o.LockTimeout, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType,
			NoSync: o.Durability != store.DurabilityFsync, NoGrowSync: o.Durability != store.DurabilityFsync,
			OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
				f, err := os.OpenFile(name, flag, mode)
				file = f
				return f, err
			},
		})
		switch {
		case errors.Is(err, bolterrors.ErrTimeout):
			return nil, fmt.Errorf("bolt: open %s: %w", path, ErrLocked)
		case err != nil:
			return nil, fmt.Errorf("bolt: open %s: %w", path, err)
		}
		mine, err := file.Stat()
		if err == nil {
			var named os.FileInfo
			if named, err = os.Stat(path); err == nil && os.SameFile(mine, named) {
				return db, nil
			}
		}
		if err := db.Close(); err != nil {
			return nil, fmt.Errorf("bolt: open %s: %w", path, err)
		}
	}
	return nil, fmt.Errorf("bolt: open %s: %w", path, ErrLocked)
}

// dataBuckets are the buckets besides meta. Those that an older version did not
// know are added without a new schema version: it passes them over.
func dataBuckets() []string { return []string{bucketRecords, bucketQueues, bucketDocuments} }

// prepare creates the buckets of a new file, checks the schema of an old one
// and reads the counts.
func (s *Store) prepare() error {
	ready := false
	err := s.db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket([]byte(bucketMeta))
		if meta == nil {
			return nil
		}
		if v := meta.Get([]byte(keySchema)); len(v) != 8 {
			return errors.New("the file holds no schema version: not ours, or damaged")
		} else if n := binary.BigEndian.Uint64(v); n > schemaVersion {
			return fmt.Errorf("%w: layout %d, this one reads up to %d", ErrNewerSchema, n, schemaVersion)
		}
		for _, name := range dataBuckets() {
			if tx.Bucket([]byte(name)) == nil {
				return nil
			}
		}
		var ok bool
		s.counts, ok = decodeCounts(meta.Get([]byte(keyCounts)))
		ready = ok
		return nil
	})
	if err != nil || ready {
		return err
	}
	return s.db.Update(func(tx *bbolt.Tx) error {
		for _, name := range append(dataBuckets(), bucketMeta) {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		counts, err := recount(tx)
		if err != nil {
			return err
		}
		s.counts = counts
		meta := tx.Bucket([]byte(bucketMeta))
		if err := meta.Put([]byte(keyCounts), encodeCounts(counts)); err != nil {
			return err
		}
		return meta.Put([]byte(keySchema), binary.BigEndian.AppendUint64(nil, schemaVersion))
	})
}

// Records returns the identities and twins.
func (s *Store) Records() store.Records { return (*records)(s) }

// Queues returns the queues.
func (s *Store) Queues() store.Queues { return (*queues)(s) }

// Documents returns the hub's own small records.
func (s *Store) Documents() store.Documents { return (*documents)(s) }

// Close commits what waits, writes everything to the disk in every mode and
// closes the file. Later operations return store.ErrClosed.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.signal()
		<-s.stopped
		// The free list makes the next start fast. Failing to store it loses nothing.
		s.db.NoFreelistSync = false
		err := s.db.Update(func(*bbolt.Tx) error { return nil })
		if s.noSync {
			err = errors.Join(err, s.db.Sync())
		}
		s.closeEr = errors.Join(err, s.db.Close())
	})
	return s.closeEr
}

// view runs f in a read transaction unless the store or ctx has ended.
func (s *Store) view(ctx context.Context, f func(tx *bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.db.View(f)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return store.ErrClosed
	}
	return err
}

// ended returns store.ErrClosed after Close.
func (s *Store) ended() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	return nil
}
