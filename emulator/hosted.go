package emulator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hubnerite/hubnerite/blob"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
)

// hosted is one hub of the emulator: what it is called and what it begins with. What it
// holds is its life.
type hosted struct {
	e *Emulator
	// name is what the management API calls it, and the Name of the hub.
	name string
	// hostNames are the names it answers to; the first one goes into connection strings.
	hostNames []string
	policies  []iothub.AccessPolicy
	// devices and groups are created at the beginning of each life.
	devices, groups []string
	// home is the folder for its files.
	home string

	// changing is held while a life takes the place of another; it guards what follows.
	changing sync.Mutex
	// number is that of the life in effect.
	number int
	// gone says that there will be no other.
	gone bool

	// now is the life in effect.
	now atomic.Pointer[life]
}

// life is a hub with all that belongs to it alone, from one reset to the next.
type life struct {
	hub    *hub.Hub
	stores stores
	blobs  *blob.Server
	info   Info

	closeHub func() error
}

// begin opens or makes the stores in the folder, and the hub on them.
func (h *hosted) begin(ctx context.Context, dir string) (*life, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	stores, err := openStores(h.e.cfg, dir)
	if err != nil {
		return nil, err
	}
	l := &life{stores: stores, closeHub: func() error { return nil }}
	if err := h.open(ctx, l, dir); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// open makes the hub on the stores.
func (h *hosted) open(ctx context.Context, l *life, dir string) error {
	e := h.e
	reg, err := registry.New(registry.Options{
		Records: l.stores.records, Documents: l.stores.documents, Policies: h.policies, Now: e.cfg.Now, Real: e.clock.Real, Logger: e.cfg.Logger,
		OwnsHost: h.owns,
	})
	if err != nil {
		return err
	}
	tier, err := iothub.ParseTier(e.cfg.Tier)
	if err != nil {
		return err
	}
	files, err := h.openFiles(ctx, l, dir)
	if err != nil {
		return fmt.Errorf("storage account: %w", err)
	}
	l.hub, err = hub.New(hub.Options{
		Containers: e.containers, Files: files,
		Tier: tier, Units: e.cfg.Units, TokenGrace: e.cfg.TokenGrace,
		Name: h.name, Registry: reg, Queues: l.stores.queues, Documents: l.stores.documents, Log: l.stores.log,
		BuiltInEvents: e.cfg.builtInEvents(),
		Now:           e.cfg.Now, Logger: e.cfg.Logger,
	})
	if err != nil {
		return err
	}
	l.closeHub = sync.OnceValue(l.hub.Close)
	devices, err := h.configure(ctx, l.hub)
	if err != nil {
		return err
	}
	l.info = h.makeInfo(l, devices)
	return nil
}

// close ends the hub and then its stores.
func (l *life) close() error { return errors.Join(l.closeHub(), l.stores.close()) }

// configure gives a hub what it begins with, as far as it is not there.
func (h *hosted) configure(ctx context.Context, to *hub.Hub) ([]iothub.Identity, error) {
	if h.isDefault() {
		if err := h.e.cfg.configureRouting(ctx, to); err != nil {
			return nil, err
		}
		if err := h.e.cfg.registerRootCAs(ctx, to); err != nil {
			return nil, err
		}
	}
	for _, name := range h.groups {
		if err := to.AddConsumerGroup(name); err != nil {
			return nil, fmt.Errorf("consumer group %s: %w", name, err)
		}
	}
	return createDevices(ctx, to, h.devices)
}

func (h *hosted) isDefault() bool { return h == h.e.first }

// owns reports whether a token for the resource host/path is one for this hub. Whoever reached the
// emulator by a name that no certificate of its covers was not meant for it. A hub made at run time
// also takes tokens for its event hub under the emulator's own name, by which clients may choose it.
func (h *hosted) owns(host, path string) bool {
	switch owner := h.e.lookup(host); {
	case h.isDefault():
		return owner == h && h.e.covered.Cover(host)
	case owner == h:
		return true
	}
	entity, _, _ := strings.Cut(path, "/")
	return strings.EqualFold(entity, h.name) && h.e.ownName(host)
}

// createDevices makes the devices that are absent and returns the identities of all of them.
func createDevices(ctx context.Context, in *hub.Hub, names []string) ([]iothub.Identity, error) {
	var all []iothub.Identity
	for _, name := range names {
		id := iothub.ID{DeviceID: name}
		device, err := in.GetIdentity(ctx, id)
		if iothub.ErrorCode(err) == iothub.CodeDeviceNotFound {
			device, err = in.CreateIdentity(ctx, id, iothub.IdentityRequest{DeviceID: name, Status: iothub.StatusEnabled})
		}
		if err != nil {
			return nil, fmt.Errorf("device %s: %w", name, err)
		}
		all = append(all, device.Identity)
	}
	return all, nil
}

// configureRouting adds what the configuration has; routes come last because
// they name endpoints.
func (c Config) configureRouting(ctx context.Context, to *hub.Hub) error {
	for _, endpoint := range c.Endpoints {
		if err := to.PutEndpoint(ctx, endpoint); err != nil {
			return fmt.Errorf("endpoint %s: %w", endpoint.Name, err)
		}
	}
	for _, enrichment := range c.Enrichments {
		if err := to.PutEnrichment(ctx, enrichment); err != nil {
			return fmt.Errorf("enrichment %s: %w", enrichment.Key, err)
		}
	}
	for _, route := range c.Routes {
		if err := to.PutRoute(ctx, route); err != nil {
			return fmt.Errorf("route %s: %w", route.Name, err)
		}
	}
	return nil
}
