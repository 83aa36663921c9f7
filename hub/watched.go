package hub

import (
	"context"
	"strings"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/query"
)

// Watched is an identity with all that the hub knows of it, for those who watch the hub from outside.
type Watched struct {
	Twin
	// Live is the connection, nil for none.
	Live *LiveConnection
}

// Watch returns what the hub knows of a device or module. Unlike GetTwin it is in no metric. Errors: DeviceNotFound, ModuleNotFound.
func (h *Hub) Watch(ctx context.Context, id iothub.ID) (Watched, error) {
	identity, twin, err := h.o.Registry.Twin(ctx, id)
	if err != nil {
		return Watched{}, err
	}
	with, err := h.withTwin(ctx, identity, twin)
	return Watched{Twin: with, Live: h.live(id)}, err
}

// live returns the connection of an identity, nil for none.
func (h *Hub) live(id iothub.ID) *LiveConnection {
	p := h.find(id)
	if p == nil {
		return nil
	}
	defer h.release(p)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil {
		return nil
	}
	return &LiveConnection{p.id, p.conn.o.Protocol, p.conn.o.RemoteAddr, p.stateUpdated}
}

// WatchModules returns the modules of a device, which may be disabled, in the order of their IDs; none for a device that is not there.
func (h *Hub) WatchModules(ctx context.Context, deviceID string) ([]Watched, error) {
	var ids []iothub.ID
	err := h.SelectIdentities(ctx, string(query.Modules), "deviceId = '"+strings.ReplaceAll(deviceID, "'", "''")+"'", func(id iothub.ID) bool {
		ids = append(ids, id)
		return true
	})
	if err != nil {
		return nil, err
	}
	return h.watchAll(ctx, ids)
}

// watchAll leaves out who was deleted meanwhile.
func (h *Hub) watchAll(ctx context.Context, ids []iothub.ID) ([]Watched, error) {
	all := make([]Watched, 0, len(ids))
	for _, id := range ids {
		one, err := h.Watch(ctx, id)
		switch iothub.ErrorCode(err) {
		case iothub.CodeDeviceNotFound, iothub.CodeModuleNotFound:
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// WatchedFilter selects devices; what is left out selects all.
type WatchedFilter struct {
	// Status is that of the identity.
	Status iothub.Status
	// Connected selects those with a connection, or those without.
	Connected *bool
	// Select sees the IDs of those that pass the others.
	Select func(deviceID string) bool
	// After is the ID of the device behind which the page begins.
	After string
	// Limit is the most devices of a page; 0 means none, which leaves the total.
	Limit int
}

// WatchDevices returns a page of devices, without their modules, in the order of their IDs. total is the number of all that are selected, on this page or
// another; more says that some come after the page.
func (h *Hub) WatchDevices(ctx context.Context, f WatchedFilter) (page []Watched, total int, more bool, err error) {
	condition := ""
	if f.Status != "" {
		condition = "status = '" + string(f.Status) + "'"
	}
	var ids []iothub.ID
	err = h.SelectIdentities(ctx, "devices", condition, func(id iothub.ID) bool {
		if f.Connected != nil && h.isConnected(id) != *f.Connected || f.Select != nil && !f.Select(id.DeviceID) {
			return true
		}
		total++
		switch {
		case id.DeviceID <= f.After:
		case len(ids) < f.Limit:
			ids = append(ids, id)
		default:
			more = true
		}
		return true
	})
	if err != nil {
		return nil, 0, false, err
	}
	page, err = h.watchAll(ctx, ids)
	return page, total - (len(ids) - len(page)), more, err
}
