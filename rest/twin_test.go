package rest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubnerite/hubnerite/iothub"
)

// properties returns a section of a twin without what starts with $.
func properties(twin map[string]any, section string) map[string]any {
	all := twin["properties"].(map[string]any)[section].(map[string]any)
	out := map[string]any{}
	for k, v := range all {
		if !strings.HasPrefix(k, "$") {
			out[k] = v
		}
	}
	return out
}

func TestTwins(t *testing.T) {
	for _, id := range []iothub.ID{{DeviceID: "d"}, {DeviceID: "d", ModuleID: "m"}} {
		t.Run(id.String(), func(t *testing.T) {
			w := newWorld(t)
			w.create(iothub.ID{DeviceID: "d"})
			if id.IsModule() {
				w.create(id)
			}
			path := identityPath("/twins/", id)
			a := w.do("GET", path, "")
			twin := a.ok(200)
			if twin["etag"] != "AAAAAAAAAAE=" || a.header.Get("ETag") != `"AAAAAAAAAAE="` || twin["version"] != 2.0 || twin["deviceId"] != "d" {
				t.Errorf("new twin %s", a.body)
			}
			if got, want := twin["moduleId"], any(id.ModuleID); id.IsModule() && got != want {
				t.Errorf("moduleId %v", got)
			}

			patched := w.do("PATCH", path, `{"tags":{"site":"n","gone":1},"properties":{"desired":{"a":{"b":1,"c":2}}}}`, "If-Match", `"*"`).ok(200)
			if diff := cmp.Diff(map[string]any{"site": "n", "gone": 1.0}, patched["tags"]); diff != "" {
				t.Error(diff)
			}
			overridden := w.do("POST", path+"/", `{"tags":{"gone":null},"properties":{"desired":{"a":{"b":null,"d":[1,2]}},"reported":{"x":1}}}`,
				"X-HTTP-Method-Override", "patch").ok(200)
			if diff := cmp.Diff(map[string]any{"a": map[string]any{"c": 2.0, "d": []any{1.0, 2.0}}}, properties(overridden, "desired")); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(map[string]any{"site": "n"}, overridden["tags"]); diff != "" {
				t.Error(diff)
			}
			if len(properties(overridden, "reported")) != 0 {
				t.Error("a back end wrote reported properties")
			}
			if overridden["version"] != 4.0 || overridden["properties"].(map[string]any)["desired"].(map[string]any)["$version"] != 3.0 {
				t.Errorf("versions of %v", overridden)
			}

			replaced := w.do("PUT", path, `{"properties":{"desired":{"only":true}}}`, "If-Match", `"`+overridden["etag"].(string)+`"`).ok(200)
			if diff := cmp.Diff(map[string]any{"only": true}, properties(replaced, "desired")); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(map[string]any{}, replaced["tags"]); diff != "" {
				t.Error(diff)
			}
			if got := w.do("GET", path, "").ok(200); got["etag"] != replaced["etag"] {
				t.Errorf("read etag %v after write of %v", got["etag"], replaced["etag"])
			}
			w.do("PATCH", path, `{"tags":{}}`, "If-Match", `"AAAAAAAAAAE="`).refused(legacy, iothub.CodePreconditionFailed)
		})
	}
}

func TestRefusedTwins(t *testing.T) {
	w := newWorld(t)
	w.create(iothub.ID{DeviceID: "d"})
	for _, path := range []string{"/twins/none", "/twins/d/modules/none", "/twins/none/modules/none"} {
		w.do("GET", path, "").refused(legacy, iothub.CodeDeviceNotFound)
		w.do("PATCH", path, `{"tags":{}}`).refused(legacy, iothub.CodeDeviceNotFound)
		w.do("PUT", path, `{"tags":{}}`).refused(legacy, iothub.CodeDeviceNotFound)
	}
	for body, want := range map[string]iothub.Code{
		``:                      iothub.CodeArgumentNull,
		`null`:                  iothub.CodeIotHubFormatError,
		`[]`:                    iothub.CodeIotHubFormatError,
		`{"tags":`:              iothub.CodeIotHubFormatError,
		`{"tags":5}`:            iothub.CodeArgumentInvalid,
		`{"properties":[]}`:     iothub.CodeArgumentInvalid,
		`{"tags":{"a.b":1}}`:    iothub.CodeArgumentInvalid,
		`{"tags":{"$a":1}}`:     iothub.CodeArgumentInvalid,
		`{"tags":{"a":[null]}}`: iothub.CodeArgumentInvalid,
		`{"tags":{"a":1e999}}`:  iothub.CodeArgumentInvalid,
		`{"tags":{"a":` + strings.Repeat("9", 5000) + `}}`:                             iothub.CodeArgumentInvalid,
		`{"tags":{"a":"` + strings.Repeat("x", 4097) + `"}}`:                           iothub.CodeArgumentInvalid,
		`{"tags":` + strings.Repeat(`{"a":`, 30) + "1" + strings.Repeat("}", 30) + `}`: iothub.CodeArgumentInvalid,
		`{"tags":` + strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 101):     iothub.CodeIotHubFormatError,
		`{"properties":{"desired":{"a":"` + strings.Repeat(`x`, MaxBody) + `"}}}`:      iothub.CodeMessageTooLarge,
		`{"properties":{"desired":{"a":1}}}{"tags":{"b":1}}`:                           iothub.CodeIotHubFormatError,
		"{\"tags\":{\"a\":\"\xc3\x28\"}}":                                              iothub.CodeIotHubFormatError,
	} {
		a := w.do("PATCH", "/twins/d", body)
		if a.header.Get("iothub-errorcode") != want.String() {
			t.Errorf("%.60q: %s, want %s", body, a.body, want)
			continue
		}
		a.refused(legacy, want)
	}
	if twin := w.do("GET", "/twins/d", "").ok(200); twin["version"] != 2.0 {
		t.Errorf("a refused patch moved the version to %v", twin["version"])
	}
}

// What a device reports is there for the next read.
func TestReportedPropertiesAreReadAtOnce(t *testing.T) {
	w := newWorld(t)
	id := iothub.ID{DeviceID: "d"}
	w.create(id)
	d := w.connect(id, nil)
	if _, err := d.Report(t.Context(), []byte(`{"rebootTime":"2026-01-05 10:00:00"}`), nil); err != nil {
		t.Fatal(err)
	}
	twin := w.do("GET", "/twins/d", "").ok(200)
	if got := properties(twin, "reported")["rebootTime"]; got != "2026-01-05 10:00:00" {
		t.Errorf("reported %v", got)
	}
}

// A twin that a program read and sends back whole is taken as a patch.
func TestWholeTwinAsPatch(t *testing.T) {
	w := newWorld(t)
	w.create(iothub.ID{DeviceID: "d"})
	twin := w.do("PATCH", "/twins/d", `{"tags":{"a":1},"properties":{"desired":{"b":2}}}`).ok(200)
	body, err := json.Marshal(twin)
	if err != nil {
		t.Fatal(err)
	}
	again := w.do("PATCH", "/twins/d", string(body), "If-Match", twin["etag"].(string)).ok(200)
	if diff := cmp.Diff(properties(twin, "desired"), properties(again, "desired")); diff != "" {
		t.Error(diff)
	}
}
