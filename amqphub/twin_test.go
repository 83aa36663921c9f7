package amqphub

import (
	"encoding/json"
	"testing"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/iothub"
)

// twinLinks are the two links of a twin.
type twinLinks struct {
	r        *rig
	requests *goamqp.Sender
	answers  *goamqp.Receiver
}

func (r *rig) twin(s *goamqp.Session, id iothub.ID, channel string) twinLinks {
	r.t.Helper()
	properties, settled := map[string]any{channelProperty: channel}, goamqp.SenderSettleModeSettled
	address := "/" + id.ResourcePath() + "/twin"
	return twinLinks{
		r, r.sender(s, address, &goamqp.SenderOptions{Properties: properties, SettlementMode: &settled}),
		r.receiver(s, address, &goamqp.ReceiverOptions{Properties: properties}),
	}
}

// ask sends a request and returns the answer.
func (l twinLinks) ask(correlation any, operation, resource, body string) *goamqp.Message {
	l.r.t.Helper()
	m := goamqp.NewMessage([]byte(body))
	m.Properties = &goamqp.MessageProperties{CorrelationID: correlation}
	m.Annotations = goamqp.Annotations{"operation": operation}
	if resource != "" {
		m.Annotations["resource"] = resource
	}
	l.r.send(l.requests, m)
	answer := l.r.receive(l.answers)
	if answer.Properties == nil || answer.Properties.CorrelationID != correlation {
		l.r.t.Fatalf("%s: correlation ID %+v, want %v", operation, answer.Properties, correlation)
	}
	if _, ok := answer.Annotations["status"].(int32); !ok {
		l.r.t.Fatalf("%s: status is a %T", operation, answer.Annotations["status"])
	}
	return answer
}

func TestTwin(t *testing.T) {
	r := newRig(t)
	l := r.twin(r.device(deviceD()), deviceD(), "twin:1")
	answer := l.ask("Get1", "GET", "", " ")
	var twin struct {
		Desired, Reported map[string]any
	}
	if err := json.Unmarshal(answer.GetData(), &twin); err != nil || answer.Annotations["status"] != int32(200) || twin.Desired["$version"] != 1.0 {
		t.Errorf("%v %s", answer.Annotations, answer.GetData())
	}
	// The version that the Java client adds is passed over.
	answer = l.ask(goamqp.UUID{1}, "PATCH", "/properties/reported", `{"fw":"1.2"}`)
	if answer.Annotations["status"] != int32(204) || answer.Annotations["version"] != int64(2) || len(answer.GetData()) != 0 {
		t.Errorf("%v %s", answer.Annotations, answer.GetData())
	}
	if got, err := r.hub.GetTwin(t.Context(), deviceD()); err != nil || got.Twin.Reported.Values["fw"] != "1.2" {
		t.Errorf("%+v %v", got.Twin.Reported, err)
	}
	for name, c := range map[string][3]string{
		"bad JSON":         {"PATCH", "/properties/reported", "{"},
		"bad name":         {"PATCH", "/properties/reported", `{"$a":1}`},
		"desired":          {"PATCH", "/properties/desired", `{"a":1}`},
		"no resource":      {"PUT", "", " "},
		"unknown resource": {"DELETE", "/other", " "},
		"unknown":          {"POST", "/properties/reported", "{}"},
		"none":             {"", "", ""},
	} {
		answer := l.ask(uint64(9), c[0], c[1], c[2])
		var document struct{ ErrorCode int }
		if err := json.Unmarshal(answer.GetData(), &document); err != nil || answer.Annotations["status"] != int32(400) || document.ErrorCode/1000 != 400 {
			t.Errorf("%s: %v %s", name, answer.Annotations, answer.GetData())
		}
	}
}

func (r *rig) desire(id iothub.ID, values map[string]any) {
	r.t.Helper()
	if _, err := r.hub.PatchTwin(r.t.Context(), id, iothub.TwinPatch{Desired: values}, ""); err != nil {
		r.t.Fatal(err)
	}
}

