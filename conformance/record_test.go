//go:build conformance

package conformance

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// recordScenarios record what SDK programs do, and do it again in another hub.
func recordScenarios() []scenario {
	return []scenario{{"python_record_replay", []string{"python"}, recordAndReplay}}
}

// recordAndReplay has a Python device send, and a second hub of the same emulator that is to have the same messages. The
// program compares them.
func recordAndReplay(t *testing.T, s *site) {
	h := s.startHub(t, "--device", "d1")
	path := filepath.Join(t.TempDir(), "session.ndjson")
	recorder := startProgram(t, nil, h.env(), "recorder", s.binary, "record", "--output", path)
	recorder.waitLine(`hubnerite: recording`, 1, time.Minute)
	device := s.startPython(t, h.env(h.device("d1")), "recorded_device.py")
	device.waitLine("waiting for the replay", 1, time.Minute)
	recorder.interrupt(time.Minute)
	recorder.waitLine(`recorded .*5 telemetry, 1 twin`, 1, time.Minute)

	h.command(t, "hub", "create", "second", "--hostname", "second.azure-devices.net")
	out := h.command(t, "--hub", "second", "replay", path, "--create", "--speed", "100")
	if !strings.Contains(out, "replayed: 1 report, 5 telemetry\n") || !strings.Contains(out, "connection") {
		t.Errorf("replay says %q", out)
	}
	if _, err := device.in.Write([]byte("second\n")); err != nil {
		t.Fatal(err)
	}
	device.wait(programTimeout)
	if !strings.HasSuffix(device.output(), "PASSED") {
		t.Fatal("recorded_device.py ended without saying that it passed")
	}
}
