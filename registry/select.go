package registry

import (
	"context"
	"errors"
	"slices"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/query"
	"github.com/hubnerite/hubnerite/store"
)

// Selection says which identities a query is about.
type Selection struct {
	// Modules selects modules rather than devices.
	Modules bool
	// Where is the condition on the twin, nil for none; its names are those of
	// query.TwinDocument.
	Where *query.Condition
	// Names are further names whose values the caller will ask each row for.
	Names []*query.Path
	// After is the ID of the identity behind which to begin; zero is the beginning.
	After iothub.ID
	// Limit is how many rows the caller will take at most; 0 means all.
	Limit int
	// Live is asked for what is not stored; nil means that nothing is connected.
	Live query.Live
}

// Row is a selected identity. As an environment it knows the names of the
// selection's condition and Names; it is valid until yield returns.
type Row interface {
	query.Environment
	ID() iothub.ID
	// Record returns the record when the selection had to read it whole.
	Record() (identity iothub.Identity, twin iothub.Twin, ok bool)
}

// Select calls yield for each selected identity in the order of IDs, a module
// after those of earlier devices, until yield returns false. It sees every
// write acknowledged before it began. Identities written meanwhile are seen
// before or after the write; none is seen twice. yield may use the registry.
func (r *Registry) Select(ctx context.Context, s Selection, yield func(Row) bool) error {
	equalities := storedEqualities(s.Where)
	if ids, ok := namedDevices(equalities); ok {
		return r.selectNamed(ctx, s, ids, yield)
	}
	if s.Where == nil && len(s.Names) == 0 && s.Limit > 0 {
		return r.scan(ctx, s, store.ListFilter{Kind: kindOf(s)}, yield)
	}
	t := r.noted.table(s.Modules)
	run := &tableRun{t: t, s: &s, equalities: columnEqualities(equalities), yield: yield}
	err := run.do(ctx)
	if errors.Is(err, errTooLarge) {
		return r.scan(ctx, s, store.ListFilter{Kind: kindOf(s)}, yield)
	}
	return err
}

func kindOf(s Selection) string {
	if s.Modules {
		return "modules"
	}
	return "devices"
}

// storedEqualities returns the equalities on names that are stored.
func storedEqualities(where *query.Condition) []query.Equality {
	if where == nil {
		return nil
	}
	return slices.DeleteFunc(where.Equalities(), func(e query.Equality) bool { return query.IsLive(e.Path) })
}

// columnEqualities leaves out those on names that have no column.
func columnEqualities(all []query.Equality) []query.Equality {
	return slices.DeleteFunc(all, func(e query.Equality) bool { return isID(e.Path) })
}

// namedDevices returns the device IDs when the condition names them.
func namedDevices(equalities []query.Equality) (ids []string, ok bool) {
	for _, e := range equalities {
		if e.Path.Root != "deviceId" || !isID(e.Path) {
			continue
		}
		for _, v := range e.Values {
			if text, ok := v.(string); ok && iothub.ValidateDeviceID(text) == nil {
				ids = append(ids, text)
			}
		}
		slices.Sort(ids)
		return slices.Compact(ids), true
	}
	return nil, false
}

