package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hubnerite/hubnerite/iothub"
)

func everyEvent(o *Options) { o.BuiltInEvents = iothub.EventRouteSources() }

// events returns what the log has of a source, in order, for a log of few messages.
func (f *fixture) events(source iothub.MessageSource) []iothub.Telemetry {
	f.t.Helper()
	list, err := f.ReadTelemetry(context.Background(), TelemetryQuery{Source: source, Since: -1, Limit: 10000})
	if err != nil {
		f.t.Fatalf("read: %v", err)
	}
	return list
}

// body returns the JSON of a message.
func bodyOf(t reporter, m iothub.Telemetry) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(m.Body, &v); err != nil {
		t.Fatalf("body %s: %v", m.Body, err)
	}
	return v
}

// wantHead checks what all events have in common.
func wantHead(t *testing.T, m iothub.Telemetry, id iothub.ID, op, schema string, at time.Time) {
	t.Helper()
	want := map[string]string{
		"hubName": "hub1", "deviceId": id.DeviceID, "opType": op, "iothub-message-schema": schema, "operationTimestamp": iothub.FormatTime(at),
	}
	if id.IsModule() {
		want["moduleId"] = id.ModuleID
	}
	if diff := cmp.Diff(want, m.Properties.Map()); diff != "" {
		t.Errorf("%s: properties (-want +got):\n%s", op, diff)
	}
	if m.ID != id || m.System.ContentType != "application/json" || m.System.ContentEncoding != "utf-8" || m.System.UserID != "hub1" ||
		m.System.CorrelationID == "" || !m.EnqueuedTime.Equal(at) {
		t.Errorf("%s: %+v", op, m)
	}
}

