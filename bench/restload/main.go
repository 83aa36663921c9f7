// Command restload measures the service API of the built emulator with many
// devices: bulk creation, start-up, listing, and how many devices it reads and
// twins it patches per second for many clients at once.
//
// It speaks HTTP/1.1 over TLS itself, on kept connections, so that little of the
// machine goes to it; it shares the cores with the server all the same.
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
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "restload:", err)
		os.Exit(1)
	}
}

// settings of a run.
type settings struct {
	binary, dir, durability string
	devices, clients        int
	measure                 time.Duration
	check                   bool
}

// Targets with 100,000 devices on two cores.
const (
	targetCreate = 20 * time.Second
	targetStart  = time.Second
	targetGet    = 20_000
	targetPatch  = 8_000
	targetsAt    = 100_000
)

func run(args []string, out io.Writer) (err error) {
	var s settings
	flags := flag.NewFlagSet("restload", flag.ContinueOnError)
	flags.StringVar(&s.binary, "binary", "bin/hubnerite", "the built emulator")
	flags.StringVar(&s.dir, "dir", "", "where the emulator keeps its data (a temporary folder)")
	flags.StringVar(&s.durability, "durability", "os", "none, os or fsync")
	flags.IntVar(&s.devices, "devices", targetsAt, "how many devices there are")
	flags.IntVar(&s.clients, "clients", 64, "how many clients ask at once")
	flags.DurationVar(&s.measure, "measure", 4*time.Second, "time of each measurement")
	flags.BoolVar(&s.check, "check", false, "fail when a target is missed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if s.devices < 1 || s.clients < 1 {
		return errors.New("there must be devices and clients")
	}
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "restload"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return s.measureAll(ctx, out)
}

func (s settings) measureAll(ctx context.Context, out io.Writer) error {
	var missed []string
	report := func(ok bool, format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		if s.devices == targetsAt && !ok {
			line += "  MISSED"
			missed = append(missed, line)
		}
		_, _ = fmt.Fprintln(out, line)
	}
	server, took, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer func() { server.Stop() }()
	report(true, "start, empty                 %8.0f ms  memory %s", ms(took), server.memory())

	took, err = server.createAll(ctx, s.devices, min(s.clients, 8))
	if err != nil {
		return err
	}
	report(took <= targetCreate, "bulk create of %9d     %8.2f s   %.0f/s  memory %s", s.devices, took.Seconds(), float64(s.devices)/took.Seconds(), server.memory())
	for _, how := range []string{"stopped", "killed"} {
		if how == "stopped" {
			server.Stop()
		} else {
			server.Kill()
		}
		if server, took, err = s.start(ctx); err != nil {
			return err
		}
		report(took <= targetStart, "start after it was %-7s   %8.0f ms  memory %s", how, ms(took), server.memory())
	}
	if took, err = server.list(ctx); err != nil {
		return err
	}
	report(true, "list of %4d                 %8.2f ms", min(s.devices, 1000), ms(took))
	for _, l := range []struct {
		name   string
		ask    request
		target float64
		once   bool
	}{
		{"GET device, cold", getDevice, 0, true},
		{"GET device, warm", getDevice, targetGet, false},
		{"GET twin", getTwin, 0, false},
		{"PATCH twin", patchTwin, targetPatch, false},
	} {
		r, err := server.load(ctx, s, l.ask, l.once)
		if err != nil {
			return err
		}
		report(r.rate >= l.target, "%-16s %4d clients %s  memory %s", l.name, s.clients, r, server.memory())
	}
	if size, err := os.Stat(filepath.Join(s.dir, "hub.db")); err == nil {
		report(true, "database                      %8.1f MB", float64(size.Size())/1e6)
	}
	if s.check && len(missed) > 0 {
		return fmt.Errorf("%d targets missed", len(missed))
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
