package admin

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// announced is a client that passes on that a message waits.
type announced chan struct{}

func (announced) DeliverMethod(iothub.MethodRequest) error { return nil }
func (announced) DeliverDesired(int64, []byte)             {}
func (a announced) C2DWaiting()                            { a <- struct{}{} }
func (announced) Disconnect(*iothub.Error)                 {}

func TestSendC2D(t *testing.T) {
	w := newWorld(t)
	for _, id := range []iothub.ID{{DeviceID: "odd#%+?id"}, {DeviceID: "odd#%+?id", ModuleID: "m"}} {
		w.connect(id)
		waiting := make(announced, 10)
		grant := iothub.Grant{Policy: "device", Rights: iothub.DeviceConnect}
		c, err := w.hub.Connect(t.Context(), id, hub.ConnectionOptions{Grant: grant, Protocol: "amqp"}, waiting)
		if err != nil {
			t.Fatal(err)
		}
		path := "/devices/odd%23%25+%3Fid"
		if id.IsModule() {
			path += "/modules/m"
		}
		path += "/c2d"
		expiry := time.Now().Add(30 * time.Minute).UTC().Truncate(time.Second)
		var sent SentC2D
		w.decode(w.call("POST", path, `{"body":"AP8=","bodyEncoding":"base64","messageId":"m1","correlationId":"c1","userId":"u","contentType":"a/b",`+
			`"contentEncoding":"utf-8","ack":"full","applicationProperties":{"b":"2","a":""},"expiryTime":"`+expiry.Format(time.RFC3339)+`"}`), 200, &sent)
		if sent.MessageID != "m1" || sent.SequenceNumber != 1 || sent.ExpiryTime != iothub.FormatTime(expiry) || sent.Outcome != "" {
			t.Errorf("%+v", sent)
		}
		d, ok, err := w.hub.ReceiveC2D(t.Context(), id)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		m := d.Message
		want := iothub.SystemProperties{MessageID: "m1", CorrelationID: "c1", UserID: "u", ContentType: "a/b", ContentEncoding: "utf-8"}
		if m.System != want || string(m.Body) != "\x00\xff" || m.Ack != iothub.AckFull || !m.ExpiryTime.Equal(expiry) ||
			!reflect.DeepEqual(m.Properties, iothub.Properties{{Name: "a"}, {Name: "b", Value: "2"}}) {
			t.Errorf("%+v", m)
		}
		// A receiver that completes ends the wait.
		c.EnableC2D(true)
		done := make(chan SentC2D, 1)
		go func() {
			var sent SentC2D
			w.decode(w.call("POST", path+"?wait=20s", `{"body":"x"}`), 200, &sent)
			done <- sent
		}()
		<-waiting
		d, _ = c.ReceiveC2D()
		if err := w.hub.CompleteC2D(t.Context(), id, d.LockToken); err != nil {
			t.Fatal(err)
		}
		if sent := <-done; sent.Outcome != "Success" {
			t.Errorf("%+v", sent)
		}
	}
}

func TestSendC2DRefused(t *testing.T) {
	w := newWorld(t)
	w.connect(iothub.ID{DeviceID: "d"})
	for name, tt := range map[string]struct {
		path, body string
		status     int
	}{
		"no device":    {"/devices/x/c2d", `{"body":""}`, 404},
		"no module":    {"/devices/d/modules/x/c2d", `{"body":""}`, 404},
		"no body":      {"/devices/d/c2d", `{}`, 422},
		"nothing":      {"/devices/d/c2d", ``, 400},
		"half":         {"/devices/d/c2d", `{"body":`, 400},
		"no base64":    {"/devices/d/c2d", `{"body":"%","bodyEncoding":"base64"}`, 422},
		"bad ack":      {"/devices/d/c2d", `{"body":"","ack":"maybe"}`, 422},
		"past":         {"/devices/d/c2d", `{"body":"","expiryTime":"2001-01-01T00:00:00Z"}`, 403},
		"wait":         {"/devices/d/c2d?wait=6m", `{"body":""}`, 422},
		"too large":    {"/devices/d/c2d", `{"body":"` + strings.Repeat("x", iothub.MaxC2DSize+1) + `"}`, http.StatusRequestEntityTooLarge},
		"far too much": {"/devices/d/c2d", `{"body":"` + strings.Repeat("x", 4*iothub.MaxC2DSize) + `"}`, http.StatusRequestEntityTooLarge},
	} {
		if rec := w.call("POST", tt.path, tt.body); rec.Code != tt.status {
			t.Errorf("%s: %d, want %d; %s", name, rec.Code, tt.status, rec.Body)
		}
	}
	if i, err := w.hub.GetIdentity(t.Context(), iothub.ID{DeviceID: "d"}); err != nil || i.Connection.C2DCount != 0 {
		t.Errorf("%+v, %v: refused ones were sent", i.Connection, err)
	}
}
