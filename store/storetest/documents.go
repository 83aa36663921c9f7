package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// testPutMany writes good and bad records in one call: each is for itself.
func testPutMany(f *fixture) {
	ctx := context.Background()
	known := f.put(record(device("known")))
	stale := known
	known.Identity.StatusReason = "second"
	disabled := record(device("disabled"))
	disabled.Identity.Status = iothub.StatusDisabled
	missing := record(device("missing"))
	missing.Revision = 3
	errs := f.Records.PutMany(ctx, []store.Record{
		record(device("new")), known, stale, missing, record(device("known")),
		record(module("new", "m")), record(module("none", "m")), disabled, record(device("new")),
	})
	want := []error{
		nil, nil, store.ErrConflict, store.ErrNotFound, store.ErrExists,
		nil, store.ErrNotFound, nil, store.ErrExists,
	}
	if len(errs) != len(want) {
		f.t.Fatalf("%d results, want %d", len(errs), len(want))
	}
	for i := range want {
		f.wantErr(fmt.Sprintf("record %d", i), errs[i], want[i])
	}
	if errs := f.Records.PutMany(ctx, nil); len(errs) != 0 {
		f.t.Errorf("nothing written: %v", errs)
	}
	for range 2 {
		known.Revision, disabled.Revision = 2, 1
		for _, r := range []store.Record{known, disabled} {
			if d := diff(r, f.get(r.Identity.ID)); d != "" {
				f.t.Errorf("%s:\n%s", r.Identity.ID, d)
			}
		}
		f.wantCounts(store.Counts{Devices: 3, DisabledDevices: 1, Modules: 1})
		f.reopen()
	}
}

// testPutManyConcurrent writes the same records from several sides; of each
// round of a record exactly one write wins.
func testPutManyConcurrent(f *fixture) {
	const writers, devices, rounds = 4, 60, 5
	ctx := context.Background()
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		wins  = map[string]int{}
	)
	for range writers {
		group.Go(func() {
			for round := range rounds {
				var batch []store.Record
				for i := range devices {
					r := record(device(fmt.Sprint("d", i)))
					r.Revision = uint64(round)
					batch = append(batch, r)
				}
				for i, err := range f.Records.PutMany(ctx, batch) {
					switch {
					case err == nil:
						mu.Lock()
						wins[fmt.Sprint(round, "/", i)]++
						mu.Unlock()
					case !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrExists):
						f.t.Errorf("record %d: %v", i, err)
					}
				}
			}
		})
	}
	group.Wait()
	for round := range rounds {
		for i := range devices {
			if n := wins[fmt.Sprint(round, "/", i)]; n != 1 {
				f.t.Errorf("round %d of record %d was won %d times", round, i, n)
			}
		}
	}
	f.reopen()
	f.wantCounts(store.Counts{Devices: devices})
	if got := f.get(device("d0")).Revision; got != rounds {
		f.t.Errorf("revision %d, want %d", got, rounds)
	}
}

func (f *fixture) putDocument(collection string, d store.Document) store.Document {
	f.t.Helper()
	revision, err := f.Documents.PutDocument(context.Background(), collection, d)
	if err != nil || revision != d.Revision+1 {
		f.t.Fatalf("put %s/%s: revision %d after %d, %v", collection, d.Key, revision, d.Revision, err)
	}
	d.Revision = revision
	return d
}

func testDocumentRevisions(f *fixture) {
	ctx := context.Background()
	_, err := f.Documents.GetDocument(ctx, "jobs", "a")
	f.wantErr("get of nothing", err, store.ErrNotFound)
	_, err = f.Documents.PutDocument(ctx, "jobs", store.Document{Key: "a", Revision: 1})
	f.wantErr("update of nothing", err, store.ErrNotFound)
	f.wantErr("delete of nothing", f.Documents.DeleteDocument(ctx, "jobs", "a", 0), store.ErrNotFound)

	d := f.putDocument("jobs", store.Document{Key: "a", Payload: []byte("first")})
	f.putDocument("configurations", store.Document{Key: "a", Payload: []byte("another")})
	_, err = f.Documents.PutDocument(ctx, "jobs", store.Document{Key: "a"})
	f.wantErr("second create", err, store.ErrExists)
	d.Payload = []byte("second")
	d = f.putDocument("jobs", d)
	for _, revision := range []uint64{1, 3} {
		_, err = f.Documents.PutDocument(ctx, "jobs", store.Document{Key: "a", Revision: revision})
		f.wantErr("update under another revision", err, store.ErrConflict)
		f.wantErr("delete under another revision", f.Documents.DeleteDocument(ctx, "jobs", "a", revision), store.ErrConflict)
	}
	f.reopen()
	got, err := f.Documents.GetDocument(ctx, "jobs", "a")
	if err != nil || diff(d, got) != "" {
		f.t.Errorf("after refused writes: %+v, %v", got, err)
	}
	if err := f.Documents.DeleteDocument(ctx, "jobs", "a", 2); err != nil {
		f.t.Errorf("delete: %v", err)
	}
	f.reopen()
	_, err = f.Documents.GetDocument(ctx, "jobs", "a")
	f.wantErr("get of a deleted one", err, store.ErrNotFound)
	if got, err := f.Documents.GetDocument(ctx, "configurations", "a"); err != nil || string(got.Payload) != "another" {
		f.t.Errorf("the same key of another collection: %+v, %v", got, err)
	}
	f.putDocument("jobs", store.Document{Key: "a"})
}

