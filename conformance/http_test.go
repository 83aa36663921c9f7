//go:build conformance

package conformance

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// httpScenarios are devices over HTTPS and the files that devices upload.
func httpScenarios() []scenario {
	large := func(transport string, extra ...string) func(*testing.T, *site) {
		return func(t *testing.T, s *site) { largeUpload(t, s, nodeUpload, append(extra, "TRANSPORT="+transport)...) }
	}
	return []scenario{
		{"node_device_http", []string{"node"}, func(t *testing.T, s *site) {
			h := s.startHub(t, "--device", "d1")
			s.judgeItselfNode(t, h, "device_http.js", append(certificates(t), storage(h))...)
		}},
		{"python_device_http", []string{"python"}, single("device_http.py")},
		{"python_file_upload", []string{"python"}, func(t *testing.T, s *site) { pythonUpload(t, s, "FAULTS=1") }},
		{"python_file_upload_websocket", []string{"python"}, func(t *testing.T, s *site) { pythonUpload(t, s, overWebSockets) }},
		{"python_file_upload_250mb", []string{"python"}, func(t *testing.T, s *site) { largeUpload(t, s, pythonUpload) }},
		{"python_file_upload_250mb_websocket", []string{"python"}, func(t *testing.T, s *site) { largeUpload(t, s, pythonUpload, overWebSockets) }},
		{"node_file_upload", []string{"node"}, func(t *testing.T, s *site) { nodeUpload(t, s) }},
		{"node_file_upload_websocket", []string{"node"}, func(t *testing.T, s *site) { nodeUpload(t, s, overWebSockets) }},
		{"node_file_upload_250mb_mqtt", []string{"node"}, large("mqtt")},
		{"node_file_upload_250mb_amqp", []string{"node"}, large("amqp")},
		{"node_file_upload_250mb_http", []string{"node"}, large("http")},
		{"node_file_upload_250mb_mqtt_websocket", []string{"node"}, large("mqtt", overWebSockets)},
		{"node_file_upload_250mb_amqp_websocket", []string{"node"}, large("amqp", overWebSockets)},
	}
}

func pythonUpload(t *testing.T, s *site, extra ...string) *hub {
	t.Helper()
	h := s.startHub(t, "--device", "d1")
	s.judgeItself(t, h, "file_upload.py", append(extra, storage(h))...)
	return h
}

func nodeUpload(t *testing.T, s *site, extra ...string) *hub {
	t.Helper()
	h := s.startHub(t, "--device", "d1")
	s.judgeItselfNode(t, h, "file_upload.js", append(extra, storage(h))...)
	return h
}

func storage(h *hub) string {
	return "AZURE_STORAGE_CONNECTION_STRING=" + h.ready.Storage.ConnectionString
}

// largeUpload uploads a file that is larger than the emulator may become.
func largeUpload(t *testing.T, s *site, upload func(*testing.T, *site, ...string) *hub, extra ...string) {
	upload(t, s, append(extra, fmt.Sprintf("SIZES=[%d]", 250<<20))...).wantLittleMemory(t)
}

// wantLittleMemory checks that the emulator never had as much memory as keeping a file of 250 MB would take.
func (h *hub) wantLittleMemory(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.ready.PID))
	if os.IsNotExist(err) {
		return // not Linux
	} else if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		peak := 0
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &peak); n == 1 {
			t.Logf("the emulator had at most %d MB of memory", peak>>10)
			if peak > 150<<10 {
				t.Errorf("%d kB of memory at most for a file of 250 MB: it was kept in memory", peak)
			}
		}
	}
}
