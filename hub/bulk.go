package hub

import (
	"context"
	"hash/maphash"
	"sync"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
)

// bulkWorkers is how many entries of a bulk operation are written at once, so that
// the store can commit them together.
const bulkWorkers = 32

// BulkOptions vary a bulk operation.
type BulkOptions struct {
	// AnyParent takes parents that do not exist (yet).
	AnyParent bool
	// NeedStatus refuses devices without a status.
	NeedStatus bool
}

// Bulk creates, updates and deletes identities and writes twins, as the import
// mode of each entry says: each for itself, those of one device in their order. It returns the
// errors by place. What an entry does to connections and events is what the
// single operations do.
// Source: IoT Hub service API, Bulk Registry - Update Registry; IoT Hub, import
// and export device identities in bulk.
func (h *Hub) Bulk(ctx context.Context, entries []iothub.ExportImportDevice, o BulkOptions) []error {
	errs := make([]error, len(entries))
	tasks := make([]bulkTask, 0, len(entries))
	for i := range entries {
		t, err := newBulkTask(&entries[i], o)
		if t.place = i; err != nil {
			errs[i] = err
			continue
		}
		tasks = append(tasks, t)
	}
	tasks = h.bulkCreate(ctx, tasks, errs)
	// One worker has all entries of a device.
	var (
		group sync.WaitGroup
		seed  = maphash.MakeSeed()
		lanes = make([][]bulkTask, min(bulkWorkers, len(tasks)))
	)
	for _, t := range tasks {
		n := maphash.String(seed, t.id.DeviceID) % uint64(len(lanes))
		lanes[n] = append(lanes[n], t)
	}
	for _, lane := range lanes {
		group.Go(func() {
			for _, t := range lane {
				errs[t.place] = h.bulkOne(ctx, t)
			}
		})
	}
	group.Wait()
	return errs
}

// bulkTask is an entry that could be read.
type bulkTask struct {
	place   int
	id      iothub.ID
	mode    iothub.ImportMode
	request iothub.IdentityRequest
	twin    iothub.TwinPatch
	// etag and twinETag are what to compare with, "" for anything.
	etag, twinETag string
	anyParent      bool
}

func newBulkTask(e *iothub.ExportImportDevice, o BulkOptions) (bulkTask, error) {
	t := bulkTask{id: e.Identity(), request: e.Request(), anyParent: o.AnyParent, twinETag: e.TwinETag}
	if err := iothub.ValidateDeviceID(t.id.DeviceID); err != nil {
		return t, err
	}
	if t.id.IsModule() {
		if err := iothub.ValidateModuleID(t.id.ModuleID); err != nil {
			return t, err
		}
	}
	var err error
	if t.mode, err = iothub.ParseImportMode(e.ImportMode); err != nil {
		return t, err
	}
	if t.twin, err = e.TwinPatch(); err != nil {
		return t, err
	}
	switch t.mode {
	case iothub.ImportUpdateIfMatchETag, iothub.ImportCreateOrUpdateIfMatchETag, iothub.ImportDeleteIfMatchETag:
		if t.etag = e.ETag; t.etag == "" {
			return t, iothub.NewError(iothub.CodePreconditionFailed, "Etag missing: importMode %s needs an eTag.", t.mode)
		}
	case iothub.ImportUpdateTwin:
		t.twinETag = ""
	case iothub.ImportUpdateTwinIfMatchETag:
		if t.twinETag == "" {
			return t, iothub.NewError(iothub.CodePreconditionFailed, "Etag missing: importMode %s needs a twinETag.", t.mode)
		}
	}
	if o.NeedStatus && e.Status == "" && !t.id.IsModule() && t.writesIdentity() {
		return t, iothub.NewError(iothub.CodeArgumentNull, "The status of the device is missing.")
	}
	return t, nil
}

func (t *bulkTask) creates() bool {
	return t.mode == iothub.ImportCreate || t.mode == iothub.ImportCreateOrUpdate || t.mode == iothub.ImportCreateOrUpdateIfMatchETag
}

func (t *bulkTask) writesIdentity() bool {
	return t.creates() || t.mode == iothub.ImportUpdate || t.mode == iothub.ImportUpdateIfMatchETag
}

func (t *bulkTask) creation() registry.Creation {
	return registry.Creation{ID: t.id, Request: t.request, Twin: t.twin, AnyParent: t.anyParent}
}

// bulkCreate makes in one write the devices that it can, which are most of them,
// and returns the rest: other modes, modules, what exists already. Devices that come twice, and
// those whose creation has an event, are not for it.
func (h *Hub) bulkCreate(ctx context.Context, tasks []bulkTask, errs []error) (rest []bulkTask) {
	if h.wants(opCreate) {
		return tasks
	}
	seen := make(map[string]bool, len(tasks))
	var (
		now  []bulkTask
		list []registry.Creation
	)
	for _, t := range tasks {
		// A child may come with its parent.
		alone := t.request.DeviceScope == "" && len(t.request.ParentScopes) == 0 || t.anyParent
		if t.creates() && !t.id.IsModule() && alone && !seen[t.id.DeviceID] {
			now, list = append(now, t), append(list, t.creation())
		} else {
			rest = append(rest, t)
		}
		seen[t.id.DeviceID] = true
	}
	if len(list) == 0 {
		return rest
	}
	var existing []bulkTask
	for n, err := range h.o.Registry.CreateDevices(ctx, list) {
		if t := now[n]; t.mode != iothub.ImportCreate && alreadyExists(err) {
			existing = append(existing, t)
		} else {
			errs[t.place] = err
		}
	}
	// Before the rest, for their devices' order.
	return append(existing, rest...)
}

func alreadyExists(err error) bool {
	code := iothub.ErrorCode(err)
	return code == iothub.CodeDeviceAlreadyExists || code == iothub.CodeModuleAlreadyExistsOnDevice
}

func (h *Hub) bulkOne(ctx context.Context, t bulkTask) error {
	// Modules of the system come and go with their device; their twins are anyone's.
	if t.id.IsModule() && t.id.ModuleID[0] == '$' && t.writesIdentity() {
		t.mode = iothub.ImportUpdateTwin
	}
	switch t.mode {
	case iothub.ImportDelete:
		return h.DeleteIdentity(ctx, t.id, "*")
	case iothub.ImportDeleteIfMatchETag:
		return h.DeleteIdentity(ctx, t.id, t.etag)
	case iothub.ImportUpdateTwin, iothub.ImportUpdateTwinIfMatchETag:
		_, err := h.PatchTwin(ctx, t.id, t.twin, t.twinETag)
		return err
	case iothub.ImportUpdate, iothub.ImportUpdateIfMatchETag:
		return h.bulkReplace(ctx, t)
	case iothub.ImportCreate:
		return h.createWithTwin(ctx, t.creation())
	}
	for {
		err := h.createWithTwin(ctx, t.creation())
		if !alreadyExists(err) {
			return err
		}
		err = h.bulkReplace(ctx, t)
		if iothub.ErrorCode(err).HTTPStatus() != 404 || ctx.Err() != nil {
			return err
		}
		// It was deleted in between.
	}
}

func (h *Hub) createWithTwin(ctx context.Context, c registry.Creation) error {
	_, err := h.create(ctx, c)
	return err
}

func (h *Hub) bulkReplace(ctx context.Context, t bulkTask) error {
	_, err := h.replace(ctx, registry.Replacement{
		ID: t.id, Request: t.request, IfMatch: t.etag, Twin: t.twin, TwinIfMatch: t.twinETag, AnyParent: t.anyParent,
	})
	return err
}
