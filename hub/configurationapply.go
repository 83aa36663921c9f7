package hub

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// configurationState is what configurations did to one device or module.
type configurationState struct {
	entries []configurationEntry
	// revision is the stored document's, 0 without one. Only who configures the identity uses it.
	revision uint64
}

// configurationEntry is what one configuration did. It is small, because a hub
// may have as many as it has twins.
type configurationEntry struct {
	ID string `json:"-"`
	// Created tells a configuration from a later one of that ID.
	Created int64 `json:"created"`
	Applied bool  `json:"applied"`
	// Edge says that it is a deployment.
	Edge bool `json:"edge,omitempty"`
}

func (e configurationEntry) status() string {
	if e.Applied {
		return "Applied"
	}
	return "Targeted"
}

// configurationEntries are those of one device or module, by configuration.
type configurationEntries map[string]configurationEntry

func (e configurationEntries) list() []configurationEntry {
	out := make([]configurationEntry, 0, len(e))
	for _, entry := range e {
		out = append(out, entry)
	}
	return out
}

// entry returns the one of a configuration that sets something, or nothing.
func (c *configuration) entry(applied bool) configurationEntry {
	return configurationEntry{
		ID: c.ID, Created: c.CreatedTime.UnixNano(), Applied: applied, Edge: c.Content.Kind == iothub.ModulesContent,
	}
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
	entries := configurationEntries{}
	for i, c := range matching {
		entries[c.ID] = c.entry(applies(c, matching[i+1:]))
	}
	deployment := h.planDeployment(t, entries)
	before, revision := h.stateOf(t.Identity.ID)
	var removed [][]string
	during := maps.Clone(entries)
	for _, c := range h.leavingConfigurations(kind, before, entries) {
		removed = append(removed, iothub.Paths(c.Content.Assignments)...)
		during[c.ID] = before[c.ID]
	}
	revision, err := h.putState(ctx, t.Identity.ID, before, during, revision)
	if err != nil {
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
			e.Applied = e.Applied && e.Edge
			entries[id] = e
		}
	}
	if err := h.deploy(ctx, t.Identity.ID, deployment); err != nil {
		return err
	}
	_, err = h.putState(ctx, t.Identity.ID, during, entries, revision)
	return err
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

// applies reports whether those that win over c leave anything of what it sets.
func applies(c *configuration, winners []*configuration) bool {
	for _, path := range iothub.Paths(c.Content.Assignments) {
		overridden := slices.ContainsFunc(winners, func(w *configuration) bool {
			return slices.ContainsFunc(iothub.Paths(w.Content.Assignments), func(over []string) bool { return iothub.Overrides(over, path) })
		})
		if !overridden {
			return true
		}
	}
	return false
}

func assignmentsOf(list []*configuration) []iothub.Assignment {
	var out []iothub.Assignment
	for _, c := range list {
		out = append(out, c.Content.Assignments...)
	}
	return out
}

// leavingConfigurations returns those of the entries so far that have to take their
// settings back: they are still there and do not match any more.
func (h *Hub) leavingConfigurations(kind iothub.ConfigurationKind, before, now configurationEntries) []*configuration {
	var leaving []*configuration
	h.configurations.mu.Lock()
	defer h.configurations.mu.Unlock()
	for id, e := range before {
		_, stays := now[id]
		c := h.configurations.byID[id]
		if !stays && c != nil && c.Content.Kind == kind && c.CreatedTime.UnixNano() == e.Created {
			leaving = append(leaving, c)
		}
	}
	return leaving
}

// writeDesired writes a change of desired properties, unless the twin was written since.
func (h *Hub) writeDesired(ctx context.Context, t Twin, change map[string]any) error {
	if change == nil {
		return nil
	}
	_, err := h.PatchTwin(context.WithValue(ctx, ownWrite{}, true), t.Identity.ID, iothub.TwinPatch{Desired: change}, t.Twin.ETagText())
	return err
}

// stateOf returns what is known of an identity.
func (h *Hub) stateOf(id iothub.ID) (configurationEntries, uint64) {
	h.configurations.mu.Lock()
	defer h.configurations.mu.Unlock()
	s := h.configurations.stateLocked(id)
	out := make(configurationEntries, len(s.entries))
	for _, e := range s.entries {
		out[e.ID] = e
	}
	return out, s.revision
}

// stateLocked returns the state of a device or module, the zero one when there is none.
func (c *configurations) stateLocked(id iothub.ID) configurationState {
	if id.IsModule() {
		return c.modules[id.DeviceID][id.ModuleID]
	}
	return c.devices[id.DeviceID]
}

