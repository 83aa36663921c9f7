package journal

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/store"
)

// BenchmarkAppend appends batches of 256-byte payloads and waits for each.
func BenchmarkAppend(b *testing.B) {
	benchmarkAppend(b, func(*Log) {}, func(*Log) {})
}

// BenchmarkAppendHeld is BenchmarkAppend of a sender that announces its batches.
func BenchmarkAppendHeld(b *testing.B) {
	benchmarkAppend(b, (*Log).Hold, (*Log).Release)
}

func benchmarkAppend(b *testing.B, before, after func(*Log)) {
	for _, mode := range []store.Durability{store.DurabilityNone, store.DurabilityOS, store.DurabilityFsync} {
		for _, batch := range []int{1, 10, 100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", mode, batch), func(b *testing.B) {
				l := mustOpen(b, b.TempDir(), Options{Durability: mode})
				payload := make([]byte, 256)
				var acknowledged sync.WaitGroup
				done := func(_ store.LogRecord, err error) {
					if err != nil {
						b.Error(err)
					}
					acknowledged.Done()
				}
				now := time.Now()
				b.ReportAllocs()
				b.ResetTimer()
				for i := 0; i < b.N; {
					n := min(batch, b.N-i)
					acknowledged.Add(n)
					before(l)
					for range n {
						l.Append(context.Background(), i%4, now, payload, done)
						i++
					}
					after(l)
					acknowledged.Wait()
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			})
		}
	}
}

// BenchmarkRead reads pages of 100 records.
func BenchmarkRead(b *testing.B) {
	for name, tail := range map[string]int64{"memory": 0, "segments": 1} {
		b.Run(name, func(b *testing.B) {
			const records = 20000
			l := mustOpen(b, b.TempDir(), Options{TailBytes: tail})
			var acknowledged sync.WaitGroup
			acknowledged.Add(records)
			for range records {
				l.Append(context.Background(), 0, time.Now(), make([]byte, 256), func(store.LogRecord, error) { acknowledged.Done() })
			}
			acknowledged.Wait()
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				if _, err := l.Read(context.Background(), 0, int64(i*100%records), 100); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEncodeFrame and BenchmarkDecodeFrame are a record's layout in a segment, checksum included.
func BenchmarkEncodeFrame(b *testing.B) {
	r := store.LogRecord{Partition: 1, SequenceNumber: 1, Offset: 1, EnqueuedTime: time.Now(), Payload: make([]byte, 256)}
	salt := salt(1)
	var frame []byte
	b.SetBytes(frameSize(len(r.Payload)))
	b.ReportAllocs()
	for b.Loop() {
		frame = appendFrame(frame[:0], salt, r)
	}
}

func BenchmarkDecodeFrame(b *testing.B) {
	salt := salt(1)
	frame := appendFrame(nil, salt, store.LogRecord{Partition: 1, Payload: make([]byte, 256)})
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if r, n, ok := parseHeader(frame, 4); !ok || n != 256 || r.Partition != 1 || !whole(salt, frame) {
			b.Fatal("not what was encoded")
		}
	}
}
