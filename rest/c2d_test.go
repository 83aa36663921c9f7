package rest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

func TestPurge(t *testing.T) {
	w := newWorld(t)
	id := iothub.ID{DeviceID: "d"}
	w.create(id)
	for want := range 4 {
		for range want {
			if _, err := w.hub.SendC2D(t.Context(), iothub.C2DMessage{ID: id, Body: []byte("x")}); err != nil {
				t.Fatal(err)
			}
		}
		a := w.do("DELETE", "/devices/d/Commands/", "")
		if got := a.ok(200); got["totalMessagesPurged"] != float64(want) || got["deviceId"] != "d" || !strings.Contains(a.body, `"moduleId":null`) {
			t.Errorf("purge of %d: %s", want, a.body)
		}
	}
	w.do("DELETE", "/devices/none/commands", "").refused(legacy, iothub.CodeDeviceNotFound)
}

func TestFeedback(t *testing.T) {
	w := newWorld(t)
	id := iothub.ID{DeviceID: "d"}
	w.create(id)
	const queue = "/messages/serviceBound/feedback"
	w.do("GET", queue, "").ok(204)

	m := iothub.C2DMessage{ID: id, System: iothub.SystemProperties{MessageID: "ord-9"}, Ack: iothub.AckFull, Body: []byte("x")}
	if _, err := w.hub.SendC2D(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	d, ok, err := w.hub.ReceiveC2D(t.Context(), id)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if err := w.hub.CompleteC2D(t.Context(), id, d.LockToken); err != nil {
		t.Fatal(err)
	}
	w.hub.Sweep(time.Now().Add(20 * time.Second)) // feedback leaves every 15 s

	a := w.do("GET", "/Messages/ServiceBound/Feedback/", "")
	var records []iothub.FeedbackRecord
	if err := json.Unmarshal([]byte(a.body), &records); a.status != 200 || err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	if len(records) != 1 || records[0].OriginalMessageID != "ord-9" || records[0].StatusCode != iothub.OutcomeSuccess || records[0].DeviceID != "d" {
		t.Errorf("records %+v", records)
	}
	if got := a.header.Get("Content-Type"); got != "application/vnd.microsoft.iothub.feedback.json" {
		t.Errorf("Content-Type %q", got)
	}
	if got := a.header.Get("iothub-userid"); got != "hub1" {
		t.Errorf("iothub-userid %q", got)
	}
	lock := strings.Trim(a.header.Get("ETag"), `"`)
	if lock == "" {
		t.Fatal("no lock token")
	}
	w.do("GET", queue, "").ok(204) // locked

	w.do("POST", queue+"/"+lock+"/Abandon", "").ok(204)
	w.do("DELETE", queue+"/"+lock, "").refused(legacy, iothub.CodeDeviceMessageLockLost)
	again := w.do("GET", queue, "")
	if again.body != a.body {
		t.Errorf("after abandon %d %s", again.status, again.body)
	}
	lock = strings.Trim(again.header.Get("ETag"), `"`)
	w.do("DELETE", queue+"/"+lock, "", "If-Match", lock).ok(204)
	w.do("GET", queue, "").ok(204)
	w.do("DELETE", queue+"/"+lock, "").refused(legacy, iothub.CodeDeviceMessageLockLost)
	w.do("POST", queue+"/unknown/abandon", "").refused(legacy, iothub.CodeDeviceMessageLockLost)
}
