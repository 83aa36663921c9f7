package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// clockCmd groups the commands for the clock of the hubs.
type clockCmd struct {
	Show    clockShowCmd    `cmd:"" default:"withargs" help:"Print what the clock shows."`
	Freeze  clockFreezeCmd  `cmd:"" help:"Stop the clock."`
	Resume  clockResumeCmd  `cmd:"" help:"Let the clock run on from what it shows."`
	Set     clockSetCmd     `cmd:"" help:"Set the clock."`
	Advance clockAdvanceCmd `cmd:"" help:"Move the clock forward. What falls due by it has happened when the command ends."`
	Reset   clockResetCmd   `cmd:"" help:"Show the real time again."`
}

// clockState is what is printed of the clock.
type clockState struct {
	Now    time.Time `json:"now"`
	Offset string    `json:"offset"`
	Frozen bool      `json:"frozen"`
}

// clock calls the management API and prints the clock.
func (a *app) clock(method, path string, body any) error {
	var reader *bytes.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(text)
	}
	var (
		text []byte
		err  error
	)
	if reader == nil {
		text, err = a.ask(path)
	} else {
		text, err = a.request(method, path, reader, askTimeout)
	}
	var state clockState
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	if err != nil {
		return err
	}
	how := "running"
	if state.Frozen {
		how = "frozen"
	}
	_, err = fmt.Fprintf(a.stdout, "%s  %s  %s from the real time\n", state.Now.Format(time.RFC3339Nano), how, state.Offset)
	return err
}

// now returns the time of the hub's clock, by which tokens expire.
func (a *app) now() (time.Time, error) {
	text, err := a.ask("/clock")
	if errors.Is(err, errNotFound) {
		return time.Now(), nil // an older emulator
	}
	var state clockState
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	return state.Now, err
}

type clockShowCmd struct{}

// Run prints the clock.
func (*clockShowCmd) Run(a *app) error { return a.clock(http.MethodGet, "/clock", nil) }

// givenTime is a time on the command line; without a zone it is in UTC, without a time of day its beginning.
type givenTime struct{ time.Time }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *givenTime) UnmarshalText(text []byte) error {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, string(text)); err == nil {
			m.Time = t
			return nil
		}
	}
	return fmt.Errorf("%q is no time such as 2026-05-01T12:00:00Z", text)
}

type clockFreezeCmd struct {
	Time *givenTime `arg:"" optional:"" help:"At this time, such as 2026-05-01T12:00:00Z; else where it is."`
}

// Run stops the clock.
func (c *clockFreezeCmd) Run(a *app) error {
	body := map[string]any{"frozen": true}
	if c.Time != nil {
		body["time"] = c.Time.Time
	}
	return a.clock(http.MethodPut, "/clock", body)
}

type clockResumeCmd struct{}

// Run starts the clock.
func (*clockResumeCmd) Run(a *app) error {
	return a.clock(http.MethodPut, "/clock", map[string]any{"frozen": false})
}

type clockSetCmd struct {
	Time givenTime `arg:"" help:"Such as 2026-05-01T12:00:00Z."`
}

// Run sets the clock, which goes on running or standing still.
func (c *clockSetCmd) Run(a *app) error {
	return a.clock(http.MethodPut, "/clock", map[string]any{"time": c.Time.Time})
}

type clockAdvanceCmd struct {
	Duration time.Duration `arg:"" help:"Such as 90s or 1h30m."`
}

// Run moves the clock forward.
func (c *clockAdvanceCmd) Run(a *app) error {
	return a.clock(http.MethodPost, "/clock/advance", map[string]any{"duration": c.Duration.String()})
}

type clockResetCmd struct{}

// Run gives the clock back to the real time.
func (*clockResetCmd) Run(a *app) error {
	return a.clock(http.MethodPut, "/clock", map[string]any{"offset": "0s", "frozen": false})
}
