package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/store/bolt"
	"github.com/hubnerite/hubnerite/store/memory"
)

// twinWorld is a hub on a file, with one identity that is perhaps connected.
type twinWorld struct {
	t    *rapid.T
	path string
	id   iothub.ID

	file *bolt.Store
	log  *memory.Store
	hub  *Hub
	conn *Connection
	// client is the connection's, heard what it was told of so far.
	client *fakeClient
	heard  int
}

func (w *twinWorld) open() {
	var err error
	if w.file, err = bolt.Open(w.path, bolt.Options{}); err != nil {
		w.t.Fatal(err)
	}
	r, err := registry.New(registry.Options{Records: w.file.Records()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.hub, err = New(Options{
		Name: "hub1", Logger: slog.New(slog.DiscardHandler), Registry: r,
		Queues: w.file.Queues(), Documents: w.file.Documents(), Log: w.log.Log(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *twinWorld) close() {
	w.conn = nil
	if err := w.hub.Close(); err != nil {
		w.t.Fatal(err)
	}
	if err := w.file.Close(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *twinWorld) connect() {
	var err error
	w.client, w.heard = newFakeClient(), 0
	if w.conn, err = w.hub.Connect(context.Background(), w.id, options("mqtt"), w.client); err != nil {
		w.t.Fatal(err)
	}
	w.conn.EnableDesired(true)
}

// mirror is a twin as the model has it. Sections are JSON texts, so that nothing
// in them can be shared with what the hub holds.
type mirror struct {
	tags, desired, reported            map[string]any
	etag, identity                     string
	version, desiredVersion, reportedV int64
}

// merge is the rule as the documentation says it: objects member by member, null
// removes, all else replaces.
func merge(into, patch map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range into {
		if p, ok := patch[k]; !ok {
			out[k] = v
		} else if o, isObject := p.(map[string]any); isObject {
			old, _ := v.(map[string]any)
			out[k] = merge(old, o)
		} else if p != nil {
			out[k] = p
		}
	}
	for k, p := range patch {
		if _, ok := into[k]; ok || p == nil {
			continue
		}
		if o, isObject := p.(map[string]any); isObject {
			p = merge(nil, o)
		}
		out[k] = p
	}
	return out
}

func drawTwinSection(t *rapid.T, depth int) map[string]any {
	m := map[string]any{}
	for _, k := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "é"}), 0, 3, rapid.ID[string]).Draw(t, "names") {
		switch kind := rapid.IntRange(0, 5).Draw(t, "kind"); {
		case kind == 0:
			m[k] = nil
		case kind < 3 && depth > 0:
			m[k] = drawTwinSection(t, depth-1)
		case kind == 3:
			m[k] = []any{json.Number("1.50"), map[string]any{"x": "y"}, []any{}}
		default:
			m[k] = rapid.SampledFrom([]any{json.Number("4503599627370495"), "text", false, json.Number("0.1")}).Draw(t, "leaf")
		}
	}
	return m
}

// Random writes of back ends and reports of the device, under right and wrong etags and
// versions, changes of the identity, restarts and reconnections; after each the twin is
// what the model says, and the device has heard of each change of desired properties
// while it was there, in order, and of nothing else.
func TestTwinModel(t *testing.T) {
	dir := t.TempDir()
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		w := &twinWorld{t: t, path: filepath.Join(dir, fmt.Sprintf("%d.db", run)), log: memory.New(memory.Options{}), id: iothub.ID{DeviceID: "d"}}
		defer func() { _ = w.log.Close() }()
		w.open()
		defer func() { w.close() }()
		ctx := context.Background()
		if _, err := w.hub.CreateIdentity(ctx, w.id, iothub.IdentityRequest{}); err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "module") {
			w.id.ModuleID = "m"
			if _, err := w.hub.CreateIdentity(ctx, w.id, iothub.IdentityRequest{}); err != nil {
				t.Fatal(err)
			}
		}
		fresh, err := w.hub.GetTwin(ctx, w.id)
		if err != nil {
			t.Fatal(err)
		}
		m := mirror{
			tags: map[string]any{}, desired: map[string]any{}, reported: map[string]any{}, identity: fresh.Identity.ETag,
			etag: "AAAAAAAAAAE=", version: 2, desiredVersion: 1, reportedV: 1,
		}
		stale := "AAAAAAAAAAA="
		for range rapid.IntRange(1, 15).Draw(t, "steps") {
			switch rapid.IntRange(0, 7).Draw(t, "step") {
			case 0, 1, 2:
				w.write(ctx, &m, &stale, rapid.Bool().Draw(t, "replace"))
			case 3, 4:
				w.report(ctx, &m)
			case 5:
				identity, err := w.hub.ReplaceIdentity(ctx, w.id, iothub.IdentityRequest{Authentication: nil}, "*")
				if err != nil {
					t.Fatal(err)
				}
				if identity.ETag == m.identity {
					t.Fatal("the identity's etag stands still")
				}
				// The keys are new ones, which ends the connection.
				m.identity, w.conn = identity.ETag, nil
			case 6:
				w.close()
				w.open()
			default:
				w.connect()
			}
			w.check(ctx, m)
		}
	})
}

