package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/store"
)

func mustOpen(t testing.TB, dir string, o Options) *Log {
	t.Helper()
	if o.Retention == 0 {
		o.Retention = -1
	}
	l, err := Open(dir, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = l.Close() })
	// The committer begins with a turn of its own, and would take what a test
	// thinks is waiting. From here on it sleeps until it is woken.
	l.Sweep()
	return l
}

func put(l *Log, p int, payload string) (store.LogRecord, error) {
	return putAt(l, p, time.Now(), payload)
}

func putAt(l *Log, p int, at time.Time, payload string) (store.LogRecord, error) {
	type result struct {
		r   store.LogRecord
		err error
	}
	done := make(chan result, 1)
	l.Append(context.Background(), p, at, []byte(payload), func(r store.LogRecord, err error) { done <- result{r, err} })
	got := <-done
	return got.r, got.err
}

func payloads(t testing.TB, l *Log, p int) []string {
	t.Helper()
	var out []string
	for from := int64(0); ; {
		records, err := l.Read(context.Background(), p, from, 100)
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if len(records) == 0 {
			return out
		}
		for _, r := range records {
			out = append(out, string(r.Payload))
			from = r.SequenceNumber + 1
		}
	}
}

func segments(t testing.TB, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestFullDisk fails writes and syncs at every step: failed records get the
// error, the others are kept without a gap, and a restart agrees.
func TestFullDisk(t *testing.T) {
	for _, mode := range []store.Durability{store.DurabilityOS, store.DurabilityFsync} {
		t.Run(string(mode), func(t *testing.T) {
			dir := t.TempDir()
			o := Options{Partitions: 2, Durability: mode, SegmentBytes: 4 << 10, TailBytes: 1}
			l := mustOpen(t, dir, o)
			var countdown atomic.Int64
			// The committer is idle and reads these only after the next append.
			l.w.writeAt = func(f *os.File, b []byte, at int64) (int, error) {
				if countdown.Add(-1) == 0 {
					n, _ := f.WriteAt(b[:len(b)*2/3], at)
					return n, syscall.ENOSPC
				}
				return f.WriteAt(b, at)
			}
			l.w.sync = func(f *os.File) error {
				if countdown.Add(-1) == 0 {
					return syscall.EIO
				}
				return syncData(f)
			}
			var want []string
			failed := 0
			for i := range 120 {
				countdown.Store(int64(i % 7))
				payload := fmt.Sprint(i, strings.Repeat("x", i%50))
				r, err := put(l, 1, payload)
				if err != nil {
					if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EIO) {
						t.Fatalf("record %d: %v", i, err)
					}
					failed++
					continue
				}
				if r.SequenceNumber != int64(len(want)) {
					t.Fatalf("record %d has number %d, want %d", i, r.SequenceNumber, len(want))
				}
				want = append(want, payload)
			}
			if failed == 0 || len(segments(t, dir)) < 2 {
				t.Fatalf("%d failures, %d segments: nothing tested", failed, len(segments(t, dir)))
			}
			for range 2 {
				if got := payloads(t, l, 1); strings.Join(got, "|") != strings.Join(want, "|") {
					t.Errorf("%d records, want %d", len(got), len(want))
				}
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				l = mustOpen(t, dir, o)
			}
		})
	}
}

// TestFailedTailNeverReturns leaves a failed batch half written and dies: none
// of its records may come back behind a shorter batch.
func TestFailedTailNeverReturns(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{Partitions: 2})
	var failing atomic.Bool
	release := make(chan struct{})
	entered := make(chan struct{})
	l.w.writeAt = func(f *os.File, b []byte, at int64) (int, error) {
		if string(b[len(b)-5:]) == "first" {
			close(entered)
			<-release
		}
		n, err := f.WriteAt(b, at)
		if failing.Load() {
			return 0, syscall.ENOSPC
		}
		return n, err
	}
	var group sync.WaitGroup
	var errs atomic.Int64
	add := func(payload string) {
		group.Add(1)
		l.Append(context.Background(), 0, time.Now(), []byte(payload), func(_ store.LogRecord, err error) {
			if err != nil {
				errs.Add(1)
			}
			group.Done()
		})
	}
	add("first")
	<-entered
	for range 3 {
		add("lost!")
	}
	failing.Store(false)
	close(release)
	group.Wait()
	failing.Store(true)
	for range 3 {
		add("gone!")
	}
	group.Wait()
	failing.Store(false)
	if errs.Load() != 3 {
		t.Fatalf("%d failures", errs.Load())
	}
	if _, err := put(l, 0, "after"); err != nil {
		t.Fatal(err)
	}
	want := "first lost! lost! lost! after"
	if got := strings.Join(payloads(t, l, 0), " "); got != want {
		t.Errorf("%s", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(payloads(t, mustOpen(t, dir, Options{Partitions: 2}), 0), " "); got != want {
		t.Errorf("after a restart: %s", got)
	}
}

// TestTornTail cuts the journal at every byte: what is left is a prefix of the
// records, and the log goes on behind it.
func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{Partitions: 2})
	ends := []int64{headerSize(2)}
	for i := range 4 {
		payload := strings.Repeat("p", i*3)
		if _, err := put(l, 0, payload); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, ends[i]+frameSize(len(payload)))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	path := segments(t, dir)[0]
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := ends[0]; cut <= int64(len(data)); cut++ {
		for _, garbage := range []string{"", "\x00\x00\x00\x00\x00", "\x05\x00\x00\x00garbage", "\xff\xff\xff\xff"} {
			torn := append(data[:cut:cut], garbage...)
			if err := os.WriteFile(path, torn, 0o600); err != nil {
				t.Fatal(err)
			}
			l := mustOpen(t, dir, Options{Partitions: 2})
			whole := 0 // zeros may complete a record that ends in zeros
			for whole+1 < len(ends) && bytes.HasPrefix(torn, data[:ends[whole+1]]) {
				whole++
			}
			r, err := put(l, 0, "next")
			if err != nil || r.SequenceNumber != int64(whole) {
				t.Fatalf("cut at %d: next record has number %d, %v; want %d", cut, r.SequenceNumber, err, whole)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = mustOpen(t, dir, Options{Partitions: 2})
			if got := payloads(t, l, 0); len(got) != whole+1 || got[whole] != "next" {
				t.Fatalf("cut at %d: %q", cut, got)
			}
			_ = l.Close()
		}
	}
}

