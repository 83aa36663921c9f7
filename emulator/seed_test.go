package emulator_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/seed"
)

const seedKey = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// seedFile writes a seed file and returns its path.
func seedFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hub.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func withSeeds(paths ...string) emulatortest.Option {
	return emulatortest.WithConfig(func(c *emulator.Config) { c.Seeds = paths })
}

// ask calls the management API.
func ask(t *testing.T, e *emulator.Emulator, method, path, contentType string, body []byte) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, e.Info().AdminURL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestSeedAtTheStart(t *testing.T) {
	first := seedFile(t, `
policies: [{name: service, primaryKey: `+seedKey+`}]
devices:
  - {id: thermostat, authentication: {primaryKey: `+seedKey+`}, desired: {interval: 30}}
simulations: [{device: sim, telemetry: [{every: 1h, body: {n: "{{sequence}}"}}]}]
hubs:
  - name: other
    hostNames: [factory.example]
    devices: [{id: thermostat, tags: {site: two}}]
`)
	second := seedFile(t, "devices: [{id: second}]\n")
	e := emulatortest.Run(t, withSeeds(first, second))
	device, err := e.Hub().GetIdentity(t.Context(), iothub.ID{DeviceID: "thermostat"})
	if err != nil || device.Authentication.SymmetricKey.PrimaryKey != seedKey {
		t.Errorf("%v", err)
	}
	if _, err := e.Hub().GetIdentity(t.Context(), iothub.ID{DeviceID: "second"}); err != nil {
		t.Error(err)
	}
	other, ok := e.HubNamed("other")
	if !ok {
		t.Fatal("there is no hub other")
	}
	twin, err := other.GetTwin(t.Context(), iothub.ID{DeviceID: "thermostat"})
	if err != nil || twin.Twin.Tags["site"] != "two" {
		t.Errorf("%+v %v", twin.Twin.Tags, err)
	}
	if info, err := e.HubInfo("other"); err != nil || info.HostName != "factory.example" {
		t.Errorf("%+v %v", info, err)
	}
	// The connection strings have the seed's keys.
	if got := e.Info().ConnectionStrings["service"]; !strings.Contains(got, "SharedAccessKey="+seedKey) || !strings.Contains(e.Info().EventHub.ConnectionString, seedKey) {
		t.Error("the connection strings have other keys")
	}
	status, text := ask(t, e, http.MethodGet, "/health", "", nil)
	var health struct {
		Status string
		Seed   emulator.SeedResult
	}
	if err := json.Unmarshal([]byte(text), &health); err != nil {
		t.Fatal(err)
	}
	if status != 200 || health.Status != "healthy" || health.Seed.Status != "applied" || len(health.Seed.Sources) != 2 || health.Seed.Created != 5 || health.Seed.Changed != 1 {
		t.Errorf("%d %s", status, text)
	}
	// It is exported, and an empty emulator becomes the same by it.
	_, exported := ask(t, e, http.MethodGet, "/export", "", nil)
	if !strings.HasPrefix(exported, "# yaml-language-server: $schema="+e.Info().AdminURL+"/seed.schema.json\n") {
		t.Errorf("%.200s", exported)
	}
	copied := emulatortest.Run(t, withSeeds(seedFile(t, exported)))
	_, again := ask(t, copied, http.MethodGet, "/export", "", nil)
	without := func(text string) string { _, rest, _ := strings.Cut(text, "\n"); return rest }
	if without(again) != without(exported) {
		t.Errorf("the copy is\n%s\nnot\n%s", again, exported)
	}
	status, only := ask(t, e, http.MethodGet, "/export?hub=other&format=json", "", nil)
	f, err := seed.Parse("x.json", []byte(only), seed.Options{})
	if err != nil || status != 200 || len(f.Devices) != 1 || len(f.Hubs) != 0 {
		t.Errorf("%d %s %v", status, only, err)
	}
	if status, _ := ask(t, e, http.MethodGet, "/export?hub=nothing", "", nil); status != 404 {
		t.Errorf("%d", status)
	}
}

