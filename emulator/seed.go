package emulator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubnerite/hubnerite/admin"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/seed"
	"github.com/hubnerite/hubnerite/seedhub"
)

// SeedResult says what became of a seed.
type SeedResult = admin.SeedResult

// seeding is what the emulator knows of seeds.
type seeding struct {
	// mu is held while one is applied.
	mu sync.Mutex
	// file is what those of the configuration say together, nil for none; a reset applies it again. sources are their names.
	file    *seed.File
	sources []string
	last    atomic.Pointer[SeedResult]
}

// loadSeeds reads the configured seed files, and puts them together. An error has a line for each thing that is wrong, with its place.
func (e *Emulator) loadSeeds() error {
	var (
		errs  []error
		files []*seed.File
	)
	for _, path := range e.cfg.Seeds {
		f, err := seed.Load(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		files, e.seeding.sources = append(files, f), append(e.seeding.sources, path)
	}
	e.reseed = e.seedAgain
	if len(errs) == 0 && len(files) > 0 {
		var err error
		if e.seeding.file, err = seed.Merge(files...); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return &SeedError{errors.Join(errs...)}
	}
	return nil
}

// SeedError is returned by Start and ApplySeed for a seed that cannot be read or does not fit; its text has a line for each thing that is
// wrong, as file:line:column: message.
type SeedError struct{ Err error }

// Error implements error.
func (e *SeedError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *SeedError) Unwrap() error { return e.Err }

// applySeeds applies the configured files.
func (e *Emulator) applySeeds(ctx context.Context) error {
	if e.seeding.file == nil {
		return nil
	}
	_, err := e.seed(ctx, e.seeding.sources, e.seeding.file)
	return err
}

// seedAgain applies the configured files to one hub, which is being reset.
func (e *Emulator) seedAgain(ctx context.Context, h *hosted) error {
	if e.seeding.file == nil {
		return nil
	}
	// Without the lock of those that are posted: the hub's own is held.
	_, err := e.seedFile(ctx, e.seeding.file, h)
	return err
}

// ApplySeed applies a seed, YAML or JSON, to the hubs, and makes the hubs that it names and that are not there. name is for messages. Everything is checked before
// anything is written. Errors of the seed are *SeedError.
func (e *Emulator) ApplySeed(ctx context.Context, name string, text []byte) (SeedResult, error) {
	f, err := seed.Parse(name, text, seed.Options{})
	if err != nil {
		err = &SeedError{err}
		result := SeedResult{Status: admin.SeedFailed, Sources: []string{name}, Time: iothub.FormatTime(e.cfg.Now()), Error: err.Error()}
		e.seeding.last.Store(&result)
		return result, err
	}
	return e.seed(ctx, []string{f.Name}, f)
}

// seed applies what the sources say and remembers the result.
func (e *Emulator) seed(ctx context.Context, sources []string, f *seed.File) (SeedResult, error) {
	e.seeding.mu.Lock()
	defer e.seeding.mu.Unlock()
	began := time.Now()
	result := SeedResult{Status: admin.SeedApplied, Time: iothub.FormatTime(e.cfg.Now()), Sources: sources}
	counts, err := e.seedFile(ctx, f, nil)
	if err != nil {
		result.Status, result.Error = admin.SeedFailed, err.Error()
	}
	result.Created, result.Changed, result.Unchanged = counts.Created, counts.Changed, counts.Unchanged
	result.Milliseconds = float64(time.Since(began).Microseconds()) / 1000
	e.seeding.last.Store(&result)
	log := e.cfg.Logger.With("seed", strings.Join(result.Sources, " "), "created", result.Created, "changed", result.Changed, "unchanged", result.Unchanged)
	if err != nil {
		log.Error("a seed could not be applied", "err", err)
	} else {
		log.Info("seed applied")
	}
	return result, err
}

// seedPart is a part of a file with its hub.
type seedPart struct {
	seedhub.Part
	target seedhub.Target
}

// seedFile applies a file, to one hub alone when only is not nil.
func (e *Emulator) seedFile(ctx context.Context, f *seed.File, only *hosted) (counts seedhub.Counts, err error) {
	parts, made, err := e.seedParts(ctx, f, only)
	for i := 0; i < len(parts) && err == nil; i++ {
		err = parts[i].target.Check(ctx, parts[i].Part)
	}
	if err != nil {
		// Nothing was applied: the hubs that were made for it go again.
		for _, name := range made {
			err = errors.Join(err, e.DeleteHub(ctx, name))
		}
		return counts, seedError(err)
	}
	counts.Created += len(made)
	for _, p := range parts {
		applied, err := p.target.Apply(ctx, p.Part)
		counts.Add(applied)
		if err != nil {
			return counts, seedError(err)
		}
	}
	return counts, nil
}

// seedError marks what the seed is to blame for.
func seedError(err error) error {
	var (
		problem  seed.Problem
		problems seed.Problems
	)
	if errors.As(err, &problem) || errors.As(err, &problems) {
		return &SeedError{err}
	}
	return err
}

// seedParts finds or makes the hubs of a file.
func (e *Emulator) seedParts(ctx context.Context, f *seed.File, only *hosted) (parts []seedPart, made []string, err error) {
	add := func(h *hosted, part *seed.Hub, path ...any) {
		if only == nil || only == h {
			parts = append(parts, seedPart{seedhub.Part{File: f, Hub: part, Path: path}, h.target()})
		}
	}
	add(e.first, &f.Hub)
	for i := range f.Hubs {
		want := &f.Hubs[i]
		refuse := func(err error) error {
			return seed.Problem{File: f.Name, Position: f.Place("hubs", i), Message: err.Error()}
		}
		h := e.named(want.Name)
		switch {
		case h == nil && only == nil:
			if _, err := e.CreateHub(ctx, HubOptions{Name: want.Name, HostNames: want.HostNames}); err != nil {
				return parts, made, refuse(err)
			}
			made = append(made, want.Name)
			h = e.named(want.Name)
		case h != nil && h.isDefault():
			return parts, made, refuse(fmt.Errorf("%s is the default hub: what is for it is not below hubs", want.Name))
		case h != nil:
			for _, host := range want.HostNames {
				if !slices.Contains(h.answersTo(), plainHost(host)) {
					return parts, made, refuse(fmt.Errorf("the hub %s is there and does not answer to %s; its names do not change", want.Name, host))
				}
			}
		}
		if h != nil {
			add(h, &want.Hub, "hubs", i)
		}
	}
	return parts, made, nil
}

// target is the hub as it is now, or as a reset is about to make it, for seeds.
func (h *hosted) target() seedhub.Target {
	l := h.latest()
	return seedhub.Target{Hub: l.hub, Simulator: l.simulator, DefaultPolicies: registry.DefaultPolicies()}
}

// SeedResult returns what became of the last seed, nil when there was none.
func (e *Emulator) SeedResult() *SeedResult { return e.seeding.last.Load() }

// SeedSchema returns the JSON Schema of seed files.
func (e *Emulator) SeedSchema() []byte { return seed.Schema() }

// ExportSeed returns the state of all hubs as a seed, or, when hub is not empty, of one hub as if it were the default one. Applied to an empty emulator
// it gives the same state.
func (e *Emulator) ExportSeed(ctx context.Context, hub string, asJSON bool) ([]byte, error) {
	var d seed.Document
	first := e.named(hub)
	if first == nil {
		return nil, noHub(hub)
	}
	var err error
	if d.Hub, err = first.target().Export(ctx); err != nil {
		return nil, err
	}
	for _, h := range e.all() {
		if hub != "" || h.isDefault() {
			continue
		}
		exported, err := h.target().Export(ctx)
		if err != nil {
			return nil, err
		}
		d.Hubs = append(d.Hubs, seed.NamedHub{Name: h.name, HostNames: h.hostNames, Hub: exported})
	}
	return seedhub.Text(&d, asJSON, e.Info().AdminURL+"/seed.schema.json")
}
