package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/store/memory"
)

const (
	testHost    = "hub1.azure-devices.net"
	testVersion = "api-version=2021-04-12"
)

// world is a real hub on a store in memory, behind the handler under test.
type world struct {
	t       *testing.T
	hub     *hub.Hub
	handler http.Handler
	logs    *bytes.Buffer
}

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	return newWorldOf(t, hub.Options{}, change...)
}

// newWorldOf is newWorld with settings of the hub.
func newWorldOf(t *testing.T, settings hub.Options, change ...func(*Options)) *world {
	t.Helper()
	w := &world{t: t, logs: new(bytes.Buffer)}
	logger := slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := memory.New(memory.Options{})
	r, err := registry.New(registry.Options{Records: s.Records(), Documents: s.Documents()})
	if err != nil {
		t.Fatal(err)
	}
	settings.Name, settings.Registry, settings.Logger = "hub1", r, logger
	settings.Queues, settings.Documents, settings.Log = s.Queues(), s.Documents(), s.Log()
	w.hub, err = hub.New(settings)
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
		Hubs: func(host string) (*hub.Hub, error) {
			if host != testHost {
				return nil, iothub.NewError(iothub.CodeIotHubNotFound, "No hub answers to %q.", host)
			}
			return w.hub, nil
		},
		Logger: logger, Version: "1.2.3",
	}
	for _, f := range change {
		f(&o)
	}
	w.handler = New(o)
	return w
}

// token signs for a default policy.
func token(t *testing.T, policy, resource string, expiry time.Time) string {
	t.Helper()
	for _, p := range registry.DefaultPolicies() {
		if p.Name == policy {
			text, err := registry.SignSASToken(resource, policy, p.PrimaryKey, expiry)
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
	}
	t.Fatalf("no policy %q", policy)
	return ""
}

// answer is a response with its body read.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   string
}

// do sends a request as iothubowner. path is the raw path with its query;
// api-version is added when the query has none. headers are pairs.
func (w *world) do(method, path, body string, headers ...string) answer {
	w.t.Helper()
	if !strings.Contains(path, "api-version") {
		if strings.Contains(path, "?") {
			path += "&" + testVersion
		} else {
			path += "?" + testVersion
		}
	}
	return w.raw(method, path, body, append([]string{
		"Authorization", token(w.t, "iothubowner", testHost, time.Now().Add(time.Hour)),
	}, headers...)...)
}

// raw is do without additions; the empty value removes a header.
func (w *world) raw(method, target, body string, headers ...string) answer {
	w.t.Helper()
	return w.send(w.request(method, target, body, headers...))
}

func (w *world) request(method, target, body string, headers ...string) *http.Request {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, "https://"+testHost+target, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.RequestURI = target
	for i := 0; i+1 < len(headers); i += 2 {
		if r.Header.Set(headers[i], headers[i+1]); headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	return r
}

func (w *world) send(r *http.Request) answer {
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	res := rec.Result()
	for name, values := range res.Header { // a client of Go's gets them so
		res.Header[http.CanonicalHeaderKey(name)] = values
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{w.t, res.StatusCode, res.Header, string(body)}
}

// ok demands a status and returns the decoded body, if any.
func (a answer) ok(status int) map[string]any {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d; body %s", a.status, status, a.body)
	}
	if a.header.Get("x-ms-request-id") == "" || a.header.Get("Server") != "Hubnerite/1.2.3" {
		a.t.Errorf("headers of every answer are missing: %v", a.header)
	}
	if a.body == "" {
		return nil
	}
	if got := a.header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		a.t.Errorf("Content-Type %q", got)
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		a.t.Fatalf("body %s: %v", a.body, err)
	}
	return m
}

// list demands status 200 and an array.
func (a answer) list() []map[string]any {
	a.t.Helper()
	if a.status != http.StatusOK {
		a.t.Fatalf("status %d; body %s", a.status, a.body)
	}
	list := []map[string]any{}
	if err := json.Unmarshal([]byte(a.body), &list); err != nil || !strings.HasPrefix(a.body, "[") {
		a.t.Fatalf("body %s: %v", a.body, err)
	}
	return list
}

