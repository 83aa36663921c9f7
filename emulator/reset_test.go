package emulator_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/admin"
	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// eachStore runs a test in memory and with a data directory.
func eachStore(t *testing.T, f func(t *testing.T, options ...emulatortest.Option)) {
	t.Run("memory", func(t *testing.T) { f(t) })
	t.Run("disk", func(t *testing.T) { f(t, emulatortest.WithDataDir(t.TempDir())) })
}

// watcher is a device that remembers why it was disconnected.
type watcher struct {
	*hub.Connection
	gone chan *iothub.Error
}

func (*watcher) DeliverMethod(iothub.MethodRequest) error { return nil }
func (*watcher) DeliverDesired(int64, []byte)             {}
func (*watcher) C2DWaiting()                              {}
func (w *watcher) Disconnect(reason *iothub.Error)        { w.gone <- reason }

// connect attaches a device, which exists.
func connect(t testing.TB, h *hub.Hub, device string) *watcher {
	t.Helper()
	id := iothub.ID{DeviceID: device}
	w := &watcher{gone: make(chan *iothub.Error, 1)}
	var err error
	w.Connection, err = h.Connect(context.Background(), id, hub.ConnectionOptions{Protocol: "mqtt", Grant: iothub.Grant{
		Identity: id, Rights: iothub.DeviceConnect, Resource: id.ResourcePath(), Expiry: time.Now().Add(time.Hour),
		AuthMethod: iothub.AuthMethod{Scope: "device", Type: "sas", Issuer: "iothub"},
	}}, w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func (w *watcher) send(t testing.TB, body string) {
	t.Helper()
	done := make(chan error, 1)
	w.SendTelemetry(context.Background(), iothub.Telemetry{Body: []byte(body)}, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func createDevice(t testing.TB, h *hub.Hub, name string) {
	t.Helper()
	if _, err := h.CreateIdentity(context.Background(), iothub.ID{DeviceID: name}, iothub.IdentityRequest{DeviceID: name, Status: iothub.StatusEnabled}); err != nil {
		t.Fatal(err)
	}
}

// bodies returns the kept telemetry of a device.
func bodies(t testing.TB, h *hub.Hub, device string) []string {
	t.Helper()
	list, err := h.ReadTelemetry(context.Background(), hub.TelemetryQuery{DeviceID: device, Source: iothub.MessageSourceTelemetry, Since: -1, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	all := []string{}
	for _, m := range list {
		all = append(all, string(m.Body))
	}
	return all
}

func devices(t testing.TB, h *hub.Hub) string {
	t.Helper()
	page, _, err := h.ListTwins(context.Background(), "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, twin := range page {
		names = append(names, twin.Identity.ID.String())
	}
	return strings.Join(names, " ")
}

func TestReset(t *testing.T) {
	eachStore(t, func(t *testing.T, options ...emulatortest.Option) {
		e := emulatortest.Run(t, append(options, emulatortest.WithDevices("configured"), emulatortest.WithConfig(func(c *emulator.Config) {
			c.ConsumerGroups = []string{"g"}
			c.Routes = []iothub.Route{{Name: "r", Source: iothub.SourceDeviceMessages, Condition: "true", EndpointNames: []string{"events"}, IsEnabled: true}}
		}))...)
		ctx := t.Context()
		if _, err := e.CreateHub(ctx, emulator.HubOptions{Name: "other", Devices: []string{"kept"}}); err != nil {
			t.Fatal(err)
		}
		before := e.Info()
		old, other := e.Hub(), hubNamed(t, e, "other")
		createDevice(t, old, "made")
		createDevice(t, other, "theirs")
		device, theirs := connect(t, old, "made"), connect(t, other, "theirs")
		device.send(t, "1")
		theirs.send(t, "2")
		if err := old.AddConsumerGroup("later"); err != nil {
			t.Fatal(err)
		}
		if err := old.DeleteRoute(ctx, "r"); err != nil {
			t.Fatal(err)
		}

		if err := e.Reset(ctx, "", true); err != nil {
			t.Fatal(err)
		}
		if reason := <-device.gone; reason.Code != iothub.CodeServiceUnavailable {
			t.Errorf("the device was told %v", reason)
		}
		h := e.Hub()
		if h == old {
			t.Fatal("the hub is the same")
		}
		if got := devices(t, h); got != "configured" {
			t.Errorf("devices %q", got)
		}
		if got := h.ConsumerGroups(); !slices.Equal(got, []string{"$Default", "g"}) {
			t.Errorf("consumer groups %q", got)
		}
		if got := h.Routing().Routes; len(got) != 1 {
			t.Errorf("routes %+v", got)
		}
		if got := bodies(t, h, "made"); len(got) != 0 {
			t.Errorf("telemetry %q", got)
		}
		// Programs may use the connection strings that they have.
		if after := e.Info(); after.Devices["configured"] != before.Devices["configured"] || after.ConnectionStrings["service"] != before.ConnectionStrings["service"] {
			t.Errorf("was %v, is %v", before, after)
		}
		// The other hub has noticed nothing.
		theirs.send(t, "3")
		if got := bodies(t, other, "theirs"); !slices.Equal(got, []string{"2", "3"}) {
			t.Errorf("telemetry of the other hub %q", got)
		}
		if got := devices(t, other); got != "kept theirs" {
			t.Errorf("devices of the other hub %q", got)
		}

		// Each, again and again.
		for range 3 {
			createDevice(t, e.Hub(), "again")
			if err := e.Reset(ctx, emulator.AllHubs, false); err != nil {
				t.Fatal(err)
			}
			if got := devices(t, e.Hub()) + " " + devices(t, hubNamed(t, e, "other")); got != "configured kept" {
				t.Errorf("devices %q", got)
			}
		}
		if reason := <-theirs.gone; reason.Code != iothub.CodeServiceUnavailable {
			t.Errorf("the other hub's device was told %v", reason)
		}
		if err := e.Reset(ctx, "none", false); refusalStatus(err) != http.StatusNotFound {
			t.Errorf("reset of a hub that there is not: %v", err)
		}
	})
}

func refusalStatus(err error) int {
	if r := (*admin.Refusal)(nil); errors.As(err, &r) {
		return r.Status
	}
	return 0
}

// What a reset left behind is what a restart finds.
func TestResetSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	run := func(f func(*testing.T, *emulator.Emulator)) {
		t.Run("", func(t *testing.T) { f(t, emulatortest.Run(t, emulatortest.WithDataDir(dir))) })
	}
	for i := range 3 {
		run(func(t *testing.T, e *emulator.Emulator) {
			if want := map[int]string{0: "", 1: "new0", 2: "new1"}[i]; devices(t, e.Hub()) != want {
				t.Errorf("start %d: devices %q, want %q", i, devices(t, e.Hub()), want)
			}
			createDevice(t, e.Hub(), fmt.Sprintf("old%d", i))
			connect(t, e.Hub(), fmt.Sprintf("old%d", i)).send(t, "lost")
			if err := e.Reset(t.Context(), "", false); err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("new%d", i)
			createDevice(t, e.Hub(), name)
			connect(t, e.Hub(), name).send(t, "kept")
		})
	}
}

func TestSnapshots(t *testing.T) {
	eachStore(t, func(t *testing.T, options ...emulatortest.Option) {
		e := emulatortest.Run(t, options...)
		ctx := t.Context()
		if _, err := e.CreateHub(ctx, emulator.HubOptions{Name: "other"}); err != nil {
			t.Fatal(err)
		}
		h := e.Hub()
		createDevice(t, h, "d")
		createDevice(t, hubNamed(t, e, "other"), "o")
		connect(t, h, "d").send(t, "before")
		if _, err := h.SendC2D(ctx, iothub.C2DMessage{ID: iothub.ID{DeviceID: "d"}, Body: []byte("waiting")}); err != nil {
			t.Fatal(err)
		}
		if err := h.PutEnrichment(ctx, iothub.Enrichment{Key: "k", Value: "v", EndpointNames: []string{"events"}}); err != nil {
			t.Fatal(err)
		}
		uploaded := e.Info().Storage
		writeBlob(t, e, uploaded, "file", "content")
		key, err := h.GetIdentity(ctx, iothub.ID{DeviceID: "d"})
		if err != nil {
			t.Fatal(err)
		}

		info, err := e.Snapshot(ctx, "s1", emulator.AllHubs)
		if err != nil || strings.Join(info.Hubs, " ") != "localhost other" {
			t.Fatalf("%+v, %v", info, err)
		}
		// The snapshot is of then, whatever happens now.
		createDevice(t, h, "later")
		connect(t, h, "later").send(t, "after")
		if err := h.DeleteEnrichment(ctx, "k"); err != nil {
			t.Fatal(err)
		}
		writeBlob(t, e, uploaded, "file", "changed")
		if err := e.DeleteHub(ctx, "other"); err != nil {
			t.Fatal(err)
		}
		if _, err := e.CreateHub(ctx, emulator.HubOptions{Name: "third", Devices: []string{"t"}}); err != nil {
			t.Fatal(err)
		}
		for round := range 2 {
			if err := e.Restore(ctx, "s1", emulator.AllHubs); err != nil {
				t.Fatal(err)
			}
			h = e.Hub()
			if got := devices(t, h) + " " + devices(t, hubNamed(t, e, "other")) + " " + devices(t, hubNamed(t, e, "third")); got != "d o t" {
				t.Errorf("round %d: devices %q", round, got)
			}
			again, err := h.GetIdentity(ctx, iothub.ID{DeviceID: "d"})
			if err != nil || again.Authentication.SymmetricKey != key.Authentication.SymmetricKey || again.GenerationID != key.GenerationID {
				t.Errorf("round %d: identity %+v, want %+v; %v", round, again, key, err)
			}
			if got := h.Routing().Enrichments; len(got) != 1 {
				t.Errorf("round %d: enrichments %+v", round, got)
			}
			if got := readBlob(t, e, uploaded, "file"); got != "content" {
				t.Errorf("round %d: the file is %q", round, got)
			}
			if again.Connection.C2DCount != 1 {
				t.Errorf("round %d: %d messages wait, want 1", round, again.Connection.C2DCount)
			}
			connect(t, h, "d").send(t, "more") // which the next restore takes back
			if got := bodies(t, h, "d"); !slices.Equal(got, []string{"before", "more"}) {
				t.Errorf("round %d: telemetry %q", round, got)
			}
		}

		// A hub of its own from the same state.
		if _, err := e.CreateHub(ctx, emulator.HubOptions{Name: "copy", Snapshot: "s1", Devices: []string{"mine"}}); err != nil {
			t.Fatal(err)
		}
		if got := devices(t, hubNamed(t, e, "copy")); got != "d mine" {
			t.Errorf("devices of the copy %q", got)
		}
		if _, err := e.CreateHub(ctx, emulator.HubOptions{Name: "copy2", Snapshot: "s1", SnapshotHub: "other"}); err != nil {
			t.Fatal(err)
		}
		if got := devices(t, hubNamed(t, e, "copy2")); got != "o" {
			t.Errorf("devices of the second copy %q", got)
		}

		// One hub alone, in the place of the snapshot of both.
		if info, err = e.Snapshot(ctx, "s1", "other"); err != nil || strings.Join(info.Hubs, " ") != "other" {
			t.Fatalf("%+v, %v", info, err)
		}
		if list := e.Snapshots(); len(list) != 1 || list[0].Name != "s1" {
			t.Errorf("snapshots %+v", list)
		}
		for name, err := range map[string]error{
			"restore a hub that is not in it": e.Restore(ctx, "s1", ""),
			"restore nothing":                 e.Restore(ctx, "s2", emulator.AllHubs),
			"delete nothing":                  e.DeleteSnapshot("s2"),
		} {
			if refusalStatus(err) != http.StatusNotFound {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, name := range []string{"", "..", "a/b", ".a", strings.Repeat("a", 65)} {
			if _, err := e.Snapshot(ctx, name, ""); refusalStatus(err) != http.StatusBadRequest {
				t.Errorf("snapshot %q: %v", name, err)
			}
		}
		if err := e.DeleteSnapshot("s1"); err != nil || len(e.Snapshots()) != 0 {
			t.Errorf("%v, %v", err, e.Snapshots())
		}
	})
}

func TestSnapshotsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	t.Run("first", func(t *testing.T) {
		e := emulatortest.Run(t, emulatortest.WithDataDir(dir))
		createDevice(t, e.Hub(), "d")
		connect(t, e.Hub(), "d").send(t, "before")
		if _, err := e.Snapshot(t.Context(), "s", ""); err != nil {
			t.Fatal(err)
		}
		if err := e.Reset(t.Context(), "", false); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("second", func(t *testing.T) {
		e := emulatortest.Run(t, emulatortest.WithDataDir(dir))
		if got := devices(t, e.Hub()); got != "" {
			t.Errorf("devices %q", got)
		}
		if list := e.Snapshots(); len(list) != 1 || list[0].Name != "s" || len(list[0].Hubs) != 1 {
			t.Fatalf("snapshots %+v", list)
		}
		if err := e.Restore(t.Context(), "s", ""); err != nil {
			t.Fatal(err)
		}
		if got := bodies(t, e.Hub(), "d"); !slices.Equal(got, []string{"before"}) {
			t.Errorf("telemetry %q", got)
		}
	})
}
