package hub

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// askFault is a message that asks for a fault.
func askFault(which iothub.FaultType, delay, duration string) iothub.Telemetry {
	return iothub.Telemetry{Body: []byte(" "), Properties: iothub.Properties{
		{Name: iothub.FaultTypeProperty, Value: string(which)},
		{Name: iothub.FaultCloseReasonProperty, Value: "boom"},
		{Name: iothub.FaultDelayProperty, Value: delay},
		{Name: iothub.FaultDurationProperty, Value: duration},
	}}
}

// gone returns why the hub ended the client's connection so far; 0 if it did not.
func (c *fakeClient) ended() iothub.Code {
	select {
	case reason := <-c.gone:
		return reason.Code
	default:
		return 0
	}
}

// faultClient is a fakeClient that faults can be injected on.
type faultClient struct {
	*fakeClient
	faults chan iothub.FaultType
}

func (c *faultClient) InjectFault(f iothub.Fault, _ *iothub.Error) { c.faults <- f.Type }

// Every type on every protocol it applies to: the answer to the message, the
// delay, the end, the refusals while it lasts, and that it is forgotten.
func TestFaultTypes(t *testing.T) {
	for _, which := range iothub.FaultTypes() {
		for _, protocol := range []string{"mqtt", "mqtt-ws", "amqp", "amqp-ws"} {
			if !which.AppliesTo(protocol) {
				continue
			}
			t.Run(fmt.Sprint(which, "/", protocol), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { checkFault(t, which, protocol) }) })
		}
	}
}

func checkFault(t *testing.T, which iothub.FaultType, protocol string) {
	f := newFixture(t)
	id, other := f.device("d1"), f.device("d2")
	mqtt := protocol[:4] == "mqtt"
	client := &faultClient{newFakeClient(), make(chan iothub.FaultType, 10)}
	c, err := f.Connect(context.Background(), id, options(protocol), client)
	if err != nil {
		t.Fatal(err)
	}
	neighbour, neighbourClient := f.connect(other, protocol)

	var want error
	if mqtt {
		want = ErrFaultTaken
	}
	if err := f.telemetry(c, askFault(which, "2", "5")); !errors.Is(err, want) {
		t.Fatalf("the fault message: %v", err)
	}
	// A second one while the first is pending changes nothing.
	_ = f.telemetry(c, askFault(which, "0", "1000"))
	time.Sleep(2*time.Second - 1)
	synctest.Wait()
	if len(client.faults) > 0 {
		t.Fatal("the fault came before its time")
	}
	if err := f.telemetry(c, iothub.Telemetry{}); err != nil {
		t.Fatalf("during the delay: %v", err)
	}
	time.Sleep(time.Nanosecond)
	synctest.Wait()
	ends := mqtt || !which.Invokes()
	if got := len(client.faults) == 1; got != ends {
		t.Fatalf("ended: %v", got)
	}
	if ends && <-client.faults != which {
		t.Fatal("another fault was injected")
	}

	// In effect, until the last moment.
	time.Sleep(5*time.Second - 1)
	refusal := iothub.ErrorCode(which.Refusal())
	wantSend, wantConnect, wantLink := iothub.Code(0), iothub.Code(0), refusal
	switch {
	case which == iothub.FaultQuota:
		wantSend = refusal
	case which.Invokes():
		wantSend, wantConnect = refusal, refusal
	case which.EndsConnection():
		wantConnect = refusal
	}
	wantCode(t, f.telemetry(c, iothub.Telemetry{}), wantSend)
	wantCode(t, f.SendTelemetry(context.Background(), id, options("").Grant, []iothub.Telemetry{{}}), wantSend)
	wantCode(t, f.FaultOn(id, which), wantLink)
	wantCode(t, f.FaultOn(id, "Other"), 0)
	newcomer, err := f.Connect(context.Background(), id, options(protocol), newFakeClient())
	wantCode(t, err, wantConnect)
	if newcomer != nil {
		newcomer.Close()
	}
	// Nobody else notices.
	if err := f.telemetry(neighbour, iothub.Telemetry{}); err != nil || neighbourClient.ended() != 0 {
		t.Errorf("another device: %v", err)
	}

	// Over.
	time.Sleep(time.Nanosecond)
	again, _ := f.connect(id, protocol)
	if err := f.telemetry(again, iothub.Telemetry{}); err != nil {
		t.Errorf("after the fault: %v", err)
	}
	wantCode(t, f.FaultOn(id, which), 0)
	if mqtt {
		// What had no PUBACK comes again, once.
		if err := f.telemetry(again, askFault(which, "2", "5")); err != nil {
			t.Errorf("sent again: %v", err)
		}
	}
	f.Sweep(time.Now())
	if n := f.faults.n.Load(); n != 0 {
		t.Errorf("%d faults are remembered", n)
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	if len(client.faults) > 0 {
		t.Error("the fault came twice")
	}
	// It can be asked for anew.
	if err := f.telemetry(again, askFault(which, "0", "1")); !errors.Is(err, want) {
		t.Errorf("anew: %v", err)
	}
}

// The messages that ask are not stored; those that ask for what there is not are.
func TestFaultMessagesAreNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		id := f.device("d1")
		c, client := f.connect(id, "amqp")
		for _, m := range []iothub.Telemetry{
			askFault(iothub.FaultKillAMQPConnection, "0", "0"), askFault(iothub.FaultShutDownMQTT, "0", "0"), askFault("KillAll", "0", "0"),
		} {
			if err := f.telemetry(c, m); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if m.Properties[0].Value == string(iothub.FaultKillAMQPConnection) {
				// A client that knows no faults is disconnected.
				if code := client.ended(); code != iothub.CodeConnectionForcefullyClosedOnFaultInjection {
					t.Fatalf("ended with %v", code)
				}
				c, client = f.connect(id, "amqp")
			}
		}
		wantCode(t, f.telemetry(c, askFault(iothub.FaultKillTCP, "soon", "0")), iothub.CodeArgumentInvalid)
		if code := client.ended(); code != 0 {
			t.Errorf("a message that is no fault ended the connection with %v", code)
		}
		if n := stored(t, f); n != 2 {
			t.Errorf("%d messages are stored, want the two that ask for nothing", n)
		}
	})
}

