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

// take receives until there is nothing, as a front end does, and returns the messages' IDs.
func take(c *Connection) string {
	var ids []string
	for {
		d, ok := c.ReceiveC2D()
		if !ok {
			return strings.Join(ids, " ")
		}
		ids = append(ids, d.Message.System.MessageID)
	}
}

func (f *fixture) delayC2D(protocol string, delay time.Duration, count int64) {
	f.t.Helper()
	f.rule(FaultRule{Operation: FaultOnC2D, Action: FaultDelay, Protocols: []string{protocol}, Delays: FaultDelays{Value: delay}, Count: count})
}

// TestFaultDelaysC2D: a message comes later, those behind it stay behind it, and each protocol's lock is its own.
func TestFaultDelaysC2D(t *testing.T) {
	for _, protocol := range []string{"mqtt", "amqp"} {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				id := f.device("d")
				c, client := f.connect(id, protocol)
				c.EnableC2D(true)
				f.delayC2D(protocol, time.Second, 1)
				f.send(id, "1", iothub.AckFull)
				f.send(id, "2", iothub.AckFull)
				if got := take(c); got != "" {
					t.Errorf("at once: %q", got)
				}
				client.signals()
				time.Sleep(time.Second)
				synctest.Wait()
				if n := client.signals(); n != 1 {
					t.Errorf("the client hears %d times", n)
				}
				if got := take(c); got != "1 2" {
					t.Errorf("later: %q", got)
				}
			})
		})
	}
}

// TestFaultDelaysC2DPastItsLock: over AMQP a message whose lock runs out while it is held back is in the queue again.
func TestFaultDelaysC2DPastItsLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		id := f.device("d")
		c, _ := f.connect(id, "amqp")
		c.EnableC2D(true)
		f.delayC2D("amqp", 2*time.Minute, 1)
		f.send(id, "1", iothub.AckNone)
		if got := take(c); got != "" {
			t.Errorf("at once: %q", got)
		}
		time.Sleep(2*time.Minute + time.Second)
		synctest.Wait()
		d, ok := c.ReceiveC2D()
		if !ok || f.CompleteC2D(context.Background(), id, d.LockToken) != nil {
			t.Errorf("later: %+v, %v", d, ok)
		}
		if got := take(c); got != "" {
			t.Errorf("and again: %q", got)
		}
	})
}

// TestFaultDelaysC2DOfWhoLeaves: what was held back goes to the next connection.
func TestFaultDelaysC2DOfWhoLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		id := f.device("d")
		c, _ := f.connect(id, "mqtt")
		c.EnableC2D(true)
		f.delayC2D("mqtt", time.Minute, 1)
		f.send(id, "1", iothub.AckNone)
		if got := take(c); got != "" {
			t.Errorf("at once: %q", got)
		}
		c.Close()
		again, _ := f.connect(id, "mqtt")
		again.EnableC2D(true)
		if got := take(again); got != "1" {
			t.Errorf("the next connection gets %q", got)
		}
		if got := take(c); got != "" {
			t.Errorf("the one that left gets %q", got)
		}
	})
}

// TestFaultDuplicatesC2D: a message comes twice, the lock of the first one is over, and completing the second ends it.
func TestFaultDuplicatesC2D(t *testing.T) {
	f, ctx := newFixture(t), context.Background()
	id := f.device("d")
	f.rule(FaultRule{Operation: FaultOnC2D, Action: FaultDuplicate})
	for _, protocol := range []string{"mqtt", "amqp", "https"} {
		receive := func() Delivery {
			t.Helper()
			d, ok, err := f.ReceiveC2D(ctx, id)
			if err != nil || !ok {
				t.Fatalf("%s: %v, %v", protocol, ok, err)
			}
			return d
		}
		if protocol != "https" {
			c, _ := f.connect(id, protocol)
			c.EnableC2D(true)
			receive = func() Delivery {
				t.Helper()
				d, ok := c.ReceiveC2D()
				if !ok {
					t.Fatalf("%s: nothing", protocol)
				}
				return d
			}
		}
		f.send(id, "1", iothub.AckNone)
		f.send(id, "2", iothub.AckNone)
		for _, want := range []string{"1", "2"} {
			first, second := receive(), receive()
			if first.Message.System.MessageID != want || second.Message.System.MessageID != want || first.LockToken == second.LockToken {
				t.Errorf("%s: %s and %s, want %s twice", protocol, first.Message.System.MessageID, second.Message.System.MessageID, want)
			}
			wantCode(t, f.CompleteC2D(ctx, id, first.LockToken), iothub.CodeDeviceMessageLockLost)
			if err := f.CompleteC2D(ctx, id, second.LockToken); err != nil {
				t.Error(err)
			}
		}
		if n := f.count(id); n != 0 {
			t.Errorf("%s: %d are left", protocol, n)
		}
	}
}

// TestFaultsOfC2DOverHTTPS: a request waits, or is not answered.
func TestFaultsOfC2DOverHTTPS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, ctx := newFixture(t), context.Background()
		id := f.device("d")
		f.send(id, "1", iothub.AckNone)
		f.send(id, "2", iothub.AckNone)
		f.delayC2D("https", time.Second, 1)
		began := time.Now()
		if got, _ := f.receive(id); got != "1" || time.Since(began) != time.Second {
			t.Errorf("%q after %v", got, time.Since(began))
		}
		for action, want := range map[FaultAction]error{FaultDrop: ErrUnanswered, FaultDisconnect: ErrUnanswered, FaultHalfOpen: ErrSilent} {
			f.RemoveFaultRule("")
			f.rule(FaultRule{Operation: FaultOnC2D, Action: action, Device: "d", Count: 1})
			if _, _, err := f.ReceiveC2D(ctx, id); !errors.Is(err, want) {
				t.Errorf("%s: %v", action, err)
			}
			time.Sleep(iothub.C2DLock)
		}
		if got, _ := f.receive(id); got != "1" { // its lock is over, too
			t.Errorf("then %q", got)
		}
	})
}

// TestFaultsOfTelemetryOverHTTPS: what is acknowledged and lost, and what comes twice.
func TestFaultsOfTelemetryOverHTTPS(t *testing.T) {
	f, ctx := newFixture(t), context.Background()
	id := f.device("d")
	send := func(body string) {
		t.Helper()
		if err := f.SendTelemetry(ctx, id, options("https").Grant, []iothub.Telemetry{{Body: []byte(body)}}); err != nil {
			t.Error(err)
		}
	}
	f.rule(FaultRule{Operation: FaultOnTelemetry, Action: FaultDrop, Acknowledge: true, Count: 1})
	f.rule(FaultRule{Operation: FaultOnTelemetry, Action: FaultDuplicate, Count: 1})
	send("lost")
	send("twice")
	send("once")
	if got := f.bodies(); got != "twice twice once" {
		t.Errorf("kept %q", got)
	}
}

// TestFaultRepeatsReport: a patch that is applied twice has two versions.
func TestFaultRepeatsReport(t *testing.T) {
	f := newFixture(t)
	c, _ := f.connect(f.device("d"), "amqp")
	f.rule(FaultRule{Operation: FaultOnTwinReport, Action: FaultDuplicate, Count: 1})
	for _, want := range []int64{3, 4} {
		if version, err := c.Report(context.Background(), []byte(`{"a":1}`), nil); err != nil || version != want {
			t.Errorf("version %d, %v, want %d", version, err, want)
		}
	}
}
