package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/query"
	"github.com/hubnerite/hubnerite/store"
	"github.com/hubnerite/hubnerite/store/bolt"
	"github.com/hubnerite/hubnerite/store/memory"
)

// tableConditions take every way of selecting: by name, by a list of values, by reading all rows.
func tableConditions() []string {
	return []string{
		"tags.site = 's1'",
		"'s2' = tags.site AND tags.n >= 3",
		"tags.site IN ['s1', 's3', 's1', 7]",
		"tags.n = 4",
		"tags.on = true OR tags.site = 's0'",
		"tags.n > 2",
		"NOT is_defined(tags.site)",
		"tags.site = null",
		"is_object(tags.o) AND tags.o.p = 'x'",
		"tags.list[1] = 2 AND tags.list[0] = 1",
		"array_contains(tags.list, 2)",
		"status = 'disabled'",
		"properties.reported.t = 1 AND tags.site = 's1'",
		"properties.desired.$version > 1",
		"deviceEtag != etag AND tags.n = 1",
		"deviceId = 'd3'",
		"deviceId IN ['d9', 'd1', 'd1', 'none'] AND tags.n >= 0",
		"deviceId > 'd4'",
		"connectionState = 'Disconnected' AND tags.n = 0",
	}
}

func compile(t *testing.T, text string) *query.Condition {
	t.Helper()
	return compileWith(t, query.NewParser(), text)
}

