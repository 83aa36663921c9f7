package rest

import (
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

func TestReceiveC2D(t *testing.T) {
	w := newWorld(t)
	for _, id := range []iothub.ID{{DeviceID: "d"}, {DeviceID: "d", ModuleID: "m"}} {
		w.create(id)
		queue := "/" + id.ResourcePath() + "/messages/deviceBound"
		if a := w.asDevice(id, "GET", queue, ""); a.status != 204 || a.body != "" {
			t.Fatalf("empty: %d %s", a.status, a.body)
		}
		expiry := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
		sent, err := w.hub.SendC2D(t.Context(), iothub.C2DMessage{
			ID: id, Body: []byte("\x00hi"), Ack: iothub.AckFull, ExpiryTime: expiry,
			System: iothub.SystemProperties{
				MessageID: "m1", CorrelationID: "c1", UserID: "u1", ContentType: "text/plain", ContentEncoding: "utf-8",
			},
			Properties: iothub.Properties{{Name: "propName", Value: "v 1"}, {Name: "bad name", Value: "x"}, {Name: "evil", Value: "a\r\nX-Y: z"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		a := w.asDevice(id, "GET", queue, "", "iothub-messagelocktimeout", "5")
		if a.status != 200 || a.body != "\x00hi" {
			t.Fatalf("%d %q", a.status, a.body)
		}
		for name, want := range map[string]string{
			"iothub-messageid": "m1", "iothub-correlationid": "c1", "iothub-userid": "u1", "iothub-contenttype": "text/plain",
			"iothub-contentencoding": "utf-8", "ContentType": "text/plain", "ContentEncoding": "utf-8", "iothub-ack": "full",
			"iothub-to": queue, "iothub-sequencenumber": "1", "iothub-deliverycount": "0",
			"iothub-expiry": iothub.FormatTime(expiry), "iothub-enqueuedtime": iothub.FormatTime(sent.EnqueuedTime),
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		properties := map[string][]string{}
		for name, values := range a.header { // in the sender's spelling
			if property, ok := strings.CutPrefix(name, appPrefix); ok {
				properties[property] = values
			}
		}
		if got := properties["propName"]; len(got) != 1 || got[0] != "v 1" {
			t.Errorf("properties %v", properties)
		}
		tag := a.header.Get("ETag")
		token := strings.Trim(tag, `"`)
		if tag != `"`+token+`"` || len(token) != 36 {
			t.Errorf("ETag %s", tag)
		}
		if a := w.asDevice(id, "GET", queue, ""); a.status != 204 {
			t.Errorf("while the only one is locked: %d", a.status)
		}
		one := strings.Replace(queue, "deviceBound", "devicebound", 1) + "/" + token
		w.asDevice(id, "POST", one+"/abandon", "").ok(204)
		w.asDevice(id, "DELETE", one, "").refused(legacy, iothub.CodeDeviceMessageLockLost)
		a = w.asDevice(id, "GET", queue, "")
		if a.status != 200 || a.header.Get("iothub-deliverycount") != "1" {
			t.Fatalf("again: %d, count %s", a.status, a.header.Get("iothub-deliverycount"))
		}
		// With the quotes of the ETag, as some clients do.
		w.asDevice(id, "DELETE", queue+"/%22"+strings.Trim(a.header.Get("ETag"), `"`)+"%22", "", "If-Match", a.header.Get("ETag")).ok(204)
		if a := w.asDevice(id, "GET", queue, ""); a.status != 204 {
			t.Errorf("after the last one: %d", a.status)
		}
	}
	i, err := w.hub.GetIdentity(t.Context(), iothub.ID{DeviceID: "d"})
	if err != nil || i.Connection.Connected || i.Connection.LastActivityTime.IsZero() {
		t.Errorf("connection %+v, %v", i.Connection, err)
	}
}

// The outcome of each way to settle shows in the feedback.
func TestSettleC2D(t *testing.T) {
	w := newWorld(t)
	id := iothub.ID{DeviceID: "d"}
	w.create(id)
	for query, want := range map[string]iothub.Outcome{
		"": iothub.OutcomeSuccess, "&reject": iothub.OutcomeRejected, "&reject=true": iothub.OutcomeRejected, "&?reject=true": iothub.OutcomeRejected,
		"&%3Freject=true": iothub.OutcomeRejected, "&Reject=": iothub.OutcomeRejected, "&reject=false": iothub.OutcomeSuccess, "&other": iothub.OutcomeSuccess,
	} {
		m := iothub.C2DMessage{ID: id, Ack: iothub.AckFull, System: iothub.SystemProperties{MessageID: query}}
		if _, err := w.hub.SendC2D(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		tag := strings.Trim(w.asDevice(id, "GET", "/devices/d/messages/deviceBound", "").header.Get("ETag"), `"`)
		w.asDevice(id, "DELETE", "/devices/d/messages/deviceBound/"+tag+"?"+testVersion+query, "").ok(204)
		w.hub.Sweep(time.Now().Add(time.Minute))
		d, ok, err := w.hub.Feedback().Receive(t.Context())
		if err != nil || !ok || !strings.Contains(string(d.Body), `"statusCode":"`+string(want)+`"`) {
			t.Fatalf("%q: feedback %s, %v, want %s", query, d.Body, err, want)
		}
		if err := w.hub.Feedback().Complete(t.Context(), d.LockToken); err != nil {
			t.Fatal(err)
		}
		w.hub.Sweep(time.Now().Add(time.Hour)) // the interval starts afresh
	}
	const none = "/devices/d/messages/deviceBound/3b241101-e2bb-4255-8caf-4136c566a962"
	for _, call := range [][2]string{{"DELETE", none}, {"DELETE", none + "?reject"}, {"POST", none + "/abandon"}} {
		w.asDevice(id, call[0], call[1], "").refused(legacy, iothub.CodeDeviceMessageLockLost)
	}
	w.asDevice(id, "POST", none, "").refused(legacy, iothub.CodeGenericMethodNotAllowed)
	w.do("GET", "/devices/d/messages/devicebound", "", "Authorization", "").refused(legacy, iothub.CodeIotHubUnauthorizedAccess)
	w.do("GET", "/devices/none/messages/devicebound", "").refused(legacy, iothub.CodeDeviceNotFound)
}

// Ten times given back is one time too often.
func TestAbandonC2DTooOften(t *testing.T) {
	w := newWorld(t)
	id := iothub.ID{DeviceID: "d"}
	w.create(id)
	if _, err := w.hub.SendC2D(t.Context(), iothub.C2DMessage{ID: id}); err != nil {
		t.Fatal(err)
	}
	const queue = "/devices/d/messages/deviceBound"
	for range iothub.DefaultC2DSettings().MaxDeliveryCount {
		a := w.asDevice(id, "GET", queue, "")
		if a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		w.asDevice(id, "POST", queue+"/"+strings.Trim(a.header.Get("ETag"), `"`)+"/abandon", "").ok(204)
	}
	if a := w.asDevice(id, "GET", queue, ""); a.status != 204 {
		t.Errorf("dead-lettered, but %d", a.status)
	}
}
