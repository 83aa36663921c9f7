package registry

import (
	"context"
	"errors"
	"hash/maphash"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// Creation is an identity to be made, with the first content of its twin.
type Creation struct {
	ID      iothub.ID
	Request iothub.IdentityRequest
	// Twin may have nil parts.
	Twin iothub.TwinPatch
	// Reported are the first reported properties, and ModelID is the digital twin model, as if the device had been there already.
	Reported map[string]any
	ModelID  string
	// OfDisabled makes modules of disabled devices, too, which callers of the service cannot.
	OfDisabled bool
	// AnyParent takes parents of which the edge device does not exist, as an import
	// meets them in the order of the names.
	AnyParent bool
}

// Create adds a device or module, making keys that the request leaves out.
// Errors: DeviceAlreadyExists, ModuleAlreadyExistsOnDevice, ArgumentInvalid,
// InvalidDeviceScope, TooManyModulesOnDevice, TooManyDevices, and
// IotHubUnauthorizedAccess for a module whose device is missing or disabled, as
// the service answers.
// Source: IoT Hub service API, Devices - Create Or Update Identity.
func (r *Registry) Create(ctx context.Context, id iothub.ID, req iothub.IdentityRequest) (iothub.Identity, error) {
	return r.CreateWithTwin(ctx, Creation{ID: id, Request: req})
}

// CreateWithTwin is Create with tags and desired properties.
func (r *Registry) CreateWithTwin(ctx context.Context, c Creation) (iothub.Identity, error) {
	done, err := r.reserve(ctx, 1)
	if err != nil {
		return iothub.Identity{}, err
	}
	defer done()
	// Before anything that needs a look into the store.
	rec, err := r.newRecord(ctx, c)
	if err != nil {
		return iothub.Identity{}, err
	}
	if c.ID.IsModule() {
		unlock := r.lockModules(c.ID.DeviceID)
		defer unlock()
		if err := r.checkModuleRoom(ctx, c); err != nil {
			return iothub.Identity{}, err
		}
	}
	if _, err := r.records.Put(ctx, rec); err != nil {
		return iothub.Identity{}, creationError(c.ID, err)
	}
	return rec.Identity, r.ensureEdgeModules(ctx, rec.Identity)
}

// CreateDevices is CreateWithTwin for many devices, each for itself, in as few
// writes of the store as it can. It returns the errors by place.
func (r *Registry) CreateDevices(ctx context.Context, list []Creation) []error {
	errs := make([]error, len(list))
	var (
		records []store.Record
		places  []int
	)
	done, full := r.reserve(ctx, len(list))
	if full == nil {
		defer done()
	}
	for i, c := range list {
		if full != nil {
			// There may be room for some of them.
			_, errs[i] = r.CreateWithTwin(ctx, c)
			continue
		}
		rec, err := r.newRecord(ctx, c)
		if err != nil {
			errs[i] = err
			continue
		}
		records, places = append(records, rec), append(places, i)
	}
	if len(records) == 0 {
		return errs
	}
	var modules []store.Record
	for n, err := range r.records.PutMany(ctx, records) {
		i := places[n]
		if errs[i] = creationError(list[i].ID, err); err == nil && records[n].Identity.Capabilities.IoTEdge {
			modules = append(modules, r.edgeModules(list[i].ID)...)
		}
	}
	for n, err := range r.records.PutMany(ctx, modules) {
		if err != nil && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrNotFound) {
			r.log.Error("a module of an edge device could not be made", "device", modules[n].Identity.ID, "err", err)
		}
	}
	return errs
}

// newRecord checks a creation and makes what is to be stored.
func (r *Registry) newRecord(ctx context.Context, c Creation) (store.Record, error) {
	if err := checkRequest(c.ID, c.Request); err != nil {
		return store.Record{}, err
	}
	identity := iothub.Identity{ID: c.ID, GenerationID: r.nextGeneration(), ETag: newETag(), Status: iothub.StatusEnabled}
	if err := r.apply(&identity, c.Request, identity.GenerationID); err != nil {
		return store.Record{}, err
	}
	identity.StatusUpdatedTime = time.Time{}
	if !c.AnyParent {
		if err := r.checkParent(ctx, nil, identity.ParentScopes); err != nil {
			return store.Record{}, err
		}
	}
	rec := store.Record{Identity: identity, Twin: iothub.NewTwin(r.now())}
	if c.Twin.Tags != nil || c.Twin.Desired != nil {
		var err error
		if rec.Twin, err = rec.Twin.Patch(c.Twin, r.now()); err != nil {
			return store.Record{}, err
		}
	}
	rec.Twin.ModelID = c.ModelID
	if len(c.Reported) > 0 {
		var err error
		if rec.Twin, err = rec.Twin.Report(c.Reported, r.now()); err != nil {
			return store.Record{}, err
		}
	}
	return rec, nil
}

// creationError turns the store's refusal into the hub's.
func creationError(id iothub.ID, err error) error {
	switch {
	case errors.Is(err, store.ErrExists) && id.IsModule():
		return iothub.NewError(iothub.CodeModuleAlreadyExistsOnDevice,
			"A module with ID %q is already registered on device %q.", id.ModuleID, id.DeviceID)
	case errors.Is(err, store.ErrExists):
		return iothub.NewError(iothub.CodeDeviceAlreadyExists, "A device with ID %q is already registered.", id.DeviceID)
	case errors.Is(err, store.ErrNotFound):
		return notFound(id.Device())
	}
	return err
}

// reserve makes room for n new identities until done is called, after they were
// written, or returns TooManyDevices.
func (r *Registry) reserve(ctx context.Context, n int) (done func(), err error) {
	reserved := r.creating.Add(int64(n))
	done = func() { r.creating.Add(int64(-n)) }
	counts, err := r.records.Count(ctx)
	if err == nil && int64(counts.Devices+counts.Modules)+reserved > int64(r.maxIdentities) {
		err = iothub.NewError(iothub.CodeTooManyDevices, "The hub has its %d devices and modules.", r.maxIdentities)
	}
	if err != nil {
		done()
		return nil, err
	}
	return done, nil
}

// lockModules serializes the creation of the modules of a device, which are counted.
func (r *Registry) lockModules(deviceID string) (unlock func()) {
	m := &r.modules[maphash.String(r.seed, deviceID)%uint64(len(r.modules))]
	m.Lock()
	return m.Unlock
}

// checkModuleRoom checks the device of a new module.
func (r *Registry) checkModuleRoom(ctx context.Context, c Creation) error {
	if !c.OfDisabled {
		if err := r.checkModuleHost(ctx, c.ID); err != nil {
			return err
		}
	}
	modules, err := r.list(ctx, store.ListFilter{Kind: "modules", DeviceID: c.ID.DeviceID}, iothub.MaxListedDevices)
	if err != nil {
		return err
	}
	if len(modules) >= iothub.MaxModules {
		return iothub.NewError(iothub.CodeTooManyModulesOnDevice, "Device %s has %d modules already.", c.ID.DeviceID, len(modules))
	}
	return nil
}
