package bench

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/iothub"
)

// BenchmarkStart runs the built program on a data directory and reports the
// time from starting the process to its ready line, when programs may connect:
// the median and the worst of the runs.
func BenchmarkStart(b *testing.B) {
	binary := filepath.Join(b.TempDir(), "hubnerite")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "github.com/hubnerite/hubnerite/cmd/hubnerite")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	for _, devices := range []int{0, 10_000} {
		b.Run(fmt.Sprintf("%d-devices", devices), func(b *testing.B) {
			dir := b.TempDir()
			seed(b, dir, devices)
			var times []time.Duration
			for b.Loop() {
				times = append(times, startOnce(b, binary, dir))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "ms/ready-median")
			b.ReportMetric(float64(times[len(times)-1].Microseconds())/1000, "ms/ready-worst")
		})
	}
}

// seed makes a data directory with certificates and devices.
func seed(b *testing.B, dir string, devices int) {
	b.Helper()
	e, err := emulator.Start(b.Context(), emulator.Config{DataDir: dir, Durability: "none"})
	if err != nil {
		b.Fatal(err)
	}
	// The store commits what arrives together as one.
	const workers = 64
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			for i := w; i < devices; i += workers {
				name := fmt.Sprintf("device-%05d", i)
				if _, err := e.Hub().CreateIdentity(b.Context(), iothub.ID{DeviceID: name}, iothub.IdentityRequest{DeviceID: name}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	counts, err := e.Hub().Counts(b.Context())
	if err != nil || counts.Devices != devices {
		b.Fatalf("stored %d devices (%v), want %d", counts.Devices, err, devices)
	}
	if err := e.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// startOnce starts the program, waits for its ready line and stops it.
func startOnce(b *testing.B, binary, dir string) time.Duration {
	b.Helper()
	program := exec.Command(binary, "start", "--data", dir, "--mqtt-port=0", "--amqp-port=0", "--https-port=0", "--admin-port=0")
	program.Stderr = os.Stderr
	if !testing.Verbose() {
		program.Stderr = nil
	}
	out, err := program.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := program.Start(); err != nil {
		b.Fatal(err)
	}
	took := time.Duration(0)
	for lines := bufio.NewScanner(out); took == 0 && lines.Scan(); {
		if lines.Text() == "hubnerite ready" {
			took = time.Since(began)
		}
	}
	b.StopTimer()
	defer b.StartTimer()
	if runtime.GOOS == "windows" {
		err = program.Process.Kill()
	} else {
		err = program.Process.Signal(os.Interrupt)
	}
	if err != nil {
		b.Fatal(err)
	}
	if err := program.Wait(); err != nil && runtime.GOOS != "windows" {
		b.Fatalf("the program ended with %v", err)
	}
	if took == 0 {
		b.Fatal("the program ended without its ready line")
	}
	return took
}
