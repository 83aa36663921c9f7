package registry

import (
	"context"
	"slices"
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
	"github.com/hubnerite/hubnerite/store/memory"
)

// matching returns the IDs that a condition selects.
func matching(t *testing.T, r *Registry, condition string) []string {
	t.Helper()
	var ids []string
	if err := r.Select(t.Context(), Selection{Where: compile(t, condition)}, func(row Row) bool {
		ids = append(ids, row.ID().String())
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return ids
}

func withTags(r store.Record, tags map[string]any) store.Record {
	r.Twin.Tags = tags
	return r
}

// A write whose note comes after that of a later write changes nothing, nor
// does one to an identity that was deleted or made anew meanwhile.
func TestTableLateNotes(t *testing.T) {
	m := memory.New(memory.Options{})
	defer func() { _ = m.Close() }()
	r, err := New(Options{Records: m.Records()})
	if err != nil {
		t.Fatal(err)
	}
	id := iothub.ID{DeviceID: "d"}
	create := func() store.Record {
		t.Helper()
		if _, err := r.CreateWithTwin(t.Context(), Creation{ID: id, Twin: iothub.TwinPatch{Tags: map[string]any{"a": "first"}}}); err != nil {
			t.Fatal(err)
		}
		rec, err := m.Records().Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	early := create()
	if got := matching(t, r, "tags.a = 'first'"); !slices.Equal(got, []string{"d"}) {
		t.Fatalf("found %v", got)
	}
	if _, _, err := r.PatchTwin(t.Context(), id, iothub.TwinPatch{Tags: map[string]any{"a": "second"}}, ""); err != nil {
		t.Fatal(err)
	}
	expect := func(step string, want ...string) {
		t.Helper()
		if got := matching(t, r, "tags.a = 'second'"); !slices.Equal(got, want) {
			t.Errorf("%s: found %v, want %v", step, got, want)
		}
		if got := matching(t, r, "tags.a = 'late'"); len(got) != 0 {
			t.Errorf("%s: the late note won", step)
		}
	}
	late := withTags(early, map[string]any{"a": "late"})
	r.noted.devices.note(id, &late) // together with the second write
	expect("noted after a later write", "d")
	r.noted.devices.note(id, &late)
	expect("noted after a later write was entered", "d")
	if err := r.Delete(t.Context(), id, "*"); err != nil {
		t.Fatal(err)
	}
	expect("deleted")
	r.noted.devices.note(id, &late)
	expect("noted after the deletion was entered")
	create()
	r.noted.devices.note(id, &late)
	expect("made anew")
	if got := matching(t, r, "tags.a = 'first'"); !slices.Equal(got, []string{"d"}) {
		t.Errorf("made anew: found %v", got)
	}
}

// interruptedRecords do something else after the first record of a listing was read.
type interruptedRecords struct {
	store.Records
	interrupt *func()
}

func (i interruptedRecords) List(ctx context.Context, f store.ListFilter, resume string, limit int) ([]store.Record, string, error) {
	records, next, err := i.Records.List(ctx, f, resume, 1)
	if do := *i.interrupt; do != nil && resume == "" {
		*i.interrupt = nil
		do()
	}
	return records, next, err
}

// A column is read while the store changes and the notes are still on their
// way: no row is put together from before and after a write.
func TestTableColumnReadDuringWrites(t *testing.T) {
	m := memory.New(memory.Options{})
	defer func() { _ = m.Close() }()
	var interrupt func()
	r, err := New(Options{Records: interruptedRecords{m.Records(), &interrupt}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c", "e"} {
		if _, err := r.CreateWithTwin(t.Context(), Creation{ID: iothub.ID{DeviceID: name}, Twin: iothub.TwinPatch{Tags: map[string]any{"x": "1", "y": "1"}}}); err != nil {
			t.Fatal(err)
		}
	}
	if got := matching(t, r, "tags.x = '1'"); len(got) != 4 {
		t.Fatalf("found %v", got)
	}
	interrupt = func() {
		for _, name := range []string{"a", "c", "d"} { // d is new
			id := iothub.ID{DeviceID: name}
			rec, err := m.Records().Get(t.Context(), id)
			if name == "d" {
				rec, err = store.Record{Identity: iothub.Identity{ID: id, GenerationID: "1"}}, nil
			}
			if err != nil {
				t.Error(err)
			}
			if _, err := m.Records().Put(t.Context(), withTags(rec, map[string]any{"x": "2", "y": "2"})); err != nil {
				t.Error(err)
			}
		}
		if err := m.Records().Delete(t.Context(), iothub.ID{DeviceID: "b"}, 0); err != nil {
			t.Error(err)
		}
	}
	if got := matching(t, r, "tags.x != tags.y"); len(got) != 0 {
		t.Errorf("torn rows: %v", got)
	}
	if interrupt != nil {
		t.Fatal("the store was not read")
	}
	if got := matching(t, r, "tags.y = '2'"); !slices.Equal(got, []string{"c", "d"}) {
		// a was read before it changed; its note is still to come.
		t.Errorf("found %v", got)
	}
	rec, err := m.Records().Get(t.Context(), iothub.ID{DeviceID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	r.noted.devices.note(rec.Identity.ID, &rec)
	if got := matching(t, r, "tags.x = '2' AND tags.y = '2'"); !slices.Equal(got, []string{"a", "c", "d"}) {
		t.Errorf("after the note found %v", got)
	}
}
