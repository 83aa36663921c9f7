package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"syscall"
	"time"
)

type replayCmd struct {
	File    string  `arg:"" help:"A recording of hubnerite record; - is standard input."`
	Speed   float64 `default:"1" placeholder:"FACTOR" help:"How many times as fast as it was: 2 takes half the time; 0 does not wait at all (${default})."`
	Device  string  `placeholder:"ID" help:"Only what concerns this device and its modules; * and ? stand for any characters and any one."`
	Create  bool    `help:"Create the devices and modules that do not exist."`
	Service bool    `default:"true" negatable:"" help:"Do the back end's part, too: cloud-to-device messages, twin changes, direct methods. --no-service leaves it to yours."`
	Devices bool    `default:"true" negatable:"" help:"Do the devices' part: telemetry, reported properties, answers to direct methods. --no-devices leaves it to yours."`
}

// Run does again what was recorded, in its order, and fails if something of it fails.
func (c *replayCmd) Run(a *app) error {
	if c.Speed < 0 {
		return usagef("--speed is negative")
	}
	if _, err := path.Match(c.Device, ""); err != nil {
		return usagef("--device: %v", err)
	}
	all, err := c.read()
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	s, err := a.service()
	if err != nil {
		return err
	}
	p := newPlayer(a, s, c, all)
	defer p.close()
	if err := p.prepare(c.Create); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err = pacer{speed: c.Speed, now: time.Now, sleep: sleep}.play(ctx, p.acts, p.act)
	p.calls.Wait()
	_, _ = fmt.Fprintf(a.stdout, "replayed: %s\n", counted(p.done))
	if len(p.left) > 0 {
		_, _ = fmt.Fprintf(a.stdout, "not replayed: %s\n", counted(p.left))
	}
	switch {
	case err != nil:
		return fmt.Errorf("the replay was interrupted: %w", err)
	case len(p.failed) > 0:
		return fmt.Errorf("failed: %s", counted(p.failed))
	}
	return nil
}

func (c *replayCmd) read() ([]activity, error) {
	var in io.Reader = os.Stdin
	if c.File != "-" {
		file, err := os.Open(c.File)
		if errors.Is(err, os.ErrNotExist) {
			return nil, errors.New("there is no such file")
		}
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	_, all, err := readRecording(in)
	return all, err
}

// pacer keeps the times between activities. A speed of 0 does not wait.
type pacer struct {
	speed float64
	now   func() time.Time
	sleep func(context.Context, time.Duration) error
}

// play hands over each activity when it is due, counted from the first one. What takes long delays what follows no more than
// it must: times are those since the start, not those between two activities.
func (p pacer) play(ctx context.Context, acts []*activity, act func(*activity)) error {
	start := p.now()
	for _, a := range acts {
		if p.speed > 0 {
			due := start.Add(time.Duration(float64(a.offset-acts[0].offset) / p.speed))
			if wait := due.Sub(p.now()); wait > 0 {
				if err := p.sleep(ctx, wait); err != nil {
					return err
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		act(a)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