func stored(t *testing.T, f *fixture) (n int) {
	for p := range f.options.Log.Partitions() {
		info, err := f.options.Log.Info(p)
		if err != nil {
			t.Fatal(err)
		}
		n += int(info.Next - info.First)
	}
	return n
}

// The hub's clock decides, and Sweep brings the fault about.
func TestFaultObeysTheHubsClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := newMovableClock()
		f := newFixture(t, func(o *Options) { o.Now = clock.now })
		c, client := f.connect(f.device("d1"), "amqp")
		if err := f.telemetry(c, askFault(iothub.FaultKillTCP, "3600", "86400")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if client.ended() != 0 {
			t.Fatal("the fault came although the clock stands still")
		}
		f.Sweep(clock.advance(time.Hour))
		synctest.Wait()
		if client.ended() != iothub.CodeConnectionForcefullyClosedOnFaultInjection {
			t.Fatal("the fault did not come with Sweep")
		}
		wantCode(t, f.refuseConnect(c.ID()), iothub.CodeConnectionRejectedOnFaultInjection)
		f.Sweep(clock.advance(24 * time.Hour))
		if n := f.faults.n.Load(); n != 0 || f.refuseConnect(c.ID()) != nil {
			t.Errorf("%d faults are remembered", n)
		}
	})
}

// A connection that has gone takes its fault along; a deleted device too.
func TestFaultOfWhoHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		id := f.device("d1")
		c, _ := f.connect(id, "mqtt")
		_ = f.telemetry(c, askFault(iothub.FaultKillTCP, "5", "100"))
		c, client := f.connect(id, "mqtt")
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if n := f.faults.n.Load(); n != 0 || client.ended() != 0 {
			t.Fatalf("the newer connection was met; %d faults are remembered", n)
		}
		_ = f.telemetry(c, askFault(iothub.FaultThrottling, "5", "100"))
		_ = f.telemetry(c, askFault(iothub.FaultAuth, "0", "100"))
		synctest.Wait()
		wantCode(t, f.refuseConnect(id), iothub.CodeIotHubUnauthorizedAccess)
		if err := f.DeleteIdentity(context.Background(), id, "*"); err != nil {
			t.Fatal(err)
		}
		f.device("d1")
		c, client = f.connect(id, "mqtt")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if err := f.telemetry(c, iothub.Telemetry{}); err != nil || client.ended() != 0 || f.faults.n.Load() != 0 {
			t.Errorf("a device of the same name is met by the old one's fault: %v", err)
		}
		// Pending at the end of the hub, which newFixture closes.
		_ = f.telemetry(c, askFault(iothub.FaultKillTCP, "3600", "1"))
	})
}

// Over HTTPS only the Invoke faults are faults; the request itself is refused, too.
func TestFaultsOverHTTPS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		id := f.device("d1")
		send := func(m ...iothub.Telemetry) error {
			return f.SendTelemetry(context.Background(), id, options("").Grant, m)
		}
		for _, which := range iothub.FaultTypes() {
			before := stored(t, f)
			if !which.Invokes() {
				if err := send(askFault(which, "0", "5")); err != nil {
					t.Errorf("%s: %v", which, err)
				}
				synctest.Wait()
				if err := send(iothub.Telemetry{}); err != nil || stored(t, f) != before+2 {
					t.Errorf("%s: %v, or it was not stored", which, err)
				}
				continue
			}
			code := which.Refusal().Code
			wantCode(t, send(iothub.Telemetry{}, askFault(which, "2", "5")), code)
			if n := stored(t, f); n != before {
				t.Errorf("%s: %d messages of a refused request are stored", which, n-before)
			}
			wantCode(t, send(iothub.Telemetry{}), 0)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			wantCode(t, send(iothub.Telemetry{}), code)
			time.Sleep(5 * time.Second)
			wantCode(t, send(iothub.Telemetry{}), 0)
		}
		wantCode(t, send(askFault(iothub.FaultAuth, "x", "5")), iothub.CodeArgumentInvalid)
		f.Sweep(time.Now())
		if n := f.faults.n.Load(); n != 0 {
			t.Errorf("%d faults are remembered", n)
		}
	})
}
