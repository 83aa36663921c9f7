package emulator

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// AllHubs is the name that stands for every hub in Reset, Snapshot and Restore.
const AllHubs = "*"

// reseeder applies the seed to the latest life of a hub, which clients do not reach yet.
type reseeder func(ctx context.Context, h *hosted) error

// Reset makes a hub what it was when it began: empty but for what the configuration, or who created it, gave it. Configured
// devices keep their keys. With seed the seed is applied too. name is "" for the default hub and AllHubs for
// each. Clients are disconnected, as by a hub that closes, once the new hub is in place: who reconnects
// finds that one. When an error comes back for one hub, that hub is as it was.
func (e *Emulator) Reset(ctx context.Context, name string, seed bool) error {
	hubs, err := e.chosen(name)
	if err != nil {
		return err
	}
	var errs []error
	for _, h := range hubs {
		if err := h.replace(ctx, nil, seed); err != nil {
			errs = append(errs, fmt.Errorf("hub %s: %w", h.name, err))
		}
	}
	return errors.Join(errs...)
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

// replace begins a life, from a snapshot or from nothing, and puts it in the place of the one in effect.
func (h *hosted) replace(ctx context.Context, from *savedHub, seed bool) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	if h.gone {
		return noHub(h.name)
	}
	number := h.number + 1
	dir := h.lifeDir(number)
	l, err := h.begin(ctx, dir, from)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	if seed && h.e.reseed != nil {
		err = h.reseed(ctx, l)
	}
	if err == nil {
		err = h.save(number)
	}
	if err != nil {
		return errors.Join(err, l.close(), os.RemoveAll(dir))
	}
	old, leftovers := h.now.Swap(l), h.leftovers(h.number)
	h.number = number
	h.e.cfg.Logger.Info("hub reset", "hub", h.name, "restored", from != nil, "seeded", seed)
	err = old.closeHub()
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
