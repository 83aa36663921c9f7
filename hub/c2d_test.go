package hub

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

func TestC2DArrivesOnceAndInOrder(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	for i := range 5 {
		if m := f.send(id, fmt.Sprint(i), iothub.AckNone); m.SequenceNumber != uint64(i+1) {
			t.Errorf("sequence number %d of message %d", m.SequenceNumber, i)
		}
	}
	c, client := f.connect(id, "mqtt")
	if _, ok := c.ReceiveC2D(); ok {
		t.Error("received before C2D was enabled")
	}
	c.EnableC2D(true)
	if n := client.signals(); n != 1 {
		t.Errorf("%d signals, want 1", n)
	}
	f.send(id, "5", iothub.AckNone)
	if n := client.signals(); n != 0 {
		t.Errorf("%d signals before the receiver came up empty", n)
	}
	for i := range 6 {
		d, ok := c.ReceiveC2D()
		if !ok || d.Message.System.MessageID != fmt.Sprint(i) {
			t.Fatalf("message %d: %v %q", i, ok, d.Message.System.MessageID)
		}
		if err := f.CompleteC2D(context.Background(), id, d.LockToken); err != nil {
			t.Errorf("complete %d: %v", i, err)
		}
		wantCode(t, f.CompleteC2D(context.Background(), id, d.LockToken), iothub.CodeDeviceMessageLockLost)
	}
	if _, ok := c.ReceiveC2D(); ok {
		t.Error("a seventh message")
	}
	f.send(id, "6", iothub.AckNone)
	if n := client.signals(); n != 1 {
		t.Errorf("%d signals after coming up empty, want 1", n)
	}
	if n := f.count(id); n != 1 {
		t.Errorf("%d wait, want 1", n)
	}
}

func TestSendC2DRefuses(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	now := time.Now()
	for name, test := range map[string]struct {
		m    iothub.C2DMessage
		want iothub.Code
	}{
		"unknown device": {iothub.C2DMessage{ID: iothub.ID{DeviceID: "x"}}, iothub.CodeDeviceNotFound},
		"unknown module": {iothub.C2DMessage{ID: iothub.ID{DeviceID: "d", ModuleID: "x"}}, iothub.CodeModuleNotFound},
		"too large":      {iothub.C2DMessage{ID: id, Body: make([]byte, iothub.MaxC2DSize+1)}, iothub.CodeMessageTooLarge},
		"bad ack":        {iothub.C2DMessage{ID: id, Ack: "maybe"}, iothub.CodeArgumentInvalid},
		"bad message ID": {iothub.C2DMessage{ID: id, System: iothub.SystemProperties{MessageID: strings.Repeat("x", 129)}}, iothub.CodeArgumentInvalid},
		"past expiry":    {iothub.C2DMessage{ID: id, ExpiryTime: now.Add(-time.Second)}, iothub.CodeInvalidMessageExpiryTime},
		"far expiry":     {iothub.C2DMessage{ID: id, ExpiryTime: now.Add(49 * time.Hour)}, iothub.CodeInvalidMessageExpiryTime},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := f.SendC2D(context.Background(), test.m)
			wantCode(t, err, test.want)
		})
	}
	if _, err := f.SendC2D(context.Background(), iothub.C2DMessage{ID: id, Body: make([]byte, iothub.MaxC2DSize), ExpiryTime: now.Add(47 * time.Hour)}); err != nil {
		t.Errorf("at the limits: %v", err)
	}
}

func TestC2DQueueDepth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		id := f.device("d")
		for i := range iothub.MaxC2DQueue {
			f.send(id, fmt.Sprint(i), iothub.AckNone)
		}
		_, err := f.SendC2D(t.Context(), iothub.C2DMessage{ID: id})
		wantCode(t, err, iothub.CodeDeviceMaximumQueueDepthExceeded)
		// A locked message still counts, a completed one does not.
		_, token := f.receive(id)
		_, err = f.SendC2D(t.Context(), iothub.C2DMessage{ID: id})
		wantCode(t, err, iothub.CodeDeviceMaximumQueueDepthExceeded)
		if err := f.CompleteC2D(t.Context(), id, token); err != nil {
			t.Fatal(err)
		}
		f.send(id, "one-more", iothub.AckNone)
		// Expired ones make room.
		time.Sleep(time.Hour)
		f.send(id, "after-an-hour", iothub.AckNone)
		synctest.Wait()
		if n := f.count(id); n != 1 {
			t.Errorf("%d wait, want 1", n)
		}
	})
}

