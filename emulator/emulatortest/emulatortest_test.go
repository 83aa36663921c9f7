package emulatortest_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/internal/mqtttest"
	"github.com/hubnerite/hubnerite/iothub"
)

// attempt is a test within a test, which may fail.
type attempt struct {
	testing.TB
	mu       sync.Mutex
	text     strings.Builder
	failed   bool
	cleanups []func()
}

func (a *attempt) Helper()           {}
func (a *attempt) Cleanup(f func())  { a.cleanups = append(a.cleanups, f) }
func (a *attempt) Fatal(args ...any) { a.Fatalf("%s", fmt.Sprint(args...)) }
func (a *attempt) String() string    { a.mu.Lock(); defer a.mu.Unlock(); return a.text.String() }
func (a *attempt) Failed() bool      { a.mu.Lock(); defer a.mu.Unlock(); return a.failed }
func (a *attempt) Fatalf(format string, args ...any) {
	a.Errorf(format, args...)
	panic(a)
}

func (a *attempt) Errorf(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = true
	fmt.Fprintf(&a.text, format+"\n", args...)
}

// try runs f as a test of its own and returns what it failed with, "" when it passed.
func try(t *testing.T, f func(testing.TB)) string {
	t.Helper()
	a := &attempt{TB: t}
	func() {
		defer func() {
			if r := recover(); r != nil && r != any(a) {
				panic(r)
			}
		}()
		f(a)
	}()
	for _, cleanup := range slices.Backward(a.cleanups) {
		cleanup()
	}
	if a.Failed() && a.String() == "" {
		t.Error("it failed without a word")
	}
	return a.String()
}

// wantFailure runs f as a test of its own, which has to fail and to say why.
func wantFailure(t *testing.T, what string, says []string, f func(testing.TB)) {
	t.Helper()
	got := try(t, f)
	if got == "" {
		t.Errorf("%s: passed", what)
	}
	for _, want := range says {
		if !strings.Contains(got, want) {
			t.Errorf("%s: failed with %q, want %q in it", what, got, want)
		}
	}
}

// connect connects as a device.
func connect(t *testing.T, login emulatortest.MQTTLogin) *mqtttest.Client {
	t.Helper()
	nc, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Minute}, "tcp", login.Address, login.TLS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	c := mqtttest.New(t, nc)
	if _, code := c.Connect(mqtttest.ConnectOptions{ClientID: login.ClientID, UserName: login.UserName, Password: login.Password}); code != 0 {
		t.Fatalf("CONNACK %d", code)
	}
	return c
}

// publish sends telemetry and waits for its PUBACK.
func publish(t *testing.T, c *mqtttest.Client, login emulatortest.MQTTLogin, bag, body string) {
	t.Helper()
	c.Send(mqtttest.AppendPublish(nil, login.EventsTopic+bag, []byte(body), 1, 1))
	c.Expect(mqtttest.Puback)
}

