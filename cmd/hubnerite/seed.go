package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/seed"
)

// seedTimeout bounds the application of a seed.
const seedTimeout = 5 * time.Minute

type seedCmd struct {
	Check  seedCheckCmd  `cmd:"" help:"Say what is wrong with seed files; needs no emulator."`
	Apply  seedApplyCmd  `cmd:"" help:"Apply seed files to the running emulator."`
	Schema seedSchemaCmd `cmd:"" help:"Print the JSON Schema of seed files."`
}

type seedCheckCmd struct {
	Files []string `arg:"" placeholder:"FILE" help:"YAML or JSON."`
}

// Run checks each file, and all of them together, and fails when something is wrong.
func (c *seedCheckCmd) Run(a *app) error {
	failed := false
	var files []*seed.File
	for _, path := range c.Files {
		f, err := loadSeed(path)
		if err != nil {
			failed = true
			_, _ = fmt.Fprintln(a.stderr, err)
			continue
		}
		files = append(files, f)
		_, _ = fmt.Fprintf(a.stdout, "%s: %s\n", path, summary(&f.Document))
	}
	if !failed {
		if _, err := seed.Merge(files...); err != nil {
			_, _ = fmt.Fprintln(a.stderr, err)
			failed = true
		}
	}
	if failed {
		return exitCode(exitFailure)
	}
	return nil
}

// loadSeed reads a seed; the errors of files name the file in any case.
func loadSeed(path string) (*seed.File, error) {
	f, err := seed.Load(path)
	var problems seed.Problems
	if err != nil && !errors.As(err, &problems) && !strings.Contains(err.Error(), path) {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return f, err
}

// summary counts what a seed has.
func summary(d *seed.Document) string {
	var parts []string
	count := func(n int, one, many string) {
		switch n {
		case 0:
		case 1:
			parts = append(parts, "1 "+one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", n, many))
		}
	}
	var devices, modules, routes, simulated, policies, configurations int
	hubs := []*seed.Hub{&d.Hub}
	for i := range d.Hubs {
		hubs = append(hubs, &d.Hubs[i].Hub)
	}
	for _, h := range hubs {
		devices += len(h.Devices)
		routes += len(h.Routes)
		policies += len(h.Policies)
		configurations += len(h.Configurations)
		for _, device := range h.Devices {
			modules += len(device.Modules)
		}
		for i := range h.Simulations {
			simulated += h.Simulations[i].Devices()
		}
	}
	count(len(d.Hubs), "further hub", "further hubs")
	count(policies, "policy", "policies")
	count(devices, "device", "devices")
	count(modules, "module", "modules")
	count(routes, "route", "routes")
	count(configurations, "configuration", "configurations")
	count(simulated, "simulated device", "simulated devices")
	if len(parts) == 0 {
		return "ok"
	}
	return "ok: " + strings.Join(parts, ", ")
}

type seedApplyCmd struct {
	Files []string `arg:"" placeholder:"FILE" help:"YAML or JSON."`
}

// Run applies what the files say together, once all of it is known to be right by itself.
func (c *seedApplyCmd) Run(a *app) error {
	var files []*seed.File
	for _, path := range c.Files {
		f, err := loadSeed(path)
		if err != nil {
			_, _ = fmt.Fprintln(a.stderr, err)
			return exitCode(exitFailure)
		}
		files = append(files, f)
	}
	f, err := seed.Merge(files...)
	if err != nil {
		_, _ = fmt.Fprintln(a.stderr, err)
		return exitCode(exitFailure)
	}
	// One file as it is, so that the emulator's complaints name its lines, unless it has parts elsewhere.
	name, shown := c.Files[0], strings.Join(c.Files, " ")
	text, err := os.ReadFile(name)
	if err == nil && (len(files) > 1 || f.NamesFiles) {
		text, err = f.JSON()
		name = strings.TrimSuffix(shown, ".json") + ".json"
	}
	if err != nil {
		return err
	}
	answer, err := a.request(http.MethodPost, "/seed?name="+url.QueryEscape(name), strings.NewReader(string(text)), seedTimeout)
	if err != nil {
		return err
	}
	var result emulator.SeedResult
	if err := json.Unmarshal(answer, &result); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s: %d created, %d changed, %d unchanged\n", shown, result.Created, result.Changed, result.Unchanged)
	return err
}

type seedSchemaCmd struct{}

// Run prints the schema.
func (c *seedSchemaCmd) Run(a *app) error {
	_, err := a.stdout.Write(seed.Schema())
	return err
}

type exportCmd struct {
	JSON   bool   `name:"json" help:"JSON instead of YAML."`
	Output string `short:"o" placeholder:"FILE" help:"Write it there, for you alone to read: it holds keys (standard output)."`
}

// Run writes the state of the running emulator as a seed file.
func (c *exportCmd) Run(a *app) error {
	query := url.Values{"format": {"yaml"}}
	if c.JSON || strings.EqualFold(filepath.Ext(c.Output), ".json") {
		query.Set("format", "json")
	}
	text, err := a.request(http.MethodGet, "/export?"+query.Encode(), nil, seedTimeout)
	if errors.Is(err, errNotFound) {
		return fmt.Errorf("there is no hub %q", a.hub)
	}
	if err != nil {
		return err
	}
	if c.Output == "" {
		_, err = a.stdout.Write(text)
		return err
	}
	return os.WriteFile(c.Output, text, 0o600)
}
