package seedhub_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hubnerite/hubnerite/seed"
)

// TestRoundTrip: whatever state a hub is in, its export gives an empty hub the same state, and changes nothing on the hub that it is of; and a
// seed that is applied twice writes nothing the second time.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		defer w.close()
		for range rapid.IntRange(1, 2).Draw(t, "seeds") {
			d := seed.Document{Hub: drawHub(t)}
			text, err := d.YAML("")
			if err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "as JSON") {
				if text, err = d.JSON(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := w.try(string(text)); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			before := w.versions()
			if counts, err := w.try(string(text)); err != nil || counts.Created+counts.Changed != 0 {
				t.Fatalf("the second time: %+v %v\n%s", counts, err, text)
			}
			if w.versions() != before {
				t.Fatalf("the second time something was written:\n%s\n%s\n%s", before, w.versions(), text)
			}
		}
		state, before := w.exported(), w.versions()
		other := newWorld(t)
		defer other.close()
		if _, err := other.try(state); err != nil {
			t.Fatalf("%v\n%s", err, state)
		}
		if got := other.exported(); got != state {
			t.Fatalf("another export:\n%s\nwas\n%s", got, state)
		}
		// Export may not say everything: the hubs themselves are the same.
		if got, want := other.state(), w.state(); got != want {
			t.Fatalf("another state:\n%s\nwas\n%s", got, want)
		}
		if counts, err := w.try(state); err != nil || counts.Created+counts.Changed != 0 || w.versions() != before {
			t.Fatalf("on the hub itself: %+v %v\n%s", counts, err, state)
		}
	})
}

func maybe[T any](t *rapid.T, name string, value func() T) *T {
	if !rapid.Bool().Draw(t, name) {
		return nil
	}
	v := value()
	return &v
}

func drawText(t *rapid.T, name string) string {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", "x", "yes", "12", "1e3", "null", "~", "a: b", "- x", "# no", "two\nlines\n", " led", "é🙂", "'", `"`, "2024-01-02", "{{x", "\t", "0x10", "<<", "=", "\u0085\u2028"}),
		rapid.StringN(0, 20, 60),
	).Draw(t, name)
}

func drawKey(t *rapid.T, name string) string {
	return base64.StdEncoding.EncodeToString(rapid.SliceOfN(rapid.Byte(), 16, 64).Draw(t, name))
}

func drawValue(t *rapid.T, depth int) any {
	kinds := 6
	if depth > 3 {
		kinds = 4
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.Bool().Draw(t, "bool")
	case 1:
		return json.Number(fmt.Sprint(rapid.Int64Range(-4503599627370496, 4503599627370495).Draw(t, "whole")))
	case 2:
		return json.Number(rapid.SampledFrom([]string{"1.50", "-0", "0.1", "1e3", "1E-7", "2.0"}).Draw(t, "number"))
	case 3:
		return drawText(t, "text")
	case 4:
		return drawProperties(t, depth+1, false)
	}
	items := []any{}
	for range rapid.IntRange(0, 3).Draw(t, "items") {
		item := drawValue(t, depth+1)
		if item != nil {
			items = append(items, item)
		}
	}
	return items
}

// drawProperties makes an object that a twin may have; with nulls it may take something away.
func drawProperties(t *rapid.T, depth int, nulls bool) map[string]any {
	out := map[string]any{}
	for range rapid.IntRange(0, 3).Draw(t, "members") {
		name := rapid.SampledFrom([]string{"a", "b", "c", "12", "true", "é", "null", "~", "x-y", "<<", "'q'"}).Draw(t, "name")
		if nulls && rapid.IntRange(0, 4).Draw(t, "null") == 0 {
			out[name] = nil
			continue
		}
		out[name] = drawValue(t, depth)
	}
	return out
}

func drawTwin(t *rapid.T) seed.Twin {
	part := func(name string) map[string]any {
		if !rapid.Bool().Draw(t, name) {
			return nil
		}
		return drawProperties(t, 0, true)
	}
	return seed.Twin{Tags: part("tags"), Desired: part("desired"), Reported: part("reported")}
}

func drawAuthentication(t *rapid.T) *seed.Authentication {
	thumbprint := func() string {
		return strings.Repeat(rapid.SampledFrom([]string{"a", "B", "0"}).Draw(t, "digit"), rapid.SampledFrom([]int{40, 64}).Draw(t, "length"))
	}
	switch rapid.IntRange(0, 4).Draw(t, "authentication") {
	case 0:
		return &seed.Authentication{PrimaryKey: drawKey(t, "primary"), SecondaryKey: drawKey(t, "secondary")}
	case 1:
		return &seed.Authentication{Type: "sas", SecondaryKey: drawKey(t, "secondary")}
	case 2:
		return &seed.Authentication{PrimaryThumbprint: thumbprint()}
	case 3:
		return &seed.Authentication{Type: "certificateAuthority"}
	}
	return nil
}

