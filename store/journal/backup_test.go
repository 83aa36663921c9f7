package journal

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/store"
)

// A backup holds all that was acknowledged before it, over several segments, while others go on to append and segments
// are dropped; and it can be appended to.
func TestBackup(t *testing.T) {
	for _, durability := range []store.Durability{store.DurabilityOS, store.DurabilityFsync} {
		t.Run(string(durability), func(t *testing.T) {
			dir := t.TempDir()
			o := Options{Durability: durability, Partitions: 2, SegmentBytes: 16 << 10, MaxBytes: 256 << 10, Retention: -1}
			l, err := Open(filepath.Join(dir, "log"), o)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			payload := make([]byte, 1000)
			append1 := func(l *Log) store.LogRecord {
				done := make(chan store.LogRecord, 1)
				l.Append(context.Background(), 0, time.Now(), payload, func(r store.LogRecord, err error) {
					if err != nil {
						t.Error(err)
					}
					done <- r
				})
				return <-done
			}
			for range 100 {
				append1(l)
			}
			stop := make(chan struct{})
			var busy sync.WaitGroup
			busy.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						append1(l)
					}
				}
			})
			for i := range 5 {
				last := append1(l).SequenceNumber
				copied := filepath.Join(dir, fmt.Sprint("copy", i))
				if err := l.Backup(copied); err != nil {
					t.Fatal(err)
				}
				c, err := Open(copied, o)
				if err != nil {
					t.Fatal(err)
				}
				info, err := c.Info(0)
				if err != nil || info.Next <= last {
					t.Errorf("the backup ends at %d, want more than %d; %v", info.Next, last, err)
				}
				for at := info.First; at < info.Next; {
					list, err := c.Read(context.Background(), 0, at, 1000)
					if err != nil || len(list) == 0 || list[0].SequenceNumber != at {
						t.Fatalf("read from %d: %d records, %v", at, len(list), err)
					}
					at = list[len(list)-1].SequenceNumber + 1
				}
				if next := append1(c).SequenceNumber; next != info.Next {
					t.Errorf("the next record is %d, want %d", next, info.Next)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
			close(stop)
			busy.Wait()
			if err := l.Backup(filepath.Join(dir, "copy0")); err == nil {
				t.Error("a backup overwrote another")
			}
		})
	}
}
