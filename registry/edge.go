package registry

import (
	"context"
	"errors"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// applyScopes sets the scopes of a device. An edge device owns a scope that
// never changes; a leaf joins the scope of its parent.
// Source: IoT Edge, parent and child relationships (device scopes).
func applyScopes(i *iothub.Identity, req iothub.IdentityRequest, ticks string) error {
	if !i.Capabilities.IoTEdge {
		i.DeviceScope, i.ParentScopes = req.DeviceScope, nil
		if req.DeviceScope != "" {
			i.ParentScopes = []string{req.DeviceScope}
		}
		return nil
	}
	if i.DeviceScope == "" {
		i.DeviceScope = "ms-azure-iot-edge://" + i.ID.DeviceID + "-" + ticks
	} else if req.DeviceScope != "" && req.DeviceScope != i.DeviceScope {
		return iothub.NewError(iothub.CodeArgumentInvalid, "Device scope is immutable.")
	}
	i.ParentScopes = req.ParentScopes
	return nil
}

// ensureEdgeModules gives an edge device the two modules that it always has.
func (r *Registry) ensureEdgeModules(ctx context.Context, i iothub.Identity) error {
	if i.ID.IsModule() || !i.Capabilities.IoTEdge {
		return nil
	}
	for _, name := range []string{"$edgeAgent", "$edgeHub"} {
		module := iothub.Identity{
			ID:           iothub.ID{DeviceID: i.ID.DeviceID, ModuleID: name},
			GenerationID: r.nextGeneration(), ETag: newETag(), Status: iothub.StatusEnabled,
			Authentication: iothub.Authentication{Type: iothub.AuthNone}, ManagedBy: "iotEdge",
		}
		_, err := r.records.Put(ctx, store.Record{Identity: module, Twin: iothub.NewTwin(r.now())})
		if err != nil && !errors.Is(err, store.ErrExists) {
			return err
		}
	}
	return nil
}
