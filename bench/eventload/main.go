// Command eventload measures how fast events are read from the emulator's Event
// Hubs-compatible endpoint. It does two things.
//
// Reading is compared with the example broker of Qpid Proton on the same machine, with
// the same client (go-amqp): what counts is the ratio within a round, in which
// the servers take turns. The broker passes messages on in memory; the emulator
// stores them first, so its own send and receive is measured too.
//
// Then one reader per partition, in a process of their own, follows the devices
// of an MQTT load generator: they have to keep up.
//
// Everything shares the cores of one machine, so the processor time per message, of
// the server and of its client, says more than the rate.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/pprof"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "eventload:", err)
		os.Exit(1)
	}
}

// settings of a run.
type settings struct {
	binary, proton  string
	dir             string
	rounds          int
	messages        int
	warmup, measure time.Duration
	payload, rate   int
	credit          int
	check           bool
	profile         string
	follow          bool
}

func parse(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("eventload", flag.ContinueOnError)
	flags.StringVar(&s.binary, "binary", "bin/hubnerite", "the built emulator")
	flags.StringVar(&s.proton, "proton", "", "Qpid Proton's example broker; without it there are no ratios")
	flags.StringVar(&s.dir, "dir", "", "where the emulator keeps its data (a temporary folder)")
	flags.IntVar(&s.rounds, "rounds", 5, "rounds of each comparison")
	flags.IntVar(&s.messages, "messages", 20000, "messages per round of the comparison with Proton")
	flags.DurationVar(&s.warmup, "warmup", 500*time.Millisecond, "time before each measurement of the readers that follow")
	flags.DurationVar(&s.measure, "measure", 3*time.Second, "time of each measurement of the readers that follow")
	flags.IntVar(&s.payload, "payload", 256, "bytes of a message")
	flags.IntVar(&s.rate, "rate", 100000, "messages per second that the devices send together; 0 is as many as they can")
	flags.IntVar(&s.credit, "credit", 1000, "credit that a reader keeps granted")
	flags.BoolVar(&s.check, "check", false, "fail when a target is missed")
	flags.StringVar(&s.profile, "cpuprofile", "", "write a CPU profile of the comparison's client there")
	flags.BoolVar(&s.follow, "follow", false, "be the process of the readers: for the program itself")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if s.rounds < 1 || s.messages < 1 || s.measure <= 0 || s.credit < 1 {
		return s, errors.New("nothing to measure")
	}
	return s, nil
}

func run(args []string, in io.Reader, out io.Writer) (err error) {
	s, err := parse(args)
	if err != nil {
		return err
	}
	// The collector would run all the time in a program with so little on its heap.
	debug.SetGCPercent(400)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if s.follow {
		return followers(ctx, in, out)
	}
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "eventload"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	}
	emulator, err := startEmulator(ctx, s.binary, s.dir)
	if err != nil {
		return err
	}
	defer emulator.Stop()
	if s.profile != "" {
		f, err := os.Create(s.profile)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
	}
	missed, err := compare(ctx, s, emulator, out)
	if err != nil {
		return err
	}
	pprof.StopCPUProfile()
	late, err := keepUp(ctx, s, emulator, out)
	if err != nil {
		return err
	}
	if missed += late; missed > 0 && s.check {
		return fmt.Errorf("%d targets missed", missed)
	}
	return nil
}
