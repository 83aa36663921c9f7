package rest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// queryRows sends a query and returns the named member of each row.
func (w *world) queryRows(text, member string, headers ...string) ([]string, answer) {
	w.t.Helper()
	body, err := json.Marshal(map[string]string{"query": text})
	if err != nil {
		w.t.Fatal(err)
	}
	a := w.do("POST", "/devices/query", string(body), headers...)
	if a.status != 200 {
		w.t.Fatalf("%s: %d %s", text, a.status, a.body)
	}
	var rows []map[string]any
	if err := json.Unmarshal([]byte(a.body), &rows); err != nil {
		w.t.Fatalf("%s: %v in %s", text, err, a.body)
	}
	var out []string
	for _, r := range rows {
		out = append(out, fmt.Sprint(r[member]))
	}
	return out, a
}

func TestQuery(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		id := fmt.Sprint("d", i)
		if a := w.do("PUT", "/devices/"+id, `{"deviceId":"`+id+`"}`); a.status != 200 {
			t.Fatal(a.body)
		}
		if a := w.do("PATCH", "/twins/"+id, fmt.Sprintf(`{"tags":{"n":%d}}`, i)); a.status != 200 {
			t.Fatal(a.body)
		}
	}
	var got []string
	token := ""
	for {
		headers := []string{"x-ms-max-item-count", "2"}
		if token != "" {
			headers = append(headers, "x-ms-continuation", token)
		}
		ids, a := w.queryRows("SELECT * FROM devices WHERE tags.n != 3", "deviceId", headers...)
		if len(ids) > 2 || a.header.Get("x-ms-item-type") != "Twin" || a.header.Get("Content-Type") != jsonContentType {
			t.Errorf("%d rows, %v", len(ids), a.header)
		}
		got = append(got, ids...)
		values, present := a.header["X-Ms-Continuation"]
		if !present {
			break
		}
		token = values[0]
	}
	if strings.Join(got, " ") != "d0 d1 d2 d4" {
		t.Errorf("rows of %v", got)
	}
	names, a := w.queryRows("SELECT COUNT() AS n FROM devices", "n")
	if strings.Join(names, " ") != "5" || a.header.Get("x-ms-item-type") != "Raw" {
		t.Errorf("%v, %v", names, a.header)
	}
	if none, a := w.queryRows("SELECT * FROM devices.jobs", "jobId", "x-ms-max-item-count", "5000"); len(none) != 0 || a.body != "[]" ||
		a.header.Get("x-ms-item-type") != "DeviceJob" {
		t.Errorf("%s, %v", a.body, a.header)
	}
}

func TestQueryRefusals(t *testing.T) {
	w := newWorld(t)
	if a := w.do("PUT", "/devices/d", `{"deviceId":"d"}`); a.status != 200 {
		t.Fatal(a.body)
	}
	const good = `{"query":"SELECT * FROM devices"}`
	for _, tt := range []struct {
		body string
		code iothub.Code
		// headers are pairs.
		headers []string
	}{
		{`{"query":"SELECT * FROM devices WHERE"}`, iothub.CodeArgumentInvalid, nil},
		{`{"query":""}`, iothub.CodeArgumentNull, nil},
		{`{"query":null}`, iothub.CodeArgumentNull, nil},
		{`{}`, iothub.CodeArgumentNull, nil},
		{``, iothub.CodeArgumentNull, nil},
		{`null`, iothub.CodeArgumentNull, nil},
		{`[]`, iothub.CodeIotHubFormatError, nil},
		{`{"query":1}`, iothub.CodeIotHubFormatError, nil},
		{`SELECT * FROM devices`, iothub.CodeIotHubFormatError, nil},
		{good, iothub.CodeArgumentInvalid, []string{"x-ms-max-item-count", "0"}},
		{good, iothub.CodeArgumentInvalid, []string{"x-ms-max-item-count", "-1"}},
		{good, iothub.CodeArgumentInvalid, []string{"x-ms-max-item-count", "many"}},
		{good, iothub.CodeArgumentInvalid, []string{"x-ms-continuation", "garbage"}},
	} {
		w.do("POST", "/devices/query", tt.body, tt.headers...).refused(legacy, tt.code)
	}
	text := w.do("POST", "/devices/query", `{"query":"SELECT * FROM devices WHERE tags.a LIKE 1"}`).refused(legacy, iothub.CodeArgumentInvalid)
	if !strings.Contains(text, `at character 36: unexpected "LIKE"`) {
		t.Errorf("the refusal says %q", text)
	}
	for policy, allowed := range map[string]bool{
		"iothubowner": true, "service": true, "registryRead": true, "registryReadWrite": true, "device": false,
	} {
		a := w.raw("POST", "/devices/query?"+testVersion, good, "Authorization", token(t, policy, testHost, time.Now().Add(time.Hour)))
		switch {
		case allowed && a.status != 200:
			t.Errorf("%s: %d %s", policy, a.status, a.body)
		case !allowed:
			a.refused(legacy, iothub.CodeIotHubUnauthorizedAccess)
		}
	}
}
