package amqphub

import (
	"fmt"
	"testing"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/iothub"
)

func moduleOfEdge(name string) iothub.ID { return iothub.ID{DeviceID: "edge", ModuleID: name} }

// newEdgeRig has the edge device edge with the modules a and b: what a sends goes to the
// input in of b.
func newEdgeRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	for _, c := range []struct {
		id      iothub.ID
		request iothub.IdentityRequest
	}{
		{iothub.ID{DeviceID: "edge"}, iothub.IdentityRequest{Capabilities: &iothub.Capabilities{IoTEdge: true}}},
		{id: moduleOfEdge("a")},
		{id: moduleOfEdge("b")},
	} {
		if _, err := r.hub.CreateIdentity(t.Context(), c.id, c.request); err != nil {
			t.Fatal(err)
		}
	}
	route := iothub.TwinPatch{Desired: map[string]any{"routes": map[string]any{
		"r": map[string]any{"route": `FROM /messages/modules/a/* INTO BrokeredEndpoint("/modules/b/inputs/in")`, "priority": 1},
	}}}
	if _, err := r.hub.PatchTwin(t.Context(), moduleOfEdge("$edgeHub"), route, ""); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) output(s *goamqp.Sender, body string) {
	r.t.Helper()
	to, contentType := "/somewhere", "text/plain"
	err := s.Send(r.ctx(), &goamqp.Message{
		Data: [][]byte{[]byte(body)}, Properties: &goamqp.MessageProperties{MessageID: "id-" + body, To: &to, ContentType: &contentType},
		ApplicationProperties: map[string]any{"k": "v", "iothub-outputname": "out", "iothub-creation-time-utc": "2026-01-01T00:00:00Z"},
	}, nil)
	if err != nil {
		r.t.Fatal(err)
	}
}

// inputsLeft waits until so many messages wait at the inputs of b.
func (r *rig) inputsLeft(count int) {
	r.t.Helper()
	r.eventually(fmt.Sprintf("%d messages at the inputs", count), func() bool {
		entries, err := r.store.Queues().Load(r.t.Context(), "/inputs/edge/b")
		return err == nil && len(entries) == count
	})
}

func TestInputs(t *testing.T) {
	r := newEdgeRig(t)
	sender := r.sender(r.device(moduleOfEdge("a")), "/devices/edge/modules/a/messages/events", nil)
	r.output(sender, "early") // before there is a receiver
	rcv := r.receiver(r.device(moduleOfEdge("b")), "/devices/edge/modules/b/messages/events", nil)
	r.output(sender, "late")
	for _, body := range []string{"early", "late"} {
		m := r.receive(rcv)
		p := m.Properties
		if string(m.GetData()) != body || p.MessageID != "id-"+body || *p.To != "/somewhere" || *p.ContentType != "text/plain" || p.AbsoluteExpiryTime != nil {
			t.Errorf("%s: %+v", m.GetData(), p)
		}
		if a := m.ApplicationProperties; len(a) != 2 || a["k"] != "v" || a["iothub-creation-time-utc"] != "2026-01-01T00:00:00Z" {
			t.Errorf("%v", a)
		}
		if a := m.Annotations; a["x-opt-input-name"] != "in" || a["iothub-connection-device-id"] != "edge" || a["iothub-connection-module-id"] != "a" {
			t.Errorf("%v", a)
		}
		if err := rcv.AcceptMessage(r.ctx(), m); err != nil {
			t.Fatal(err)
		}
	}
	r.inputsLeft(0)
}

// TestSettleInputs: released gives back, as often as one likes; rejected drops; what was
// not settled when the link ended comes again, in order, beside cloud-to-device messages.
func TestSettleInputs(t *testing.T) {
	r := newEdgeRig(t)
	sender := r.sender(r.device(moduleOfEdge("a")), "/devices/edge/modules/a/messages/events", nil)
	r.output(sender, "1")
	r.c2d(moduleOfEdge("b"), "c2d")
	s := r.device(moduleOfEdge("b"))
	other := r.receiver(s, "/devices/edge/modules/b/messages/devicebound", nil)
	if m := r.receive(other); string(m.GetData()) != "c2d" || m.Annotations["x-opt-input-name"] != nil {
		t.Errorf("%s %v", m.GetData(), m.Annotations)
	}
	rcv := r.receiver(s, "/devices/edge/modules/b/messages/events", &goamqp.ReceiverOptions{Credit: 1})
	for count := range 15 {
		m := r.receive(rcv)
		if string(m.GetData()) != "1" || m.Annotations["iothub-deliverycount"] != uint8(count) {
			t.Fatalf("delivery %d: %s %v", count, m.GetData(), m.Annotations)
		}
		if err := rcv.ReleaseMessage(r.ctx(), m); err != nil {
			t.Fatal(err)
		}
	}
	if err := rcv.RejectMessage(r.ctx(), r.receive(rcv), nil); err != nil {
		t.Fatal(err)
	}
	r.inputsLeft(0)
	r.output(sender, "2")
	r.output(sender, "3")
	if m := r.receive(rcv); string(m.GetData()) != "2" {
		t.Errorf("after the rejected one: %s", m.GetData())
	}
	if err := rcv.Close(r.ctx()); err != nil {
		t.Fatal(err)
	}
	rcv = r.receiver(s, "/devices/edge/modules/b/messages/events", nil)
	for _, body := range []string{"2", "3"} {
		m := r.receive(rcv)
		if string(m.GetData()) != body {
			t.Errorf("on the next link: %s, want %s", m.GetData(), body)
		}
		if err := rcv.AcceptMessage(r.ctx(), m); err != nil {
			t.Fatal(err)
		}
	}
	r.inputsLeft(0)
	if n := r.depth(moduleOfEdge("b")); n != 1 {
		t.Errorf("%d cloud-to-device messages", n)
	}
}
