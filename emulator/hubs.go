package emulator

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/hubnerite/hubnerite/admin"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// What the management API says of hubs, for programs that use it.
type (
	// HubInfo describes a hub with its connection strings.
	HubInfo = admin.HubInfo
	// HubOptions say what a hub is like that CreateHub makes; Name is required.
	HubOptions = admin.HubRequest
)

// maxHubName is the length of the longest name of a hub. Source: IoT Hub, create a hub.
const maxHubName = 50

// hubTable finds the hubs. It is replaced as a whole.
type hubTable struct {
	// byName and byHost have lower-case keys; the default hub is in neither.
	byName, byHost map[string]*hosted
}

// lookup returns the hub that answers to a host name, with or without port and in any case: a hub
// made at run time by one of its names, else the default one.
func (e *Emulator) lookup(host string) *hosted {
	table := e.hubs.Load()
	if len(table.byHost) == 0 {
		return e.first
	}
	if h := table.byHost[plainHost(host)]; h != nil {
		return h
	}
	return e.first
}

// plainHost returns a host name in lower case, without port and final dot.
func plainHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// named returns the hub of a name, nil when there is none; "" is the default one.
func (e *Emulator) named(name string) *hosted {
	if name == "" || strings.EqualFold(name, e.first.name) {
		return e.first
	}
	return e.hubs.Load().byName[strings.ToLower(name)]
}

// all returns the hubs, the default one first and the others by name.
func (e *Emulator) all() []*hosted {
	table, all := e.hubs.Load(), []*hosted{}
	if e.first != nil {
		all = append(all, e.first)
	}
	for _, name := range slices.Sorted(maps.Keys(table.byName)) {
		all = append(all, table.byName[name])
	}
	return all
}

// HubNamed returns the hub of a name as it is now, for programs that look inside without the
// wire; "" is the default one. A reset replaces it.
func (e *Emulator) HubNamed(name string) (h *hub.Hub, ok bool) {
	if h := e.named(name); h != nil {
		return h.now.Load().hub, true
	}
	return nil, false
}

// Hubs returns the hubs, the default one first and the others by name.
func (e *Emulator) Hubs() []HubInfo {
	var infos []HubInfo
	for _, h := range e.all() {
		infos = append(infos, h.describe())
	}
	return infos
}

// HubInfo describes a hub; "" is the default one. It returns an *admin.Refusal for a name without a hub.
func (e *Emulator) HubInfo(name string) (HubInfo, error) {
	h := e.named(name)
	if h == nil {
		return HubInfo{}, noHub(name)
	}
	return h.describe(), nil
}

func noHub(name string) error {
	return &admin.Refusal{Status: http.StatusNotFound, Message: fmt.Sprintf("There is no hub %.64q; GET /hubs lists them.", name)}
}

func (h *hosted) describe() HubInfo {
	info := h.info()
	return HubInfo{
		Name: h.name, Default: h.isDefault(), HostName: info.HostName, HostNames: info.HostNames,
		ConnectionStrings: info.ConnectionStrings, EventHub: info.EventHub, Storage: info.Storage, Devices: info.Devices,
	}
}

// infoOf returns the info of a hub; one that there is not any more has the default one's.
func (e *Emulator) infoOf(name string) Info {
	h := e.named(name)
	if h == nil {
		h = e.first
	}
	return h.info()
}

// CreateHub makes a hub that shares nothing with the others but the ports, and returns when it can
// be used. It answers to NAME.azure-devices.net, NAME.localhost and the host names given. With a data
// directory it is there again after a restart. Errors of the caller's doing are *admin.Refusal.
func (e *Emulator) CreateHub(ctx context.Context, o HubOptions) (HubInfo, error) {
	h, err := e.newHosted(o)
	if err != nil {
		return HubInfo{}, err
	}
	var from *savedHub
	if o.Snapshot != "" {
		e.snapshotsMu.Lock()
		defer e.snapshotsMu.Unlock()
		s := e.snapshots[o.Snapshot]
		if s == nil {
			return HubInfo{}, noSnapshot(o.Snapshot)
		}
		if from, err = e.savedHub(s, o.SnapshotHub); err != nil {
			return HubInfo{}, err
		}
	}
	return e.host(ctx, h, from)
}

