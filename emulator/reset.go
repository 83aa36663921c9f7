package emulator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// AllHubs is the name that stands for every hub in Reset, Snapshot and Restore.
const AllHubs = "*"

// reseeder applies the seed to the latest life of a hub, which clients do not reach yet.
type reseeder func(ctx context.Context, h *hosted) error

// Reset makes a hub what it was when it began: empty but for what the configuration, or who created it, gave it. Configured
// devices keep their keys. With seed the seed is applied too. name is "" for the default hub and AllHubs for
// each. Clients are disconnected, as by a hub that closes, once the new hub is in place: who reconnects
// finds that one. When an error comes back before that, every hub is as it was; one that names a hub that did not close well says so.
func (e *Emulator) Reset(ctx context.Context, name string, seed bool) error {
	hubs, err := e.chosen(name)
	if err != nil {
		return err
	}
	changes := make([]*change, len(hubs))
	for i, h := range hubs {
		changes[i] = &change{h: h, seed: seed, ifThere: name == AllHubs}
	}
	return e.replace(ctx, changes, nil)
}

// chosen returns the hub of a name, or all.
func (e *Emulator) chosen(name string) ([]*hosted, error) {
	if name == AllHubs {
		return e.all(), nil
	}
	h := e.named(name)
	if h == nil {
		return nil, noHub(name)
	}
	return []*hosted{h}, nil
}

// change is a life to be begun in the place of the one in effect.
type change struct {
	h *hosted
	// from is the snapshot to begin with, nil for nothing.
	from *savedHub
	// seed says that the seed is to be applied, ifThere that it does not matter when the hub has been removed meanwhile.
	seed, ifThere bool
	// life is the new one, with the number.
	life   *life
	number int
}

// replace begins lives and puts all of them in the place of those in effect, or none. The last that may fail is further, nil for nothing. A
// process that is killed while the hubs' files are written may have changed some of them.
func (e *Emulator) replace(ctx context.Context, changes []*change, further func() error) error {
	// Whoever holds several holds them in the order of all.
	slices.SortFunc(changes, func(a, b *change) int {
		return cmp.Or(-compareBool(a.h.isDefault(), b.h.isDefault()), strings.Compare(strings.ToLower(a.h.name), strings.ToLower(b.h.name)))
	})
	for _, c := range changes {
		c.h.changing.Lock()
		defer c.h.changing.Unlock()
	}
	err := func() error {
		for _, c := range changes {
			if err := c.begin(ctx); err != nil {
				return fmt.Errorf("hub %s: %w", c.h.name, err)
			}
		}
		if err := saveAll(changes); err != nil || further == nil {
			return err
		}
		err := further()
		if err != nil {
			err = errors.Join(err, unsave(changes))
		}
		return err
	}()
	if err != nil {
		for _, c := range changes {
			err = errors.Join(err, c.abandon())
		}
		return err
	}
	var errs []error
	for _, c := range changes {
		if err := c.takePlace(); err != nil {
			errs = append(errs, fmt.Errorf("hub %s is replaced, but: %w", c.h.name, err))
		}
	}
	return errors.Join(errs...)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// begin makes the new life. The caller holds the hub's lock.
func (c *change) begin(ctx context.Context) (err error) {
	if c.h.gone {
		if c.ifThere {
			return nil
		}
		return noHub(c.h.name)
	}
	c.number = c.h.number + 1
	dir := c.h.lifeDir(c.number)
	if c.life, err = c.h.begin(ctx, dir, c.from); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	if c.from != nil {
		err = c.from.simulate(ctx, c.life)
	}
	if err == nil && c.seed && c.h.e.reseed != nil {
		err = c.h.reseed(ctx, c.life)
	}
	return err
}

// abandon ends a new life that does not take its place.
func (c *change) abandon() error {
	if c.life == nil {
		return nil
	}
	return errors.Join(c.life.close(), os.RemoveAll(c.h.lifeDir(c.number)))
}

// saveAll has a restart find the new lives; after an error it finds the old ones.
func saveAll(changes []*change) error {
	for i, c := range changes {
		if c.life == nil {
			continue
		}
		if err := c.h.save(c.number); err != nil {
			return errors.Join(fmt.Errorf("hub %s: %w", c.h.name, err), unsave(changes[:i]))
		}
	}
	return nil
}

// unsave has a restart find the old lives.
func unsave(changes []*change) error {
	var errs []error
	for _, c := range changes {
		if c.life != nil {
			errs = append(errs, c.h.save(c.h.number))
		}
	}
	return errors.Join(errs...)
}

// takePlace lets clients see the new life and ends the old one.
func (c *change) takePlace() error {
	if c.life == nil {
		return nil
	}
	h := c.h
	old, leftovers := h.now.Swap(c.life), h.leftovers(h.number)
	h.number = c.number
	h.e.cfg.Logger.Info("hub reset", "hub", h.name, "restored", c.from != nil, "seeded", c.seed)
	err := old.closeHub()
	h.e.retire(old, leftovers...)
	return err
}

// reseed applies the seed to a life that is about to take its place.
func (h *hosted) reseed(ctx context.Context, l *life) error {
	h.next.Store(l)
	defer h.next.Store(nil)
	return h.e.reseed(ctx, h)
}

// latest returns the life that is about to take its place, or else the one in effect.
func (h *hosted) latest() *life {
	if l := h.next.Load(); l != nil {
		return l
	}
	return h.now.Load()
}
