package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/hubnerite/hubnerite/emulator"
)

// onlyWithStart complains of flags that mean something to an emulator that is to be started, and one was not asked for. Their
// variables may be there for other commands.
func (c *execCmd) onlyWithStart(sources map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		switch name {
		case "device", "map-hosts", "map-host", "admin-url", "admin-token", "hub", "start":
			continue
		}
		if sources[name] == "flag" {
			return usagef("--%s is about an emulator to start: give --start, too", name)
		}
	}
	if len(c.Device) > 1 {
		return usagef("--device names the one device of IOTHUB_DEVICE_CONNECTION_STRING; several are for --start")
	}
	return nil
}

// runStarted runs the program with an emulator of its own, which ends with it. The program's exit code is ours, unless
// the emulator failed and the program did not notice.
func (c *execCmd) runStarted(a *app, command []string) (err error) {
	defer tuneGC()()
	cfg, err := c.startedConfig(a)
	if err != nil {
		return err
	}
	log, err := c.openLog(a)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	logger := c.logger(log)
	cfg.Logger, cfg.AdminToken = logger, a.adminToken
	if err := cfg.Validate(); err != nil {
		return usageError{err}
	}
	if err := c.prepareReadyFile(); err != nil {
		return err
	}
	e, err := emulator.Start(context.Background(), cfg)
	if err != nil {
		return explainStart(err)
	}
	// What the program says comes first: its failure is what the caller looks for.
	defer func() { err = firstExit(err, closeEmulator(e)) }()
	info := e.Info()
	logReady(info, e.Notices(), cfg, logger)
	a.adminURL = info.AdminURL
	if err := c.writeReadyFile(info); err != nil {
		return err
	}
	if c.ReadyFile != "" {
		defer func() { _ = os.Remove(c.ReadyFile) }()
	}
	stop, err := c.record(a)
	if err != nil {
		return err
	}
	err = c.run(a, command, runProcess)
	select {
	case cause := <-e.Failed():
		err = firstExit(err, fmt.Errorf("a listener of the emulator failed: %w", cause))
	default:
	}
	return firstExit(err, stop())
}

// startedConfig returns the configuration of the emulator to start.
func (c *execCmd) startedConfig(a *app) (emulator.Config, error) {
	if a.sources["admin-url"] == "flag" {
		return emulator.Config{}, usagef("--start and --admin-url contradict each other: give one of them")
	}
	if c.Data == "" {
		if a.sources["durability"] == "flag" {
			return emulator.Config{}, usagef("--durability needs --data: nothing that is kept in memory survives")
		}
		c.InMemory = true
	}
	cfg, err := c.config(a.sources)
	cfg.Devices = c.Device
	if len(cfg.Devices) == 0 {
		// Start's own variable of devices; exec has one of its own for the device that it chooses.
		for name := range strings.SplitSeq(os.Getenv(environmentPrefix+"DEVICE"), ",") {
			if name = strings.TrimSpace(name); name != "" {
				cfg.Devices = append(cfg.Devices, name)
			}
		}
	}
	return cfg, err
}

// openLog returns where the emulator's log goes, and chooses how much it says.
func (c *execCmd) openLog(a *app) (io.WriteCloser, error) {
	if c.LogFile != "" {
		file, err := os.OpenFile(c.LogFile, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return nil, fmt.Errorf("log file: %w", err)
		}
		return file, nil
	}
	if a.sources["log-level"] == "" {
		c.LogLevel = "warn"
	}
	return nopCloser{a.stderr}, nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// record begins to write what happens, if that is wanted; stop ends it, when all has been written.
func (c *execCmd) record(a *app) (stop func() error, err error) {
	if c.Record == "" {
		return func() error { return nil }, nil
	}
	file, err := os.OpenFile(c.Record, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	r, err := newRecorder(a, "", file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.run(ctx) }()
	return func() error {
		cancel()
		err := errors.Join(<-done, file.Close())
		if err != nil {
			return fmt.Errorf("recording: %w", err)
		}
		return nil
	}, nil
}

// firstExit returns the program's failure if there is one, and else the other error. Of two, the other is lost but for its text.
func firstExit(program, other error) error {
	switch {
	case other == nil:
		return program
	case program == nil:
		return other
	}
	var code exitCode
	if errors.As(program, &code) {
		_, _ = fmt.Fprintln(os.Stderr, "hubnerite:", other)
		return program
	}
	return errors.Join(program, other)
}
