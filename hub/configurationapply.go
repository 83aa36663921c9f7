package hub

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// The statuses of a configuration in a twin: its condition holds, and it set
// something there. Source: IoT Hub, automatic device management (metrics).
const (
	statusTargeted = "Targeted"
	statusApplied  = "Applied"
)

// configurationState is what configurations did to one device or module.
type configurationState struct {
	entries map[string]configurationEntry
	// revision is the stored document's, 0 without one. Only who configures the identity uses it.
	revision uint64
}

// configurationEntry is what one configuration did.
type configurationEntry struct {
	Status string `json:"status"`
	// Created tells a configuration from a later one of that ID.
	Created time.Time `json:"created"`
	// Edge says that it is a deployment.
	Edge bool `json:"edge,omitempty"`
}

func (e configurationEntry) equal(other configurationEntry) bool {
	return e.Status == other.Status && e.Edge == other.Edge && e.Created.Equal(other.Created)
}

// configure makes a device or module what the configurations want. It writes
// down whom it is about to change before it does, so that a restart finds out what to
// take back; and forgets a configuration only when its settings are taken back.
func (h *Hub) configure(ctx context.Context, id iothub.ID) error {
	for {
		identity, twin, err := h.o.Registry.Twin(ctx, id)
		if iothub.ErrorCode(err) == iothub.CodeDeviceNotFound {
			return h.dropStates(ctx, id)
		}
		if err != nil {
			return err
		}
		err = h.configureTwin(ctx, Twin{Identity: identity, Twin: twin})
		if code := iothub.ErrorCode(err); code == iothub.CodePreconditionFailed || code == iothub.CodeDeviceNotFound {
			continue // written or deleted meanwhile
		}
		return err
	}
}

func (h *Hub) configureTwin(ctx context.Context, t Twin) error {
	kind := iothub.DeviceContent
	if t.Identity.ID.IsModule() {
		kind = iothub.ModuleContent
	}
	matching := h.matchingConfigurations(t, kind)
	entries := map[string]configurationEntry{}
	for i, c := range matching {
		entries[c.ID] = configurationEntry{Status: effect(c, matching[i+1:]), Created: c.CreatedTime}
	}
	deployment := h.planDeployment(t, entries)
	before, leaving := h.leavingConfigurations(t.Identity.ID, kind, entries)
	var removed [][]string
	during := maps.Clone(entries)
	for _, c := range leaving {
		removed = append(removed, iothub.Paths(c.Content.Assignments)...)
		during[c.ID] = before.entries[c.ID]
	}
	if err := h.putState(ctx, t.Identity.ID, before, during); err != nil {
		return err
	}
	desired := t.Twin.Desired.Values
	change := iothub.Difference(desired, iothub.Assign(desired, removed, assignmentsOf(matching), false))
	if err := h.writeDesired(ctx, t, change); err != nil {
		if iothub.ErrorCode(err) != iothub.CodeArgumentInvalid {
			return err
		}
		// Its size, most likely: nothing that another attempt would change.
		h.o.Logger.Warn("configurations do not fit into a twin", "device", t.Identity.ID, "err", err)
		for id, e := range entries {
			if !e.Edge {
				e.Status = statusTargeted
				entries[id] = e
			}
		}
	}
	if err := h.deploy(ctx, t.Identity.ID, deployment); err != nil {
		return err
	}
	return h.putState(ctx, t.Identity.ID, h.stateOf(t.Identity.ID), entries)
}

// matchingConfigurations returns those of a kind whose condition holds, who wins last.
func (h *Hub) matchingConfigurations(t Twin, kind iothub.ConfigurationKind) []*configuration {
	h.configurations.mu.Lock()
	var all []*configuration
	for _, c := range h.configurations.byID {
		if c.Content.Kind == kind && c.condition != nil {
			all = append(all, c)
		}
	}
	h.configurations.mu.Unlock()
	all = slices.DeleteFunc(all, func(c *configuration) bool { return !c.condition.Matches(t) })
	slices.SortFunc(all, func(a, b *configuration) int {
		if a.Before(b.Configuration) {
			return -1
		}
		return 1
	})
	return all
}

// effect is Applied unless those that win over c decide of everything that it sets.
func effect(c *configuration, winners []*configuration) string {
	for _, path := range iothub.Paths(c.Content.Assignments) {
		overridden := slices.ContainsFunc(winners, func(w *configuration) bool {
			return slices.ContainsFunc(iothub.Paths(w.Content.Assignments), func(over []string) bool { return iothub.Overrides(over, path) })
		})
		if !overridden {
			return statusApplied
		}
	}
	return statusTargeted
}

func assignmentsOf(list []*configuration) []iothub.Assignment {
	var out []iothub.Assignment
	for _, c := range list {
		out = append(out, c.Content.Assignments...)
	}
	return out
}

