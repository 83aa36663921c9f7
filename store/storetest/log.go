package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
		{"Hold", testLogHold},
		{"HeldClose", testLogHeldClose},
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