func TestDesired(t *testing.T) {
	const desired = "/notifications/twin/properties/desired"
	r := newRig(t)
	l := r.twin(r.device(moduleM()), moduleM(), "twin:1")
	r.desire(moduleM(), map[string]any{"n": "unheard"})
	if a := l.ask("Put1", "PUT", desired, " "); a.Annotations["status"] != int32(200) {
		t.Errorf("%v", a.Annotations)
	}
	r.desire(moduleM(), map[string]any{"n": "heard", "gone": nil})
	m := r.receive(l.answers)
	var change map[string]any
	if err := json.Unmarshal(m.GetData(), &change); err != nil || change["n"] != "heard" || change["$version"] != 3.0 {
		t.Errorf("%s", m.GetData())
	}
	if _, there := change["gone"]; !there {
		t.Errorf("the null is missing: %s", m.GetData())
	}
	if m.Properties != nil && m.Properties.CorrelationID != nil || m.Annotations["resource"] != "/properties/desired" || m.Annotations["version"] != int64(3) {
		t.Errorf("%+v %v", m.Properties, m.Annotations)
	}
	if a := l.ask("Delete1", "DELETE", desired, " "); a.Annotations["status"] != int32(200) {
		t.Errorf("%v", a.Annotations)
	}
	r.desire(moduleM(), map[string]any{"n": "unheard again"})
	if a := l.ask("Get1", "GET", "", " "); a.Annotations["status"] != int32(200) {
		t.Errorf("%v", a.Annotations)
	}
}

// TestTwinChannels: answers go to the link of the same channel.
func TestTwinChannels(t *testing.T) {
	r := newRig(t)
	s := r.device(deviceD())
	first, second := r.twin(s, deviceD(), "twin:1"), r.twin(s, deviceD(), "twin:2")
	first.ask("a", "GET", "", " ")
	second.ask("b", "GET", "", " ")
	first.ask("c", "GET", "", " ")
}

// TestTwinEarlyRequest: the answer to a request that came before there was a link
// for it waits for one.
func TestTwinEarlyRequest(t *testing.T) {
	r := newRig(t)
	s := r.device(deviceD())
	m := goamqp.NewMessage([]byte(" "))
	m.Properties = &goamqp.MessageProperties{CorrelationID: goamqp.UUID{7}}
	m.Annotations = goamqp.Annotations{"operation": "PUT", "resource": "/notifications/twin/properties/desired"}
	r.send(r.sender(s, "/devices/d/twin", nil), m)
	answers := r.receiver(s, "/devices/d/twin", nil)
	if answer := r.receive(answers); answer.Properties.CorrelationID != m.Properties.CorrelationID || answer.Annotations["status"] != int32(200) {
		t.Errorf("%+v %v", answer.Properties, answer.Annotations)
	}
	r.desire(deviceD(), map[string]any{"n": 1})
	if change := r.receive(answers); change.Annotations["resource"] != "/properties/desired" {
		t.Errorf("%v", change.Annotations)
	}
}

// TestDesiredBacklog: a client that takes none of its changes loses the link,
// and only that.
func TestDesiredBacklog(t *testing.T) {
	r := newRig(t)
	s := r.device(deviceD())
	l := r.twin(s, deviceD(), "twin:1")
	l.ask("Put1", "PUT", "/notifications/twin/properties/desired", " ")
	properties := map[string]any{channelProperty: "twin:2"}
	stalled := r.receiver(s, "/devices/d/twin", &goamqp.ReceiverOptions{Credit: -1, Properties: properties})
	big := make([]byte, 4000)
	for i := range big {
		big[i] = 'x'
	}
	for i := range 300 {
		r.desire(deviceD(), map[string]any{"n": i, "big": string(big)})
	}
	r.gone("stalled", stalled, "amqp:resource-limit-exceeded")
	r.send(r.sender(s, "/devices/d/messages/events", nil), goamqp.NewMessage([]byte("x")))
}
