package registry

import (
	"context"
	"maps"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// Twin returns an identity and its twin. A missing module is DeviceNotFound
// here, as the service answers.
func (r *Registry) Twin(ctx context.Context, id iothub.ID) (iothub.Identity, iothub.Twin, error) {
	rec, err := r.get(ctx, id)
	if err != nil {
		return iothub.Identity{}, iothub.Twin{}, twinError(id, err)
	}
	return rec.Identity, rec.Twin, nil
}

// PatchTwin merges a back end's patch. ifMatch may be empty. It returns the
// identity and the twin after the write. Errors: DeviceNotFound,
// PreconditionFailed, ArgumentInvalid.
func (r *Registry) PatchTwin(ctx context.Context, id iothub.ID, p iothub.TwinPatch, ifMatch string) (iothub.Identity, iothub.Twin, error) {
	return r.writeTwin(ctx, id, ifMatch, func(t iothub.Twin) (iothub.Twin, error) { return t.Patch(p, r.now()) })
}

// ReplaceTwin sets tags and desired properties wholly, under the rules of
// PatchTwin.
func (r *Registry) ReplaceTwin(ctx context.Context, id iothub.ID, p iothub.TwinPatch, ifMatch string) (iothub.Identity, iothub.Twin, error) {
	return r.writeTwin(ctx, id, ifMatch, func(t iothub.Twin) (iothub.Twin, error) { return t.Replace(p, r.now()) })
}

func (r *Registry) writeTwin(ctx context.Context, id iothub.ID, ifMatch string, change func(iothub.Twin) (iothub.Twin, error)) (iothub.Identity, iothub.Twin, error) {
	rec, err := r.update(ctx, id, func(rec *store.Record) error {
		if err := matchETag(ifMatch, rec.Twin.ETagText()); err != nil {
			return err
		}
		var err error
		rec.Twin, err = change(rec.Twin)
		return err
	})
	if err != nil {
		return iothub.Identity{}, iothub.Twin{}, twinError(id, err)
	}
	return rec.Identity, rec.Twin, nil
}

// twinError: twin calls answer DeviceNotFound for a missing module too.
func twinError(id iothub.ID, err error) error {
	if iothub.ErrorCode(err) == iothub.CodeModuleNotFound {
		return iothub.NewError(iothub.CodeDeviceNotFound, "%s is not registered.", id)
	}
	return err
}

// Report merges a device's patch into the reported properties. A non-nil
// ifVersion must equal the current reported version: PreconditionFailed
// otherwise.
func (r *Registry) Report(ctx context.Context, id iothub.ID, patch map[string]any, ifVersion *int64) (iothub.Twin, error) {
	rec, err := r.update(ctx, id, func(rec *store.Record) error {
		if current := rec.Twin.Reported.Version; ifVersion != nil && *ifVersion != current {
			return iothub.NewError(iothub.CodePreconditionFailed,
				"The reported properties have version %d, not %d.", current, *ifVersion)
		}
		var err error
		rec.Twin, err = rec.Twin.Report(patch, r.now())
		return err
	})
	return rec.Twin, err
}

// SetModelID remembers the digital twin model that a device announced; it moves
// no etag.
func (r *Registry) SetModelID(ctx context.Context, id iothub.ID, modelID string) error {
	rec, err := r.get(ctx, id)
	if err != nil || rec.Twin.ModelID == modelID {
		return err
	}
	_, err = r.update(ctx, id, func(rec *store.Record) error {
		rec.Twin.ModelID = modelID
		return nil
	})
	return err
}

// MQTTSession returns the stored subscriptions of id (topic filter to QoS), nil
// when there is no session.
func (r *Registry) MQTTSession(ctx context.Context, id iothub.ID) (map[string]byte, error) {
	rec, err := r.get(ctx, id)
	return maps.Clone(rec.MQTTSession), err
}

// SetMQTTSession stores the subscriptions of id; nil ends the session. No etag
// moves.
func (r *Registry) SetMQTTSession(ctx context.Context, id iothub.ID, subscriptions map[string]byte) error {
	rec, err := r.get(ctx, id)
	if err != nil {
		return err
	}
	if (rec.MQTTSession == nil) == (subscriptions == nil) && maps.Equal(rec.MQTTSession, subscriptions) {
		return nil
	}
	_, err = r.update(ctx, id, func(rec *store.Record) error {
		rec.MQTTSession = maps.Clone(subscriptions)
		return nil
	})
	return err
}
