package journal

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/store"
)

// TestHold: records wait for the Release of who holds, whoever appended them, but
// not for ever when the buffer is full.
func TestHold(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{BufferBytes: 1 << 10})
	stored := make(chan struct{}, 100)
	add := func(size int) {
		l.Append(t.Context(), 0, time.Now(), make([]byte, size), func(_ store.LogRecord, err error) {
			if err != nil {
				t.Error(err)
			}
			stored <- struct{}{}
		})
	}
	l.Hold()
	l.Hold()
	add(10)
	add(10)
	l.mu.Lock()
	waiting := len(l.pending)
	l.mu.Unlock()
	if waiting != 2 {
		t.Errorf("%d records wait, want 2", waiting)
	}
	l.Release()
	<-stored
	<-stored
	add(1 << 10)
	add(1 << 10) // waits for room, which makes the committer go
	<-stored
	l.Release()
	<-stored
}

// TestRelease: in the modes without a sync, Release stores itself: the done of
// what it found has run when it returns.
func TestRelease(t *testing.T) {
	for _, mode := range []store.Durability{store.DurabilityNone, store.DurabilityOS} {
		t.Run(string(mode), func(t *testing.T) {
			l := mustOpen(t, t.TempDir(), Options{Durability: mode, TailBytes: 1})
			for n := range 200 {
				l.Hold()
				stored := int64(-1) // no lock: this goroutine runs done
				l.Append(t.Context(), 1, time.Now(), []byte("x"), func(r store.LogRecord, err error) {
					if err != nil {
						t.Error(err)
					}
					stored = r.SequenceNumber
				})
				l.Release()
				if stored != int64(n) {
					t.Fatalf("record %d: got %d by the end of Release", n, stored)
				}
			}
			if got := len(payloads(t, l, 1)); got != 200 {
				t.Errorf("%d records", got)
			}
		})
	}
}

// TestReleaseWhileWriting: while one sender writes, others are not held up; what
// they left is stored after it, without another call, and so it is when the log
// is closed meanwhile.
func TestReleaseWhileWriting(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{})
	entered, release := make(chan struct{}, 10), make(chan struct{})
	l.w.writeAt = func(f *os.File, b []byte, at int64) (int, error) {
		entered <- struct{}{}
		<-release
		return f.WriteAt(b, at)
	}
	stored := make(chan int64, 10)
	add := func() {
		l.Append(context.Background(), 0, time.Now(), []byte("x"), func(r store.LogRecord, err error) {
			if err != nil {
				t.Error(err)
			}
			stored <- r.SequenceNumber
		})
	}
	first := make(chan struct{})
	go func() {
		defer close(first)
		l.Hold()
		add()
		l.Release()
	}()
	<-entered
	l.Hold()
	add()
	l.Release() // returns at once
	l.Hold()
	add() // never released
	closed := make(chan error, 1)
	go func() { closed <- l.Close() }()
	close(release)
	<-first
	for want := range int64(3) {
		if got := <-stored; got != want {
			t.Errorf("record %d stored, want %d", got, want)
		}
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	l.Release()
}

// TestReleaseFault: a write that fails in Release answers with the error, and
// the next one goes on behind what is good.
func TestReleaseFault(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{})
	failing := true
	l.w.writeAt = func(f *os.File, b []byte, at int64) (int, error) {
		if failing {
			n, _ := f.WriteAt(b[:len(b)/2], at)
			return n, syscall.ENOSPC
		}
		return f.WriteAt(b, at)
	}
	var failed error
	add := func(payload string) {
		l.Hold()
		l.Append(context.Background(), 0, time.Now(), []byte(payload), func(_ store.LogRecord, err error) { failed = err })
		l.Release()
	}
	add("lost")
	if failed == nil {
		t.Error("a failed write is acknowledged")
	}
	failing = false
	add("kept")
	if failed != nil {
		t.Error(failed)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := payloads(t, mustOpen(t, dir, Options{}), 0); len(got) != 1 || got[0] != "kept" {
		t.Errorf("%q", got)
	}
}
