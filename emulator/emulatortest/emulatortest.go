package emulatortest

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
)

// Option changes the configuration of a test's emulator.
type Option func(*emulator.Config)

// WithDevices creates devices at the start.
func WithDevices(names ...string) Option {
	return func(c *emulator.Config) { c.Devices = append(c.Devices, names...) }
}

// WithHostNames gives the hub other names than localhost.
func WithHostNames(names ...string) Option {
	return func(c *emulator.Config) { c.HostNames = append(c.HostNames, names...) }
}

// WithDataDir keeps everything in a directory instead of in memory.
func WithDataDir(dir string) Option {
	return func(c *emulator.Config) { c.DataDir = dir }
}

// WithSeed fills the hubs from seed files, in their order (docs/seed.md has their form).
func WithSeed(paths ...string) Option {
	return func(c *emulator.Config) { c.Seeds = append(c.Seeds, paths...) }
}

// WithClock sets the real time, which the clock of the hubs shows until it is moved.
func WithClock(now func() time.Time) Option {
	return func(c *emulator.Config) { c.Now = now }
}

// WithConfig changes whatever has no option of its own.
func WithConfig(change func(*emulator.Config)) Option { return change }

// closeTimeout is how long a test's emulator waits for its clients at the end.
const closeTimeout = time.Minute

// Run starts an emulator on free ports of the loopback interface that keeps all
// in memory, and closes it when the test ends. It logs to the test's output.
// The test fails at once when the emulator does not start.
func Run(t testing.TB, options ...Option) *emulator.Emulator {
	t.Helper()
	cfg := emulator.Config{PlainAMQP: true, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, option := range options {
		option(&cfg)
	}
	e, err := emulator.Start(t.Context(), cfg)
	if err != nil {
		t.Fatalf("start the emulator: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Errorf("close the emulator: %v", err)
		}
	})
	return e
}

// Hub makes a hub of the test's own on an emulator that tests share, and removes it when the test ends. Without a name in the options
// it gets one that no other hub has. The test fails at once when it cannot be made.
func Hub(t testing.TB, e *emulator.Emulator, options emulator.HubOptions) emulator.HubInfo {
	t.Helper()
	if options.Name == "" {
		options.Name = "t-" + strings.ToLower(rand.Text())
	}
	info, err := e.CreateHub(t.Context(), options)
	if err != nil {
		t.Fatalf("make a hub: %v", err)
	}
	t.Cleanup(func() {
		if err := e.DeleteHub(context.Background(), info.Name); err != nil {
			t.Errorf("remove the hub: %v", err)
		}
	})
	return info
}