// host begins a hub in a folder of its own, from a snapshot if there is one, and makes it known.
func (e *Emulator) host(ctx context.Context, h *hosted, from *savedHub) (HubInfo, error) {
	e.hubsMu.Lock()
	defer e.hubsMu.Unlock()
	err := e.admissible(h)
	if err != nil {
		return HubInfo{}, err
	}
	if h.home, err = e.makeHome(h.name); err != nil {
		return HubInfo{}, err
	}
	h.number = 1
	if err := e.beginHosted(ctx, h, from); err != nil {
		return HubInfo{}, errors.Join(err, os.RemoveAll(h.home))
	}
	e.cfg.Logger.Info("hub created", "hub", h.name, "host", h.hostNames[0], "restored", from != nil)
	return h.describe(), nil
}

// beginHosted begins the life of a hub that was made at run time and makes it known. The caller holds hubsMu.
func (e *Emulator) beginHosted(ctx context.Context, h *hosted, from *savedHub) error {
	if err := e.trust.Cover(h.hostNames, e.clock.Real()); err != nil {
		return err
	}
	l, err := h.begin(ctx, h.lifeDir(h.number), from)
	if err != nil {
		return err
	}
	if from != nil {
		// What it is to have beside what the snapshot gave it.
		err = h.configure(ctx, l.hub)
		if err == nil {
			l.devices, err = h.devicesOf(ctx, l.hub)
		}
		if err == nil {
			err = from.simulate(ctx, l)
		}
	}
	if err == nil {
		err = h.save(h.number)
	}
	if err != nil {
		return errors.Join(err, l.close())
	}
	h.now.Store(l)
	e.enter(h)
	return nil
}

