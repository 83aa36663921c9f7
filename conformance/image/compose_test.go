//go:build conformance

package image

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testCompose brings up docker-compose.yml, whose device and back end talk to each other through the emulator.
func testCompose(t *testing.T, e *engine) {
	command := composeCommand()
	if command == nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("docker compose is not set up")
		}
		t.Skip("docker compose is not installed; scripts/not-run names it")
	}
	if err := free(fmt.Sprintf("127.0.0.1:%d", adminPort)); err != nil {
		t.Fatalf("the emulator needs port %d: %v", adminPort, err)
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	project := e.name()
	command = append(command, "--project-directory", root, "--project-name", project,
		"--file", filepath.Join(root, "docker-compose.yml"), "--file", e.override(t))
	compose := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
		defer cancel()
		out, err := exec.CommandContext(ctx, command[0], append(command[1:], args...)...).CombinedOutput()
		return string(out), err
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := compose(args...)
		if err != nil {
			t.Fatalf("compose %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}

	if out := must("config"); !strings.Contains(out, "HUBNERITE_READY_FILE") {
		t.Errorf("compose config prints no setting:\n%s", out)
	}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := compose("logs")
			t.Logf("the containers' logs:\n%s", log)
		}
		if out, err := compose("down", "--volumes", "--timeout", "60"); err != nil {
			t.Errorf("compose down: %v\n%s", err, out)
		}
	})
	must("up", "--build", "--detach")
	c := &container{engine: e, name: strings.Fields(must("ps", "-q", "emulator"))[0]}
	c.healthy(t)
	backend := strings.Fields(must("ps", "--all", "-q", "backend"))[0]
	for _, line := range []string{"backend: message sent", "backend: method answered 200", "backend: the twin reports the new interval"} {
		e.waitLog(t, backend, line)
	}
	device := strings.Fields(must("ps", "-q", "device"))[0]
	e.waitLog(t, device, "device: received hello, device")
	var s state
	for end := time.Now().Add(programTimeout); s.State.Status != "exited" && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		e.inspect(t, backend, &s)
	}
	if s.State.Status != "exited" || s.State.ExitCode != 0 {
		t.Errorf("the back end is %s with exit code %d, want a good end", s.State.Status, s.State.ExitCode)
	}
	var page struct{ Messages []any }
	c.get(t, "/messages/wait?device=sample-device&body=$.temperature&count=2&timeout=60s", &page)
	if len(page.Messages) < 2 {
		t.Errorf("%d messages of the device, want 2", len(page.Messages))
	}
}

// composeCommand is what this machine calls Docker Compose; nil where it is not there.
func composeCommand() []string {
	if exec.Command("docker", "compose", "version").Run() == nil {
		return []string{"docker", "compose"}
	}
	if path, err := exec.LookPath("docker-compose"); err == nil {
		return []string{path}
	}
	return nil
}

// override gives the images names of the test's own, and replaces what to build with where the engine cannot pull it.
func (e *engine) override(t *testing.T) string {
	t.Helper()
	builder, python := "", ""
	if e.builder != "" {
		builder, python = fmt.Sprintf("BUILDER: %q", e.builder), fmt.Sprintf("PYTHON: %q", e.python)
	}
	path := filepath.Join(t.TempDir(), "override.yml")
	text := fmt.Sprintf(`services:
  emulator:
    image: %s
    build: {context: ., args: {%s}}
  device:
    image: %[1]s-sample
    build: {context: examples/compose, args: {%[3]s}}
  backend:
    image: %[1]s-sample
    build: {context: examples/compose, args: {%[3]s}}
`, e.image, builder, python)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = e.try(t, "rmi", "--force", e.image+"-sample") })
	return path
}

// waitLog waits until a container has printed a text.
func (e *engine) waitLog(t *testing.T, container, text string) {
	t.Helper()
	for end := time.Now().Add(programTimeout); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if strings.Contains(e.docker(t, "logs", container), text) {
			return
		}
	}
	t.Fatalf("%s printed no %q within %s:\n%s", container, text, programTimeout, e.docker(t, "logs", container))
}
