package storetest

import (
	"context"
	"os"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hubnerite/hubnerite/store"
)

// testLogModel compares random appends, reads and restarts with slices.
func testLogModel(t *testing.T, b LogBackend) {
	const partitions = 3
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "storetest")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		o := LogOptions{Partitions: partitions}
		l, err := b.Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		var truth [partitions][]store.LogRecord
		now := start()
		actions := map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				n := rapid.IntRange(1, 20).Draw(t, "batch")
				done := make(chan store.LogRecord, n)
				for range n {
					now = now.Add(time.Duration(rapid.IntRange(-5, 100).Draw(t, "step")) * time.Millisecond)
					p := rapid.IntRange(0, partitions-1).Draw(t, "partition")
					payload := make([]byte, rapid.SampledFrom([]int{0, 1, 50, 3000, 40000}).Draw(t, "size"))
					for i := range payload {
						payload[i] = byte(i ^ n)
					}
					l.Append(ctx, p, now, payload, func(r store.LogRecord, err error) {
						if err != nil {
							r.SequenceNumber = -1
						}
						done <- r
					})
				}
				for range n {
					r := <-done
					kept := truth[r.Partition]
					if r.SequenceNumber != int64(len(kept)) {
						t.Fatalf("number %d, want %d", r.SequenceNumber, len(kept))
					}
					if len(kept) > 0 && (r.Offset <= kept[len(kept)-1].Offset || r.EnqueuedTime.Before(kept[len(kept)-1].EnqueuedTime)) {
						t.Fatalf("%+v after %+v", r, kept[len(kept)-1])
					}
					truth[r.Partition] = append(kept, r)
				}
			},
			"read": func(t *rapid.T) {
				p := rapid.IntRange(0, partitions-1).Draw(t, "partition")
				from := rapid.Int64Range(-1, int64(len(truth[p]))+1).Draw(t, "from")
				limit := rapid.IntRange(1, 30).Draw(t, "limit")
				got, err := l.Read(ctx, p, from, limit)
				if err != nil {
					t.Fatal(err)
				}
				want := truth[p][min(max(from, 0), int64(len(truth[p]))):]
				// A page may be shorter than asked for, but not empty.
				if len(got) > min(limit, len(want)) || len(got) == 0 && len(want) > 0 {
					t.Fatalf("%d records, want up to %d of %d", len(got), limit, len(want))
				}
				if d := diff(want[:len(got)], got); d != "" {
					t.Fatalf("from %d:\n%s", from, d)
				}
			},
			"find": func(t *rapid.T) {
				p := rapid.IntRange(0, partitions-1).Draw(t, "partition")
				if len(truth[p]) == 0 {
					return
				}
				r := truth[p][rapid.IntRange(0, len(truth[p])-1).Draw(t, "near")]
				at := rapid.SampledFrom(positions(r)).Draw(t, "at")
				got, err := l.Find(ctx, p, at)
				want := firstToRead(truth[p], store.PartitionInfo{Next: int64(len(truth[p]))}, at)
				if err != nil || got != want {
					t.Fatalf("%+v: %d, %v; want %d", at, got, err, want)
				}
			},
			"": func(t *rapid.T) {
				for p := range partitions {
					want := store.PartitionInfo{Next: int64(len(truth[p])), LastOffset: -1}
					if n := len(truth[p]); n > 0 {
						want.LastOffset, want.LastEnqueuedTime = truth[p][n-1].Offset, truth[p][n-1].EnqueuedTime
					}
					got, err := l.Info(p)
					if d := diff(want, got); err != nil || d != "" {
						t.Fatalf("info of %d: %v\n%s", p, err, d)
					}
				}
			},
		}
		if b.Durable {
			actions["reopen"] = func(t *rapid.T) {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				var err error
				if l, err = b.Open(dir, o); err != nil {
					t.Fatal(err)
				}
			}
		}
		t.Repeat(actions)
	})
}