// TestResetWithSeed: a reset that is asked for the seed applies it again, without one the hub is empty.
func TestResetWithSeed(t *testing.T) {
	e := emulatortest.Run(t, withSeeds(seedFile(t, "devices: [{id: a, tags: {x: 1}}]\nsimulations: [{device: sim}]\nhubs: [{name: other, devices: [{id: b}]}]\n")))
	there := func(hub, device string) bool {
		h, ok := e.HubNamed(hub)
		if !ok {
			t.Fatalf("there is no hub %q", hub)
		}
		_, err := h.GetIdentity(t.Context(), iothub.ID{DeviceID: device})
		return err == nil
	}
	for _, seeded := range []bool{true, false} {
		if _, err := e.Hub().CreateIdentity(t.Context(), iothub.ID{DeviceID: "c"}, iothub.IdentityRequest{}); err != nil {
			t.Fatal(err)
		}
		if err := e.Reset(t.Context(), emulator.AllHubs, seeded); err != nil {
			t.Fatal(err)
		}
		simulations, err := e.Simulations("")
		if err != nil || (len(simulations) == 1) != seeded {
			t.Errorf("%+v %v", simulations, err)
		}
		if there("", "c") || there("", "a") != seeded || there("", "sim") != seeded || there("other", "b") != seeded {
			t.Errorf("after a reset with seed %v: a %v, sim %v, b %v", seeded, there("", "a"), there("", "sim"), there("other", "b"))
		}
	}
}

