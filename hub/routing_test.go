package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hubnerite/hubnerite/iothub"
)

func (f *fixture) route(name string, source iothub.RouteSource, condition, endpoint string) {
	f.t.Helper()
	err := f.PutRoute(context.Background(), iothub.Route{
		Name: name, Source: source, Condition: condition, EndpointNames: []string{endpoint}, IsEnabled: true,
	})
	if err != nil {
		f.t.Fatalf("route %q: %v", name, err)
	}
}

// publish sends a message and waits for its end.
func publish(t reporter, c *Connection, m iothub.Telemetry) {
	t.Helper()
	done := make(chan error, 1)
	c.SendTelemetry(context.Background(), m, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatalf("telemetry: %v", err)
	}
}

func jsonMessage(body string, properties ...iothub.Property) iothub.Telemetry {
	return iothub.Telemetry{
		System: iothub.SystemProperties{ContentType: "application/json", ContentEncoding: "utf-8"},
		Body:   []byte(body), Properties: properties,
	}
}

// kept returns the bodies in the built-in endpoint.
func (f *fixture) kept() []string {
	f.t.Helper()
	var out []string
	for _, m := range f.events("") {
		out = append(out, string(m.Body))
	}
	return out
}

func TestRoutesToBuiltIn(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	id := f.device("d")
	if _, err := f.PatchTwin(ctx, id, iothub.TwinPatch{Tags: map[string]any{"site": "n"}}, ""); err != nil {
		t.Fatal(err)
	}
	c, _ := f.connect(id, "mqtt")
	hot, cold := jsonMessage(`{"t":50}`), jsonMessage(`{"t":5}`)
	steps := []struct {
		name   string
		change func() error
		want   []string
	}{
		{"no routes", func() error { return nil }, []string{`{"t":50}`, `{"t":5}`}},
		{"no routes and no fallback", func() error { return f.SetFallback(ctx, false) }, []string{`{"t":50}`, `{"t":5}`}},
		{"a route by the body", func() error {
			f.route("hot", iothub.SourceDeviceMessages, "$body.t > 40", "events")
			return nil
		}, []string{`{"t":50}`}},
		{"fallback", func() error { return f.SetFallback(ctx, true) }, []string{`{"t":50}`, `{"t":5}`}},
		{"by the twin, twice", func() error {
			f.route("hot", iothub.SourceDeviceMessages, "$twin.tags.site = 'n'", "EVENTS")
			f.route("again", iothub.SourceDeviceMessages, "true", "events")
			return f.SetFallback(ctx, false)
		}, []string{`{"t":50}`, `{"t":5}`}},
		{"disabled routes are routes", func() error {
			for _, name := range []string{"HOT", "again"} {
				r := iothub.Route{Name: name, Source: iothub.SourceDeviceMessages, EndpointNames: []string{"events"}}
				if err := f.PutRoute(ctx, r); err != nil {
					return err
				}
			}
			return nil
		}, nil},
		{"routes of another source", func() error {
			f.route("twins", iothub.SourceTwinChange, "false", "events")
			if err := f.DeleteRoute(ctx, "hot"); err != nil {
				return err
			}
			return f.DeleteRoute(ctx, "Again")
		}, nil},
		{"none again", func() error { return f.DeleteRoute(ctx, "twins") }, []string{`{"t":50}`, `{"t":5}`}},
	}
	seen := 0
	for _, step := range steps {
		if err := step.change(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		publish(t, c, hot)
		publish(t, c, cold)
		all := f.kept()
		if diff := cmp.Diff(step.want, all[seen:], cmpEmpty()); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
		seen = len(all)
	}
	if got := f.Orphaned(); got != 5 {
		t.Errorf("%d orphaned, want 5", got)
	}
}

func cmpEmpty() cmp.Option {
	return cmp.Transformer("list", func(s []string) string { return strings.Join(s, "\n") })
}

// The hub's own events follow their own routes and never the fallback.
func TestRoutesOfEvents(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	id := f.device("d")
	patch := func(value string) {
		t.Helper()
		if _, err := f.PatchTwin(ctx, id, iothub.TwinPatch{Tags: map[string]any{"v": value}}, ""); err != nil {
			t.Fatal(err)
		}
	}
	patch("1")
	f.route("telemetry", iothub.SourceDeviceMessages, "false", "events")
	patch("2") // telemetry's routes do not concern it
	f.route("twins", iothub.SourceTwinChange, "$body.tags.v = 'yes' AND opType = 'updateTwin' AND $twin.tags.v = 'yes'", "events")
	patch("3")
	patch("yes")
	f.route("births", iothub.SourceDeviceLifecycle, "opType = 'createDeviceIdentity'", "events")
	other := f.device("e")
	if err := f.DeleteIdentity(ctx, other, "*"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range f.events(AllSources) {
		op, _ := m.Properties.Get("opType")
		tags, _ := bodyOf(t, m)["tags"].(map[string]any)
		got = append(got, fmt.Sprint(op, " ", tags["v"]))
	}
	slices.Sort(got) // two devices, two partitions perhaps
	if diff := cmp.Diff([]string{"createDeviceIdentity <nil>", "updateTwin 1", "updateTwin 2", "updateTwin yes"}, got); diff != "" {
		t.Error(diff)
	}
	if f.Orphaned() != 0 {
		t.Errorf("%d orphaned", f.Orphaned())
	}
}

func TestBuiltInEventsCanBeNone(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.BuiltInEvents = []iothub.RouteSource{} })
	id := f.device("d")
	if _, err := f.PatchTwin(context.Background(), id, iothub.TwinPatch{Tags: map[string]any{"v": "1"}}, ""); err != nil {
		t.Fatal(err)
	}
	if got := f.events(AllSources); len(got) != 0 {
		t.Errorf("%d messages", len(got))
	}
}