func TestC2DLockLapsesWithoutRaisingTheCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		id := f.device("d")
		f.send(id, "1", iothub.AckNone)
		f.send(id, "2", iothub.AckNone)
		_, token := f.receive(id)
		time.Sleep(iothub.C2DLock - time.Nanosecond)
		if got, _ := f.receive(id); got != "2" {
			t.Errorf("received %q while 1 is locked", got)
		}
		time.Sleep(time.Nanosecond)
		wantCode(t, f.CompleteC2D(t.Context(), id, token), iothub.CodeDeviceMessageLockLost)
		d, ok, err := f.ReceiveC2D(t.Context(), id)
		if err != nil || !ok || d.Message.System.MessageID != "1" || d.Message.DeliveryCount != 0 {
			t.Errorf("after the lapse: %+v %v %v", d, ok, err)
		}
	})
}

func TestC2DAbandonKeepsThePlaceAndDeadLetters(t *testing.T) {
	f := newFixture(t, func(o *Options) {
		o.C2D = iothub.DefaultC2DSettings()
		o.C2D.MaxDeliveryCount = 3
	})
	id := f.device("d")
	f.send(id, "1", iothub.AckNegative)
	f.send(id, "2", iothub.AckNone)
	for i := range 3 {
		d, ok, err := f.ReceiveC2D(t.Context(), id)
		if err != nil || !ok || d.Message.System.MessageID != "1" || d.Message.DeliveryCount != i {
			t.Fatalf("delivery %d: %+v %v %v", i, d, ok, err)
		}
		if err := f.AbandonC2D(t.Context(), id, d.LockToken); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			// The count survives a restart.
			f.restart()
		}
	}
	if got, _ := f.receive(id); got != "2" {
		t.Errorf("received %q, want 2", got)
	}
	f.wantFeedback(t, "1 DeliveryCountExceeded")
}

// wantFeedback receives and completes one feedback message.
func (f *fixture) wantFeedback(t *testing.T, want ...string) ServiceDelivery {
	t.Helper()
	d, ok, err := f.Feedback().Receive(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	got := feedbackTexts(t, d.Body)
	if !ok || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("feedback %v %q, want %q", ok, got, want)
	}
	if ok {
		if err := f.Feedback().Complete(context.Background(), d.LockToken); err != nil {
			t.Error(err)
		}
	}
	return d
}

func (f *fixture) wantNoFeedback(t *testing.T) {
	t.Helper()
	if d, ok, err := f.Feedback().Receive(context.Background()); ok || err != nil {
		t.Errorf("feedback %s, %v", d.Body, err)
	}
}

func TestC2DReject(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	f.send(id, "1", iothub.AckFull)
	_, token := f.receive(id)
	if err := f.RejectC2D(t.Context(), id, token); err != nil {
		t.Fatal(err)
	}
	wantCode(t, f.AbandonC2D(t.Context(), id, token), iothub.CodeDeviceMessageLockLost)
	f.wantFeedback(t, "1 Rejected")
}

func TestC2DLockOfMQTTLastsAsLongAsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		id := f.device("d")
		f.send(id, "1", iothub.AckNone)
		f.send(id, "2", iothub.AckNone)
		c, _ := f.connect(id, "mqtt")
		c.EnableC2D(true)
		first, _ := c.ReceiveC2D()
		time.Sleep(10 * time.Minute)
		f.Sweep(time.Now())
		if d, ok := c.ReceiveC2D(); !ok || d.Message.System.MessageID != "2" {
			t.Errorf("received %v %q, want 2", ok, d.Message.System.MessageID)
		}
		c.Close()
		wantCode(t, f.CompleteC2D(t.Context(), id, first.LockToken), iothub.CodeDeviceMessageLockLost)
		c, client := f.connect(id, "mqtt")
		c.EnableC2D(true)
		if client.signals() != 1 {
			t.Error("no signal for messages given back")
		}
		for _, want := range []string{"1", "2"} {
			if d, _ := c.ReceiveC2D(); d.Message.System.MessageID != want || d.Message.DeliveryCount != 0 {
				t.Errorf("received %q (%d), want %q", d.Message.System.MessageID, d.Message.DeliveryCount, want)
			}
		}
	})
}