// TestBackPressure fills the buffer while a write hangs: Append waits, gives up
// with its context, and goes on when there is room.
func TestBackPressure(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{Partitions: 2, BufferBytes: 1000})
	release, entered := make(chan struct{}), make(chan struct{}, 100)
	l.w.writeAt = func(f *os.File, b []byte, at int64) (int, error) {
		entered <- struct{}{}
		<-release
		return f.WriteAt(b, at)
	}
	var stored sync.WaitGroup
	add := func(ctx context.Context, p int) {
		stored.Add(1)
		l.Append(ctx, p, time.Now(), make([]byte, 500), func(_ store.LogRecord, err error) {
			if err != nil {
				t.Errorf("append: %v", err)
			}
			stored.Done()
		})
	}
	add(context.Background(), 0)
	<-entered
	add(context.Background(), 0)
	add(context.Background(), 0) // 1072 bytes wait now
	add(context.Background(), 1) // the other partition has room
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	failed := make(chan error, 1)
	l.Append(ctx, 0, time.Now(), nil, func(_ store.LogRecord, err error) { failed <- err })
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("append into a full buffer: %v", err)
	}
	waiting := make(chan struct{})
	go func() {
		add(context.Background(), 0)
		close(waiting)
	}()
	close(release)
	<-waiting
	stored.Wait()
	if got := len(payloads(t, l, 0)); got != 4 {
		t.Errorf("%d records", got)
	}
}

// TestRetentionOfEverything lets all records expire, with recycled files, and
// expects numbers and offsets to go on after it, restarts included.
func TestRetentionOfEverything(t *testing.T) {
	for _, mode := range []store.Durability{store.DurabilityOS, store.DurabilityFsync} {
		t.Run(string(mode), func(t *testing.T) {
			dir := t.TempDir()
			var hours atomic.Int64
			o := Options{
				Partitions: 2, Durability: mode, Retention: time.Hour, SegmentBytes: 4 << 10, TailBytes: 1,
				Now: func() time.Time { return time.Now().Add(time.Duration(hours.Load()) * time.Hour) },
			}
			l := mustOpen(t, dir, o)
			next, offset := int64(0), int64(-1)
			for round := range 4 {
				for i := range 40 {
					r, err := putAt(l, 1, o.Now(), strings.Repeat("y", 300))
					if err != nil || r.SequenceNumber != next || r.Offset <= offset {
						t.Fatalf("round %d, record %d: %+v, %v", round, i, r, err)
					}
					next, offset = next+1, r.Offset
				}
				if got := len(payloads(t, l, 1)); got != 40 {
					t.Fatalf("round %d: %d records are kept", round, got)
				}
				hours.Add(2)
				l.Sweep()
				if info, err := l.Info(1); err != nil || info.First != next || info.Next != next || info.LastOffset != offset {
					t.Fatalf("round %d: %+v, %v", round, info, err)
				}
				if got := payloads(t, l, 1); len(got) != 0 {
					t.Fatalf("round %d: %d records after all expired", round, len(got))
				}
				if n := len(segments(t, dir)); n != 1 {
					t.Errorf("round %d: %d segments", round, n)
				}
				if round%2 == 1 {
					if err := l.Close(); err != nil {
						t.Fatal(err)
					}
					l = mustOpen(t, dir, o)
				}
			}
		})
	}
}

// TestSealedSegments damages what is not scanned at start.
func TestSealedSegments(t *testing.T) {
	dir := t.TempDir()
	o := Options{Partitions: 2, SegmentBytes: 2 << 10, TailBytes: 1}
	l := mustOpen(t, dir, o)
	for i := range 60 {
		if _, err := put(l, 0, fmt.Sprintf("%0100d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files := segments(t, dir)
	// Without its index a segment is read all the same.
	info, err := os.Stat(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(files[0], info.Size()-1); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, dir, o)
	if got := payloads(t, l, 0); len(got) != 60 {
		t.Fatalf("%d records without an index", len(got))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	// A damaged record costs itself, not its neighbours.
	data, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	data[headerSize(2)+frameSize(100)+frameHeader+10] ^= 1
	if err := os.WriteFile(files[1], data, 0o600); err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, dir, o)
	if got := payloads(t, l, 0); len(got) != 59 {
		t.Fatalf("%d records beside a damaged one", len(got))
	}
	if r, err := put(l, 0, "x"); err != nil || r.SequenceNumber != 60 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestOpenRefusals(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{Partitions: 3})
	if _, err := Open(dir, Options{}); !errors.Is(err, store.ErrLocked) {
		t.Errorf("second open: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := mustOpen(t, dir, Options{Partitions: 8}); got.Partitions() != 3 {
		t.Errorf("%d partitions", got.Partitions())
	} else if err := got.Close(); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{{Partitions: 1}, {Partitions: 33}, {Durability: "sometimes"}} {
		if _, err := Open(t.TempDir(), o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "meta.json"), []byte(`{"version":2,"partitions":3}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrNewerFormat) {
		t.Errorf("newer layout: %v", err)
	}
}
