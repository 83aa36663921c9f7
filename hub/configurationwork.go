package hub

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/hubnerite/hubnerite/iothub"
)

const (
	// maxDirtyTwins is how many written twins are remembered one by one; after
	// more all twins are looked at.
	maxDirtyTwins = 10_000
	// configurationWorkers is how many twins are looked at at one time, so that
	// the store can commit their changes together.
	configurationWorkers = 128
)

// configurationWork is what automatic device management has to look at. It is
// guarded by configurations.mu.
type configurationWork struct {
	// full means all twins, passes those that a changed configuration is or was about.
	full   bool
	passes map[string]struct{}
	dirty  map[iothub.ID]struct{}
	// done is closed when nothing is left to do; nil while nothing is done.
	done chan struct{}
}

func newConfigurationWork(done chan struct{}) configurationWork {
	return configurationWork{done: done, passes: map[string]struct{}{}, dirty: map[iothub.ID]struct{}{}}
}

func (w *configurationWork) empty() bool { return !w.full && len(w.passes) == 0 && len(w.dirty) == 0 }

// ownWrite marks the context of a write by automatic device management, which
// is no reason to look at the twin again: a condition on what the
// configuration itself sets would go round in circles.
type ownWrite struct{}

// twinWritten is told of each write of an identity or twin.
func (h *Hub) twinWritten(ctx context.Context, id iothub.ID) {
	h.edgeWritten(id)
	c := &h.configurations
	if !c.any.Load() || ctx.Value(ownWrite{}) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.work.dirty) >= maxDirtyTwins {
		c.work.full = true
		clear(c.work.dirty)
	}
	if !c.work.full {
		c.work.dirty[id] = struct{}{}
	}
	h.startConfigurationWorkLocked()
}

// startConfigurationWorkLocked makes sure that somebody does the work. While
// the hub closes nobody does; the next start looks at everything.
func (h *Hub) startConfigurationWorkLocked() {
	w := &h.configurations.work
	if w.done == nil && h.enter() {
		w.done = make(chan struct{})
		go h.workConfigurations()
	}
}

// SettleConfigurations returns when automatic device management has nothing
// left to do for what was written before the call, or ctx ends.
func (h *Hub) SettleConfigurations(ctx context.Context) error {
	for {
		h.configurations.mu.Lock()
		done := h.configurations.work.done
		h.configurations.mu.Unlock()
		if done == nil {
			return nil
		}
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// workConfigurations works until nothing is left, batch after batch: a twin is
// never looked at twice at one time.
func (h *Hub) workConfigurations() {
	defer h.leave()
	c := &h.configurations
	failed := map[iothub.ID]struct{}{}
	for full := false; ; {
		c.mu.Lock()
		work := c.work
		if work.empty() || h.ending.Err() != nil {
			// What failed is for the next write or Sweep, not to be tried in a circle.
			maps.Copy(c.work.dirty, failed)
			c.work.full = full
			close(work.done)
			c.work.done = nil
			c.any.Store(!c.idleLocked())
			c.mu.Unlock()
			return
		}
		c.work = newConfigurationWork(work.done)
		c.mu.Unlock()
		ids, err := h.configurationTargets(h.ending, work)
		if err != nil {
			if h.ending.Err() == nil {
				h.o.Logger.Error("the twins that configurations are about could not be read", "err", err)
			}
			full = true
			continue
		}
		for _, id := range h.configureAll(h.ending, ids) {
			failed[id] = struct{}{}
		}
	}
}

// sweepConfigurations tries again what failed.
func (h *Hub) sweepConfigurations() {
	h.configurations.mu.Lock()
	defer h.configurations.mu.Unlock()
	if !h.configurations.work.empty() {
		h.startConfigurationWorkLocked()
	}
}

// configurationTargets returns whom the work is about, without repetition.
func (h *Hub) configurationTargets(ctx context.Context, work configurationWork) ([]iothub.ID, error) {
	found := map[iothub.ID]struct{}{}
	add := func(id iothub.ID) bool {
		found[id] = struct{}{}
		return ctx.Err() == nil
	}
	var conditions []string
	if work.full {
		conditions = []string{"*", "FROM devices.modules"}
	}
	c := &h.configurations
	c.mu.Lock()
	for id := range work.passes {
		if changed := c.byID[id]; changed != nil && changed.condition != nil {
			conditions = append(conditions, changed.TargetCondition)
		}
	}
	if work.full || len(work.passes) > 0 {
		touched := func(s configurationState) bool {
			return work.full || slices.ContainsFunc(s.entries, func(e configurationEntry) bool {
				_, changed := work.passes[e.ID]
				return changed
			})
		}
		for device, s := range c.devices {
			if touched(s) {
				add(iothub.ID{DeviceID: device})
			}
		}
		for device, modules := range c.modules {
			for module, s := range modules {
				if touched(s) {
					add(iothub.ID{DeviceID: device, ModuleID: module})
				}
			}
		}
	}
	for id := range work.dirty {
		add(id)
		if _, known := c.devices[id.DeviceID]; known && id.IsModule() {
			// A deployment may rule it.
			add(id.Device())
		}
	}
	c.mu.Unlock()
	for _, condition := range conditions {
		if err := cmp.Or(h.SelectIdentities(ctx, "devices", condition, add), ctx.Err()); err != nil {
			return nil, err
		}
	}
	ids := make([]iothub.ID, 0, len(found))
	for id := range found {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b iothub.ID) int {
		return cmp.Or(strings.Compare(a.DeviceID, b.DeviceID), strings.Compare(a.ModuleID, b.ModuleID))
	})
	return ids, nil
}

// configureAll returns those that could not be configured.
func (h *Hub) configureAll(ctx context.Context, ids []iothub.ID) (failed []iothub.ID) {
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
		next    = make(chan iothub.ID)
	)
	for range min(configurationWorkers, len(ids)) {
		workers.Go(func() {
			for id := range next {
				err := h.configure(ctx, id)
				if err == nil || ctx.Err() != nil {
					continue
				}
				h.o.Logger.Error("the configurations of a twin were not applied", "device", id, "err", err)
				mu.Lock()
				failed = append(failed, id)
				mu.Unlock()
			}
		})
	}
	for _, id := range ids {
		if ctx.Err() != nil {
			break
		}
		next <- id
	}
	close(next)
	workers.Wait()
	return failed
}
