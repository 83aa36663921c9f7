package registry

import (
	"context"
	"errors"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// notedRecords note in the tables of queries what is written.
type notedRecords struct {
	store.Records
	devices, modules *table
}

func newNotedRecords(records store.Records) *notedRecords {
	return &notedRecords{Records: records, devices: newTable(records, "devices"), modules: newTable(records, "modules")}
}

func (n *notedRecords) table(modules bool) *table {
	if modules {
		return n.modules
	}
	return n.devices
}

// Put notes the record before the write is acknowledged. Once begun it is not
// given up: a write that takes effect after its caller left would be unknown to queries.
func (n *notedRecords) Put(ctx context.Context, r store.Record) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	revision, err := n.Records.Put(context.WithoutCancel(ctx), r)
	r.Revision = revision
	n.note(r, err)
	return revision, err
}

// PutMany is Put for many.
func (n *notedRecords) PutMany(ctx context.Context, records []store.Record) []error {
	if err := ctx.Err(); err != nil {
		errs := make([]error, len(records))
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	errs := n.Records.PutMany(context.WithoutCancel(ctx), records)
	for i, r := range records {
		r.Revision++
		n.note(r, errs[i])
	}
	return errs
}

func (n *notedRecords) note(r store.Record, err error) {
	t := n.table(r.Identity.ID.IsModule())
	switch {
	case err == nil:
		t.note(r.Identity.ID, &r)
	case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound):
	default:
		// The write may have happened.
		t.note(r.Identity.ID, nil)
	}
}

// Delete notes that the record, and with a device its modules, must be looked for.
func (n *notedRecords) Delete(ctx context.Context, id iothub.ID, revision uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := n.Records.Delete(context.WithoutCancel(ctx), id, revision)
	n.table(id.IsModule()).note(id, nil)
	if !id.IsModule() {
		n.modules.noteGone(id.DeviceID)
	}
	return err
}