func testDocumentBytes(f *fixture) {
	ctx := context.Background()
	mine := []byte{0, 1, 0xff, '"', 0}
	f.putDocument("c", store.Document{Key: "bytes", Payload: mine})
	f.putDocument("c", store.Document{Key: "empty"})
	f.putDocument("c", store.Document{Key: "large", Payload: []byte(strings.Repeat("x", 1<<20))})
	mine[0] = 9
	for range 2 {
		for key, want := range map[string]string{"bytes": "\x00\x01\xff\"\x00", "empty": "", "large": strings.Repeat("x", 1<<20)} {
			got, err := f.Documents.GetDocument(ctx, "c", key)
			if err != nil || string(got.Payload) != want || got.Key != key || got.Revision != 1 {
				f.t.Errorf("%s: key %q, revision %d, %d bytes, %v", key, got.Key, got.Revision, len(got.Payload), err)
			}
			if len(got.Payload) > 0 {
				got.Payload[0] = 'y' // the caller's own
			}
		}
		f.reopen()
	}
}

func testDocumentListing(f *fixture) {
	ctx := context.Background()
	keys := []string{"a", "a/1", "a/10", "a/2", "a0", "b", "B", "ä", "a/\xff", "a/\xff\xff"}
	for _, key := range keys {
		f.putDocument("c", store.Document{Key: key, Payload: []byte("of " + key)})
	}
	f.putDocument("other", store.Document{Key: "a/3"})
	slices.Sort(keys)
	for range 2 {
		for _, prefix := range []string{"", "a", "a/", "a/1", "a/\xff", "c", "ä"} {
			var want []string
			for _, key := range keys {
				if strings.HasPrefix(key, prefix) {
					want = append(want, key)
				}
			}
			for _, limit := range []int{0, 1, 2, 3, 100} {
				if d := diff(want, f.listDocuments("c", prefix, limit)); d != "" {
					f.t.Errorf("prefix %q by %d:\n%s", prefix, limit, d)
				}
			}
		}
		f.reopen()
	}
	if got := f.listDocuments("nothing", "", 5); len(got) != 0 {
		f.t.Errorf("an unknown collection lists %q", got)
	}
	for _, resume := range []string{"\x00", "zz", "\xff", "a/1", "A"} {
		page, next, err := f.Documents.ListDocuments(ctx, "c", "a/", resume, 100)
		if err != nil || next != "" {
			f.t.Errorf("resume %q: next %q, %v", resume, next, err)
		}
		for _, d := range page {
			if d.Key <= resume || !strings.HasPrefix(d.Key, "a/") {
				f.t.Errorf("resume %q lists %q", resume, d.Key)
			}
		}
	}
	// What is deleted or written between two pages moves nothing else.
	_, next, err := f.Documents.ListDocuments(ctx, "c", "a", "", 2)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, key := range []string{"a", "a/1"} {
		if err := f.Documents.DeleteDocument(ctx, "c", key, 0); err != nil {
			f.t.Fatal(err)
		}
	}
	f.putDocument("c", store.Document{Key: "a!"})
	page, _, err := f.Documents.ListDocuments(ctx, "c", "a", next, 1)
	if err != nil || len(page) != 1 || page[0].Key != "a/10" {
		f.t.Errorf("the second page: %+v, %v", page, err)
	}
}

func (f *fixture) listDocuments(collection, prefix string, limit int) []string {
	f.t.Helper()
	var out []string
	resume := ""
	for range 1000 {
		page, next, err := f.Documents.ListDocuments(context.Background(), collection, prefix, resume, limit)
		if err != nil {
			f.t.Fatalf("list: %v", err)
		}
		if len(page) > max(limit, 1) {
			f.t.Fatalf("%d documents, limit %d", len(page), limit)
		}
		for _, d := range page {
			if string(d.Payload) != "of "+d.Key || d.Revision != 1 {
				f.t.Errorf("%q lists as %q, revision %d", d.Key, d.Payload, d.Revision)
			}
			out = append(out, d.Key)
		}
		if next == "" {
			return out
		}
		resume = next
	}
	f.t.Fatal("the listing never ends")
	return nil
}

func testDocumentConcurrentWriters(f *fixture) {
	const writers, rounds = 8, 20
	ctx := context.Background()
	f.putDocument("c", store.Document{Key: "k"})
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for done := 0; done < rounds; {
				d, err := f.Documents.GetDocument(ctx, "c", "k")
				if err == nil {
					d.Payload = append(d.Payload, 'x')
					_, err = f.Documents.PutDocument(ctx, "c", d)
				}
				switch {
				case err == nil:
					done++
				case !errors.Is(err, store.ErrConflict):
					f.t.Errorf("write: %v", err)
					return
				}
			}
		})
	}
	group.Wait()
	f.reopen()
	d, err := f.Documents.GetDocument(ctx, "c", "k")
	if err != nil || d.Revision != 1+writers*rounds || len(d.Payload) != writers*rounds {
		f.t.Errorf("revision %d with %d bytes, %v: a write was lost", d.Revision, len(d.Payload), err)
	}
}