// newHosted checks the options.
func (e *Emulator) newHosted(o HubOptions) (*hosted, error) {
	refuse := func(format string, args ...any) error {
		return &admin.Refusal{Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
	}
	if !validHubName(o.Name) {
		return nil, refuse("%.64q is not the name of a hub: 1 to %d letters, digits and hyphens, with no hyphen at its ends.", o.Name, maxHubName)
	}
	for _, host := range o.HostNames {
		if !validHostName(host) || net.ParseIP(host) != nil {
			return nil, refuse("%.64q is not a host name (write it without scheme and port; addresses do not tell hubs apart).", host)
		}
	}
	for _, name := range o.Devices {
		if err := iothub.ValidateDeviceID(name); err != nil {
			return nil, refuse("Device %.64q: %v", name, err)
		}
	}
	policies := e.cfg.policies()
	for name, key := range o.PolicyKeys {
		i := slices.IndexFunc(policies, func(p iothub.AccessPolicy) bool { return p.Name == name })
		if i < 0 {
			return nil, refuse("There is no access policy %.64q.", name)
		}
		if raw, err := base64.StdEncoding.DecodeString(key); err != nil || len(raw) < 16 || len(raw) > 64 {
			return nil, refuse("The key of access policy %s is not base64 of 16 to 64 bytes.", name)
		}
		policies[i].PrimaryKey, policies[i].SecondaryKey = key, key
	}
	label := strings.ToLower(o.Name)
	var hosts []string
	for _, host := range o.HostNames {
		hosts = append(hosts, plainHost(host))
	}
	// Connection strings are in the style of the default hub's.
	usual := []string{label + ".localhost", label + azureDomain}
	if strings.HasSuffix(e.first.hostNames[0], azureDomain) {
		slices.Reverse(usual)
	}
	hosts = append(hosts, usual...)
	slices.SortStableFunc(hosts, func(a, b string) int { return slices.Index(hosts, a) - slices.Index(hosts, b) })
	return &hosted{
		e: e, name: o.Name, hostNames: slices.Compact(hosts), policies: policies, devices: o.Devices, groups: o.ConsumerGroups,
	}, nil
}

func validHubName(name string) bool {
	if name == "" || len(name) > maxHubName || name[0] == '-' || name[len(name)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// The domains of IoT Hub and of Event Hubs.
const (
	azureDomain    = ".azure-devices.net"
	eventHubDomain = ".servicebus.windows.net"
)

// answersTo returns the names by which clients reach the hub: the configured ones, and for a name
// of Azure's those of the same hub's other endpoints.
func (h *hosted) answersTo() []string {
	var names []string
	for _, host := range h.hostNames {
		names = append(names, host)
		if label, ok := strings.CutSuffix(host, azureDomain); ok && !strings.Contains(label, ".") {
			names = append(names, label+".device"+azureDomain, label+".service"+azureDomain, label+eventHubDomain)
		}
	}
	return names
}

// admissible returns an error when the emulator closes, or has the name or a host name already. The caller
// holds hubsMu.
func (e *Emulator) admissible(h *hosted) error {
	if e.closed {
		return errClosing
	}
	if e.named(h.name) != nil {
		return &admin.Refusal{Status: http.StatusConflict, Message: fmt.Sprintf("There is a hub %s already.", h.name)}
	}
	table := e.hubs.Load()
	for _, host := range h.answersTo() {
		other := table.byHost[host]
		if other == nil && e.ownName(host) {
			other = e.first
		}
		if other != nil {
			return &admin.Refusal{Status: http.StatusConflict, Message: fmt.Sprintf("%s is a name of the hub %s.", host, other.name)}
		}
	}
	return nil
}

var errClosing = errors.New("the emulator is closing")

// ownName reports whether a host name is one of the emulator as a whole, which the default hub has.
func (e *Emulator) ownName(host string) bool {
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() || host == "localhost" || host == e.cfg.Bind {
		return true
	}
	return slices.ContainsFunc(e.first.hostNames, func(name string) bool { return strings.EqualFold(name, host) })
}

// enter makes a hub known; leave makes it unknown. The caller holds hubsMu.
func (e *Emulator) enter(h *hosted) {
	e.changeTable(func(t *hubTable) {
		t.byName[strings.ToLower(h.name)] = h
		for _, host := range h.answersTo() {
			t.byHost[host] = h
		}
	})
}

func (e *Emulator) leave(h *hosted) {
	e.changeTable(func(t *hubTable) {
		delete(t.byName, strings.ToLower(h.name))
		for _, host := range h.answersTo() {
			delete(t.byHost, host)
		}
	})
}

func (e *Emulator) changeTable(change func(*hubTable)) {
	old := e.hubs.Load()
	t := &hubTable{byName: map[string]*hosted{}, byHost: map[string]*hosted{}}
	maps.Copy(t.byName, old.byName)
	maps.Copy(t.byHost, old.byHost)
	change(t)
	e.hubs.Store(t)
}

// DeleteHub ends a hub that was made at run time and removes all it holds. Its clients are
// disconnected before it returns; its files go soon after.
func (e *Emulator) DeleteHub(_ context.Context, name string) error {
	e.hubsMu.Lock()
	h := e.named(name)
	var err error
	switch {
	case e.closed:
		err = errClosing
	case h == nil:
		err = noHub(name)
	case h.isDefault():
		err = &admin.Refusal{Status: http.StatusConflict, Message: "The default hub cannot be removed, only reset."}
	}
	if err != nil {
		e.hubsMu.Unlock()
		return err
	}
	e.leave(h)
	e.trust.Uncover(h.hostNames)
	e.hubsMu.Unlock()
	h.changing.Lock()
	defer h.changing.Unlock()
	h.gone = true
	// Without this file the folder is nothing but rubbish, after a restart too.
	err = h.forget()
	l := h.now.Load()
	err = errors.Join(err, l.closeHub())
	e.retire(l, h.home)
	e.cfg.Logger.Info("hub removed", "hub", h.name)
	return err
}

// retire closes the stores of a life that ended and removes what it left, in the background.
func (e *Emulator) retire(l *life, leftovers ...string) {
	e.retiring.Go(func() {
		errs := []error{l.stores.close()}
		for _, path := range leftovers {
			errs = append(errs, os.RemoveAll(path))
		}
		if err := errors.Join(errs...); err != nil {
			e.cfg.Logger.Error("the files of a hub that ended cannot be removed", "err", err)
		}
	})
}

// closeHubs ends every hub; their stores stay open. No hub is made after it.
func (e *Emulator) closeHubs() error {
	e.hubsMu.Lock()
	e.closed = true
	e.hubsMu.Unlock()
	var (
		all  = e.all()
		errs = make([]error, len(all))
		wait sync.WaitGroup
	)
	for i, h := range all {
		wait.Go(func() {
			h.changing.Lock()
			defer h.changing.Unlock()
			h.gone = true
			if l := h.now.Load(); l != nil { // else the start failed
				errs[i] = l.closeHub()
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// closeStores comes after closeHubs.
func (e *Emulator) closeStores() error {
	var errs []error
	for _, h := range e.all() {
		if l := h.now.Load(); l != nil {
			errs = append(errs, l.stores.close())
		}
	}
	e.retiring.Wait()
	return errors.Join(errs...)
}

// makeHome makes the folder of a hub that is made at run time. Its name is never used again, so that what
// is left of a hub of that name does not matter.
func (e *Emulator) makeHome(name string) (string, error) {
	parent := filepath.Join(e.dir, hubsDir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", err
	}
	return os.MkdirTemp(parent, strings.ToLower(name)+"-")
}
