package hub

import (
	"context"
	"errors"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// ErrFaultTaken is what done of Connection.SendTelemetry gets on MQTT for a
// message that asks for a fault: it was taken and is not acknowledged.
// Source: the fault injection tests of the C and C# SDKs.
var ErrFaultTaken = errors.New("hub: the message asks for a fault and is not acknowledged")

// FaultClient is a Client on which faults can be injected.
type FaultClient interface {
	Client
	// InjectFault ends what the fault is about; reason is for the log and the
	// peer. Like the other methods it does not wait. The front end then calls
	// Connection.Close if the whole connection is over.
	InjectFault(f iothub.Fault, reason *iothub.Error)
}

// faultMemory is how long a resent fault message is recognized after the fault.
const faultMemory = time.Minute

// faults are those that devices asked for: pending, in effect, or just over. An
// identity has one of each type, and none lasts for ever.
type faults struct {
	// n is the number of entries; the telemetry path looks no further while it is 0.
	n    atomic.Int32
	seed maphash.Seed

	mu    sync.RWMutex
	byKey map[faultKey]*fault
}

type faultKey struct {
	id    iothub.ID
	which iothub.FaultType
}

type fault struct {
	iothub.Fault
	// begun says that the delay is over; the fault then lasts until until.
	begun bool
	until time.Time
	// resent identifies the message when it was not acknowledged: the client
	// will send it again, and it must not bring the fault again. 0 for none.
	resent uint64
	// withdrawn is closed when the identity is deleted.
	withdrawn chan struct{}
}

func newFaults() faults { return faults{seed: maphash.MakeSeed(), byKey: map[faultKey]*fault{}} }

// lasts reports whether the fault is in effect.
func (f *fault) lasts(now time.Time) bool { return f.begun && now.Before(f.until) }

// over reports whether there is nothing left to remember.
func (f *fault) over(now time.Time) bool {
	if !f.begun {
		return false
	}
	if f.resent != 0 {
		now = now.Add(-faultMemory)
	}
	return !now.Before(f.until)
}

// meetFaults is called for messages of devices with a fault, and for those that
// ask for one. It reports whether the message is dealt with.
func (c *Connection) meetFaults(p iothub.Properties, body []byte, done func(error)) bool {
	h, now, mqtt := c.h, c.h.now(), strings.HasPrefix(c.o.Protocol, "mqtt")
	asked, asks, err := h.faultAsked(c.p.id, p, c.o.Protocol)
	if err != nil {
		done(err)
		return true
	}
	var print uint64
	if asks && mqtt {
		print = h.faults.print(p, body)
		if h.faults.takeResent(faultKey{c.p.id, asked.Type}, print) {
			h.o.Logger.Debug("a fault message that was sent again is passed over", "device", c.p.id, "fault", asked.Type)
			done(nil)
			return true
		}
	}
	if refusal := h.faults.refusal(c.p.id, now, iothub.FaultType.Invokes); refusal != nil {
		done(refusal)
		return true
	}
	if !asks {
		return false
	}
	c.p.touch(now)
	if mqtt {
		done(ErrFaultTaken)
	} else {
		done(nil)
	}
	h.startFault(c.p.id, c, asked, print)
	return true
}

// faultAsked returns the fault that a message asks for. One that the protocol
// does not have, or that nobody knows, makes the message ordinary telemetry.
func (h *Hub) faultAsked(id iothub.ID, p iothub.Properties, protocol string) (iothub.Fault, bool, error) {
	if !iothub.NamesFault(p) {
		return iothub.Fault{}, false, nil
	}
	f, ok, err := iothub.ParseFault(p)
	if err != nil {
		return f, false, err
	}
	if !ok || !f.Type.AppliesTo(protocol) {
		h.o.Logger.Warn("no such fault; the message is telemetry", "device", id, "fault", f.Type, "protocol", protocol)
		return f, false, nil
	}
	return f, true, nil
}

// startFault enters a fault and has it begin after its delay, on the hub's
// clock. c is the connection that asked, nil for HTTPS. While one of the same
// type is pending or in effect there is no second.
func (h *Hub) startFault(id iothub.ID, c *Connection, asked iothub.Fault, print uint64) {
	if !h.enter() {
		return
	}
	f := &fault{Fault: asked, resent: print, withdrawn: make(chan struct{})}
	key := faultKey{id, asked.Type}
	if !h.faults.add(key, f, h.now()) {
		h.leave()
		return
	}
	h.o.Logger.Info("fault injection", "device", id, "fault", f.Type, "reason", f.CloseReason, "delay", f.Delay, "duration", f.Duration)
	delay := h.startDeadline(f.Delay)
	go func() {
		defer h.leave()
		defer delay.stop()
		if over, _ := h.await(context.Background(), delay, f.withdrawn); !over {
			h.faults.drop(key, f)
			return
		}
		h.beginFault(key, f, c)
	}()
}

// beginFault puts a fault into effect, and then ends what it ends.
func (h *Hub) beginFault(key faultKey, f *fault, c *Connection) {
	ends := c != nil && !c.closed.Load()
	if !ends && !f.Type.Invokes() {
		h.faults.drop(key, f) // nothing is left to be ended
		return
	}
	h.faults.begin(key, f, h.now())
	// On MQTT there is no other way to refuse, and AMQP refuses each message.
	if !ends || f.Type.Invokes() && !strings.HasPrefix(c.o.Protocol, "mqtt") {
		return
	}
	reason := f.Ending()
	if client, ok := c.client.(FaultClient); ok {
		client.InjectFault(f.Fault, reason)
		return
	}
	h.disconnectIf(c.p, c, reason)
}

// FaultOn returns the refusal of what one of the given faults, in effect for id,
// forbids; nil without one. AMQP asks it for each link of a device.
func (h *Hub) FaultOn(id iothub.ID, types ...iothub.FaultType) error {
	if h.faults.n.Load() == 0 {
		return nil
	}
	refusal := h.faults.refusal(id, h.now(), func(t iothub.FaultType) bool {
		for _, other := range types {
			if t == other {
				return true
			}
		}
		return false
	})
	if refusal != nil {
		return refusal
	}
	return nil
}

// refuseConnect returns why a fault keeps an identity from connecting. An
// exhausted quota does not.
func (h *Hub) refuseConnect(id iothub.ID) error {
	if h.faults.n.Load() == 0 {
		return nil
	}
	refusal := h.faults.refusal(id, h.now(), func(t iothub.FaultType) bool {
		return t.EndsConnection() || t == iothub.FaultThrottling || t == iothub.FaultAuth
	})
	if refusal != nil {
		return refusal
	}
	return nil
}

// meetFaultsHTTPS does for a request what meetFaults does for a message: it
// returns the messages that are to be stored. A request that asks for one of the
// Invoke faults is also refused itself, as the tests of the C# SDK expect.
func (h *Hub) meetFaultsHTTPS(id iothub.ID, messages []iothub.Telemetry) ([]iothub.Telemetry, error) {
	if refusal := h.faults.refusal(id, h.now(), iothub.FaultType.Invokes); refusal != nil {
		return nil, refusal
	}
	var left []iothub.Telemetry
	var asked []iothub.Fault
	for i := range messages {
		f, asks, err := h.faultAsked(id, messages[i].Properties, "https")
		switch {
		case err != nil:
			return nil, err
		case asks:
			asked = append(asked, f)
		default:
			left = append(left, messages[i])
		}
	}
	for _, f := range asked {
		h.startFault(id, nil, f, 0)
	}
	if len(asked) > 0 {
		return nil, asked[0].Type.Refusal()
	}
	return left, nil
}

// sweepFaults forgets what is over.
func (h *Hub) sweepFaults(now time.Time) {
	s := &h.faults
	if s.n.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, f := range s.byKey {
		if f.over(now) {
			delete(s.byKey, key)
		}
	}
	s.n.Store(int32(len(s.byKey)))
}

// print identifies a message among those of its device; never 0.
func (s *faults) print(p iothub.Properties, body []byte) uint64 {
	var hash maphash.Hash
	hash.SetSeed(s.seed)
	for _, q := range p {
		for _, text := range []string{q.Name, q.Value} {
			_, _ = hash.WriteString(text)
			_ = hash.WriteByte(0)
		}
	}
	_, _ = hash.Write(body)
	return max(hash.Sum64(), 1)
}

// add enters a fault unless one like it is pending or in effect.
func (s *faults) add(key faultKey, f *fault, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.byKey[key]; old != nil && (!old.begun || old.lasts(now)) {
		return false
	}
	s.byKey[key] = f
	s.n.Store(int32(len(s.byKey)))
	return true
}

// begin puts a fault into effect. One that was withdrawn meanwhile stays out.
func (s *faults) begin(key faultKey, f *fault, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.begun, f.until = true, now.Add(f.Duration)
	if s.byKey[key] == f && f.over(now) {
		delete(s.byKey, key)
		s.n.Store(int32(len(s.byKey)))
	}
}

func (s *faults) drop(key faultKey, f *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey[key] == f {
		delete(s.byKey, key)
		s.n.Store(int32(len(s.byKey)))
	}
}

// takeResent reports, once, that a message is the one that brought a fault.
func (s *faults) takeResent(key faultKey, print uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.byKey[key]
	if f == nil || !f.begun || f.resent != print {
		return false
	}
	f.resent = 0
	return true
}

// refusal returns the refusal of a fault in effect that which selects, or nil.
func (s *faults) refusal(id iothub.ID, now time.Time, which func(iothub.FaultType) bool) *iothub.Error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, t := range iothub.FaultTypes() {
		if f := s.byKey[faultKey{id, t}]; f != nil && f.lasts(now) && which(t) {
			return t.Refusal()
		}
	}
	return nil
}

// withdraw forgets the faults of a deleted identity.
func (s *faults) withdraw(id iothub.ID) {
	if s.n.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range iothub.FaultTypes() {
		if f := s.byKey[faultKey{id, t}]; f != nil {
			close(f.withdrawn)
			delete(s.byKey, faultKey{id, t})
		}
	}
	s.n.Store(int32(len(s.byKey)))
}
