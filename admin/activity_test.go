package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// happen has one thing of each sort happen to the devices d-1 and e.
func happen(w *world) *hub.Connection {
	w.t.Helper()
	ctx := context.Background()
	d := w.connect(iothub.ID{DeviceID: "d-1"})
	if _, err := w.hub.CreateIdentity(ctx, iothub.ID{DeviceID: "e"}, iothub.IdentityRequest{}); err != nil {
		w.t.Fatal(err)
	}
	e := w.connect(iothub.ID{DeviceID: "e", ModuleID: "m"})
	send(w.t, d, iothub.Telemetry{
		System: iothub.SystemProperties{MessageID: "t1"}, Properties: iothub.Properties{{Name: "level", Value: "hot=1"}},
		Body: []byte(`{"temperature":21.5,"list":[{"a b":"x"}]}`),
	})
	send(w.t, e, iothub.Telemetry{Body: []byte{0xff}})
	if _, err := w.hub.SendC2D(ctx, iothub.C2DMessage{ID: d.ID(), System: iothub.SystemProperties{MessageID: "c1"}, Ack: iothub.AckFull, Body: []byte("5")}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.hub.PurgeC2D(ctx, d.ID()); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.hub.InvokeMethod(ctx, d.ID(), iothub.MethodRequest{MethodName: "go", Payload: []byte(`{"n":1}`)}); err == nil {
		w.t.Fatal("the method was answered")
	}
	if _, err := w.hub.PatchTwin(ctx, d.ID(), iothub.TwinPatch{Tags: map[string]any{"site": "n"}}, ""); err != nil {
		w.t.Fatal(err)
	}
	w.hub.Refused("telemetry", "mqtt", "10.0.0.1:5", d.ID(), iothub.NewError(iothub.CodeMessageTooLarge, "The message is too large."))
	return d
}

func (w *world) activity(target string) ActivityPage {
	w.t.Helper()
	var page ActivityPage
	w.decode(w.get(target), http.StatusOK, &page)
	return page
}

func TestActivityFilters(t *testing.T) {
	w := newWorld(t)
	happen(w)
	for query, want := range map[string]string{
		"/activity?device=d-1&kind=telemetry,refusal":              "telemetry:received refusal:refused",
		"/activity?device=d-*&kind=c2d":                            "c2d:sent c2d:ended",
		"/activity?device=?&kind=telemetry":                        "telemetry:received",
		"/activity?module=m&kind=identity,telemetry&event=created": "identity:created",
		"/activity?event=sent,failed":                              "c2d:sent method:failed",
		"/activity?code=MessageTooLarge":                           "refusal:refused",
		"/activity?code=413001":                                    "refusal:refused",
		"/activity?code=404001":                                    "",
		"/activity?code=404103,DeviceNotOnline":                    "method:failed",
		"/activity?outcome=Purged":                                 "c2d:ended",
		"/activity?property=level":                                 "telemetry:received",
		"/activity?property=level%3Dhot%3D1":                       "telemetry:received",
		"/activity?property=level%3Dcold":                          "",
		"/activity?system=messageId%3Dc1&event=sent":               "c2d:sent",
		"/activity?system=messageId&kind=telemetry":                "telemetry:received",
		"/activity?body=$.temperature%3D21.5":                      "telemetry:received",
		"/activity?body=temperature":                               "telemetry:received",
		"/activity?body=$.list[0]['a%20b']%3Dx":                    "telemetry:received",
		"/activity?body=$.list[1]":                                 "",
		"/activity?body=$%3D5&event=sent":                          "c2d:sent",
		"/activity?body=$.n%3D1":                                   "method:called method:failed",
		"/activity?body=tags.site%3Dn":                             "twin:patched",
		"/activity?body=statusCode%3DPurged":                       "feedback:recorded",
		"/activity?method=go&event=called":                         "method:called",
		"/activity?protocol=mqtt&kind=refusal":                     "refusal:refused",
		"/twin-changes":                                            "twin:patched",
		"/feedback":                                                "feedback:recorded",
		"/methods":                                                 "method:called method:failed",
		"/connections?device=d-1":                                  "connection:connected",
		"/refusals":                                                "refusal:refused",
		"/uploads":                                                 "",
		"/methods/wait?event=failed&timeout=5m":                    "method:failed",
		"/refusals/wait?count=2&timeout=0":                         "refusal:refused",
		"/activity?newest=true&limit=2":                            "twin:patched refusal:refused",
		"/activity?newest=true&device=d-1&kind=telemetry,c2d":      "telemetry:received c2d:sent c2d:ended",
		"/connections?newest=true&limit=1":                         "connection:connected",
		"/activity/wait?kind=identity&count=2&limit=10":            "identity:created identity:created identity:created",
	} {
		var words []string
		for _, a := range w.activity(query).Activity {
			words = append(words, a.Kind+":"+a.Event)
			if a.Hub != "hub1" || a.Time.IsZero() {
				t.Errorf("%s: %+v", query, a)
			}
		}
		if got := strings.Join(words, " "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	for _, query := range []string{
		"code=Nonsense", "kind=nonsense", "system=nonsense%3D1", "body=$.a.%3D1", "body=$[x]", "body=$['a", "body=$x", "since=nonsense", "limit=0",
	} {
		var problem huma.ErrorModel
		w.decode(w.get("/activity?"+query), http.StatusUnprocessableEntity, &problem)
		if len(problem.Errors) != 1 || !strings.HasPrefix(problem.Errors[0].Location, "query.") {
			t.Errorf("%s: %+v", query, problem)
		}
	}
}

func TestActivityForms(t *testing.T) {
	w := newWorld(t)
	happen(w)
	one := func(query string) Activity {
		t.Helper()
		page := w.activity(query)
		if len(page.Activity) != 1 {
			t.Fatalf("%s: %d", query, len(page.Activity))
		}
		return page.Activity[0]
	}
	if a := one("/activity?device=d-1&kind=telemetry"); *a.Body != `{"temperature":21.5,"list":[{"a b":"x"}]}` || a.MessageID != "t1" || a.ApplicationProperties["level"] != "hot=1" || a.SequenceNumber == nil {
		t.Errorf("telemetry %+v", a)
	}
	if a := one("/activity?device=e&kind=telemetry"); *a.Body != "/w==" || a.BodyEncoding != "base64" || a.Module != "m" {
		t.Errorf("telemetry %+v", a)
	}
	if a := one("/activity?event=ended"); a.MessageID != "c1" || a.Outcome != "Purged" || a.Ack != "full" || a.ExpiryTime == nil || *a.Body != "5" {
		t.Errorf("c2d %+v", a)
	}
	if a := one("/methods?event=failed"); a.Error.Code != 404103 || a.Error.Name != "DeviceNotOnline" || a.Method != "go" || a.Status != nil || a.Took == "" {
		t.Errorf("method %+v, %+v", a, a.Error)
	}
	if text, err := json.Marshal(one("/twin-changes").Change); err != nil || !strings.Contains(string(text), `"tags":{"site":"n"}`) {
		t.Errorf("change %s", text)
	}
	if text, err := json.Marshal(one("/feedback").Record); err != nil || !strings.Contains(string(text), `"originalMessageId":"c1"`) {
		t.Errorf("record %s", text)
	}
	if a := one("/refusals"); a.Operation != "telemetry" || a.RemoteAddress != "10.0.0.1:5" || a.Error.Message != "The message is too large." {
		t.Errorf("refusal %+v", a)
	}
	for direction, want := range map[string]int{"d2c": 2, "c2d": 1, "all": 3} {
		if got := w.messages("/messages?direction=" + direction); len(got) != want {
			t.Errorf("%s: %+v", direction, got)
		}
	}
	if got := w.messages("/messages/wait?direction=c2d&outcome=Purged&system=messageId%3Dc1"); len(got) != 1 || got[0].Event != "ended" || got[0].Direction != "c2d" {
		t.Errorf("ended: %+v", got)
	}
}

// A position leads to what is new, among all sources.
func TestActivitySince(t *testing.T) {
	w := newWorld(t)
	d := happen(w)
	position := w.activity("/activity?since=latest").Position
	if all := w.activity("/activity?limit=10000"); all.Position != position || len(all.Activity) < 10 {
		t.Errorf("%d until %s, want %s", len(all.Activity), all.Position, position)
	}
	send(t, d, iothub.Telemetry{Body: []byte("new")})
	d.Close()
	page := w.activity("/activity/wait?count=2&since=" + url.QueryEscape(position))
	if len(page.Activity) != 2 || *page.Activity[0].Body != "new" || page.Activity[1].Event != "disconnected" || page.Activity[1].Error == nil {
		t.Errorf("since %s: %+v", position, page)
	}
	if got := w.messages("/messages?since=" + url.QueryEscape(position)); len(got) != 1 || got[0].Body != "new" {
		t.Errorf("messages since %s: %+v", position, got)
	}
}

// The stream begins now, or where it was left, and has each activity once.
func TestActivityStream(t *testing.T) {
	w := newWorld(t)
	d := happen(w)
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	open := func(query, last string) (*bufio.Scanner, func()) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/activity/stream"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Last-Event-ID", last)
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%s: %s %s", query, answer.Status, answer.Header)
		}
		return bufio.NewScanner(answer.Body), func() { cancel(); _ = answer.Body.Close() }
	}
	next := func(lines *bufio.Scanner) (a Activity, id string) {
		t.Helper()
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
				id = text
			}
			if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(text), &a); err != nil {
					t.Fatal(err)
				}
				return a, id
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return a, id
	}
	lines, leave := open("", "")
	send(t, d, iothub.Telemetry{Body: []byte("1")})
	a, id := next(lines)
	if a.Kind != "telemetry" || *a.Body != "1" || id == "" {
		t.Errorf("first %+v with %q", a, id)
	}
	leave()
	send(t, d, iothub.Telemetry{Body: []byte("2")})
	lines, leave = open("?kind=telemetry", id)
	if a, _ = next(lines); *a.Body != "2" {
		t.Errorf("after the pause %+v", a)
	}
	leave()
	lines, leave = open("?since=oldest&kind=refusal", "")
	if a, _ = next(lines); a.Kind != "refusal" {
		t.Errorf("oldest %+v", a)
	}
	leave()
	if rec := w.get("/activity/stream?since=nonsense"); rec.Code != http.StatusUnprocessableEntity {
		t.Errorf("a bad position: %d %s", rec.Code, rec.Body)
	}
	// The hub ends the stream.
	lines, leave = open("", "")
	defer leave()
	if err := w.hub.Close(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if lines.Err() != nil {
		t.Errorf("the end of the hub: %v", lines.Err())
	}
}