// putState stores what configurations do to an identity, unless that is known, and
// returns the document's new revision.
func (h *Hub) putState(ctx context.Context, id iothub.ID, before, entries configurationEntries, revision uint64) (uint64, error) {
	if maps.Equal(before, entries) {
		return revision, nil
	}
	var err error
	if len(entries) > 0 {
		revision, err = putDocument(ctx, h.o.Documents, configurationStateCollection, id.String(), revision, entries)
	} else if revision != 0 {
		revision = 0
		if err = h.o.Documents.DeleteDocument(ctx, configurationStateCollection, id.String(), 0); errors.Is(err, store.ErrNotFound) {
			err = nil
		}
	}
	if err != nil {
		return 0, err
	}
	h.configurations.mu.Lock()
	defer h.configurations.mu.Unlock()
	h.configurations.setStateLocked(id, configurationState{entries.list(), revision})
	return revision, nil
}

// setStateLocked replaces what is known of a device or module; a state without entries is none.
func (c *configurations) setStateLocked(id iothub.ID, s configurationState) {
	c.countLocked(c.stateLocked(id), -1)
	c.countLocked(s, 1)
	switch {
	case !id.IsModule() && len(s.entries) > 0:
		c.devices[id.DeviceID] = s
	case !id.IsModule():
		delete(c.devices, id.DeviceID)
	case len(s.entries) > 0:
		if c.modules[id.DeviceID] == nil {
			c.modules[id.DeviceID] = map[string]configurationState{}
		}
		c.modules[id.DeviceID][id.ModuleID] = s
	default:
		delete(c.modules[id.DeviceID], id.ModuleID)
		if len(c.modules[id.DeviceID]) == 0 {
			delete(c.modules, id.DeviceID)
		}
	}
}

// configurationKey tells a configuration from a later one of its ID.
type configurationKey struct {
	id      string
	created int64
}

// configurationCount is how many twins a configuration is about, and set something in.
type configurationCount struct{ targeted, applied int }

func (c *configurations) countLocked(s configurationState, n int) {
	for _, e := range s.entries {
		key := configurationKey{e.ID, e.Created}
		count := c.counts[key]
		count.targeted += n
		if e.Applied {
			count.applied += n
		}
		if c.counts[key] = count; count == (configurationCount{}) {
			delete(c.counts, key)
		}
	}
}

// dropStates forgets an identity that is gone, and with a device its modules.
func (h *Hub) dropStates(ctx context.Context, id iothub.ID) error {
	gone := []iothub.ID{id}
	if !id.IsModule() {
		h.configurations.mu.Lock()
		for module := range h.configurations.modules[id.DeviceID] {
			gone = append(gone, iothub.ID{DeviceID: id.DeviceID, ModuleID: module})
		}
		h.configurations.mu.Unlock()
	}
	for _, id := range gone {
		before, revision := h.stateOf(id)
		if _, err := h.putState(ctx, id, before, nil, revision); err != nil {
			return err
		}
	}
	return nil
}

// loadConfigurationStates runs before anybody else is there.
func (h *Hub) loadConfigurationStates(ctx context.Context) error {
	return h.eachDocument(ctx, configurationStateCollection, "", func(d store.Document) error {
		var entries configurationEntries
		if err := json.Unmarshal(d.Payload, &entries); err != nil {
			return err
		}
		s := configurationState{revision: d.Revision}
		for id, e := range entries {
			e.ID = id
			if c := h.configurations.byID[id]; c != nil {
				e.ID = c.ID // one text for all
			}
			s.entries = append(s.entries, e)
		}
		device, module, _ := strings.Cut(d.Key, "/")
		h.configurations.setStateLocked(iothub.ID{DeviceID: device, ModuleID: module}, s)
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
	add := func(s configurationState, all bool) {
		for _, e := range s.entries {
			if all || e.Edge {
				if out == nil {
					out = map[string]any{}
				}
				out[e.ID] = map[string]any{"status": e.status()}
			}
		}
	}
	add(c.stateLocked(id), true)
	if id.ModuleID == iothub.EdgeAgent {
		add(c.devices[id.DeviceID], false)
	}
	return out
}

// countStates returns the system metrics that every configuration has.
func (h *Hub) countStates(c *configuration) iothub.MetricResults {
	h.configurations.mu.Lock()
	defer h.configurations.mu.Unlock()
	count := h.configurations.counts[configurationKey{c.ID, c.CreatedTime.UnixNano()}]
	return iothub.MetricResults{iothub.MetricTargeted: count.targeted, iothub.MetricApplied: count.applied}
}
