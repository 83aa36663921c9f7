package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// Whatever a client sends, the answer is in order: never a fault of ours, and
// every refusal a JSON body whose code agrees with the header.
func TestArbitraryRequests(t *testing.T) {
	w := newWorld(t)
	w.create(iothub.ID{DeviceID: "d"}, iothub.ID{DeviceID: "d", ModuleID: "m"})
	owner := token(t, "iothubowner", testHost, time.Now().Add(time.Hour))
	segment := rapid.OneOf(
		rapid.SampledFrom([]string{
			"devices", "twins", "modules", "methods", "messages", "serviceBound", "feedback", "abandon", "commands", "statistics",
			"service", "d", "m", "$edgeAgent", "query", "jobs", "v2", "configurations", "digitaltwins", "", ".", "..", "%", "%2F", "%zz",
			"%00", "%25", "events", "deviceBound", "files", "notifications", "fileNotifications", "$iothub", "websocket", "{deviceID}", "*", "DEVICES",
		}),
		rapid.StringMatching(`[ -~]{0,20}`), rapid.String(),
	)
	value := rapid.SampledFrom([]string{
		`null`, `1`, `-1`, `1e400`, `""`, `"x"`, `[]`, `{}`, `[null]`, `{"a":null}`, `{"$version":1}`, `true`, `"enabled"`, `"sas"`,
		`{"desired":{"a":1}}`, `{"symmetricKey":{"primaryKey":"x"}}`, `{"type":"selfSigned"}`, `99999999999999999999`, `"\ud800"`,
	})
	name := rapid.SampledFrom([]string{
		"deviceId", "moduleId", "etag", "status", "statusReason", "authentication", "capabilities", "deviceScope", "parentScopes",
		"managedBy", "tags", "properties", "methodName", "payload", "responseTimeoutInSeconds", "timeout", "",
	})
	body := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) string {
			var b strings.Builder
			b.WriteByte('{')
			for i := range rapid.IntRange(0, 4).Draw(t, "members") {
				if i > 0 {
					b.WriteByte(',')
				}
				fmt.Fprintf(&b, "%q:%s", name.Draw(t, "name"), value.Draw(t, "value"))
			}
			b.WriteByte('}')
			return b.String()
		}),
		value, rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
	)
	header := rapid.OneOf(rapid.SampledFrom([]string{"", "*", `"*"`, `"`, `""`, "PATCH", owner, "SharedAccessSignature sr=%", "W/\"x\""}), rapid.String())

	rapid.Check(t, func(t *rapid.T) {
		u := url.URL{Scheme: "https", Host: testHost}
		raw := "/" + strings.Join(rapid.SliceOfN(segment, 0, 6).Draw(t, "path"), "/")
		if path, err := url.PathUnescape(raw); err == nil {
			u.Path, u.RawPath = path, raw
		} else {
			u.Path = raw
		}
		u.RawQuery = rapid.OneOf(rapid.Just(testVersion), rapid.Just(testVersion+"&top=x;%"), rapid.String()).Draw(t, "query")
		// A client that waits no longer is what the server sees as a canceled request.
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		defer time.AfterFunc(100*time.Millisecond, cancel).Stop()
		r := (&http.Request{
			Method: rapid.SampledFrom([]string{"GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", ""}).Draw(t, "method"),
			URL:    &u, Host: testHost, Header: http.Header{}, Body: http.NoBody,
		}).WithContext(ctx)
		content := body.Draw(t, "body")
		r.Body = readCloser{strings.NewReader(content)}
		r.Header.Set("Authorization", owner)
		for _, h := range []string{"Authorization", "If-Match", "X-HTTP-Method-Override", "x-ms-edge-moduleId"} {
			if rapid.IntRange(0, 4).Draw(t, "has "+h) == 0 {
				r.Header.Set(h, header.Draw(t, h))
			}
		}
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)

		if rec.Code >= 500 && rec.Code != http.StatusNotImplemented {
			t.Fatalf("%s %s: %d %s", r.Method, u.String(), rec.Code, rec.Body)
		}
		if rec.Body.Len() > 0 && !json.Valid(rec.Body.Bytes()) {
			t.Fatalf("%s %s: body %q", r.Method, u.String(), rec.Body)
		}
		if rec.Code >= 400 && !strings.Contains(rec.Body.String(), `"`+"Message"+`"`) && !strings.Contains(rec.Body.String(), `"errorCode"`) {
			t.Fatalf("%s %s: %d without an error body: %q", r.Method, u.String(), rec.Code, rec.Body)
		}
		if (rec.Code >= 400) != (rec.Header().Get("iothub-errorcode") != "") {
			t.Fatalf("%s %s: %d with iothub-errorcode %q", r.Method, u.String(), rec.Code, rec.Header().Get("iothub-errorcode"))
		}
	})
	if strings.Contains(w.logs.String(), "panic") || strings.Contains(w.logs.String(), "level=ERROR") {
		t.Errorf("faults in the log: %s", w.logs)
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// anyHost lets a world answer to the address of a test listener.
func anyHost(w **world) func(*Options) {
	return func(o *Options) {
		o.Hubs = func(string) (*hub.Hub, error) { return (*w).hub, nil }
	}
}

// On the wire: escapes, chunked bodies, an oversized body.
func TestOverTheWire(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("listener", func(t *testing.T) {
		var w *world
		w = newWorld(t, anyHost(&w))
		srv := httptest.NewUnstartedServer(w.handler)
		Configure(srv.Config)
		srv.StartTLS()
		defer srv.Close()
		owner := token(t, "iothubowner", "localhost%3A8443", time.Now().Add(time.Hour))
		do := func(method, path, body string) (*http.Response, error) {
			t.Helper()
			r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path+"?"+testVersion, readCloser{strings.NewReader(body)})
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", owner)
			return srv.Client().Do(r)
		}
		for _, id := range []string{"a%25b", "%23%3F%3b", "$x", "a+b"} {
			res, err := do("PUT", "/devices/"+id, "{}")
			if err != nil {
				t.Fatal(err)
			}
			var got iothub.IdentityRequest
			err = json.NewDecoder(res.Body).Decode(&got)
			_ = res.Body.Close()
			if name, bad := url.PathUnescape(id); bad != nil || err != nil || res.StatusCode != http.StatusOK || got.DeviceID != name {
				t.Errorf("%s: %d %q %v", id, res.StatusCode, got.DeviceID, err)
			}
		}
		res, err := do("PUT", "/devices/large", strings.Repeat(" ", 4*MaxBody))
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode != http.StatusRequestEntityTooLarge || res.Header.Get("iothub-errorcode") != "MessageTooLarge" {
				t.Errorf("oversized body: %d %s", res.StatusCode, res.Header.Get("iothub-errorcode"))
			}
		} else {
			t.Errorf("oversized body: %v", err)
		}
		srv.Client().CloseIdleConnections()
	})
}

// A body that stops half way is given up when the server's read time ends.
func TestStalledBody(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("listener", func(t *testing.T) {
		var w *world
		w = newWorld(t, anyHost(&w))
		srv := httptest.NewUnstartedServer(w.handler)
		Configure(srv.Config)
		srv.Config.ReadTimeout = 100 * time.Millisecond
		srv.Start()
		defer srv.Close()
		conn, err := net.Dial("tcp", srv.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, err = fmt.Fprintf(conn, "PUT /devices/d?%s HTTP/1.1\r\nHost: h\r\nAuthorization: %s\r\nContent-Length: 100\r\n\r\n{",
			testVersion, token(t, "iothubowner", "h", time.Now().Add(time.Hour)))
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode != http.StatusBadRequest || res.Header.Get("iothub-errorcode") != "RequestTimedOut" {
			t.Errorf("%d %s", res.StatusCode, res.Header.Get("iothub-errorcode"))
		}
	})
}

// The write time-out must leave room for the slowest direct method.
func TestServerTimes(t *testing.T) {
	var s http.Server
	Configure(&s)
	if s.WriteTimeout <= 2*iothub.MaxMethodTimeout || s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("times %+v", &s)
	}
}