func TestWait(t *testing.T) {
	e := emulatortest.Run(t, emulatortest.WithDevices("d1", "d2"))
	info := e.Info()
	one, two := emulatortest.MQTT(t, e, info.Devices["d1"]), emulatortest.MQTT(t, e, info.Devices["d2"])
	c1, c2 := connect(t, one), connect(t, two)

	// Who waits before it is sent gets it.
	got := make(chan iothub.Telemetry)
	go func() {
		got <- emulatortest.WaitMessage(t, e, emulatortest.Filter{Device: "d1", Properties: map[string]string{"level": "hot"}})
	}()
	publish(t, c1, one, "level=cold", "1")
	publish(t, c1, one, "level=hot", "2")
	publish(t, c2, two, "level=hot", "3")
	if m := <-got; string(m.Body) != "2" || m.ID.DeviceID != "d1" {
		t.Errorf("waited for the hot message of d1 and got %q of %v", m.Body, m.ID)
	}

	// From the beginning, from a position, with what only the test can decide.
	all := emulatortest.WaitMessages(t, e, emulatortest.Filter{Count: 3})
	if len(all) != 3 {
		t.Errorf("%d messages", len(all))
	}
	since := emulatortest.Position(t, e, "")
	publish(t, c1, one, "", "4")
	if m := emulatortest.WaitMessage(t, e, emulatortest.Filter{Since: since}); string(m.Body) != "4" {
		t.Errorf("after the position: %q", m.Body)
	}
	third := emulatortest.Wait(t, e, emulatortest.Filter{Match: func(a *hub.Activity) bool { return a.Telemetry != nil && string(a.Telemetry.Body) == "3" }})
	if len(third) != 1 || third[0].ID.DeviceID != "d2" {
		t.Errorf("matched %+v", third)
	}
	connected := emulatortest.Wait(t, e, emulatortest.Filter{Kind: hub.ActivityConnection, Event: hub.EventConnected, Count: 2})
	if len(connected) != 2 || connected[0].Protocol != "mqtt" {
		t.Errorf("connections %+v", connected)
	}
	// A cloud-to-device message has properties, too.
	if _, err := e.Hub().SendC2D(t.Context(), iothub.C2DMessage{ID: iothub.ID{DeviceID: "d2"}, Body: []byte("x"), Properties: iothub.Properties{{Name: "k", Value: "v"}}}); err != nil {
		t.Fatal(err)
	}
	if sent := emulatortest.Wait(t, e, emulatortest.Filter{Kind: hub.ActivityC2D, Properties: map[string]string{"k": "v"}}); string(sent[0].C2D.Body) != "x" {
		t.Errorf("sent %+v", sent)
	}

	wantFailure(t, "too few", []string{"waited 1ms", "5 of kind telemetry, device d1", "there were 3", `"4"`, "level:hot", "connection connected d2 mqtt"}, func(t testing.TB) {
		emulatortest.WaitMessages(t, e, emulatortest.Filter{Device: "d1", Count: 5, Timeout: time.Millisecond})
	})
	wantFailure(t, "none with the property", []string{"level:none", "what Match takes"}, func(t testing.TB) {
		emulatortest.WaitMessage(t, e, emulatortest.Filter{
			Properties: map[string]string{"level": "none"}, Match: func(*hub.Activity) bool { return true }, Timeout: time.Millisecond,
		})
	})
	wantFailure(t, "a position that is none", []string{"wait for"}, func(t testing.TB) {
		emulatortest.Wait(t, e, emulatortest.Filter{Since: "yesterday"})
	})
	wantFailure(t, "no such hub", []string{`no hub "other"`}, func(t testing.TB) { emulatortest.Wait(t, e, emulatortest.Filter{Hub: "other"}) })
	empty := emulatortest.Hub(t, e, emulator.HubOptions{})
	wantFailure(t, "nothing happened", []string{"hub " + empty.Name, "nothing"}, func(t testing.TB) {
		emulatortest.Wait(t, e, emulatortest.Filter{Hub: empty.Name, Timeout: time.Millisecond})
	})
}

func TestHubsAndDevices(t *testing.T) {
	e := emulatortest.Run(t)
	info := emulatortest.Hub(t, e, emulator.HubOptions{})
	login := emulatortest.MQTT(t, e, emulatortest.Device(t, e, info.Name, "pump-7"))
	publish(t, connect(t, login), login, "", "there")
	if m := emulatortest.WaitMessage(t, e, emulatortest.Filter{Hub: info.Name}); string(m.Body) != "there" {
		t.Errorf("the hub has %q", m.Body)
	}
	if page, err := e.Hub().ReadActivity(t.Context(), hub.ActivityQuery{}, 1); err != nil || len(page.Activities) != 0 {
		t.Errorf("in the other hub: %+v, %v", page, err)
	}
	// A module connects beside its device.
	module := iothub.ID{DeviceID: "pump-7", ModuleID: "valve"}
	h, _ := e.HubNamed(info.Name)
	made, err := h.CreateIdentity(t.Context(), module, iothub.IdentityRequest{DeviceID: "pump-7", ModuleID: "valve"})
	if err != nil {
		t.Fatal(err)
	}
	login = emulatortest.MQTT(t, e, emulator.DeviceConnectionString(emulator.Info{HostName: info.HostName}, made.Identity))
	publish(t, connect(t, login), login, "", "of the module")
	if m := emulatortest.WaitMessages(t, e, emulatortest.Filter{Hub: info.Name, Device: "pump-7", Count: 2})[1]; m.ID != module {
		t.Errorf("the second message is of %v", m.ID)
	}
	wantFailure(t, "a device twice", []string{"pump-7"}, func(t testing.TB) { emulatortest.Device(t, e, info.Name, "pump-7") })
	wantFailure(t, "in no hub", []string{"no hub"}, func(t testing.TB) { emulatortest.Device(t, e, "absent", "pump-7") })
	wantFailure(t, "a service string", []string{"no connection string"}, func(t testing.TB) { emulatortest.MQTT(t, e, info.ConnectionStrings["service"]) })
	wantFailure(t, "a hub twice", []string{info.Name}, func(t testing.TB) { emulatortest.Hub(t, e, emulator.HubOptions{Name: info.Name}) })
}

