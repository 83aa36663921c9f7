package registry

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// checkRequest refuses a request whose IDs are malformed, differ from the
// address, or take a name of the system.
func checkRequest(id iothub.ID, req iothub.IdentityRequest) error {
	if err := iothub.ValidateDeviceID(id.DeviceID); err != nil {
		return err
	}
	if req.DeviceID != "" && req.DeviceID != id.DeviceID || req.ModuleID != "" && req.ModuleID != id.ModuleID {
		return iothub.NewError(iothub.CodeArgumentInvalid, "The ID in the body differs from the one in the address.")
	}
	if !id.IsModule() {
		return nil
	}
	if err := iothub.ValidateModuleID(id.ModuleID); err != nil {
		return err
	}
	if systemModule(id) {
		return iothub.NewError(iothub.CodeArgumentInvalid, "Module IDs that begin with $ belong to the system.")
	}
	return nil
}

// Replace writes all of an identity: what the request leaves out gets its
// default, new keys included. ifMatch is an etag, quoted or bare, or * or "*".
// Errors: DeviceNotFound, ModuleNotFound, PreconditionFailed, ArgumentInvalid,
// InvalidDeviceScope, SystemModuleModifyUnauthorizedAccess.
// Source: IoT Hub service API, Devices - Create Or Update Identity (If-Match).
func (r *Registry) Replace(ctx context.Context, id iothub.ID, req iothub.IdentityRequest, ifMatch string) (iothub.Identity, error) {
	c := Replacement{ID: id, Request: req, IfMatch: ifMatch}
	if err := r.checkModuleHost(ctx, id); err != nil {
		return iothub.Identity{}, err
	}
	identity, _, err := r.ReplaceWithTwin(ctx, c)
	return identity, err
}

// Replacement is a write of all of an identity and a merge into its twin.
type Replacement struct {
	ID      iothub.ID
	Request iothub.IdentityRequest
	// IfMatch and TwinIfMatch are compared with the etags; empty matches anything.
	IfMatch, TwinIfMatch string
	// Twin may have nil parts: with both nil the twin is not written.
	Twin iothub.TwinPatch
	// AnyParent is that of Creation.
	AnyParent bool
}

// ReplaceWithTwin is Replace with a merge of tags and desired properties, both or
// neither. It writes modules of disabled devices, too.
func (r *Registry) ReplaceWithTwin(ctx context.Context, c Replacement) (iothub.Identity, iothub.Twin, error) {
	if err := checkSystemModule(c.ID); err != nil {
		return iothub.Identity{}, iothub.Twin{}, err
	}
	rec, err := r.update(ctx, c.ID, func(rec *store.Record) error {
		if err := matchETag(c.IfMatch, rec.Identity.ETag); err != nil {
			return err
		}
		if err := matchETag(c.TwinIfMatch, rec.Twin.ETagText()); err != nil {
			return err
		}
		if err := checkRequest(c.ID, c.Request); err != nil {
			return err
		}
		before := rec.Identity.ParentScopes
		rec.Identity.ETag = nextETag(rec.Identity.ETag)
		if err := r.apply(&rec.Identity, c.Request, r.nextGeneration()); err != nil {
			return err
		}
		if !c.AnyParent {
			if err := r.checkParent(ctx, before, rec.Identity.ParentScopes); err != nil {
				return err
			}
		}
		if c.Twin.Tags == nil && c.Twin.Desired == nil {
			return nil
		}
		var err error
		rec.Twin, err = rec.Twin.Patch(c.Twin, r.now())
		return err
	})
	if err != nil {
		return iothub.Identity{}, iothub.Twin{}, err
	}
	return rec.Identity, rec.Twin, r.ensureEdgeModules(ctx, rec.Identity)
}

// apply sets everything that a request rules. scopeTicks makes the scope of a
// new edge device unique.
func (r *Registry) apply(i *iothub.Identity, req iothub.IdentityRequest, scopeTicks string) error {
	auth, err := authenticationOf(i.ID, req.Authentication)
	if err != nil {
		return err
	}
	i.Authentication = auth
	if i.ID.IsModule() {
		i.ManagedBy = ""
		if req.ManagedBy != nil {
			i.ManagedBy = *req.ManagedBy
		}
		return nil
	}
	status := iothub.Status(strings.ToLower(string(req.Status)))
	switch status {
	case "":
		status = iothub.StatusEnabled
	case iothub.StatusEnabled, iothub.StatusDisabled:
	default:
		return iothub.NewError(iothub.CodeArgumentInvalid, "status must be enabled or disabled.")
	}
	if status != i.Status {
		i.Status, i.StatusUpdatedTime = status, r.now()
	}
	i.StatusReason = ""
	if req.StatusReason != nil {
		if utf8.RuneCountInString(*req.StatusReason) > iothub.MaxStatusReason {
			return iothub.NewError(iothub.CodeArgumentInvalid, "statusReason is longer than %d characters.", iothub.MaxStatusReason)
		}
		i.StatusReason = *req.StatusReason
	}
	wasEdge := i.Capabilities.IoTEdge
	i.Capabilities = iothub.Capabilities{}
	if req.Capabilities != nil {
		i.Capabilities = *req.Capabilities
	}
	return applyScopes(i, req, wasEdge, scopeTicks)
}

