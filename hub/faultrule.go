package hub

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/hubnerite/hubnerite/iothub"
)

// FaultDelays says how long delays are, in real time: fixed (Value), uniform (Min to Max), normal (Mean, Deviation) or exponential (Mean).
// None is negative, and none longer than MaxFaultWait.
type FaultDelays struct {
	Distribution                     string
	Value, Min, Max, Mean, Deviation time.Duration
}

// MaxFaultWait is the longest delay of a fault rule.
const MaxFaultWait = 10 * time.Minute

// FaultRule makes operations go wrong.
type FaultRule struct {
	// ID is the hub's.
	ID string
	// Device selects device IDs, with * and ? for any characters and any one; "" is all. Modules go with their devices.
	Device string
	// Operation is one of the constants, or a request of the service API, in which * stands for anything.
	Operation string
	// Protocols are "mqtt", "mqtt-ws", "amqp", "amqp-ws", "https"; none is all.
	Protocols []string
	Action    FaultAction
	// Probability of each, 0 to 1; 0 is 1, too.
	Probability float64
	// Skip is how many operations that match are let through first, Count how many are hit then; 0 is no limit.
	Skip, Count int64
	// Seed makes what chance decides repeatable; 0 is chosen by the hub.
	Seed uint64
	// Code is what FaultRefuse and FaultThrottle answer; 0 is ThrottlingException.
	Code iothub.Code
	// Rate of FaultThrottle is how many may pass per second.
	Rate float64
	// Delays are those of FaultDelay.
	Delays FaultDelays
	// Acknowledge has FaultDrop acknowledge the telemetry, or the back end's message, that it loses.
	Acknowledge bool
	// Certificate of FaultCertificate is CertificateUntrusted unless given.
	Certificate FaultCertificateKind
}

// FaultCertificateKind is what is wrong with a certificate.
type FaultCertificateKind string

// Kinds of bad certificates. But for what they are called after, they are right.
const (
	CertificateUntrusted FaultCertificateKind = "untrusted"
	CertificateExpired   FaultCertificateKind = "expired"
	CertificateWrongName FaultCertificateKind = "wrongName"
)

// FaultRuleState is a rule with its counters.
type FaultRuleState struct {
	FaultRule
	// Matched counts the operations that the rule was about, Hits those that it hit.
	Matched, Hits int64
}

// faultRule is a rule in effect.
type faultRule struct {
	FaultRule
	device string // as a pattern of path.Match; "" for all

	mu            sync.Mutex
	random        map[iothub.ID]*rand.Rand // of each device, so that what others do changes nothing
	matched, hits int64
	// passed is when the operations let through so far would be over at the rate.
	passed time.Time
}

// faultRules are the rules of a hub. list is nil without any, which is all that an operation then costs.
type faultRules struct {
	list atomic.Pointer[[]*faultRule]
	mu   sync.Mutex
}

// faultEffect is a rule applied once.
type faultEffect struct {
	rule  *faultRule
	delay time.Duration
}

// AddFaultRule puts a rule into effect and returns it with its ID and seed. Among several that match, the first that hits counts.
// Error: ArgumentInvalid.
func (h *Hub) AddFaultRule(r FaultRule) (FaultRuleState, error) {
	if err := r.validate(); err != nil {
		return FaultRuleState{}, iothub.NewError(iothub.CodeArgumentInvalid, "%s", err)
	}
	r.ID = uuid.NewString()[:8]
	r.Seed = cmp.Or(r.Seed, rand.Uint64N(1<<53)+1) // JSON's numbers are exact up to there
	r.Probability = cmp.Or(r.Probability, 1)
	if r.Action == FaultRefuse || r.Action == FaultThrottle {
		r.Code = cmp.Or(r.Code, iothub.CodeThrottlingException)
	}
	if r.Action == FaultCertificate {
		r.Certificate = cmp.Or(r.Certificate, CertificateUntrusted)
	}
	rule := &faultRule{FaultRule: r, device: devicePattern(r.Device), random: map[iothub.ID]*rand.Rand{}}
	h.rules.mu.Lock()
	defer h.rules.mu.Unlock()
	list := append(slices.Clone(h.rules.all()), rule)
	h.rules.list.Store(&list)
	return rule.state(), nil
}

// FaultRules returns the rules in effect, in their order.
func (h *Hub) FaultRules() []FaultRuleState {
	var states []FaultRuleState
	for _, r := range h.rules.all() {
		states = append(states, r.state())
	}
	return states
}

// RemoveFaultRule removes a rule; "" removes all. It returns how many were removed.
func (h *Hub) RemoveFaultRule(id string) int {
	h.rules.mu.Lock()
	defer h.rules.mu.Unlock()
	before := h.rules.all()
	list := slices.DeleteFunc(slices.Clone(before), func(r *faultRule) bool { return id == "" || r.ID == id })
	if len(list) == 0 {
		h.rules.list.Store(nil)
	} else {
		h.rules.list.Store(&list)
	}
	return len(before) - len(list)
}

func (s *faultRules) all() []*faultRule {
	if list := s.list.Load(); list != nil {
		return *list
	}
	return nil
}

func (r *faultRule) state() FaultRuleState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return FaultRuleState{FaultRule: r.FaultRule, Matched: r.matched, Hits: r.hits}
}

