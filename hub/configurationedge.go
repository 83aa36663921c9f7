package hub

import (
	"context"
	"maps"
	"slices"

	"github.com/hubnerite/hubnerite/iothub"
)

// deployment is what the modules of an edge device are to be: assignments by
// module, later ones over earlier ones; nil for nothing.
type deployment map[string][]iothub.Assignment

// planDeployment chooses among the deployments that target an edge device: the
// full one that wins, and the layered ones that win over it. Their statuses go into entries.
// Source: IoT Edge, automatic deployments for single devices or at scale (priority, layered deployment).
func (h *Hub) planDeployment(t Twin, entries configurationEntries) deployment {
	if t.Identity.ID.IsModule() || !t.Identity.Capabilities.IoTEdge {
		return nil
	}
	matching := h.matchingConfigurations(t, iothub.ModulesContent)
	base := -1
	for i, c := range matching {
		entries[c.ID] = c.entry(false)
		if !c.Content.Layered() {
			base = i
		}
	}
	if base < 0 {
		return nil
	}
	plan := deployment{}
	for _, c := range matching[base:] {
		for module, list := range c.Content.Modules {
			plan[module] = append(plan[module], list...)
		}
		entries[c.ID] = c.entry(true)
	}
	return plan
}

// deploy makes the modules of an edge device what the plan says, the missing ones included.
func (h *Hub) deploy(ctx context.Context, device iothub.ID, plan deployment) error {
	if plan == nil {
		return nil
	}
	names := map[string]struct{}{}
	for name, list := range plan {
		names[name] = struct{}{}
		if name == iothub.EdgeAgent {
			// The modules that the device is to run exist from now on.
			modules, _ := iothub.Assign(nil, nil, list, true)["modules"].(map[string]any)
			for module := range modules {
				names[module] = struct{}{}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if err := h.deployModule(ctx, iothub.ID{DeviceID: device.DeviceID, ModuleID: name}, plan[name]); err != nil {
			return err
		}
	}
	return nil
}

// deployModule writes a module's desired properties; module configurations have the last word.
func (h *Hub) deployModule(ctx context.Context, id iothub.ID, list []iothub.Assignment) error {
	for {
		identity, twin, err := h.o.Registry.Twin(ctx, id)
		if iothub.ErrorCode(err) == iothub.CodeDeviceNotFound {
			managedBy := "iotEdge"
			_, err := h.CreateIdentity(ctx, id, iothub.IdentityRequest{ManagedBy: &managedBy})
			switch iothub.ErrorCode(err) {
			case iothub.CodeModuleAlreadyExistsOnDevice:
				continue
			case iothub.CodeArgumentInvalid, iothub.CodeTooManyModulesOnDevice, iothub.CodeIotHubUnauthorizedAccess, iothub.CodeDeviceNotFound:
				h.o.Logger.Warn("a module of a deployment cannot be made", "device", id, "err", err)
				return nil
			}
			if err == nil {
				continue
			}
			return err
		}
		if err != nil {
			return err
		}
		t := Twin{Identity: identity, Twin: twin}
		desired := iothub.Assign(twin.Desired.Values, nil, list, true)
		desired = iothub.Assign(desired, nil, assignmentsOf(h.matchingConfigurations(t, iothub.ModuleContent)), false)
		err = h.writeDesired(ctx, t, iothub.Difference(twin.Desired.Values, desired))
		switch iothub.ErrorCode(err) {
		case iothub.CodePreconditionFailed, iothub.CodeDeviceNotFound:
			continue
		case iothub.CodeArgumentInvalid:
			h.o.Logger.Warn("a deployment does not fit into a twin", "device", id, "err", err)
			return nil
		}
		return err
	}
}

// ApplyContent sets the modules of one edge device, once; deployments that
// target it have the last word. Errors: DeviceNotFound, ArgumentInvalid for a device that is
// no edge device, InvalidConfigurationContent, ApplyConfigurationAlreadyInProgressOnDevice.
// Source: Configuration - Apply On Edge Device of the IoT Hub service API 2021-04-12.
func (h *Hub) ApplyContent(ctx context.Context, deviceID string, body []byte) error {
	if !h.enter() {
		return errClosing()
	}
	defer h.leave()
	device := iothub.ID{DeviceID: deviceID}
	identity, err := h.registered(ctx, device)
	if err != nil {
		return err
	}
	if !identity.Capabilities.IoTEdge {
		return iothub.NewError(iothub.CodeArgumentInvalid, "Device %s is not an edge device.", deviceID)
	}
	content, err := iothub.DecodeContent(body)
	if err != nil {
		return err
	}
	if content.Kind != iothub.ModulesContent {
		return iothub.NewError(iothub.CodeInvalidConfigurationContent, "The content for an edge device is modulesContent.")
	}
	c := &h.configurations
	c.mu.Lock()
	_, busy := c.applying[deviceID]
	if !busy {
		c.applying[deviceID] = struct{}{}
	}
	c.mu.Unlock()
	if busy {
		return iothub.NewError(iothub.CodeApplyConfigurationAlreadyInProgressOnDevice, "Device %s is being configured already.", deviceID)
	}
	err = h.deploy(ctx, device, deployment(content.Modules))
	c.mu.Lock()
	delete(c.applying, deviceID)
	c.mu.Unlock()
	if err == nil {
		h.twinWritten(ctx, device)
	}
	return err
}