// leavingConfigurations returns the state so far, and the configurations in it that
// have to take their settings back: those that are still there and do not match any more.
func (h *Hub) leavingConfigurations(id iothub.ID, kind iothub.ConfigurationKind, now map[string]configurationEntry) (configurationState, []*configuration) {
	state := h.stateOf(id)
	var leaving []*configuration
	h.configurations.mu.Lock()
	defer h.configurations.mu.Unlock()
	for name, e := range state.entries {
		_, stays := now[name]
		c := h.configurations.byID[name]
		if !stays && c != nil && c.Content.Kind == kind && c.CreatedTime.Equal(e.Created) {
			leaving = append(leaving, c)
		}
	}
	return state, leaving
}

// writeDesired writes a change of desired properties, unless the twin was written since.
func (h *Hub) writeDesired(ctx context.Context, t Twin, change map[string]any) error {
	if change == nil {
		return nil
	}
	_, err := h.PatchTwin(context.WithValue(ctx, ownWrite{}, true), t.Identity.ID, iothub.TwinPatch{Desired: change}, t.Twin.ETagText())
	return err
}

// stateOf returns a copy of what is known of an identity.
func (h *Hub) stateOf(id iothub.ID) configurationState {
	h.configurations.mu.Lock()
	defer h.configurations.mu.Unlock()
	s := h.configurations.states[id.DeviceID][id.ModuleID]
	if s == nil {
		return configurationState{}
	}
	return configurationState{maps.Clone(s.entries), s.revision}
}

// putState stores what configurations do to an identity, unless that is known.
func (h *Hub) putState(ctx context.Context, id iothub.ID, before configurationState, entries map[string]configurationEntry) (err error) {
	if maps.EqualFunc(before.entries, entries, configurationEntry.equal) {
		return nil
	}
	after := &configurationState{entries: maps.Clone(entries)}
	if len(entries) > 0 {
		after.revision, err = putDocument(ctx, h.o.Documents, configurationStateCollection, id.String(), before.revision, entries)
	} else if before.revision != 0 {
		if err = h.o.Documents.DeleteDocument(ctx, configurationStateCollection, id.String(), 0); errors.Is(err, store.ErrNotFound) {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	states := h.configurations.states
	h.configurations.mu.Lock()
	defer h.configurations.mu.Unlock()
	switch {
	case len(entries) > 0:
		if states[id.DeviceID] == nil {
			states[id.DeviceID] = map[string]*configurationState{}
		}
		states[id.DeviceID][id.ModuleID] = after
	default:
		delete(states[id.DeviceID], id.ModuleID)
		if len(states[id.DeviceID]) == 0 {
			delete(states, id.DeviceID)
		}
	}
	return nil
}

// dropStates forgets an identity that is gone, and with a device its modules.
func (h *Hub) dropStates(ctx context.Context, id iothub.ID) error {
	h.configurations.mu.Lock()
	var modules []string
	for module := range h.configurations.states[id.DeviceID] {
		if module == id.ModuleID || !id.IsModule() {
			modules = append(modules, module)
		}
	}
	h.configurations.mu.Unlock()
	for _, module := range modules {
		gone := iothub.ID{DeviceID: id.DeviceID, ModuleID: module}
		if err := h.putState(ctx, gone, h.stateOf(gone), nil); err != nil {
			return err
		}
	}
	return nil
}

func (h *Hub) loadConfigurationStates(ctx context.Context) error {
	return h.eachDocument(ctx, configurationStateCollection, "", func(d store.Document) error {
		s := &configurationState{revision: d.Revision}
		if err := json.Unmarshal(d.Payload, &s.entries); err != nil {
			return err
		}
		device, module, _ := strings.Cut(d.Key, "/")
		states := h.configurations.states
		if states[device] == nil {
			states[device] = map[string]*configurationState{}
		}
		states[device][module] = s
		return nil
	})
}

// configurationStates returns what automatic device management says of an
// identity, by configuration ID: {"fw": {"status": "Applied"}}; nil for nothing.
// Deployments stand at the device and at its $edgeAgent.
func (h *Hub) configurationStates(id iothub.ID) map[string]any {
	c := &h.configurations
	if !c.any.Load() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var out map[string]any
	add := func(s *configurationState, all bool) {
		if s == nil {
			return
		}
		for name, e := range s.entries {
			if all || e.Edge {
				if out == nil {
					out = map[string]any{}
				}
				out[name] = map[string]any{"status": e.Status}
			}
		}
	}
	modules := c.states[id.DeviceID]
	add(modules[id.ModuleID], true)
	if id.ModuleID == iothub.EdgeAgent {
		add(modules[""], false)
	}
	return out
}

// countStates counts how many twins a configuration is about, and set something in.
func (h *Hub) countStates(c *configuration) iothub.MetricResults {
	targeted, applied := 0, 0
	h.configurations.mu.Lock()
	defer h.configurations.mu.Unlock()
	for _, modules := range h.configurations.states {
		for _, s := range modules {
			if e, ok := s.entries[c.ID]; ok && e.Created.Equal(c.CreatedTime) {
				targeted++
				if e.Status == statusApplied {
					applied++
				}
			}
		}
	}
	return iothub.MetricResults{iothub.MetricTargeted: targeted, iothub.MetricApplied: applied}
}
