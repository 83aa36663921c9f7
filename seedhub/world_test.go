package seedhub_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/seed"
	"github.com/hubnerite/hubnerite/seedhub"
	"github.com/hubnerite/hubnerite/simulate"
	"github.com/hubnerite/hubnerite/store/memory"
)

// reporter is what *testing.T and *rapid.T have in common.
type reporter interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

// world is an empty hub with a simulator.
type world struct {
	t reporter
	seedhub.Target
	close func()
}

func newWorld(t reporter) *world {
	t.Helper()
	s := memory.New(memory.Options{})
	r, err := registry.New(registry.Options{Records: s.Records(), Documents: s.Documents()})
	if err != nil {
		t.Fatal(err)
	}
	h, err := hub.New(hub.Options{Name: "hub1", Registry: r, Queues: s.Queues(), Documents: s.Documents(), Log: s.Log()})
	if err != nil {
		t.Fatal(err)
	}
	sim := simulate.New(simulate.Options{Hub: h})
	return &world{t, seedhub.Target{Hub: h, Simulator: sim, DefaultPolicies: registry.DefaultPolicies()}, func() {
		sim.Close()
		if err := errors.Join(h.Close(), s.Close()); err != nil {
			t.Errorf("%v", err)
		}
	}}
}

// inWorld runs a test with an empty hub.
func inWorld(t *testing.T) *world {
	w := newWorld(t)
	t.Cleanup(w.close)
	return w
}

// try checks and applies a text.
func (w *world) try(text string) (seedhub.Counts, error) {
	w.t.Helper()
	f, err := seed.Parse("hub.yaml", []byte(text), seed.Options{})
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	part := seedhub.Part{File: f, Hub: &f.Hub}
	if err := w.Check(context.Background(), part); err != nil {
		return seedhub.Counts{}, err
	}
	counts, err := w.Apply(context.Background(), part)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	if err := w.Hub.SettleConfigurations(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	return counts, nil
}

// apply applies a text and wants it to create, change and leave so many things.
func (w *world) apply(text string, created, changed, unchanged int) {
	w.t.Helper()
	counts, err := w.try(text)
	if want := (seedhub.Counts{Created: created, Changed: changed, Unchanged: unchanged}); err != nil || counts != want {
		w.t.Errorf("%+v %v, want %+v", counts, err, want)
	}
}

func (w *world) twin(device, module string) hub.Twin {
	w.t.Helper()
	twin, err := w.Hub.GetTwin(context.Background(), iothub.ID{DeviceID: device, ModuleID: module})
	if err != nil {
		w.t.Fatal(err)
	}
	return twin
}

// versions returns what moves when anything is written: etags and versions of everybody.
func (w *world) versions() string {
	w.t.Helper()
	page, next, err := w.Hub.ListTwins(context.Background(), "", 100000)
	if err != nil || next != "" {
		w.t.Fatalf("%v %q", err, next)
	}
	type row struct {
		ID, ETag, TwinETag         string
		Version, Desired, Reported int64
	}
	var rows []row
	for _, t := range page {
		rows = append(rows, row{t.Identity.ID.String(), t.Identity.ETag, t.Twin.ETagText(), t.Twin.Version, t.Twin.Desired.Version, t.Twin.Reported.Version})
	}
	configurations, err := w.Hub.Configurations(context.Background(), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range configurations {
		rows = append(rows, row{ID: c.ID, ETag: c.ETagText()})
	}
	text, err := json.Marshal(rows)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// exported returns the hub's state as YAML.
func (w *world) exported() string {
	w.t.Helper()
	out, err := w.Export(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := seedhub.Text(&seed.Document{Hub: out}, false, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}

// state returns what the hub holds as the hub says, whatever a seed can say of it, but for what differs by itself.
func (w *world) state() string {
	w.t.Helper()
	page, _, err := w.Hub.ListTwins(context.Background(), "", 100000)
	if err != nil {
		w.t.Fatal(err)
	}
	owners := map[string]string{}
	for _, t := range page {
		if t.Identity.Capabilities.IoTEdge {
			owners[t.Identity.DeviceScope] = t.Identity.ID.DeviceID
		}
	}
	var out []any
	for _, t := range page {
		i := t.Identity
		i.GenerationID, i.ETag, i.StatusUpdatedTime = "", "", time.Time{}
		i.DeviceScope = owners[i.DeviceScope]
		i.ParentScopes = slices.Clone(i.ParentScopes)
		for n, scope := range i.ParentScopes {
			i.ParentScopes[n] = owners[scope]
		}
		out = append(out, i, t.Twin.Tags, t.Twin.Desired.Values, t.Twin.Reported.Values, t.Twin.ModelID)
	}
	configurations, err := w.Hub.Configurations(context.Background(), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range configurations {
		content, err := iothub.DecodeObject(c.Content.Raw)
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, c.ID, c.SchemaVersion, c.Labels, content, c.TargetCondition, c.Priority, c.Metrics)
	}
	for _, s := range w.Simulator.List() {
		out = append(out, s.ID, s.Spec, s.Devices)
	}
	policies := w.Hub.Policies()
	slices.SortFunc(policies, func(a, b iothub.AccessPolicy) int { return strings.Compare(a.Name, b.Name) })
	out = append(out, policies, w.Hub.ConsumerGroups(), w.Hub.Routing(), w.Hub.CACertificates())
	text, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}
