package simulate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/clock"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/seed"
)

// real is a client of a real device.
type real struct{}

func (real) DeliverMethod(iothub.MethodRequest) error { return nil }
func (real) DeliverDesired(int64, []byte)             {}
func (real) C2DWaiting()                              {}
func (real) Disconnect(*iothub.Error)                 {}

func (w *world) connected() (out []string) {
	for _, c := range w.hub.Connections() {
		out = append(out, c.ID.String())
	}
	return out
}

// TestReplaced: a real device that comes under the name of a simulated one keeps it.
func TestReplaced(t *testing.T) {
	inBubble(t, func(w *world) {
		w.put("device: a\ntelemetry: [{every: 1s, body: x}]")
		synctest.Wait()
		id := iothub.ID{DeviceID: "a"}
		conn, err := w.hub.Connect(w.ctx, id, hub.ConnectionOptions{
			Grant: iothub.Grant{Identity: id, Rights: iothub.DeviceConnect, Resource: id.ResourcePath()}, Protocol: "mqtt",
		}, real{})
		if err != nil {
			t.Fatal(err)
		}
		before := len(w.telemetry())
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		c := w.hub.Connections()
		if len(c) != 1 || c[0].Protocol != "mqtt" || len(w.telemetry()) != before {
			t.Errorf("%+v, %d messages", c, len(w.telemetry())-before)
		}
		if s := w.status("a"); s.Connected != 0 || !strings.Contains(s.LastError, "new one") {
			t.Errorf("%+v", s)
		}
		conn.Close()
	})
}