func TestEnrichments(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	id := f.device("d")
	f.device("d/m")
	if _, err := f.PatchTwin(ctx, id, iothub.TwinPatch{
		Tags:    map[string]any{"site": map[string]any{"floor": json.Number("3"), "name": "n"}},
		Desired: map[string]any{"on": true},
	}, ""); err != nil {
		t.Fatal(err)
	}
	for key, value := range map[string]string{
		"static": "a text", "hub": "$iotHubName", "floor": "$twin.tags.site.floor", "name": "$twin.tags.site.name",
		"on": "$twin.properties.desired.on", "whole": "$twin.tags.site", "nowhere": "$twin.tags.none", "odd": "$twin.tags.[", "Own": "ours",
		"price": "$5",
	} {
		if err := f.PutEnrichment(ctx, iothub.Enrichment{Key: key, Value: value, EndpointNames: []string{"events"}}); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, f.PutEnrichment(ctx, iothub.Enrichment{Key: "eleventh", Value: "x", EndpointNames: []string{"events"}}), iothub.CodeArgumentInvalid)
	c, _ := f.connect(id, "mqtt")
	m, _ := f.connect(iothub.ID{DeviceID: "d", ModuleID: "m"}, "mqtt")
	publish(t, c, iothub.Telemetry{Body: []byte("d"), Properties: iothub.Properties{{Name: "own", Value: "1"}, {Name: "zone", Value: "z"}}})
	publish(t, m, iothub.Telemetry{Body: []byte("m")})
	want := map[string]string{
		"static": "a text", "hub": "hub1", "floor": "3", "name": "n", "on": "true", "whole": `{"floor":3,"name":"n"}`,
		"nowhere": "$twin.tags.none", "odd": "$twin.tags.[", "Own": "ours", "price": "$5", "zone": "z",
	}
	got := f.events("")
	if len(got) != 2 {
		t.Fatalf("%d messages", len(got))
	}
	if diff := cmp.Diff(want, got[0].Properties.Map()); diff != "" {
		t.Error(diff)
	}
	// A module's message has the module's twin.
	if floor, _ := got[1].Properties.Get("floor"); floor != "$twin.tags.site.floor" {
		t.Errorf("floor of the module %q", floor)
	}
	// What grows too large is dropped, and accepted all the same.
	publish(t, c, iothub.Telemetry{Body: make([]byte, iothub.MaxTelemetrySize)})
	if got := f.events(""); len(got) != 2 {
		t.Errorf("%d messages after one that is too large", len(got))
	}
}

