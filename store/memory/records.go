package memory

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// data is what records and queues share: a deletion concerns both.
type data struct {
	mu      sync.RWMutex
	closed  bool
	records map[iothub.ID]store.Record
	// ids holds the keys of records in listing order.
	ids    []iothub.ID
	counts store.Counts
	queues map[string]*queue
	// documents are the collections, each by key.
	documents map[string]map[string]store.Document
	async     runner
}

func newData() *data {
	return &data{
		records: map[iothub.ID]store.Record{}, queues: map[string]*queue{},
		documents: map[string]map[string]store.Document{},
	}
}

func (d *data) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
}

// check returns what forbids an operation: the end of ctx or of the store.
func (d *data) checkLocked(ctx context.Context) error {
	if d.closed {
		return store.ErrClosed
	}
	return ctx.Err()
}

type records data

// Get returns the record of id.
func (r *records) Get(ctx context.Context, id iothub.ID) (store.Record, error) {
	d := (*data)(r)
	d.mu.RLock()
	defer d.mu.RUnlock()
	if err := d.checkLocked(ctx); err != nil {
		return store.Record{}, err
	}
	rec, ok := d.records[id]
	if !ok {
		return store.Record{}, store.ErrNotFound
	}
	return rec, nil
}

// Put writes the record under its revision.
func (r *records) Put(ctx context.Context, rec store.Record) (uint64, error) {
	d := (*data)(r)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.checkLocked(ctx); err != nil {
		return 0, err
	}
	return d.putLocked(rec)
}

// PutMany writes the records one after the other.
func (r *records) PutMany(ctx context.Context, recs []store.Record) []error {
	d := (*data)(r)
	d.mu.Lock()
	defer d.mu.Unlock()
	errs := make([]error, len(recs))
	for i, rec := range recs {
		if errs[i] = d.checkLocked(ctx); errs[i] == nil {
			_, errs[i] = d.putLocked(rec)
		}
	}
	return errs
}

func (d *data) putLocked(rec store.Record) (uint64, error) {
	id := rec.Identity.ID
	old, exists := d.records[id]
	switch {
	case rec.Revision == 0 && exists:
		return 0, store.ErrExists
	case rec.Revision != 0 && !exists:
		return 0, store.ErrNotFound
	case rec.Revision != old.Revision:
		return 0, store.ErrConflict
	}
	if !exists {
		if _, ok := d.records[id.Device()]; id.IsModule() && !ok {
			return 0, store.ErrNotFound
		}
		at, _ := slices.BinarySearchFunc(d.ids, id, compare)
		d.ids = slices.Insert(d.ids, at, id)
	} else {
		count(&d.counts, old, -1)
	}
	rec.Revision++
	rec.MQTTSession = maps.Clone(rec.MQTTSession)
	d.records[id] = rec
	count(&d.counts, rec, 1)
	return rec.Revision, nil
}

// Delete removes the record with its queue and, for a device, its modules.
func (r *records) Delete(ctx context.Context, id iothub.ID, revision uint64) error {
	d := (*data)(r)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.checkLocked(ctx); err != nil {
		return err
	}
	old, ok := d.records[id]
	switch {
	case !ok:
		return store.ErrNotFound
	case revision != 0 && revision != old.Revision:
		return store.ErrConflict
	}
	from, _ := slices.BinarySearchFunc(d.ids, id, compare)
	to := from + 1
	for !id.IsModule() && to < len(d.ids) && d.ids[to].DeviceID == id.DeviceID {
		to++
	}
	for _, gone := range d.ids[from:to] {
		count(&d.counts, d.records[gone], -1)
		delete(d.records, gone)
		delete(d.queues, store.QueueName(gone))
	}
	d.ids = slices.Delete(d.ids, from, to)
	return nil
}

// List returns a page of records. The resume key is the last ID of a page.
func (r *records) List(ctx context.Context, filter store.ListFilter, resume string, limit int) ([]store.Record, string, error) {
	d := (*data)(r)
	d.mu.RLock()
	defer d.mu.RUnlock()
	if err := d.checkLocked(ctx); err != nil {
		return nil, "", err
	}
	start := iothub.ID{DeviceID: filter.DeviceID}
	at, _ := slices.BinarySearchFunc(d.ids, start, compare)
	if resume != "" {
		device, module, _ := strings.Cut(resume, "/")
		after, found := slices.BinarySearchFunc(d.ids, iothub.ID{DeviceID: device, ModuleID: module}, compare)
		if found {
			after++
		}
		at = max(at, after)
	}
	var page []store.Record
	for _, id := range d.ids[at:] {
		if filter.DeviceID != "" && id.DeviceID != filter.DeviceID {
			break
		}
		if filter.Kind == "devices" && id.IsModule() || filter.Kind == "modules" && !id.IsModule() {
			continue
		}
		if len(page) == max(limit, 1) {
			return page, page[len(page)-1].Identity.ID.String(), nil
		}
		page = append(page, d.records[id])
	}
	return page, "", nil
}

// Count returns the numbers of identities.
func (r *records) Count(ctx context.Context) (store.Counts, error) {
	d := (*data)(r)
	d.mu.RLock()
	defer d.mu.RUnlock()
	if err := d.checkLocked(ctx); err != nil {
		return store.Counts{}, err
	}
	return d.counts, nil
}

func compare(a, b iothub.ID) int {
	if c := strings.Compare(a.DeviceID, b.DeviceID); c != 0 {
		return c
	}
	return strings.Compare(a.ModuleID, b.ModuleID)
}

func count(c *store.Counts, r store.Record, by int) {
	switch {
	case r.Identity.ID.IsModule():
		c.Modules += by
	case r.Identity.Status == iothub.StatusDisabled:
		c.Devices += by
		c.DisabledDevices += by
	default:
		c.Devices += by
	}
}
