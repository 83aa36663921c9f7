package seedhub

import (
	"context"
	"errors"
	"slices"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/seed"
	"github.com/hubnerite/hubnerite/simulate"
)

// Target is a hub to seed or to export.
type Target struct {
	Hub *hub.Hub
	// Simulator plays its simulated devices.
	Simulator *simulate.Simulator
	// DefaultPolicies are what a hub begins with: policies that are like these are not exported.
	DefaultPolicies []iothub.AccessPolicy
}

// Counts say what became of the things that a seed names: devices, modules, routes and so on.
type Counts struct {
	Created   int `json:"created"`
	Changed   int `json:"changed"`
	Unchanged int `json:"unchanged"`
}

// Add adds other counts.
func (c *Counts) Add(other Counts) {
	c.Created += other.Created
	c.Changed += other.Changed
	c.Unchanged += other.Unchanged
}

func (c *Counts) created()   { c.Created++ }
func (c *Counts) unchanged() { c.Unchanged++ }

// changed counts a thing that was there.
func (c *Counts) changed(really bool) {
	if really {
		c.Changed++
	} else {
		c.Unchanged++
	}
}

// Part is the part of a seed file that is for one hub.
type Part struct {
	File *seed.File
	Hub  *seed.Hub
	// Path leads to that part in the file.
	Path []any
}

// problem is an error at a place of the part.
func (p Part) problem(err error, path ...any) seed.Problem {
	message := err.Error()
	var known *iothub.Error
	if errors.As(err, &known) {
		message = known.Message
	}
	return seed.Problem{File: p.File.Name, Position: p.File.Place(append(slices.Clone(p.Path), path...)...), Message: message}
}

// Check returns what keeps a part from being applied to the hub as it is, as seed.Problems, or nil. What the file says by itself is taken to be
// right.
func (t Target) Check(ctx context.Context, p Part) error {
	c := checker{Target: t, part: p}
	if err := c.check(ctx); err != nil {
		return err
	}
	if len(c.problems) > 0 {
		return seed.Problems(c.problems)
	}
	return nil
}

// Apply makes a part true. An error is a seed.Problem and leaves what was applied before it.
func (t Target) Apply(ctx context.Context, p Part) (Counts, error) {
	a := applier{Target: t, part: p}
	for _, step := range []func(context.Context) error{
		a.policies, a.certificates, a.consumerGroups, a.routing, a.devices, a.configurations, a.simulations,
	} {
		if err := step(ctx); err != nil {
			return a.counts, err
		}
	}
	return a.counts, nil
}
