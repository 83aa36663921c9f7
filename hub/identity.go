package hub

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/store"
)

// Identity is an identity with its live state.
type Identity struct {
	iothub.Identity
	Connection iothub.ConnectionInfo
}

// CreateIdentity adds a device or module; see registry.Create.
func (h *Hub) CreateIdentity(ctx context.Context, id iothub.ID, req iothub.IdentityRequest) (Identity, error) {
	return h.create(ctx, registry.Creation{ID: id, Request: req})
}

func (h *Hub) create(ctx context.Context, c registry.Creation) (Identity, error) {
	if !h.wants(opCreate) {
		identity, err := h.o.Registry.CreateWithTwin(ctx, c)
		if err == nil {
			h.note(Activity{Kind: ActivityIdentity, Event: EventCreated, ID: c.ID})
		}
		return Identity{Identity: identity}, err
	}
	p := h.acquire(c.ID)
	defer h.release(p)
	// The event comes before those of the twin's first changes.
	p.twin.Lock()
	identity, err := h.o.Registry.CreateWithTwin(ctx, c)
	if err != nil {
		p.twin.Unlock()
		return Identity{}, err
	}
	h.note(Activity{Kind: ActivityIdentity, Event: EventCreated, ID: c.ID})
	stored := h.tell(opCreate, c.ID, func() ([]byte, error) { return h.eventTwin(ctx, c.ID) })
	p.twin.Unlock()
	stored()
	return Identity{Identity: identity}, nil
}

// eventTwin returns the twin as events show it whole.
func (h *Hub) eventTwin(ctx context.Context, id iothub.ID) ([]byte, error) {
	_, twin, err := h.o.Registry.Twin(context.WithoutCancel(ctx), id)
	if err != nil {
		return nil, err
	}
	return iothub.MarshalEventTwin(id, twin)
}

// ReplaceIdentity writes all of an identity; disabling or changing its credential disconnects
// it and, for a device, its modules. See registry.Replace.
func (h *Hub) ReplaceIdentity(ctx context.Context, id iothub.ID, req iothub.IdentityRequest, ifMatch string) (Identity, error) {
	// What the address of a module needs, an entry of a bulk operation does not.
	if id.IsModule() {
		if _, err := h.o.Registry.Get(ctx, id); err != nil {
			return Identity{}, err
		}
	}
	after, err := h.replace(ctx, registry.Replacement{ID: id, Request: req, IfMatch: ifMatch})
	if err != nil {
		return Identity{}, err
	}
	return h.withState(ctx, after)
}

// replace writes an identity and perhaps its twin, and tells those whom it concerns.
func (h *Hub) replace(ctx context.Context, c registry.Replacement) (iothub.Identity, error) {
	p := h.acquire(c.ID)
	defer h.release(p)
	before, after, stored, err := h.replaceRecord(ctx, p, c)
	if err != nil {
		return iothub.Identity{}, err
	}
	stored()
	var reason *iothub.Error
	switch {
	case after.Status == iothub.StatusDisabled:
		reason = iothub.NewError(iothub.CodeDeviceDisabled, "The device %q was disabled.", c.ID)
	case !reflect.DeepEqual(before.Authentication, after.Authentication):
		reason = iothub.NewError(iothub.CodeIotHubUnauthorizedAccess, "The credential of %q was changed.", c.ID)
	}
	if reason != nil {
		h.disconnectAll(c.ID, reason)
	}
	return after, nil
}

func (h *Hub) replaceRecord(ctx context.Context, p *peer, c registry.Replacement) (before, after iothub.Identity, stored func(), err error) {
	// Two writes at once must both see what the other changed.
	p.io.Lock()
	defer p.io.Unlock()
	if before, err = h.registered(ctx, c.ID); err != nil {
		return before, after, nil, err
	}
	if c.Twin.Tags == nil && c.Twin.Desired == nil {
		after, _, err = h.o.Registry.ReplaceWithTwin(ctx, c)
		return before, after, func() {}, err
	}
	p.twin.Lock()
	defer p.twin.Unlock()
	after, twin, err := h.o.Registry.ReplaceWithTwin(ctx, c)
	if err != nil {
		return before, after, nil, err
	}
	return before, after, h.twinChanged(p, opUpdateTwin, twin, c.Twin.Desired, func(twin iothub.Twin) ([]byte, error) {
		return iothub.MarshalTwinUpdate(twin, c.Twin.Tags, c.Twin.Desired, nil)
	}), nil
}

// disconnectAll ends the connection of id and, for a device, those of its modules.
func (h *Hub) disconnectAll(id iothub.ID, reason *iothub.Error) {
	for _, p := range h.neighbours(id.DeviceID) {
		if p.id == id || !id.IsModule() {
			h.disconnect(p, reason)
		}
		h.release(p)
	}
}

// GetIdentity returns an identity; see registry.Get.
func (h *Hub) GetIdentity(ctx context.Context, id iothub.ID) (Identity, error) {
	identity, err := h.o.Registry.Get(ctx, id)
	if err != nil {
		return Identity{}, err
	}
	return h.withState(ctx, identity)
}

// registered returns the identity that a call to a device or module is for, or
// DeviceNotFound or ModuleNotFound. Only the operations on module identities
// themselves, which use registry.Get, answer 401 when the device is missing or disabled.
func (h *Hub) registered(ctx context.Context, id iothub.ID) (iothub.Identity, error) {
	identity, _, err := h.o.Registry.Twin(ctx, id)
	if id.IsModule() && iothub.ErrorCode(err) == iothub.CodeDeviceNotFound {
		if _, _, err := h.o.Registry.Twin(ctx, id.Device()); err != nil {
			return iothub.Identity{}, err
		}
		return iothub.Identity{}, iothub.NewError(iothub.CodeModuleNotFound, "Module %s of device %s is not registered.", id.ModuleID, id.DeviceID)
	}
	return identity, err
}