func TestFault(t *testing.T) {
	e := emulatortest.Run(t, emulatortest.WithDevices("d"))
	login := emulatortest.MQTT(t, e, e.Info().Devices["d"])
	c := connect(t, login)
	if got := try(t, func(t testing.TB) {
		lost := emulatortest.Fault(t, e, "", hub.FaultRule{Operation: hub.FaultOnTelemetry, Action: hub.FaultDrop, Acknowledge: true})
		c.Send(mqtttest.AppendPublish(nil, login.EventsTopic, []byte("lost"), 1, 1))
		c.Expect(mqtttest.Puback)
		if lost.Hits() != 1 {
			t.Errorf("%d hits", lost.Hits())
		}
	}); got != "" {
		t.Error(got)
	}
	// The rule went with its test.
	publish(t, c, login, "", "kept")
	if all := emulatortest.WaitMessages(t, e, emulatortest.Filter{}); string(all[0].Body) != "kept" {
		t.Errorf("telemetry %q", all[0].Body)
	}
	cut := emulatortest.Fault(t, e, "", hub.FaultRule{Device: "d", Operation: hub.FaultOnTelemetry, Action: hub.FaultDisconnect, Count: 1})
	c.Send(mqtttest.AppendPublish(nil, login.EventsTopic, []byte("cut"), 1, 1))
	if p, err := c.TryRead(); err == nil {
		t.Errorf("the connection goes on with %+v", p)
	}
	emulatortest.Wait(t, e, emulatortest.Filter{Kind: hub.ActivityConnection, Event: hub.EventDisconnected, Device: "d"})
	cut.Remove()
	if cut.Hits() != 0 {
		t.Error("a rule that was removed has hits")
	}
	wantFailure(t, "no such action", []string{"fault rule"}, func(t testing.TB) {
		emulatortest.Fault(t, e, "", hub.FaultRule{Operation: hub.FaultOnHandshake, Action: hub.FaultDrop})
	})
}

func TestStateAndClock(t *testing.T) {
	seed := filepath.Join(t.TempDir(), "hub.yaml")
	if err := os.WriteFile(seed, []byte("devices:\n  - id: seeded\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := emulatortest.Run(t, emulatortest.WithSeed(seed))
	names := func() []string {
		t.Helper()
		list, err := e.Hub().ListDevices(context.Background(), 100)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, d := range list {
			ids = append(ids, d.ID.DeviceID)
		}
		slices.Sort(ids)
		return ids
	}
	want := func(when string, ids ...string) {
		t.Helper()
		if got := names(); !slices.Equal(got, ids) {
			t.Errorf("%s: the devices are %q, want %q", when, got, ids)
		}
	}
	want("at the start", "seeded")
	emulatortest.Device(t, e, "", "second")
	if got := try(t, func(t testing.TB) {
		restore := emulatortest.Snapshot(t, e, "")
		for range 2 {
			emulatortest.Device(t, e, "", "third")
			restore()
		}
	}); got != "" {
		t.Error(got)
	}
	want("restored", "second", "seeded")
	if left := e.Snapshots(); len(left) != 0 {
		t.Errorf("snapshots are left: %v", left)
	}
	emulatortest.Reset(t, e, "")
	want("reset", "seeded")

	noon := time.Date(2031, 1, 2, 12, 0, 0, 0, time.UTC)
	emulatortest.Freeze(t, e, noon)
	emulatortest.Advance(t, e, time.Hour)
	if now := e.Clock().Now(); !now.Equal(noon.Add(time.Hour)) {
		t.Errorf("the clock shows %v", now)
	}
	// A login is by that clock.
	login := emulatortest.MQTT(t, e, emulatortest.Device(t, e, "", "later"))
	c := connect(t, login)
	emulatortest.Resume(t, e)
	if e.Clock().State().Frozen {
		t.Error("the clock stands")
	}
	emulatortest.Advance(t, e, 2*time.Hour)
	c.ExpectClose()
	wantFailure(t, "back in time", []string{"advance"}, func(t testing.TB) { emulatortest.Advance(t, e, -time.Hour) })
	wantFailure(t, "reset of no hub", []string{"no hub"}, func(t testing.TB) { emulatortest.Reset(t, e, "absent") })
	wantFailure(t, "snapshot of no hub", []string{"no hub"}, func(t testing.TB) { emulatortest.Snapshot(t, e, "absent") })
	wantFailure(t, "no seed", []string{"start the emulator", "absent.yaml"}, func(t testing.TB) {
		emulatortest.Run(t, emulatortest.WithSeed("absent.yaml"))
	})
}
