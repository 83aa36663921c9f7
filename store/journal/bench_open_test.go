package journal

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/store"
)

// BenchmarkOpen opens a journal of many full segments.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	o := Options{SegmentBytes: 1 << 20}
	l := mustOpen(b, dir, o)
	var acknowledged sync.WaitGroup
	for i := range 4000 {
		acknowledged.Add(1)
		l.Append(context.Background(), i%4, time.Now(), make([]byte, 64<<10), func(store.LogRecord, error) { acknowledged.Done() })
	}
	acknowledged.Wait()
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(segments(b, dir))), "segments")
	b.ResetTimer()
	for range b.N {
		l := mustOpen(b, dir, o)
		b.StopTimer()
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