// DeleteIdentity removes and disconnects an identity and its modules, and
// discards its waiting messages and unsent feedback. See registry.Delete.
func (h *Hub) DeleteIdentity(ctx context.Context, id iothub.ID, ifMatch string) error {
	if !h.enter() {
		return errClosing()
	}
	defer h.leave()
	p := h.acquire(id)
	defer h.release(p)
	p.io.Lock()
	stored, err := h.deleteIdentity(ctx, id, ifMatch, p)
	if err == nil {
		h.forget(p)
	}
	p.io.Unlock()
	if err != nil {
		return err
	}
	stored()
	h.disconnectAll(id, iothub.NewError(iothub.CodeDeviceNotFound, "The device %q was deleted.", id))
	for _, n := range h.neighbours(id.DeviceID) {
		if n.id == id || !id.IsModule() {
			h.forgetDeleted(ctx, n)
		}
		h.release(n)
	}
	h.forgetFeedback(id)
	return nil
}

// deleteIdentity removes the record and tells of it. The caller holds p.io.
func (h *Hub) deleteIdentity(ctx context.Context, id iothub.ID, ifMatch string, p *peer) (stored func(), err error) {
	if !h.wants(opDelete) {
		if err := h.o.Registry.Delete(ctx, id, ifMatch); err != nil {
			return nil, err
		}
		h.note(Activity{Kind: ActivityIdentity, Event: EventDeleted, ID: id})
		return func() {}, nil
	}
	p.twin.Lock()
	defer p.twin.Unlock()
	// Afterwards there is no twin to tell of. Delete complains about one that is missing.
	twin, twinErr := h.eventTwin(ctx, id)
	if err := h.o.Registry.Delete(ctx, id, ifMatch); err != nil {
		return nil, err
	}
	h.note(Activity{Kind: ActivityIdentity, Event: EventDeleted, ID: id})
	return h.tell(opDelete, id, func() ([]byte, error) { return twin, twinErr }), nil
}

// forgetDeleted forgets an identity unless it was created anew meanwhile.
func (h *Hub) forgetDeleted(ctx context.Context, p *peer) {
	p.io.Lock()
	defer p.io.Unlock()
	if _, err := h.o.Registry.Get(ctx, p.id); iothub.ErrorCode(err).HTTPStatus() == 404 {
		h.forget(p)
	}
}

// ListDevices returns up to top devices; see registry.ListDevices.
func (h *Hub) ListDevices(ctx context.Context, top int) ([]Identity, error) {
	return h.withStates(ctx)(h.o.Registry.ListDevices(ctx, top))
}

// ListModules returns the modules of a device.
func (h *Hub) ListModules(ctx context.Context, deviceID string) ([]Identity, error) {
	return h.withStates(ctx)(h.o.Registry.ListModules(ctx, deviceID))
}

func (h *Hub) withStates(ctx context.Context) func([]iothub.Identity, error) ([]Identity, error) {
	return func(found []iothub.Identity, err error) ([]Identity, error) {
		if err != nil {
			return nil, err
		}
		out := make([]Identity, len(found))
		for i, identity := range found {
			if out[i], err = h.withState(ctx, identity); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
}

func (h *Hub) withState(ctx context.Context, identity iothub.Identity) (Identity, error) {
	info, err := h.connectionInfo(ctx, identity)
	return Identity{Identity: identity, Connection: info}, err
}

// connectionInfo returns what the hub knows of an identity that exists.
func (h *Hub) connectionInfo(ctx context.Context, identity iothub.Identity) (iothub.ConnectionInfo, error) {
	if !h.enter() {
		return iothub.ConnectionInfo{}, errClosing()
	}
	defer h.leave()
	p := h.acquire(identity.ID)
	defer h.release(p)
	p.io.Lock()
	err := h.load(ctx, p, identity.GenerationID)
	p.io.Unlock()
	if err != nil {
		return iothub.ConnectionInfo{}, err
	}
	now := h.now()
	p.mu.Lock()
	expired := p.queue.refresh(now)
	info := iothub.ConnectionInfo{
		Connected: p.conn != nil, StateUpdatedTime: p.stateUpdated, C2DCount: p.queue.waiting(),
		Configurations: h.configurationStates(identity.ID),
	}
	p.scheduleLocked()
	p.mu.Unlock()
	h.endAll(p, expired, iothub.OutcomeExpired, now)
	if at := p.lastActivity.Load(); at != 0 {
		info.LastActivityTime = time.Unix(0, at).UTC()
	}
	return info, nil
}

// Counts returns the numbers of identities.
func (h *Hub) Counts(ctx context.Context) (store.Counts, error) { return h.o.Registry.Counts(ctx) }

// ConnectedDevices returns the number of devices (not modules) with a live connection.
func (h *Hub) ConnectedDevices() int { return int(h.connected.Load()) }

// LiveConnection describes a connection for those who watch the hub.
type LiveConnection struct {
	ID                   iothub.ID
	Protocol, RemoteAddr string
	Since                time.Time
}

// Connections returns the live connections in the order of their IDs.
func (h *Hub) Connections() []LiveConnection {
	var out []LiveConnection
	for _, p := range h.allPeers() {
		p.mu.Lock()
		if c := p.conn; c != nil {
			out = append(out, LiveConnection{p.id, c.o.Protocol, c.o.RemoteAddr, p.stateUpdated})
		}
		p.mu.Unlock()
		h.release(p)
	}
	slices.SortFunc(out, func(a, b LiveConnection) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	return out
}
