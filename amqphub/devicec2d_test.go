package amqphub

import (
	"strings"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/iothub"
)

// c2d enqueues a message.
func (r *rig) c2d(id iothub.ID, body string) {
	r.t.Helper()
	if _, err := r.hub.SendC2D(r.t.Context(), iothub.C2DMessage{ID: id, Body: []byte(body)}); err != nil {
		r.t.Fatal(err)
	}
}

// depth is the number of messages that wait for id.
func (r *rig) depth(id iothub.ID) int {
	r.t.Helper()
	identity, err := r.hub.GetIdentity(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return identity.Connection.C2DCount
}

func TestReceiveC2D(t *testing.T) {
	r := newRig(t)
	sent, err := r.hub.SendC2D(t.Context(), iothub.C2DMessage{
		ID: deviceD(), Body: []byte("order"), Ack: iothub.AckFull,
		System:     iothub.SystemProperties{MessageID: "m1", CorrelationID: "c1", UserID: "u", ContentType: "text/plain", ContentEncoding: "utf-8"},
		Properties: iothub.Properties{{Name: "zone", Value: "n"}, {Name: "empty", Value: ""}},
	})
	if err != nil {
		t.Fatal(err)
	}
	rcv := r.receiver(r.device(deviceD()), "amqps://hub1.azure-devices.net:5671/devices/d/messages/deviceBound", nil)
	m := r.receive(rcv)
	p := m.Properties
	if string(m.GetData()) != "order" || p.MessageID != "m1" || p.CorrelationID != "c1" || string(p.UserID) != "u" ||
		*p.ContentType != "text/plain" || *p.ContentEncoding != "utf-8" || *p.To != "/devices/d/messages/deviceBound" ||
		!p.AbsoluteExpiryTime.Equal(sent.ExpiryTime.Truncate(time.Millisecond)) {
		t.Errorf("%+v", p)
	}
	if a := m.ApplicationProperties; len(a) != 3 || a["zone"] != "n" || a["empty"] != "" || a["iothub-ack"] != "full" {
		t.Errorf("%v", a)
	}
	token, ok := m.Annotations["x-opt-lock-token"].(goamqp.UUID)
	if !ok || string(m.DeliveryTag) != string(token[:]) {
		t.Errorf("tag %x, lock token %v", m.DeliveryTag, m.Annotations["x-opt-lock-token"])
	}
	at, ok := m.Annotations["iothub-enqueuedtime"].(time.Time)
	if !ok || !at.Equal(sent.EnqueuedTime.Truncate(time.Millisecond)) || m.Annotations["x-opt-sequence-number"] != sent.SequenceNumber ||
		m.Annotations["iothub-deliverycount"] != uint8(0) {
		t.Errorf("%v", m.Annotations)
	}
}

// TestSettleC2D: accepted completes, released and modified abandon, rejected
// dead-letters; each with its effect on the queue.
func TestSettleC2D(t *testing.T) {
	r := newRig(t)
	rcv := r.receiver(r.device(deviceD()), "/devices/d/messages/devicebound", &goamqp.ReceiverOptions{Credit: 1})
	r.c2d(deviceD(), "one")
	for count, giveBack := range []func(m *goamqp.Message) error{
		func(m *goamqp.Message) error { return rcv.ReleaseMessage(r.ctx(), m) },
		func(m *goamqp.Message) error { return rcv.ModifyMessage(r.ctx(), m, nil) },
	} {
		m := r.receive(rcv)
		if m.Annotations["iothub-deliverycount"] != uint8(count) {
			t.Errorf("delivery %d: %v", count, m.Annotations)
		}
		if err := giveBack(m); err != nil {
			t.Fatal(err)
		}
	}
	m := r.receive(rcv)
	if string(m.GetData()) != "one" || m.Annotations["iothub-deliverycount"] != uint8(2) {
		t.Errorf("%s %v", m.GetData(), m.Annotations)
	}
	if err := rcv.AcceptMessage(r.ctx(), m); err != nil {
		t.Fatal(err)
	}
	r.eventually("completed", func() bool { return r.depth(deviceD()) == 0 })
	if _, err := r.hub.SendC2D(t.Context(), iothub.C2DMessage{
		ID: deviceD(), System: iothub.SystemProperties{MessageID: "two"}, Ack: iothub.AckNegative,
	}); err != nil {
		t.Fatal(err)
	}
	if err := rcv.RejectMessage(r.ctx(), r.receive(rcv), nil); err != nil {
		t.Fatal(err)
	}
	r.eventually("rejected", func() bool { return r.depth(deviceD()) == 0 })
	feedback := r.receiver(r.plain("service"), "/messages/serviceBound/feedback", nil)
	if m := r.receive(feedback); !strings.Contains(string(m.GetData()), `"statusCode":"Rejected"`) {
		t.Errorf("%s", m.GetData())
	}
}

// TestSettleC2DSecond: a client that settles second waits for the hub's word, and
// hears when its lock was lost.
func TestSettleC2DSecond(t *testing.T) {
	r := newRig(t)
	second := goamqp.ReceiverSettleModeSecond
	rcv := r.receiver(r.device(deviceD()), "/devices/d/messages/devicebound", &goamqp.ReceiverOptions{SettlementMode: &second})
	r.c2d(deviceD(), "one")
	r.c2d(deviceD(), "two")
	one, two := r.receive(rcv), r.receive(rcv)
	// Out of order, and known to be done once the call returns.
	if err := rcv.AcceptMessage(r.ctx(), two); err != nil {
		t.Fatal(err)
	}
	if n := r.depth(deviceD()); n != 1 {
		t.Errorf("%d messages are left", n)
	}
	if _, err := r.hub.PurgeC2D(t.Context(), deviceD()); err != nil {
		t.Fatal(err)
	}
	wantCondition(t, "lost lock", rcv.AcceptMessage(r.ctx(), one), "com.microsoft:message-lock-lost")
}

// TestC2DPresettled: a client that wants no unsettled messages has them completed.
func TestC2DPresettled(t *testing.T) {
	r := newRig(t)
	settled := goamqp.SenderSettleModeSettled
	rcv := r.receiver(r.device(deviceD()), "/devices/d/messages/devicebound", &goamqp.ReceiverOptions{RequestedSenderSettleMode: &settled})
	r.c2d(deviceD(), "one")
	if m := r.receive(rcv); string(m.GetData()) != "one" {
		t.Errorf("%s", m.GetData())
	}
	r.eventually("completed", func() bool { return r.depth(deviceD()) == 0 })
}

// TestC2DLinkEnds: what was not settled when the link ended comes again at once,
// in order, on a new link of the same connection or another protocol's.
func TestC2DLinkEnds(t *testing.T) {
	r := newRig(t)
	s := r.device(deviceD())
	keep := r.sender(s, "/devices/d/messages/events", nil)
	for _, body := range []string{"1", "2", "3"} {
		r.c2d(deviceD(), body)
	}
	rcv := r.receiver(s, "/devices/d/messages/devicebound", nil)
	for range 3 {
		m := r.receive(rcv)
		if string(m.GetData()) == "1" {
			if err := rcv.AcceptMessage(r.ctx(), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := rcv.Close(r.ctx()); err != nil {
		t.Fatal(err)
	}
	rcv = r.receiver(s, "/devices/d/messages/devicebound", nil)
	for _, want := range []string{"2", "3"} {
		if m := r.receive(rcv); string(m.GetData()) != want || m.Annotations["iothub-deliverycount"] != uint8(0) {
			t.Errorf("%s, want %s; %v", m.GetData(), want, m.Annotations)
		}
	}
	r.send(keep, goamqp.NewMessage([]byte("x")))
}

// TestC2DCredit: messages flow as credit comes, one at a time, through a queue
// that is never empty.
func TestC2DCredit(t *testing.T) {
	r := newRig(t)
	rcv := r.receiver(r.device(deviceD()), "/devices/d/messages/devicebound", &goamqp.ReceiverOptions{Credit: -1})
	const count = 20
	for range count {
		r.c2d(deviceD(), "x")
	}
	for range count {
		if err := rcv.IssueCredit(1); err != nil {
			t.Fatal(err)
		}
		m := r.receive(rcv)
		if err := rcv.AcceptMessage(r.ctx(), m); err != nil {
			t.Fatal(err)
		}
	}
	r.eventually("all completed", func() bool { return r.depth(deviceD()) == 0 })
}

// TestModuleC2D: modules have queues of their own, and an idle link for inputs.
func TestModuleC2D(t *testing.T) {
	r := newRig(t)
	s := r.device(moduleM())
	rcv := r.receiver(s, "/devices/d/modules/m/messages/devicebound", nil)
	r.receiver(s, "/devices/d/modules/m/messages/events", nil)
	r.c2d(moduleM(), "to the module")
	if m := r.receive(rcv); string(m.GetData()) != "to the module" || *m.Properties.To != "/devices/d/modules/m/messages/deviceBound" {
		t.Errorf("%s %v", m.GetData(), m.Properties)
	}
}