// Get returns an identity, or DeviceNotFound or ModuleNotFound.
func (r *Registry) Get(ctx context.Context, id iothub.ID) (iothub.Identity, error) {
	if err := r.checkModuleHost(ctx, id); err != nil {
		return iothub.Identity{}, err
	}
	rec, err := r.get(ctx, id)
	return rec.Identity, err
}

// Delete removes an identity, its twin, its modules and its queues. An empty
// ifMatch is refused with PreconditionFailed.
// Source: IoT Hub service API, Devices - Delete Identity.
func (r *Registry) Delete(ctx context.Context, id iothub.ID, ifMatch string) error {
	if ifMatch == "" {
		return iothub.NewError(iothub.CodePreconditionFailed, "Etag missing: deleting needs an If-Match header.")
	}
	if err := r.checkModuleHost(ctx, id); err != nil {
		return err
	}
	if err := checkSystemModule(id); err != nil {
		return err
	}
	for {
		rec, err := r.get(ctx, id)
		if err != nil {
			return err
		}
		if err := matchETag(ifMatch, rec.Identity.ETag); err != nil {
			return err
		}
		switch err := r.records.Delete(ctx, id, rec.Revision); {
		case errors.Is(err, store.ErrNotFound):
			return notFound(id)
		case !errors.Is(err, store.ErrConflict):
			return err
		}
	}
}

// ListDevices returns up to top devices in ID order; top outside 1 to 1000
// means 1000. Source: IoT Hub service API, Devices - Get Devices.
func (r *Registry) ListDevices(ctx context.Context, top int) ([]iothub.Identity, error) {
	if top < 1 || top > iothub.MaxListedDevices {
		top = iothub.MaxListedDevices
	}
	return r.list(ctx, store.ListFilter{Kind: "devices"}, top)
}

// ListModules returns the modules of a device.
func (r *Registry) ListModules(ctx context.Context, deviceID string) ([]iothub.Identity, error) {
	if err := r.checkModuleHost(ctx, iothub.ID{DeviceID: deviceID, ModuleID: "*"}); err != nil {
		return nil, err
	}
	return r.list(ctx, store.ListFilter{Kind: "modules", DeviceID: deviceID}, iothub.MaxListedDevices)
}

func (r *Registry) list(ctx context.Context, f store.ListFilter, top int) ([]iothub.Identity, error) {
	out, resume := []iothub.Identity{}, ""
	for {
		records, next, err := r.records.List(ctx, f, resume, top-len(out))
		if err != nil {
			return nil, err
		}
		for _, rec := range records {
			out = append(out, rec.Identity)
		}
		if next == "" || len(out) >= top {
			return out, nil
		}
		resume = next
	}
}

// Counts returns the number of stored identities.
func (r *Registry) Counts(ctx context.Context) (store.Counts, error) { return r.records.Count(ctx) }

// checkModuleHost answers as the service does when a module is addressed whose
// device is missing or disabled: unauthorized, not "not found".
func (r *Registry) checkModuleHost(ctx context.Context, id iothub.ID) error {
	if !id.IsModule() {
		return nil
	}
	rec, err := r.records.Get(ctx, id.Device())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return unauthorized("device %s of the module is not registered", id.DeviceID)
	case err != nil:
		return err
	case rec.Identity.Status == iothub.StatusDisabled:
		return unauthorized("device %s of the module is disabled", id.DeviceID)
	}
	return nil
}

// ticksAtUnixEpoch is 1970-01-01 in .NET ticks of 100 ns, the unit in which the
// service writes generation IDs.
const ticksAtUnixEpoch = 621355968000000000

// nextGeneration returns a generation ID that is new: the clock in ticks, or
// one more than the last.
func (r *Registry) nextGeneration() string {
	for {
		last := r.generation.Load()
		next := max(r.now().UnixNano()/100+ticksAtUnixEpoch, last+1)
		if r.generation.CompareAndSwap(last, next) {
			return strconv.FormatInt(next, 10)
		}
	}
}