func compileWith(t *testing.T, p *query.Parser, text string) *query.Condition {
	t.Helper()
	c, err := p.TwinCondition(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c.Where
}

// selected returns the IDs of a selection, and those that reading all records gives.
func selected(ctx context.Context, r *Registry, s Selection) (got, want []string, err error) {
	collect := func(out *[]string) func(Row) bool {
		return func(row Row) bool {
			*out = append(*out, row.ID().String())
			return s.Limit == 0 || len(*out) < s.Limit
		}
	}
	if err := r.Select(ctx, s, collect(&got)); err != nil {
		return nil, nil, err
	}
	err = r.scan(ctx, s, store.ListFilter{Kind: kindOf(s)}, collect(&want))
	return got, want, err
}

// tableStores are the stores that tables read: one that lists records, one that projects values.
func tableStores(t *testing.T, change func(store.Records) store.Records) map[string]*Registry {
	t.Helper()
	b, err := bolt.Open(filepath.Join(t.TempDir(), "hub.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := memory.New(memory.Options{})
	t.Cleanup(func() {
		if err := errors.Join(b.Close(), m.Close()); err != nil {
			t.Error(err)
		}
	})
	out := map[string]*Registry{}
	for name, records := range map[string]store.Records{"bolt": b.Records(), "memory": m.Records()} {
		if change != nil {
			records = change(records)
		}
		if out[name], err = New(Options{Records: records}); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// randomWrite does something to one of a few identities. It returns what it did.
func randomWrite(ctx context.Context, r *Registry, pick func(n int) int) (string, error) {
	id := iothub.ID{DeviceID: fmt.Sprint("d", pick(10))}
	if pick(3) == 0 {
		id.ModuleID = fmt.Sprint("m", pick(2))
	}
	// What is not there, there already or changed by another is part of the game.
	allowed := func(err error) error {
		switch iothub.ErrorCode(err) {
		case 0:
			return err
		case iothub.CodeDeviceNotFound, iothub.CodeModuleNotFound, iothub.CodeDeviceAlreadyExists, iothub.CodeModuleAlreadyExistsOnDevice,
			iothub.CodePreconditionFailed, iothub.CodeIotHubUnauthorizedAccess:
			return nil
		}
		return err
	}
	switch pick(8) {
	case 0, 1:
		_, err := r.Create(ctx, id, iothub.IdentityRequest{})
		return "create " + id.String(), allowed(err)
	case 2:
		return "delete " + id.String(), allowed(r.Delete(ctx, id, "*"))
	case 3:
		status := iothub.StatusEnabled
		if pick(4) == 0 && !id.IsModule() {
			status = iothub.StatusDisabled
		}
		_, err := r.Replace(ctx, id, iothub.IdentityRequest{Status: status}, "*")
		return "replace " + id.String(), allowed(err)
	case 4:
		_, err := r.Report(ctx, id, map[string]any{"t": json.Number(fmt.Sprint(pick(3)))}, nil)
		return "report " + id.String(), allowed(err)
	}
	texts := []string{
		`{"tags":{"site":"s%d"}}`, `{"tags":{"n":%d}}`, `{"tags":{"site":null,"n":%d}}`, `{"tags":{"on":true,"n":%d}}`,
		`{"tags":{"o":{"p":"x","q":%d}}}`, `{"tags":{"o":%d}}`, `{"tags":{"list":[1,2,%d]}}`, `{"tags":{"list":null},"properties":{"desired":{"d":%d}}}`,
	}
	text := fmt.Sprintf(texts[pick(len(texts))], pick(6))
	p, err := iothub.DecodeTwinPatch([]byte(text))
	if err != nil {
		return text, err
	}
	_, _, err = r.PatchTwin(ctx, id, p, "")
	return "patch " + id.String() + " " + text, allowed(err)
}

// TestTableModel compares selections with reading all records, after every
// few random writes.
func TestTableModel(t *testing.T) {
	conditions := map[string]*query.Condition{}
	parser := query.NewParser()
	for _, text := range tableConditions() {
		conditions[text] = compileWith(t, parser, text)
	}
	rapid.Check(t, func(rt *rapid.T) {
		m := memory.New(memory.Options{})
		defer func() { _ = m.Close() }()
		r, err := New(Options{Records: m.Records()})
		if err != nil {
			rt.Fatal(err)
		}
		r.noted.devices.limit = rapid.SampledFrom([]int64{1 << 30, 600, 0}).Draw(rt, "limit")
		r.noted.devices.chunk = rapid.SampledFrom([]int{1, 2, chunkRows}).Draw(rt, "chunk")
		r.noted.modules.limit, r.noted.modules.chunk = r.noted.devices.limit, r.noted.devices.chunk
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "pick") }
		var done []string
		for range rapid.IntRange(1, 12).Draw(rt, "rounds") {
			for range rapid.IntRange(0, 8).Draw(rt, "writes") {
				what, err := randomWrite(t.Context(), r, pick)
				if err != nil {
					rt.Fatalf("%s: %v", what, err)
				}
				done = append(done, what)
			}
			text := rapid.SampledFrom(tableConditions()).Draw(rt, "condition")
			s := Selection{Modules: rapid.Bool().Draw(rt, "modules"), Where: conditions[text]}
			if rapid.Bool().Draw(rt, "resume") {
				s.After = iothub.ID{DeviceID: fmt.Sprint("d", pick(10)), ModuleID: rapid.SampledFrom([]string{"", "m0"}).Draw(rt, "module")}
				s.Limit = rapid.IntRange(0, 3).Draw(rt, "limit")
			}
			got, want, err := selected(t.Context(), r, s)
			if err != nil || !slices.Equal(got, want) {
				rt.Fatalf("%s after %v (modules %v): %v, want %v, error %v\n%s", text, s.After, s.Modules, got, want, err, strings.Join(done, "\n"))
			}
		}
	})
}

// TestTableConcurrent lets writers and queries run against each other: a writer
// finds its own write at once, and when all rest the table is what the store is.
func TestTableConcurrent(t *testing.T) {
	for name, r := range tableStores(t, nil) {
		r.noted.devices.chunk = 2
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			conditions := map[string]*query.Condition{}
			parser := query.NewParser()
			for _, text := range tableConditions() {
				conditions[text] = compileWith(t, parser, text)
			}
			var group sync.WaitGroup
			for w := range 4 {
				group.Go(func() {
					random := rand.New(rand.NewPCG(1, uint64(w)))
					own := iothub.ID{DeviceID: fmt.Sprint("own-", w)}
					if _, err := r.Create(ctx, own, iothub.IdentityRequest{}); err != nil {
						t.Error(err)
						return
					}
					for i := range 100 {
						if what, err := randomWrite(ctx, r, random.IntN); err != nil {
							t.Errorf("%s: %v", what, err)
						}
						mark := fmt.Sprintf("w%d-%d", w, i)
						if _, _, err := r.PatchTwin(ctx, own, iothub.TwinPatch{Tags: map[string]any{"mark": mark}}, ""); err != nil {
							t.Error(err)
						}
						found := 0
						err := r.Select(ctx, Selection{Where: compileWith(t, parser, "tags.mark = '"+mark+"'")}, func(row Row) bool {
							found++
							return row.ID() == own
						})
						if err != nil || found != 1 {
							t.Errorf("%s: %d rows, error %v", mark, found, err)
						}
					}
				})
			}
			group.Go(func() {
				for range 3 {
					for _, c := range conditions {
						for _, modules := range []bool{false, true} {
							var last iothub.ID
							err := r.Select(ctx, Selection{Modules: modules, Where: c}, func(row Row) bool {
								if compareIDs(last, row.ID()) >= 0 {
									t.Errorf("%v after %v", row.ID(), last)
								}
								last = row.ID()
								return true
							})
							if err != nil {
								t.Error(err)
							}
						}
					}
				}
			})
			group.Wait()
			for text, c := range conditions {
				for _, modules := range []bool{false, true} {
					got, want, err := selected(ctx, r, Selection{Modules: modules, Where: c})
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%s, modules %v: %s", text, modules, diff)
					}
				}
			}
		})
	}
}

