package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// playing says that a simulation plays every device whose ID begins with sim.
type playing struct{ Simulating }

func (playing) Playing(hub string) (func(iothub.ID) string, error) {
	if hub != "hub1" {
		return nil, &Refusal{http.StatusNotFound, "There is no hub " + hub}
	}
	return func(id iothub.ID) string {
		if strings.HasPrefix(id.DeviceID, "sim") {
			return "all"
		}
		return ""
	}, nil
}

func withPlaying(o *Options) { o.Simulating = playing{} }

// request sends a request with a body of JSON to localhost.
func (w *world) request(method, target string, body any) *httptest.ResponseRecorder {
	w.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(w.t.Context(), method, target, strings.NewReader(string(text)))
	r.Host = "localhost:8484"
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec
}

// page is the answer of GET /devices.
type page struct {
	Devices []Device
	Total   int
	Next    string
}

func (p page) ids() []string {
	ids := []string{}
	for _, d := range p.Devices {
		ids = append(ids, d.DeviceID)
	}
	return ids
}

func TestDevices(t *testing.T) {
	w := newWorld(t, withPlaying)
	var got page
	w.decode(w.get("/devices"), http.StatusOK, &got)
	if len(got.Devices) != 0 || got.Devices == nil || got.Total != 0 {
		t.Errorf("an empty hub has %+v", got)
	}
	for i := range 5 {
		if _, err := w.hub.CreateIdentity(t.Context(), iothub.ID{DeviceID: fmt.Sprintf("sim-%d", i)}, iothub.IdentityRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	w.connect(iothub.ID{DeviceID: "Boiler"})
	if _, err := w.hub.CreateIdentity(t.Context(), iothub.ID{DeviceID: "off"}, iothub.IdentityRequest{Status: iothub.StatusDisabled}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.hub.SendC2D(t.Context(), iothub.C2DMessage{ID: iothub.ID{DeviceID: "Boiler"}, Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	sims := []string{"sim-0", "sim-1", "sim-2", "sim-3", "sim-4"}
	for query, want := range map[string][]string{
		"":                                  append([]string{"Boiler", "off"}, sims...),
		"search=boil":                       {"Boiler"},
		"search=?oile*":                     {"Boiler"},
		"search=oile*":                      {},
		"search=%5Boff":                     {},
		"state=connected":                   {"Boiler"},
		"state=disconnected&search=f":       {"off"},
		"status=disabled":                   {"off"},
		"status=enabled&simulated=false":    {"Boiler"},
		"simulated=true":                    sims,
		"simulated=true&after=sim-2":        {"sim-3", "sim-4"},
		"state=connected&status=disabled":   {},
		"search=sim-3&hub=hub1":             {"sim-3"},
		"after=zzz":                         {},
		"status=enabled&search=*&limit=200": append([]string{"Boiler"}, sims...),
	} {
		got = page{}
		w.decode(w.get("/devices?"+query), http.StatusOK, &got)
		if !slices.Equal(got.ids(), want) || got.Next != "" {
			t.Errorf("%s: %v, next %q; want %v", query, got.ids(), got.Next, want)
		}
		if !strings.Contains(query, "after") && got.Total != len(want) {
			t.Errorf("%s: total %d", query, got.Total)
		}
	}

	var all []string
	for after := ""; ; {
		got = page{}
		w.decode(w.get("/devices?limit=3&after="+url.QueryEscape(after)), http.StatusOK, &got)
		if got.Total != 7 {
			t.Errorf("after %q the total is %d", after, got.Total)
		}
		all = append(all, got.ids()...)
		if after = got.Next; after == "" {
			break
		}
	}
	if !slices.Equal(all, append([]string{"Boiler", "off"}, sims...)) {
		t.Errorf("by pages: %v", all)
	}

	got = page{}
	w.decode(w.get("/devices?search=boiler"), http.StatusOK, &got)
	boiler := got.Devices[0]
	if !boiler.Connected || boiler.Connection == nil || boiler.Connection.Protocol != "mqtt" || boiler.Connection.Since == "" || boiler.C2DWaiting != 1 || boiler.Simulation != "" ||
		boiler.Status != "enabled" || boiler.Authentication != "sas" || boiler.ModelID != "dtmi:com:example:T;1" ||
		!strings.HasPrefix(boiler.ConnectionString, "HostName=localhost;DeviceId=Boiler;SharedAccessKey=") {
		t.Errorf("%+v", boiler)
	}
	if w.get("/devices?search=x&stat=y").Code != http.StatusUnprocessableEntity || w.get("/devices?limit=1001").Code != http.StatusUnprocessableEntity ||
		w.get("/devices?hub=none").Code != http.StatusNotFound || w.get("/devices?state=asleep").Code != http.StatusUnprocessableEntity {
		t.Error("a wrong question was answered")
	}
}

func TestDeviceWithModulesAndLog(t *testing.T) {
	w := newWorld(t, withPlaying)
	c := w.connect(iothub.ID{DeviceID: "d:1"})
	id := iothub.ID{DeviceID: "d:1"}
	w.connect(iothub.ID{DeviceID: "d:1", ModuleID: "m"})
	if _, err := w.hub.PatchTwin(t.Context(), id, iothub.TwinPatch{Desired: map[string]any{"a": true}}, ""); err != nil {
		t.Fatal(err)
	}
	c.Close()
	// Clients escape more or less.
	for _, path := range []string{"/devices/d:1", "/devices/d%3A1", "/devices/d%3a1?hub=hub1"} {
		var got DeviceDetail
		w.decode(w.get(path), http.StatusOK, &got)
		if got.DeviceID != "d:1" || got.Connected || got.Connection != nil || got.LastActivity == "" || got.Twin.Version != 3 || got.Twin.Desired != 2 || got.Twin.Reported != 1 || got.Twin.ETag == "" {
			t.Errorf("%s: %+v", path, got.Device)
		}
		if len(got.Modules) != 1 || got.Modules[0].ModuleID != "m" || !got.Modules[0].Connected || got.Modules[0].Connection == nil ||
			!strings.Contains(got.Modules[0].ConnectionString, ";DeviceId=d:1;ModuleId=m;SharedAccessKey=") {
			t.Errorf("%s: modules %+v", path, got.Modules)
		}
		var events []string
		for _, l := range got.Log {
			events = append(events, l.Module+" "+l.Event)
		}
		if !slices.Equal(events, []string{" connected", "m connected", " disconnected"}) {
			t.Errorf("%s: %q", path, events)
		}
	}
	// Only the last ones are told.
	for range maxDeviceLog {
		again, err := w.hub.Connect(t.Context(), id, hub.ConnectionOptions{Grant: grantOf(id), Protocol: "amqp"}, deaf{})
		if err != nil {
			t.Fatal(err)
		}
		again.Close()
	}
	var got DeviceDetail
	w.decode(w.get("/devices/d:1"), http.StatusOK, &got)
	if len(got.Log) != maxDeviceLog || got.Log[0].Protocol != "amqp" || got.Log[maxDeviceLog-1].Event != "disconnected" {
		t.Errorf("%d lines, %+v", len(got.Log), got.Log[0])
	}
	if rec := w.get("/devices/none"); rec.Code != http.StatusNotFound {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestCreateDevice(t *testing.T) {
	w := newWorld(t)
	var got DeviceDetail
	const key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	w.decode(w.request(http.MethodPost, "/devices", map[string]any{
		"deviceId": "d1", "primaryKey": key, "iotEdge": true, "tags": map[string]any{"site": 1}, "desired": map[string]any{"interval": 30}, "modules": []string{"m1", "m2"},
	}), http.StatusCreated, &got)
	if got.ConnectionString != "HostName=localhost;DeviceId=d1;SharedAccessKey="+key || !got.IoTEdge || len(got.Modules) != 4 || got.Modules[0].ConnectionString != "" || got.Twin.Version != 3 {
		t.Errorf("%+v", got)
	}
	twin, err := w.hub.GetTwin(t.Context(), iothub.ID{DeviceID: "d1"})
	if err != nil || fmt.Sprint(twin.Twin.Tags, twin.Twin.Desired.Values) != "map[site:1] map[interval:30]" {
		t.Errorf("%v %v", twin, err)
	}
	got = DeviceDetail{}
	w.decode(w.request(http.MethodPost, "/devices", map[string]any{"disabled": true, "modules": []string{"m"}}), http.StatusCreated, &got)
	if len(got.DeviceID) != len("device-01234567") || got.Status != "disabled" || len(got.Modules) != 1 || !strings.Contains(got.ConnectionString, got.DeviceID+";SharedAccessKey=") {
		t.Errorf("%+v", got)
	}
	for body, status := range map[*map[string]any]int{
		{"deviceId": "d1"}:                                       http.StatusConflict,
		{"deviceId": "a b"}:                                      http.StatusBadRequest,
		{"deviceId": "d2", "primaryKey": "short"}:                http.StatusBadRequest,
		{"deviceId": "d2", "desired": map[string]any{"$x": 1}}:   http.StatusBadRequest,
		{"deviceId": "d2", "modules": []string{"ok", "not ok!"}}: http.StatusBadRequest,
		{"deviceId": "d2", "typo": 1}:                            http.StatusUnprocessableEntity,
	} {
		if rec := w.request(http.MethodPost, "/devices", *body); rec.Code != status {
			t.Errorf("%v: %d %s", *body, rec.Code, rec.Body)
		}
	}
	if _, err := w.hub.GetIdentity(context.Background(), iothub.ID{DeviceID: "d2"}); iothub.ErrorCode(err) != iothub.CodeDeviceNotFound {
		t.Errorf("half a device was left: %v", err)
	}
	if rec := w.request(http.MethodDelete, "/devices/d1", nil); rec.Code != http.StatusNoContent {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := w.request(http.MethodDelete, "/devices/d1", nil); rec.Code != http.StatusNotFound {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}
