package simulate

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/seed"
)

// Protocol is what the connections of simulated devices are shown with.
const Protocol = "simulated"

// Options configure a Simulator. Hub is required.
type Options struct {
	Hub *hub.Hub
	// Now is the hub's clock; nil means time.Now. Wake says that it was moved.
	Now func() time.Time
	// Logger takes why devices cannot connect; nil discards.
	Logger *slog.Logger
}

// Simulator plays the devices of a hub. It is safe for concurrent use.
type Simulator struct {
	o      Options
	ctx    context.Context
	cancel context.CancelFunc

	// changing is held while simulations come and go, across the hub.
	changing sync.Mutex
	begun    bool
	closed   bool
	// telemetry may wait for room in the log or for a throttle; reactions do not wait for it.
	telemetry, reactions *schedule

	mu          sync.Mutex
	simulations map[string]*simulation
}

// New returns a simulator without simulations, which costs nothing. Close ends it.
func New(o Options) *Simulator {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Simulator{o: o, simulations: map[string]*simulation{}, telemetry: newSchedule(o.Now), reactions: newSchedule(o.Now)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// simulation is a group of devices that do the same.
type simulation struct {
	id      string
	spec    seed.Simulation
	plan    *plan
	devices []*device
	// identities are those of the devices, made when somebody asks.
	identities func() map[iothub.ID]bool
	// ended says that nothing of it is done any more.
	ended atomic.Bool

	sent, failed, methods, reported, received, connected atomic.Int64
	lastError                                            atomic.Pointer[string]
}

// Status tells of a simulation.
type Status struct {
	ID   string
	Spec seed.Simulation
	// Devices is how many there are, Connected how many of them have a connection now.
	Devices, Connected int
	// Sent counts telemetry that was stored, Failed what was refused, Methods the direct methods that came, Reported the writes
	// of reported properties, Received the cloud-to-device messages.
	Sent, Failed, Methods, Reported, Received int64
	// LastError is why something failed last, "" for nothing.
	LastError string
}

func (s *simulation) status() Status {
	out := Status{
		ID: s.id, Spec: s.spec, Devices: len(s.devices), Connected: int(s.connected.Load()), Sent: s.sent.Load(), Failed: s.failed.Load(),
		Methods: s.methods.Load(), Reported: s.reported.Load(), Received: s.received.Load(),
	}
	if text := s.lastError.Load(); text != nil {
		out.LastError = *text
	}
	return out
}

func (s *simulation) failedWith(err error) {
	text := err.Error()
	var known *iothub.Error
	if errors.As(err, &known) {
		text = known.Message
	}
	s.lastError.Store(&text)
}

// ErrClosed is returned by Put after Close.
var ErrClosed = errors.New("simulate: the simulator is closed")

// Put begins a simulation, in the place of the one of the same ID; one that is the same goes on as it is. The spec is one that package seed has checked.
// Devices that do not exist are created, with random keys. Errors: those of the registry; ArgumentInvalid for an identity that another simulation plays.
func (s *Simulator) Put(ctx context.Context, spec seed.Simulation) (status Status, changed bool, err error) {
	return s.put(ctx, spec, s.createDevices)
}

// Resume is Put in a hub that has come back to what it was: devices that are not there stay away.
func (s *Simulator) Resume(ctx context.Context, spec seed.Simulation) error {
	_, _, err := s.put(ctx, spec, func(context.Context, *simulation) error { return nil })
	return err
}

func (s *Simulator) put(ctx context.Context, spec seed.Simulation, create func(context.Context, *simulation) error) (status Status, changed bool, err error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.closed {
		return Status{}, false, ErrClosed
	}
	id := spec.ID()
	old := s.find(id)
	if old != nil && reflect.DeepEqual(old.spec, spec) {
		return old.status(), false, nil
	}
	made, err := s.prepare(id, spec)
	if err != nil {
		return Status{}, false, err
	}
	if err := create(ctx, made); err != nil {
		return Status{}, false, err
	}
	if old != nil {
		s.end(old)
	}
	s.mu.Lock()
	s.simulations[id] = made
	s.mu.Unlock()
	s.begin(made)
	return made.status(), true, nil
}

// prepare makes a simulation that does nothing yet.
func (s *Simulator) prepare(id string, spec seed.Simulation) (*simulation, error) {
	plan, err := newPlan(spec)
	if err != nil {
		return nil, iothub.NewError(iothub.CodeArgumentInvalid, "The simulation %q: %v.", id, err)
	}
	played := map[iothub.ID]string{}
	for _, other := range s.all() {
		if other.id != id {
			for _, d := range other.devices {
				played[d.id] = other.id
			}
		}
	}
	made := &simulation{id: id, spec: spec, plan: plan, devices: make([]*device, 0, spec.Devices())}
	if len(played)+spec.Devices() > seed.MaxSimulated {
		return nil, iothub.NewError(iothub.CodeArgumentInvalid, "A hub has at most %d simulated devices.", seed.MaxSimulated)
	}
	for identity, number := range spec.Identities() {
		if other, twice := played[identity]; twice {
			return nil, iothub.NewError(iothub.CodeArgumentInvalid, "%s is played by the simulation %q already.", identity, other)
		}
		made.devices = append(made.devices, newDevice(s, made, identity, number))
	}
	made.identities = sync.OnceValue(func() map[iothub.ID]bool {
		all := make(map[iothub.ID]bool, len(made.devices))
		for _, d := range made.devices {
			all[d.id] = true
		}
		return all
	})
	return made, nil
}

// createBatch is how many devices are created at once.
const createBatch = 500

// createDevices creates the devices that are missing, and the modules.
func (s *Simulator) createDevices(ctx context.Context, of *simulation) error {
	for batch := range slices.Chunk(of.devices, createBatch) {
		devices := make([]iothub.ExportImportDevice, len(batch))
		for i, d := range batch {
			devices[i] = iothub.ExportImportDevice{ID: d.id.DeviceID, ImportMode: string(iothub.ImportCreate)}
		}
		if err := s.create(ctx, devices); err != nil {
			return err
		}
		if of.spec.Module == "" {
			continue
		}
		for i, d := range batch {
			devices[i].ModuleID = d.id.ModuleID
		}
		if err := s.create(ctx, devices); err != nil {
			return err
		}
	}
	return nil
}

func (s *Simulator) create(ctx context.Context, list []iothub.ExportImportDevice) error {
	for _, err := range s.o.Hub.Bulk(ctx, list, hub.BulkOptions{}) {
		switch iothub.ErrorCode(err) {
		case iothub.CodeDeviceAlreadyExists, iothub.CodeModuleAlreadyExistsOnDevice:
		default:
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// begin has the devices of a simulation connect, and send from then on.
func (s *Simulator) begin(made *simulation) {
	if !s.begun {
		s.begun = true
		go s.telemetry.run()
		go s.reactions.run()
	}
	now := s.o.Now().UnixNano()
	for _, d := range made.devices {
		s.reactions.add(now, func(int64) int64 { return d.connect() })
	}
}

// end has the devices of a simulation leave.
func (s *Simulator) end(old *simulation) {
	old.ended.Store(true)
	for _, d := range old.devices {
		d.leave()
	}
}

func (s *Simulator) find(id string) *simulation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.simulations[id]
}

// all returns the simulations in the order of their IDs.
func (s *Simulator) all() []*simulation {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*simulation, 0, len(s.simulations))
	for _, one := range s.simulations {
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b *simulation) int { return cmp.Compare(a.id, b.id) })
	return out
}

// List returns the simulations in the order of their IDs.
func (s *Simulator) List() []Status {
	all := s.all()
	out := make([]Status, len(all))
	for i, one := range all {
		out[i] = one.status()
	}
	return out
}

// Get returns one simulation; ok is false when there is none of the ID.
func (s *Simulator) Get(id string) (status Status, ok bool) {
	one := s.find(id)
	if one == nil {
		return Status{}, false
	}
	return one.status(), true
}

// Playing returns a function that gives the ID of the simulation that plays a device or module, "" for none. It knows the simulations that there are now.
func (s *Simulator) Playing() func(iothub.ID) string {
	all := s.all()
	return func(id iothub.ID) string {
		for _, one := range all {
			if one.identities()[id] {
				return one.id
			}
		}
		return ""
	}
}

// Delete ends a simulation and reports whether there was one. Its devices leave and stay registered.
func (s *Simulator) Delete(id string) bool {
	s.changing.Lock()
	defer s.changing.Unlock()
	old := s.find(id)
	if old == nil {
		return false
	}
	s.mu.Lock()
	delete(s.simulations, id)
	s.mu.Unlock()
	s.end(old)
	return true
}

// Wake has the simulator look at the clock, which was moved.
func (s *Simulator) Wake() {
	s.telemetry.nudge()
	s.reactions.nudge()
}

// Close ends all simulations and waits for what they are doing. Idempotent.
func (s *Simulator) Close() {
	s.changing.Lock()
	defer s.changing.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.cancel()
	if s.begun {
		s.telemetry.close()
		s.reactions.close()
	}
	for _, one := range s.all() {
		s.end(one)
	}
}
