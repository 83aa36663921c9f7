package rest

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// Payloads pass both ways byte for byte, also when they are absent or null.
func TestMethodPayloads(t *testing.T) {
	w := newWorld(t)
	for _, id := range []iothub.ID{{DeviceID: "d"}, {DeviceID: "d", ModuleID: "m"}} {
		w.create(id)
		var got json.RawMessage
		var answer string
		w.connect(id, func(req iothub.MethodRequest) *iothub.MethodResponse {
			got = req.Payload
			return &iothub.MethodResponse{Status: 201, Payload: json.RawMessage(answer)}
		})
		for _, c := range []struct{ body, payload, answer, reply string }{
			{`{"methodName":"reboot"}`, "", ``, `null`},
			{`{"methodName":"reboot","payload":null}`, "null", `null`, `null`},
			{`{"methodName":"reboot","payload":""}`, `""`, `""`, `""`},
			{`{"methodName":"reboot","payload":"{\"method_number\":\"42\"}"}`, `"{\"method_number\":\"42\"}"`, `{ "b" : 1, "a":[ 1.0,1e3 ] }`, `{ "b" : 1, "a":[ 1.0,1e3 ] }`},
			{`{"payload": { "x" : "<&>\u00fc" } ,"methodName":"reboot"}`, `{ "x" : "<&>\u00fc" }`, `"<&>"`, `"<&>"`},
			{`{"methodName":"reboot","payload":12345678901234567890}`, `12345678901234567890`, `12345678901234567890`, `12345678901234567890`},
			{`{"methodName":"reboot","payload":false,"other":1}`, `false`, `true`, `true`},
		} {
			answer = c.answer
			a := w.do("POST", identityPath("/twins/", id)+"/methods", c.body)
			a.ok(200)
			if string(got) != c.payload {
				t.Errorf("%s: the device got %q, want %q", c.body, got, c.payload)
			}
			if want := `{"status":201,"payload":` + c.reply + `}`; a.body != want {
				t.Errorf("%s: answer %s, want %s", c.body, a.body, want)
			}
		}
	}
}

func TestRefusedMethods(t *testing.T) {
	w := newWorld(t)
	id := iothub.ID{DeviceID: "d"}
	w.create(id)
	w.connect(id, func(iothub.MethodRequest) *iothub.MethodResponse {
		t.Error("a refused call reached the device")
		return nil
	})
	long := strings.Repeat("x", 101)
	for body, want := range map[string]iothub.Code{
		``:                              iothub.CodeArgumentNull,
		`null`:                          iothub.CodeArgumentNull,
		`{`:                             iothub.CodeIotHubFormatError,
		`{"methodName":5}`:              iothub.CodeIotHubFormatError,
		`{}`:                            iothub.CodeArgumentInvalid,
		`{"methodName":""}`:             iothub.CodeArgumentInvalid,
		`{"methodName":"a/b"}`:          iothub.CodeArgumentInvalid,
		`{"methodName":"` + long + `"}`: iothub.CodeArgumentInvalid,
		`{"methodName":"m","responseTimeoutInSeconds":"30"}`:                                  iothub.CodeIotHubFormatError,
		`{"methodName":"m","responseTimeoutInSeconds":7.5}`:                                   iothub.CodeIotHubFormatError,
		`{"methodName":"m","responseTimeoutInSeconds":4}`:                                     iothub.CodeArgumentInvalid,
		`{"methodName":"m","responseTimeoutInSeconds":0}`:                                     iothub.CodeArgumentInvalid,
		`{"methodName":"m","responseTimeoutInSeconds":301}`:                                   iothub.CodeArgumentInvalid,
		`{"methodName":"m","responseTimeoutInSeconds":9223372036854775807}`:                   iothub.CodeArgumentInvalid,
		`{"methodName":"m","responseTimeoutInSeconds":18446744073}`:                           iothub.CodeArgumentInvalid,
		`{"methodName":"m","timeout":301}`:                                                    iothub.CodeArgumentInvalid,
		`{"methodName":"m","connectTimeoutInSeconds":-1}`:                                     iothub.CodeArgumentInvalid,
		`{"methodName":"m","connectTimeoutInSeconds":301}`:                                    iothub.CodeArgumentInvalid,
		`{"methodName":"m","responseTimeoutInSeconds":5,"connectTimeoutInSeconds":6}`:         iothub.CodeArgumentInvalid,
		`{"methodName":"m","payload":"` + strings.Repeat("x", iothub.MaxMethodPayload) + `"}`: iothub.CodeMessageTooLarge,
		`{"methodName":"m","payload":"` + strings.Repeat("x", MaxBody) + `"}`:                 iothub.CodeMessageTooLarge,
	} {
		a := w.do("POST", "/twins/d/methods", body)
		if a.header.Get("iothub-errorcode") != want.String() {
			t.Errorf("%.80q: %s, want %s", body, a.body, want)
			continue
		}
		a.refused(nested, want)
	}
	w.do("POST", "/twins/none/methods", `{"methodName":"m"}`).refused(nested, iothub.CodeDeviceNotFound)
	w.do("POST", "/twins/d/modules/none/methods", `{"methodName":"m"}`).refused(nested, iothub.CodeModuleNotFound)
	w.do("POST", "/twins/none/modules/m/methods", `{"methodName":"m"}`).refused(nested, iothub.CodeDeviceNotFound)
}

