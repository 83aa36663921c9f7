package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubnerite/hubnerite/store"
)

func testLogDone(f *logFixture) {
	f.open(LogOptions{Partitions: 2})
	const records = 500
	var got [2][]int64
	var finished sync.WaitGroup
	var mu sync.Mutex
	for i := range records {
		finished.Add(1)
		p := i % 2
		f.Append(context.Background(), p, start(), []byte{byte(i)}, func(r store.LogRecord, err error) {
			defer finished.Done()
			mu.Lock()
			defer mu.Unlock()
			if err != nil || r.Partition != p || r.Payload[0] != byte(i) {
				f.t.Errorf("record %d: %+v, %v", i, r, err)
			}
			got[p] = append(got[p], r.SequenceNumber)
		})
	}
	f.Append(context.Background(), 0, start(), nil, nil)
	finished.Wait()
	for p := range got {
		for i, n := range got[p] {
			if n != int64(i) {
				f.t.Fatalf("partition %d: done number %d is of record %d", p, i, n)
			}
		}
	}
}

func testLogConcurrent(f *logFixture) {
	f.open(LogOptions{Partitions: 4})
	const writers, each = 8, 300
	ctx := context.Background()
	var writing, reading, acknowledged sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				acknowledged.Add(1)
				f.Append(ctx, w%4, start(), fmt.Appendf(nil, "%d %d", w, i), func(_ store.LogRecord, err error) {
					if err != nil {
						f.t.Errorf("append: %v", err)
					}
					acknowledged.Done()
				})
			}
		})
	}
	for p := range 4 {
		reading.Go(func() {
			next := map[int]int{}
			for from := int64(0); from < writers/4*each; {
				if err := f.Wait(ctx, p, from); err != nil {
					f.t.Errorf("wait: %v", err)
					return
				}
				records, err := f.Read(ctx, p, from, 64)
				if err != nil || len(records) == 0 {
					f.t.Errorf("read after wait: %d records, %v", len(records), err)
					return
				}
				for _, r := range records {
					var w, i int
					if _, err := fmt.Sscan(string(r.Payload), &w, &i); err != nil || r.SequenceNumber != from || i != next[w] {
						f.t.Errorf("record %d, want %d: %q, want number %d of that writer", r.SequenceNumber, from, r.Payload, next[w])
						return
					}
					next[w]++
					from++
				}
			}
		})
	}
	writing.Wait()
	acknowledged.Wait()
	reading.Wait()
}

func testLogSize(f *logFixture) {
	const limit, size, records = 1 << 20, 10 << 10, 600
	f.open(LogOptions{Partitions: 2, MaxBytes: limit})
	payload := make([]byte, size)
	var offset int64
	for i := range records {
		offset = f.append(0, start(), string(payload)).Offset
		if i%200 == 199 {
			f.reopen()
		}
	}
	info := f.info(0)
	if info.Next != records || info.LastOffset != offset {
		f.t.Errorf("%+v", info)
	}
	if kept := (info.Next - info.First) * size; kept > 2*limit || kept < limit/4 {
		f.t.Errorf("%d bytes kept, limit %d", kept, limit)
	}
	// Older ones are gone: then from the oldest kept.
	if got := f.read(0, 0, 1); len(got) != 1 || got[0].SequenceNumber != info.First {
		f.t.Errorf("read from 0 gives %d records, first kept is %d", len(got), info.First)
	}
	if got := f.readAll(0, info.First-5, 100); int64(len(got)) != info.Next-info.First {
		f.t.Errorf("%d records read, %d kept", len(got), info.Next-info.First)
	}
	if err := f.Wait(context.Background(), 0, 1); err != nil {
		f.t.Errorf("wait for a record that is gone: %v", err)
	}
}

func testLogAge(f *logFixture) {
	var minutes atomic.Int64
	now := func() time.Time { return start().Add(time.Duration(minutes.Load()) * time.Minute) }
	f.open(LogOptions{Partitions: 2, Retention: time.Hour, Now: now})
	var last store.LogRecord
	for range 10 {
		last = f.append(0, now(), "old")
	}
	f.append(1, now(), "old")
	minutes.Store(150)
	fresh := f.append(0, now(), "fresh")
	if fresh.SequenceNumber != 10 || fresh.Offset <= last.Offset {
		f.t.Errorf("%+v after %+v", fresh, last)
	}
	for range 2 {
		if got := f.readAll(0, 0, 10); len(got) != 1 || got[0].SequenceNumber != 10 {
			f.t.Errorf("%d records are left", len(got))
		}
		if info := f.info(0); info.First != 10 || info.Next != 11 {
			f.t.Errorf("%+v", info)
		}
		if info := f.info(1); info.First != 1 || info.Next != 1 || info.LastOffset < 0 || !info.LastEnqueuedTime.Equal(start()) {
			f.t.Errorf("emptied partition: %+v", info)
		}
		if got := f.readAll(1, 0, 10); len(got) != 0 {
			f.t.Errorf("%d records are left of the other partition", len(got))
		}
		f.reopen()
	}
	if r := f.append(1, now(), "next"); r.SequenceNumber != 1 || r.Offset <= 0 {
		f.t.Errorf("first record of the emptied partition: %+v", r)
	}
}

func testLogRefusals(f *logFixture) {
	f.open(LogOptions{Partitions: 2})
	for _, p := range []int{-1, 2} {
		if _, err := appendTo(f.Log, p, start(), "x"); err == nil {
			f.t.Errorf("append to partition %d is taken", p)
		}
		if _, err := f.Read(context.Background(), p, 0, 1); err == nil {
			f.t.Errorf("read of partition %d", p)
		}
		if _, err := f.Info(p); err == nil {
			f.t.Errorf("info of partition %d", p)
		}
		if err := f.Wait(context.Background(), p, 0); err == nil {
			f.t.Errorf("wait for partition %d", p)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.Read(ctx, 0, 0, 1); !errors.Is(err, context.Canceled) {
		f.t.Errorf("read with an ended context: %v", err)
	}
}

func testLogClosed(f *logFixture) {
	f.open(LogOptions{Partitions: 2})
	// What was appended before the end is stored and acknowledged.
	var acknowledged atomic.Int64
	const records = 100
	for range records {
		f.Append(context.Background(), 0, start(), []byte("x"), func(_ store.LogRecord, err error) {
			if err == nil {
				acknowledged.Add(1)
			}
		})
	}
	waiting := make(chan error, 1)
	go func() { waiting <- f.Wait(context.Background(), 1, 0) }()
	if err := f.Close(); err != nil {
		f.t.Fatalf("close: %v", err)
	}
	if err := f.Close(); err != nil {
		f.t.Errorf("second close: %v", err)
	}
	if err := <-waiting; !errors.Is(err, store.ErrClosed) {
		f.t.Errorf("wait over the end: %v", err)
	}
	if _, err := appendTo(f.Log, 0, start(), "x"); !errors.Is(err, store.ErrClosed) {
		f.t.Errorf("append: %v", err)
	}
	if _, err := f.Read(context.Background(), 0, 0, 1); !errors.Is(err, store.ErrClosed) {
		f.t.Errorf("read: %v", err)
	}
	if _, err := f.Info(0); !errors.Is(err, store.ErrClosed) {
		f.t.Errorf("info: %v", err)
	}
	if f.backend.Durable {
		if n := acknowledged.Load(); n != records {
			f.t.Errorf("%d of %d records were acknowledged by the end of Close", n, records)
		}
		f.open(f.options)
		if got := f.readAll(0, 0, 30); len(got) != records {
			f.t.Errorf("%d of %d records are there", len(got), records)
		}
	}
}
