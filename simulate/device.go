package simulate

import (
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/simulate/template"
)

// How long a device waits before it tries again to connect: twice as long after each failure.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// device is one simulated device or module. It is the hub's client: those methods only schedule what follows.
type device struct {
	s  *Simulator
	of *simulation
	id iothub.ID
	// number is its own among all, place its place among those of the simulation, from 0.
	number, place int

	// mu guards conn against end, for memory only.
	mu   sync.Mutex
	conn *hub.Connection
	gone bool
	// generation counts the connections, so that what is left of an old one is told apart.
	generation atomic.Uint64

	// Of the schedule of reactions alone.
	retry   time.Duration
	random  *rand.Rand
	answers map[string]*template.State
	sending bool
}

func newDevice(s *Simulator, of *simulation, id iothub.ID, number int) *device {
	return &device{s: s, of: of, id: id, number: number, place: len(of.devices)}
}

// randomness returns what a device draws from for a purpose: the same for the same seed, device and purpose.
func (d *device) randomness(purpose uint64) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(d.id.String()))                                       // never fails
	return rand.New(rand.NewPCG(uint64(d.of.spec.Seed)+purpose<<32, h.Sum64())) //nolint:gosec // for numbers that look natural
}

func (d *device) environment(now int64) template.Environment {
	return template.Environment{Now: time.Unix(0, now), DeviceID: d.id.DeviceID, ModuleID: d.id.ModuleID, Number: d.number}
}

// connection returns the live connection, nil for none.
func (d *device) connection() *hub.Connection {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.conn
}

// connect opens the device's connection. It is a task of the reactions.
func (d *device) connect() (again int64) {
	if d.of.ended.Load() {
		return never
	}
	s := d.s
	grant, err := d.grant()
	var conn *hub.Connection
	if err == nil {
		client := &client{d: d, generation: d.generation.Add(1)}
		conn, err = s.o.Hub.Connect(s.ctx, d.id, hub.ConnectionOptions{
			Grant: grant, Protocol: Protocol, RemoteAddr: "simulation " + d.of.id, ModelID: d.of.spec.ModelID,
		}, client)
	}
	if err != nil {
		return d.refused(err)
	}
	d.retry = 0
	d.mu.Lock()
	if d.gone {
		d.mu.Unlock()
		conn.Close()
		return never
	}
	d.conn = conn
	d.mu.Unlock()
	d.of.connected.Add(1)
	if d.of.plan.follow {
		// Before the twin is read, so that no change falls in between.
		conn.EnableDesired(true)
		d.after(d.of.plan.followAfter, func() { d.reportAll(conn) })
	}
	conn.EnableC2D(d.of.plan.receive != nil)
	// Last: whoever sees a method answered finds the rest in place.
	conn.EnableMethods(len(d.of.plan.methods) > 0)
	d.startSending()
	return never
}

// startSending begins all telemetry of the device, once. The devices of a simulation are spread over the interval, so that not all send at once.
func (d *device) startSending() {
	if d.sending {
		return
	}
	d.sending = true
	now := d.s.o.Now().UnixNano()
	for i := range d.of.plan.telemetry {
		every := int64(d.of.plan.telemetry[i].every)
		start := now + every/int64(len(d.of.devices))*int64(d.place)
		d.s.telemetry.add(start, d.sender(i, start))
	}
}

// grant is what the device's own credential allows, which the simulator need not present.
func (d *device) grant() (iothub.Grant, error) {
	identity, err := d.s.o.Hub.GetIdentity(d.s.ctx, d.id)
	if err != nil {
		return iothub.Grant{}, err
	}
	method := iothub.AuthMethod{Scope: "device", Type: "sas", Issuer: "iothub"}
	if d.id.IsModule() {
		method.Scope = "module"
	}
	if identity.Authentication.Type != iothub.AuthSAS {
		method.Type, method.Issuer = "x509", "external"
	}
	return iothub.Grant{Identity: d.id, Rights: iothub.DeviceConnect, Resource: d.id.ResourcePath(), AuthMethod: method}, nil
}

// refused says when to try again after the hub did not let the device in.
func (d *device) refused(err error) (again int64) {
	d.of.failedWith(err)
	if iothub.ErrorCode(err).HTTPStatus() == 404 {
		// It was deleted; whoever wants it back puts the simulation again.
		d.s.o.Logger.Warn("a simulated device is not registered any more", "device", d.id, "err", err)
		return never
	}
	if d.retry == 0 {
		d.s.o.Logger.Warn("a simulated device cannot connect; it tries again", "device", d.id, "err", err)
	}
	d.retry = min(max(2*d.retry, firstRetry), lastRetry)
	return d.s.o.Now().Add(d.retry).UnixNano()
}

// lost is what follows when the hub ended a connection.
func (d *device) lost(generation uint64, reason *iothub.Error) {
	d.mu.Lock()
	conn := d.conn
	if generation != d.generation.Load() || conn == nil {
		d.mu.Unlock()
		return
	}
	d.conn = nil
	gone := d.gone
	d.mu.Unlock()
	conn.Close()
	if gone {
		return
	}
	d.of.connected.Add(-1)
	d.of.failedWith(reason)
	switch reason.Code {
	case iothub.CodeConnectionForcefullyClosedOnNewConnection:
		// A real device has come for it: that one shall stay.
		d.s.o.Logger.Info("a simulated device was replaced by another client and stays away", "device", d.id)
	case iothub.CodeDeviceNotFound:
	default:
		d.s.reactions.add(d.s.o.Now().Add(firstRetry).UnixNano(), func(int64) int64 { return d.connect() })
	}
}

// leave ends the device.
func (d *device) leave() {
	d.mu.Lock()
	conn := d.conn
	d.conn, d.gone = nil, true
	d.mu.Unlock()
	if conn != nil {
		d.of.connected.Add(-1)
		conn.Close()
	}
}

// after has do done after a delay, in the order of the calls among those of the same time.
func (d *device) after(delay time.Duration, do func()) {
	d.s.reactions.add(d.s.o.Now().Add(delay).UnixNano(), func(int64) int64 {
		if !d.of.ended.Load() {
			do()
		}
		return never
	})
}
