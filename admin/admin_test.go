package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

func TestHealth(t *testing.T) {
	w := newWorld(t)
	w.missing = []string{"amqp", "https"}
	var got Health
	w.decode(w.get("/health"), http.StatusServiceUnavailable, &got)
	if got.Status != "starting" || strings.Join(got.Missing, " ") != "amqp https" {
		t.Errorf("starting: %+v", got)
	}
	w.missing = nil
	rec := w.get("/health")
	if body := strings.TrimSpace(rec.Body.String()); rec.Code != 200 || body != `{"status":"healthy","missing":[]}` {
		t.Errorf("healthy: %d %s", rec.Code, body)
	}
}

// The names of these members are what scripts and test programs read.
func TestInfo(t *testing.T) {
	w := newWorld(t)
	var got map[string]any
	w.decode(w.get("/info"), 200, &got)
	want := `{"adminUrl":"","caBundleFile":"","caFile":"","connectionStrings":{},"deviceCount":0,"devices":{},"eventHub":{"connectionString":"","entityPath":""},"hostName":"localhost","hostNames":[],` +
		`"pid":7,"ports":{"admin":8484,"amqp":0,"https":0,"mqtt":8883},"storage":{"connectionString":""},"version":"1.2.3"}`
	if text, err := json.Marshal(got); err != nil || string(text) != want {
		t.Errorf("info %s, want %s (%v)", text, want, err)
	}
}

func TestCA(t *testing.T) {
	w := newWorld(t)
	rec := w.get("/ca.pem")
	if rec.Code != 200 || rec.Header().Get("Content-Type") != "application/x-pem-file" || rec.Body.String() != "-----BEGIN CERTIFICATE-----\n" {
		t.Errorf("%d %s %q", rec.Code, rec.Header().Get("Content-Type"), rec.Body)
	}
	for _, ca := range []func() []byte{nil, func() []byte { return nil }} {
		w := newWorld(t, func(o *Options) { o.CA = ca })
		var problem huma.ErrorModel
		w.decode(w.get("/ca.pem"), http.StatusNotFound, &problem)
	}
}

func TestUnsupportedCounters(t *testing.T) {
	w := newWorld(t)
	var got struct{ Operations map[string]int }
	w.decode(w.get("/unsupported"), 200, &got)
	if got.Operations == nil || len(got.Operations) != 0 {
		t.Errorf("at the start: %v", got.Operations)
	}
	w.hub.CountUnsupported("POST /devices/query (query)")
	w.hub.CountUnsupported("POST /devices/query (query)")
	w.decode(w.get("/unsupported"), 200, &got)
	if got.Operations["POST /devices/query (query)"] != 2 {
		t.Errorf("after two calls: %v", got.Operations)
	}
}

// The document lists every operation with its parameters, and the page shows
// them without fetching anything.
func TestDocumentation(t *testing.T) {
	w := newWorld(t)
	var doc struct {
		Paths map[string]struct {
			Get struct {
				Parameters []struct{ Name string }
				Responses  map[string]json.RawMessage
			}
		}
	}
	rec := w.get("/openapi.json")
	if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	page := w.get("/docs")
	if page.Code != 200 || !strings.HasPrefix(page.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("docs: %d", page.Code)
	}
	html := page.Body.String()
	for path, parameters := range map[string]string{
		"/health": "", "/info": "hub", "/ca.pem": "", "/unsupported": "hub",
		"/messages":      "device module event protocol code outcome method property system body since direction source limit newest hub",
		"/messages/wait": "device module event protocol code outcome method property system body since direction source limit count timeout hub",
		"/activity/wait": "device module event protocol code outcome method property system body since kind limit count timeout hub",
		"/methods":       "device module event protocol code outcome method property system body since limit newest hub", "/clock": "",
		"/routes": "hub", "/routes/{name}": "name hub", "/enrichments": "hub", "/enrichments/{name}": "name hub",
		"/endpoints": "hub", "/endpoints/{name}": "name hub", "/dead-letters": "hub",
	} {
		var names []string
		for _, p := range doc.Paths[path].Get.Parameters {
			names = append(names, p.Name)
		}
		if got := strings.Join(names, " "); got != parameters || doc.Paths[path].Get.Responses["200"] == nil {
			t.Errorf("%s has parameters %q, want %q", path, got, parameters)
		}
		if !strings.Contains(html, `>`+path+`</a>`) {
			t.Errorf("the page has no %s", path)
		}
	}
	for path := range doc.Paths {
		if !strings.Contains(html, `>`+path+`</a>`) {
			t.Errorf("the page has no %s", path)
		}
	}
	for _, foreign := range []string{"<script", "http://", "https://", "src="} {
		if strings.Contains(html, foreign) {
			t.Errorf("the page contains %q", foreign)
		}
	}
}

func TestUnknown(t *testing.T) {
	w := newWorld(t)
	var problem huma.ErrorModel
	w.decode(w.get("/device"), http.StatusNotFound, &problem)
	if !strings.Contains(problem.Detail, "/device") {
		t.Errorf("detail %q", problem.Detail)
	}
}

func TestPanicBecomesProblem(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Ready = func() []string { panic("secret") } })
	rec := w.get("/health")
	if rec.Code != 500 || strings.Contains(rec.Body.String(), "secret") || !strings.Contains(w.logs.String(), "secret") {
		t.Errorf("%d %s; log %s", rec.Code, rec.Body, w.logs)
	}
}

func TestServerTimes(t *testing.T) {
	var s http.Server
	Configure(&s)
	if s.WriteTimeout <= MaxWait || s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("times %+v", &s)
	}
}
