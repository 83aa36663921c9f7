//go:build conformance

package image

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// commandTimeout ends a command of the engine that hangs. Building an image where nothing is cached takes longest.
const commandTimeout = 10 * time.Minute

// adminPort is where the management API of a container is published, on 127.0.0.1.
const adminPort = 8484

// engine is a container engine and what the tests made there, all of which ends with them.
type engine struct {
	// image is the name of the image under test.
	image string
	// builder and python replace images that the engine cannot pull; empty where it can.
	builder, python string
	// names counts containers, volumes and projects.
	names int
}

func newEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{
		image: fmt.Sprintf("hubnerite-test:%d", os.Getpid()), builder: os.Getenv("HUBNERITE_BUILDER"), python: os.Getenv("HUBNERITE_PYTHON_IMAGE"),
	}
	e.docker(t, "version")
	return e
}

// require leaves out what needs a runtime that this machine has not; with CI=true that is a failure.
func (e *engine) require(t *testing.T, need string) {
	t.Helper()
	if os.Getenv("HUBNERITE_PYTHON") != "" {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not set up", need)
	}
	t.Skipf("%s is not set up; scripts/not-run names it", need)
}

// try runs docker and returns what it printed.
func (e *engine) try(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func (e *engine) docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := e.try(t, args...)
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (e *engine) inspect(t *testing.T, name string, into any) {
	t.Helper()
	text := e.docker(t, "inspect", "--format", "{{json .}}", name)
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

// build makes the image from the Dockerfile of this checkout.
func (e *engine) build(t *testing.T) {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"build", "--tag", e.image}
	if e.builder != "" {
		args = append(args, "--build-arg", "BUILDER="+e.builder)
	}
	began := time.Now()
	t.Cleanup(func() { _, _ = e.try(t, "rmi", "--force", e.image) })
	e.docker(t, append(args, root)...)
	t.Logf("built in %s", time.Since(began).Round(time.Second))
}

func (e *engine) name() string {
	e.names++
	return fmt.Sprintf("hubnerite-test-%d-%d", os.Getpid(), e.names)
}

func (e *engine) volume(t *testing.T) string {
	t.Helper()
	name := e.name()
	e.docker(t, "volume", "create", name)
	t.Cleanup(func() { _, _ = e.try(t, "volume", "rm", "--force", name) })
	return name
}

// create makes a container that is not started.
func (e *engine) create(t *testing.T, args ...string) string {
	t.Helper()
	name := e.name()
	t.Cleanup(func() { _, _ = e.try(t, "rm", "--force", "--volumes", name) })
	e.docker(t, append(append([]string{"create", "--name", name}, args...), e.image)...)
	return name
}

// publish returns the options that publish the ports as the README does: the SDKs can dial no others.
func (e *engine) publish(t *testing.T) []string {
	t.Helper()
	var options []string
	for _, port := range []int{443, 5671, 8883, adminPort} {
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if err := free(address); err != nil {
			t.Fatalf("the SDKs need %s: %v", address, err)
		}
		options = append(options, "--publish", fmt.Sprintf("%s:%d", address, port))
	}
	return options
}

// free tells whether a port can be had. Where root may bind low ports and we may not, the engine finds out.
func free(address string) error {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return nil //nolint:nilerr // nobody answers there
	}
	_ = conn.Close()
	return fmt.Errorf("somebody listens there")
}

// run starts the image with options of docker and arguments of the program, and waits until the engine calls it healthy. The container
// ends with the test.
func (e *engine) run(t *testing.T, options []string, args ...string) *container {
	t.Helper()
	c := &container{engine: e, name: e.name()}
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := e.try(t, "logs", "--tail", "60", c.name)
			t.Logf("the emulator's log:\n%s", log)
		}
		_, _ = e.try(t, "rm", "--force", "--volumes", c.name)
	})
	command := append([]string{"run", "--detach", "--name", c.name}, options...)
	e.docker(t, append(append(command, e.image), args...)...)
	c.healthy(t)
	return c
}