// countingRecords count how the store is read.
type countingRecords struct {
	store.Records
	lists, gets *int
}

func (c countingRecords) List(ctx context.Context, f store.ListFilter, resume string, limit int) ([]store.Record, string, error) {
	*c.lists++
	return c.Records.List(ctx, f, resume, limit)
}

func (c countingRecords) Get(ctx context.Context, id iothub.ID) (store.Record, error) {
	*c.gets++
	return c.Records.Get(ctx, id)
}

// The store is read once per new name, and never for queries by device ID alone
// or before there is a query.
func TestTableReadsOnce(t *testing.T) {
	m := memory.New(memory.Options{})
	defer func() { _ = m.Close() }()
	lists, gets := 0, 0
	r, err := New(Options{Records: countingRecords{m.Records(), &lists, &gets}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if _, err := r.Create(t.Context(), iothub.ID{DeviceID: fmt.Sprint("d", i)}, iothub.IdentityRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.noted.devices.pending); n != 0 || lists != 0 {
		t.Errorf("before any query %d writes were noted and the store was read %d times", n, lists)
	}
	for _, step := range []struct {
		condition string
		lists     int
	}{
		{"deviceId = 'd1'", 1}, // one record
		{"tags.a = 1", 1},      // the rows with their first column
		{"tags.a = 2", 0},
		{"tags.a > 1 OR tags.a < 0", 0},
		{"tags.b = 1 AND tags.a = 1", 1}, // another column
		{"tags.b = 1 AND connectionState = 'Connected'", 0},
	} {
		lists = 0
		if err := r.Select(t.Context(), Selection{Where: compile(t, step.condition)}, func(Row) bool { return true }); err != nil {
			t.Fatal(err)
		}
		if lists != step.lists {
			t.Errorf("%s: the store was read %d times, want %d", step.condition, lists, step.lists)
		}
		if _, _, err := r.PatchTwin(t.Context(), iothub.ID{DeviceID: "d2"}, iothub.TwinPatch{Tags: map[string]any{"c": "x"}}, ""); err != nil {
			t.Fatal(err)
		}
	}
	// A write is entered from what was noted, without asking the store again.
	gets = 0
	if err := r.Select(t.Context(), Selection{Where: compile(t, "tags.a = 1")}, func(Row) bool { return true }); err != nil || gets != 0 {
		t.Errorf("%d records were read again, error %v", gets, err)
	}
}

// The columns used longest ago make room; a query that alone has none reads the records.
func TestTableLimit(t *testing.T) {
	for name, r := range tableStores(t, nil) {
		t.Run(name, func(t *testing.T) {
			for i := range 100 {
				id := iothub.ID{DeviceID: fmt.Sprintf("d%03d", i)}
				if _, err := r.CreateWithTwin(t.Context(), Creation{ID: id, Twin: iothub.TwinPatch{Tags: map[string]any{
					"a": strings.Repeat("x", 100) + fmt.Sprint(i), "b": json.Number(fmt.Sprint(i)), "c": "c",
				}}}); err != nil {
					t.Fatal(err)
				}
			}
			devices := r.noted.devices
			devices.limit = 12_500
			for _, step := range []struct{ condition, columns string }{
				{"tags.b >= 50", "[b]"},
				{"tags.c = 'c'", "[b c]"},
				{"tags.b < 10", "[b c]"},
				{"tags.b < 10 AND tags.d = 1", "[b c d]"},
				{"startswith(tags.a, 'x')", "[b c d]"}, // 100 texts of more than 100 bytes: no column
				{"tags.e = 1 OR tags.f = 1 OR tags.g = 1", "[b d e f g]"},
			} {
				got, want, err := selected(t.Context(), r, Selection{Where: compile(t, step.condition)})
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%s: %v, want %v, error %v", step.condition, got, want, err)
				}
				var columns []string
				var size int64
				for _, c := range devices.columns {
					columns = append(columns, c.path.Steps[0].Name)
					size += c.bytes()
				}
				slices.Sort(columns)
				if fmt.Sprint(columns) != step.columns || size > devices.limit {
					t.Errorf("%s: columns %v of %d bytes, want %s", step.condition, columns, size, step.columns)
				}
			}
		})
	}
}

// A caller may write and query from within yield.
func TestSelectReentered(t *testing.T) {
	for name, r := range tableStores(t, nil) {
		t.Run(name, func(t *testing.T) {
			for i := range 3 {
				if _, err := r.Create(t.Context(), iothub.ID{DeviceID: fmt.Sprint("d", i)}, iothub.IdentityRequest{}); err != nil {
					t.Fatal(err)
				}
			}
			seen := 0
			where := compile(t, "NOT is_defined(tags.seen)")
			err := r.Select(t.Context(), Selection{Where: where}, func(row Row) bool {
				seen++
				if _, _, err := r.PatchTwin(t.Context(), row.ID(), iothub.TwinPatch{Tags: map[string]any{"seen": true}}, ""); err != nil {
					t.Error(err)
				}
				left := 0
				if err := r.Select(t.Context(), Selection{Where: where}, func(Row) bool { left++; return true }); err != nil || left != 3-seen {
					t.Errorf("%d left after %d, error %v", left, seen, err)
				}
				return true
			})
			if err != nil || seen != 3 {
				t.Errorf("%d seen, error %v", seen, err)
			}
		})
	}
}

// failingRecords fail when told.
type failingRecords struct {
	store.Records
	fail *bool
}

var errBroken = errors.New("broken")

func (f failingRecords) List(ctx context.Context, filter store.ListFilter, resume string, limit int) ([]store.Record, string, error) {
	if *f.fail {
		return nil, "", errBroken
	}
	return f.Records.List(ctx, filter, resume, limit)
}

func (f failingRecords) Get(ctx context.Context, id iothub.ID) (store.Record, error) {
	if *f.fail {
		return store.Record{}, errBroken
	}
	return f.Records.Get(ctx, id)
}

// A fault of the store is the query's error, and the next query is right again.
func TestTableAfterFaults(t *testing.T) {
	fail := false
	for name, r := range tableStores(t, func(records store.Records) store.Records { return failingRecords{records, &fail} }) {
		t.Run(name, func(t *testing.T) {
			id := iothub.ID{DeviceID: "d"}
			if _, err := r.Create(t.Context(), id, iothub.IdentityRequest{}); err != nil {
				t.Fatal(err)
			}
			s := Selection{Where: compile(t, "NOT is_defined(tags.a)")}
			for _, before := range []func() error{
				func() error { return nil },
				func() error { return r.Delete(t.Context(), id, "*") }, // to be asked for
			} {
				if err := before(); err != nil {
					t.Fatal(err)
				}
				fail = true
				if err := r.Select(t.Context(), s, func(Row) bool { return true }); !errors.Is(err, errBroken) {
					t.Errorf("error %v", err)
				}
				fail = false
				got, want, err := selected(t.Context(), r, s)
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("afterwards %v, want %v, error %v", got, want, err)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := r.Select(ctx, Selection{Where: compile(t, "tags.new = 1")}, func(Row) bool { return true }); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		})
	}
}
