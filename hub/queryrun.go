package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/query"
	"github.com/hubnerite/hubnerite/registry"
)

// queryRun is the making of one page.
type queryRun struct {
	h    *Hub
	q    *query.Query
	text string
	// size is the most rows to return; last says that no page may follow.
	size int
	left int
	last bool
	at   continuation
}

// page ends the page whose last row has the given key.
func (r *queryRun) page(itemType string, items []json.RawMessage, more bool, key []string) QueryPage {
	p := QueryPage{ItemType: itemType, Items: items}
	if p.Items == nil {
		p.Items = []json.RawMessage{}
	}
	if more && !r.last {
		p.Continuation = encodeContinuation(continuation{Key: key, Given: r.at.Given + len(items)}, r.text)
	}
	return p
}

// twins serves SELECT * and lists of attributes.
func (r *queryRun) twins(ctx context.Context) (QueryPage, error) {
	itemType := ItemTypeRaw
	if r.q.All {
		itemType = ItemTypeTwin
	}
	after := r.at.id()
	var items []json.RawMessage
	for {
		// One more than needed tells whether a page follows.
		limit := r.size - len(items) + 1
		rows, err := r.selectTwins(ctx, after, limit)
		if err != nil {
			return QueryPage{}, err
		}
		for i := range rows {
			if len(items) == r.size {
				return r.page(itemType, items, true, idKey(after)), nil
			}
			item, ok, err := r.twin(ctx, &rows[i])
			if err != nil {
				return QueryPage{}, err
			}
			if ok {
				items = append(items, item)
			}
			after = rows[i].id
		}
		// Rows that were gone when they were read leave room for others.
		if len(rows) < limit {
			return r.page(itemType, items, false, nil), nil
		}
	}
}

// selectedTwin is a twin that a query found.
type selectedTwin struct {
	id       iothub.ID
	identity iothub.Identity
	twin     iothub.Twin
	read     bool
	// row is the whole answer when the selection knows all of it.
	row map[string]any
}

func (r *queryRun) selectTwins(ctx context.Context, after iothub.ID, limit int) ([]selectedTwin, error) {
	names := r.knownNames()
	var rows []selectedTwin
	err := r.h.o.Registry.Select(ctx, registry.Selection{
		Modules: r.q.Collection == query.Modules, Where: r.q.Where, Names: names, After: after, Limit: limit, Live: live{r.h},
	}, func(row registry.Row) bool {
		t := selectedTwin{id: row.ID()}
		if t.identity, t.twin, t.read = row.Record(); !t.read && names != nil {
			t.row = r.row(row)
		}
		rows = append(rows, t)
		return len(rows) < limit
	})
	return rows, err
}

// knownNames returns the names of the list when the selection knows their
// values anyway: IDs, live state, and names of the condition. Of objects it knows too little.
func (r *queryRun) knownNames() []*query.Path {
	known := map[string]bool{"deviceId": true, "moduleId": true}
	if r.q.Where != nil {
		for _, p := range r.q.Where.Names() {
			known[p.String()] = true
		}
	}
	var names []*query.Path
	for _, c := range r.q.Columns {
		if !query.IsLive(c.Path) && !known[c.Path.String()] {
			return nil
		}
		names = append(names, c.Path)
	}
	return names
}

// row returns the values of the list, or nil when one is an object that must be read.
func (r *queryRun) row(env query.Environment) map[string]any {
	row := make(map[string]any, len(r.q.Columns))
	for _, c := range r.q.Columns {
		switch v := env.Lookup(c.Path).(type) {
		case query.Undefined:
		case map[string]any:
			if !query.IsLive(c.Path) {
				return nil
			}
			row[c.Name] = v
		default:
			row[c.Name] = v
		}
	}
	return row
}

// twin returns the row of one twin; ok is false when a write since its
// selection made it another one.
func (r *queryRun) twin(ctx context.Context, t *selectedTwin) (item json.RawMessage, ok bool, err error) {
	if t.row != nil {
		item, err = json.Marshal(t.row)
		return item, err == nil, err
	}
	if !t.read {
		t.identity, t.twin, err = r.h.o.Registry.Twin(ctx, t.id)
		if err != nil {
			if iothub.ErrorCode(err) == iothub.CodeDeviceNotFound {
				return nil, false, nil
			}
			return nil, false, err
		}
	}
	identity, twin := t.identity, t.twin
	doc := &query.TwinDocument{Identity: &identity, Twin: &twin, Live: live{r.h}}
	if !t.read && r.q.Where != nil && !r.q.Where.Matches(doc) {
		return nil, false, nil
	}
	if r.q.All {
		t, err := r.h.withTwin(ctx, identity, twin)
		if err != nil {
			return nil, false, err
		}
		item, err = iothub.MarshalTwin(t.Identity, t.Twin, t.Connection)
		return item, err == nil, err
	}
	row := make(map[string]any, len(r.q.Columns))
	for _, c := range r.q.Columns {
		if v := doc.Lookup(c.Path); defined(v) {
			row[c.Name] = v
		}
	}
	item, err = json.Marshal(row)
	return item, err == nil, err
}

func defined(v query.Value) bool {
	_, undefined := v.(query.Undefined)
	return !undefined
}

// groups serves aggregates and GROUP BY.
func (r *queryRun) groups(ctx context.Context) (QueryPage, error) {
	g := query.NewGrouping(r.q)
	err := r.h.o.Registry.Select(ctx, registry.Selection{
		Modules: r.q.Collection == query.Modules, Where: r.q.Where, Names: g.Names(), Live: live{r.h},
	}, func(row registry.Row) bool {
		g.Add(row)
		return ctx.Err() == nil
	})
	if err != nil {
		return QueryPage{}, err
	}
	if err := ctx.Err(); err != nil {
		return QueryPage{}, err
	}
	var items []json.RawMessage
	var last []string
	for _, row := range g.Rows() {
		if len(r.at.Key) > 0 && cmp.Compare(row.Key, r.at.Key[0]) <= 0 {
			continue
		}
		if len(items) == r.size {
			return r.page(ItemTypeRaw, items, true, last), nil
		}
		item, err := json.Marshal(row.Values)
		if err != nil {
			return QueryPage{}, err
		}
		items, last = append(items, item), []string{row.Key}
	}
	return r.page(ItemTypeRaw, items, false, nil), nil
}

// jobs serves SELECT * FROM devices.jobs.
func (r *queryRun) jobs(ctx context.Context) (QueryPage, error) {
	var items []json.RawMessage
	var last []string
	more := false
	var failed error
	err := r.h.jobRows(ctx, func(row map[string]any) bool {
		key := jobKey(row)
		if len(r.at.Key) > 0 && slices.Compare(key, r.at.Key) <= 0 {
			return true
		}
		if r.q.Where != nil && !r.q.Where.Matches(query.Object(row)) {
			return true
		}
		if len(items) == r.size {
			more = true
			return false
		}
		item, err := json.Marshal(row)
		if err != nil {
			failed = err
			return false
		}
		items, last = append(items, item), key
		return true
	})
	if err = cmp.Or(err, failed); err != nil {
		return QueryPage{}, err
	}
	return r.page(ItemTypeDeviceJob, items, more, last), nil
}

func jobKey(row map[string]any) []string {
	var key []string
	for _, name := range []string{"jobId", "deviceId", "moduleId"} {
		text, _ := row[name].(string)
		key = append(key, text)
	}
	return key
}
