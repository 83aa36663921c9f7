package amqphub

import (
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
)

// lasting is a token that outlives the locks.
func (r *rig) lasting(policy string) string {
	r.t.Helper()
	for _, p := range registry.DefaultPolicies() {
		if p.Name == policy {
			token, err := registry.SignSASToken("hub1.azure-devices.net", policy, p.PrimaryKey, r.Now().Add(time.Hour))
			if err != nil {
				r.t.Fatal(err)
			}
			return token
		}
	}
	r.t.Fatal("no policy " + policy)
	return ""
}

// What a back end holds too long is there for others; what it gives back too often
// is gone. The rules are the same for both queues.
func TestServiceBoundLocks(t *testing.T) {
	for name, make := range map[string]func(*rig){
		"feedback":          func(r *rig) { r.settle("m", r.hub.CompleteC2D); r.advance(16 * time.Second) },
		"filenotifications": func(r *rig) { r.uploaded("m") },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			session := r.dial(goamqp.SASLTypePlain("service@sas.root.hub1", r.lasting("service")))
			rcv, err := session.NewReceiver(r.ctx(), "/messages/serviceBound/"+name, &goamqp.ReceiverOptions{Credit: 20})
			if err != nil {
				t.Fatal(err)
			}
			receive := func() *goamqp.Message {
				t.Helper()
				m, err := rcv.Receive(r.ctx(), nil)
				if err != nil {
					t.Fatal(err)
				}
				return m
			}
			make(r)
			first := receive()
			r.advance(61 * time.Second)
			second := receive() // the lock lapsed, and the count stays
			if first.Annotations["iothub-deliverycount"] != uint8(0) || second.Annotations["iothub-deliverycount"] != uint8(0) {
				t.Errorf("counts %v and %v", first.Annotations, second.Annotations)
			}
			// The first lock is over: completing by it must not end the message.
			if err := rcv.AcceptMessage(r.ctx(), first); err != nil {
				t.Fatal(err)
			}
			if err := rcv.ReleaseMessage(r.ctx(), second); err != nil {
				t.Fatal(err)
			}
			for count := uint8(1); count < uint8(iothub.DefaultC2DSettings().FeedbackMaxDeliveryCount); count++ {
				m := receive()
				if m.Annotations["iothub-deliverycount"] != count {
					t.Fatalf("%v, want %d", m.Annotations, count)
				}
				if err := rcv.ReleaseMessage(r.ctx(), m); err != nil {
					t.Fatal(err)
				}
			}
			// Given back ten times: gone. The next one to come is a new one.
			make(r)
			if m := receive(); m.Annotations["iothub-deliverycount"] != uint8(0) {
				t.Errorf("%v", m.Annotations)
			}
		})
	}
}
