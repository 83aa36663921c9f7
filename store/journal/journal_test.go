package journal

import (
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/store"
	"github.com/hubnerite/hubnerite/store/storetest"
)

func TestContract(t *testing.T) {
	small := Options{TailBytes: 1, SegmentBytes: 48 << 10, BufferBytes: 1 << 10} // many segments, and all reads from them
	for _, mode := range []struct {
		durability store.Durability
		options    Options
	}{{store.DurabilityNone, Options{}}, {store.DurabilityOS, small}, {store.DurabilityFsync, small}} {
		t.Run(string(mode.durability), func(t *testing.T) {
			storetest.RunLog(t, storetest.LogBackend{Durable: true, Open: func(dir string, asked storetest.LogOptions) (store.Log, error) {
				o := mode.options
				o.Durability, o.Partitions, o.MaxBytes, o.Now = mode.durability, asked.Partitions, asked.MaxBytes, asked.Now
				if o.Retention = asked.Retention; o.Retention == 0 {
					o.Retention = -1 // the suite's times are of the past
				}
				return Open(dir, o)
			}})
		})
	}
}

// TestHold: records wait for the Release of who holds, whoever appended them, but
// not for ever when the buffer is full.
func TestHold(t *testing.T) {
	l, err := Open(t.TempDir(), Options{BufferBytes: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	stored := make(chan struct{}, 100)
	add := func(size int) {
		l.Append(t.Context(), 0, time.Now(), make([]byte, size), func(_ store.LogRecord, err error) {
			if err != nil {
				t.Error(err)
			}
			stored <- struct{}{}
		})
	}
	l.Hold()
	l.Hold()
	add(10)
	add(10)
	l.mu.Lock()
	waiting := len(l.pending)
	l.mu.Unlock()
	if waiting != 2 {
		t.Errorf("%d records wait, want 2", waiting)
	}
	l.Release()
	<-stored
	<-stored
	add(1 << 10)
	add(1 << 10) // waits for room, which makes the committer go
	<-stored
	l.Release()
	<-stored
}