// TestSeedRefused: a start with a seed that is wrong fails, and says where.
func TestSeedRefused(t *testing.T) {
	for text, want := range map[string]string{
		"devices: [{id: 'a b'}]\n":                         ":1:16: The device ID contains",
		"routes: [{name: r, endpoint: no}]\n":              `:1:30: there is no endpoint "no"`,
		"hubs: [{name: localhost}]\n":                      ":1:8: localhost is the default hub",
		"hubs: [{name: a, hostNames: [localhost]}]\n":      ":1:8: localhost is a name of the hub localhost",
		"hubs: [{name: a, devices: [{id: x, parent: y}]}]": ":1:44: the parent",
	} {
		path := seedFile(t, text)
		_, err := emulator.Start(t.Context(), emulator.Config{Seeds: []string{path}})
		if wrong := (*emulator.SeedError)(nil); !errors.As(err, &wrong) || !strings.Contains(err.Error(), path+want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := emulator.Start(t.Context(), emulator.Config{Seeds: []string{"nowhere.yaml"}}); err == nil {
		t.Error("a seed that is not there was taken")
	}
}

func TestSeedByTheManagementAPI(t *testing.T) {
	e := emulatortest.Run(t)
	status, text := ask(t, e, http.MethodPost, "/seed?name=mine.yaml", "application/yaml", []byte("devices:\n  - id: a\n    tags: {x: 1}\n"))
	if status != 200 || !strings.Contains(text, `"created":1`) {
		t.Errorf("%d %s", status, text)
	}
	status, text = ask(t, e, http.MethodPost, "/seed?name=seed.json", "application/json", []byte(`{"devices": [{"id": "a", "tags": {"x": 1}}]}`))
	if status != 200 || !strings.Contains(text, `"unchanged":1`) {
		t.Errorf("%d %s", status, text)
	}
	for body, want := range map[string]string{
		"devices:\n  - id: a/b\n":                                  "mine.yaml:2:9: The device ID",
		"hubs: [{name: new, routes: [{name: r, endpoint: no}]}]\n": "mine.yaml:1:49: there is no endpoint",
		"certificates: [{name: c, file: /etc/passwd}]":             "files can be named only in a seed file of this machine",
	} {
		status, text := ask(t, e, http.MethodPost, "/seed?name=mine.yaml", "application/yaml", []byte(body))
		if status != 400 || !strings.Contains(text, want) {
			t.Errorf("%d %s", status, text)
		}
		if _, text := ask(t, e, http.MethodGet, "/health", "", nil); !strings.Contains(text, `"status":"failed"`) || !strings.Contains(text, "healthy") {
			t.Error(text)
		}
	}
	if _, ok := e.HubNamed("new"); ok {
		t.Error("a hub of a seed that was refused is there")
	}
	status, text = ask(t, e, http.MethodGet, "/seed.schema.json", "", nil)
	if status != 200 || text != string(seed.Schema()) {
		t.Errorf("the schema: %d", status)
	}
}

func TestSimulationsByTheManagementAPI(t *testing.T) {
	e := emulatortest.Run(t)
	const spec = `{"name": "fleet/1 %", "device": "sim-{n:02}", "count": 3, "telemetry": [{"every": "1h", "body": {"n": "{{sequence}}"}}], "methods": {"reboot": {"payload": "<{{method}}>"}}}`
	status, text := ask(t, e, http.MethodPost, "/simulations", "application/json", []byte(spec))
	if status != 200 || !strings.Contains(text, `"devices":3`) {
		t.Fatalf("%d %s", status, text)
	}
	path := "/simulations/" + url.PathEscape("fleet/1 %")
	deadline := time.Now().Add(time.Minute)
	for {
		status, text = ask(t, e, http.MethodGet, path, "", nil)
		var s emulator.Simulation
		if err := json.Unmarshal([]byte(text), &s); err != nil || status != 200 {
			t.Fatalf("%d %s %v", status, text, err)
		}
		// The second one is due in 20 minutes.
		if s.Connected == 3 && s.Sent == 1 {
			if !strings.Contains(string(s.Spec), `"<{{method}}>"`) {
				t.Errorf("%s", s.Spec)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(text)
		}
		time.Sleep(5 * time.Millisecond)
	}
	r, err := e.Hub().InvokeMethod(t.Context(), iothub.ID{DeviceID: "sim-02"}, iothub.MethodRequest{MethodName: "reboot", ConnectTimeout: 30 * time.Second})
	if err != nil || string(r.Payload) != `"<reboot>"` {
		t.Errorf("%s %v", r.Payload, err)
	}
	// The clock rules them.
	emulatortest.Advance(t, e, time.Hour)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		_, text := ask(t, e, http.MethodGet, "/simulations", "", nil)
		if strings.Contains(text, `"sent":4`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(text)
		}
	}
	for body, want := range map[string]string{
		`{"device": "a", "telemetry": [{"every": "soon"}]}`: "simulation:1:41: every must be a length of time",
		`{"device": "a", "x": 1}`:                           `has no member`,
		`{`:                                                 "the file ends",
		`{"device": "sim-01"}`:                              "is played by the simulation",
	} {
		if status, text := ask(t, e, http.MethodPost, "/simulations", "application/json", []byte(body)); status != 400 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	if status, _ := ask(t, e, http.MethodGet, "/simulations?hub=no", "", nil); status != 404 {
		t.Errorf("%d", status)
	}
	if status, _ := ask(t, e, http.MethodDelete, "/simulations/nothing", "", nil); status != 404 {
		t.Errorf("%d", status)
	}
	if status, text := ask(t, e, http.MethodDelete, path, "", nil); status != 204 {
		t.Errorf("%d %s", status, text)
	}
	if n := e.Hub().ConnectedDevices(); n != 0 {
		t.Errorf("%d devices are connected", n)
	}
	if status, _ := ask(t, e, http.MethodPost, "/simulations", "application/json", []byte(`{"device": "x"}`)); status != 200 {
		t.Errorf("%d", status)
	}
	if status, _ := ask(t, e, http.MethodDelete, "/simulations", "", nil); status != 204 {
		t.Errorf("%d", status)
	}
	if _, text := ask(t, e, http.MethodGet, "/simulations", "", nil); !strings.Contains(text, `"simulations":[]`) {
		t.Error(text)
	}
}

// TestSeedPoliciesKept: what a seed did to policies is there after a restart without it, unless the configuration gives the key.
func TestSeedPoliciesKept(t *testing.T) {
	dir := t.TempDir()
	run := func(t *testing.T, o ...emulatortest.Option) string {
		e := emulatortest.Run(t, append(o, emulatortest.WithDataDir(dir))...)
		return e.Info().ConnectionStrings["service"]
	}
	t.Run("seed", func(t *testing.T) {
		run(t, withSeeds(seedFile(t, "policies: [{name: service, primaryKey: "+seedKey+"}]\n")))
	})
	t.Run("without", func(t *testing.T) {
		if !strings.HasSuffix(run(t), "="+seedKey) {
			t.Error("the key is another one")
		}
	})
	t.Run("flag", func(t *testing.T) {
		const other = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY="
		got := run(t, emulatortest.WithConfig(func(c *emulator.Config) { c.PolicyKeys = map[string]string{"service": other} }))
		if !strings.HasSuffix(got, "="+other) {
			t.Error("the key of the configuration does not win")
		}
	})
}
