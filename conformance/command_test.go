//go:build conformance

package conformance

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// commandScenarios use the sub-commands that a person types, with SDK programs behind them.
func commandScenarios() []scenario {
	return []scenario{
		{"exec_environment", []string{"python"}, execEnvironment},
		{"exec_map_hosts", []string{"python", "namespace"}, execMapHosts},
		{"env_and_devices", []string{"python"}, envAndDevices},
	}
}

// execEnvironment runs the tutorial's back end as `hubnerite exec -- python …`, with no environment of our own.
func execEnvironment(t *testing.T, s *site) {
	h := s.startHub(t, "--device", "d1")
	bare := append(os.Environ(), "PYTHONUNBUFFERED=1")
	exec := []string{s.binary, "exec", "--", s.python}
	startProgram(t, nil, bare, "back end", append(exec, "python/c2d_backend.py", "d1", "1", "2")...).wait(programTimeout)
	device := startProgram(t, nil, append(bare, h.device("d1")), "device", append(exec, "python/c2d_device.py")...)
	device.waitLine(`Message 2 received`, 1, time.Minute)
	wantMessages(t, device, 1, 2)

	failing := startProgram(t, nil, bare, "failing", append(exec, "-c", "import sys; sys.exit(7)")...)
	failing.waitEnd(time.Minute)
	if code := failing.cmd.ProcessState.ExitCode(); code != 7 {
		t.Errorf("exec answers exit code %d, want the program's own 7", code)
	}
}

// execMapHosts gives a program names with dots that lead to the emulator, which /etc/hosts does not know.
func execMapHosts(t *testing.T, s *site) {
	h := s.startHub(t, "--hostname", "mapped.azure-devices.net", "--device", "d1")
	bare := append(os.Environ(), "PYTHONUNBUFFERED=1")
	prefix := []string{s.binary, "exec", "--map-hosts", "--", s.python}
	startProgram(t, nil, bare, "back end", append(prefix, "python/c2d_backend.py", "d1", "1", "2")...).wait(programTimeout)
	device := startProgram(t, nil, append(bare, h.device("d1")), "device", append(prefix, "python/c2d_device.py")...)
	device.waitLine(`Message 2 received`, 1, time.Minute)
	wantMessages(t, device, 1, 2)
	device.interrupt(time.Minute)
	device.waitLine(`Device stopped`, 1, time.Minute)
	text, err := os.ReadFile("/etc/hosts")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "mapped.azure-devices.net") {
		t.Error("the name is in the hosts file of others too")
	}
}

// envAndDevices makes a device with the command line, and evaluates `hubnerite env` in a shell, as the README says.
func envAndDevices(t *testing.T, s *site) {
	s.startHub(t)
	script := `set -e
"$BIN" health --wait 5s
"$BIN" device create fresh
"$BIN" device list | grep -q fresh
eval "$("$BIN" env)"
export IOTHUB_DEVICE_CONNECTION_STRING="$("$BIN" connection-string --device fresh)"
"$PYTHON" python/c2d_backend.py fresh 1 1
"$PYTHON" - <<'EOF'
import os
from azure.iot.device import IoTHubDeviceClient
client = IoTHubDeviceClient.create_from_connection_string(os.environ["IOTHUB_DEVICE_CONNECTION_STRING"])
print("got", client.receive_message(timeout=20).data.decode())
client.shutdown()
EOF
"$BIN" device delete fresh
if "$BIN" device show fresh; then echo "still there"; exit 1; fi
`
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	p := startProgram(t, nil, append(os.Environ(), "BIN="+s.binary, "PYTHON="+s.python), "shell", shell, "-c", script)
	p.wait(programTimeout)
	if !strings.Contains(p.output(), "got order number 1") {
		t.Errorf("the device did not get the message:\n%s", p.output())
	}
}
