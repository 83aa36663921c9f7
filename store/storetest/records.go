package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// RunData runs the suite of records and queues.
func RunData(t *testing.T, b DataBackend) {
	tests := []struct {
		name string
		run  func(*fixture)
	}{
		{"RecordKeepsEverything", testRecordKeepsEverything},
		{"RecordRevisions", testRecordRevisions},
		{"RecordCascade", testRecordCascade},
		{"RecordConcurrentWriters", testRecordConcurrentWriters},
		{"ListOrderAndFilters", testListOrderAndFilters},
		{"ListWhileWriting", testListWhileWriting},
		{"Counts", testCounts},
		{"PutMany", testPutMany},
		{"PutManyConcurrent", testPutManyConcurrent},
		{"DocumentRevisions", testDocumentRevisions},
		{"DocumentsKeepTheirBytes", testDocumentBytes},
		{"DocumentListing", testDocumentListing},
		{"DocumentConcurrentWriters", testDocumentConcurrentWriters},
		{"QueueOrder", testQueueOrder},
		{"QueueNumbersAreNeverReused", testQueueNumbers},
		{"QueueNeedsIdentity", testQueueNeedsIdentity},
		{"QueueMove", testQueueMove},
		{"QueueAsync", testQueueAsync},
		{"QueueConcurrent", testQueueConcurrent},
		{"QueueMoveConcurrent", testQueueMoveConcurrent},
		{"EndedContext", testEndedContext},
		{"Closed", testClosed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(open(t, b)) })
	}
	t.Run("Model", func(t *testing.T) { testDataModel(t, b) })
}

func testRecordKeepsEverything(f *fixture) {
	full := f.put(record(device("d")))
	bare := f.put(store.Record{Identity: iothub.Identity{ID: device("bare")}})
	session := f.put(store.Record{Identity: iothub.Identity{ID: module("d", "m")}, MQTTSession: map[string]byte{}})
	for range 2 {
		for _, want := range []store.Record{full, bare, session} {
			got := f.get(want.Identity.ID)
			if d := diff(want, got); d != "" {
				f.t.Errorf("%s changed:\n%s", want.Identity.ID, d)
			}
			if (got.MQTTSession == nil) != (want.MQTTSession == nil) {
				f.t.Errorf("%s: session %v, want %v", want.Identity.ID, got.MQTTSession, want.MQTTSession)
			}
		}
		f.reopen()
	}
	mine := map[string]byte{"a": 1}
	r := record(device("e"))
	r.MQTTSession = mine
	f.put(r)
	mine["b"] = 1
	if got := f.get(device("e")).MQTTSession; len(got) != 1 {
		f.t.Errorf("the stored session follows the caller's map: %v", got)
	}
}

func testRecordRevisions(f *fixture) {
	ctx := context.Background()
	_, err := f.Records.Get(ctx, device("d"))
	f.wantErr("get of nothing", err, store.ErrNotFound)
	_, err = f.Records.Put(ctx, store.Record{Identity: iothub.Identity{ID: device("d")}, Revision: 1})
	f.wantErr("update of nothing", err, store.ErrNotFound)
	f.wantErr("delete of nothing", f.Records.Delete(ctx, device("d"), 0), store.ErrNotFound)
	_, err = f.Records.Put(ctx, record(module("d", "m")))
	f.wantErr("module without device", err, store.ErrNotFound)

	r := f.put(record(device("d")))
	_, err = f.Records.Put(ctx, record(device("d")))
	f.wantErr("second create", err, store.ErrExists)
	stale := r
	r.Identity.StatusReason = "second"
	r = f.put(r)
	for _, revision := range []uint64{stale.Revision, r.Revision + 1} {
		stale.Revision = revision
		_, err = f.Records.Put(ctx, stale)
		f.wantErr("update under another revision", err, store.ErrConflict)
		f.wantErr("delete under another revision", f.Records.Delete(ctx, device("d"), revision), store.ErrConflict)
	}
	f.reopen()
	if got := f.get(device("d")); got.Identity.StatusReason != "second" || got.Revision != 2 {
		f.t.Errorf("after refused writes: %q, revision %d", got.Identity.StatusReason, got.Revision)
	}
	if err := f.Records.Delete(ctx, device("d"), 2); err != nil {
		f.t.Errorf("delete: %v", err)
	}
	_, err = f.Records.Get(ctx, device("d"))
	f.wantErr("get of a deleted one", err, store.ErrNotFound)
	f.reopen()
	_, err = f.Records.Get(ctx, device("d"))
	f.wantErr("get of a deleted one", err, store.ErrNotFound)
	f.put(record(device("d")))
}