// refused demands an error of the code in the form, header and body agreeing,
// and returns the message.
func (a answer) refused(form envelope, code iothub.Code) string {
	a.t.Helper()
	if a.status != code.HTTPStatus() || a.header.Get("iothub-errorcode") != code.String() {
		a.t.Fatalf("status %d %s, want %d %s; body %s", a.status, a.header.Get("iothub-errorcode"), code.HTTPStatus(), code, a.body)
	}
	if got := a.header.Get("Content-Type"); got != "application/json; charset=utf-8" {
		a.t.Errorf("Content-Type %q", got)
	}
	return checkErrorBody(a.t, form, code, []byte(a.body))
}

// checkErrorBody decodes an error body strictly and returns its text.
func checkErrorBody(t *testing.T, form envelope, code iothub.Code, body []byte) string {
	t.Helper()
	if form == flat {
		return checkFlat(t, code, body)
	}
	var outer struct{ Message, ExceptionMessage *string }
	if err := decodeStrictly(body, &outer); err != nil || outer.Message == nil || outer.ExceptionMessage == nil {
		t.Fatalf("body %s: %v", body, err)
	}
	if form == nested {
		if *outer.ExceptionMessage != "" {
			t.Errorf("ExceptionMessage %q, want none", *outer.ExceptionMessage)
		}
		return checkFlat(t, code, []byte(*outer.Message))
	}
	if !strings.HasPrefix(*outer.ExceptionMessage, "Tracking ID:") || !strings.Contains(*outer.ExceptionMessage, "-TimeStamp:") {
		t.Errorf("ExceptionMessage %q has no tracking ID", *outer.ExceptionMessage)
	}
	first, text, _ := strings.Cut(*outer.Message, ";")
	if first != "ErrorCode:"+code.String() {
		t.Errorf("Message %q, want code %s", *outer.Message, code)
	}
	return text
}

func checkFlat(t *testing.T, code iothub.Code, body []byte) string {
	t.Helper()
	var f struct {
		ErrorCode    int
		TrackingID   string
		Message      string
		Info         map[string]any
		TimestampUTC time.Time
	}
	if err := decodeStrictly(body, &f); err != nil {
		t.Fatalf("body %s: %v", body, err)
	}
	if f.ErrorCode != int(code) || !strings.Contains(f.TrackingID, "-TimeStamp:") || f.TimestampUTC.IsZero() {
		t.Errorf("body %s, want code %d, tracking ID and time", body, code)
	}
	return f.Message
}

func decodeStrictly(body []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	return dec.Decode(v)
}

// create makes identities through the API.
func (w *world) create(ids ...iothub.ID) {
	w.t.Helper()
	for _, id := range ids {
		body, err := json.Marshal(iothub.IdentityRequest{DeviceID: id.DeviceID, ModuleID: id.ModuleID})
		if err != nil {
			w.t.Fatal(err)
		}
		w.do("PUT", identityPath("/devices/", id), string(body)).ok(200)
	}
}

// identityPath escapes as much as any SDK does.
func identityPath(prefix string, id iothub.ID) string {
	path := prefix + url.QueryEscape(id.DeviceID)
	if id.IsModule() {
		path += "/modules/" + url.QueryEscape(id.ModuleID)
	}
	return path
}

// device is a connected client that answers direct methods.
type device struct {
	*hub.Connection
	method func(iothub.MethodRequest) *iothub.MethodResponse
}

func (d *device) DeliverMethod(req iothub.MethodRequest) error {
	go func() {
		if answer := d.method(req); answer != nil {
			d.AnswerMethod(req.RequestID, *answer)
		}
	}()
	return nil
}
func (d *device) DeliverDesired(int64, []byte) {}
func (d *device) C2DWaiting()                  {}
func (d *device) Disconnect(*iothub.Error)     {}

// connect attaches a device that answers methods with method (nil: never).
func (w *world) connect(id iothub.ID, method func(iothub.MethodRequest) *iothub.MethodResponse) *device {
	w.t.Helper()
	if method == nil {
		method = func(iothub.MethodRequest) *iothub.MethodResponse { return nil }
	}
	d := &device{method: method}
	g := iothub.Grant{Identity: id, Rights: iothub.DeviceConnect, Resource: id.ResourcePath(), Expiry: time.Now().Add(time.Hour)}
	conn, err := w.hub.Connect(context.Background(), id, hub.ConnectionOptions{Grant: g, Protocol: "mqtt"}, d)
	if err != nil {
		w.t.Fatal(err)
	}
	d.Connection = conn
	conn.EnableMethods(true)
	w.t.Cleanup(conn.Close)
	return d
}
