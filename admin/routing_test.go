package admin

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/hubnerite/hubnerite/iothub"
)

// call sends a request with a JSON body to localhost.
func (w *world) call(method, target, body string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, target, strings.NewReader(body))
	r.Host = "localhost:8484"
	r.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec
}

func TestRoutes(t *testing.T) {
	w := newWorld(t)
	var list struct {
		Routes        []Route
		FallbackRoute Route
		Orphaned      int64
	}
	w.decode(w.get("/routes"), 200, &list)
	fallback := Route{"$fallback", "DeviceMessages", "true", []string{"events"}, true}
	if diff := cmp.Diff(fallback, list.FallbackRoute); diff != "" || list.Routes == nil || len(list.Routes) != 0 {
		t.Errorf("at the start: %+v %s", list, diff)
	}

	var got Route
	w.decode(w.call("PUT", "/routes/hot", `{"condition":"level = 'hot'"}`), 200, &got)
	want := Route{"hot", "DeviceMessages", "level = 'hot'", []string{"events"}, true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	w.decode(w.call("PUT", "/routes/$fallback", `{"isEnabled":false}`), 200, &got)
	w.decode(w.get("/routes/%24fallback"), 200, &got)
	if got.IsEnabled {
		t.Error("the fallback route is still enabled")
	}

	d := w.connect(iothub.ID{DeviceID: "d"})
	send(t, d, iothub.Telemetry{Body: []byte("cold")})
	send(t, d, iothub.Telemetry{Body: []byte("hot"), Properties: iothub.Properties{{Name: "level", Value: "hot"}}})
	if got := w.messages("/messages"); len(got) != 1 || got[0].Body != "hot" {
		t.Errorf("messages %+v", got)
	}
	w.decode(w.get("/routes"), 200, &list)
	if diff := cmp.Diff([]Route{want}, list.Routes); diff != "" || list.Orphaned != 1 {
		t.Errorf("orphaned %d %s", list.Orphaned, diff)
	}

	if rec := w.call("DELETE", "/routes/hot", ""); rec.Code != http.StatusNoContent {
		t.Errorf("delete: %d %s", rec.Code, rec.Body)
	}
	for _, tt := range []struct {
		method, target, body string
		status               int
		says                 string
	}{
		{"GET", "/routes/hot", "", 404, "route"},
		{"DELETE", "/routes/hot", "", 404, "hot"},
		{"DELETE", "/routes/$fallback", "", 404, "fallback"},
		{"PUT", "/routes/r", `{"condition":"a = = 1"}`, 400, "at character 5"},
		{"PUT", "/routes/r", `{"endpointNames":["nowhere"]}`, 400, "nowhere"},
		{"PUT", "/routes/r", `{"source":"DigitalTwinChangeEvents"}`, 400, "DigitalTwinChangeEvents"},
		{"PUT", "/routes/r", `{"source":"Everything"}`, 422, "source"},
		{"PUT", "/routes/a%20b", `{}`, 400, "letters"},
		{"PUT", "/routes/r", `{"isenabledd":false}`, 422, "isenabledd"},
		{"GET", "/enrichments/r", "", 404, "enrichment"},
		{"DELETE", "/enrichments/r", "", 404, "enrichment"},
		{"PUT", "/enrichments/r", `{"value":""}`, 400, "empty"},
		{"PUT", "/enrichments/r", `{"value":"x","endpointNames":["nowhere"]}`, 400, "nowhere"},
		{"GET", "/endpoints/r", "", 404, "endpoint"},
		{"DELETE", "/endpoints/r", "", 404, "endpoint"},
		{"PUT", "/endpoints/events", `{"url":"http://localhost/"}`, 400, "reserved"},
		{"PUT", "/endpoints/r", `{"url":"ftp://localhost/"}`, 400, "http"},
	} {
		rec := w.call(tt.method, tt.target, tt.body)
		if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.says) {
			t.Errorf("%s %s %s: %d %s, want %d and %q", tt.method, tt.target, tt.body, rec.Code, rec.Body, tt.status, tt.says)
		}
		var problem huma.ErrorModel
		if err := json.Unmarshal(rec.Body.Bytes(), &problem); err != nil || problem.Status != tt.status {
			t.Errorf("%s %s: not a problem: %s", tt.method, tt.target, rec.Body)
		}
	}
}