func TestDisabledAndDeleted(t *testing.T) {
	inBubble(t, func(w *world) {
		w.put("device: a\ntelemetry: [{every: 1s, body: x}]")
		w.put("device: b")
		synctest.Wait()
		a, b := iothub.ID{DeviceID: "a"}, iothub.ID{DeviceID: "b"}
		if _, err := w.hub.ReplaceIdentity(w.ctx, a, iothub.IdentityRequest{Status: iothub.StatusDisabled}, "*"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		sent := w.status("a").Sent
		if got := w.connected(); !slices.Equal(got, []string{"b"}) || sent != 1 {
			t.Errorf("connected: %v, sent %d", got, sent)
		}
		if s := w.status("a"); !strings.Contains(s.LastError, "disabled") {
			t.Errorf("%+v", s)
		}
		if _, err := w.hub.ReplaceIdentity(w.ctx, a, iothub.IdentityRequest{Status: iothub.StatusEnabled}, "*"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(35 * time.Second)
		synctest.Wait()
		if got := w.connected(); !slices.Equal(got, []string{"a", "b"}) || w.status("a").Sent <= sent {
			t.Errorf("connected: %v, sent %d", got, w.status("a").Sent)
		}
		if err := w.hub.DeleteIdentity(w.ctx, b, "*"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := w.status("b"); s.Connected != 0 {
			t.Errorf("a deleted device is connected: %+v", s)
		}
		// It is created again with its simulation.
		w.sim.Delete("b")
		w.put("device: b")
		synctest.Wait()
		if s := w.status("b"); s.Connected != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestPutAndDelete(t *testing.T) {
	inBubble(t, func(w *world) {
		const fleet = "name: fleet\ndevice: sim-{n}\ncount: 3\nmodule: m\ntelemetry: [{every: 1s, body: x}]"
		w.put(fleet)
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if got, want := w.connected(), []string{"sim-1/m", "sim-2/m", "sim-3/m"}; !slices.Equal(got, want) {
			t.Errorf("connected: %v", got)
		}
		sent := w.status("fleet").Sent
		// The same again goes on as it is.
		f, err := seed.Parse("x.yaml", []byte("simulations: [{name: fleet, device: 'sim-{n}', count: 3, module: m, telemetry: [{every: 1s, body: x}]}]"), seed.Options{})
		if err != nil {
			t.Fatal(err)
		}
		status, changed, err := w.sim.Put(w.ctx, f.Simulations[0])
		if err != nil || changed || status.Sent != sent {
			t.Errorf("%+v %v %v", status, changed, err)
		}
		// Another one has other devices.
		w.put("name: fleet\ndevice: sim-{n}\ncount: 2\nfirst: 3\nmodule: m")
		synctest.Wait()
		if got, want := w.connected(), []string{"sim-3/m", "sim-4/m"}; !slices.Equal(got, want) {
			t.Errorf("connected: %v", got)
		}
		f.Simulations[0].Name, f.Simulations[0].Telemetry = "second", nil
		if _, _, err := w.sim.Put(w.ctx, f.Simulations[0]); iothub.ErrorCode(err) != iothub.CodeArgumentInvalid ||
			!strings.Contains(err.Error(), `sim-3/m is played by the simulation "fleet"`) {
			t.Errorf("a device of two simulations: %v", err)
		}
		if all := w.sim.List(); len(all) != 1 || all[0].ID != "fleet" || all[0].Devices != 2 {
			t.Errorf("%+v", all)
		}
		if !w.sim.Delete("fleet") || w.sim.Delete("fleet") || len(w.connected()) != 0 {
			t.Errorf("after the end %v is connected", w.connected())
		}
		before := len(w.telemetry())
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(w.telemetry()) != before {
			t.Error("a simulation that ended sends")
		}
		if _, err := w.hub.GetIdentity(w.ctx, iothub.ID{DeviceID: "sim-3", ModuleID: "m"}); err != nil {
			t.Errorf("its devices are gone: %v", err)
		}
		w.sim.Close()
		if _, _, err := w.sim.Put(w.ctx, f.Simulations[0]); err == nil {
			t.Error("a closed simulator began a simulation")
		}
	})
}

// TestRepeatable: the same seed, devices and spec send the same numbers.
func TestRepeatable(t *testing.T) {
	render := func(seed int) (out string) {
		inBubble(t, func(w *world) {
			w.put(fmt.Sprintf("device: a{n}\ncount: 3\nseed: %d\ntelemetry: [{every: 1s, count: 5, body: '{{random 0 1000000}} {{uuid}}'}]", seed))
			time.Sleep(10 * time.Second)
			synctest.Wait()
			var lines []string
			for _, e := range w.telemetry() {
				lines = append(lines, e.ID.String()+" "+string(e.Body))
			}
			slices.Sort(lines)
			out = strings.Join(lines, "\n")
		})
		return out
	}
	one, again, other := render(1), render(1), render(2)
	if one != again || one == other || strings.Count(one, "\n") != 14 {
		t.Errorf("%s\n\n%s\n\n%s", one, again, other)
	}
}

// TestClock: what devices do obeys a clock that is stopped, advanced and set back. What was missed is not made up for.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New(nil)
		w := newWorld(t, c.Now)
		defer w.stop()
		defer c.Watch(func(_, now time.Time) {
			w.hub.Sweep(now)
			w.sim.Wake()
		})()
		w.put("device: a\ntelemetry: [{every: 10s, body: '{{time unix}}'}]\nmethods: {slow: {delay: 1h}}\ntwin: {delay: 1h}")
		id := iothub.ID{DeviceID: "a"}
		time.Sleep(time.Second)
		synctest.Wait()
		if err := c.Freeze(time.Time{}); err != nil {
			t.Fatal(err)
		}
		w.desire(id, `{"v": 1}`)
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(w.telemetry()); n != 1 {
			t.Errorf("%d messages by a clock that stands still", n)
		}
		if err := c.Advance(time.Hour); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(w.telemetry()); n < 2 || n > 3 {
			t.Errorf("%d messages after an hour was skipped", n)
		}
		if got := w.reported(id); got != `{"v":1}` {
			t.Errorf("reported after an hour: %s", got)
		}
		if err := c.Run(time.Time{}); err != nil {
			t.Fatal(err)
		}
		before := len(w.telemetry())
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if n := len(w.telemetry()) - before; n != 3 {
			t.Errorf("%d messages in 30 s", n)
		}
		if err := c.Set(c.Now().Add(-24 * time.Hour)); err != nil {
			t.Fatal(err)
		}
		before = len(w.telemetry())
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if n := len(w.telemetry()) - before; n < 2 || n > 4 {
			t.Errorf("%d messages in 30 s after the clock was set back", n)
		}
	})
}

// TestLostConnection: a fault that the hub injects ends the connection, and the device comes back.
func TestLostConnection(t *testing.T) {
	inBubble(t, func(w *world) {
		w.put(`
device: a
telemetry:
  - every: 5s
    count: 1
    body: ""
    properties: {AzIoTHub_FaultOperationType: KillTcp, AzIoTHub_FaultOperationCloseReason: boom, AzIoTHub_FaultOperationDelayInSecs: "1"}
methods: {ok: {}}
`)
		synctest.Wait()
		before := w.hub.Connections()[0].Since
		time.Sleep(1500 * time.Millisecond)
		w.hub.Sweep(time.Now())
		time.Sleep(10 * time.Second)
		synctest.Wait()
		c := w.hub.Connections()
		if len(c) != 1 || !c[0].Since.After(before) {
			t.Fatalf("%+v", c)
		}
		if r, err := w.call("a", "ok", ""); err != nil || r.Status != 200 {
			t.Errorf("%v %v", r, err)
		}
	})
}

// TestManyUnderRace has simulations come and go while their devices are at work.
func TestManyUnderRace(t *testing.T) {
	w := newWorld(t, time.Now)
	defer w.stop()
	const text = "name: s%d\ndevice: s%d-{n}\ncount: 20\nseed: %d\ntelemetry: [{every: 1ms, body: '{{random 1 2}}'}]\nmethods: {m: {}}\ntwin: {}\nc2d: {}"
	for i := range 4 {
		w.put(fmt.Sprintf(text, i, i, 0))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 40 {
			device := fmt.Sprintf("s%d-%d", i%4, i%20+1)
			// The simulation may end in between.
			_, _ = w.call(device, "m", "1")
			_, _ = w.hub.SendC2D(w.ctx, iothub.C2DMessage{ID: iothub.ID{DeviceID: device}, Body: []byte("x")})
			_, _ = w.hub.PatchTwin(w.ctx, iothub.ID{DeviceID: device}, iothub.TwinPatch{Desired: map[string]any{"i": "x"}}, "")
		}
	}()
	for i := range 8 {
		w.put(fmt.Sprintf(text, i%4, i%4, i+1))
		w.sim.Wake()
	}
	<-done
	if _, err := w.call("s0-1", "m", "1"); err != nil {
		t.Errorf("in the end: %v", err)
	}
	for _, s := range w.sim.List() {
		w.sim.Delete(s.ID)
	}
}