// testRecordCascade deletes a device and expects modules, queues and MQTT
// sessions of it gone, and those of names like it untouched.
func testRecordCascade(f *fixture) {
	ctx := context.Background()
	ids := []iothub.ID{
		device("d"), module("d", "m"), module("d", "n"),
		device("d-"), module("d-", "m"), device("d1"), device("D"), device("c"), module("c", "d"),
	}
	for _, id := range ids {
		f.put(record(id))
		f.append(store.QueueName(id), "for "+id.String())
	}
	f.append("/feedback", "stays")
	if err := f.Records.Delete(ctx, module("d", "n"), 0); err != nil {
		f.t.Fatal(err)
	}
	f.get(device("d"))
	if got := f.load("d/n"); len(got) != 0 {
		f.t.Errorf("queue of a deleted module: %q", got)
	}
	if err := f.Records.Delete(ctx, device("d"), 1); err != nil {
		f.t.Fatal(err)
	}
	for range 2 {
		for _, id := range ids {
			gone := id.DeviceID == "d"
			_, err := f.Records.Get(ctx, id)
			if gone != errors.Is(err, store.ErrNotFound) {
				f.t.Errorf("%s: %v", id, err)
			}
			if got := f.load(store.QueueName(id)); (len(got) == 0) != gone {
				f.t.Errorf("queue of %s: %q", id, got)
			}
		}
		if got := f.load("/feedback"); len(got) != 1 {
			f.t.Errorf("/feedback: %q", got)
		}
		f.wantCounts(store.Counts{Devices: 4, Modules: 2})
		f.reopen()
	}
	// The next device of that name inherits nothing.
	r := record(device("d"))
	r.MQTTSession = nil
	f.put(r)
	if got := f.get(device("d")); got.MQTTSession != nil || got.Revision != 1 {
		f.t.Errorf("new device: session %v, revision %d", got.MQTTSession, got.Revision)
	}
	if got := f.load("d"); len(got) != 0 {
		f.t.Errorf("queue of the new device: %q", got)
	}
	_, err := f.Records.Get(ctx, module("d", "m"))
	f.wantErr("module of the new device", err, store.ErrNotFound)
}

func testRecordConcurrentWriters(f *fixture) {
	const writers, rounds = 8, 25
	ctx := context.Background()
	f.put(record(device("d")))
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for done := 0; done < rounds; {
				r, err := f.Records.Get(ctx, device("d"))
				if err != nil {
					f.t.Errorf("get: %v", err)
					return
				}
				r.Identity.StatusReason = fmt.Sprintf("%d/%d", w, done)
				switch _, err := f.Records.Put(ctx, r); {
				case err == nil:
					done++
					// A writer sees its own write, or a later one.
					if again, err := f.Records.Get(ctx, device("d")); err != nil || again.Revision <= r.Revision {
						f.t.Errorf("revision %d read after writing %d (%v)", again.Revision, r.Revision+1, err)
					}
				case !errors.Is(err, store.ErrConflict):
					f.t.Errorf("put: %v", err)
					return
				}
			}
		})
	}
	group.Wait()
	f.reopen()
	if got := f.get(device("d")).Revision; got != 1+writers*rounds {
		f.t.Errorf("revision %d, want %d: a write was lost", got, 1+writers*rounds)
	}
}

// listAll pages through a listing.
func (f *fixture) listAll(filter store.ListFilter, limit int) []string {
	f.t.Helper()
	out := []string{}
	resume := ""
	for range 1000 {
		page, next, err := f.Records.List(context.Background(), filter, resume, limit)
		if err != nil {
			f.t.Fatalf("list: %v", err)
		}
		if len(page) > limit {
			f.t.Fatalf("%d records, limit %d", len(page), limit)
		}
		for _, r := range page {
			out = append(out, r.Identity.ID.String())
			if d := diff(f.get(r.Identity.ID), r); d != "" {
				f.t.Fatalf("listed and got differ:\n%s", d)
			}
		}
		if next == "" {
			return out
		}
		resume = next
	}
	f.t.Fatal("the listing never ends")
	return nil
}