// selectNamed reads the records of the named devices, or their modules.
func (r *Registry) selectNamed(ctx context.Context, s Selection, devices []string, yield func(Row) bool) error {
	stopped := false
	for _, device := range devices {
		if stopped || device < s.After.DeviceID {
			continue
		}
		err := r.scan(ctx, s, store.ListFilter{Kind: kindOf(s), DeviceID: device}, func(row Row) bool {
			stopped = !yield(row)
			return !stopped
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// scan reads whole records.
func (r *Registry) scan(ctx context.Context, s Selection, filter store.ListFilter, yield func(Row) bool) error {
	resume := ""
	if s.After != (iothub.ID{}) {
		resume = s.After.String()
	}
	page := scanPage
	if s.Where == nil && s.Limit > 0 {
		page = min(page, s.Limit)
	}
	for {
		records, next, err := r.records.List(ctx, filter, resume, page)
		if err != nil {
			return err
		}
		for i := range records {
			row := recordRow{query.TwinDocument{Identity: &records[i].Identity, Twin: &records[i].Twin, Live: s.Live}}
			if (s.Where == nil || s.Where.Matches(&row)) && !yield(&row) {
				return nil
			}
		}
		if next == "" {
			return nil
		}
		resume = next
	}
}

type recordRow struct{ query.TwinDocument }

// ID returns the identity's ID.
func (r *recordRow) ID() iothub.ID { return r.Identity.ID }

// Record returns the record.
func (r *recordRow) Record() (iothub.Identity, iothub.Twin, bool) {
	return *r.Identity, *r.Twin, true
}

// tableRun is a selection from a table.
type tableRun struct {
	t          *table
	s          *Selection
	equalities []query.Equality
	yield      func(Row) bool
	view       view
	// cells holds copied rows: their values, in the order of the view's paths.
	ids   []iothub.ID
	lives []int64
	cells []query.Value
}

// chunkRows is how many rows are copied under the lock at once.
const chunkRows = 1024

// errTooLarge before anything was yielded, or nil.
func (r *tableRun) do(ctx context.Context) error {
	r.view.paths = r.s.Names
	if r.s.Where != nil {
		r.view.paths = append(slices.Clone(r.s.Names), r.s.Where.Names()...)
	}
	if err := r.t.prepare(ctx, &r.view, r.equalities); err != nil {
		return err
	}
	if done := r.lookUp(); done {
		r.t.mu.RUnlock()
		r.deliver()
		return nil
	}
	after := r.s.After
	for {
		more := r.copyAfter(after)
		r.t.mu.RUnlock()
		if len(r.ids) > 0 {
			after = r.ids[len(r.ids)-1]
		}
		if !r.deliver() || !more {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		r.t.mu.RLock()
		if !r.t.stands(&r.view) {
			r.t.mu.RUnlock()
			// Others needed the room; make the columns again and go on.
			if err := r.t.prepare(ctx, &r.view, nil); err != nil {
				if errors.Is(err, errTooLarge) {
					err = errCrowded()
				}
				return err
			}
		}
	}
}

func errCrowded() error {
	return iothub.NewError(iothub.CodeServerBusy, "Too many different queries run at once; try again.")
}

// lookUp copies the rows that the best equality leads to. It is false when
// reading all rows is as good. The caller holds t.mu.
func (r *tableRun) lookUp() bool {
	best, least := -1, len(r.t.order)/4+1
	for i, e := range r.view.equal {
		if n := e.column.count(e.values); n < least {
			best, least = i, n
		}
	}
	if best < 0 {
		return false
	}
	t, e := r.t, r.view.equal[best]
	found := make([]uint32, 0, least)
	e.column.each(e.values, func(ordinal uint32) {
		if compareIDs(t.ids[ordinal], r.s.After) > 0 {
			found = append(found, ordinal)
		}
	})
	slices.SortFunc(found, func(a, b uint32) int { return compareIDs(t.ids[a], t.ids[b]) })
	r.clear()
	for _, ordinal := range found {
		r.copyRow(ordinal)
	}
	return true
}

func (r *tableRun) clear() { r.ids, r.lives, r.cells = r.ids[:0], r.lives[:0], r.cells[:0] }

// copyAfter copies the next rows behind an ID and reports whether there are more.
func (r *tableRun) copyAfter(after iothub.ID) bool {
	t := r.t
	at, found := t.search(after)
	if found {
		at++
	}
	end := min(at+t.chunk, len(t.order))
	r.clear()
	for _, ordinal := range t.order[at:end] {
		r.copyRow(ordinal)
	}
	return end < len(t.order)
}

func (r *tableRun) copyRow(ordinal uint32) {
	r.ids = append(r.ids, r.t.ids[ordinal])
	r.lives = append(r.lives, r.t.revisions[ordinal].generation)
	for _, c := range r.view.columns {
		var v query.Value
		if c != nil {
			v = c.values[ordinal]
		}
		r.cells = append(r.cells, v)
	}
}

// deliver evaluates the copied rows and yields those that pass; false when the
// caller has enough.
func (r *tableRun) deliver() bool {
	row := &tableRow{run: r}
	for i := range r.ids {
		row.at = i
		if (r.s.Where == nil || r.s.Where.Matches(row)) && !r.yield(row) {
			return false
		}
	}
	return true
}

type tableRow struct {
	run *tableRun
	at  int
}

// ID returns the identity's ID.
func (r *tableRow) ID() iothub.ID { return r.run.ids[r.at] }

// Record returns nothing: the record was not read.
func (r *tableRow) Record() (identity iothub.Identity, twin iothub.Twin, ok bool) {
	return identity, twin, false
}

// Lookup gives the names of the selection their values.
func (r *tableRow) Lookup(p *query.Path) query.Value {
	for i, known := range r.run.view.paths {
		if known != p {
			continue
		}
		if r.run.view.columns[i] != nil {
			return r.run.cells[r.at*len(r.run.view.paths)+i]
		}
		switch id := r.ID(); {
		case !isID(p):
			v, _ := query.LookupLive(p, r.ID(), generationText(r.run.lives[r.at]), r.run.s.Live)
			return v
		case p.Root == "deviceId":
			return id.DeviceID
		case id.IsModule():
			return id.ModuleID
		}
		break
	}
	return query.Undefined{}
}
