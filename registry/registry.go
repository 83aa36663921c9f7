// Package registry knows who exists and who may enter: identities, keys, access
// policies, shared access signatures, certificates, twins and etags. What it
// says is true after a restart; what happens now belongs to package hub.
package registry

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// Options configure a Registry. Records is required.
type Options struct {
	Records store.Records
	// Documents hold the registered certificate authorities; nil means that
	// none can be registered.
	Documents store.Documents
	// OwnsHost reports whether a host name (lower case, without port) is one of
	// this hub's names: the resource of a token must begin with one. path is what
	// follows it there, without slashes around it. nil accepts any name.
	OwnsHost func(host, path string) bool
	// Policies are the shared access policies; nil means DefaultPolicies. Those that PutPolicy stored are added to them or replace them, but for
	// those that FixedPolicies names.
	Policies      []iothub.AccessPolicy
	FixedPolicies []string
	// MaxIdentities is the most devices and modules together; 0 means
	// iothub.MaxIdentities.
	MaxIdentities int
	// Now is the clock; nil means time.Now. Real is the time by which certificates are
	// valid or not, which is not the hub's when that is moved: nil means Now.
	Now, Real func() time.Time
	// Logger takes debug lines; nil discards.
	Logger *slog.Logger
}

// Registry implements the identity registry. It is safe for concurrent use.
type Registry struct {
	noted    *notedRecords
	told     *toldRecords
	records  store.Records
	ownsHost func(host, path string) bool
	access   access
	cas      authorities
	now      func() time.Time
	real     func() time.Time
	log      *slog.Logger
	// generation is the last generation ID handed out, so that two creates in
	// one clock tick still differ.
	generation atomic.Int64

	maxIdentities int
	// creating counts the identities on their way into the store.
	creating atomic.Int64
	// modules are held, by device, while a module is made.
	modules [64]sync.Mutex
	seed    maphash.Seed
}

// New returns a registry over the given records. It fails when a policy has no
// name, a key that is not base64, or a name twice, or the registered CAs cannot be read.
func New(o Options) (*Registry, error) {
	if o.Records == nil {
		return nil, errors.New("registry: no records given")
	}
	noted := newNotedRecords(o.Records)
	told := &toldRecords{Records: noted}
	r := &Registry{noted: noted, told: told, records: told, ownsHost: o.OwnsHost, now: o.Now, real: o.Real, log: o.Logger, maxIdentities: o.MaxIdentities, seed: maphash.MakeSeed()}
	if r.maxIdentities == 0 {
		r.maxIdentities = iothub.MaxIdentities
	}
	if r.ownsHost == nil {
		r.ownsHost = func(string, string) bool { return true }
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.real == nil {
		r.real = r.now
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if o.Policies == nil {
		o.Policies = DefaultPolicies()
	}
	if err := r.loadPolicies(context.Background(), o); err != nil {
		return nil, err
	}
	if err := r.loadCAs(context.Background(), o.Documents); err != nil {
		return nil, err
	}
	return r, nil
}

// Export returns up to limit identities with their twins, a device before its
// modules. resume is the next value of the page before, "" for the first; next is
// "" after the last page.
func (r *Registry) Export(ctx context.Context, resume string, limit int) (page []store.Record, next string, err error) {
	return r.records.List(ctx, store.ListFilter{}, resume, limit)
}

// get reads a record and turns a missing one into the hub's error.
func (r *Registry) get(ctx context.Context, id iothub.ID) (store.Record, error) {
	rec, err := r.records.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return store.Record{}, notFound(id)
	}
	return rec, err
}

// update changes a record under its revision until no other write comes in
// between. change works on its own copy of the record and may refuse.
func (r *Registry) update(ctx context.Context, id iothub.ID, change func(*store.Record) error) (store.Record, error) {
	for {
		rec, err := r.get(ctx, id)
		if err != nil {
			return store.Record{}, err
		}
		if err := change(&rec); err != nil {
			return store.Record{}, err
		}
		rec.Revision, err = r.records.Put(ctx, rec)
		switch {
		case err == nil:
			return rec, nil
		case errors.Is(err, store.ErrNotFound):
			return store.Record{}, notFound(id)
		case !errors.Is(err, store.ErrConflict):
			return store.Record{}, err
		}
	}
}

func notFound(id iothub.ID) *iothub.Error {
	if id.IsModule() {
		return iothub.NewError(iothub.CodeModuleNotFound, "Module %s of device %s is not registered.", id.ModuleID, id.DeviceID)
	}
	return iothub.NewError(iothub.CodeDeviceNotFound, "Device %s is not registered.", id.DeviceID)
}