// drawBody leaves out what looks like a placeholder.
func drawBody(t *rapid.T) any {
	return rapid.Custom(func(t *rapid.T) any { return drawValue(t, 2) }).Filter(func(v any) bool {
		text, err := json.Marshal(v)
		return err == nil && !strings.Contains(string(text), "{{")
	}).Draw(t, "body")
}

// drawHub draws from few names, so that seeds that follow each other change things.
func drawHub(t *rapid.T) seed.Hub {
	var h seed.Hub
	some := func(names ...string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, len(names), rapid.ID[string]).Draw(t, "names")
	}
	flag := func(name string) *bool { return maybe(t, name, func() bool { return rapid.Bool().Draw(t, name) }) }
	for _, name := range some("iothubowner", "service", "own") {
		h.Policies = append(h.Policies, seed.Policy{
			Name: name, Rights: []string{"RegistryRead", "DeviceConnect"}[:rapid.IntRange(1, 2).Draw(t, "rights")], PrimaryKey: drawKey(t, "key"),
		})
	}
	h.ConsumerGroups = some("one", "Two", "three.x")
	h.Endpoints = []seed.Endpoint{{Name: "hook", URL: rapid.SampledFrom([]string{"http://localhost:1/a", "https://localhost/b?c=d"}).Draw(t, "url")}}
	for _, name := range some("r1", "R2", "r3") {
		h.Routes = append(h.Routes, seed.Route{
			Name: name, Source: rapid.SampledFrom([]string{"", "DeviceMessages", "TwinChangeEvents", "DeviceLifecycleEvents"}).Draw(t, "source"),
			Condition: rapid.SampledFrom([]string{"", "true", "a = 'b'"}).Draw(t, "condition"),
			Endpoint:  rapid.SampledFrom([]string{"", "events", "hook"}).Draw(t, "endpoint"), Enabled: flag("enabled"),
		})
	}
	h.FallbackRoute = flag("fallback")
	for _, name := range some("k1", "k2") {
		h.Enrichments = append(h.Enrichments, seed.Enrichment{
			Key: name, Value: rapid.SampledFrom([]string{"v", "$iothubname", "12"}).Draw(t, "value"), Endpoints: some("hook", "events"),
		})
	}
	for _, name := range some("c1", "c2") {
		h.Configurations = append(h.Configurations, seed.Configuration{
			ID: name, Priority: rapid.IntRange(0, 9).Draw(t, "priority"), TargetCondition: rapid.SampledFrom([]string{"", "tags.a = 'nobody has this'"}).Draw(t, "condition"),
			Labels:  map[string]string{"l": drawText(t, "label")},
			Content: map[string]any{"deviceContent": map[string]any{"properties.desired.conf": drawValue(t, 2)}},
			Metrics: map[string]string{"m": "SELECT deviceId FROM devices"},
		})
	}
	// A device may have a parent that comes before it here, so that nobody is its own ancestor.
	edge := []string{}
	for _, name := range []string{"d1", "d2", "D2", "d#3", "d4"} {
		if rapid.IntRange(0, 3).Draw(t, "device") == 0 {
			continue
		}
		d := seed.Device{
			ID: name, Status: rapid.SampledFrom([]string{"", "enabled", "disabled"}).Draw(t, "status"),
			StatusReason:   maybe(t, "reason", func() string { return drawText(t, "reason") }),
			Authentication: drawAuthentication(t), Twin: drawTwin(t),
			ModelID: maybe(t, "model", func() string { return "dtmi:a;1" }),
		}
		isEdge := name == "d1" || name == "d2"
		d.IoTEdge = &isEdge
		if len(edge) > 0 && rapid.Bool().Draw(t, "child") {
			parent := rapid.SampledFrom(append(edge, "")).Draw(t, "parent")
			d.Parent = &parent
		}
		if isEdge {
			edge = append(edge, name)
			if rapid.Bool().Draw(t, "system") {
				d.Modules = append(d.Modules, seed.Module{ID: "$edgeAgent", Twin: drawTwin(t)})
			}
		}
		for _, module := range some("m1", "m2") {
			d.Modules = append(d.Modules, seed.Module{
				ID: module, ManagedBy: maybe(t, "managed", func() string { return drawText(t, "managedBy") }), Authentication: drawAuthentication(t), Twin: drawTwin(t),
			})
		}
		h.Devices = append(h.Devices, d)
	}
	if rapid.Bool().Draw(t, "reverse") {
		slices.Reverse(h.Devices)
	}
	for _, name := range some("s1", "s2") {
		count := rapid.IntRange(1, 3).Draw(t, "count")
		h.Simulations = append(h.Simulations, seed.Simulation{
			Name: name, Device: name + "-{n:02}", Count: &count, Seed: rapid.Int64Range(-5, 5).Draw(t, "seed"),
			Telemetry: []seed.Telemetry{{Every: seed.Duration(rapid.Int64Range(3600e9, 86400e9).Draw(t, "every")), Body: drawBody(t), Properties: map[string]string{"p": "v"}}},
			C2D:       maybe(t, "c2d", func() seed.Receive { return seed.Receive{Action: "reject", Delay: 1500000} }),
		})
	}
	return h
}