func TestTwinEvents(t *testing.T) {
	clock := newMovableClock()
	f := newFixture(t, func(o *Options) { o.Now = clock.now })
	at := clock.now()
	id := f.device("d")
	module := f.device("d/m")
	ctx := context.Background()
	c, _ := f.connect(module, "mqtt")

	if _, err := f.PatchTwin(ctx, id, iothub.TwinPatch{
		Tags: map[string]any{"site": "n", "old": nil}, Desired: map[string]any{"a": map[string]any{"b": json.Number("1")}, "gone": nil},
	}, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Report(ctx, []byte(`{"battery":55}`), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReplaceTwin(ctx, id, iothub.TwinPatch{Desired: map[string]any{"c": true}}, ""); err != nil {
		t.Fatal(err)
	}
	// What is refused tells nothing.
	if _, err := f.PatchTwin(ctx, id, iothub.TwinPatch{Tags: map[string]any{"a.b": 1}}, ""); err == nil {
		t.Error("a bad name was accepted")
	}
	if _, err := f.PatchTwin(ctx, id, iothub.TwinPatch{Tags: map[string]any{}}, `"stale"`); err == nil {
		t.Error("a stale etag was accepted")
	}

	stamp := iothub.FormatTime(at)
	updated := map[string]any{"$lastUpdated": stamp}
	updatedIn := func(version float64) map[string]any {
		return map[string]any{"$lastUpdated": stamp, "$lastUpdatedVersion": version}
	}
	got := f.events(iothub.MessageSourceTwinChange)
	if len(got) != 3 {
		t.Fatalf("%d events", len(got))
	}
	wantHead(t, got[0], id, "updateTwin", "twinChangeNotification", at)
	meta := updatedIn(2)
	meta["a"] = map[string]any{"$lastUpdated": stamp, "$lastUpdatedVersion": 2.0, "b": updatedIn(2)}
	want := map[string]any{
		"version": 3.0, "tags": map[string]any{"site": "n", "old": nil},
		"properties": map[string]any{"desired": map[string]any{
			"a": map[string]any{"b": 1.0}, "gone": nil, "$version": 2.0, "$metadata": meta,
		}},
	}
	if diff := cmp.Diff(want, bodyOf(t, got[0])); diff != "" {
		t.Error(diff)
	}
	wantHead(t, got[1], module, "updateTwin", "twinChangeNotification", at)
	want = map[string]any{"version": 2.0, "properties": map[string]any{"reported": map[string]any{
		"battery": 55.0, "$version": 2.0, "$metadata": map[string]any{"$lastUpdated": stamp, "battery": updated},
	}}}
	if diff := cmp.Diff(want, bodyOf(t, got[1])); diff != "" {
		t.Error(diff)
	}
	wantHead(t, got[2], id, "replaceTwin", "twinChangeNotification", at)
	meta = updatedIn(3)
	meta["c"] = updatedIn(3)
	want = map[string]any{
		"deviceId": "d", "etag": "AAAAAAAAAAM=", "version": 4.0, "tags": map[string]any{},
		"properties": map[string]any{
			"desired":  map[string]any{"c": true, "$version": 3.0, "$metadata": meta},
			"reported": map[string]any{"$version": 1.0, "$metadata": updated},
		},
	}
	if diff := cmp.Diff(want, bodyOf(t, got[2])); diff != "" {
		t.Error(diff)
	}
	// By default nothing else is told.
	if all := f.events(AllSources); len(all) != 3 {
		t.Errorf("%d messages in all", len(all))
	}
	if telemetry := f.events(""); len(telemetry) != 0 {
		t.Errorf("events count as telemetry: %v", telemetry)
	}
}

func TestLifecycleEvents(t *testing.T) {
	clock := newMovableClock()
	f := newFixture(t, everyEvent, func(o *Options) { o.Now = clock.now })
	ctx, at := context.Background(), clock.now()
	id, module := f.device("d"), f.device("d/m")
	if _, err := f.CreateIdentity(ctx, id, iothub.IdentityRequest{}); iothub.ErrorCode(err) != iothub.CodeDeviceAlreadyExists {
		t.Errorf("second creation: %v", err)
	}
	if _, err := f.PatchTwin(ctx, id, iothub.TwinPatch{Tags: map[string]any{"site": "n"}}, ""); err != nil {
		t.Fatal(err)
	}
	for _, id := range []iothub.ID{module, id} {
		if err := f.DeleteIdentity(ctx, id, "*"); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, f.DeleteIdentity(ctx, id, "*"), iothub.CodeDeviceNotFound)
	got := f.events(AllSources)
	var order []string
	for _, m := range got {
		op, _ := m.Properties.Get("opType")
		order = append(order, m.ID.String()+" "+op)
	}
	want := []string{
		"d createDeviceIdentity", "d/m createDeviceIdentity", "d updateTwin", "d/m deleteDeviceIdentity", "d deleteDeviceIdentity",
	}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Fatal(diff)
	}
	wantHead(t, got[1], module, "createDeviceIdentity", "deviceLifecycleNotification", at)
	wantHead(t, got[4], id, "deleteDeviceIdentity", "deviceLifecycleNotification", at)
	section := func() map[string]any {
		return map[string]any{"$version": 1.0, "$metadata": map[string]any{"$lastUpdated": iothub.FormatTime(at)}}
	}
	body := map[string]any{
		"deviceId": "d", "moduleId": "m", "etag": "AAAAAAAAAAE=", "version": 2.0, "tags": map[string]any{},
		"properties": map[string]any{"desired": section(), "reported": section()},
	}
	if diff := cmp.Diff(body, bodyOf(t, got[1])); diff != "" {
		t.Error(diff)
	}
	delete(body, "moduleId")
	body["etag"], body["version"], body["tags"] = "AAAAAAAAAAI=", 3.0, map[string]any{"site": "n"}
	if diff := cmp.Diff(body, bodyOf(t, got[4])); diff != "" {
		t.Error(diff)
	}
}

func TestConnectionEvents(t *testing.T) {
	f := newFixture(t, everyEvent)
	id, module := f.device("d"), f.device("d/m")
	c, _ := f.connect(id, "mqtt")
	f.connect(id, "amqp") // evicts
	c.Close()             // of no consequence
	m, _ := f.connect(module, "mqtt")
	m.Close()
	f.restart() // disconnects d
	c, _ = f.connect(id, "mqtt")
	c.Close()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	got := f.events(iothub.MessageSourceDeviceConnectionState)
	var order, numbers []string
	for _, e := range got {
		op, _ := e.Properties.Get("opType")
		order = append(order, e.ID.String()+" "+op)
		number, _ := bodyOf(t, e)["sequenceNumber"].(string)
		if len(number) != 64 || strings.Trim(number, "0123456789abcdef") != "" {
			t.Errorf("sequence number %q", number)
		}
		numbers = append(numbers, number)
	}
	want := []string{
		"d deviceConnected", "d deviceDisconnected", "d deviceConnected", "d/m deviceConnected", "d/m deviceDisconnected",
		"d deviceDisconnected", "d deviceConnected", "d deviceDisconnected",
	}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Fatal(diff)
	}
	if !slices.IsSorted(numbers) || len(slices.Compact(slices.Clone(numbers))) != len(numbers) {
		t.Errorf("numbers do not rise: %v", numbers)
	}
	schema, _ := got[0].Properties.Get("iothub-message-schema")
	if schema != "deviceConnectionStateNotification" || got[0].System.UserID != "hub1" {
		t.Errorf("event %+v", got[0])
	}
}