func TestEnrichmentsAndEndpoints(t *testing.T) {
	w := newWorld(t)
	posted := make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		posted <- string(body)
		rw.WriteHeader(http.StatusForbidden)
	}))
	defer hook.Close()
	for _, put := range []struct{ target, body string }{
		{"/endpoints/hook", `{"url":"` + hook.URL + `/x"}`},
		{"/enrichments/site", `{"value":"$twin.tags.site","endpointNames":["events","hook"]}`},
		{"/enrichments/hub", `{"value":"$iothubname"}`},
		{"/routes/all", `{"endpointNames":["hook"]}`},
		{"/routes/again", `{"endpointNames":["hook"],"condition":"is_defined($connectionDeviceId)"}`},
		{"/routes/builtin", `{}`},
	} {
		if rec := w.call("PUT", put.target, put.body); rec.Code != 200 {
			t.Fatalf("%s: %d %s", put.target, rec.Code, rec.Body)
		}
	}
	d := w.connect(iothub.ID{DeviceID: "d"})
	send(t, d, iothub.Telemetry{Body: []byte("x"), Properties: iothub.Properties{{Name: "own", Value: "1"}}})

	got := w.messages("/messages")
	want := map[string]string{"own": "1", "site": "$twin.tags.site", "hub": "hub1"}
	if len(got) != 1 || cmp.Diff(want, got[0].Application) != "" {
		t.Errorf("messages %+v", got)
	}
	if body := <-posted; !strings.Contains(body, `"properties":{"own":"1","site":"$twin.tags.site"}`) {
		t.Errorf("posted %s", body)
	}
	// The webhook refused it for good.
	var letters struct{ DeadLetters []DeadLetter }
	for len(letters.DeadLetters) == 0 {
		w.decode(w.get("/dead-letters"), 200, &letters)
	}
	l := letters.DeadLetters[0]
	if l.Endpoint != "hook" || l.Reason != "refused" || l.Attempts != 1 || l.LastError != "status 403" || l.Message.Body != "x" || l.ID == "" {
		t.Errorf("dead letter %+v", l)
	}
	if rec := w.call("DELETE", "/dead-letters", ""); rec.Code != http.StatusNoContent {
		t.Errorf("clear: %d %s", rec.Code, rec.Body)
	}
	w.decode(w.get("/dead-letters"), 200, &letters)
	if letters.DeadLetters == nil || len(letters.DeadLetters) != 0 {
		t.Errorf("after clearing: %+v", letters)
	}
	if len(posted) != 0 {
		t.Error("two routes to one endpoint delivered twice")
	}

	if rec := w.call("DELETE", "/endpoints/hook", ""); rec.Code != 400 || !strings.Contains(rec.Body.String(), "hook") {
		t.Errorf("delete of an endpoint in use: %d %s", rec.Code, rec.Body)
	}
	for _, target := range []string{"/routes/all", "/routes/again", "/enrichments/site", "/endpoints/hook"} {
		if rec := w.call("DELETE", target, ""); rec.Code != http.StatusNoContent {
			t.Errorf("delete %s: %d %s", target, rec.Code, rec.Body)
		}
	}
	var enrichments struct{ Enrichments []Enrichment }
	w.decode(w.get("/enrichments"), 200, &enrichments)
	if diff := cmp.Diff([]Enrichment{{"hub", "$iothubname", []string{"events"}}}, enrichments.Enrichments); diff != "" {
		t.Error(diff)
	}
	var endpoints struct{ Endpoints []Endpoint }
	w.decode(w.get("/endpoints"), 200, &endpoints)
	if endpoints.Endpoints == nil || len(endpoints.Endpoints) != 0 {
		t.Errorf("endpoints %+v", endpoints)
	}
}

func TestMessagesBySource(t *testing.T) {
	w := newWorld(t)
	d := w.connect(iothub.ID{DeviceID: "d"})
	send(t, d, iothub.Telemetry{Body: []byte("x")})
	if _, err := d.Report(context.Background(), []byte(`{"a":1}`), nil); err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]string{
		"": "Telemetry", "?source=twinChangeEvents": "twinChangeEvents", "?source=all": "Telemetry twinChangeEvents",
		"?source=deviceLifecycleEvents": "",
	} {
		var got []string
		for _, m := range w.messages("/messages" + source) {
			got = append(got, m.Source)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %s", source, got, want)
		}
	}
}
