package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/store"
)

// RunLog runs the suite of the log.
func RunLog(t *testing.T, b LogBackend) {
	tests := []struct {
		name string
		run  func(*logFixture)
	}{
		{"Order", testLogOrder},
		{"Read", testLogRead},
		{"ReadOld", testLogReadOld},
		{"Find", testLogFind},
		{"TimeNeverFalls", testLogTime},
		{"Reopen", testLogReopen},
		{"Wait", testLogWait},
		{"DoneInOrder", testLogDone},
		{"Concurrent", testLogConcurrent},
		{"RetentionBySize", testLogSize},
		{"RetentionByAge", testLogAge},
		{"Refusals", testLogRefusals},
		{"Closed", testLogClosed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.run(&logFixture{t: t, backend: b, dir: t.TempDir()})
		})
	}
	t.Run("Model", func(t *testing.T) { testLogModel(t, b) })
}

type logFixture struct {
	store.Log
	t       *testing.T
	backend LogBackend
	dir     string
	options LogOptions
}

func (f *logFixture) open(o LogOptions) {
	f.t.Helper()
	f.options = o
	l, err := f.backend.Open(f.dir, o)
	if err != nil {
		f.t.Fatalf("open: %v", err)
	}
	if f.Log == nil {
		f.t.Cleanup(func() { _ = f.Close() })
	}
	f.Log = l
}

func (f *logFixture) reopen() {
	f.t.Helper()
	if !f.backend.Durable {
		return
	}
	if err := f.Close(); err != nil {
		f.t.Fatalf("close: %v", err)
	}
	f.open(f.options)
}

func start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// appendTo appends and waits until the record is durable.
func appendTo(l store.Log, partition int, at time.Time, payload string) (store.LogRecord, error) {
	type result struct {
		r   store.LogRecord
		err error
	}
	done := make(chan result, 1)
	l.Append(context.Background(), partition, at, []byte(payload), func(r store.LogRecord, err error) { done <- result{r, err} })
	got := <-done
	return got.r, got.err
}

func (f *logFixture) append(partition int, at time.Time, payload string) store.LogRecord {
	f.t.Helper()
	r, err := appendTo(f.Log, partition, at, payload)
	if err != nil {
		f.t.Fatalf("append: %v", err)
	}
	return r
}

func (f *logFixture) read(partition int, from int64, limit int) []store.LogRecord {
	f.t.Helper()
	records, err := f.Read(context.Background(), partition, from, limit)
	if err != nil {
		f.t.Fatalf("read %d from %d: %v", partition, from, err)
	}
	return records
}

// readAll reads in pages and checks that numbers, offsets and times are in order.
func (f *logFixture) readAll(partition int, from int64, page int) []store.LogRecord {
	f.t.Helper()
	var out []store.LogRecord
	for {
		records := f.read(partition, from, page)
		if len(records) == 0 {
			return out
		}
		if len(records) > page {
			f.t.Fatalf("%d records, asked for %d", len(records), page)
		}
		for _, r := range records {
			if n := len(out); n > 0 {
				last := out[n-1]
				if r.SequenceNumber != last.SequenceNumber+1 || r.Offset <= last.Offset || r.EnqueuedTime.Before(last.EnqueuedTime) {
					f.t.Fatalf("%d/%d at %v follows %d/%d at %v", r.SequenceNumber, r.Offset, r.EnqueuedTime,
						last.SequenceNumber, last.Offset, last.EnqueuedTime)
				}
			}
			out = append(out, r)
		}
		from = records[len(records)-1].SequenceNumber + 1
	}
}

func (f *logFixture) info(partition int) store.PartitionInfo {
	f.t.Helper()
	info, err := f.Info(partition)
	if err != nil {
		f.t.Fatalf("info: %v", err)
	}
	return info
}

func testLogOrder(f *logFixture) {
	f.open(LogOptions{Partitions: 3})
	if f.Partitions() != 3 {
		f.t.Fatalf("%d partitions", f.Partitions())
	}
	for p := range 3 {
		if got, want := f.info(p), (store.PartitionInfo{LastOffset: -1}); got != want {
			f.t.Errorf("empty partition %d: %+v", p, got)
		}
	}
	var want [3][]store.LogRecord
	for i := range 30 {
		p := i * i % 3
		at := start().Add(time.Duration(i) * time.Second)
		payload := fmt.Sprintf("record %d", i)
		r := f.append(p, at, payload)
		if r.Partition != p || r.SequenceNumber != int64(len(want[p])) || !r.EnqueuedTime.Equal(at) || string(r.Payload) != payload {
			f.t.Fatalf("record %d: %+v", i, r)
		}
		want[p] = append(want[p], r)
	}
	for range 2 {
		for p := range 3 {
			if d := diff(want[p], f.readAll(p, 0, 4)); d != "" {
				f.t.Errorf("partition %d:\n%s", p, d)
			}
			info := store.PartitionInfo{LastOffset: -1}
			if n := len(want[p]); n > 0 {
				info = store.PartitionInfo{Next: int64(n), LastOffset: want[p][n-1].Offset, LastEnqueuedTime: want[p][n-1].EnqueuedTime}
			}
			if d := diff(info, f.info(p)); d != "" {
				f.t.Errorf("info of %d:\n%s", p, d)
			}
		}
		f.reopen()
	}
}

