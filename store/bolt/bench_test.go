package bolt

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// BenchmarkPut updates records, each writer its own.
func BenchmarkPut(b *testing.B) {
	for _, mode := range []store.Durability{store.DurabilityOS, store.DurabilityFsync} {
		for _, writers := range []int{1, 10, 100} {
			b.Run(fmt.Sprintf("%s/%d", mode, writers), func(b *testing.B) {
				s := mustOpen(b, filepath.Join(b.TempDir(), "hub.db"), Options{Durability: mode})
				var left atomic.Int64
				left.Store(int64(b.N))
				var group sync.WaitGroup
				for w := range writers {
					group.Go(func() {
						r := newRecord(fmt.Sprint("device-", w))
						for left.Add(-1) >= 0 {
							var err error
							if r.Revision, err = s.Records().Put(context.Background(), r); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				group.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
			})
		}
	}
}

// BenchmarkGet reads records from memory and from the file.
func BenchmarkGet(b *testing.B) {
	for name, cacheBytes := range map[string]int64{"memory": 0, "file": 1} {
		b.Run(name, func(b *testing.B) {
			s := mustOpen(b, filepath.Join(b.TempDir(), "hub.db"), Options{CacheBytes: cacheBytes})
			fill(b, s, 1000)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				id := iothub.ID{DeviceID: fmt.Sprintf("device-%07d", i%1000)}
				if _, err := s.Records().Get(context.Background(), id); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpen opens a file with many devices.
func BenchmarkOpen(b *testing.B) {
	for _, devices := range []int{0, 10_000, 100_000} {
		b.Run(fmt.Sprint(devices), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "hub.db")
			s := mustOpen(b, path, Options{})
			fill(b, s, devices)
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			for range b.N {
				s, err := Open(path, Options{})
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}
