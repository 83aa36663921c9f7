package amqphub

import (
	"encoding/json"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/iothub"
)

// TestConnectionState: a device's links make it connected, and telemetry, messages and twin requests are activity, in the
// identity and in the twin.
func TestConnectionState(t *testing.T) {
	r := newRig(t)
	for _, id := range []iothub.ID{deviceD(), moduleM()} {
		identity := func() iothub.ConnectionInfo {
			t.Helper()
			i, err := r.hub.GetIdentity(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return i.Connection
		}
		state := func() iothub.ConnectionInfo {
			t.Helper()
			for {
				i := identity()
				twin, err := r.hub.GetTwin(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				// What the connection does meanwhile may fall between the two.
				if now := identity(); now.Connected != i.Connected || !now.LastActivityTime.Equal(i.LastActivityTime) {
					continue
				}
				if twin.Connection.Connected != i.Connected || !twin.Connection.LastActivityTime.Equal(i.LastActivityTime) {
					t.Errorf("the twin says %+v, the identity %+v", twin.Connection, i)
				}
				return i
			}
		}
		if s := state(); s.Connected || !s.LastActivityTime.IsZero() {
			t.Errorf("before: %+v", s)
		}
		s := r.device(id)
		if s := state(); s.Connected {
			t.Errorf("with a token alone: %+v", s)
		}
		snd := r.sender(s, "/"+id.ResourcePath()+"/messages/events", nil)
		at := r.Now()
		if s := state(); !s.Connected || !s.StateUpdatedTime.Equal(at) || !s.LastActivityTime.Equal(at) {
			t.Errorf("connected at %v: %+v", at, s)
		}
		l := r.twin(s, id, "twin:1")
		rcv := r.receiver(s, "/"+id.ResourcePath()+"/messages/devicebound", nil)
		for name, active := range map[string]func(){
			"telemetry": func() { r.send(snd, goamqp.NewMessage([]byte("x"))) },
			"twin":      func() { l.ask("1", "GET", "", " ") },
			"message": func() {
				r.c2d(id, "x")
				if err := rcv.AcceptMessage(r.ctx(), r.receive(rcv)); err != nil {
					t.Fatal(err)
				}
			},
		} {
			r.advance(time.Second)
			active()
			r.eventually(name+" is activity", func() bool { return state().LastActivityTime.Equal(r.Now()) })
			if s := state(); !s.Connected || !s.StateUpdatedTime.Equal(at) {
				t.Errorf("%s: %+v", name, s)
			}
		}
		r.advance(time.Second)
		if err := s.Close(r.ctx()); err != nil {
			t.Fatal(err)
		}
		r.eventually("disconnected", func() bool { return !state().Connected })
		if s := state(); !s.StateUpdatedTime.Equal(r.Now()) {
			t.Errorf("disconnected at %v: %+v", r.Now(), s)
		}
	}
}

// TestModelIDOfTwins: the model that a device or a module names with its links is that of its twin and its digital twin, and
// telemetry tells of a component.
func TestModelIDOfTwins(t *testing.T) {
	r := newRig(t)
	const model = "dtmi:com:example:TemperatureController;1"
	for _, id := range []iothub.ID{deviceD(), moduleM()} {
		s := r.device(id)
		snd := r.sender(s, "/"+id.ResourcePath()+"/messages/events", &goamqp.SenderOptions{Properties: map[string]any{modelIDProperty: model}})
		m := goamqp.NewMessage([]byte(`{"temperature":20}`))
		m.Annotations = goamqp.Annotations{"dt-subject": "thermostat1"}
		r.send(snd, m)
		l := r.twin(s, id, "twin:1")
		if answer := l.ask("1", "PATCH", "/properties/reported", `{"thermostat1":{"__t":"c","maxTemp":25.5}}`); answer.Annotations["status"] != int32(204) {
			t.Errorf("report answered with %v", answer.Annotations)
		}
		twin, err := r.hub.GetTwin(t.Context(), id)
		if err != nil || twin.Twin.ModelID != model {
			t.Errorf("%s: model %q, %v", id, twin.Twin.ModelID, err)
		}
		found := false
		for _, k := range r.kept() {
			found = found || k.ID == id && k.ModelID == model && k.System.Component == "thermostat1"
		}
		if !found {
			t.Errorf("%s: kept %+v", id, r.kept())
		}
		raw, err := iothub.MarshalDigitalTwin(id, twin.Twin)
		if err != nil {
			t.Fatal(err)
		}
		var document struct {
			Metadata struct {
				Model string `json:"$model"`
			} `json:"$metadata"`
			Thermostat map[string]any `json:"thermostat1"`
		}
		if err := json.Unmarshal(raw, &document); err != nil || document.Metadata.Model != model || document.Thermostat["maxTemp"] != 25.5 {
			t.Errorf("digital twin %s, %v", raw, err)
		}
	}
}
