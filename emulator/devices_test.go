package emulator_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/admin"
	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
)

// devicesOf asks GET /devices.
func devicesOf(t *testing.T, e *emulator.Emulator, query string) []admin.Device {
	t.Helper()
	status, text := ask(t, e, http.MethodGet, "/devices?"+query, "", nil)
	var page struct{ Devices []admin.Device }
	if err := json.Unmarshal([]byte(text), &page); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s %v", status, text, err)
	}
	return page.Devices
}

// TestDevicesOfHubs: the devices of each hub with their connection strings, and which of them are simulated.
func TestDevicesOfHubs(t *testing.T) {
	e := emulatortest.Run(t, emulatortest.WithDevices("plain"), withSeeds(seedFile(t, `
simulations: [{name: all, device: "sim-{n}", count: 3, telemetry: [{every: 1h}]}]
hubs: [{name: other, devices: [{id: plain}]}]
`)))
	for deadline := time.Now().Add(time.Minute); len(devicesOf(t, e, "state=connected")) != 3; {
		if time.Now().After(deadline) {
			t.Fatal("the simulated devices do not connect")
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, d := range devicesOf(t, e, "simulated=true") {
		if !strings.HasPrefix(d.DeviceID, "sim-") || d.Simulation != "all" || d.Connection == nil || d.Connection.Protocol != "simulated" {
			t.Errorf("%+v", d)
		}
	}
	first, other := devicesOf(t, e, "simulated=false"), devicesOf(t, e, "hub=other")
	if len(first) != 1 || first[0].ConnectionString != e.Info().Devices["plain"] {
		t.Errorf("%+v", first)
	}
	if len(other) != 1 || !strings.HasPrefix(other[0].ConnectionString, "HostName=other.localhost;DeviceId=plain;") || other[0].ConnectionString == first[0].ConnectionString {
		t.Errorf("%+v", other)
	}
	if n := e.Info().DeviceCount; n != 4 {
		t.Errorf("the default hub has %d devices by its info", n)
	}
}
