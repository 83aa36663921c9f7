package simulate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/seed"
	"github.com/hubnerite/hubnerite/simulate"
	"github.com/hubnerite/hubnerite/store/memory"
)

// world is a real hub on a store in memory with a simulator, by a clock that stands still until it is moved.
type world struct {
	*testing.T
	ctx  context.Context
	hub  *hub.Hub
	sim  *simulate.Simulator
	now  func() time.Time
	stop func()
}

func newWorld(t *testing.T, now func() time.Time) *world {
	s := memory.New(memory.Options{Now: now})
	r, err := registry.New(registry.Options{Records: s.Records(), Documents: s.Documents(), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	h, err := hub.New(hub.Options{
		Name: "hub1", Registry: r, Queues: s.Queues(), Documents: s.Documents(), Log: s.Log(), Now: now, FeedbackInterval: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	sim := simulate.New(simulate.Options{Hub: h, Now: now, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	return &world{T: t, ctx: t.Context(), hub: h, sim: sim, now: now, stop: func() {
		sim.Close()
		if err := errors.Join(h.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	}}
}

// inBubble runs a test with the time of a bubble, which passes when nothing else is to be done.
func inBubble(t *testing.T, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Now)
		defer w.stop()
		test(w)
	})
}

// put begins a simulation that is given as YAML.
func (w *world) put(text string) simulate.Status {
	w.Helper()
	f, err := seed.Parse("test.yaml", []byte("simulations:\n  - "+strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ")), seed.Options{})
	if err != nil {
		w.Fatal(err)
	}
	status, _, err := w.sim.Put(w.ctx, f.Simulations[0])
	if err != nil {
		w.Fatal(err)
	}
	return status
}

func (w *world) status(id string) simulate.Status {
	w.Helper()
	status, ok := w.sim.Get(id)
	if !ok {
		w.Fatalf("there is no simulation %s", id)
	}
	return status
}

// telemetry returns everything that devices sent.
func (w *world) telemetry() (out []iothub.Telemetry) {
	w.Helper()
	for p := range w.hub.Partitions() {
		events, err := w.hub.ReadEvents(w.ctx, p, 0, 100000)
		if err != nil {
			w.Fatal(err)
		}
		for _, e := range events {
			if e.Source == "" || e.Source == iothub.MessageSourceTelemetry {
				out = append(out, e)
			}
		}
	}
	return out
}

func TestTelemetry(t *testing.T) {
	inBubble(t, func(w *world) {
		begin := time.Now()
		w.put(`
device: sim-{n:02}
count: 4
telemetry:
  - every: 1s
    body: {n: "{{sequence}}", device: "{{deviceId}}", unit: C}
    properties: {alert: "{{choice no}}", number: "{{number}}"}
    messageId: m-{{sequence 100}}
  - {every: 10s, body: "plain {{number}}", count: 2, contentType: text/plain}
`)
		time.Sleep(9*time.Second + 900*time.Millisecond)
		synctest.Wait()
		perDevice, plain := map[string]int{}, 0
		for _, e := range w.telemetry() {
			if e.System.ContentType == "text/plain" {
				plain++
				continue
			}
			n := perDevice[e.ID.DeviceID] + 1
			perDevice[e.ID.DeviceID] = n
			if want := fmt.Sprintf(`{"device":"%s","n":%d,"unit":"C"}`, e.ID.DeviceID, n); string(e.Body) != want {
				t.Errorf("body %s, want %s", e.Body, want)
			}
			if id := fmt.Sprintf("m-%d", 99+n); e.System.MessageID != id || e.System.ContentType != "application/json" || e.System.ContentEncoding != "utf-8" {
				t.Errorf("system properties %+v, want %s", e.System, id)
			}
			place := int(e.ID.DeviceID[5] - '1')
			if p := e.Properties.Map(); p["alert"] != "no" || p["number"] != fmt.Sprint(place+1) {
				t.Errorf("%s has properties %v", e.ID, p)
			}
			// Each at its own time, on time.
			due := begin.Add(time.Duration(n-1)*time.Second + time.Duration(place)*250*time.Millisecond)
			if late := e.EnqueuedTime.Sub(due); late < 0 || late > 20*time.Millisecond {
				t.Errorf("message %d of %s is %v late", n, e.ID, late)
			}
			if e.AuthMethod.Scope != "device" || e.GenerationID == "" {
				t.Errorf("stamped %+v", e.AuthMethod)
			}
		}
		for device, n := range perDevice {
			if n != 10 {
				t.Errorf("%s sent %d messages, want 10", device, n)
			}
		}
		if len(perDevice) != 4 || plain != 4 {
			t.Errorf("%d devices, %d plain messages", len(perDevice), plain)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		plain = 0
		for _, e := range w.telemetry() {
			if e.System.ContentType == "text/plain" {
				plain++
			}
		}
		if plain != 8 {
			t.Errorf("%d plain messages, want two of each device", plain)
		}
		if s := w.status("sim-{n:02}"); s.Devices != 4 || s.Connected != 4 || s.Failed != 0 || s.Sent != int64(len(w.telemetry())) {
			t.Errorf("%+v", s)
		}
		for _, c := range w.hub.Connections() {
			if c.Protocol != "simulated" || c.RemoteAddr != "simulation sim-{n:02}" {
				t.Errorf("a connection is shown as %+v", c)
			}
		}
	})
}

func (w *world) call(device, method, payload string) (iothub.MethodResponse, error) {
	return w.hub.InvokeMethod(w.ctx, iothub.ID{DeviceID: device}, iothub.MethodRequest{
		MethodName: method, Payload: json.RawMessage(payload), ConnectTimeout: 30 * time.Second, ResponseTimeout: 30 * time.Second,
	})
}

func TestMethods(t *testing.T) {
	inBubble(t, func(w *world) {
		w.put(`
device: a
methods:
  reboot: {status: 202, payload: {call: "{{sequence}}", got: "{{payload}}", by: "{{deviceId}}"}, delay: 3s}
  silent: {ignore: true}
  empty: {}
`)
		for n := 1; n <= 2; n++ {
			begin := time.Now()
			r, err := w.call("a", "reboot", `[1,{"x":null}]`)
			want := fmt.Sprintf(`{"by":"a","call":%d,"got":[1,{"x":null}]}`, n)
			if err != nil || r.Status != 202 || string(r.Payload) != want {
				t.Errorf("%d %s %v, want %s", r.Status, r.Payload, err, want)
			}
			if took := time.Since(begin); took < 3*time.Second || took > 3100*time.Millisecond {
				t.Errorf("it took %v", took)
			}
		}
		if r, err := w.call("a", "empty", ""); err != nil || r.Status != 200 || string(r.Payload) != "null" {
			t.Errorf("%d %s %v", r.Status, r.Payload, err)
		}
		if r, err := w.call("a", "other", ""); err != nil || r.Status != 404 || !strings.Contains(string(r.Payload), "other") {
			t.Errorf("%d %s %v", r.Status, r.Payload, err)
		}
		if _, err := w.call("a", "silent", ""); iothub.ErrorCode(err) != iothub.CodeGatewayTimeout {
			t.Errorf("a method that is ignored: %v", err)
		}
		if s := w.status("a"); s.Methods != 5 {
			t.Errorf("%d methods", s.Methods)
		}
		// A device without methods does not take any.
		w.put("device: b")
		if _, err := w.call("b", "reboot", ""); iothub.ErrorCode(err) != iothub.CodeDeviceNotOnline {
			t.Errorf("a device without methods: %v", err)
		}
		w.put("device: c\nmethods: {'*': {status: 299, payload: '{{method}}'}}")
		if r, err := w.call("c", "anything", ""); err != nil || r.Status != 299 || string(r.Payload) != `"anything"` {
			t.Errorf("%d %s %v", r.Status, r.Payload, err)
		}
	})
}

func (w *world) reported(id iothub.ID) string {
	w.Helper()
	twin, err := w.hub.GetTwin(w.ctx, id)
	if err != nil {
		w.Fatal(err)
	}
	text, err := json.Marshal(twin.Twin.Reported.Values)
	if err != nil {
		w.Fatal(err)
	}
	return string(text)
}

func (w *world) desire(id iothub.ID, text string) {
	w.Helper()
	values, err := iothub.DecodeObject([]byte(text))
	if err == nil {
		_, err = w.hub.PatchTwin(w.ctx, id, iothub.TwinPatch{Desired: values}, "")
	}
	if err != nil {
		w.Fatal(err)
	}
}

func TestTwin(t *testing.T) {
	inBubble(t, func(w *world) {
		id := iothub.ID{DeviceID: "a"}
		if _, err := w.hub.CreateIdentity(w.ctx, id, iothub.IdentityRequest{}); err != nil {
			t.Fatal(err)
		}
		w.desire(id, `{"x": {"y": 1}, "list": [1]}`)
		w.put("device: a\ntwin: {delay: 2s}")
		time.Sleep(1900 * time.Millisecond)
		synctest.Wait()
		if got := w.reported(id); got != "{}" {
			t.Errorf("too early: %s", got)
		}
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if got := w.reported(id); got != `{"list":[1],"x":{"y":1}}` {
			t.Errorf("at the start: %s", got)
		}
		w.desire(id, `{"x": {"y": 2, "z": true}, "list": null}`)
		w.desire(id, `{"x": {"y": 3}}`)
		time.Sleep(2100 * time.Millisecond)
		synctest.Wait()
		if got := w.reported(id); got != `{"x":{"y":3,"z":true}}` {
			t.Errorf("after the changes: %s", got)
		}
		if s := w.status("a"); s.Reported != 3 {
			t.Errorf("%d reports", s.Reported)
		}
		// Nothing is missing when it comes back: nothing is reported.
		w.put("device: a\ntwin: {}\nseed: 2")
		time.Sleep(time.Second)
		synctest.Wait()
		if s := w.status("a"); s.Reported != 0 || s.Connected != 1 {
			t.Errorf("%+v", s)
		}
		w.put("device: a\ntwin: {follow: false}")
		w.desire(id, `{"x": {"y": 4}}`)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := w.reported(id); got != `{"x":{"y":3,"z":true}}` {
			t.Errorf("it follows although it shall not: %s", got)
		}
	})
}

func (w *world) send(device, id string) {
	w.Helper()
	_, err := w.hub.SendC2D(w.ctx, iothub.C2DMessage{
		ID: iothub.ID{DeviceID: device}, Body: []byte("hello"), Ack: iothub.AckFull, System: iothub.SystemProperties{MessageID: id},
	})
	if err != nil {
		w.Fatal(err)
	}
}

func TestC2D(t *testing.T) {
	inBubble(t, func(w *world) {
		w.put("device: yes\nc2d: {delay: 5s}")
		w.put("device: no\nc2d: {action: reject}")
		w.put("device: again\nc2d: {action: abandon, delay: 100ms}")
		w.put("device: deaf")
		synctest.Wait()
		for _, device := range []string{"yes", "no", "again", "deaf"} {
			w.send(device, device)
			w.send(device, device+"-2")
		}
		waiting := func(device string) int {
			identity, err := w.hub.GetIdentity(w.ctx, iothub.ID{DeviceID: device})
			if err != nil {
				t.Fatal(err)
			}
			return identity.Connection.C2DCount
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		for device, want := range map[string]int{"yes": 2, "no": 0, "again": 0, "deaf": 2} {
			if got := waiting(device); got != want {
				t.Errorf("%s: %d messages wait after 4 s, want %d", device, got, want)
			}
		}
		time.Sleep(2 * time.Second)
		w.hub.Sweep(time.Now())
		time.Sleep(2 * time.Second)
		w.hub.Sweep(time.Now())
		if got := waiting("yes"); got != 0 {
			t.Errorf("yes: %d messages wait", got)
		}
		for device, want := range map[string]int64{"yes": 2, "no": 2, "again": 20, "deaf": 0} {
			if s := w.status(device); s.Received != want || s.LastError != "" {
				t.Errorf("%s received %d messages, want %d: %s", device, s.Received, want, s.LastError)
			}
		}
		outcomes := map[string]iothub.Outcome{}
		for {
			d, ok, err := w.hub.Feedback().Receive(w.ctx)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			var records []iothub.FeedbackRecord
			if err := json.Unmarshal(d.Body, &records); err != nil {
				t.Fatal(err)
			}
			for _, r := range records {
				outcomes[r.OriginalMessageID] = r.StatusCode
			}
			if err := w.hub.Feedback().Complete(w.ctx, d.LockToken); err != nil {
				t.Fatal(err)
			}
		}
		for id, want := range map[string]iothub.Outcome{
			"yes": iothub.OutcomeSuccess, "yes-2": iothub.OutcomeSuccess, "no": iothub.OutcomeRejected, "again": iothub.OutcomeDeliveryCountExceeded,
		} {
			if outcomes[id] != want {
				t.Errorf("the outcome of %s is %q, want %q", id, outcomes[id], want)
			}
		}
	})
}
