package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hubnerite/hubnerite/store"
)

func testQueueOrder(f *fixture) {
	ctx := context.Background()
	f.put(record(device("d")))
	if got := f.load("d"); len(got) != 0 {
		f.t.Errorf("a new queue holds %q", got)
	}
	one := f.append("d", "1")
	two := f.append("d", "2")
	three := f.append("d", "")
	f.append("d", "4")
	if one != 1 || two <= one || three <= two {
		f.t.Errorf("numbers %d, %d, %d", one, two, three)
	}
	f.reopen()
	if err := f.Queues.Replace(ctx, "d", two, []byte("two")); err != nil {
		f.t.Errorf("replace: %v", err)
	}
	if d := diff([]string{"1", "two", "", "4"}, f.load("d")); d != "" {
		f.t.Error(d)
	}
	f.wantErr("replace of an unknown entry", f.Queues.Replace(ctx, "d", 99, nil), store.ErrNotFound)
	f.wantErr("replace in an unknown queue", f.Queues.Replace(ctx, "e", 1, nil), store.ErrNotFound)
	if err := f.Queues.Remove(ctx, "d", one, 99, three, three); err != nil {
		f.t.Errorf("remove: %v", err)
	}
	if err := f.Queues.Remove(ctx, "unknown", 1); err != nil {
		f.t.Errorf("remove from an unknown queue: %v", err)
	}
	if err := f.Queues.Remove(ctx, "d"); err != nil {
		f.t.Errorf("remove of nothing: %v", err)
	}
	f.reopen()
	if d := diff([]string{"two", "4"}, f.load("d")); d != "" {
		f.t.Error(d)
	}
	f.wantErr("replace of a removed entry", f.Queues.Replace(ctx, "d", one, nil), store.ErrNotFound)

	// The payload belongs to the caller again once the call returned.
	payload := []byte("mine")
	if _, err := f.Queues.Append(ctx, "d", payload); err != nil {
		f.t.Fatal(err)
	}
	copy(payload, "XXXX")
	entries, err := f.Queues.Load(ctx, "d")
	if err != nil || string(entries[2].Payload) != "mine" {
		f.t.Errorf("%q, %v", entries[2].Payload, err)
	}
	copy(entries[2].Payload, "YYYY")
	if got := f.load("d")[2]; got != "mine" {
		f.t.Errorf("a loaded payload is shared: %q", got)
	}
}

func testQueueNumbers(f *fixture) {
	ctx := context.Background()
	f.put(record(device("d")))
	last := uint64(0)
	for round := range 4 {
		for range 3 {
			n := f.append("d", "x")
			if n <= last {
				f.t.Fatalf("round %d: number %d after %d", round, n, last)
			}
			last = n
		}
		entries, err := f.Queues.Load(ctx, "d")
		if err != nil {
			f.t.Fatal(err)
		}
		for _, e := range entries {
			if err := f.Queues.Remove(ctx, "d", e.Number); err != nil {
				f.t.Fatal(err)
			}
		}
		f.put(f.get(device("d")))
		f.reopen()
	}
}

func testQueueNeedsIdentity(f *fixture) {
	ctx := context.Background()
	_, err := f.Queues.Append(ctx, "d", []byte("x"))
	f.wantErr("append without a device", err, store.ErrNotFound)
	f.put(record(device("d")))
	_, err = f.Queues.Append(ctx, "d/m", []byte("x"))
	f.wantErr("append without a module", err, store.ErrNotFound)
	n := f.append("d", "x")
	_, err = f.Queues.Move(ctx, "d", n, "d/m", []byte("x"))
	f.wantErr("move to a queue without a module", err, store.ErrNotFound)
	if got := f.load("d"); len(got) != 1 {
		f.t.Errorf("a refused move left %q", got)
	}
	f.append("/mine", "x")
	if got := f.load("/mine"); len(got) != 1 {
		f.t.Errorf("/mine: %q", got)
	}
}

