package registry

import (
	"context"
	"sync/atomic"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// toldRecords tell of every write.
type toldRecords struct {
	store.Records
	watcher atomic.Pointer[func(context.Context, iothub.ID)]
}

// Watch has f called after each write or deletion of an identity or its twin,
// with the writer's context and before the writer is answered. f must not block;
// the deletion of a device stands for those of its modules. nil ends it.
func (r *Registry) Watch(f func(context.Context, iothub.ID)) {
	if f == nil {
		r.told.watcher.Store(nil)
		return
	}
	r.told.watcher.Store(&f)
}

func (w *toldRecords) tell(ctx context.Context, id iothub.ID, err error) {
	if err == nil {
		if f := w.watcher.Load(); f != nil {
			(*f)(ctx, id)
		}
	}
}

// Put implements store.Records.
func (w *toldRecords) Put(ctx context.Context, r store.Record) (uint64, error) {
	revision, err := w.Records.Put(ctx, r)
	w.tell(ctx, r.Identity.ID, err)
	return revision, err
}

// PutMany implements store.Records.
func (w *toldRecords) PutMany(ctx context.Context, records []store.Record) []error {
	errs := w.Records.PutMany(ctx, records)
	for i := range records {
		w.tell(ctx, records[i].Identity.ID, errs[i])
	}
	return errs
}

// Delete implements store.Records.
func (w *toldRecords) Delete(ctx context.Context, id iothub.ID, revision uint64) error {
	err := w.Records.Delete(ctx, id, revision)
	w.tell(ctx, id, err)
	return err
}
