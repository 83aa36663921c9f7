//go:build conformance

package conformance

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stopScenarios end the emulator while everything that can be under way is.
func stopScenarios() []scenario {
	return []scenario{{"stop_with_everything", []string{"python"}, stopWithEverything}}
}

const stopSeed = `
simulations:
  - name: sims
    device: sim-{n}
    count: 20
    telemetry:
      - every: 100ms
        body: {device: "{{deviceId}}", count: "{{sequence}}"}
`

// stopWithEverything sends SIGTERM while a device and a back end are connected, simulated devices send, a session is recorded,
// one request waits for what never comes, another follows the activity, and a file is half uploaded. The end has to come within
// its bound, with exit code 0; who waits is told so; what was acknowledged is there at the next start.
func stopWithEverything(t *testing.T, s *site) {
	h := s.startHub(t, "--device", "d1", "--seed", writeSeed(t, "simulated.yaml", stopSeed))
	p := newPairOn(t, s, h)

	path := filepath.Join(t.TempDir(), "session.ndjson")
	recorder := startProgram(t, nil, h.env(), "recorder", s.binary, "record", "--device", "d1", "--output", path)
	recorder.waitLine(`hubnerite: recording`, 1, time.Minute)
	requests := map[string]<-chan string{
		"the wait":   underWay(t, h, "/messages/wait?device=nobody&timeout=5m"),
		"the stream": underWay(t, h, "/activity/stream"),
		"the upload": halfUpload(t, newGate(t, s, h)),
	}
	p.checkAll("first", 0)
	var simulated struct{ Messages []message }
	h.adminGet("/messages/wait?device=sim-*&count=100&timeout=1m", &simulated)
	if len(simulated.Messages) < 100 {
		t.Fatalf("%d simulated messages", len(simulated.Messages))
	}
	recorded := func() string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for deadline := time.Now().Add(time.Minute); !strings.Contains(recorded(), "telemetry first"); {
		if time.Now().After(deadline) {
			t.Fatalf("the recording has no telemetry: %s", recorded())
		}
		time.Sleep(20 * time.Millisecond)
	}

	h.stop(syscall.SIGTERM)
	for name, ended := range requests {
		select {
		case how := <-ended:
			t.Logf("%s: %s", name, how)
		case <-time.After(time.Minute):
			t.Errorf("%s goes on after the end of the emulator", name)
		}
	}
	recorder.waitLine(`recorded .*telemetry`, 1, time.Minute)
	recorder.waitEnd(time.Minute)
	for n, line := range strings.Split(strings.TrimSuffix(recorded(), "\n"), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("line %d of the recording is not JSON: %q", n+1, line)
		}
	}

	h.start()
	p.device.waitLine(`^connection \{"connected": true\}`, 2, 2*time.Minute)
	p.checkAll("second", time.Minute)
	p.wantTelemetry("first", "second")
	kept := map[string]bool{}
	for i := 1; i <= 20; i++ {
		for _, m := range h.messages(fmt.Sprint("sim-", i)) {
			kept[m.Body] = true
		}
	}
	for _, m := range simulated.Messages {
		if !kept[m.Body] {
			t.Errorf("the simulated message %s is lost", m.Body)
		}
	}
}

// underWay begins a request of the management API that has no end of its own, and says how it ended.
func underWay(t *testing.T, h *hub, path string) <-chan string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSuffix(h.ready.AdminURL, "/")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan string, 1)
	go func() {
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			ended <- err.Error()
			return
		}
		defer func() { _ = answer.Body.Close() }()
		n, err := io.Copy(io.Discard, answer.Body)
		ended <- fmt.Sprintf("%s, %d bytes, %v", answer.Status, n, err)
	}()
	return ended
}

// halfUpload begins to write a file and never goes on.
func halfUpload(t *testing.T, a *siege) <-chan string {
	t.Helper()
	place, err := url.Parse(newUploader(a, "d1").mustStart("half").address())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", a.address(443), a.tls)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\nx-ms-blob-type: BlockBlob\r\nContent-Length: %d\r\n\r\n%s",
		place.RequestURI(), place.Host, 2<<20, strings.Repeat("x", 1<<10)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan string, 1)
	go func() {
		answer, err := io.ReadAll(conn)
		ended <- fmt.Sprintf("%.40q, %v", answer, err)
	}()
	return ended
}