func TestRoutingIsKept(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	if err := f.PutEndpoint(ctx, iothub.Endpoint{Name: "Hook", URL: "http://127.0.0.1:1/"}); err != nil {
		t.Fatal(err)
	}
	f.route("b", iothub.SourceDeviceMessages, "false", "hook")
	f.route("a", iothub.SourceTwinChange, "true", "events")
	if err := f.SetFallback(ctx, false); err != nil {
		t.Fatal(err)
	}
	wantCode(t, f.DeleteEndpoint(ctx, "hook"), iothub.CodeInvalidMessagingEndpoint)
	want := f.Routing()
	f.restart()
	if diff := cmp.Diff(want, f.Routing()); diff != "" {
		t.Error(diff)
	}
	if r := f.Routing(); len(r.Routes) != 2 || r.Routes[0].Name != "a" || r.Fallback || len(r.Endpoints) != 1 {
		t.Errorf("routing %+v", r)
	}
	// It is in effect.
	c, _ := f.connect(f.device("d"), "mqtt")
	publish(t, c, iothub.Telemetry{Body: []byte("x")})
	if got := f.kept(); len(got) != 0 {
		t.Errorf("kept %v", got)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	wantCode(t, f.SetFallback(ctx, true), iothub.CodeServiceUnavailable)
}

func TestRoutingRefusals(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	events := []string{"events"}
	for _, tt := range []struct {
		route iothub.Route
		code  iothub.Code
	}{
		{iothub.Route{Name: "", Source: iothub.SourceDeviceMessages, EndpointNames: events}, iothub.CodeArgumentInvalid},
		{iothub.Route{Name: strings.Repeat("r", 65), Source: iothub.SourceDeviceMessages, EndpointNames: events}, iothub.CodeArgumentInvalid},
		{iothub.Route{Name: "$fallback", Source: iothub.SourceDeviceMessages, EndpointNames: events}, iothub.CodeArgumentInvalid},
		{iothub.Route{Name: "r", Source: "Nothing", EndpointNames: events}, iothub.CodeInvalidSourceOnRoute},
		{iothub.Route{Name: "r", Source: "MqttBrokerMessages", EndpointNames: events}, iothub.CodeInvalidSourceOnRoute},
		{iothub.Route{Name: "r", Source: iothub.SourceDeviceMessages}, iothub.CodeArgumentInvalid},
		{iothub.Route{Name: "r", Source: iothub.SourceDeviceMessages, EndpointNames: []string{"events", "x"}}, iothub.CodeArgumentInvalid},
		{iothub.Route{Name: "r", Source: iothub.SourceDeviceMessages, EndpointNames: []string{"x"}}, iothub.CodeInvalidMessagingEndpoint},
		{iothub.Route{Name: "r", Source: iothub.SourceDeviceMessages, EndpointNames: events, Condition: "((a)"}, iothub.CodeArgumentInvalid},
	} {
		wantCode(t, f.PutRoute(ctx, tt.route), tt.code)
	}
	for i := range iothub.MaxRoutes {
		f.route(fmt.Sprint("r", i), iothub.SourceDeviceMessages, "", "events")
	}
	wantCode(t, f.PutRoute(ctx, iothub.Route{Name: "more", Source: iothub.SourceDeviceMessages, EndpointNames: events}), iothub.CodeArgumentInvalid)
	for i := range iothub.MaxEndpoints {
		if err := f.PutEndpoint(ctx, iothub.Endpoint{Name: fmt.Sprint("e", i), URL: "http://127.0.0.1:1/"}); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, f.PutEndpoint(ctx, iothub.Endpoint{Name: "more", URL: "http://127.0.0.1:1/"}), iothub.CodeArgumentInvalid)
	wantCode(t, f.PutEndpoint(ctx, iothub.Endpoint{Name: "e1", URL: "/relative"}), iothub.CodeInvalidMessagingEndpoint)
	if got := f.Routing(); len(got.Routes) != iothub.MaxRoutes || len(got.Endpoints) != iothub.MaxEndpoints {
		t.Errorf("%d routes, %d endpoints", len(got.Routes), len(got.Endpoints))
	}
}

// TestRoutingModel compares which messages arrive with a naive reading of the rules.
func TestRoutingModel(t *testing.T) {
	type route struct {
		property string
		enabled  bool
	}
	names := []string{"a", "b", "c"}
	rapid.Check(t, func(t *rapid.T) {
		f := startFixture(t)
		defer func() { _ = f.Close() }()
		ctx := context.Background()
		c, _ := f.connect(f.device("d"), "mqtt")
		routes, fallback := map[string]route{}, true
		var want []string
		for i := range rapid.IntRange(1, 15).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				name := rapid.SampledFrom(names).Draw(t, "name")
				r := route{rapid.SampledFrom(names).Draw(t, "property"), rapid.Bool().Draw(t, "enabled")}
				err := f.PutRoute(ctx, iothub.Route{
					Name: name, Source: iothub.SourceDeviceMessages, Condition: r.property + " = '1'", EndpointNames: []string{"events"}, IsEnabled: r.enabled,
				})
				if err != nil {
					t.Fatalf("put: %v", err)
				}
				routes[name] = r
			case 1:
				name := rapid.SampledFrom(names).Draw(t, "name")
				_, exists := routes[name]
				if err := f.DeleteRoute(ctx, name); (err == nil) != exists {
					t.Fatalf("delete: %v", err)
				}
				delete(routes, name)
			case 2:
				fallback = rapid.Bool().Draw(t, "fallback")
				if err := f.SetFallback(ctx, fallback); err != nil {
					t.Fatalf("fallback: %v", err)
				}
			default:
				property, body := rapid.SampledFrom(names).Draw(t, "property"), fmt.Sprint(i)
				publish(t, c, iothub.Telemetry{Body: []byte(body), Properties: iothub.Properties{{Name: property, Value: "1"}}})
				matches := len(routes) == 0 || fallback
				for _, r := range routes {
					matches = matches || r.enabled && r.property == property
				}
				if matches {
					want = append(want, body)
				}
			}
		}
		if got := f.kept(); !slices.Equal(got, want) {
			t.Fatalf("kept %v, want %v", got, want)
		}
	})
}
