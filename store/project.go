package store

import (
	"context"

	"github.com/hubnerite/hubnerite/iothub"
)

// Projector is what Records may offer besides: single values of many records,
// read without decoding whole ones.
type Projector interface {
	// Project calls yield with a projection of up to limit records (at least 1),
	// under the rules of List for order, filter, resume and next, until yield
	// returns an error, which Project then returns. yield must not use the store.
	//
	// A path begins with "identity" or "twin" and goes on with the names of the
	// members in the JSON encoding of iothub.Identity and iothub.Twin.
	Project(ctx context.Context, filter ListFilter, paths [][]string, resume string, limit int, yield func(Projection) error) (next string, err error)
}

// Projection is some of a record. It is valid until yield returns.
type Projection struct {
	ID       iothub.ID
	Revision uint64
	// Values are JSON values in the order of the paths, nil where the record has
	// no such member; one that is empty or zero may be nil, too.
	Values [][]byte
}
