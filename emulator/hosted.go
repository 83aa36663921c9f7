package emulator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hubnerite/hubnerite/blob"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/simulate"
	"github.com/hubnerite/hubnerite/store/memory"
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

	// now is the life in effect; next is one that is seeded before it takes the place.
	now, next atomic.Pointer[life]
}

// life is a hub with all that belongs to it alone, from one reset to the next.
type life struct {
	hub    *hub.Hub
	stores stores
	blobs  *blob.Server
	// simulator plays the hub's simulated devices.
	simulator *simulate.Simulator
	// devices are the identities that it began with.
	devices []iothub.Identity
	// dir is the folder for its files.
	dir string

	closeHub func() error
}

// begin makes a life in a folder that may hold one already. It begins with what the hub is configured to have, or
// with the content of a snapshot when from is not nil.
func (h *hosted) begin(ctx context.Context, dir string, from *savedHub) (*life, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var content *memory.Store
	if from != nil {
		content = from.content
		if err := from.copyTo(dir); err != nil {
			return nil, err
		}
	}
	stores, err := h.e.openStores(dir, content)
	if err != nil {
		return nil, err
	}
	l := &life{stores: stores, dir: dir, closeHub: func() error { return nil }}
	if err := h.open(ctx, l); err != nil {
		return nil, errors.Join(err, l.close())
	}
	if from == nil {
		err = h.configure(ctx, l.hub)
	}
	if err == nil {
		l.devices, err = h.devicesOf(ctx, l.hub)
	}
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// open makes the hub on the stores.
func (h *hosted) open(ctx context.Context, l *life) error {
	e := h.e
	reg, err := registry.New(registry.Options{
		Records: l.stores.records, Documents: l.stores.documents, Policies: h.policies, FixedPolicies: h.fixedPolicies(), Now: e.cfg.Now, Real: e.clock.Real, Logger: e.cfg.Logger,
		OwnsHost: h.owns,
	})
	if err != nil {
		return err
	}
	tier, err := iothub.ParseTier(e.cfg.Tier)
	if err != nil {
		return err
	}
	files, err := h.openFiles(ctx, l)
	if err != nil {
		return fmt.Errorf("storage account: %w", err)
	}
	l.hub, err = hub.New(hub.Options{
		Containers: e.containers, Files: files, FileUpload: e.cfg.fileUpload(),
		Tier: tier, Units: e.cfg.Units, TokenGrace: e.cfg.TokenGrace,
		Name: h.name, Registry: reg, Queues: l.stores.queues, Documents: l.stores.documents, Log: l.stores.log,
		BuiltInEvents: e.cfg.builtInEvents(),
		Now:           e.cfg.Now, Logger: e.cfg.Logger,
	})
	if err != nil {
		return err
	}
	l.simulator = simulate.New(simulate.Options{Hub: l.hub, Now: e.cfg.Now, Logger: e.cfg.Logger})
	l.closeHub = sync.OnceValue(func() error {
		l.simulator.Close()
		return l.hub.Close()
	})
	return nil
}

// fixedPolicies are those whose keys the configuration gives, whatever a seed has stored.
func (h *hosted) fixedPolicies() []string {
	if !h.isDefault() {
		return nil
	}
	return slices.Collect(maps.Keys(h.e.cfg.PolicyKeys))
}

// close ends the hub and then its stores.
func (l *life) close() error { return errors.Join(l.closeHub(), l.stores.close()) }

// configure gives a hub what it begins with, as far as it is not there.
func (h *hosted) configure(ctx context.Context, to *hub.Hub) error {
	if h.isDefault() {
		if err := h.e.cfg.configureRouting(ctx, to); err != nil {
			return err
		}
		if err := h.e.cfg.registerRootCAs(ctx, to); err != nil {
			return err
		}
	}
	for _, name := range h.groups {
		if err := to.AddConsumerGroup(name); err != nil {
			return fmt.Errorf("consumer group %s: %w", name, err)
		}
	}
	return h.createDevices(ctx, to)
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

// createDevices makes the devices that are absent, with the keys that they had in the life before this one: connection
// strings that programs were given stay valid.
func (h *hosted) createDevices(ctx context.Context, in *hub.Hub) error {
	before := map[string]iothub.Authentication{}
	if l := h.now.Load(); l != nil {
		for _, device := range l.devices {
			before[device.ID.DeviceID] = device.Authentication
		}
	}
	for _, name := range h.devices {
		id := iothub.ID{DeviceID: name}
		_, err := in.GetIdentity(ctx, id)
		if iothub.ErrorCode(err) == iothub.CodeDeviceNotFound {
			request := iothub.IdentityRequest{DeviceID: name, Status: iothub.StatusEnabled}
			if had, ok := before[name]; ok && had.Type == iothub.AuthSAS {
				request.Authentication = &iothub.AuthenticationRequest{Type: had.Type, SymmetricKey: &had.SymmetricKey}
			}
			_, err = in.CreateIdentity(ctx, id, request)
		}
		if err != nil {
			return fmt.Errorf("device %s: %w", name, err)
		}
	}
	return nil
}

// devicesOf returns the identities of the configured devices that a hub has.
func (h *hosted) devicesOf(ctx context.Context, in *hub.Hub) ([]iothub.Identity, error) {
	var all []iothub.Identity
	for _, name := range h.devices {
		device, err := in.GetIdentity(ctx, iothub.ID{DeviceID: name})
		switch {
		case err == nil:
			all = append(all, device.Identity)
		case iothub.ErrorCode(err) != iothub.CodeDeviceNotFound:
			return nil, fmt.Errorf("device %s: %w", name, err)
		}
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
