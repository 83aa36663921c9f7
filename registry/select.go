package registry

import (
	"context"

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
	// Live is asked for what is not stored; nil means that nothing is connected.
	Live query.Live
}

// Row is a selected identity. As an environment it knows the names of the
// selection's condition and Names; it is valid until yield returns.
type Row interface {
	query.Environment
	ID() iothub.ID
}

// Select calls yield for each selected identity in the order of IDs, a module
// after those of earlier devices, until yield returns false. It sees every
// write acknowledged before it began. Identities written meanwhile are seen
// before or after the write; none is seen twice.
func (r *Registry) Select(ctx context.Context, s Selection, yield func(Row) bool) error {
	filter := store.ListFilter{Kind: "devices"}
	if s.Modules {
		filter.Kind = "modules"
	}
	resume := ""
	if s.After != (iothub.ID{}) {
		resume = s.After.String()
	}
	for {
		records, next, err := r.records.List(ctx, filter, resume, selectPage)
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

// selectPage is how many records are read at once.
const selectPage = 500

type recordRow struct{ query.TwinDocument }

// ID returns the identity's ID.
func (r *recordRow) ID() iothub.ID { return r.Identity.ID }