func (r *FaultRule) validate() error {
	operation, err := faultOperation(r.Operation)
	if err == nil {
		err = operation.check(r)
	}
	switch {
	case err != nil:
		return err
	case r.Probability < 0 || r.Probability > 1 || math.IsNaN(r.Probability):
		return errors.New("probability is from 0 to 1")
	case r.Count < 0 || r.Skip < 0:
		return errors.New("count and skip are not negative")
	case r.Code != 0 && r.Code.String() == "Unknown":
		return fmt.Errorf("%d is no code of the catalogue", int(r.Code))
	case r.Action == FaultThrottle && !(r.Rate > 0 && r.Rate <= 1e6):
		return errors.New("throttle needs a rate, up to 1e6 per second")
	case r.Acknowledge && (r.Action != FaultDrop || operation.Name != FaultOnTelemetry && operation.Name != FaultOnC2DSend):
		return errors.New("only telemetry and cloud-to-device messages that are dropped can be acknowledged")
	case r.Certificate != "" && r.Action != FaultCertificate:
		return errors.New("only the action certificate has a kind of certificate")
	case r.Certificate != "" && !slices.Contains([]FaultCertificateKind{CertificateUntrusted, CertificateExpired, CertificateWrongName}, r.Certificate):
		return fmt.Errorf("certificate %q is none of untrusted, expired, wrongName", r.Certificate)
	}
	if r.Action == FaultDelay {
		return r.Delays.validate()
	}
	return nil
}

func (d *FaultDelays) validate() error {
	for _, v := range []time.Duration{d.Value, d.Min, d.Max, d.Mean, d.Deviation} {
		if v < 0 || v > MaxFaultWait {
			return fmt.Errorf("delays are from 0 to %v", MaxFaultWait)
		}
	}
	ok := false
	switch d.Distribution {
	case "", "fixed":
		ok = d.Value > 0
	case "uniform":
		ok = d.Max > 0 && d.Min <= d.Max
	case "normal":
		ok = d.Mean > 0
	case "exponential":
		ok = d.Mean > 0
	default:
		return fmt.Errorf("distribution %q is none of fixed, uniform, normal, exponential", d.Distribution)
	}
	if !ok {
		return errors.New("a delay needs a value (fixed), min and max (uniform), mean and deviation (normal) or mean (exponential)")
	}
	return nil
}

// duration draws a delay of an identity.
func (d *FaultDelays) duration(chance func(iothub.ID) *rand.Rand, id iothub.ID) time.Duration {
	v := float64(d.Value)
	switch d.Distribution {
	case "uniform":
		v = float64(d.Min) + chance(id).Float64()*float64(d.Max-d.Min)
	case "normal":
		v = float64(d.Mean) + chance(id).NormFloat64()*float64(d.Deviation)
	case "exponential":
		v = chance(id).ExpFloat64() * float64(d.Mean)
	}
	return time.Duration(min(max(v, 0), float64(MaxFaultWait)))
}

// devicePattern is for path.Match; "" stands for all devices.
func devicePattern(device string) string {
	if device == "*" {
		return ""
	}
	return strings.NewReplacer(`\`, `\\`, `[`, `\[`).Replace(device)
}

func (r *faultRule) about(operation, protocol, deviceID string) bool {
	if r.Operation != operation {
		method, pattern, isRequest := strings.Cut(operation, " ")
		if !isRequest || r.Operation != FaultOnREST && !requestMatches(r.Operation, method, pattern) {
			return false
		}
	}
	if len(r.Protocols) > 0 && !slices.Contains(r.Protocols, protocol) {
		return false
	}
	if r.device == "" {
		return true
	}
	ok, err := path.Match(r.device, deviceID)
	return ok && err == nil
}

// requestMatches compares the method, and the path segment by segment, or up to a last *.
func requestMatches(rule, method, pattern string) bool {
	ruleMethod, rulePattern, _ := strings.Cut(rule, " ")
	if ruleMethod != "*" && ruleMethod != method {
		return false
	}
	if prefix, ok := strings.CutSuffix(rulePattern, "*"); ok {
		return strings.HasPrefix(pattern, prefix)
	}
	return rulePattern == pattern
}

// take counts an operation and decides by chance, count and rate whether it is hit.
// What chance decides about one identity does not depend on what others do, nor on the protocol: its decisions are
// those of the seed and of its own operations before.
func (r *faultRule) take(id iothub.ID) (delay time.Duration, hit bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.matched++
	if r.matched <= r.Skip || r.Count > 0 && r.hits >= r.Count || r.Probability < 1 && r.chance(id).Float64() >= r.Probability {
		return 0, false
	}
	if r.Action == FaultThrottle {
		now := time.Now()
		if r.passed.Before(now) {
			r.passed = now
		}
		if r.passed.Sub(now) < time.Second { // a second's worth may come at once
			r.passed = r.passed.Add(time.Duration(float64(time.Second) / r.Rate))
			return 0, false
		}
	}
	r.hits++
	if r.Action == FaultDelay {
		delay = r.Delays.duration(r.chance, id)
	}
	return delay, true
}

// maxChances is how many identities a rule keeps random numbers for; with more, all begin again.
const maxChances = 100_000

// chance returns the random numbers of an identity. Its caller holds mu.
func (r *faultRule) chance(id iothub.ID) *rand.Rand {
	random := r.random[id]
	if random == nil {
		if len(r.random) >= maxChances {
			clear(r.random)
		}
		sum := fnv.New64a()
		_, _ = sum.Write([]byte(id.String()))               // a hash takes everything
		random = rand.New(rand.NewPCG(r.Seed, sum.Sum64())) //nolint:gosec // repeatable on purpose
		r.random[id] = random
	}
	return random
}
