package rest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

func TestDigitalTwin(t *testing.T) {
	w := newWorld(t)
	id := iothub.ID{DeviceID: "d"}
	w.create(id)
	d := w.connect(id, nil)
	if err := d.SetModelID(t.Context(), "dtmi:com:example:Thermostat;1"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Report(t.Context(), []byte(`{"serialNumber":"x","th":{"__t":"c","target":{"value":1,"ac":200,"av":1}}}`), nil); err != nil {
		t.Fatal(err)
	}
	got := w.do("GET", "/digitaltwins/d", "")
	doc := got.ok(200)
	if doc["$dtId"] != "d" || doc["serialNumber"] != "x" || doc["$metadata"].(map[string]any)["$model"] != "dtmi:com:example:Thermostat;1" {
		t.Errorf("document %s", got.body)
	}
	etag := got.header.Get("ETag")
	if etag != `"AAAAAAAAAAE="` {
		t.Errorf("ETag %s is not the twin's", etag)
	}

	patch := `[{"op":"replace","path":"/th/target","value":5}]`
	a := w.do("PATCH", "/digitaltwins/d", patch, "If-Match", etag)
	if a.status != 202 || a.body != "" || a.header.Get("ETag") != `"AAAAAAAAAAI="` || a.header.Get("Location") != "https://"+testHost+"/digitaltwins/d" {
		t.Errorf("PATCH: %d %q %v", a.status, a.body, a.header)
	}
	w.do("PATCH", "/digitaltwins/d", patch, "If-Match", etag).refused(legacy, iothub.CodePreconditionFailed)
	for _, anything := range []string{"*", `"*"`, ""} {
		if a := w.do("PATCH", "/digitaltwins/d", patch, "If-Match", anything); a.status != 202 {
			t.Errorf("If-Match %q: %d %s", anything, a.status, a.body)
		}
	}
	desired := w.do("GET", "/twins/d", "").ok(200)["properties"].(map[string]any)["desired"].(map[string]any)["th"]
	if text, _ := json.Marshal(desired); string(text) != `{"__t":"c","target":5}` {
		t.Errorf("desired %s", text)
	}

	w.do("GET", "/digitaltwins/none", "").refused(legacy, iothub.CodeDeviceNotFound)
	w.do("PATCH", "/digitaltwins/none", patch).refused(legacy, iothub.CodeDeviceNotFound)
	for body, want := range map[string]iothub.Code{
		``:   iothub.CodeArgumentNull,
		`{}`: iothub.CodeInvalidDigitalTwinJsonPatch,
		`[{"op":"copy","from":"/th","path":"/x"}]`: iothub.CodeInvalidDigitalTwinPatch,
		`[{"op":"remove","path":"/none"}]`:         iothub.CodeInvalidDigitalTwinPatchPath,
		`[{"op":"add","path":"/a","value":null}]`:  iothub.CodeInvalidDigitalTwinPayload,
	} {
		w.do("PATCH", "/digitaltwins/d", body).refused(legacy, want)
	}
	// The right is that of twins.
	a = w.raw("GET", "/digitaltwins/d?"+testVersion, "", "Authorization", token(t, "registryReadWrite", testHost, time.Now().Add(time.Hour)))
	a.refused(legacy, iothub.CodeIotHubUnauthorizedAccess)
}

func TestDigitalTwinCommands(t *testing.T) {
	w := newWorld(t)
	id := iothub.ID{DeviceID: "d"}
	w.create(id)
	var got iothub.MethodRequest
	w.connect(id, func(req iothub.MethodRequest) *iothub.MethodResponse {
		got = req
		answer := &iothub.MethodResponse{Status: 418, Payload: json.RawMessage(`{ "tea" : 1.0 }`)}
		if strings.HasPrefix(req.MethodName, "silent") {
			answer.Payload = nil
		}
		return answer
	})
	for _, c := range []struct{ path, body, method, payload, answer string }{
		{"/digitaltwins/d/commands/reboot", `{"delay":3}`, "reboot", `{"delay":3}`, `{ "tea" : 1.0 }`},
		{"/digitaltwins/d/components/th%31/commands/getMaxMin", `"2020"`, "th1*getMaxMin", `"2020"`, `{ "tea" : 1.0 }`},
		{"/DigitalTwins/d/Commands/silent?responseTimeoutInSeconds=7&connectTimeoutInSeconds=2", `null`, "silent", `null`, `null`},
		{"/digitaltwins/d/commands/silent", ``, "silent", ``, `null`},
	} {
		a := w.do("POST", c.path, c.body)
		if a.status != 200 || a.header.Get("x-ms-command-statuscode") != "418" || a.header.Get("x-ms-request-id") == "" || a.body != c.answer {
			t.Errorf("%s: %d %v %s", c.path, a.status, a.header, a.body)
		}
		if got.MethodName != c.method || string(got.Payload) != c.payload {
			t.Errorf("%s: the device got %q %s", c.path, got.MethodName, got.Payload)
		}
	}
	if got.ResponseTimeout != iothub.DefaultResponseTimeout {
		t.Errorf("time-out %v", got.ResponseTimeout)
	}

	for path, want := range map[string]iothub.Code{
		"/digitaltwins/d/commands/a%2Fb":                                       iothub.CodeArgumentInvalid,
		"/digitaltwins/d/commands/a?responseTimeoutInSeconds=4":                iothub.CodeArgumentInvalid,
		"/digitaltwins/d/commands/a?responseTimeoutInSeconds=x":                iothub.CodeArgumentInvalid,
		"/digitaltwins/d/commands/a?connectTimeoutInSeconds=301":               iothub.CodeArgumentInvalid,
		"/digitaltwins/none/commands/a":                                        iothub.CodeDeviceNotFound,
		"/digitaltwins/none/components/c/commands/a?connectTimeoutInSeconds=1": iothub.CodeDeviceNotFound,
	} {
		w.do("POST", path, `{}`).refused(nested, want)
	}
	w.do("POST", "/digitaltwins/d/commands/a", `{`).refused(nested, iothub.CodeIotHubFormatError)
	w.create(iothub.ID{DeviceID: "off"})
	w.do("POST", "/digitaltwins/off/commands/a", `{}`).refused(nested, iothub.CodeDeviceNotOnline)
}
