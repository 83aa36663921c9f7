package emulator_test

import (
	"testing"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
)

// Tests that share an emulator have a hub each, which is gone after them.
func TestHubOfATest(t *testing.T) {
	e := emulatortest.Run(t)
	t.Run("together", func(t *testing.T) {
		for range 4 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				info := emulatortest.Hub(t, e, emulator.HubOptions{Devices: []string{"d"}})
				sendOverMQTT(t, e, info, "d", info.Name, 1)
				if got := bodies(t, hubNamed(t, e, info.Name), "d"); len(got) != 1 || got[0] != info.Name {
					t.Errorf("telemetry %q", got)
				}
			})
		}
	})
	if got := len(e.Hubs()); got != 1 {
		t.Errorf("%d hubs are left", got)
	}
}
