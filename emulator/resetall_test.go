package emulator_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
	"github.com/hubnerite/hubnerite/iothub"
)

// homeOf returns the folder of a hub made at run time.
func homeOf(t *testing.T, data, name string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(data, "hubs", name+"-*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v %v", found, err)
	}
	return found[0]
}

// TestResetsAllOrNone: when one hub cannot be reset or restored, none is changed, before and after a restart.
func TestResetsAllOrNone(t *testing.T) {
	data := t.TempDir()
	var home string
	all := func(e *emulator.Emulator) string {
		text := ""
		for _, name := range []string{"", "alpha", "beta"} {
			text += devices(t, hubNamed(t, e, name)) + "|"
		}
		return text
	}
	// Each has the hubs be something that makes the next life of the last of them impossible, and says what to do about it.
	for name, breakIt := range map[string]func() (mend func()){
		"no folder for the new state": func() func() {
			if err := os.WriteFile(filepath.Join(home, "life-2"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return func() {}
		},
		"the file that names the state cannot be written": func() func() {
			file := filepath.Join(home, "hub.json")
			if err := os.Rename(file, file+".kept"); err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Join(file, "x"), 0o700); err != nil {
				t.Fatal(err)
			}
			return func() {
				if err := os.RemoveAll(file); err != nil {
					t.Fatal(err)
				}
				if err := os.Rename(file+".kept", file); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			data = t.TempDir()
			const want = "d|a|b|"
			t.Run("all or none", func(t *testing.T) {
				e := emulatortest.Run(t, emulatortest.WithDataDir(data))
				for _, name := range []string{"beta", "alpha"} {
					if _, err := e.CreateHub(t.Context(), emulator.HubOptions{Name: name}); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := e.Snapshot(t.Context(), "empty", emulator.AllHubs); err != nil {
					t.Fatal(err)
				}
				home = homeOf(t, data, "beta")
				for name, device := range map[string]string{"": "d", "alpha": "a", "beta": "b"} {
					createDevice(t, hubNamed(t, e, name), device)
				}
				for what, do := range map[string]func() error{
					"reset":   func() error { return e.Reset(t.Context(), emulator.AllHubs, false) },
					"restore": func() error { return e.Restore(t.Context(), "empty", emulator.AllHubs) },
				} {
					w := connect(t, e.Hub(), "d")
					mend := breakIt()
					if err := do(); err == nil {
						t.Errorf("%s: no error", what)
					}
					mend()
					select {
					case why := <-w.gone:
						t.Errorf("%s: a client was disconnected: %v", what, why)
					default:
					}
					w.Close()
					if got := all(e); got != want {
						t.Errorf("after a %s that failed: %q", what, got)
					}
				}
			})
			t.Run("restarted", func(t *testing.T) {
				e := emulatortest.Run(t, emulatortest.WithDataDir(data))
				if got := all(e); got != want {
					t.Errorf("after a restart: %q", got)
				}
				if err := e.Reset(t.Context(), emulator.AllHubs, false); err != nil {
					t.Fatal(err)
				}
				if got := all(e); got != "|||" {
					t.Errorf("after a reset: %q", got)
				}
			})
		})
	}
}

// simulating waits until a simulation of a hub has so many connected devices, and returns its spec.
func simulating(t *testing.T, e *emulator.Emulator, hub, id string, connected int) string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		s, err := e.Simulation(hub, id)
		if err == nil && s.Connected == connected {
			return string(s.Spec)
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v %v", s, err)
		}
	}
}

// TestSnapshotsKeepSimulations: what a hub simulated at a snapshot goes on after a restore, and in hubs that begin with it, also after a restart.
func TestSnapshotsKeepSimulations(t *testing.T) {
	data := t.TempDir()
	const spec = `{"name":"fleet","device":"sim-{n}","count":3,"seed":7,"telemetry":[{"every":"1h","body":{"a":"<{{walk 1.50 2 0.1}}>","n":1.50}}]}`
	key := func(e *emulator.Emulator, hub string) string {
		d, err := hubNamed(t, e, hub).GetIdentity(t.Context(), iothub.ID{DeviceID: "sim-2"})
		if err != nil {
			t.Fatal(err)
		}
		return d.Authentication.SymmetricKey.PrimaryKey
	}
	var want, wantKey string
	ids := func(e *emulator.Emulator) (ids []string) {
		list, err := e.Simulations("")
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			ids = append(ids, s.ID)
		}
		return ids
	}
	check := func(t *testing.T, e *emulator.Emulator) {
		t.Helper()
		if err := e.Restore(t.Context(), "s", ""); err != nil {
			t.Fatal(err)
		}
		if got := simulating(t, e, "", "fleet", 3); got != want {
			t.Errorf("restored as %s", got)
		}
		if got := ids(e); !slices.Equal(got, []string{"fleet"}) {
			t.Errorf("simulations %v", got)
		}
		if key(e, "") != wantKey {
			t.Error("a simulated device has another key")
		}
	}
	t.Run("first", func(t *testing.T) {
		e := emulatortest.Run(t, emulatortest.WithDataDir(data))
		if _, err := e.PutSimulation(t.Context(), "", []byte(spec)); err != nil {
			t.Fatal(err)
		}
		want, wantKey = simulating(t, e, "", "fleet", 3), key(e, "")
		if _, err := e.Snapshot(t.Context(), "s", ""); err != nil {
			t.Fatal(err)
		}
		if err := e.DeleteSimulation("", "fleet"); err != nil {
			t.Fatal(err)
		}
		if _, err := e.PutSimulation(t.Context(), "", []byte(`{"device":"other"}`)); err != nil {
			t.Fatal(err)
		}
		check(t, e)
		if _, err := e.CreateHub(t.Context(), emulator.HubOptions{Name: "copy", Snapshot: "s"}); err != nil {
			t.Fatal(err)
		}
		if got := simulating(t, e, "copy", "fleet", 3); got != want || key(e, "copy") != wantKey {
			t.Errorf("copied as %s", got)
		}
		// A reset ends them.
		if err := e.Reset(t.Context(), "", false); err != nil {
			t.Fatal(err)
		}
		if got := ids(e); len(got) != 0 || devices(t, e.Hub()) != "" {
			t.Errorf("after a reset: simulations %v, devices %q", got, devices(t, e.Hub()))
		}
	})
	t.Run("restarted", func(t *testing.T) { check(t, emulatortest.Run(t, emulatortest.WithDataDir(data))) })
}
