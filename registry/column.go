package registry

import (
	"github.com/hubnerite/hubnerite/query"
)

// maxShared is how many values of a column are kept once for all rows that have them.
const maxShared = 4096

// none ends a list of ordinals.
const none = ^uint32(0)

// column holds the values of one name by ordinal.
type column struct {
	path   *query.Path
	values []query.Value
	used   uint64
	size   int64
	// shared keeps frequent values once.
	shared map[query.Value]query.Value

	// heads, next and previous list the ordinals of each value that equality can
	// find. They are nil until a query asks.
	heads          map[query.Value]uint32
	next, previous []uint32
	counts         map[query.Value]uint32
}

func newColumn(path *query.Path, rows int) *column {
	c := &column{path: path, shared: map[query.Value]query.Value{}}
	c.grow(rows)
	return c
}

// grow makes room for more rows, whose values are undefined until set.
func (c *column) grow(rows int) {
	for len(c.values) < rows {
		c.values = append(c.values, query.Undefined{})
		if c.heads != nil {
			c.next, c.previous = append(c.next, none), append(c.previous, none)
		}
	}
}

// set changes a value.
func (c *column) set(ordinal uint32, v query.Value) {
	v = c.share(visible(v))
	old := c.values[ordinal]
	if c.heads != nil {
		c.unlink(ordinal, old)
	}
	c.values[ordinal] = v
	if c.heads != nil {
		c.link(ordinal, v)
	}
	c.size += valueSize(v) - valueSize(old)
}

// bytes estimates the memory of the column.
func (c *column) bytes() int64 {
	perRow := int64(rowBytes)
	if c.heads != nil {
		perRow += indexBytes
	}
	return c.size + perRow*int64(len(c.values))
}

// visible returns what conditions can see of a value: of an object only that
// it is one. Arrays stay, for functions that search them.
func visible(v query.Value) query.Value {
	if _, ok := v.(map[string]any); ok {
		return map[string]any(nil)
	}
	return v
}

func (c *column) share(v query.Value) query.Value {
	if !indexable(v) {
		return v
	}
	if known, ok := c.shared[v]; ok {
		return known
	}
	if len(c.shared) < maxShared {
		c.shared[v] = v
	}
	return v
}

// valueSize estimates the bytes of a value beside the row's own.
func valueSize(v query.Value) int64 {
	switch v := v.(type) {
	case string:
		return 16 + int64(len(v))
	case float64:
		return 8
	case []any:
		return 64 * int64(1+len(v))
	}
	return 0
}

// indexable reports whether equality with v can be true.
func indexable(v query.Value) bool {
	switch v.(type) {
	case nil, bool, float64, string:
		return true
	}
	return false
}

// rowBytes is the size of a row in a column, and indexBytes what the lists add, as estimates.
const (
	rowBytes   = 16
	indexBytes = 24
)

// index makes the lists.
func (c *column) index() {
	if c.heads != nil {
		return
	}
	c.heads, c.counts = map[query.Value]uint32{}, map[query.Value]uint32{}
	c.next, c.previous = make([]uint32, len(c.values)), make([]uint32, len(c.values))
	for i := range c.values {
		c.next[i], c.previous[i] = none, none
		c.link(uint32(i), c.values[i]) //nolint:gosec // an ordinal
	}
}

func (c *column) link(ordinal uint32, v query.Value) {
	if !indexable(v) {
		return
	}
	head, ok := c.heads[v]
	if ok {
		c.next[ordinal] = head
		c.previous[head] = ordinal
	}
	c.heads[v] = ordinal
	c.counts[v]++
}

func (c *column) unlink(ordinal uint32, v query.Value) {
	if !indexable(v) {
		return
	}
	next, previous := c.next[ordinal], c.previous[ordinal]
	if next != none {
		c.previous[next] = previous
	}
	switch {
	case previous != none:
		c.next[previous] = next
	case next != none:
		c.heads[v] = next
	default:
		delete(c.heads, v)
	}
	c.next[ordinal], c.previous[ordinal] = none, none
	if c.counts[v]--; c.counts[v] == 0 {
		delete(c.counts, v)
	}
}

// count returns how many rows have one of the values.
func (c *column) count(values []query.Value) int {
	n := 0
	for _, v := range values {
		n += int(c.counts[v])
	}
	return n
}

// each calls yield with the ordinals of the rows that have one of the values.
func (c *column) each(values []query.Value, yield func(uint32)) {
	for _, v := range values {
		at, ok := c.heads[v]
		if !ok {
			continue
		}
		for ; at != none; at = c.next[at] {
			yield(at)
		}
	}
}
