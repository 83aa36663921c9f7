package amqphub

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// rule puts a fault rule, and no other, into effect.
func (r *rig) rule(rule hub.FaultRule) {
	r.t.Helper()
	r.hub.RemoveFaultRule("")
	if _, err := r.hub.AddFaultRule(rule); err != nil {
		r.t.Fatal(err)
	}
}

// hits waits until the one rule has hit so often.
func (r *rig) hits(want int64) {
	r.t.Helper()
	r.eventually("the rule hits", func() bool { return r.hub.FaultRules()[0].Hits == want })
}

// aMoment is long enough to be measured, and only ever a lower bound.
const aMoment = 20 * time.Millisecond

// TestFaultRulesOfC2DSend: what back ends send is lost with or without an answer, late, stored twice, refused, or the end of the connection.
func TestFaultRulesOfC2DSend(t *testing.T) {
	r := newRig(t)
	session := r.plain("service")
	snd := r.sender(session, "/messages/deviceBound", nil)
	received := func(want int) {
		t.Helper()
		for n := 0; ; n++ {
			_, ok, err := r.hub.ReceiveC2D(t.Context(), deviceD())
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				if n != want {
					t.Errorf("%d messages, want %d", n, want)
				}
				return
			}
		}
	}
	once := func(action hub.FaultAction, change func(*hub.FaultRule)) {
		t.Helper()
		rule := hub.FaultRule{Operation: hub.FaultOnC2DSend, Action: action, Count: 1, Device: "d"}
		if change != nil {
			change(&rule)
		}
		r.rule(rule)
	}
	once(hub.FaultDrop, func(rule *hub.FaultRule) { rule.Acknowledge = true })
	r.send(snd, c2dMessage(toDevice, "lost"))
	received(0)
	once(hub.FaultDuplicate, nil)
	r.send(snd, c2dMessage(toDevice, "twice"))
	received(2)
	once(hub.FaultDelay, func(rule *hub.FaultRule) { rule.Delays.Value = aMoment })
	began := time.Now()
	r.send(snd, c2dMessage(toDevice, "late"))
	if took := time.Since(began); took < aMoment {
		t.Errorf("delayed by %v", took)
	}
	received(1)
	once(hub.FaultRefuse, func(rule *hub.FaultRule) { rule.Code = iothub.CodeDeviceMaximumQueueDepthExceeded })
	wantCondition(t, "refused", snd.Send(r.ctx(), c2dMessage(toDevice, "refused"), nil), iothub.CodeDeviceMaximumQueueDepthExceeded.AMQPCondition())
	once(hub.FaultThrottle, func(rule *hub.FaultRule) { rule.Count, rule.Rate = 0, 0.5 })
	r.send(snd, c2dMessage(toDevice, "passes"))
	wantCondition(t, "throttled", snd.Send(r.ctx(), c2dMessage(toDevice, "throttled"), nil), iothub.CodeThrottlingException.AMQPCondition())
	received(1)

	once(hub.FaultDrop, nil)
	ctx, cancel := context.WithCancel(t.Context())
	unanswered := make(chan error, 1)
	go func() { unanswered <- snd.Send(ctx, c2dMessage(toDevice, "lost"), nil) }()
	r.hits(1)
	r.send(snd, c2dMessage(toDevice, "next")) // its answer would be behind the other one's
	cancel()
	if err := <-unanswered; !errors.Is(err, context.Canceled) {
		t.Errorf("without an answer: %v", err)
	}
	received(1)
	once(hub.FaultDisconnect, nil)
	if err := snd.Send(r.ctx(), c2dMessage(toDevice, "cut"), nil); !errors.As(err, new(*goamqp.ConnError)) && !errors.As(err, new(*goamqp.LinkError)) {
		t.Errorf("disconnected: %v", err)
	}
	received(0)
}

