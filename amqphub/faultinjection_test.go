package amqphub

import (
	"context"
	"errors"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/iothub"
)

func faultMessage(which iothub.FaultType, duration int32) *goamqp.Message {
	m := goamqp.NewMessage([]byte(" "))
	m.ApplicationProperties = map[string]any{
		iothub.FaultTypeProperty: string(which), iothub.FaultCloseReasonProperty: "boom",
		iothub.FaultDelayProperty: "0", iothub.FaultDurationProperty: duration,
	}
	return m
}

// faulty is a device with all of its links.
type faulty struct {
	conn    *goamqp.Conn
	session *goamqp.Session
	cbs     *cbs
	senders map[iothub.FaultType]*goamqp.Sender
	// receivers are the links on which the hub sends.
	receivers map[iothub.FaultType]*goamqp.Receiver
}

// Where the links of the faults are.
func faultSenders() map[iothub.FaultType]string {
	return map[iothub.FaultType]string{
		iothub.FaultKillAMQPTelemetryLink:  "/devices/d/messages/events",
		iothub.FaultKillAMQPMethodRespLink: "/devices/d/methods/devicebound",
		iothub.FaultKillAMQPTwinReqLink:    "/devices/d/twin",
	}
}

func faultReceivers() map[iothub.FaultType]string {
	return map[iothub.FaultType]string{
		iothub.FaultKillAMQPC2DLink:       "/devices/d/messages/devicebound",
		iothub.FaultKillAMQPMethodReqLink: "/devices/d/methods/devicebound",
		iothub.FaultKillAMQPTwinRespLink:  "/devices/d/twin",
	}
}

func (r *rig) faulty() *faulty {
	conn := r.conn(goamqp.SASLTypeAnonymous())
	s := r.session(conn)
	f := &faulty{conn, s, r.cbs(s), map[iothub.FaultType]*goamqp.Sender{}, map[iothub.FaultType]*goamqp.Receiver{}}
	r.putDevice(f.cbs, deviceD())
	for which, address := range faultSenders() {
		f.senders[which] = r.sender(s, address, nil)
	}
	for which, address := range faultReceivers() {
		f.receivers[which] = r.receiver(s, address, nil)
	}
	return f
}

// inject sends a fault message, which is accepted.
func (r *rig) inject(f *faulty, which iothub.FaultType, duration int32) {
	r.t.Helper()
	err := f.senders[iothub.FaultKillAMQPTelemetryLink].Send(r.ctx(), faultMessage(which, duration), nil)
	switch {
	case err == nil:
	case which == iothub.FaultKillAMQPTelemetryLink:
		// Of the outcome and the end of its own link, the client takes either first when it finds both.
		wantCondition(r.t, "the message that asks for its link's end", err, detachForced)
	default:
		r.t.Fatal(err)
	}
}

// endOf waits for the end of a link on which the client sends: credit runs out,
// or the message is refused, only when it is over.
func (r *rig) endOf(snd *goamqp.Sender) error {
	r.t.Helper()
	var err error
	r.eventually("the end of a link", func() bool {
		err = snd.Send(r.ctx(), goamqp.NewMessage([]byte("x")), nil)
		var rejected *goamqp.Error
		return err != nil && !errors.As(err, &rejected) || errors.As(err, new(*goamqp.LinkError))
	})
	return err
}

const detachForced = "amqp:link:detach-forced"

func TestFaultKillsOneLink(t *testing.T) {
	for which, address := range faultSenders() {
		t.Run(string(which), func(t *testing.T) {
			r := newRig(t)
			f := r.faulty()
			r.inject(f, which, 3600)
			wantCondition(t, string(which), r.endOf(f.senders[which]), detachForced)
			checkOnlyLink(r, f, which, func(session *goamqp.Session) error {
				_, err := session.NewSender(r.ctx(), address, nil)
				return err
			})
		})
	}
	for which, address := range faultReceivers() {
		t.Run(string(which), func(t *testing.T) {
			r := newRig(t)
			f := r.faulty()
			r.inject(f, which, 3600)
			r.gone(string(which), f.receivers[which], detachForced)
			checkOnlyLink(r, f, which, func(session *goamqp.Session) error {
				_, err := session.NewReceiver(r.ctx(), address, nil)
				return err
			})
		})
	}
}

