//go:build conformance

package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// startTimeout bounds the time from starting the binary to its ready file. Far more than it should take.
const startTimeout = time.Minute

// memoryVariable, when set, runs the scenarios against emulators that keep nothing; those about restarts then fail.
const memoryVariable = "HUBNERITE_CONFORMANCE_IN_MEMORY"

// readyFile is what the binary says about itself once every listener is bound; the admin API's /info says the same.
type readyFile struct {
	Version  string `json:"version"`
	PID      int    `json:"pid"`
	HostName string `json:"hostName"`
	Ports    struct {
		MQTT  int `json:"mqtt"`
		AMQP  int `json:"amqp"`
		HTTPS int `json:"https"`
		Admin int `json:"admin"`
	} `json:"ports"`
	AdminURL          string            `json:"adminUrl"`
	CAFile            string            `json:"caFile"`
	CABundleFile      string            `json:"caBundleFile"`
	ConnectionStrings map[string]string `json:"connectionStrings"`
	Devices           map[string]string `json:"devices"`
	Storage           struct {
		ConnectionString string `json:"connectionString"`
	} `json:"storage"`
}

// hub is a running emulator, the built binary.
type hub struct {
	t     testing.TB
	site  *site
	args  []string
	dir   string
	cmd   *exec.Cmd
	done  chan error
	log   *os.File
	ready readyFile
}

// startHub starts the binary with a data folder of its own, its default ports, and args, and waits until it is ready. The
// emulator ends with the test, and must then end cleanly.
func (s *site) startHub(t testing.TB, args ...string) *hub {
	t.Helper()
	dir := t.TempDir()
	h := &hub{t: t, site: s, dir: dir, args: []string{"start", "--ready-file", filepath.Join(dir, "ready.json"), "--log-level", "debug"}}
	if os.Getenv(memoryVariable) != "" {
		h.args = append(h.args, "--in-memory")
	} else if !slices.Contains(args, "--in-memory") {
		h.args = append(h.args, "--data", filepath.Join(dir, "data"))
	}
	h.args = append(h.args, args...)
	log, err := os.Create(filepath.Join(dir, "emulator.log"))
	if err != nil {
		t.Fatal(err)
	}
	h.log = log
	t.Cleanup(h.finish)
	h.start()
	return h
}

// start runs the binary and waits for its ready file.
func (h *hub) start() {
	h.t.Helper()
	readyPath := filepath.Join(h.dir, "ready.json")
	if err := os.Remove(readyPath); err != nil && !os.IsNotExist(err) {
		h.t.Fatal(err)
	}
	h.cmd = exec.Command(h.site.binary, h.args...)
	// A developer's own settings are not what is judged here.
	h.cmd.Env = slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, "HUBNERITE_") })
	h.cmd.Stdout, h.cmd.Stderr = h.log, h.log
	if err := h.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan<- error) { done <- cmd.Wait() }(h.cmd, h.done)
	deadline := time.Now().Add(startTimeout)
	for {
		text, err := os.ReadFile(readyPath)
		if err == nil {
			h.ready = readyFile{}
			if err := json.Unmarshal(text, &h.ready); err != nil {
				h.t.Fatalf("ready file: %v\n%s", err, text)
			}
			break
		}
		select {
		case err := <-h.done:
			h.done <- err
			h.t.Fatalf("the emulator ended before it was ready: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("no ready file after %s", startTimeout)
		}
	}
	if h.ready.PID != h.cmd.Process.Pid {
		h.t.Errorf("ready file: pid %d, want %d", h.ready.PID, h.cmd.Process.Pid)
	}
	if slices.Contains(h.args, "--mqtt-port") {
		return // elsewhere on purpose
	}
	if h.ready.Ports.MQTT != 8883 || h.ready.Ports.AMQP != 5671 || h.ready.Ports.HTTPS != 443 {
		h.t.Fatalf("ports %+v: the SDKs insist on 8883, 5671 and 443", h.ready.Ports)
	}
}

// kill ends the emulator as a crash would: at once, with no chance to write anything.
func (h *hub) kill() {
	h.t.Helper()
	if err := h.cmd.Process.Kill(); err != nil {
		h.t.Fatal(err)
	}
	if err := <-h.done; err == nil {
		h.t.Error("the emulator had already ended by itself")
	}
	h.cmd = nil
}

