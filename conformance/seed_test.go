//go:build conformance

package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// seedScenarios are emulators that were started with a seed file.
func seedScenarios() []scenario {
	return []scenario{
		{"python_seed_simulated", []string{"python"}, simulatedDevices},
		{"python_seed_device", []string{"python"}, seededDevice},
		{"python_many_hubs", []string{"python", "namespace"}, func(t *testing.T, s *site) {
			s.judgeItself(t, s.startHub(t, "--device", "d1"), "many_hubs.py")
		}},
	}
}

const seededKey = "dGhlIHByZXNzJ3Mga2V5LCBmcm9tIHRoZSBzZWVkISE="

// simulatedDevices is a back end whose devices the emulator plays.
func simulatedDevices(t *testing.T, s *site) {
	path := writeSeed(t, "simulated.yaml", `
simulations:
  - name: thermostats
    device: thermostat-{n:02}
    count: 10
    seed: 7
    telemetry:
      - every: 500ms
        body: {temperature: "{{walk 20 30 0.5}}", device: "{{deviceId}}", count: "{{sequence}}"}
        properties: {alert: "{{choice yes no}}"}
    methods:
      reboot: {status: 202, payload: {by: "{{deviceId}}", asked: "{{payload}}"}, delay: 200ms}
    twin: {delay: 100ms}
    c2d: {action: complete, delay: 100ms}
  - device: moody
    c2d: {action: reject}
`)
	s.judgeItself(t, s.startHub(t, "--device", "d1", "--seed", path), "simulated.py")
}

// seededDevice is a device program that has its key from the seed, and hears of a seed that is applied while it is connected.
func seededDevice(t *testing.T, s *site) {
	text := `
policies:
  - {name: iothubowner, primaryKey: ` + seededKey + `}
devices:
  - id: press
    authentication: {primaryKey: ` + seededKey + `}
    tags: {line: 2}
    desired: {interval: 30, mode: {name: slow}}
    reported: {firmware: "1.0"}
    modules: [{id: vision, authentication: {secondaryKey: ` + seededKey + `}}]
`
	path := writeSeed(t, "press.yaml", text)
	h := s.startHub(t, "--seed", path)
	if !strings.HasSuffix(h.ready.ConnectionStrings["iothubowner"], "SharedAccessKey="+seededKey) {
		t.Error("the ready file has another key of iothubowner than the seed")
	}
	env := h.env("IOTHUB_DEVICE_CONNECTION_STRING=HostName=localhost;DeviceId=press;SharedAccessKey=" + seededKey)
	device := s.startPython(t, env, "seeded_device.py")
	device.waitLine("waiting for another seed", 1, time.Minute)
	if err := os.WriteFile(path, []byte(strings.Replace(text, "interval: 30", "interval: 60", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := h.command(t, "seed", "apply", path); !strings.Contains(out, "0 created, 1 changed, 2 unchanged") {
		t.Errorf("seed apply says %q", out)
	}
	device.wait(programTimeout)
	if !strings.HasSuffix(device.output(), "PASSED") {
		t.Fatal("seeded_device.py ended without saying that it passed")
	}
	// What the program reported is in the export, which is a seed.
	exported := filepath.Join(h.dir, "export.yaml")
	h.command(t, "export", "--output", exported)
	if out := h.command(t, "seed", "check", exported); !strings.Contains(out, "ok: 1 policy, 1 device, 1 module") {
		t.Errorf("seed check says %q", out)
	}
	if got, err := os.ReadFile(exported); err != nil || !strings.Contains(string(got), "temperature: 21.5\n") || !strings.Contains(string(got), "interval: 60\n") {
		t.Errorf("the export is %v\n%s", err, got)
	}
}

func writeSeed(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// command runs a command of the binary against the hub and returns what it prints.
func (h *hub) command(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(h.site.binary, args...)
	cmd.Env = append(os.Environ(), "HUBNERITE_ADMIN_URL="+h.ready.AdminURL)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}
