// Command mqttload measures how many MQTT messages per second the built
// emulator takes and acknowledges, beside mosquitto on the same machine. The
// servers take turns within every round, and what counts is the ratio within a
// round: absolute numbers differ from machine to machine and minute to minute.
//
// It speaks MQTT itself, with prepared packets, so that little of the machine
// goes to it. It talks over loopback and shares the cores with the server. Mosquitto
// keeps nothing on disk, checks no credentials and uses one core; the emulator
// checks a token per connection, stamps every message and writes it to its journal.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mqttload:", err)
		os.Exit(1)
	}
}

// settings of a run.
type settings struct {
	binary, mosquitto string
	before            string
	dir               string
	rounds            int
	warmup, measure   time.Duration
	payload           int
	check             bool
	fill              bool
	idle              int
	settle            time.Duration
	scenarios         []scenario
	transports        []string
	durabilities      []string
}

func parse(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("mqttload", flag.ContinueOnError)
	flags.StringVar(&s.binary, "binary", "bin/hubnerite", "the built emulator")
	flags.StringVar(&s.before, "before", "", "another build of the emulator to measure beside it, an older one say")
	flags.StringVar(&s.mosquitto, "mosquitto", "", "mosquitto's program; without it there are no ratios")
	flags.StringVar(&s.dir, "dir", "", "where the emulator keeps its data (a temporary folder)")
	flags.IntVar(&s.rounds, "rounds", 5, "rounds per scenario")
	flags.DurationVar(&s.warmup, "warmup", 300*time.Millisecond, "time before each measurement")
	flags.DurationVar(&s.measure, "measure", 1500*time.Millisecond, "time of each measurement")
	flags.IntVar(&s.payload, "payload", 256, "bytes of a message")
	flags.BoolVar(&s.fill, "fill", true, "fill the emulator's log to its limit first")
	flags.IntVar(&s.idle, "idle", 0, "measure the memory of so many idle connections instead")
	flags.DurationVar(&s.settle, "settle", 150*time.Second, "time between connecting and measuring memory")
	flags.BoolVar(&s.check, "check", false, "fail when a target is missed")
	only := flags.String("scenario", "", "only these, for example 10x64,1x1")
	transports := flags.String("transport", "plain,tls", "plain, tls or both")
	durabilities := flags.String("durability", "os,fsync", "of the emulator: none, os, fsync")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	for _, sc := range allScenarios() {
		if *only == "" || strings.Contains(","+*only+",", ","+sc.name()+",") {
			s.scenarios = append(s.scenarios, sc)
		}
	}
	if len(s.scenarios) == 0 || s.rounds < 1 || s.measure <= 0 {
		return s, errors.New("nothing to measure")
	}
	s.transports = strings.Split(*transports, ",")
	s.durabilities = strings.Split(*durabilities, ",")
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
		if s.dir, err = os.MkdirTemp("", "mqttload"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	}
	if s.mosquitto == "" {
		_, _ = fmt.Fprintln(out, "mosquitto: not run (it is not installed); nothing to compare with")
	}
	if s.idle > 0 {
		return measureIdle(ctx, s, out)
	}
	devices := 0
	for _, sc := range s.scenarios {
		devices = max(devices, sc.devices)
	}
	var servers []*server
	defer func() {
		for _, server := range servers {
			server.Stop()
		}
	}()
	for _, durability := range s.durabilities {
		for _, build := range []struct{ name, binary string }{{"before", s.before}, {"hubnerite", s.binary}} {
			if build.binary == "" {
				continue
			}
			server, err := startEmulator(ctx, build.name, build.binary, s.dir, durability, devices)
			if err != nil {
				return err
			}
			servers = append(servers, server)
			if s.fill {
				if err := fill(ctx, server, s, min(devices, 10)); err != nil {
					return fmt.Errorf("%s: %w", server.name, err)
				}
			}
		}
	}
	if s.mosquitto != "" {
		server, err := startMosquitto(ctx, s.mosquitto, s.dir, devices)
		if err != nil {
			return err
		}
		servers = append(servers, server)
	}
	missed := 0
	for _, transport := range s.transports {
		for _, sc := range s.scenarios {
			t, err := measureAll(ctx, s, sc, transport, servers)
			if err != nil {
				return err
			}
			missed += t.print(out)
		}
	}
	if missed > 0 && s.check {
		return fmt.Errorf("%d targets missed", missed)
	}
	return nil
}

// logSize is what the emulator's log keeps by default, in bytes.
const logSize = 1 << 30

// fill sends until the log begins to drop old segments. Up to there the files
// take fresh memory for every page, which on a virtual machine may cost more than all
// else; from there on it goes round.
func fill(ctx context.Context, server *server, s settings, devices int) error {
	s.warmup, s.measure = 0, time.Second
	for sent := 0; sent < logSize; {
		r, err := load(ctx, server, "plain", scenario{devices: devices, window: 64}, s)
		if err != nil {
			return err
		}
		sent += int(r.rate) * s.payload // the records are larger by what is stored beside it
	}
	return nil
}

// measureAll measures every server in every round, in an order that changes.
func measureAll(ctx context.Context, s settings, sc scenario, transport string, servers []*server) (*table, error) {
	t := newTable(sc, transport, s, servers)
	for round := range s.rounds {
		for i := range servers {
			k := (round + i) % len(servers)
			r, err := load(ctx, servers[k], transport, sc, s)
			if err != nil {
				return nil, fmt.Errorf("%s, %s, %s: %w", servers[k].name, sc.name(), transport, err)
			}
			t.results[k] = append(t.results[k], r)
		}
	}
	return t, nil
}