// stop ends the emulator by a signal, os.Interrupt unless another one is given, as Ctrl-C does.
func (h *hub) stop(signal ...os.Signal) {
	h.t.Helper()
	cmd := h.cmd
	h.cmd = nil
	_ = cmd.Process.Signal(append(signal, os.Interrupt)[0])
	select {
	case err := <-h.done:
		if err != nil {
			h.t.Errorf("the emulator's end: %v, want exit code 0", err)
		}
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		h.t.Errorf("the emulator did not end within 30 s of an interrupt: %v", <-h.done)
	}
}

func (h *hub) finish() {
	if h.cmd != nil {
		h.stop()
	}
	_ = h.log.Close()
	text, err := os.ReadFile(h.log.Name())
	if err != nil {
		h.t.Error(err)
		return
	}
	for _, bad := range []string{"panic:", "goroutine 1 [", "DATA RACE"} {
		if bytes.Contains(text, []byte(bad)) {
			h.t.Errorf("the emulator's log contains %q", bad)
		}
	}
	if h.t.Failed() {
		h.t.Logf("the emulator's log:\n%s", tail(string(text), 150))
	}
}

// env is the environment in which an SDK program finds and trusts the emulator.
func (h *hub) env(extra ...string) []string {
	env := append(os.Environ(),
		"SSL_CERT_FILE="+h.ready.CABundleFile,
		"REQUESTS_CA_BUNDLE="+h.ready.CABundleFile,
		"NODE_EXTRA_CA_CERTS="+h.ready.CAFile,
		"IOTHUB_CONNECTION_STRING="+h.ready.ConnectionStrings["iothubowner"],
		"HUBNERITE_ADMIN_URL="+h.ready.AdminURL,
		"NO_PROXY=*",
		"PYTHONUNBUFFERED=1",
		"PYTHONDONTWRITEBYTECODE=1",
	)
	return append(env, extra...)
}

// device is the environment variable that tells a program which device it is.
func (h *hub) device(id string) string {
	h.t.Helper()
	text, ok := h.ready.Devices[id]
	if !ok {
		h.t.Fatalf("the ready file lists no device %q: %v", id, h.ready.Devices)
	}
	return "IOTHUB_DEVICE_CONNECTION_STRING=" + text
}

// message is one kept telemetry message, as the admin API shows it.
type message struct {
	Device                string            `json:"device"`
	Module                string            `json:"module"`
	Partition             int               `json:"partition"`
	SequenceNumber        int64             `json:"sequenceNumber"`
	EnqueuedTime          time.Time         `json:"enqueuedTime"`
	SystemProperties      map[string]any    `json:"systemProperties"`
	ApplicationProperties map[string]string `json:"applicationProperties"`
	Body                  string            `json:"body"`
	BodyEncoding          string            `json:"bodyEncoding"`
}

// messages returns all kept telemetry of a device, in order.
func (h *hub) messages(device string) []message {
	h.t.Helper()
	return h.messagesSince(device, -1)
}

// messagesSince returns those after a sequence number; -1 stands for all.
func (h *hub) messagesSince(device string, since int64) []message {
	h.t.Helper()
	var all []message
	for {
		query := url.Values{"device": {device}, "limit": {"1000"}}
		if since >= 0 {
			query.Set("since", fmt.Sprint(since))
		}
		var page struct {
			Messages []message `json:"messages"`
		}
		h.adminGet("/messages?"+query.Encode(), &page)
		if len(page.Messages) == 0 {
			return all
		}
		all = append(all, page.Messages...)
		since = page.Messages[len(page.Messages)-1].SequenceNumber
	}
}

func (h *hub) adminGet(path string, into any) {
	h.t.Helper()
	client := http.Client{Timeout: time.Minute}
	response, err := client.Get(strings.TrimSuffix(h.ready.AdminURL, "/") + path)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		h.t.Fatalf("GET %s: %s", path, response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		h.t.Fatalf("GET %s: %v", path, err)
	}
}

// tail returns the last lines of text.
func tail(text string, lines int) string {
	all := strings.Split(text, "\n")
	if len(all) > lines {
		all = append([]string{fmt.Sprintf("… %d lines before …", len(all)-lines)}, all[len(all)-lines:]...)
	}
	return strings.Join(all, "\n")
}