func TestC2DLockOfAMQPLapses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		id := f.device("d")
		f.send(id, "1", iothub.AckNone)
		c, client := f.connect(id, "amqp")
		c.EnableC2D(true)
		first, _ := c.ReceiveC2D()
		if _, ok := c.ReceiveC2D(); ok {
			t.Error("received a locked message")
		}
		client.signals()
		time.Sleep(iothub.C2DLock)
		f.Sweep(time.Now())
		if client.signals() != 1 {
			t.Error("no signal after the lapse")
		}
		again, ok := c.ReceiveC2D()
		if !ok || again.LockToken == first.LockToken {
			t.Errorf("again: %v %+v", ok, again)
		}
		wantCode(t, f.CompleteC2D(t.Context(), id, first.LockToken), iothub.CodeDeviceMessageLockLost)
		// A detached link gives back at once.
		c.EnableC2D(false)
		if got, _ := f.receive(id); got != "1" {
			t.Errorf("received %q after the link went", got)
		}
	})
}

func TestC2DExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		id := f.device("d")
		f.send(id, "swept", iothub.AckFull)
		time.Sleep(30 * time.Minute)
		f.send(id, "received", iothub.AckNegative)
		time.Sleep(30 * time.Minute)
		f.Sweep(time.Now())
		f.wantFeedback(t, "swept Expired")
		time.Sleep(30 * time.Minute)
		if got, _ := f.receive(id); got != "" {
			t.Errorf("received %q", got)
		}
		synctest.Wait()
		f.wantFeedback(t, "received Expired")
		if n := f.count(id); n != 0 {
			t.Errorf("%d wait", n)
		}
	})
}

// A restarted hub reports expiry although nobody asks for the queue.
func TestC2DExpiryAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		id, quiet := f.device("d"), f.device("q")
		f.send(id, "1", iothub.AckNegative)
		f.send(quiet, "2", iothub.AckPositive)
		f.restart()
		f.Sweep(time.Now())
		if p := f.find(quiet); p != nil {
			t.Error("a queue that nobody waits for was loaded")
			f.release(p)
		}
		time.Sleep(time.Hour)
		f.Sweep(time.Now())
		f.wantFeedback(t, "1 Expired")
		// With the last such message goes the marker.
		f.Sweep(time.Now())
		synctest.Wait()
		if entries, err := f.store.Queues().Load(t.Context(), markerQueue); err != nil || len(entries) != 0 {
			t.Errorf("markers %v, %v", entries, err)
		}
	})
}

func TestPurgeC2D(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	f.send(id, "1", iothub.AckNegative)
	f.send(id, "2", iothub.AckPositive)
	f.send(id, "3", iothub.AckNone)
	_, token := f.receive(id)
	n, err := f.PurgeC2D(t.Context(), id)
	if n != 3 || err != nil {
		t.Errorf("purged %d, %v", n, err)
	}
	wantCode(t, f.CompleteC2D(t.Context(), id, token), iothub.CodeDeviceMessageLockLost)
	f.wantFeedback(t, "1 Purged")
	f.restart()
	f.wantNoFeedback(t)
	if n, err := f.PurgeC2D(t.Context(), id); n != 0 || err != nil {
		t.Errorf("purged %d again, %v", n, err)
	}
	_, err = f.PurgeC2D(t.Context(), iothub.ID{DeviceID: "x"})
	wantCode(t, err, iothub.CodeDeviceNotFound)
}

func TestC2DOfADeletedDeviceIsGone(t *testing.T) {
	f := newFixture(t)
	id := f.device("d")
	f.send(id, "old", iothub.AckFull)
	f.send(id, "older", iothub.AckFull)
	_, token := f.receive(id)
	if err := f.CompleteC2D(t.Context(), id, token); err != nil {
		t.Fatal(err)
	}
	if err := f.DeleteIdentity(t.Context(), id, "*"); err != nil {
		t.Fatal(err)
	}
	f.wantNoFeedback(t)
	f.device("d")
	if got, _ := f.receive(id); got != "" {
		t.Errorf("received %q of the former device", got)
	}
}

func TestIdleQueuesLeaveMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		full, empty := f.device("full"), f.device("empty")
		f.send(full, "1", iothub.AckNone)
		if f.count(empty) != 0 {
			t.Error("messages for nobody")
		}
		if p := f.find(empty); p != nil {
			t.Error("the state of an idle device is kept")
			f.release(p)
		}
		time.Sleep(idleUnload)
		f.Sweep(time.Now())
		p := f.find(full)
		if p == nil || p.loaded {
			t.Error("an idle queue is still loaded, or its expiry is forgotten")
		}
		f.release(p)
		if f.count(full) != 1 {
			t.Error("the message is lost")
		}
		time.Sleep(time.Hour)
		f.Sweep(time.Now())
		if entries, err := f.store.Queues().Load(t.Context(), "full"); err != nil || len(entries) != 0 {
			t.Errorf("the store keeps %v, %v", entries, err)
		}
	})
}