func TestMethodOfOfflineDevice(t *testing.T) {
	w := newWorld(t)
	id := iothub.ID{DeviceID: "d"}
	w.create(id)
	a := w.do("POST", "/twins/d/methods", `{"methodName":"m"}`)
	a.refused(nested, iothub.CodeDeviceNotOnline)
	if !strings.Contains(a.body, `\"info\":{\"timeout\":\"00:00:00\"}`) {
		t.Errorf("body %s does not tell the time-out", a.body)
	}
	w.connect(id, nil).EnableMethods(false)
	w.do("POST", "/twins/d/methods", `{"methodName":"m"}`).refused(nested, iothub.CodeDeviceNotOnline)
}

// A device that does not answer is 504, after the time asked for or 30 s; a
// device that does not come is 404, after its own.
func TestMethodTimeouts(t *testing.T) {
	for _, c := range []struct {
		body    string
		offline bool
		want    iothub.Code
		after   time.Duration
	}{
		{`{"methodName":"m"}`, false, iothub.CodeGatewayTimeout, 30 * time.Second},
		{`{"methodName":"m","responseTimeoutInSeconds":5}`, false, iothub.CodeGatewayTimeout, 5 * time.Second},
		{`{"methodName":"m","responseTimeoutInSeconds":null,"timeout":7}`, false, iothub.CodeGatewayTimeout, 7 * time.Second},
		{`{"methodName":"m","responseTimeoutInSeconds":9,"timeout":7}`, false, iothub.CodeGatewayTimeout, 9 * time.Second},
		{`{"methodName":"m","connectTimeoutInSeconds":11}`, true, iothub.CodeDeviceNotOnline, 11 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			id := iothub.ID{DeviceID: "d"}
			w.create(id)
			if !c.offline {
				w.connect(id, nil)
			}
			start := time.Now()
			w.do("POST", "/twins/d/methods", c.body).refused(nested, c.want)
			if took := time.Since(start); took != c.after {
				t.Errorf("%s took %v, want %v", c.body, took, c.after)
			}
		})
	}
}

// A slow device is waited for: the tutorial's sleeps 20 s without any time-out given.
func TestSlowMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := iothub.ID{DeviceID: "d"}
		w.create(id)
		w.connect(id, func(iothub.MethodRequest) *iothub.MethodResponse {
			<-time.After(20 * time.Second)
			return &iothub.MethodResponse{Status: 200, Payload: json.RawMessage(`{"Response":"done"}`)}
		})
		if a := w.do("POST", "/twins/d/methods", `{"methodName":"rebootDevice"}`); a.body != `{"status":200,"payload":{"Response":"done"}}` {
			t.Errorf("answer %d %s", a.status, a.body)
		}
	})
}

// A caller that leaves ends its call; nothing waits on.
func TestMethodCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := iothub.ID{DeviceID: "d"}
		w.create(id)
		w.connect(id, nil)
		ctx, leave := context.WithCancel(t.Context())
		r := w.request("POST", "/twins/d/methods?"+testVersion, `{"methodName":"m"}`,
			"Authorization", token(t, "service", testHost, time.Now().Add(time.Hour))).WithContext(ctx)
		done := make(chan int)
		go func() {
			rec := httptest.NewRecorder()
			w.handler.ServeHTTP(rec, r)
			done <- rec.Code
		}()
		synctest.Wait()
		start := time.Now()
		leave()
		if code := <-done; code != 499 || time.Since(start) != 0 {
			t.Errorf("status %d after %v", code, time.Since(start))
		}
	})
}

// A hub that closes ends the calls in progress.
func TestMethodEndsWithTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id := iothub.ID{DeviceID: "d"}
		w.create(id)
		w.connect(id, nil)
		answers := make(chan answer, 1)
		go func() { answers <- w.do("POST", "/twins/d/methods", `{"methodName":"m"}`) }()
		synctest.Wait()
		start := time.Now()
		if err := w.hub.Close(); err != nil {
			t.Fatal(err)
		}
		if a := <-answers; a.status < 400 || a.status == 500 || time.Since(start) != 0 {
			t.Errorf("%d %s after %v", a.status, a.body, time.Since(start))
		}
	})
}
