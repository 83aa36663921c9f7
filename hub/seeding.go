package hub

import (
	"context"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
)

// What follows is for whoever gives a hub a state that it did not come to by itself, and reads that state: seed files.

// Seeded is an identity with all that its twin begins with.
type Seeded struct {
	ID      iothub.ID
	Request iothub.IdentityRequest
	// Twin may have nil parts.
	Twin     iothub.TwinPatch
	Reported map[string]any
	ModelID  string
}

// CreateSeeded adds devices and modules, devices in as few writes of the store as it can, and returns the errors by place. A
// module needs its device, which must come before it and may be disabled. Errors are those of CreateIdentity, and ArgumentInvalid for the twin.
func (h *Hub) CreateSeeded(ctx context.Context, list []Seeded) []error {
	errs := make([]error, len(list))
	var (
		devices []registry.Creation
		places  []int
	)
	one := h.wants(opCreate)
	for i, s := range list {
		if s.ID.IsModule() || one {
			continue
		}
		devices, places = append(devices, s.creation()), append(places, i)
	}
	if len(devices) > 0 {
		for n, err := range h.o.Registry.CreateDevices(ctx, devices) {
			errs[places[n]] = err
		}
	}
	for i, s := range list {
		if s.ID.IsModule() || one {
			_, errs[i] = h.create(ctx, s.creation())
		}
	}
	return errs
}

func (s *Seeded) creation() registry.Creation {
	return registry.Creation{ID: s.ID, Request: s.Request, Twin: s.Twin, Reported: s.Reported, ModelID: s.ModelID, OfDisabled: true}
}

// ReplaceSeeded is ReplaceIdentity for modules of disabled devices, too.
func (h *Hub) ReplaceSeeded(ctx context.Context, id iothub.ID, req iothub.IdentityRequest) error {
	_, err := h.replace(ctx, registry.Replacement{ID: id, Request: req})
	return err
}

// ListTwins returns up to limit identities with their twins, a device before its modules, without their live state. resume is the
// next value of the page before, "" for the first; next is "" after the last page.
func (h *Hub) ListTwins(ctx context.Context, resume string, limit int) (page []Twin, next string, err error) {
	records, next, err := h.o.Registry.Export(ctx, resume, limit)
	page = make([]Twin, len(records))
	for i, r := range records {
		page[i] = Twin{Identity: r.Identity, Twin: r.Twin}
	}
	return page, next, err
}

// Report merges a patch into the reported properties as Connection.Report does, in the name of a device that need not be connected.
// Errors: DeviceNotFound, ArgumentInvalid.
func (h *Hub) Report(ctx context.Context, id iothub.ID, patch map[string]any) error {
	p := h.acquire(id)
	defer h.release(p)
	p.twin.Lock()
	twin, err := h.o.Registry.Report(ctx, id, patch, nil)
	if err != nil {
		p.twin.Unlock()
		return err
	}
	stored := h.tell(opUpdateTwin, id, h.noteTwin(EventReported, p, func() ([]byte, error) {
		return iothub.MarshalTwinUpdate(twin, nil, nil, patch)
	}))
	p.twin.Unlock()
	stored()
	return nil
}

// SetModelID sets the digital twin model of a device, as if it had announced it.
func (h *Hub) SetModelID(ctx context.Context, id iothub.ID, modelID string) error {
	return h.o.Registry.SetModelID(ctx, id, modelID)
}

// CreateWithTwin adds one device or module with what its twin begins with, and tells of it as CreateIdentity does.
func (h *Hub) CreateWithTwin(ctx context.Context, s Seeded) (Identity, error) {
	return h.create(ctx, s.creation())
}
