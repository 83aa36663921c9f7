package journal

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/store"
)

// TestReadersAndRetention reads old records while their segments are dropped
// and recycled: a reader may miss what is gone, but gets nothing wrong.
func TestReadersAndRetention(t *testing.T) {
	for _, mode := range []store.Durability{store.DurabilityOS, store.DurabilityFsync} {
		t.Run(string(mode), func(t *testing.T) {
			l := mustOpen(t, t.TempDir(), Options{
				Partitions: 2, Durability: mode, TailBytes: 1, SegmentBytes: 16 << 10, MaxBytes: 64 << 10, BufferBytes: 8 << 10,
			})
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			var readers, writes sync.WaitGroup
			for p := range 2 {
				readers.Go(func() {
					for from := int64(0); ctx.Err() == nil; {
						records, err := l.Read(ctx, p, from, 20)
						if err != nil {
							if ctx.Err() == nil {
								t.Errorf("read: %v", err)
							}
							return
						}
						for _, r := range records {
							if r.Partition != p || r.SequenceNumber < from || int64(binary.LittleEndian.Uint64(r.Payload)) != r.SequenceNumber {
								t.Errorf("record %d of %d, read from %d: %x", r.SequenceNumber, p, from, r.Payload[:8])
								return
							}
							from = r.SequenceNumber + 1
						}
						if len(records) == 0 {
							from = 0 // from the oldest again
						}
					}
				})
			}
			const records = 3000
			for i := range records {
				payload := make([]byte, 200)
				binary.LittleEndian.PutUint64(payload, uint64(i/2))
				writes.Add(1)
				l.Append(ctx, i%2, time.Now(), payload, func(_ store.LogRecord, err error) {
					if err != nil {
						t.Errorf("append: %v", err)
					}
					writes.Done()
				})
			}
			writes.Wait()
			cancel()
			readers.Wait()
			if info, err := l.Info(0); err != nil || info.First == 0 || info.Next != records/2 {
				t.Errorf("%+v, %v: nothing was dropped", info, err)
			}
		})
	}
}
