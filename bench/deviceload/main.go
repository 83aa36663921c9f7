// Command deviceload connects thousands of devices to the built emulator at once,
// over MQTT with TLS, and measures what they cost it and how long they wait: for
// their connections, for the acknowledgement of telemetry, for cloud-to-device
// messages and for direct methods.
//
// Everything that is sent or called has a number, and the run fails unless each
// arrives once and at the right device: telemetry is read back from the hub in
// the end. Messages and calls are due at fixed times, whatever became of those
// before, and latencies count from then. Devices and back ends are one process, which
// shares the machine with the emulator.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/hubnerite/hubnerite/bench/process"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "deviceload:", err)
		os.Exit(1)
	}
}

// settings of a run.
type settings struct {
	binary, dir string
	durability  string
	devices     int
	sources     int
	connectors  int
	callers     int
	payload     int
	each        int
	rates       rates
	settle      time.Duration
}

// rates are per second, for all devices together.
type rates struct{ telemetry, c2d, methods float64 }

func parse(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("deviceload", flag.ContinueOnError)
	flags.StringVar(&s.binary, "binary", "bin/hubnerite", "the built emulator")
	flags.StringVar(&s.dir, "dir", "", "where the emulator keeps its data (a temporary folder)")
	flags.StringVar(&s.durability, "durability", "os", "of the emulator: none, os, fsync")
	flags.IntVar(&s.devices, "devices", 10_000, "how many devices")
	sources := 0
	if runtime.GOOS == "linux" {
		sources = 4
	}
	flags.IntVar(&s.sources, "sources", sources, "connect from so many addresses of 127.0.0.0/24; 0 leaves it to the system")
	flags.IntVar(&s.connectors, "connectors", 500, "how many devices connect at one time")
	flags.IntVar(&s.callers, "callers", 200, "how many direct methods may be called at one time")
	flags.IntVar(&s.payload, "payload", 256, "bytes of a telemetry message")
	flags.IntVar(&s.each, "each", 5, "telemetry messages of each device per phase")
	flags.Float64Var(&s.rates.telemetry, "telemetry-rate", 5000, "telemetry messages per second")
	flags.Float64Var(&s.rates.c2d, "c2d-rate", 1000, "cloud-to-device messages per second")
	flags.Float64Var(&s.rates.methods, "method-rate", 1000, "direct methods per second")
	flags.DurationVar(&s.settle, "settle", 150*time.Second, "time without traffic before memory is measured again")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if s.devices < 1 || s.devices > 99_999 || s.connectors < 1 || s.callers < 1 || s.each < 1 || s.sources < 0 || s.sources > 250 ||
		min(s.rates.telemetry, s.rates.c2d, s.rates.methods) <= 0 {
		return s, errors.New("nothing to measure")
	}
	return s, nil
}

func run(args []string, out io.Writer) (err error) {
	s, err := parse(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "deviceload"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	}
	var names []string
	for i := range s.devices {
		names = append(names, deviceName(i))
	}
	flags := []string{"--durability", s.durability, "--log-level", "warn"}
	for some := range slices.Chunk(names, 1000) {
		flags = append(flags, "--device="+strings.Join(some, ","))
	}
	server, info, err := process.StartEmulator(ctx, "hubnerite", s.binary, filepath.Join(s.dir, "data"), filepath.Join(s.dir, "ready.json"), flags...)
	if err != nil {
		return err
	}
	defer server.Stop()
	t, err := newTarget(info, s.devices, s.callers)
	if err != nil {
		return err
	}
	t.cpu, t.memory = server.CPU, server.Memory
	return measure(ctx, s, t, out)
}

// measure runs all phases and prints what it finds. An error means that something
// was lost, doubled or answered by the wrong device.
func measure(ctx context.Context, s settings, t *target, out io.Writer) error {
	f := newFleet(s, t)
	defer f.close()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	empty, memory := t.memory(), [][2]any{}
	remember := func(when string) { memory = append(memory, [2]any{when, t.memory()}) }

	_, _ = fmt.Fprintf(w, "%d devices over MQTT with TLS, %d connecting at one time, durability %s\n\n", s.devices, s.connectors, s.durability)
	_, _ = fmt.Fprintln(w, "connecting\tdevices/s\tserver CPU each\tp50\tp99\tp99.9\tgreatest")
	connect := func(name string) error {
		cpu := t.cpu()
		took, tail, err := f.connectAll(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		_, latencies, _ := strings.Cut(tail.String(), "\t")
		_, _ = fmt.Fprintf(w, "%s\t%.0f\t%.0f us\t%s\n", name, float64(s.devices)/took.Seconds(), micros(t.cpu()-cpu, s.devices), latencies)
		return nil
	}
	if err := connect("for the first time"); err != nil {
		return err
	}
	remember("connected")

	_, _ = fmt.Fprintln(w, "\nlatency of\trate/s\tserver CPU each\tcount\tp50\tp99\tp99.9\tgreatest")
	for _, phase := range []struct {
		name  string
		share float64
		work  work
	}{
		{"alone", 1, work{telemetry: s.telemetry("telemetry", 1)}},
		{"alone", 1, work{c2d: s.c2d("messages", 1)}},
		{"alone", 1, work{methods: s.methods("methods", 1)}},
		{"together", 0.5, work{telemetry: s.telemetry("together", 0.5), c2d: s.c2d("together", 0.5), methods: s.methods("together", 0.5)}},
	} {
		cpu := t.cpu()
		if err := f.run(ctx, &phase.work); err != nil {
			return err
		}
		cpu = t.cpu() - cpu
		for _, l := range phase.work.ledgers() {
			each := "-"
			if phase.share == 1 {
				each = fmt.Sprintf("%.0f us", micros(cpu, l.count))
			}
			_, _ = fmt.Fprintf(w, "%s, %s\t%.0f\t%s\t%v\n", l.what, phase.name, float64(time.Second)/float64(l.every), each, l.tail())
		}
	}
	remember("after all of it")
	if err := wait(ctx, s.settle); err != nil {
		return err
	}
	remember(fmt.Sprintf("%v later", s.settle))

	f.close()
	_, _ = fmt.Fprintln(w, "\nconnecting\tdevices/s\tserver CPU each\tp50\tp99\tp99.9\tgreatest")
	if err := connect("again, all cut off before"); err != nil {
		return err
	}
	if err := f.check(ctx); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(w, "\nresident memory\tper device\tall of the server")
	for _, m := range memory {
		bytes, _ := m[1].(int64)
		_, _ = fmt.Fprintf(w, "%v\t%.1f KiB\t%d MiB\n", m[0], float64(bytes-empty)/1024/float64(s.devices), bytes>>20)
	}
	return w.Flush()
}

func (s settings) telemetry(phase string, share float64) *ledger {
	return newLedger(phase, "telemetry", s.devices*s.each, s.rates.telemetry*share)
}

func (s settings) c2d(phase string, share float64) *ledger {
	return newLedger(phase, "cloud-to-device message", s.devices, s.rates.c2d*share)
}

func (s settings) methods(phase string, share float64) *ledger {
	return newLedger(phase, "direct method", s.devices, s.rates.methods*share)
}

func (w *work) ledgers() []*ledger {
	return slices.DeleteFunc([]*ledger{w.telemetry, w.c2d, w.methods}, func(l *ledger) bool { return l == nil })
}

func micros(d time.Duration, count int) float64 { return float64(d.Microseconds()) / float64(count) }

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