// TestFaultRulesOfFeedback: what is on its way to a back end is lost until its lock is over, late, there twice, or the end of the link or of the connection.
func TestFaultRulesOfFeedback(t *testing.T) {
	for name, operation := range map[string]string{"feedback": hub.FaultOnFeedback, "filenotifications": hub.FaultOnFileNotification} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			arrive := func(id string) {
				if operation == hub.FaultOnFileNotification {
					r.uploaded(id)
					return
				}
				r.settle(id, r.hub.CompleteC2D)
				r.advance(16 * time.Second) // from one message to the next
			}
			attach := func() *goamqp.Receiver {
				session := r.dial(goamqp.SASLTypePlain("service@sas.root.hub1", r.lasting("service")))
				// Accepting waits for the hub: what follows may end the connection.
				return r.receiver(session, "/messages/serviceBound/"+name, &goamqp.ReceiverOptions{SettlementMode: goamqp.ReceiverSettleModeSecond.Ptr()})
			}
			rcv := attach()
			receive := func(want string) *goamqp.Message {
				t.Helper()
				m := r.receive(rcv)
				var file iothub.FileNotification
				var records []iothub.FeedbackRecord
				got := ""
				if operation == hub.FaultOnFileNotification {
					if err := json.Unmarshal(m.GetData(), &file); err != nil {
						t.Fatal(err)
					}
					got = file.BlobName
				} else {
					if err := json.Unmarshal(m.GetData(), &records); err != nil || len(records) != 1 {
						t.Fatal(err, records)
					}
					got = "d/" + records[0].OriginalMessageID
				}
				if got != "d/"+want {
					t.Fatalf("got %s, want %s", got, want)
				}
				return m
			}
			accept := func(m *goamqp.Message) {
				t.Helper()
				if err := rcv.AcceptMessage(r.ctx(), m); err != nil {
					t.Fatal(err)
				}
			}
			once := func(action hub.FaultAction) {
				t.Helper()
				rule := hub.FaultRule{Operation: operation, Action: action, Count: 1}
				if action == hub.FaultDelay {
					rule.Delays.Value = aMoment
				}
				r.rule(rule)
			}
			once(hub.FaultDrop)
			arrive("1")
			r.hits(1)
			r.advance(61 * time.Second) // the lock
			accept(receive("1"))
			once(hub.FaultDelay)
			began := time.Now()
			arrive("2")
			accept(receive("2"))
			if took := time.Since(began); took < aMoment {
				t.Errorf("delayed by %v", took)
			}
			once(hub.FaultDuplicate)
			arrive("3")
			wantCondition(t, "the first of two", rcv.AcceptMessage(r.ctx(), receive("3")), iothub.CodeDeviceMessageLockLost.AMQPCondition())
			accept(receive("3"))
			once(hub.FaultRefuse)
			arrive("4")
			r.gone("refused", rcv, iothub.CodeThrottlingException.AMQPCondition())
			rcv = attach()
			accept(receive("4"))
			once(hub.FaultDisconnect)
			arrive("5")
			if _, err := rcv.Receive(r.ctx(), nil); err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("disconnected: %v", err)
			}
			rcv = attach()
			accept(receive("5"))
			// One that is held back goes to the next link when the first one ends.
			r.rule(hub.FaultRule{Operation: operation, Action: hub.FaultDelay, Count: 1, Delays: hub.FaultDelays{Value: time.Minute}})
			arrive("6")
			r.hits(1)
			if err := rcv.Close(r.ctx()); err != nil {
				t.Fatal(err)
			}
			rcv = attach()
			accept(receive("6"))
		})
	}
}

// TestFaultRulesOfEvents: a reader gets events late, or its link or connection ends; the next one goes on where it was.
func TestFaultRulesOfEvents(t *testing.T) {
	r := newRig(t)
	r.rule(hub.FaultRule{Operation: hub.FaultOnEvents, Action: hub.FaultDelay, Count: 1, Delays: hub.FaultDelays{Value: aMoment}})
	partition := r.bodies(4)
	attach := func(from int) *goamqp.Receiver {
		return r.receiver(r.plain("service"), readerAddress(partition),
			readerOptions("amqp.annotation.x-opt-sequence-number >= '"+strconv.Itoa(from)+"'", 1, nil))
	}
	read := func(rcv *goamqp.Receiver, want int) {
		t.Helper()
		if got := string(r.receiveEvent(rcv).GetData()); got != strconv.Itoa(want) {
			t.Errorf("got %s, want %d", got, want)
		}
	}
	began := time.Now()
	rcv := attach(0)
	read(rcv, 0)
	if took := time.Since(began); took < aMoment {
		t.Errorf("delayed by %v", took)
	}
	r.rule(hub.FaultRule{Operation: hub.FaultOnEvents, Action: hub.FaultRefuse, Code: iothub.CodeThrottlingBacklogTimeout, Count: 1})
	// One event may have been on its way when the rule came.
	next := 1
	for {
		m, err := rcv.Receive(r.ctx(), nil)
		if err != nil {
			wantCondition(t, "the link ends", err, iothub.CodeThrottlingBacklogTimeout.AMQPCondition())
			break
		}
		if got := string(m.GetData()); got != strconv.Itoa(next) || next > 2 {
			t.Fatalf("got %s, want %d", got, next)
		}
		next++
	}
	rcv = attach(next)
	read(rcv, next)
	// Without a count: the reader before meets the rule, too, on a connection of its own.
	r.rule(hub.FaultRule{Operation: hub.FaultOnEvents, Action: hub.FaultDisconnect})
	rcv = attach(0)
	if _, err := rcv.Receive(r.ctx(), nil); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("disconnected: %v", err)
	}
	r.hub.RemoveFaultRule("")
	read(attach(3), 3)
}
