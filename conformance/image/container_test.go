//go:build conformance

package image

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// healthTimeout bounds the time from the start of a container to its health. Far more than it should take.
const healthTimeout = time.Minute

// container is a running emulator.
type container struct {
	engine *engine
	name   string
}

// information is what the emulator says about itself, in the ready file and at /info.
type information struct {
	HostName          string            `json:"hostName"`
	ConnectionStrings map[string]string `json:"connectionStrings"`
	Devices           map[string]string `json:"devices"`
}

// state is what the engine says about a container.
type state struct {
	State struct {
		Status   string
		ExitCode int
		Health   struct {
			Status string
			Log    []struct{ Output string }
		}
	}
}

// healthy waits until the health check of the image has passed.
func (c *container) healthy(t *testing.T) {
	t.Helper()
	var s state
	for end := time.Now().Add(healthTimeout); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		s = state{}
		c.engine.inspect(t, c.name, &s)
		switch {
		case s.State.Health.Status == "healthy":
			return
		case s.State.Status != "running" && s.State.Status != "created":
			t.Fatalf("the container is %s, exit code %d", s.State.Status, s.State.ExitCode)
		}
	}
	t.Fatalf("not healthy within %s: %+v", healthTimeout, s)
}

// stop ends the emulator as `docker stop` does, with more patience than it may use up.
func (c *container) stop(t *testing.T) {
	t.Helper()
	began := time.Now()
	c.engine.docker(t, "stop", "--time", "60", c.name)
	took := time.Since(began)
	var s state
	c.engine.inspect(t, c.name, &s)
	if s.State.ExitCode != 0 || took > stopTimeout {
		t.Errorf("stopped with exit code %d after %s, want 0 within %s", s.State.ExitCode, took, stopTimeout)
	}
}

// get asks the management API.
func (c *container) get(t *testing.T, path string, into any) {
	t.Helper()
	client := http.Client{Timeout: 90 * time.Second}
	defer client.CloseIdleConnections()
	response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", adminPort, path))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", path, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
}

func (c *container) info(t *testing.T) information {
	t.Helper()
	var info information
	c.get(t, "/info", &info)
	return info
}

// waitMessages waits until the device's telemetry is these bodies.
func (c *container) waitMessages(t *testing.T, device string, want ...string) {
	t.Helper()
	var page struct {
		Messages []struct{ Body string }
	}
	c.get(t, fmt.Sprintf("/messages/wait?device=%s&count=%d&timeout=60s", url.QueryEscape(device), len(want)), &page)
	var got []string
	for _, message := range page.Messages {
		got = append(got, message.Body)
	}
	if !slices.Equal(got, want) {
		t.Errorf("telemetry of %s: %q, want %q", device, got, want)
	}
}

// same checks that the emulator still has the device with its key, and its telemetry.
func (c *container) same(t *testing.T, first information, bodies ...string) {
	t.Helper()
	// Without --device the emulator lists none; the registry tells.
	key := field(first.Devices["d1"], "SharedAccessKey")
	var device struct {
		Authentication struct {
			SymmetricKey struct{ PrimaryKey string }
		}
	}
	c.get(t, "/service/devices/d1?api-version=2021-04-12", &device)
	if got := device.Authentication.SymmetricKey.PrimaryKey; got == "" || got != key {
		t.Error("d1 is not the device that it was: its key differs")
	}
	c.waitMessages(t, "d1", bodies...)
}

// file reads a JSON file of the container.
func (c *container) file(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(c.copy(t, path))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// copy fetches a file of the container and returns the path of the copy.
func (c *container) copy(t *testing.T, path string) string {
	t.Helper()
	target := filepath.Join(t.TempDir(), filepath.Base(path))
	c.engine.docker(t, "cp", c.name+":"+path, target)
	return target
}

// trust is what programs need to believe the emulator.
type trust struct {
	// ca is the authority's certificate (PEM), file a copy of it.
	ca, file string
	// devices are the connection strings.
	strings information
}

// trust takes the authority out of the container.
func (c *container) trust(t *testing.T) trust {
	t.Helper()
	file := c.copy(t, "/data/hubnerite/ca.pem")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return trust{ca: string(text), file: file, strings: c.info(t)}
}

// env is the environment in which an SDK program finds and trusts the emulator. In a namespace without a way out, nothing else is to be
// trusted.
func (c *container) env(t *testing.T, trust trust, device string) []string {
	t.Helper()
	return append(os.Environ(),
		"SSL_CERT_FILE="+trust.file, "REQUESTS_CA_BUNDLE="+trust.file, "PYTHONUNBUFFERED=1",
		"IOTHUB_CONNECTION_STRING="+trust.strings.ConnectionStrings["iothubowner"],
		"IOTHUB_DEVICE_CONNECTION_STRING="+trust.strings.Devices[device], "IOTHUB_DEVICE_ID="+device,
		fmt.Sprintf("HUBNERITE_ADMIN_URL=http://127.0.0.1:%d", adminPort))
}

// field is a member of a connection string.
func field(text, name string) string {
	for part := range strings.SplitSeq(text, ";") {
		if key, value, _ := strings.Cut(part, "="); key == name {
			return value
		}
	}
	return ""
}