// checkOnlyLink checks that one link is gone alone, and comes back when the fault is over.
func checkOnlyLink(r *rig, f *faulty, which iothub.FaultType, attach func(*goamqp.Session) error) {
	r.t.Helper()
	if !r.connected(deviceD()) {
		r.t.Error("the device is disconnected")
	}
	if which != iothub.FaultKillAMQPTelemetryLink {
		r.send(f.senders[iothub.FaultKillAMQPTelemetryLink], goamqp.NewMessage([]byte("on")))
	}
	for other, rcv := range f.receivers {
		if other == which {
			continue
		}
		ctx, cancel := context.WithTimeout(r.ctx(), time.Millisecond)
		if _, err := rcv.Receive(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			r.t.Errorf("%s is gone, too: %v", other, err)
		}
		cancel()
	}
	wantCondition(r.t, "attach during the fault", attach(f.session), detachForced)
	r.advance(time.Hour)
	r.putDevice(f.cbs, deviceD()) // the token is old
	// A session of its own: in the other one the client is still answering the end of all links, whose token expired, and it
	// gives a handle to a new link before that answer is sent.
	if err := attach(r.session(f.conn)); err != nil {
		r.t.Errorf("after the fault: %v", err)
	}
}

func TestFaultKillsSessionOrConnection(t *testing.T) {
	for which, check := range map[iothub.FaultType]func(t *testing.T, err error){
		iothub.FaultKillAMQPSession: func(t *testing.T, err error) {
			var e *goamqp.SessionError
			if !errors.As(err, &e) || e.RemoteErr == nil || e.RemoteErr.Condition != detachForced {
				t.Errorf("got %v, want the end of the session", err)
			}
		},
		iothub.FaultKillAMQPConnection: func(t *testing.T, err error) {
			var e *goamqp.ConnError
			if !errors.As(err, &e) || e.RemoteErr == nil || e.RemoteErr.Condition != detachForced {
				t.Errorf("got %v, want a close with an error", err)
			}
		},
		iothub.FaultShutDownAMQP: func(t *testing.T, err error) {
			var e *goamqp.ConnError
			if !errors.As(err, &e) || e.RemoteErr != nil {
				t.Errorf("got %v, want a close without an error", err)
			}
		},
		iothub.FaultKillTCP: func(t *testing.T, err error) {
			var e *goamqp.ConnError
			if !errors.As(err, &e) || e.RemoteErr != nil {
				t.Errorf("got %v, want the end without a word", err)
			}
		},
	} {
		t.Run(string(which), func(t *testing.T) {
			r := newRig(t)
			f := r.faulty()
			_ = f.senders[iothub.FaultKillAMQPTelemetryLink].Send(r.ctx(), faultMessage(which, 3600), nil) // the answer may be lost
			_, err := f.receivers[iothub.FaultKillAMQPC2DLink].Receive(r.ctx(), nil)
			check(t, err)
			r.eventually("the device is disconnected", func() bool { return !r.connected(deviceD()) })

			again := r.device(deviceD())
			_, err = again.NewSender(r.ctx(), "/devices/d/messages/events", nil)
			wantCondition(t, "attach during the fault", err, detachForced)
			module := r.device(moduleM())
			r.send(r.sender(module, "/devices/d/modules/m/messages/events", nil), goamqp.NewMessage([]byte("of a module")))
			r.advance(time.Hour)
			r.faulty()
		})
	}
}

func TestFaultKillsCBSLink(t *testing.T) {
	r := newRig(t)
	f := r.faulty()
	r.inject(f, iothub.FaultKillAMQPCBSRespLink, 0)
	r.gone("the link of answers", f.cbs.receiver, detachForced)
	r.inject(f, iothub.FaultKillAMQPCBSReqLink, 0)
	wantCondition(t, "the link of requests", r.endOf(f.cbs.sender), detachForced)
	// The device goes on, and a new pair of links works.
	r.send(f.senders[iothub.FaultKillAMQPTelemetryLink], goamqp.NewMessage([]byte("on")))
	r.putDevice(r.cbs(f.session), deviceD())
}

// Each message is rejected; the link stays.
func TestFaultInvoked(t *testing.T) {
	for which, condition := range map[iothub.FaultType]string{
		iothub.FaultThrottling: "com.microsoft:device-container-throttled",
		iothub.FaultQuota:      "amqp:resource-limit-exceeded",
		iothub.FaultAuth:       "amqp:unauthorized-access",
	} {
		t.Run(string(which), func(t *testing.T) {
			r := newRig(t)
			f := r.faulty()
			snd := f.senders[iothub.FaultKillAMQPTelemetryLink]
			r.inject(f, which, 30)
			var err error
			r.eventually("a refusal", func() bool {
				err = snd.Send(r.ctx(), goamqp.NewMessage([]byte("x")), nil)
				return err != nil
			})
			wantCondition(t, "telemetry", err, condition)
			r.advance(30 * time.Second)
			r.send(snd, goamqp.NewMessage([]byte("after")))
			// What AMQP has not is telemetry.
			r.send(snd, faultMessage(iothub.FaultShutDownMQTT, 0))
			kept := r.kept()
			if last := kept[len(kept)-1]; len(last.Properties) != 4 || string(kept[len(kept)-2].Body) != "after" {
				t.Errorf("kept: %+v", kept)
			}
		})
	}
}
