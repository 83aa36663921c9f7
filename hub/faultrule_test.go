package hub

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// endingClient notes what fault rules do to a connection.
type endingClient struct {
	*fakeClient
	killed, silenced bool
}

func (c *endingClient) InjectFault(iothub.Fault, *iothub.Error) { c.killed = true }
func (c *endingClient) Silence()                                { c.silenced = true }

func (f *fixture) rule(r FaultRule) FaultRuleState {
	f.t.Helper()
	state, err := f.AddFaultRule(r)
	if err != nil {
		f.t.Fatalf("rule %+v: %v", r, err)
	}
	return state
}

func (f *fixture) hits(id string) int64 {
	f.t.Helper()
	for _, r := range f.FaultRules() {
		if r.ID == id {
			return r.Hits
		}
	}
	f.t.Fatalf("there is no rule %s", id)
	return 0
}

func (f *fixture) bodies() string {
	f.t.Helper()
	var all []string
	for _, a := range f.activity(ActivityQuery{Kinds: []ActivityKind{ActivityTelemetry}}).Activities {
		all = append(all, string(a.Telemetry.Body))
	}
	return strings.Join(all, " ")
}

func try(c *Connection, body string) error {
	done := make(chan error, 1)
	c.SendTelemetry(context.Background(), iothub.Telemetry{Body: []byte(body)}, func(err error) { done <- err })
	return <-done
}

func TestFaultRulesOfTelemetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		client := &endingClient{fakeClient: newFakeClient()}
		c, err := f.Connect(context.Background(), f.device("d-1"), options("mqtt"), client)
		if err != nil {
			t.Fatal(err)
		}
		other, _ := f.connect(f.device("e"), "amqp")
		on := FaultRule{Device: "d-?", Operation: FaultOnTelemetry, Protocols: []string{"mqtt"}, Count: 1}
		with := func(change func(*FaultRule)) FaultRule { r := on; change(&r); return r }

		f.rule(with(func(r *FaultRule) { r.Action, r.Code = FaultRefuse, iothub.CodeIotHubQuotaExceeded }))
		if err := try(other, "o1"); err != nil {
			t.Errorf("another device: %v", err)
		}
		wantCode(t, try(c, "refused"), iothub.CodeIotHubQuotaExceeded)
		f.mustSend(c, "1") // the count is used up
		f.RemoveFaultRule("")

		f.rule(with(func(r *FaultRule) { r.Action, r.Skip = FaultDrop, 1 }))
		f.mustSend(c, "2")
		if err := try(c, "dropped"); !errors.Is(err, ErrFaultTaken) {
			t.Errorf("a dropped message: %v", err)
		}
		f.RemoveFaultRule("")
		f.rule(with(func(r *FaultRule) { r.Action, r.Acknowledge = FaultDrop, true }))
		f.mustSend(c, "lost")
		f.RemoveFaultRule("")

		f.rule(with(func(r *FaultRule) { r.Action = FaultDuplicate }))
		f.mustSend(c, "3")
		f.RemoveFaultRule("")

		f.rule(with(func(r *FaultRule) { r.Action, r.Count, r.Delays = FaultDelay, 2, FaultDelays{Value: time.Second} }))
		began := time.Now()
		first := make(chan time.Duration, 1)
		body := []byte("4")
		c.SendTelemetry(context.Background(), iothub.Telemetry{Body: body}, func(err error) {
			if err != nil {
				t.Error(err)
			}
			first <- time.Since(began)
		})
		body[0] = 'x' // it is the caller's again
		f.mustSend(c, "5")
		if took := time.Since(began); took != time.Second || <-first != time.Second {
			t.Errorf("delayed by %v", took)
		}
		f.RemoveFaultRule("")

		f.rule(with(func(r *FaultRule) { r.Action, r.Count, r.Rate = FaultThrottle, 0, 2 }))
		f.mustSend(c, "6")
		f.mustSend(c, "7")
		wantCode(t, try(c, "throttled"), iothub.CodeThrottlingException)
		time.Sleep(time.Second)
		f.mustSend(c, "8")
		f.RemoveFaultRule("")

		f.rule(with(func(r *FaultRule) { r.Action = FaultDisconnect }))
		if err := try(c, "cut"); !errors.Is(err, ErrFaultTaken) || !client.killed {
			t.Errorf("disconnected %v, %v", client.killed, err)
		}
		f.RemoveFaultRule("")
		f.rule(with(func(r *FaultRule) { r.Action = FaultHalfOpen }))
		if err := try(c, "silent"); !errors.Is(err, ErrFaultTaken) || !client.silenced {
			t.Errorf("half open %v, %v", client.silenced, err)
		}
		if got := f.bodies(); got != "o1 1 2 3 3 4 5 6 7 8" && got != "1 2 3 3 4 5 6 7 8 o1" && !strings.Contains(got, "1 2 3 3 4 5 6 7 8") {
			t.Errorf("stored %q", got)
		}
		if hit := f.activity(ActivityQuery{Kinds: []ActivityKind{ActivityFault}}).Activities; len(hit) != 9 || hit[0].Operation != FaultOnTelemetry || hit[0].Rule == "" {
			t.Errorf("hits: %+v", hit)
		}
	})
}

