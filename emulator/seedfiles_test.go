package emulator_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
	"github.com/hubnerite/hubnerite/iothub"
)

// TestSeedFilesTogether: what is wrong in the last file keeps the first one from being applied, and files name what others have.
func TestSeedFilesTogether(t *testing.T) {
	data := t.TempDir()
	first := seedFile(t, `
devices: [{id: leaf, parent: edge}]
routes: [{name: r, endpoint: hook}]
hubs: [{name: other, devices: [{id: o}]}]
`)
	rest := seedFile(t, "endpoints: [{name: hook, url: 'http://127.0.0.1:1/'}]\ndevices: [{id: edge, iotEdge: true}]\n")
	t.Run("wrong", func(t *testing.T) {
		for text, want := range map[string]string{
			"routes: [{name: s, endpoint: nowhere}]\n":                    `:1:30: there is no endpoint "nowhere"`,
			"devices: [{id: leaf, parent: ''}]\n":                         ":1:30: parent is there already, at " + first + ":2:30",
			"hubs: [{name: other, devices: [{id: p, parent: nobody}]}]\n": ":1:48: the parent",
		} {
			path := seedFile(t, text)
			_, err := emulator.Start(t.Context(), emulator.Config{DataDir: data, Seeds: []string{first, rest, path}})
			if wrong := (*emulator.SeedError)(nil); !errors.As(err, &wrong) || !strings.Contains(err.Error(), path+want) {
				t.Errorf("%s: %v", text, err)
			}
		}
	})
	t.Run("nothing was applied", func(t *testing.T) {
		e := emulatortest.Run(t, emulatortest.WithDataDir(data))
		if got := devices(t, e.Hub()); got != "" || len(e.Hubs()) != 1 || len(e.Hub().Routing().Routes) != 0 {
			t.Errorf("devices %q, %d hubs, %+v", got, len(e.Hubs()), e.Hub().Routing())
		}
	})
	t.Run("right", func(t *testing.T) {
		second := seedFile(t, `
endpoints: [{name: hook, url: "http://127.0.0.1:1/"}]
devices: [{id: leaf, tags: {a: 1}, modules: [{id: m}]}, {id: edge, iotEdge: true}]
hubs: [{name: other, devices: [{id: o, modules: [{id: n}]}]}]
`)
		e := emulatortest.Run(t, emulatortest.WithDataDir(data), withSeeds(first, second))
		check := func() {
			t.Helper()
			if got := devices(t, e.Hub()) + "|" + devices(t, hubNamed(t, e, "other")); got != "edge edge/$edgeAgent edge/$edgeHub leaf leaf/m|o o/n" {
				t.Errorf("devices %q", got)
			}
			leaf, err := e.Hub().GetTwin(t.Context(), iothub.ID{DeviceID: "leaf"})
			if err != nil || leaf.Twin.Version != 3 || len(leaf.Identity.ParentScopes)+len(leaf.Identity.DeviceScope) == 0 {
				t.Errorf("version %d, parents %v, %v", leaf.Twin.Version, leaf.Identity.ParentScopes, err)
			}
			for hub, id := range map[string]iothub.ID{"": {DeviceID: "leaf", ModuleID: "m"}, "other": {DeviceID: "o", ModuleID: "n"}} {
				if _, err := hubNamed(t, e, hub).GetIdentity(t.Context(), id); err != nil {
					t.Error(err)
				}
			}
		}
		check()
		if got := e.SeedResult(); got == nil || strings.Join(got.Sources, " ") != first+" "+second || got.Status != "applied" {
			t.Errorf("%+v", got)
		}
		if err := e.Reset(t.Context(), emulator.AllHubs, true); err != nil {
			t.Fatal(err)
		}
		check()
	})
}
