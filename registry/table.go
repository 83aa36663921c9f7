package registry

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/query"
	"github.com/hubnerite/hubnerite/store"
)

const (
	// maxPending is how many writes wait for the next query; the writer that
	// brings one more enters them.
	maxPending = 8192
	// maxColumnBytes bounds the columns of a table, as estimated: those used least
	// recently go. A query that alone needs more reads the records instead.
	maxColumnBytes = 256 << 20
)

// table keeps, for devices or for modules, who exists and the values that
// queries compared: a column per name, made when a query first needs it. It is
// empty and costs nothing until there is a query.
//
// Writes are noted after they are stored and before they are acknowledged; a
// query enters what was noted first, so that it sees all that was acknowledged
// before it began. What the table says is kept in step with the store by
// generation and revision: an older write that is noted late is passed over, and when
// generations differ the store is asked.
type table struct {
	records store.Records
	kind    string // of store.ListFilter
	limit   int64  // of columns, in bytes
	chunk   int    // rows that a query copies at once

	// active is set before the first reading of the store: a writer that finds it
	// unset has stored its record before that, so the reading sees it.
	active atomic.Bool

	pendingMu sync.Mutex
	pending   map[iothub.ID]*store.Record // nil: ask the store
	// gone are devices that were deleted, for the table of modules.
	gone map[string]struct{}

	// mu guards the rest. Conditions are evaluated and callers of Select called
	// without it, on copies; the store is read under it.
	mu    sync.RWMutex
	built bool
	// Rows by ordinal. A free ordinal has the zero ID.
	ids       []iothub.ID
	revisions []rowRevision
	free      []uint32
	// order holds the ordinals in the order of IDs.
	order   []uint32
	columns map[string]*column
	clock   uint64
}

type rowRevision struct {
	generation int64
	revision   uint64
}

// generationNumber returns a generation ID as a number; they are digits.
func generationNumber(id string) int64 {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		hash := fnv.New64a()
		_, _ = hash.Write([]byte(id)) // never fails
		return -int64(hash.Sum64() >> 1)
	}
	return n
}

func newTable(records store.Records, kind string) *table {
	return &table{
		records: records, kind: kind, limit: maxColumnBytes, chunk: chunkRows, columns: map[string]*column{},
		pending: map[iothub.ID]*store.Record{}, gone: map[string]struct{}{},
	}
}

// note remembers a write. rec is what was written, nil when the store must be asked.
func (t *table) note(id iothub.ID, rec *store.Record) {
	if !t.active.Load() {
		return
	}
	t.pendingMu.Lock()
	before, again := t.pending[id]
	switch {
	case again && (before == nil || rec != nil && before.Identity.GenerationID != rec.Identity.GenerationID):
		// Which of two lives of an ID is the present one, only the store can say.
		t.pending[id] = nil
	case !again || rec == nil || before.Revision < rec.Revision:
		t.pending[id] = rec
	}
	if len(t.pending) > 4*maxPending {
		// Nobody asks: keep the IDs alone.
		t.pending[id] = nil
	}
	full := len(t.pending) >= maxPending
	t.pendingMu.Unlock()
	// Who has the lock may take seconds, to read the store, and enters what is
	// pending at the end.
	if full && t.mu.TryLock() {
		defer t.mu.Unlock()
		// An error drops the rows, which is all there is to do about it here.
		_ = t.enterLocked()
	}
}

// noteGone remembers that a device was deleted with its modules.
func (t *table) noteGone(deviceID string) {
	if !t.active.Load() {
		return
	}
	t.pendingMu.Lock()
	defer t.pendingMu.Unlock()
	t.gone[deviceID] = struct{}{}
}

// dropLocked forgets everything: the next query begins anew.
func (t *table) dropLocked() {
	t.built = false
	t.ids, t.revisions, t.free, t.order, t.columns = nil, nil, nil, nil, map[string]*column{}
}

// change is a noted write with the row that it concerns.
type change struct {
	id      iothub.ID
	rec     *store.Record
	ordinal uint32
	known   bool
}