// A delay does not outlive the hub.
func TestFaultDelayEndsWithTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		c, _ := f.connect(f.device("d"), "mqtt")
		f.rule(FaultRule{Operation: FaultOnTelemetry, Action: FaultDelay, Delays: FaultDelays{Value: time.Minute}})
		done := make(chan error, 1)
		c.SendTelemetry(context.Background(), iothub.Telemetry{}, func(err error) { done <- err })
		began := time.Now()
		if err := f.Close(); err != nil || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		wantCode(t, <-done, iothub.CodeServiceUnavailable)
	})
}

func TestFaultRulesOfEverythingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, ctx := newFixture(t), context.Background()
		id := f.device("d")
		once := func(operation string, action FaultAction) {
			f.RemoveFaultRule("")
			r := FaultRule{Device: "d", Operation: operation, Action: action, Count: 1}
			if action == FaultDelay {
				r.Delays.Value = time.Second
			}
			f.rule(r)
		}
		once(FaultOnConnect, FaultRefuse)
		_, err := f.Connect(ctx, id, options("mqtt"), newFakeClient())
		wantCode(t, err, iothub.CodeThrottlingException)
		once(FaultOnConnect, FaultHalfOpen)
		silent := &endingClient{fakeClient: newFakeClient()}
		if _, err = f.Connect(ctx, id, options("mqtt"), silent); !errors.Is(err, ErrUnanswered) || !silent.silenced {
			t.Errorf("half open: %v", err)
		}
		client := &endingClient{fakeClient: newFakeClient()}
		c, err := f.Connect(ctx, id, options("mqtt"), client)
		if err != nil {
			t.Fatal(err)
		}
		c.EnableMethods(true)
		c.EnableDesired(true)
		c.EnableC2D(true)

		call := func() error {
			_, err := f.InvokeMethod(ctx, id, iothub.MethodRequest{MethodName: "m", ResponseTimeout: 5 * time.Second})
			return err
		}
		once(FaultOnMethod, FaultRefuse)
		wantCode(t, call(), iothub.CodeThrottlingException)
		once(FaultOnMethod, FaultDrop)
		wantCode(t, call(), iothub.CodeGatewayTimeout)
		if len(client.methods) != 0 {
			t.Error("a dropped call came")
		}
		once(FaultOnMethod, FaultDuplicate)
		go func() { c.AnswerMethod((<-client.methods).RequestID, iothub.MethodResponse{Status: 200}) }()
		if err := call(); err != nil || len(client.methods) != 1 {
			t.Errorf("a call twice: %v, %d left", err, len(client.methods))
		}
		<-client.methods

		once(FaultOnTwinGet, FaultDrop)
		if _, err := c.Twin(ctx); !errors.Is(err, ErrUnanswered) {
			t.Errorf("twin: %v", err)
		}
		once(FaultOnTwinReport, FaultDelay)
		began := time.Now()
		if _, err := c.Report(ctx, []byte(`{"a":1}`), nil); err != nil || time.Since(began) != time.Second {
			t.Errorf("report: %v after %v", err, time.Since(began))
		}
		patch := func() {
			t.Helper()
			if _, err := f.PatchTwin(ctx, id, iothub.TwinPatch{Desired: map[string]any{"a": time.Now().String()}}, ""); err != nil {
				t.Fatal(err)
			}
		}
		once(FaultOnTwinDesired, FaultDrop)
		patch()
		once(FaultOnTwinDesired, FaultDuplicate)
		patch()
		once(FaultOnTwinDesired, FaultDelay)
		patch()
		time.Sleep(2 * time.Second)
		if got := client.changes(); len(got) != 3 {
			t.Errorf("notified of %v", got)
		}

		once(FaultOnC2D, FaultDrop)
		f.send(id, "lost", iothub.AckNone)
		f.send(id, "comes", iothub.AckNone)
		if d, ok := c.ReceiveC2D(); !ok || d.Message.System.MessageID != "comes" {
			t.Errorf("receives %+v", d.Message)
		}
		once(FaultOnREST, FaultRefuse)
		if err := f.FaultRequest(WithoutFaults(ctx), "GET /twins/{deviceID}", id); err != nil {
			t.Errorf("an exempt request: %v", err)
		}
		wantCode(t, f.FaultRequest(ctx, "GET /twins/{deviceID}", id), iothub.CodeThrottlingException)
		if err := f.FaultRequest(ctx, "GET /twins/{deviceID}", id); err != nil {
			t.Errorf("after the count: %v", err)
		}
		once("GET /devices/*", FaultHalfOpen)
		for operation, want := range map[string]error{"GET /twins/{deviceID}": nil, "PUT /devices/{deviceID}": nil, "GET /devices/{deviceID}": ErrSilent} {
			if err := f.FaultRequest(ctx, operation, id); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", operation, err, want)
			}
		}
		once(FaultOnConnect, FaultDisconnect)
		shown := func(protocol string) FaultCertificateKind {
			kind, err := f.FaultHandshake(ctx, protocol, nil)
			if err != nil {
				t.Error(err)
			}
			return kind
		}
		if shown("mqtt") != "" {
			t.Error("a bad certificate without a rule")
		}
		r := f.rule(FaultRule{Operation: FaultOnHandshake, Action: FaultCertificate, Protocols: []string{"mqtt"}})
		if shown("amqp") != "" || shown("mqtt") != CertificateUntrusted || f.hits(r.ID) != 1 {
			t.Error("the rule about certificates")
		}
		if f.RemoveFaultRule(r.ID) != 1 || f.RemoveFaultRule(r.ID) != 0 || len(f.FaultRules()) != 1 {
			t.Error("removing a rule")
		}
	})
}