func testQueueMove(f *fixture) {
	ctx := context.Background()
	f.put(record(device("d")))
	one, two := f.append("d", "1"), f.append("d", "2")
	f.append("/feedback", "0")
	n, err := f.Queues.Move(ctx, "d", one, "/feedback", []byte("about 1"))
	if err != nil || n <= 1 {
		f.t.Fatalf("move: %d, %v", n, err)
	}
	for _, again := range []uint64{one, 99} {
		_, err = f.Queues.Move(ctx, "d", again, "/feedback", []byte("again"))
		f.wantErr("move of a gone entry", err, store.ErrNotFound)
	}
	_, err = f.Queues.Move(ctx, "/none", 1, "/feedback", []byte("again"))
	f.wantErr("move from an unknown queue", err, store.ErrNotFound)
	f.reopen()
	if d := diff([]string{"2"}, f.load("d")); d != "" {
		f.t.Error(d)
	}
	if d := diff([]string{"0", "about 1"}, f.load("/feedback")); d != "" {
		f.t.Error(d)
	}
	// Within one queue it is a move to the end.
	f.append("d", "3")
	if _, err := f.Queues.Move(ctx, "d", two, "d", []byte("2 again")); err != nil {
		f.t.Fatal(err)
	}
	f.reopen()
	if d := diff([]string{"3", "2 again"}, f.load("d")); d != "" {
		f.t.Error(d)
	}
}

func testQueueAsync(f *fixture) {
	f.put(record(device("d")))
	one, two, three := f.append("d", "1"), f.append("d", "2"), f.append("d", "3")
	f.append("d", "4")
	errs := make(chan error, 10)
	report := func(err error) { errs <- err }
	f.Queues.RemoveAsync("d", one, report)
	f.Queues.RemoveAsync("d", one, report)
	f.Queues.RemoveAsync("none", 1, report)
	f.Queues.RemoveAsync("d", two, nil)
	for range 3 {
		if err := <-errs; err != nil {
			f.t.Errorf("remove: %v", err)
		}
	}
	type moved struct {
		n   uint64
		err error
	}
	moves := make(chan moved, 10)
	// A callback may start the next operation.
	f.Queues.MoveAsync("d", three, "/feedback", []byte("about 3"), func(n uint64, err error) {
		moves <- moved{n, err}
		f.Queues.MoveAsync("d", three, "/feedback", []byte("again"), func(n uint64, err error) { moves <- moved{n, err} })
	})
	if m := <-moves; m.err != nil || m.n != 1 {
		f.t.Errorf("move: %+v", m)
	}
	if m := <-moves; !errors.Is(m.err, store.ErrNotFound) {
		f.t.Errorf("second move: %+v", m)
	}
	f.Queues.MoveAsync("d", three, "/feedback", []byte("again"), nil)
	f.reopen()
	if d := diff([]string{"4"}, f.load("d")); d != "" {
		f.t.Error(d)
	}
	if d := diff([]string{"about 3"}, f.load("/feedback")); d != "" {
		f.t.Error(d)
	}
}

func testQueueConcurrent(f *fixture) {
	const writers, each = 8, 30
	ctx := context.Background()
	f.put(record(device("d")))
	var group sync.WaitGroup
	var mu sync.Mutex
	numbers := map[uint64]string{}
	for w := range writers {
		group.Go(func() {
			last := uint64(0)
			for i := range each {
				payload := fmt.Sprintf("%d/%d", w, i)
				n, err := f.Queues.Append(ctx, "d", []byte(payload))
				if err != nil || n <= last {
					f.t.Errorf("append: %d after %d, %v", n, last, err)
					return
				}
				last = n
				mu.Lock()
				if other, taken := numbers[n]; taken {
					f.t.Errorf("number %d for %s and %s", n, other, payload)
				}
				numbers[n] = payload
				mu.Unlock()
			}
		})
	}
	group.Wait()
	f.reopen()
	entries, err := f.Queues.Load(ctx, "d")
	if err != nil || len(entries) != writers*each {
		f.t.Fatalf("%d entries, %v", len(entries), err)
	}
	for _, e := range entries {
		if numbers[e.Number] != string(e.Payload) {
			f.t.Errorf("entry %d is %s, acknowledged as %s", e.Number, e.Payload, numbers[e.Number])
		}
	}
}

