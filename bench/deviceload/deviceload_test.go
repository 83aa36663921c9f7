package main

import (
	"io"
	"strings"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/emulator/emulatortest"
)

// TestMeasure is the whole run with fewer devices, over a hub in this process.
func TestMeasure(t *testing.T) {
	s, err := parse([]string{
		"-devices", "60", "-sources", "0", "-connectors", "10", "-callers", "10", "-each", "2", "-settle", "0",
		"-telemetry-rate", "1000", "-c2d-rate", "500", "-method-rate", "500",
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range s.devices {
		names = append(names, deviceName(i))
	}
	e := emulatortest.Run(t, emulatortest.WithDevices(names...))
	target, err := newTarget(e.Info(), s.devices, s.callers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.client.CloseIdleConnections)
	var out strings.Builder
	if err := measure(t.Context(), s, target, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"60 devices over MQTT with TLS", "for the first time", "telemetry, alone", "cloud-to-device message, alone", "direct method, alone",
		"telemetry, together", "cloud-to-device message, together", "direct method, together", "again, all cut off before", "after all of it",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report has no %q:\n%s", want, out.String())
		}
	}
}

// TestReadBackNotices makes sure that a run can fail: here some telemetry is in the
// hub twice.
func TestReadBackNotices(t *testing.T) {
	e := emulatortest.Run(t, emulatortest.WithDevices(deviceName(0), deviceName(1)))
	s, err := parse([]string{"-devices", "2", "-sources", "0", "-each", "1"})
	if err != nil {
		t.Fatal(err)
	}
	target, err := newTarget(e.Info(), s.devices, s.callers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.client.CloseIdleConnections)
	f := newFleet(s, target)
	t.Cleanup(f.close)
	if _, _, err := f.connectAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.run(t.Context(), &work{telemetry: newLedger("once", "telemetry", 2, 1000)}); err != nil {
		t.Fatal(err)
	}
	if err := f.run(t.Context(), &work{telemetry: newLedger("once", "telemetry", 2, 1000)}); err != nil {
		t.Fatal(err)
	}
	f.stored[reference{Phase: "never", Device: deviceName(0)}] = struct{}{}
	if err := f.check(t.Context()); err == nil || !strings.Contains(err.Error(), "is there twice or was never sent") {
		t.Errorf("telemetry that is there twice: %v", err)
	}
}

func TestLedger(t *testing.T) {
	l := newLedger("p", "call", 4, 100)
	l.begun = time.Unix(100, 0)
	if got := l.due(3); got != l.begun.Add(30*time.Millisecond) {
		t.Errorf("number 3 is due at %v", got)
	}
	for n, late := range []time.Duration{5, 1, 9} {
		l.arrived(n, l.due(n).Add(late*time.Millisecond))
	}
	if err := l.problem(); err != nil {
		t.Error(err)
	}
	if err := l.missing(); err == nil || err.Error() != "1 of 4 calls never arrived, 3 among them" {
		t.Errorf("missing: %v", err)
	}
	if got, want := l.tail(), (tail{3, 5 * time.Millisecond, 5 * time.Millisecond, 5 * time.Millisecond, 9 * time.Millisecond}); got != want {
		t.Errorf("tail %+v, want %+v", got, want)
	}
	l.arrived(3, l.due(3))
	select {
	case <-l.all:
	default:
		t.Error("all arrived, and nobody is told")
	}
	if err := l.missing(); err != nil {
		t.Error(err)
	}
	l.arrived(3, l.due(3))
	if err := l.problem(); err == nil || err.Error() != "call 3 arrived twice" {
		t.Errorf("a second arrival: %v", err)
	}
	other := newLedger("p", "call", 4, 100)
	other.arrived(4, time.Now())
	if err := other.problem(); err == nil || err.Error() != "call 4 was never sent" {
		t.Errorf("an unknown number: %v", err)
	}
}

func TestTail(t *testing.T) {
	var all []time.Duration
	for i := range 1000 {
		all = append(all, time.Duration(999-i)*time.Millisecond)
	}
	want := tail{1000, 499 * time.Millisecond, 989 * time.Millisecond, 998 * time.Millisecond, 999 * time.Millisecond}
	if got := tailOf(all); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := tailOf(nil); got != (tail{}) {
		t.Errorf("nothing: %+v", got)
	}
}

func TestDeviceRefusesWhatIsNotItsOwn(t *testing.T) {
	d := &device{name: "a"}
	if n, err := d.mine([]byte(`{"phase":"p","device":"a","number":7}`), "p"); err != nil || n != 7 {
		t.Errorf("its own: %d, %v", n, err)
	}
	for _, body := range []string{`{"phase":"p","device":"b","number":7}`, `{"phase":"q","device":"a","number":7}`, `7`} {
		if _, err := d.mine([]byte(body), "p"); err == nil {
			t.Errorf("%s is taken", body)
		}
	}
}

func TestStoredTelemetryIsCompared(t *testing.T) {
	from := goamqp.Annotations{"iothub-connection-device-id": "a"}
	for body, good := range map[string]bool{
		`{"phase":"p","device":"a","number":1,"filler":"xxx"}`: true,
		`{"phase":"p","device":"b","number":1,"filler":"xxx"}`: false,
		`{"phase":"p","device":"a","number":1,"filler":"xyx"}`: false,
		`{"phase":"p"`: false,
	} {
		r, err := referenceOf(&goamqp.Message{Annotations: from, Data: [][]byte{[]byte(body)}})
		if (err == nil) != good || good && r != (reference{Phase: "p", Device: "a", Number: 1}) {
			t.Errorf("%s: %+v, %v", body, r, err)
		}
	}
}

func TestSettings(t *testing.T) {
	for _, args := range [][]string{{"-devices", "0"}, {"-method-rate", "0"}, {"-sources", "300"}} {
		if err := run(args, io.Discard); err == nil {
			t.Errorf("%v is accepted", args)
		}
	}
}
