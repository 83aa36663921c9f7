package rest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

func TestDeviceLifeCycle(t *testing.T) {
	w := newWorld(t)
	a := w.do("PUT", "/devices/pump-7", `{"deviceId":"pump-7","status":"enabled","authentication":{"symmetricKey":{}},"unknown":1}`)
	created := a.ok(200)
	if a.header.Get("ETag") != `"`+created["etag"].(string)+`"` || created["etag"] == "" {
		t.Errorf("ETag %q, body %q", a.header.Get("ETag"), created["etag"])
	}
	if created["statusReason"] != nil || created["connectionState"] != "Disconnected" || created["generationId"] == "" {
		t.Errorf("created %v", created)
	}
	for _, name := range []string{"connectionStateUpdatedTime", "statusUpdatedTime", "lastActivityTime"} {
		if _, err := time.Parse(time.RFC3339Nano, created[name].(string)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	key := created["authentication"].(map[string]any)["symmetricKey"].(map[string]any)
	if key["primaryKey"] == "" || key["secondaryKey"] == "" {
		t.Errorf("no keys were made: %v", key)
	}

	b := w.do("GET", "/devices/pump-7/", "")
	if got := b.ok(200); got["etag"] != created["etag"] || b.header.Get("ETag") != a.header.Get("ETag") {
		t.Errorf("read %v, want %v", got, created)
	}
	text := w.do("PUT", "/devices/pump-7", `{"deviceId":"pump-7"}`).refused(legacy, iothub.CodeDeviceAlreadyExists)
	if !strings.Contains(text, "pump-7") {
		t.Errorf("text %q does not name the device", text)
	}
	updated := w.do("PUT", "/devices/pump-7", `{"deviceId":"pump-7","status":"disabled","statusReason":"repair"}`, "If-Match", `"*"`).ok(200)
	if updated["status"] != "disabled" || updated["statusReason"] != "repair" || updated["etag"] == created["etag"] {
		t.Errorf("updated %v", updated)
	}
	w.do("DELETE", "/devices/pump-7", "", "If-Match", "*").ok(204)
	for _, path := range []string{"/devices/pump-7", "/twins/pump-7"} {
		if text := w.do("GET", path, "").refused(legacy, iothub.CodeDeviceNotFound); !strings.Contains(text, "pump-7") {
			t.Errorf("text %q does not name the device", text)
		}
	}
}

// PUT without If-Match creates only, with it updates only; DELETE needs it.
func TestIfMatch(t *testing.T) {
	for _, kind := range []struct {
		path, body      string
		form            envelope
		exists, missing iothub.Code
	}{
		{"/devices/d", `{"deviceId":"d"}`, legacy, iothub.CodeDeviceAlreadyExists, iothub.CodeDeviceNotFound},
		{"/devices/host/modules/m", `{"deviceId":"host","moduleId":"m"}`, flat, iothub.CodeModuleAlreadyExistsOnDevice, iothub.CodeModuleNotFound},
	} {
		for _, c := range []struct {
			method, ifMatch string // ETAG stands for the current one
			present         bool
			want            iothub.Code // 0: success
		}{
			{"PUT", "", false, 0},
			{"PUT", "", true, kind.exists},
			{"PUT", "*", true, 0},
			{"PUT", `"*"`, true, 0},
			{"PUT", "ETAG", true, 0},
			{"PUT", `"ETAG"`, true, 0},
			{"PUT", "AAAA", true, iothub.CodePreconditionFailed},
			{"PUT", `"AAAA"`, true, iothub.CodePreconditionFailed},
			{"PUT", `"`, true, iothub.CodePreconditionFailed},
			{"PUT", "*", false, kind.missing},
			{"PUT", `"AAAA"`, false, kind.missing},
			{"DELETE", "", true, iothub.CodePreconditionFailed},
			{"DELETE", "", false, iothub.CodePreconditionFailed},
			{"DELETE", "*", true, 0},
			{"DELETE", `"*"`, true, 0},
			{"DELETE", "ETAG", true, 0},
			{"DELETE", `"ETAG"`, true, 0},
			{"DELETE", `"AAAA"`, true, iothub.CodePreconditionFailed},
			{"DELETE", "*", false, kind.missing},
		} {
			t.Run(fmt.Sprintf("%s %s %s %t", c.method, kind.path, c.ifMatch, c.present), func(t *testing.T) {
				w := newWorld(t)
				w.create(iothub.ID{DeviceID: "host"})
				etag := "none"
				if c.present {
					etag = w.do("PUT", kind.path, kind.body).ok(200)["etag"].(string)
				}
				body := kind.body
				if c.method == "DELETE" {
					body = ""
				}
				a := w.do(c.method, kind.path, body, "If-Match", strings.ReplaceAll(c.ifMatch, "ETAG", etag))
				switch {
				case c.want != 0:
					a.refused(kind.form, c.want)
				case c.method == "DELETE":
					a.ok(204)
					w.do("GET", kind.path, "").refused(kind.form, kind.missing)
				default:
					if a.ok(200)["etag"] == etag {
						t.Error("the etag did not move")
					}
				}
				if c.want != 0 && c.present && w.do("GET", kind.path, "").ok(200)["etag"] != etag {
					t.Error("a refused write moved the etag")
				}
			})
		}
	}
}

func TestListDevices(t *testing.T) {
	w := newWorld(t)
	if list := w.do("GET", "/devices", "").list(); len(list) != 0 {
		t.Errorf("list %v, want none", list)
	}
	for i := range 5 {
		w.create(iothub.ID{DeviceID: fmt.Sprint("d", i)})
	}
	w.create(iothub.ID{DeviceID: "d0", ModuleID: "m"})
	for query, want := range map[string]int{
		"/devices": 5, "/devices/": 5, "/devices?top=2": 2, "/devices/?top=2": 2, "/devices/?top=0": 5, "/devices?top=-1": 5,
		"/devices?top=1001": 5, "/devices?top=99999999999999999999": 5, "/devices?TOP=1": 1,
	} {
		list := w.do("GET", query, "").list()
		if len(list) != want {
			t.Errorf("%s: %d devices, want %d", query, len(list), want)
		}
		for i, d := range list {
			if d["deviceId"] != fmt.Sprint("d", i) || d["moduleId"] != nil {
				t.Errorf("%s: entry %d is %v", query, i, d["deviceId"])
			}
		}
	}
	w.do("GET", "/devices?top=two", "").refused(legacy, iothub.CodeArgumentInvalid)
}

func TestRefusedDevices(t *testing.T) {
	w := newWorld(t)
	deep := strings.Repeat(`{"a":`, maxDepth+1) + "1" + strings.Repeat("}", maxDepth+1)
	for name, c := range map[string]struct {
		body string
		want iothub.Code
	}{
		"no body":           {"", iothub.CodeArgumentNull},
		"null":              {" null ", iothub.CodeArgumentNull},
		"not JSON":          {"{", iothub.CodeIotHubFormatError},
		"text after":        {`{"deviceId":"d"} x`, iothub.CodeIotHubFormatError},
		"array":             {`[]`, iothub.CodeIotHubFormatError},
		"number as ID":      {`{"deviceId":7}`, iothub.CodeIotHubFormatError},
		"text as object":    {`{"deviceId":"d","authentication":"sas"}`, iothub.CodeIotHubFormatError},
		"not UTF-8":         {"{\"deviceId\":\"d\",\"statusReason\":\"\xff\"}", iothub.CodeIotHubFormatError},
		"too deep":          {deep, iothub.CodeIotHubFormatError},
		"other ID":          {`{"deviceId":"e"}`, iothub.CodeArgumentInvalid},
		"module ID":         {`{"deviceId":"d","moduleId":"m"}`, iothub.CodeArgumentInvalid},
		"unknown status":    {`{"deviceId":"d","status":"asleep"}`, iothub.CodeArgumentInvalid},
		"short key":         {`{"deviceId":"d","authentication":{"symmetricKey":{"primaryKey":"YQ==","secondaryKey":"YQ=="}}}`, iothub.CodeArgumentInvalid},
		"large":             {`{"deviceId":"` + strings.Repeat("d", MaxBody) + `"}`, iothub.CodeMessageTooLarge},
		"long statusReason": {`{"deviceId":"d","statusReason":"` + strings.Repeat("x", 200) + `"}`, iothub.CodeArgumentInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.do("PUT", "/devices/d", c.body)
			a.t = t
			a.refused(legacy, c.want)
		})
	}
	w.do("GET", "/devices/d", "").refused(legacy, iothub.CodeDeviceNotFound)
	w.do("PUT", "/devices/"+strings.Repeat("a", 129), `{}`).refused(legacy, iothub.CodeArgumentInvalid)
	w.do("PUT", "/devices/"+strings.Repeat("a", 128), `{}`).ok(200)
}

func TestDepthCountsBracketsOutsideOfTexts(t *testing.T) {
	brackets := strings.Repeat("[{", 200)
	for body, want := range map[string]bool{
		`{"a":"` + brackets + `"}`:    false,
		`{"a\"":"\\` + brackets + `"`: false,
		`{"a":"\"` + brackets + `"}`:  false,
		`{"a":"x"` + brackets:         true,
		strings.Repeat("[", maxDepth): false,
		strings.Repeat("[]", 1000):    false,
		`"\`:                          false,
	} {
		if got := tooDeep([]byte(body)); got != want {
			t.Errorf("tooDeep(%.20q...) = %t", body, got)
		}
	}
}

func TestModules(t *testing.T) {
	w := newWorld(t)
	w.create(iothub.ID{DeviceID: "d"})
	if list := w.do("GET", "/devices/d/modules", "").list(); len(list) != 0 {
		t.Errorf("list %v, want none", list)
	}
	created := w.do("PUT", "/devices/d/modules/m", `{"moduleId":"m","deviceId":"d","managedBy":"iotEdge"}`).ok(200)
	if created["moduleId"] != "m" || created["managedBy"] != "iotEdge" || created["deviceId"] != "d" {
		t.Errorf("created %v", created)
	}
	if _, has := created["status"]; has {
		t.Error("a module has no status of its own")
	}
	w.do("PUT", "/devices/d/modules/m", `{"moduleId":"m","deviceId":"d"}`).refused(flat, iothub.CodeModuleAlreadyExistsOnDevice)
	updated := w.do("PUT", "/devices/d/modules/m", `{"moduleId":"m","deviceId":"d"}`, "If-Match", `"`+created["etag"].(string)+`"`).ok(200)
	if updated["managedBy"] != nil || updated["etag"] == created["etag"] {
		t.Errorf("a full replace clears managedBy: %v", updated)
	}
	w.create(iothub.ID{DeviceID: "d", ModuleID: "a"})
	if list := w.do("GET", "/Devices/d/Modules/", "").list(); len(list) != 2 || list[0]["moduleId"] != "a" || list[1]["moduleId"] != "m" {
		t.Errorf("list %v", list)
	}
	w.do("GET", "/devices/d/modules/none", "").refused(flat, iothub.CodeModuleNotFound)
	w.do("PUT", "/devices/d/modules/$mine", `{}`).refused(flat, iothub.CodeArgumentInvalid)
	w.do("DELETE", "/devices/d/modules/m", "", "If-Match", "*").ok(204)
	w.do("GET", "/devices/d/modules/m", "").refused(flat, iothub.CodeModuleNotFound)
}

// Module identities of a missing or disabled device answer 401; their twins do not.
func TestModulesOfMissingDevice(t *testing.T) {
	w := newWorld(t)
	check := func(device string) {
		t.Helper()
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			body := ""
			if method == "PUT" {
				body = "{}"
			}
			var ifMatch string
			if method == "DELETE" {
				ifMatch = "*"
			}
			w.do(method, "/devices/"+device+"/modules/m", body, "If-Match", ifMatch).refused(legacy, iothub.CodeIotHubUnauthorizedAccess)
		}
		w.do("GET", "/devices/"+device+"/modules", "").refused(legacy, iothub.CodeIotHubUnauthorizedAccess)
	}
	check("none")
	w.create(iothub.ID{DeviceID: "d"}, iothub.ID{DeviceID: "d", ModuleID: "m"})
	w.do("PUT", "/devices/d", `{"deviceId":"d","status":"disabled"}`, "If-Match", "*").ok(200)
	check("d")
	w.do("GET", "/twins/d/modules/m", "").ok(200)
	w.do("GET", "/twins/none/modules/m", "").refused(legacy, iothub.CodeDeviceNotFound)
}

func TestStatistics(t *testing.T) {
	w := newWorld(t)
	w.create(iothub.ID{DeviceID: "a"}, iothub.ID{DeviceID: "b"}, iothub.ID{DeviceID: "b", ModuleID: "m"})
	w.do("PUT", "/devices/c", `{"deviceId":"c","status":"disabled"}`).ok(200)
	if a := w.do("GET", "/statistics/devices", ""); a.ok(200) == nil || a.body != `{"totalDeviceCount":3,"enabledDeviceCount":2,"disabledDeviceCount":1}` {
		t.Errorf("body %s", a.body)
	}
	w.connect(iothub.ID{DeviceID: "a"}, nil)
	w.connect(iothub.ID{DeviceID: "b", ModuleID: "m"}, nil)
	if a := w.do("GET", "/Statistics/Service/", ""); a.ok(200) == nil || a.body != `{"connectedDeviceCount":1}` {
		t.Errorf("body %s", a.body)
	}
	if got := w.do("GET", "/devices/a", "").ok(200); got["connectionState"] != "Connected" {
		t.Errorf("a connected device shows %v", got["connectionState"])
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/", "/device", "/devices/d/x", "//devices", "/devices//", "/devices//modules/m", "/devices/d/modules/m/x", "/statistics", "/messages/devicebound", "/twins", "/twins/d/commands"} {
		w.do("GET", path, "").refused(legacy, iothub.CodeGenericNotFound)
	}
	a := w.do("PATCH", "/devices/d", "{}")
	a.refused(legacy, iothub.CodeGenericMethodNotAllowed)
	if got := fmt.Sprint(a.header["Allow"]); got != "[DELETE GET PUT]" {
		t.Errorf("Allow %s", got)
	}
	for _, method := range []string{"OPTIONS", "HEAD", "TRACE", "PROPFIND"} {
		w.do(method, "/twins/d", "").refused(legacy, iothub.CodeGenericMethodNotAllowed)
	}
}

// Every listed operation answers 501 with its name and is counted.
func TestUnsupported(t *testing.T) {
	w := newWorld(t)
	seen := map[string]bool{}
	for _, op := range unsupportedOperations() {
		path := strings.NewReplacer("{", "", "}", "").Replace(op.pattern)
		for range 2 {
			a := w.raw(op.method, path, "")
			text := a.refused(legacy, iothub.CodeGenericNotImplemented)
			if a.status != http.StatusNotImplemented || !strings.Contains(text, op.name) {
				t.Errorf("%s %s: %d %s", op.method, path, a.status, text)
			}
		}
		name := op.method + " " + op.pattern + " (" + op.name + ")"
		if n := w.hub.Unsupported()[name]; n != 2 {
			t.Errorf("%s was counted %d times, want 2", name, n)
		}
		seen[name] = true
	}
	if got := w.hub.Unsupported(); len(got) != len(seen) {
		t.Errorf("counted %v", got)
	}
	// Words in another case and with a slash at the end are the same operation.
	w.do("POST", "/Twins/d/Streams/s/", "").refused(legacy, iothub.CodeGenericNotImplemented)
	w.raw("GET", "/$servicebus/websocket/", "").refused(legacy, iothub.CodeGenericNotImplemented)
	// A device named like an operation is still a device.
	w.do("GET", "/devices/query", "").refused(legacy, iothub.CodeDeviceNotFound)
}

func TestEveryAnswerIsJSON(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/devices", "/devices/none", "/nowhere", "/jobs/v2/j"} {
		if a := w.do("GET", path, ""); !json.Valid([]byte(a.body)) {
			t.Errorf("%s: body %q", path, a.body)
		}
	}
}