// TestTwinEventsModel compares the events of writers at work at once with the
// twin that they left: applied in order they give it, and no version is missing.
func TestTwinEventsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := startFixture(t)
		defer func() { _ = f.Close() }()
		id := f.device("d")
		c, _ := f.connect(id, "mqtt")
		writes := rapid.SliceOfN(rapid.IntRange(0, 2), 1, 12).Draw(t, "writes")
		errs := make(chan error, len(writes))
		for i, kind := range writes {
			go func() {
				var err error
				switch kind {
				case 0:
					_, err = f.PatchTwin(context.Background(), id, iothub.TwinPatch{Desired: map[string]any{"n": json.Number(fmt.Sprint(i))}}, "")
				case 1:
					_, err = f.PatchTwin(context.Background(), id, iothub.TwinPatch{Tags: map[string]any{"n": json.Number(fmt.Sprint(i))}}, "")
				default:
					_, err = c.Report(context.Background(), fmt.Appendf(nil, `{"n":%d}`, i), nil)
				}
				errs <- err
			}()
		}
		for range writes {
			if err := <-errs; err != nil {
				t.Fatalf("write: %v", err)
			}
		}
		last := map[string]any{}
		desired, reported, version := 1.0, 1.0, 2.0
		for _, m := range f.events(iothub.MessageSourceTwinChange) {
			body := bodyOf(t, m)
			properties, _ := body["properties"].(map[string]any)
			if part, ok := properties["reported"].(map[string]any); ok {
				if reported++; part["$version"] != reported {
					t.Fatalf("reported version %v, want %v", part["$version"], reported)
				}
				last["reported"] = part["n"]
				continue
			}
			if version++; body["version"] != version {
				t.Fatalf("version %v, want %v", body["version"], version)
			}
			if part, ok := properties["desired"].(map[string]any); ok {
				if desired++; part["$version"] != desired {
					t.Fatalf("desired version %v, want %v", part["$version"], desired)
				}
				last["desired"] = part["n"]
			}
			if part, ok := body["tags"].(map[string]any); ok {
				last["tags"] = part["n"]
			}
		}
		twin, err := f.GetTwin(context.Background(), id)
		if err != nil {
			t.Fatalf("twin: %v", err)
		}
		for name, values := range map[string]map[string]any{
			"desired": twin.Twin.Desired.Values, "reported": twin.Twin.Reported.Values, "tags": twin.Twin.Tags,
		} {
			n, _ := values["n"].(json.Number)
			if fmt.Sprint(last[name]) != n.String() && (last[name] != nil || n != "") {
				t.Fatalf("%s: the last event says %v, the twin %v", name, last[name], n)
			}
		}
	})
}

// A log that cannot take an event does not undo what the event tells of.
func TestEventThatCannotBeStored(t *testing.T) {
	f := newFixture(t, everyEvent)
	id := f.device("d")
	if err := f.store.Log().Close(); err != nil {
		t.Fatal(err)
	}
	twin, err := f.PatchTwin(context.Background(), id, iothub.TwinPatch{Tags: map[string]any{"a": "b"}}, "")
	if err != nil || twin.Twin.Tags["a"] != "b" {
		t.Errorf("patch: %+v, %v", twin.Twin.Tags, err)
	}
	if err := f.DeleteIdentity(context.Background(), id, "*"); err != nil {
		t.Errorf("delete: %v", err)
	}
	var e *iothub.Error
	if _, err := f.GetIdentity(context.Background(), id); !errors.As(err, &e) {
		t.Errorf("get: %v", err)
	}
}
