//go:build conformance

package conformance

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// newcomerScenarios walk the path of somebody who meets the emulator for the first time.
func newcomerScenarios() []scenario {
	return []scenario{{"newcomer", []string{"browser", "python"}, newcomer}}
}

// newcomer starts with a seed, sees the device in the browser, runs a program of the SDK by exec, watches its message in the
// dashboard, waits for it without polling, advances the clock past the life of a message, injects a disconnect, takes a snapshot,
// resets and restores.
func newcomer(t *testing.T, s *site) {
	seed := writeSeed(t, "newcomer.yaml", "devices:\n  - id: first-device\n    tags: {site: home}\n")
	h := s.startHub(t, "--seed", seed)
	see := newcomersEyes(t, s, h)
	see("see", "first-device")

	// The program is the SDK's, and knows nothing but what exec gives it.
	program := filepath.Join(t.TempDir(), "program.py")
	if err := os.WriteFile(program, []byte(newcomersProgram), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(s.binary, "exec", "--device", "first-device", "--", s.python, program)
	cmd.Env = append(os.Environ(), "HUBNERITE_ADMIN_URL="+h.ready.AdminURL)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("exec: %v\n%s", err, out)
	}
	see("message", "hello from the SDK")
	see("log", "disconnected")
	var message struct{ Body string }
	wait := func(args ...string) {
		t.Helper()
		out := h.command(t, append(append([]string{"wait"}, args...), "--timeout", "60s")...)
		if err := json.Unmarshal([]byte(out), &message); err != nil {
			t.Fatalf("wait %q answers %q: %v", args, out, err)
		}
	}
	wait("messages", "--device", "first-device", "--property", "colour=blue")
	if message.Body != "hello from the SDK" {
		t.Errorf("waited for %+v", message)
	}

	// A message to a device that is away expires when the clock has passed its hour.
	h.command(t, "c2d", "send", "first-device", "too late", "--ack", "full")
	h.command(t, "clock", "advance", "61m")
	wait("c2d", "--device", "first-device", "--outcome", "Expired")
	see("log", "Expired too late")

	// One disconnect in the middle of what the device does.
	h.command(t, "fault", "add", "telemetry", "disconnect", "--count", "1")
	send := exec.Command(s.binary, "send", "first-device", "lost")
	send.Env = append(os.Environ(), "HUBNERITE_ADMIN_URL="+h.ready.AdminURL)
	if out, err := send.CombinedOutput(); err == nil {
		t.Errorf("a message got through the fault: %s", out)
	}
	h.command(t, "send", "first-device", "after the fault")
	see("message", "after the fault")

	// Snapshot, reset, restore.
	h.command(t, "snapshot", "save", "good")
	h.command(t, "reset")
	see("gone", "")
	h.command(t, "snapshot", "restore", "good")
	see("see", "first-device")
	if twin := h.command(t, "twin", "get", "first-device"); !strings.Contains(twin, `"home"`) {
		t.Errorf("the twin of the snapshot is %s", twin)
	}
	see("message", "after the fault")
}

const newcomersProgram = `
import os
from azure.iot.device import IoTHubDeviceClient, Message
client = IoTHubDeviceClient.create_from_connection_string(os.environ["IOTHUB_DEVICE_CONNECTION_STRING"])
client.connect()
message = Message("hello from the SDK")
message.custom_properties["colour"] = "blue"
client.send_message(message)
client.shutdown()
`

// newcomersEyes opens the dashboard; what is returned waits until it shows something.
func newcomersEyes(t *testing.T, s *site, h *hub) func(what, text string) {
	browser := s.startBrowser(t, h, "newcomer.js")
	browser.waitLine(`^ready`, 1, 60*time.Second)
	seen := 0
	return func(what, text string) {
		t.Helper()
		browser.send(map[string]any{"do": what, "text": text})
		seen++
		browser.waitLine(`^seen `, seen, 90*time.Second)
	}
}
