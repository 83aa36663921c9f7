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

// bulk sends entries and returns the codes of those that failed, by identity.
func (w *world) bulk(entries string) map[string]string {
	w.t.Helper()
	a := w.do("POST", "/devices", entries)
	var result struct {
		IsSuccessful     *bool
		Errors, Warnings []map[string]string
	}
	if err := json.Unmarshal([]byte(a.body), &result); err != nil || result.IsSuccessful == nil || result.Errors == nil || result.Warnings == nil {
		w.t.Fatalf("status %d, body %s: %v", a.status, a.body, err)
	}
	failed := len(result.Errors) > 0
	want, name := http.StatusOK, ""
	if failed {
		want, name = http.StatusBadRequest, iothub.CodeBulkRegistryOperationFailure.String()
	}
	if a.status != want || *result.IsSuccessful == failed || a.header.Get("iothub-errorcode") != name {
		w.t.Fatalf("status %d %q, body %s", a.status, a.header.Get("iothub-errorcode"), a.body)
	}
	codes := map[string]string{}
	for _, e := range result.Errors {
		id := iothub.ID{DeviceID: e["deviceId"], ModuleID: e["moduleId"]}.String()
		if e["errorStatus"] == "" {
			w.t.Errorf("an error without a text: %v", e)
		}
		codes[id] = e["errorCode"]
	}
	return codes
}

func TestBulkModes(t *testing.T) {
	for _, c := range []struct {
		mode, more      string // ETAG and TWIN stand for the current etags
		present         bool
		want            iothub.Code // 0: success
		exists, changed bool        // afterwards
		twin            bool        // written
	}{
		{"create", "", false, 0, true, true, true},
		{"create", "", true, iothub.CodeDeviceAlreadyExists, true, false, false},
		{"", "", false, 0, true, true, true},
		{"", "", true, 0, true, true, true},
		{"createOrUpdate", `,"eTag":"other"`, true, 0, true, true, true},
		{"createOrUpdate", `,"twinETag":"other"`, true, iothub.CodePreconditionFailed, true, false, false},
		{"createOrUpdateIfMatchETag", `,"eTag":"ETAG"`, true, 0, true, true, true},
		{"createOrUpdateIfMatchETag", `,"eTag":"other"`, true, iothub.CodePreconditionFailed, true, false, false},
		{"createOrUpdateIfMatchETag", `,"eTag":"other"`, false, 0, true, true, true},
		{"update", "", true, 0, true, true, true},
		{"Update", `,"eTag":"other"`, true, 0, true, true, true},
		{"update", "", false, iothub.CodeDeviceNotFound, false, false, false},
		{"UpdateIfMatchETag", `,"etag":"ETAG"`, true, 0, true, true, true},
		{"updateIfMatchETag", `,"eTag":"ETAG","twinETag":"TWIN"`, true, 0, true, true, true},
		{"updateIfMatchETag", `,"eTag":"ETAG","twinETag":"other"`, true, iothub.CodePreconditionFailed, true, false, false},
		{"updateIfMatchETag", `,"eTag":"other"`, true, iothub.CodePreconditionFailed, true, false, false},
		{"updateIfMatchETag", "", true, iothub.CodePreconditionFailed, true, false, false},
		{"updateIfMatchETag", `,"eTag":"other"`, false, iothub.CodeDeviceNotFound, false, false, false},
		{"delete", `,"eTag":"other"`, true, 0, false, false, false},
		{"Delete", "", false, iothub.CodeDeviceNotFound, false, false, false},
		{"DeleteIfMatchETag", `,"eTag":"ETAG"`, true, 0, false, false, false},
		{"deleteIfMatchETag", `,"eTag":"other"`, true, iothub.CodePreconditionFailed, true, false, false},
		{"deleteIfMatchETag", "", true, iothub.CodePreconditionFailed, true, false, false},
		{"updateTwin", `,"twinETag":"other"`, true, 0, true, false, true},
		{"updateTwin", "", false, iothub.CodeDeviceNotFound, false, false, false},
		{"updateTwinIfMatchETag", `,"twinETag":"TWIN"`, true, 0, true, false, true},
		{"updateTwinIfMatchETag", `,"twinETag":"other"`, true, iothub.CodePreconditionFailed, true, false, false},
		{"updateTwinIfMatchETag", "", true, iothub.CodePreconditionFailed, true, false, false},
		{"replace", "", true, iothub.CodeArgumentInvalid, true, false, false},
	} {
		t.Run(fmt.Sprintf("%s %s %t", c.mode, c.more, c.present), func(t *testing.T) {
			w := newWorld(t)
			etag, twinETag := "none", "none"
			if c.present {
				etag = w.do("PUT", "/devices/d", `{"deviceId":"d","statusReason":"before"}`).ok(200)["etag"].(string)
				twinETag = w.do("PATCH", "/twins/d", `{"tags":{"kept":1},"properties":{"desired":{"kept":1}}}`).ok(200)["etag"].(string)
			}
			more := strings.NewReplacer("ETAG", etag, "TWIN", twinETag).Replace(c.more)
			got := w.bulk(`[{"id":"d","importMode":"` + c.mode + `","status":"disabled","statusReason":"after",
				"tags":{"new":1.50},"properties":{"desired":{"new":2,"$version":9,"$metadata":{}},"reported":{"passed":"over"}}` + more + `}]`)
			if want := c.want; want != 0 && got["d"] != want.String() || want == 0 && len(got) > 0 {
				t.Errorf("errors %v, want %v", got, want)
			}
			if !c.exists {
				w.do("GET", "/devices/d", "").refused(legacy, iothub.CodeDeviceNotFound)
				return
			}
			d := w.do("GET", "/devices/d", "").ok(200)
			if changed := d["statusReason"] == "after"; changed != c.changed || changed != (d["status"] == "disabled") || changed != (d["etag"] != etag) {
				t.Errorf("changed %t, want %t: %v", changed, c.changed, d)
			}
			a := w.do("GET", "/twins/d", "")
			twin := a.ok(200)
			tags, desired := twin["tags"].(map[string]any), twin["properties"].(map[string]any)["desired"].(map[string]any)
			if (tags["new"] != nil) != c.twin || (desired["new"] != nil) != c.twin {
				t.Errorf("twin written: %v %v, want %t", tags, desired, c.twin)
			}
			if c.twin && !strings.Contains(a.body, `"new":1.50`) {
				t.Errorf("a number lost its text: %s", a.body)
			}
			if kept := tags["kept"] != nil && desired["kept"] != nil; kept != c.present {
				t.Errorf("kept %t: tags %v, desired %v", kept, tags, desired)
			}
			if reported := twin["properties"].(map[string]any)["reported"].(map[string]any); reported["passed"] != nil {
				t.Errorf("reported %v", reported)
			}
		})
	}
}