// enterLocked takes what was noted over into the rows. After an error the
// table is empty.
func (t *table) enterLocked() error {
	t.pendingMu.Lock()
	pending, gone := t.pending, t.gone
	if len(pending)+len(gone) == 0 {
		t.pendingMu.Unlock()
		return nil
	}
	t.pending, t.gone = map[iothub.ID]*store.Record{}, map[string]struct{}{}
	t.pendingMu.Unlock()
	if !t.built {
		// The reading that makes the rows comes after these writes.
		return nil
	}
	for id := range pending {
		if _, ok := gone[id.DeviceID]; ok {
			pending[id] = nil
		}
	}
	for device := range gone {
		at, _ := t.search(iothub.ID{DeviceID: device})
		for ; at < len(t.order) && t.ids[t.order[at]].DeviceID == device; at++ {
			pending[t.ids[t.order[at]]] = nil
		}
	}
	// All rows are looked for before any is changed.
	changes := make([]change, 0, len(pending))
	for id, rec := range pending {
		c := change{id: id, rec: rec}
		c.ordinal, c.known = t.find(id)
		changes = append(changes, c)
	}
	if err := t.applyLocked(changes); err != nil {
		t.dropLocked()
		return err
	}
	return nil
}

func (t *table) applyLocked(changes []change) error {
	var added, removed []uint32
	for _, c := range changes {
		if !c.known {
			// A late note of one that was deleted again looks the same as a new one.
			c.rec = nil
		}
		if c.rec != nil {
			row := t.revisions[c.ordinal]
			switch {
			case row.generation != generationNumber(c.rec.Identity.GenerationID):
				c.rec = nil
			case row.revision >= c.rec.Revision:
				continue
			}
		}
		if c.rec == nil {
			found, err := t.records.Get(context.Background(), c.id)
			switch {
			case errors.Is(err, store.ErrNotFound):
				if c.known {
					removed = append(removed, c.ordinal)
				}
				continue
			case err != nil:
				return err
			}
			c.rec = &found
		}
		if !c.known {
			c.ordinal = t.addRow(c.id)
			added = append(added, c.ordinal)
		}
		t.setRow(c.ordinal, c.rec)
	}
	t.removeRows(removed)
	t.mergeRows(added)
	return nil
}

// search returns the place of an ID in order, or the one where it would be.
func (t *table) search(id iothub.ID) (int, bool) {
	return slices.BinarySearchFunc(t.order, id, func(ordinal uint32, id iothub.ID) int { return compareIDs(t.ids[ordinal], id) })
}

func (t *table) find(id iothub.ID) (uint32, bool) {
	at, found := t.search(id)
	if !found {
		return 0, false
	}
	return t.order[at], true
}

func compareIDs(a, b iothub.ID) int {
	return cmp.Or(strings.Compare(a.DeviceID, b.DeviceID), strings.Compare(a.ModuleID, b.ModuleID))
}

// addRow makes room for an ID; reorder puts it into order.
func (t *table) addRow(id iothub.ID) uint32 {
	if n := len(t.free); n > 0 {
		ordinal := t.free[n-1]
		t.free = t.free[:n-1]
		t.ids[ordinal] = id
		return ordinal
	}
	t.ids = append(t.ids, id)
	t.revisions = append(t.revisions, rowRevision{})
	for _, c := range t.columns {
		c.grow(len(t.ids))
	}
	return uint32(len(t.ids) - 1) //nolint:gosec // a hub has far fewer identities than 2^32
}

func (t *table) setRow(ordinal uint32, rec *store.Record) {
	t.revisions[ordinal] = rowRevision{generationNumber(rec.Identity.GenerationID), rec.Revision}
	doc := query.TwinDocument{Identity: &rec.Identity, Twin: &rec.Twin}
	for _, c := range t.columns {
		c.set(ordinal, doc.Stored(c.path))
	}
}

func (t *table) removeRows(removed []uint32) {
	if len(removed) == 0 {
		return
	}
	for _, ordinal := range removed {
		for _, c := range t.columns {
			c.set(ordinal, query.Undefined{})
		}
		t.ids[ordinal], t.revisions[ordinal] = iothub.ID{}, rowRevision{}
	}
	t.order = slices.DeleteFunc(t.order, func(ordinal uint32) bool { return t.ids[ordinal] == iothub.ID{} })
	t.free = append(t.free, removed...)
}

// mergeRows puts added rows into order.
func (t *table) mergeRows(added []uint32) {
	if len(added) == 0 {
		return
	}
	slices.SortFunc(added, func(a, b uint32) int { return compareIDs(t.ids[a], t.ids[b]) })
	merged := make([]uint32, 0, max(len(t.order)+len(added), cap(t.order)))
	rest := t.order
	for _, ordinal := range added {
		at, _ := slices.BinarySearchFunc(rest, t.ids[ordinal], func(o uint32, id iothub.ID) int { return compareIDs(t.ids[o], id) })
		merged = append(append(merged, rest[:at]...), ordinal)
		rest = rest[at:]
	}
	t.order = append(merged, rest...)
}
