//go:build conformance

package image

import (
	"archive/tar"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// maxSize bounds the image, in bytes. It is the program and nothing else.
const maxSize = 40 << 20

// stopTimeout is how long an emulator may take to end: the ten seconds that it gives its clients, and some to spare. The engine would
// kill it later still.
const stopTimeout = 15 * time.Second

// TestImage builds the image and tries everything that the README and the Dockerfile promise about it.
func TestImage(t *testing.T) {
	e := newEngine(t)
	e.build(t)
	t.Run("content", func(t *testing.T) { testContent(t, e) })
	t.Run("life", func(t *testing.T) { testLife(t, e) })
	t.Run("settings", func(t *testing.T) { testSettings(t, e) })
	t.Run("compose", func(t *testing.T) { testCompose(t, e) })
	testExamples(t, e)
}

// testContent: one program, no shell, not root, small.
func testContent(t *testing.T, e *engine) {
	var image struct {
		Size   int64
		Config struct {
			User         string
			Entrypoint   []string
			ExposedPorts map[string]any
			Volumes      map[string]any
			StopSignal   string
		}
	}
	e.inspect(t, e.image, &image)
	t.Logf("the image has %.1f MB", float64(image.Size)/1e6)
	if image.Size > maxSize {
		t.Errorf("the image has %d bytes, want %d at most", image.Size, maxSize)
	}
	if image.Config.User != "65532:65532" || !slices.Equal(image.Config.Entrypoint, []string{"/hubnerite"}) || image.Config.StopSignal != "SIGTERM" {
		t.Errorf("user %q, entry point %q, stop signal %q", image.Config.User, image.Config.Entrypoint, image.Config.StopSignal)
	}
	for _, port := range []string{"443/tcp", "5671/tcp", "5672/tcp", "8484/tcp", "8883/tcp"} {
		if _, ok := image.Config.ExposedPorts[port]; !ok {
			t.Errorf("port %s is not exposed", port)
		}
	}
	if _, ok := image.Config.Volumes["/data"]; !ok {
		t.Error("/data is no volume")
	}

	// The engine itself adds folders, and empty files for what it mounts.
	name := e.create(t)
	export := exec.Command("docker", "export", name)
	content, err := export.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := export.Start(); err != nil {
		t.Fatal(err)
	}
	var files []string
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeReg && header.Size > 0 {
			files = append(files, header.Name)
		}
	}
	if err := export.Wait(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(files, []string{"hubnerite"}) {
		t.Errorf("the image has the files %q, want the program alone", files)
	}
	for _, shell := range []string{"/bin/sh", "/bin/bash", "sh"} {
		if out, err := e.try(t, "run", "--rm", "--entrypoint", shell, e.image, "-c", "exit 0"); err == nil || !strings.Contains(out, shell) {
			t.Errorf("running %s: %v, want a refusal: %s", shell, err, out)
		}
	}
	if out := e.docker(t, "run", "--rm", e.image, "version"); !strings.Contains(out, "ubnerite") {
		t.Errorf("hubnerite version prints %q", out)
	}
}

// testLife: the emulator in a read-only container without capabilities, used by the SDKs, stopped, started, and replaced by another
// container on the same volume.
func testLife(t *testing.T, e *engine) {
	e.require(t, "python")
	volume := e.volume(t)
	options := append(e.publish(t), "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--volume", volume+":/data")
	c := e.run(t, options, "--device", "d1")
	first := c.info(t)
	if first.Devices["d1"] == "" {
		t.Fatalf("there is no d1: %v", first.Devices)
	}
	// Of every process of the container, whatever the engine's own user is.
	processes := strings.Split(strings.TrimSpace(e.docker(t, "top", c.name, "-eo", "pid,uid,comm")), "\n")[1:]
	if len(processes) == 0 {
		t.Error("the container has no process")
	}
	for _, process := range processes {
		if fields := strings.Fields(process); len(fields) < 3 || fields[1] != "65532" {
			t.Errorf("a process of the container (pid, uid, program): %q, want uid 65532", process)
		}
	}

	trust := c.trust(t)
	device := startPython(t, c.env(t, trust, "d1"), "device.py")
	device.wait(t, "ready")
	device.send(t, `{"do": "telemetry", "body": "before", "properties": {"n": "1"}}`)
	device.wait(t, "done")
	backend := startPython(t, c.env(t, trust, "d1"), "c2d_backend.py", "d1", "1", "1")
	backend.end(t)
	if line := device.wait(t, `c2d \{`); !strings.Contains(line, "order number 1") {
		t.Errorf("the device got %s", line)
	}
	c.waitMessages(t, "d1", "before")

	// With a device connected, so that there is somebody to wait for.
	c.stop(t)
	e.docker(t, "start", c.name)
	c.healthy(t)
	c.same(t, first, "before")
	c.stop(t)
	e.docker(t, "rm", c.name)

	c = e.run(t, options)
	c.same(t, first, "before")
	again := c.trust(t)
	if again.ca != trust.ca {
		t.Error("the authority is not the one that the volume has")
	}
	// Whoever was there before connects again, trusting what it trusted.
	second := startPython(t, c.env(t, trust, "d1"), "device.py")
	second.wait(t, "ready")
	second.send(t, `{"do": "telemetry", "body": "after"}`)
	second.wait(t, "done")
	c.waitMessages(t, "d1", "before", "after")
	c.stop(t)
}

// testSettings: environment variables, a seed on a volume, the ready file, and what becomes of a setting that cannot be.
func testSettings(t *testing.T, e *engine) {
	seeds, err := filepath.Abs(filepath.Join("..", "..", "examples", "seed"))
	if err != nil {
		t.Fatal(err)
	}
	options := append(e.publish(t), "--volume", seeds+":/seed:ro",
		"--env", "HUBNERITE_SEED=/seed/hub.yaml", "--env", "HUBNERITE_DEVICE=d1,d2", "--env", "HUBNERITE_IN_MEMORY=true",
		"--env", "HUBNERITE_HOSTNAME=hub1.azure-devices.net,localhost", "--env", "HUBNERITE_READY_FILE=/tmp/ready.json", "--env", "HUBNERITE_LOG_JSON=true")
	c := e.run(t, options)
	info := c.info(t)
	for _, device := range []string{"d1", "d2"} {
		if !strings.Contains(info.Devices[device], "HostName=hub1.azure-devices.net;") {
			t.Errorf("connection string of %s: %q", device, info.Devices[device])
		}
	}
	var twin struct {
		Tags struct{ Line int }
	}
	if c.get(t, "/service/twins/press-1?api-version=2021-04-12", &twin); twin.Tags.Line != 2 {
		t.Errorf("press-1 of the seed is on line %d, want 2", twin.Tags.Line)
	}
	var ready information
	c.file(t, "/tmp/ready.json", &ready)
	if ready.HostName != info.HostName || ready.Devices["d2"] != info.Devices["d2"] || ready.Devices["d2"] == "" {
		t.Errorf("the ready file has %+v, /info %+v", ready, info)
	}
	if log := e.docker(t, "logs", c.name); !strings.HasPrefix(log, "{") || !strings.Contains(log, `"hubnerite ready"`) {
		t.Errorf("the log is not JSON lines:\n%s", log)
	}
	c.stop(t)

	out, err := e.try(t, "run", "--rm", "--env", "HUBNERITE_MQTT_PORT=99999", e.image)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() < 1 || exit.ExitCode() > 124 || !strings.Contains(out, "99999") {
		t.Errorf("a port that cannot be: %v, want an error of the program's: %s", err, out)
	}
}