func testListOrderAndFilters(f *fixture) {
	if got := f.listAll(store.ListFilter{}, 10); len(got) != 0 {
		f.t.Errorf("empty store lists %q", got)
	}
	devices := []string{"a", "a!", "a#$", "a-b", "a.b", "a0", "aa", "A", "b", "b:c", "_", "z'", "z"}
	all := []iothub.ID{}
	for _, d := range devices {
		all = append(all, device(d))
		f.put(record(device(d)))
	}
	for _, m := range []iothub.ID{module("a", "m"), module("a", "m!"), module("a", "0"), module("a!", "x"), module("z", "$edgeHub")} {
		all = append(all, m)
		f.put(record(m))
	}
	slices.SortFunc(all, func(a, b iothub.ID) int {
		if c := strings.Compare(a.DeviceID, b.DeviceID); c != 0 {
			return c
		}
		return strings.Compare(a.ModuleID, b.ModuleID)
	})
	for range 2 {
		for _, filter := range []store.ListFilter{
			{},
			{Kind: "devices"},
			{Kind: "modules"},
			{DeviceID: "a"},
			{DeviceID: "a", Kind: "modules"},
			{DeviceID: "a", Kind: "devices"},
			{DeviceID: "a!"},
			{DeviceID: "b"},
			{DeviceID: "none"},
			{DeviceID: "zz"},
		} {
			want := []string{}
			for _, id := range all {
				if (filter.Kind == "" || (filter.Kind == "modules") == id.IsModule()) &&
					(filter.DeviceID == "" || filter.DeviceID == id.DeviceID) {
					want = append(want, id.String())
				}
			}
			for _, limit := range []int{1, 2, 3, 7, 100} {
				if d := diff(want, f.listAll(filter, limit)); d != "" {
					f.t.Errorf("%+v by %d:\n%s", filter, limit, d)
				}
			}
		}
		f.reopen()
	}
	for _, resume := range []string{"\x00", "nothing", "a/m/x", "\xff", "/", "a/"} {
		if _, _, err := f.Records.List(context.Background(), store.ListFilter{}, resume, 3); err != nil {
			f.t.Errorf("resume %q: %v", resume, err)
		}
	}
}

// testListWhileWriting changes the store between pages: what stays is listed
// exactly once.
func testListWhileWriting(f *fixture) {
	ctx := context.Background()
	for i := range 40 {
		f.put(record(device(fmt.Sprintf("d%02d", i))))
	}
	seen := map[string]int{}
	resume := ""
	for step := 0; ; step++ {
		page, next, err := f.Records.List(ctx, store.ListFilter{}, resume, 7)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, r := range page {
			seen[r.Identity.ID.String()]++
		}
		if next == "" {
			break
		}
		// The last record listed goes, one before it and one after it come, and
		// one far behind is written.
		last := page[len(page)-1].Identity.ID
		if err := f.Records.Delete(ctx, last, 0); err != nil {
			f.t.Fatal(err)
		}
		f.put(record(device(page[0].Identity.ID.DeviceID + "-new")))
		f.put(record(device(last.DeviceID + "-new")))
		f.put(f.get(device("d39")))
		f.reopen()
		resume = next
	}
	for i := range 40 {
		if n := seen[fmt.Sprintf("d%02d", i)]; n != 1 {
			f.t.Errorf("d%02d was listed %d times", i, n)
		}
	}
	for id, n := range seen {
		if n > 1 {
			f.t.Errorf("%s was listed %d times", id, n)
		}
	}
}

func testCounts(f *fixture) {
	ctx := context.Background()
	f.wantCounts(store.Counts{})
	d := f.put(record(device("d")))
	f.put(record(device("e")))
	f.put(record(module("d", "m")))
	f.wantCounts(store.Counts{Devices: 2, Modules: 1})
	d.Identity.Status = iothub.StatusDisabled
	d = f.put(d)
	f.wantCounts(store.Counts{Devices: 2, DisabledDevices: 1, Modules: 1})
	f.put(d)
	f.reopen()
	f.wantCounts(store.Counts{Devices: 2, DisabledDevices: 1, Modules: 1})
	if err := f.Records.Delete(ctx, device("d"), 0); err != nil {
		f.t.Fatal(err)
	}
	f.wantCounts(store.Counts{Devices: 1})
	f.reopen()
	f.wantCounts(store.Counts{Devices: 1})
}