// Devices and modules, good and bad ones in one body: each is for itself.
func TestBulkPartialFailure(t *testing.T) {
	w := newWorld(t)
	w.create(iothub.ID{DeviceID: "there"})
	got := w.bulk(`[
		{"id":"new","importMode":"create"},
		{"id":"new","moduleId":"m","importMode":"create","managedBy":"me","tags":{"a":1}},
		{"id":"there","importMode":"create"},
		{"id":"there","moduleId":"n","importMode":"createOrUpdate"},
		{"id":"none","moduleId":"m","importMode":"create"},
		{"id":"there","moduleId":"gone","importMode":"update"},
		{"id":"there","moduleId":"$mine","importMode":"create"},
		{"id":"a b"},
		{"importMode":"create"},
		{"id":"keys","authentication":{"symmetricKey":{"primaryKey":"x","secondaryKey":"y"}}},
		{"id":"tags","tags":[1]},
		{"id":"deep","tags":{"a.b":1}},
		{"id":"scope","deviceScope":"ms-azure-iot-edge://nobody-1"},
		{"id":"edge","capabilities":{"iotEdge":true}}
	]`)
	want := map[string]string{
		"there": "DeviceAlreadyExists", "none/m": "IotHubUnauthorizedAccess", "there/gone": "ModuleNotFound",
		"there/$mine": "DeviceNotFound", "a b": "ArgumentInvalid", "": "ArgumentInvalid", "keys": "ArgumentInvalid",
		"tags": "ArgumentInvalid", "deep": "ArgumentInvalid", "scope": "InvalidDeviceScope",
	}
	for id, code := range want {
		if got[id] != code {
			t.Errorf("%q: %q, want %q", id, got[id], code)
		}
		delete(got, id)
	}
	if len(got) > 0 {
		t.Errorf("refused too: %v", got)
	}
	if m := w.do("GET", "/devices/new/modules/m", "").ok(200); m["managedBy"] != "me" {
		t.Errorf("the module of a new device: %v", m)
	}
	if tags := w.do("GET", "/twins/new/modules/m", "").ok(200)["tags"].(map[string]any); tags["a"] != 1.0 {
		t.Errorf("its tags: %v", tags)
	}
	if list := w.do("GET", "/devices/edge/modules", "").list(); len(list) != 2 {
		t.Errorf("modules of the edge device: %v", list)
	}
	w.do("GET", "/devices/there/modules/n", "").ok(200)
}

func TestBulkRefused(t *testing.T) {
	w := newWorld(t)
	many := func(n int) string {
		var entries []string
		for i := range n {
			entries = append(entries, fmt.Sprintf(`{"id":"d%d","importMode":"create"}`, i))
		}
		return "[" + strings.Join(entries, ",") + "]"
	}
	for body, code := range map[string]iothub.Code{
		"":                           iothub.CodeArgumentNull,
		"null":                       iothub.CodeArgumentNull,
		"{}":                         iothub.CodeIotHubFormatError,
		"[1]":                        iothub.CodeIotHubFormatError,
		`[{"id":1}]`:                 iothub.CodeIotHubFormatError,
		`[{"id":"a"}`:                iothub.CodeIotHubFormatError,
		`[{"id":"a"}] x`:             iothub.CodeIotHubFormatError,
		`[{"id":"a"},{"id":"a"}]`:    iothub.CodeDeviceDefinedMultipleTimes,
		many(101):                    iothub.CodeTooManyDevices,
		strings.Repeat(" ", 9<<20):   iothub.CodeMessageTooLarge,
		strings.Repeat(`[`, 100_000): iothub.CodeIotHubFormatError,
	} {
		a := w.do("POST", "/devices", body)
		if a.refused(legacy, code); len(body) < 100 {
			t.Logf("%s: %s", body, a.body)
		}
	}
	if n := len(w.do("GET", "/devices", "").list()); n != 0 {
		t.Errorf("%d devices after refused requests", n)
	}
	if got := w.bulk("[]"); len(got) != 0 {
		t.Error(got)
	}
	if got := w.bulk(many(100)); len(got) != 0 {
		t.Error(got)
	}
	if n := len(w.do("GET", "/devices", "").list()); n != 100 {
		t.Errorf("%d devices, want 100", n)
	}
	// The right is RegistryWrite.
	for policy, ok := range map[string]bool{"registryReadWrite": true, "registryRead": false, "service": false, "device": false} {
		a := w.raw("POST", "/devices?"+testVersion, "[]", "Authorization", token(t, policy, testHost, time.Now().Add(time.Hour)))
		if (a.status == http.StatusOK) != ok {
			t.Errorf("%s: %d", policy, a.status)
		}
	}
}