func testLogRead(f *logFixture) {
	f.open(LogOptions{Partitions: 2})
	for i := range 10 {
		f.append(0, start(), fmt.Sprint(i))
	}
	for _, c := range []struct {
		from       int64
		limit      int
		first, num int64
	}{
		{0, 100, 0, 10}, {-5, 3, 0, 3}, {4, 3, 4, 3}, {9, 5, 9, 1}, {10, 5, 0, 0}, {11, 5, 0, 0}, {1 << 60, 1, 0, 0}, {0, 0, 0, 0},
	} {
		got := f.read(0, c.from, c.limit)
		if int64(len(got)) != c.num || len(got) > 0 && got[0].SequenceNumber != c.first {
			f.t.Errorf("read from %d, at most %d: %d records", c.from, c.limit, len(got))
		}
	}
	if got := f.read(1, 0, 10); len(got) != 0 {
		f.t.Errorf("the other partition holds %d", len(got))
	}
}

// testLogReadOld writes far more than a log keeps in memory, in sizes from
// nothing to large, and reads from everywhere.
func testLogReadOld(f *logFixture) {
	f.open(LogOptions{Partitions: 3})
	big := make([]byte, 200<<10)
	for i := range big {
		big[i] = byte(i * 7)
	}
	sizes := []int{0, 1, 100, 5000, 200 << 10, 31}
	const records = 600
	var group sync.WaitGroup
	for i := range records {
		group.Add(1)
		f.Append(context.Background(), i%3, start().Add(time.Duration(i)*time.Millisecond), big[:sizes[i/3%len(sizes)]],
			func(_ store.LogRecord, err error) {
				if err != nil {
					f.t.Errorf("append: %v", err)
				}
				group.Done()
			})
	}
	group.Wait()
	for range 2 {
		for p := range 3 {
			all := f.readAll(p, 0, 50)
			if len(all) != records/3 {
				f.t.Fatalf("partition %d: %d records", p, len(all))
			}
			for i, r := range all {
				if len(r.Payload) != sizes[i%len(sizes)] || string(r.Payload) != string(big[:len(r.Payload)]) {
					f.t.Fatalf("partition %d, record %d: %d bytes", p, i, len(r.Payload))
				}
				one := f.read(p, r.SequenceNumber, 1)
				if d := diff([]store.LogRecord{r}, one); d != "" {
					f.t.Fatalf("partition %d, record %d alone differs", p, i)
				}
			}
		}
		f.reopen()
	}
}

func testLogTime(f *logFixture) {
	f.open(LogOptions{Partitions: 2})
	f.append(0, start().Add(time.Hour), "a")
	f.reopen()
	for range 2 {
		if r := f.append(0, start(), "b"); !r.EnqueuedTime.Equal(start().Add(time.Hour)) {
			f.t.Errorf("enqueued at %v after %v", r.EnqueuedTime, start().Add(time.Hour))
		}
		f.reopen()
	}
	r := f.append(1, start().Add(1234567*time.Nanosecond).In(time.FixedZone("x", 3600)), "other partition")
	if want := start().Add(time.Millisecond); !r.EnqueuedTime.Equal(want) || r.EnqueuedTime.Location() != time.UTC {
		f.t.Errorf("enqueued at %v, want %v", r.EnqueuedTime, want)
	}
}

func testLogReopen(f *logFixture) {
	f.open(LogOptions{Partitions: 2})
	last := int64(-1)
	for i := range 10 {
		r := f.append(1, start(), "x")
		if r.SequenceNumber != int64(i) || r.Offset <= last {
			f.t.Fatalf("round %d: number %d, offset %d after %d", i, r.SequenceNumber, r.Offset, last)
		}
		last = r.Offset
		f.reopen()
	}
	if got := f.readAll(1, 0, 3); len(got) != 10 {
		f.t.Errorf("%d records", len(got))
	}
	if f.Partitions() != 2 {
		f.t.Errorf("%d partitions", f.Partitions())
	}
}

func testLogWait(f *logFixture) {
	f.open(LogOptions{Partitions: 2})
	ctx := context.Background()
	f.append(0, start(), "0")
	if err := f.Wait(ctx, 0, 0); err != nil {
		f.t.Errorf("wait for what is there: %v", err)
	}
	const waiters = 4
	errs := make(chan error, waiters)
	for range waiters {
		go func() {
			err := f.Wait(ctx, 0, 2)
			if got, readErr := f.Read(ctx, 0, 2, 1); err == nil && (readErr != nil || len(got) != 1) {
				err = fmt.Errorf("woken with %d records to read, %w", len(got), errors.Join(readErr))
			}
			errs <- err
		}()
	}
	f.append(1, start(), "other partition")
	f.append(0, start(), "1")
	select {
	case err := <-errs:
		f.t.Fatalf("woken too early: %v", err)
	default:
	}
	f.append(0, start(), "2")
	for range waiters {
		if err := <-errs; err != nil {
			f.t.Error(err)
		}
	}
	ending, cancel := context.WithCancel(ctx)
	go func() { errs <- f.Wait(ending, 0, 3) }()
	cancel()
	if err := <-errs; !errors.Is(err, context.Canceled) {
		f.t.Errorf("cancelled wait: %v", err)
	}
}

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
