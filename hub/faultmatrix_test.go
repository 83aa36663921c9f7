package hub

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// TestFaultMatrix: each combination of operation and action is there, or is refused with a reason.
func TestFaultMatrix(t *testing.T) {
	f := newFixture(t)
	base := func(o FaultOperation, a FaultAction) FaultRule {
		r := FaultRule{Operation: o.Name, Action: a}
		if a == FaultDelay {
			r.Delays.Value = time.Second
		}
		if a == FaultThrottle {
			r.Rate = 1
		}
		return r
	}
	refused := func(r FaultRule, why string) {
		t.Helper()
		_, err := f.AddFaultRule(r)
		if iothub.ErrorCode(err) != iothub.CodeArgumentInvalid || !strings.Contains(err.Error(), why) || why == "" {
			t.Errorf("%+v: %v, want %q", r, err, why)
		}
	}
	for _, o := range FaultMatrix() {
		for _, a := range FaultActions() {
			if slices.Contains(o.Actions, a) == (o.Why[a] != "") {
				t.Errorf("%s, %s: taken and refused, or neither", o.Name, a)
			}
			if why := o.Why[a]; why != "" {
				refused(base(o, a), why)
			} else if _, err := f.AddFaultRule(base(o, a)); err != nil {
				t.Errorf("%s, %s: %v", o.Name, a, err)
			}
		}
		for _, p := range []string{"mqtt", "mqtt-ws", "amqp", "amqp-ws", "https"} {
			r := base(o, o.Actions[len(o.Actions)-1])
			if r.Protocols = []string{p}; !slices.Contains(o.Protocols, p) {
				refused(r, "is not there over "+p)
			} else if _, err := f.AddFaultRule(r); err != nil {
				t.Errorf("%s over %s: %v", o.Name, p, err)
			}
		}
		r := base(o, o.Actions[0])
		if r.Device = "d"; o.NoDevice != "" {
			refused(r, o.NoDevice)
		} else if _, err := f.AddFaultRule(r); err != nil {
			t.Errorf("%s of a device: %v", o.Name, err)
		}
	}
}

// TestFaultRuleSeedPerDevice: what chance decides about a device is the same over each protocol, and whatever others do meanwhile.
func TestFaultRuleSeedPerDevice(t *testing.T) {
	f := newFixture(t)
	pattern := func(protocol string, others int) string {
		f.RemoveFaultRule("")
		f.rule(FaultRule{Operation: FaultOnTelemetry, Action: FaultDelay, Probability: 0.5, Seed: 42, Delays: FaultDelays{Distribution: "uniform", Max: time.Minute}})
		var all sync.WaitGroup
		for range others {
			all.Go(func() {
				for range 100 {
					f.fault(FaultOnTelemetry, "amqp", iothub.ID{DeviceID: "other" + string(rune('a'+rand.N(26)))})
				}
			})
		}
		var b strings.Builder
		for range 64 {
			e, _ := f.fault(FaultOnTelemetry, protocol, iothub.ID{DeviceID: "d"})
			b.WriteString(e.delay.String() + " ")
		}
		all.Wait()
		return b.String()
	}
	want := pattern("mqtt", 0)
	for _, protocol := range []string{"mqtt", "mqtt-ws", "amqp", "amqp-ws", "https"} {
		if got := pattern(protocol, 3); got != want {
			t.Errorf("%s: %s, want %s", protocol, got, want)
		}
	}
	f.RemoveFaultRule("")
	f.rule(FaultRule{Operation: FaultOnTelemetry, Action: FaultRefuse, Probability: 0.5, Seed: 42})
	same := 0
	for range 64 {
		_, one := f.fault(FaultOnTelemetry, "mqtt", iothub.ID{DeviceID: "d"})
		_, other := f.fault(FaultOnTelemetry, "mqtt", iothub.ID{DeviceID: "e"})
		if one == other {
			same++
		}
	}
	if same == 64 || same == 0 {
		t.Error("what chance decides about two devices goes together")
	}
}
