package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/store"
)

// positions around a record, and what is the first to read from each: the
// records of a partition are in order, so a scan of them all is the truth.
func positions(r store.LogRecord) []store.Position {
	var all []store.Position
	for _, inclusive := range []bool{false, true} {
		for _, d := range []int64{-1, 0, 1} {
			all = append(all,
				store.Position{Kind: store.PositionSequenceNumber, Value: r.SequenceNumber + d, Inclusive: inclusive},
				store.Position{Kind: store.PositionOffset, Value: r.Offset + d, Inclusive: inclusive},
				store.Position{Kind: store.PositionEnqueuedTime, Time: r.EnqueuedTime.Add(time.Duration(d) * time.Millisecond), Inclusive: inclusive})
		}
	}
	return all
}

func firstToRead(kept []store.LogRecord, info store.PartitionInfo, at store.Position) int64 {
	for i := range kept {
		r := &kept[i]
		var greater, equal bool
		switch at.Kind {
		case store.PositionSequenceNumber:
			greater, equal = r.SequenceNumber > at.Value, r.SequenceNumber == at.Value
		case store.PositionOffset:
			greater, equal = r.Offset > at.Value, r.Offset == at.Value
		case store.PositionEnqueuedTime:
			greater, equal = r.EnqueuedTime.After(at.Time), r.EnqueuedTime.Equal(at.Time)
		}
		if greater || equal && at.Inclusive {
			return r.SequenceNumber
		}
	}
	return info.Next
}

func checkFind(t testing.TB, l store.Log, p int, kept []store.LogRecord, at store.Position) {
	t.Helper()
	info, err := l.Info(p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := l.Find(context.Background(), p, at)
	if want := firstToRead(kept, info, at); err != nil || got != want {
		t.Fatalf("%+v: %d, %v; want %d", at, got, err, want)
	}
}

func testLogFind(f *logFixture) {
	// Enough for several segments of a backend that is set to small ones.
	f.open(LogOptions{Partitions: 2})
	payload := string(make([]byte, 3000))
	at := start()
	for i := range 300 {
		// Several records share a time, and the second partition has few.
		if i%3 == 0 {
			at = at.Add(10 * time.Millisecond)
		}
		f.append(0, at, payload)
		if i%100 == 50 {
			f.append(1, at, "sparse")
		}
	}
	for range 2 {
		for p := range 2 {
			kept := f.readAll(p, 0, 100)
			for i, r := range kept {
				if p == 1 || i%7 == 0 || i == len(kept)-1 {
					for _, at := range positions(r) {
						checkFind(f.t, f.Log, p, kept, at)
					}
				}
			}
			info := f.info(p)
			for kind, want := range map[store.PositionKind]int64{store.PositionEarliest: info.First, store.PositionLatest: info.Next} {
				if got, err := f.Find(context.Background(), p, store.Position{Kind: kind}); err != nil || got != want {
					f.t.Errorf("%s: %d, %v; want %d", kind, got, err, want)
				}
			}
		}
		f.reopen()
	}
	if _, err := f.Find(context.Background(), 2, store.Position{Kind: store.PositionLatest}); err == nil {
		f.t.Error("a partition that is not there was searched")
	}
	if _, err := f.Find(context.Background(), 0, store.Position{Kind: "middle"}); err == nil {
		f.t.Error("an unknown kind was taken")
	}
}
