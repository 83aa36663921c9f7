package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
)

func (f *fixture) bulk(entries string) []error {
	f.t.Helper()
	var list []iothub.ExportImportDevice
	if err := json.Unmarshal([]byte(entries), &list); err != nil {
		f.t.Fatalf("%v", err)
	}
	return f.Bulk(context.Background(), list, BulkOptions{})
}

// What an entry does to a connected device is what the single operation does.
func TestBulkReachesConnections(t *testing.T) {
	f := newFixture(t)
	clients := map[string]*fakeClient{}
	for _, name := range []string{"deleted", "disabled", "rekeyed", "tagged", "desired"} {
		c, client := f.connect(f.device(name), "mqtt")
		c.EnableDesired(true)
		clients[name] = client
	}
	before, err := f.GetIdentity(t.Context(), iothub.ID{DeviceID: "tagged"})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(before.Authentication.SymmetricKey)
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range f.bulk(`[
		{"id":"deleted","importMode":"delete"},
		{"id":"disabled","status":"disabled"},
		{"id":"rekeyed","importMode":"update"},
		{"id":"tagged","importMode":"update","authentication":{"symmetricKey":` + string(keys) + `},"tags":{"a":1},"properties":{"desired":{"d":1}}},
		{"id":"desired","importMode":"updateTwin","properties":{"desired":{"d":null}}}
	]`) {
		if err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	for name, code := range map[string]iothub.Code{
		"deleted": iothub.CodeDeviceNotFound, "disabled": iothub.CodeDeviceDisabled, "rekeyed": iothub.CodeIotHubUnauthorizedAccess,
	} {
		if reason := <-clients[name].gone; reason.Code != code {
			t.Errorf("%s: %v", name, reason)
		}
	}
	for name, want := range map[string]string{"tagged": `{"$version":2,"d":1}`, "desired": `{"$version":2,"d":null}`} {
		if len(clients[name].gone) > 0 {
			t.Errorf("%s was disconnected", name)
		}
		if got := clients[name].changes(); len(got) != 1 || got[0].body != want {
			t.Errorf("%s heard %v, want %s", name, got, want)
		}
	}
}

// With a route for them, bulk creations and deletions have their events, before those of the twin.
func TestBulkTells(t *testing.T) {
	f := newFixture(t, func(o *Options) {
		o.BuiltInEvents = []iothub.RouteSource{iothub.SourceTwinChange, iothub.SourceDeviceLifecycle}
	})
	var entries []string
	for i := range 40 {
		entries = append(entries, fmt.Sprintf(`{"id":"d%d","importMode":"create","tags":{"n":%d}}`, i, i))
	}
	for _, body := range []string{
		"[" + strings.Join(entries, ",") + "]",
		`[{"id":"d1","importMode":"update","tags":{"n":2}},{"id":"d2","importMode":"delete"}]`,
	} {
		for _, err := range f.bulk(body) {
			if err != nil {
				t.Error(err)
			}
		}
	}
	told := map[string][]string{}
	for partition := range f.options.Log.Partitions() {
		records, err := f.options.Log.Read(t.Context(), partition, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			m, err := iothub.DecodeTelemetry(r.Payload)
			if err != nil {
				t.Fatal(err)
			}
			op, _ := m.Properties.Get("opType")
			told[m.ID.DeviceID] = append(told[m.ID.DeviceID], op)
		}
	}
	for i := range 40 {
		name, want := fmt.Sprint("d", i), []string{"createDeviceIdentity"}
		switch i {
		case 1:
			want = append(want, "updateTwin")
		case 2:
			want = append(want, "deleteDeviceIdentity")
		}
		if !slices.Equal(told[name], want) {
			t.Errorf("%s: %v, want %v", name, told[name], want)
		}
	}
}
