package registry

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// scopePrefix begins the scope of every edge device.
const scopePrefix = "ms-azure-iot-edge://"

// applyScopes sets the scopes of a device. An edge device owns a scope that
// never changes and that every update repeats; its parent is in parentScopes. A
// leaf has its parent's scope for its own, and parentScopes follow from that.
// ticks make a new scope unique.
// Source: IoT Edge, parent and child relationships (device scopes).
func applyScopes(i *iothub.Identity, req iothub.IdentityRequest, wasEdge bool, ticks string) error {
	own := ""
	if wasEdge {
		own = i.DeviceScope
	}
	switch {
	case wasEdge && i.Capabilities.IoTEdge:
		if req.DeviceScope != own {
			return iothub.NewError(iothub.CodeArgumentInvalid, "Device scope is immutable: an update must repeat %q.", own)
		}
		return setParent(i, req.ParentScopes)
	case i.Capabilities.IoTEdge && ScopeOwner(req.DeviceScope) == i.ID.DeviceID:
		// An import brings the scope that the device's children have, too.
		i.DeviceScope = req.DeviceScope
		return setParent(i, req.ParentScopes)
	case i.Capabilities.IoTEdge:
		// The scope that a leaf had is its parent's.
		parents := req.ParentScopes
		if parents == nil && req.DeviceScope != "" {
			parents = []string{req.DeviceScope}
		}
		i.DeviceScope = scopePrefix + i.ID.DeviceID + "-" + ticks
		return setParent(i, parents)
	}
	i.DeviceScope, i.ParentScopes = req.DeviceScope, nil
	// What was an edge device has no scope of its own any more.
	if req.DeviceScope == "" || req.DeviceScope == own {
		i.DeviceScope = ""
		return nil
	}
	if !strings.HasPrefix(req.DeviceScope, scopePrefix) {
		return invalidScope(req.DeviceScope)
	}
	i.ParentScopes = []string{req.DeviceScope}
	return nil
}

// setParent sets the parent of an edge device; none detaches it.
func setParent(i *iothub.Identity, parents []string) error {
	switch {
	case len(parents) == 0:
		i.ParentScopes = nil
		return nil
	case len(parents) > 1:
		return iothub.NewError(iothub.CodeArgumentInvalid, "parentScopes: an edge device has one parent at most.")
	case !strings.HasPrefix(parents[0], scopePrefix) || parents[0] == i.DeviceScope:
		return invalidScope(parents[0])
	}
	i.ParentScopes = slices.Clone(parents)
	return nil
}

func invalidScope(scope string) error {
	return iothub.NewError(iothub.CodeInvalidDeviceScope, "%q is not the scope of another edge device.", scope)
}

// ScopeOwner returns the ID of the edge device to which a scope belongs, "" for a
// text that is no scope.
func ScopeOwner(scope string) string {
	name, ok := strings.CutPrefix(scope, scopePrefix)
	end := strings.LastIndexByte(name, '-')
	if !ok || end < 0 {
		return ""
	}
	if _, err := strconv.ParseUint(name[end+1:], 10, 64); err != nil {
		return ""
	}
	return name[:end]
}

// checkParent makes sure that the parent exists which a write would give to a
// device. A parent that it has already is not asked after: it may be gone.
func (r *Registry) checkParent(ctx context.Context, before, after []string) error {
	if len(after) == 0 || slices.Equal(before, after) {
		return nil
	}
	scope := after[0]
	rec, err := r.records.Get(ctx, iothub.ID{DeviceID: ScopeOwner(scope)})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return invalidScope(scope)
	case err != nil:
		return err
	case !rec.Identity.Capabilities.IoTEdge || rec.Identity.DeviceScope != scope:
		return invalidScope(scope)
	}
	return nil
}

// systemModule reports whether the ID names a module that edge devices have by
// themselves.
func systemModule(id iothub.ID) bool { return strings.HasPrefix(id.ModuleID, "$") }

// checkSystemModule refuses to write or delete a module of the system.
func checkSystemModule(id iothub.ID) error {
	if !systemModule(id) {
		return nil
	}
	return iothub.NewError(iothub.CodeSystemModuleModifyUnauthorizedAccess, "Unauthorized: module %s belongs to the system.", id.ModuleID)
}

// edgeModules returns the records of the two modules that an edge device always
// has.
func (r *Registry) edgeModules(device iothub.ID) []store.Record {
	var out []store.Record
	for _, name := range []string{"$edgeAgent", "$edgeHub"} {
		out = append(out, store.Record{
			Identity: iothub.Identity{
				ID:           iothub.ID{DeviceID: device.DeviceID, ModuleID: name},
				GenerationID: r.nextGeneration(), ETag: newETag(), Status: iothub.StatusEnabled,
				Authentication: iothub.Authentication{Type: iothub.AuthNone}, ManagedBy: "iotEdge",
			},
			Twin: iothub.NewTwin(r.now()),
		})
	}
	return out
}

// ensureEdgeModules gives an edge device the modules that it lacks.
func (r *Registry) ensureEdgeModules(ctx context.Context, i iothub.Identity) error {
	if i.ID.IsModule() || !i.Capabilities.IoTEdge {
		return nil
	}
	for _, err := range r.records.PutMany(ctx, r.edgeModules(i.ID)) {
		// A device that is gone again needs none.
		if err != nil && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}
