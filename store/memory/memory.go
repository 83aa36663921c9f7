// Package memory is a store that keeps nothing: everything lives in the process
// and is gone when it ends. It serves the emulator's in-memory mode and tests.
//
// It starts no goroutine of its own while idle, so that it can be used in
// synctest bubbles and left unclosed.
package memory

import (
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/store"
)

// Defaults of Options.
const (
	DefaultPartitions = 4
	DefaultMaxBytes   = 256 << 20
	DefaultRetention  = 24 * time.Hour
)

// Options of a Store. The zero value works.
type Options struct {
	// Partitions of the log; 0 is DefaultPartitions.
	Partitions int
	// MaxBytes bounds the payloads, each with a small overhead, that the log
	// keeps over all partitions; the oldest go first. 0 is DefaultMaxBytes. The
	// newest record is always kept.
	MaxBytes int64
	// Retention is how long the log keeps a record; 0 is DefaultRetention,
	// negative is forever.
	Retention time.Duration
	// Now is the clock of the retention; nil is time.Now.
	Now func() time.Time
}

// Store keeps records, queues, documents and a log in memory. Its parts may be used from
// any number of goroutines.
type Store struct {
	data *data
	log  *telemetry
}

// New returns an empty store.
func New(o Options) *Store {
	if o.Partitions <= 0 {
		o.Partitions = DefaultPartitions
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Retention == 0 {
		o.Retention = DefaultRetention
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Store{data: newData(), log: newTelemetry(o)}
}

// Records returns the identities and twins.
func (s *Store) Records() store.Records { return (*records)(s.data) }

// Queues returns the queues.
func (s *Store) Queues() store.Queues { return (*queues)(s.data) }

// Documents returns the hub's own small records.
func (s *Store) Documents() store.Documents { return (*documents)(s.data) }

// Log returns the telemetry log.
func (s *Store) Log() store.Log { return s.log }

// Close makes every later operation, on the log too, return store.ErrClosed.
func (s *Store) Close() error {
	s.data.close()
	return s.log.Close()
}

// runner runs functions one after the other, in order, on a goroutine that
// exists only while there is something to run. Callers may hold locks.
type runner struct {
	mu      sync.Mutex
	queue   []func()
	running bool
}

func (r *runner) post(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = append(r.queue, f)
	if !r.running {
		r.running = true
		go r.run()
	}
}

func (r *runner) run() {
	for {
		r.mu.Lock()
		batch := r.queue
		r.queue = nil
		if len(batch) == 0 {
			r.running = false
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		for _, f := range batch {
			f()
		}
	}
}