// write patches or replaces as a back end does.
func (w *twinWorld) write(ctx context.Context, m *mirror, stale *string, replace bool) {
	var p iothub.TwinPatch
	if rapid.Bool().Draw(w.t, "tags") {
		p.Tags = drawTwinSection(w.t, 2)
	}
	if rapid.Bool().Draw(w.t, "desired") {
		p.Desired = drawTwinSection(w.t, 2)
	}
	ifMatch := rapid.SampledFrom([]string{"", "*", `"*"`, m.etag, `"` + m.etag + `"`, `W/"` + m.etag + `"`, *stale, `"` + *stale + `"`, "x"}).Draw(w.t, "If-Match")
	refused := ifMatch == "x" || ifMatch == *stale || ifMatch == `"`+*stale+`"`
	write := w.hub.PatchTwin
	if replace {
		write = w.hub.ReplaceTwin
	}
	got, err := write(ctx, w.id, p, ifMatch)
	if refused {
		if iothub.ErrorCode(err) != iothub.CodePreconditionFailed {
			w.t.Fatalf("If-Match %s while the etag is %s: %v", ifMatch, m.etag, err)
		}
		return
	}
	if err != nil {
		w.t.Fatalf("If-Match %s while the etag is %s: %v", ifMatch, m.etag, err)
	}
	told := p.Desired
	if replace {
		m.tags, m.desired = map[string]any{}, map[string]any{}
	}
	m.tags = merge(m.tags, p.Tags)
	m.desired = merge(m.desired, p.Desired)
	if replace {
		told = m.desired // the device hears of all that there is now
	}
	if told != nil {
		m.desiredVersion++
		w.wantNotice(told, m.desiredVersion)
	}
	m.version++
	if got.Twin.ETagText() == m.etag {
		w.t.Fatal("the etag stands still")
	}
	*stale, m.etag = m.etag, got.Twin.ETagText()
}

// wantNotice demands that a connected device was told of one more change.
func (w *twinWorld) wantNotice(desired map[string]any, version int64) {
	if w.conn == nil {
		return
	}
	changes := w.client.changes()
	if w.heard++; len(changes) != w.heard {
		w.t.Fatalf("told of %d changes, want %d", len(changes), w.heard)
	}
	last := changes[w.heard-1]
	body, err := iothub.DecodeObject([]byte(last.body))
	if err != nil {
		w.t.Fatal(err)
	}
	want := map[string]any{"$version": json.Number(fmt.Sprint(version))}
	for k, v := range desired {
		want[k] = v
	}
	if diff := cmp.Diff(want, body); diff != "" || last.version != version {
		w.t.Fatalf("version %d: %s", last.version, diff)
	}
}

// report writes as the device does, perhaps under a version.
func (w *twinWorld) report(ctx context.Context, m *mirror) {
	if w.conn == nil {
		w.connect()
	}
	patch := drawTwinSection(w.t, 2)
	text, err := json.Marshal(patch)
	if err != nil {
		w.t.Fatal(err)
	}
	var base *int64
	if off := rapid.IntRange(-2, 2).Draw(w.t, "base"); off > -2 {
		base = new(int64)
		*base = m.reportedV + int64(off)
	}
	version, err := w.conn.Report(ctx, text, base)
	if base != nil && *base != m.reportedV {
		if iothub.ErrorCode(err) != iothub.CodePreconditionFailed {
			w.t.Fatalf("a report under version %d while it is %d: %v", *base, m.reportedV, err)
		}
		return
	}
	m.reportedV++
	if err != nil || version != m.reportedV {
		w.t.Fatalf("version %d, want %d: %v", version, m.reportedV, err)
	}
	m.reported = merge(m.reported, patch)
}

// check compares what back ends and the device read with the model.
func (w *twinWorld) check(ctx context.Context, m mirror) {
	got, err := w.hub.GetTwin(ctx, w.id)
	if err != nil {
		w.t.Fatal(err)
	}
	have := mirror{
		tags: got.Twin.Tags, desired: got.Twin.Desired.Values, reported: got.Twin.Reported.Values, etag: got.Twin.ETagText(), identity: got.Identity.ETag,
		version: got.Twin.Version, desiredVersion: got.Twin.Desired.Version, reportedV: got.Twin.Reported.Version,
	}
	if diff := cmp.Diff(m, have, cmp.AllowUnexported(mirror{})); diff != "" {
		w.t.Fatal(diff)
	}
	if w.conn == nil {
		return
	}
	if n := len(w.client.changes()); n != w.heard {
		w.t.Fatalf("told of %d changes, want %d", n, w.heard)
	}
	text, err := w.conn.Twin(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	body, err := iothub.DecodeObject(text)
	if err != nil {
		w.t.Fatal(err)
	}
	withVersion := func(values map[string]any, version int64) map[string]any {
		return merge(values, map[string]any{"$version": json.Number(fmt.Sprint(version))})
	}
	want := map[string]any{"desired": withVersion(m.desired, m.desiredVersion), "reported": withVersion(m.reported, m.reportedV)}
	if diff := cmp.Diff(want, body); diff != "" {
		w.t.Fatal("as the device reads it: " + diff)
	}
}