// The same seed decides the same.
func TestFaultRuleSeed(t *testing.T) {
	run := func(seed uint64) (pattern string, delays time.Duration, used uint64) {
		f := newFixture(t)
		r := f.rule(FaultRule{Operation: FaultOnTwinGet, Action: FaultRefuse, Probability: 0.5, Seed: seed})
		for range 64 {
			_, hit := f.fault(FaultOnTwinGet, "mqtt", iothub.ID{DeviceID: "d"})
			pattern += map[bool]string{true: "x", false: "."}[hit]
		}
		for _, d := range []FaultDelays{
			{Distribution: "uniform", Min: time.Second, Max: 2 * time.Second},
			{Distribution: "normal", Mean: time.Second, Deviation: 100 * time.Millisecond},
			{Distribution: "exponential", Mean: time.Second},
		} {
			f.RemoveFaultRule("")
			f.rule(FaultRule{Operation: FaultOnTwinGet, Action: FaultDelay, Seed: r.Seed, Delays: d})
			for range 1000 {
				e, _ := f.fault(FaultOnTwinGet, "mqtt", iothub.ID{DeviceID: "d"})
				if e.delay < 0 || d.Distribution == "uniform" && (e.delay < d.Min || e.delay > d.Max) {
					t.Errorf("%s: %v", d.Distribution, e.delay)
				}
				delays += e.delay
			}
		}
		return pattern, delays, r.Seed
	}
	pattern, delays, seed := run(0)
	again, delaysAgain, _ := run(seed)
	if pattern != again || delays != delaysAgain || seed == 0 {
		t.Errorf("seed %d: %s and %s, %v and %v", seed, pattern, again, delays, delaysAgain)
	}
	if n := strings.Count(pattern, "x"); n < 10 || n > 54 {
		t.Errorf("%d of 64 at a probability of a half", n)
	}
	if mean := delays / 3000; mean < time.Second || mean > 1300*time.Millisecond {
		t.Errorf("delays of %v in the mean", mean)
	}
}

func TestFaultRuleRefusals(t *testing.T) {
	f := newFixture(t)
	for name, r := range map[string]FaultRule{
		"no operation": {Action: FaultDrop}, "an unknown operation": {Operation: "x", Action: FaultDrop}, "no action": {Operation: FaultOnTelemetry},
		"an action of others": {Operation: FaultOnC2D, Action: FaultRefuse}, "an unknown action": {Operation: FaultOnC2D, Action: "x"},
		"a certificate": {Operation: FaultOnHandshake, Action: FaultCertificate, Certificate: "x"}, "a certificate of others": {Operation: FaultOnTelemetry, Action: FaultDrop, Certificate: CertificateExpired},
		"a protocol":    {Operation: FaultOnTelemetry, Action: FaultDrop, Protocols: []string{"smtp"}},
		"a probability": {Operation: FaultOnTelemetry, Action: FaultDrop, Probability: 1.5}, "a count": {Operation: FaultOnTelemetry, Action: FaultDrop, Count: -1},
		"a code": {Operation: FaultOnTelemetry, Action: FaultRefuse, Code: 1}, "no rate": {Operation: FaultOnTelemetry, Action: FaultThrottle},
		"no delay": {Operation: FaultOnTelemetry, Action: FaultDelay}, "a distribution": {Operation: FaultOnTelemetry, Action: FaultDelay, Delays: FaultDelays{Distribution: "x"}},
		"a long delay": {Operation: FaultOnTelemetry, Action: FaultDelay, Delays: FaultDelays{Value: time.Hour}},
		"upside down":  {Operation: FaultOnTelemetry, Action: FaultDelay, Delays: FaultDelays{Distribution: "uniform", Min: 2, Max: 1}},
		"acknowledged": {Operation: FaultOnMethod, Action: FaultDrop, Acknowledge: true}, "a device before TLS": {Operation: FaultOnHandshake, Action: FaultCertificate, Device: "d"},
	} {
		if _, err := f.AddFaultRule(r); iothub.ErrorCode(err) != iothub.CodeArgumentInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(f.FaultRules()) != 0 || f.rules.list.Load() != nil {
		t.Error("a refused rule is in effect")
	}
}

func BenchmarkFaultWithoutRules(b *testing.B) {
	h := &Hub{}
	id := iothub.ID{DeviceID: "d1"}
	for b.Loop() {
		if _, hit := h.fault(FaultOnTelemetry, "mqtt", id); hit {
			b.Fatal("hit")
		}
	}
}
