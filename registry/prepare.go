package registry

import (
	"context"
	"errors"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/query"
	"github.com/hubnerite/hubnerite/store"
)

// errTooLarge: the columns of one query exceed the table's limit.
var errTooLarge = errors.New("registry: the columns do not fit")

// view is what a query reads of a table.
type view struct {
	paths []*query.Path
	// columns are those of the paths, nil for names that are not stored or part of the ID.
	columns []*column
	// equal are the columns to look values up in, with the values.
	equal []equality
}

type equality struct {
	column *column
	values []query.Value
}

// prepare brings the table in step with the store and makes the columns that v
// lacks. It returns with t.mu read-locked unless it fails.
func (t *table) prepare(ctx context.Context, v *view, equalities []query.Equality) error {
	t.mu.RLock()
	if t.ready(v, equalities) {
		return nil
	}
	t.mu.RUnlock()
	t.mu.Lock()
	err := t.prepareLocked(ctx, v, equalities)
	t.mu.Unlock()
	if err != nil {
		return err
	}
	t.mu.RLock()
	if t.stands(v) {
		return nil
	}
	t.mu.RUnlock()
	return errTooLarge
}

// ready reports whether everything that was acknowledged is in the rows and
// nothing is missing, and fills v in then.
func (t *table) ready(v *view, equalities []query.Equality) bool {
	t.pendingMu.Lock()
	waiting := len(t.pending) + len(t.gone)
	t.pendingMu.Unlock()
	return t.built && waiting == 0 && t.fill(v, equalities) == nil
}

// fill finds the columns of v and returns the names that have none.
func (t *table) fill(v *view, equalities []query.Equality) (missing []*query.Path) {
	v.columns, v.equal = make([]*column, len(v.paths)), nil
	for i, p := range v.paths {
		if query.IsLive(p) || isID(p) {
			continue
		}
		if v.columns[i] = t.columns[p.String()]; v.columns[i] == nil {
			missing = append(missing, p)
		}
	}
	for _, e := range equalities {
		c := t.columns[e.Path.String()]
		if c == nil || c.heads == nil {
			missing = append(missing, e.Path)
			continue
		}
		v.equal = append(v.equal, equality{c, e.Values})
	}
	return missing
}

// isID reports whether a name is a part of the ID, which every row has.
func isID(p *query.Path) bool {
	return len(p.Steps) == 0 && (p.Root == "deviceId" || p.Root == "moduleId")
}

// stands reports whether the columns of v are still kept in step.
func (t *table) stands(v *view) bool {
	if !t.built {
		return false
	}
	for _, c := range v.columns {
		if c != nil && t.columns[c.path.String()] != c {
			return false
		}
	}
	return true
}

func (t *table) prepareLocked(ctx context.Context, v *view, equalities []query.Equality) error {
	t.active.Store(true)
	if err := t.enterLocked(); err != nil {
		return err
	}
	fresh := map[string]*column{}
	for _, p := range t.fill(v, nil) {
		fresh[p.String()] = newColumn(p, len(t.ids))
	}
	if !t.built || len(fresh) > 0 {
		if err := t.read(ctx, fresh); err != nil {
			return err
		}
	}
	for _, e := range equalities {
		t.columns[e.Path.String()].index()
	}
	t.clock++
	t.fill(v, equalities)
	for _, c := range v.columns {
		if c != nil {
			c.used = t.clock
		}
	}
	if !t.shrink() {
		return errTooLarge
	}
	return nil
}

// shrink drops the columns used longest ago until the rest fits. It reports
// false when those of the present query alone do not: then they are dropped.
func (t *table) shrink() bool {
	for {
		var total int64
		oldest := ""
		for name, c := range t.columns {
			total += c.bytes()
			if oldest == "" || c.used < t.columns[oldest].used {
				oldest = name
			}
		}
		if total <= t.limit {
			return true
		}
		current := t.columns[oldest].used == t.clock
		delete(t.columns, oldest)
		if current {
			return false
		}
	}
}

// read fills fresh columns from the store, and the rows when there are none
// yet. What differs from the rows meanwhile is asked for once more afterwards.
func (t *table) read(ctx context.Context, fresh map[string]*column) error {
	first := !t.built
	var columns []*column
	var paths []*query.Path
	for _, c := range fresh {
		columns, paths = append(columns, c), append(paths, c.path)
	}
	var size int64
	at := 0
	var differ []iothub.ID
	err := t.scan(ctx, paths, func(id iothub.ID, row rowRevision, values []query.Value) error {
		var ordinal uint32
		if first {
			ordinal = t.addRow(id)
			t.order = append(t.order, ordinal)
			t.revisions[ordinal] = row
			for _, c := range columns {
				c.grow(len(t.ids))
			}
		} else {
			for at < len(t.order) && compareIDs(t.ids[t.order[at]], id) < 0 {
				differ = append(differ, t.ids[t.order[at]])
				at++
			}
			if at == len(t.order) || t.ids[t.order[at]] != id {
				differ = append(differ, id)
				return nil
			}
			ordinal = t.order[at]
			if at++; t.revisions[ordinal] != row {
				differ = append(differ, id)
				return nil
			}
		}
		for i, c := range columns {
			size -= c.size
			c.set(ordinal, values[i])
			size += c.size
		}
		if size+int64(len(columns)*len(t.ids)*rowBytes) > t.limit {
			return errTooLarge
		}
		return nil
	})
	if err != nil {
		if first {
			t.dropLocked()
		}
		return err
	}
	if !first {
		for ; at < len(t.order); at++ {
			differ = append(differ, t.ids[t.order[at]])
		}
	}
	t.built = true
	for name, c := range fresh {
		t.columns[name] = c
	}
	t.pendingMu.Lock()
	for _, id := range differ {
		t.pending[id] = nil
	}
	t.pendingMu.Unlock()
	return t.enterLocked()
}

// scanPage is how many records are read at once.
const scanPage = 1000

// scan reads the values at paths of all records, in the order of IDs.
func (t *table) scan(ctx context.Context, paths []*query.Path, yield func(iothub.ID, rowRevision, []query.Value) error) error {
	if p, ok := t.records.(store.Projector); ok {
		if fields, ok := fieldsOf(paths); ok {
			return t.project(ctx, p, fields, yield)
		}
	}
	values := make([]query.Value, len(paths))
	resume := ""
	for {
		records, next, err := t.records.List(ctx, store.ListFilter{Kind: t.kind}, resume, scanPage)
		if err != nil {
			return err
		}
		for i := range records {
			rec := &records[i]
			doc := query.TwinDocument{Identity: &rec.Identity, Twin: &rec.Twin}
			for i, p := range paths {
				values[i] = doc.Stored(p)
			}
			err := yield(rec.Identity.ID, rowRevision{generationNumber(rec.Identity.GenerationID), rec.Revision}, values)
			if err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		resume = next
	}
}