// testQueueMoveConcurrent has several goroutines end the same messages: each
// message ends once and gives one feedback.
func testQueueMoveConcurrent(f *fixture) {
	const messages, enders = 20, 4
	ctx := context.Background()
	f.put(record(device("d")))
	for range messages {
		f.append("d", "m")
	}
	var group sync.WaitGroup
	for range enders {
		group.Go(func() {
			for n := uint64(1); n <= messages; n++ {
				_, err := f.Queues.Move(ctx, "d", n, "/feedback", fmt.Appendf(nil, "%d", n))
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					f.t.Errorf("move: %v", err)
				}
			}
		})
	}
	group.Wait()
	f.reopen()
	if got := f.load("d"); len(got) != 0 {
		f.t.Errorf("%d messages are left", len(got))
	}
	seen := map[string]bool{}
	for _, p := range f.load("/feedback") {
		if seen[p] {
			f.t.Errorf("two feedbacks for %s", p)
		}
		seen[p] = true
	}
	if len(seen) != messages {
		f.t.Errorf("%d feedbacks for %d messages", len(seen), messages)
	}
}

func testEndedContext(f *fixture) {
	f.put(record(device("d")))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for what, err := range f.everything(ctx) {
		f.wantErr(what, err, context.Canceled)
	}
}

func testClosed(f *fixture) {
	f.put(record(device("d")))
	if err := f.Close(); err != nil {
		f.t.Fatalf("close: %v", err)
	}
	if err := f.Close(); err != nil {
		f.t.Errorf("second close: %v", err)
	}
	for what, err := range f.everything(context.Background()) {
		f.wantErr(what, err, store.ErrClosed)
	}
	errs := make(chan error, 2)
	f.Queues.RemoveAsync("d", 1, func(err error) { errs <- err })
	f.Queues.MoveAsync("d", 1, "/feedback", nil, func(_ uint64, err error) { errs <- err })
	for range 2 {
		f.wantErr("asynchronous", <-errs, store.ErrClosed)
	}
}

// everything runs each waiting operation once.
func (f *fixture) everything(ctx context.Context) map[string]error {
	out := map[string]error{}
	_, out["Get"] = f.Records.Get(ctx, device("d"))
	_, out["Put"] = f.Records.Put(ctx, record(device("e")))
	out["Delete"] = f.Records.Delete(ctx, device("d"), 0)
	_, _, out["List"] = f.Records.List(ctx, store.ListFilter{}, "", 1)
	_, out["Count"] = f.Records.Count(ctx)
	for i, err := range f.Records.PutMany(ctx, []store.Record{record(device("e")), record(device("f"))}) {
		out[fmt.Sprintf("PutMany %d", i)] = err
	}
	_, out["GetDocument"] = f.Documents.GetDocument(ctx, "c", "k")
	_, out["PutDocument"] = f.Documents.PutDocument(ctx, "c", store.Document{Key: "k"})
	out["DeleteDocument"] = f.Documents.DeleteDocument(ctx, "c", "k", 0)
	_, _, out["ListDocuments"] = f.Documents.ListDocuments(ctx, "c", "", "", 1)
	_, out["Append"] = f.Queues.Append(ctx, "d", nil)
	_, out["Load"] = f.Queues.Load(ctx, "d")
	out["Replace"] = f.Queues.Replace(ctx, "d", 1, nil)
	out["Remove"] = f.Queues.Remove(ctx, "d", 1)
	_, out["Move"] = f.Queues.Move(ctx, "d", 1, "/feedback", nil)
	return out
}
