package query

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Grouping makes the rows of a query with aggregates. It is for one goroutine.
type Grouping struct {
	q      *Query
	groups map[string]*group
}

type group struct {
	values []Value
	totals []total
}

// total is what an aggregate knows so far.
type total struct {
	count int
	sum   float64
	least Value
	most  Value
}

// GroupRow is the row of a group.
type GroupRow struct {
	// Key names the group among those of the query and orders them.
	Key string
	// Values are the members of the row. What is undefined is left out.
	Values map[string]any
}

// NewGrouping returns a grouping of no documents: one row when the query has no
// GROUP BY, else none.
func NewGrouping(q *Query) *Grouping {
	g := &Grouping{q: q, groups: map[string]*group{}}
	if len(q.Group) == 0 {
		g.groups[""] = g.newGroup(nil)
	}
	return g
}

func (g *Grouping) newGroup(values []Value) *group {
	return &group{values, make([]total, len(g.q.Columns))}
}

// Names returns the names that Add looks up.
func (g *Grouping) Names() []*Path {
	paths := slices.Clone(g.q.Group)
	for _, c := range g.q.Columns {
		if c.Path != nil && c.Aggregate != "" {
			paths = append(paths, c.Path)
		}
	}
	return paths
}

// Add counts a document in.
func (g *Grouping) Add(env Environment) {
	var key strings.Builder
	var values []Value
	for _, p := range g.q.Group {
		v := groupValue(env.Lookup(p))
		values = append(values, v)
		groupKey(&key, v)
	}
	at := g.groups[key.String()]
	if at == nil {
		at = g.newGroup(values)
		g.groups[key.String()] = at
	}
	for i, c := range g.q.Columns {
		switch {
		case c.Aggregate == "":
		case c.Path == nil:
			at.totals[i].count++
		default:
			at.totals[i].add(env.Lookup(c.Path))
		}
	}
}

// groupValue returns what groups are made by: arrays and objects are no values
// to compare and form the group of what is undefined.
func groupValue(v Value) Value {
	switch v.(type) {
	case nil, bool, float64, string:
		return v
	}
	return Undefined{}
}

// groupKey appends a value so that keys sort by kind and then by value.
func groupKey(out *strings.Builder, v Value) {
	switch v := v.(type) {
	case Undefined:
		out.WriteString("0")
	case nil:
		out.WriteString("1")
	case bool:
		out.WriteString("2" + strconv.FormatBool(v))
	case float64:
		bits := math.Float64bits(v + 0) // -0 is 0
		if v < 0 {
			bits = ^bits
		} else {
			bits |= 1 << 63
		}
		fmt.Fprintf(out, "3%016x", bits)
	case string:
		out.WriteString("4" + strconv.Quote(v))
	}
	out.WriteByte(';')
}

// add passes over what is neither a number nor a text.
func (t *total) add(v Value) {
	switch v := v.(type) {
	case float64:
		t.sum += v
		t.count++
	case string:
	default:
		return
	}
	if t.least == nil || less(v, t.least) {
		t.least = v
	}
	if t.most == nil || less(t.most, v) {
		t.most = v
	}
}

// less orders numbers before texts.
func less(a, b Value) bool {
	if c, ok := order(a, b); ok {
		return c < 0
	}
	_, number := a.(float64)
	return number
}

func (t *total) value(c Column) Value {
	switch c.Aggregate {
	case Count:
		return float64(t.count)
	case Sum:
		return number(t.sum)
	case Average:
		if t.count == 0 {
			return Undefined{}
		}
		return number(t.sum / float64(t.count))
	case Min:
		if t.least != nil {
			return t.least
		}
	case Max:
		if t.most != nil {
			return t.most
		}
	}
	return Undefined{}
}

// Rows returns the rows in the order of their keys.
func (g *Grouping) Rows() []GroupRow {
	rows := make([]GroupRow, 0, len(g.groups))
	for key, at := range g.groups {
		row := GroupRow{key, map[string]any{}}
		for i, c := range g.q.Columns {
			var v Value
			if c.Aggregate != "" {
				v = at.totals[i].value(c)
			} else {
				v = g.member(at, c.Path)
			}
			if _, undefined := v.(Undefined); !undefined {
				row.Values[c.Name] = v
			}
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b GroupRow) int { return cmp.Compare(a.Key, b.Key) })
	return rows
}

func (g *Grouping) member(at *group, p *Path) Value {
	for i, path := range g.q.Group {
		if path.String() == p.String() {
			return at.values[i]
		}
	}
	return Undefined{}
}
