//go:build conformance

package conformance

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// demoMain runs both Python tutorials against a fresh emulator in memory, and prints what their programs print. It returns the
// exit code.
func demoMain(m *testing.M, inside bool) int {
	if !inside {
		if _, err := probeNamespace(); err == nil {
			folder, err := os.MkdirTemp("", "hubnerite-demo")
			if err != nil {
				fmt.Fprintln(os.Stderr, "demo:", err)
				return 1
			}
			defer func() { _ = os.RemoveAll(folder) }()
			cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
			cmd.Env = append(os.Environ(), insideVariable+"=1", folderVariable+"="+folder)
			isolate(cmd)
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			if err := cmd.Run(); err != nil {
				fmt.Fprintln(os.Stderr, "demo:", err)
				return 1
			}
			return 0
		}
	}
	return m.Run()
}

// TestDemo is what `make demo` shows; the scenarios check the same, so a normal run leaves it out.
func TestDemo(t *testing.T) {
	s := newSite(t)
	if s.python == "" {
		t.Fatal("the demo needs Python (make python)")
	}
	// What is printed is the point; the programs' text must not wait for the end of a test.
	out := io.Writer(os.Stdout)
	title := func(text string) { _, _ = fmt.Fprintf(out, "\n== %s\n", text) }

	title("hubnerite start --in-memory --device my-device")
	h := s.startHub(t, "--in-memory", "--device", "my-device")
	env := h.env(h.device("my-device"), "PYTHONWARNINGS=ignore")
	run := func(name, file string, args ...string) *program {
		return startProgram(t, out, env, name, append([]string{s.python, "python/" + file}, args...)...)
	}

	title("Cloud-to-device messages: two sent before the device connects")
	run("back end", "c2d_backend.py", "my-device", "1", "2").wait(programTimeout)
	title("… the device connects …")
	device := run("device", "c2d_device.py")
	device.waitLine(`details: `, 2, time.Minute)
	title("… and one more while it is connected")
	run("back end", "c2d_backend.py", "my-device", "3", "1").wait(programTimeout)
	device.waitLine(`details: `, 3, time.Minute)
	_ = device.cmd.Process.Signal(syscall.SIGINT)
	device.waitEnd(time.Minute)

	title("Device management: a direct method that takes 20 s")
	device = run("device", "reboot_device.py")
	device.waitLine(`Waiting for commands`, 1, time.Minute)
	waitListening(t, h, "my-device")
	run("back end", "reboot_backend.py", "my-device").wait(programTimeout)
	device.waitLine(`Device rebooted`, 1, time.Minute)
	_ = device.cmd.Process.Signal(syscall.SIGINT)
	device.waitEnd(time.Minute)
	title("done")
}
