package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/store/memory"
)

// world is a real hub on a store in memory, behind the handler under test.
type world struct {
	t       *testing.T
	hub     *hub.Hub
	handler http.Handler
	logs    *bytes.Buffer
	missing []string
}

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	w := &world{t: t, logs: new(bytes.Buffer)}
	s := memory.New(memory.Options{})
	r, err := registry.New(registry.Options{Records: s.Records(), Documents: s.Documents()})
	if err != nil {
		t.Fatal(err)
	}
	w.hub, err = hub.New(hub.Options{Name: "hub1", Registry: r, Queues: s.Queues(), Documents: s.Documents(), Log: s.Log(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.hub.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	o := Options{
		Hub:     func(name string) (*hub.Hub, bool) { return w.hub, name == "" || name == "hub1" },
		Version: "1.2.3", Logger: slog.New(slog.NewTextHandler(w.logs, nil)),
		Info: func(string) Info {
			return Info{Version: "1.2.3", PID: 7, HostName: "localhost", Ports: Ports{MQTT: 8883, Admin: 8484}}
		},
		Ready: func() []string { return w.missing },
		CA:    func() []byte { return []byte("-----BEGIN CERTIFICATE-----\n") },
	}
	for _, f := range change {
		f(&o)
	}
	w.handler = New(o)
	return w
}

// get sends a request to localhost; headers are pairs.
func (w *world) get(target string, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), http.MethodGet, target, nil)
	r.Host = "localhost:8484"
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		} else {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec
}

// decode demands a status and decodes the body, all of it known, into v.
func (w *world) decode(rec *httptest.ResponseRecorder, status int, v any) {
	w.t.Helper()
	if rec.Code != status {
		w.t.Fatalf("status %d, want %d; body %s", rec.Code, status, rec.Body)
	}
	dec := json.NewDecoder(rec.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		w.t.Fatal(err)
	}
}

// connect creates and attaches an identity.
func (w *world) connect(id iothub.ID) *hub.Connection {
	w.t.Helper()
	if _, err := w.hub.CreateIdentity(context.Background(), id, iothub.IdentityRequest{}); err != nil {
		w.t.Fatal(err)
	}
	c, err := w.hub.Connect(context.Background(), id, hub.ConnectionOptions{Grant: grantOf(id), Protocol: "mqtt", ModelID: "dtmi:com:example:T;1"}, deaf{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

// grantOf is that of the identity's own key.
func grantOf(id iothub.ID) iothub.Grant {
	return iothub.Grant{
		Identity: id, Rights: iothub.DeviceConnect, Resource: id.ResourcePath(), Expiry: time.Now().Add(time.Hour),
		AuthMethod: iothub.AuthMethod{Scope: "device", Type: "sas", Issuer: "iothub"},
	}
}

// deaf is a client that takes nothing from the hub.
type deaf struct{}

func (deaf) DeliverMethod(iothub.MethodRequest) error { return nil }
func (deaf) DeliverDesired(int64, []byte)             {}
func (deaf) C2DWaiting()                              {}
func (deaf) Disconnect(*iothub.Error)                 {}

// send stores telemetry and waits until it is kept.
func send(t *testing.T, c *hub.Connection, m iothub.Telemetry) {
	t.Helper()
	done := make(chan error, 1)
	c.SendTelemetry(context.Background(), m, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
