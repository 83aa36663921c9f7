package admin

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubnerite/hubnerite/iothub"
)

type messagesBody struct {
	Messages []Message
	Position string
}

func (w *world) messages(target string) []Message {
	w.t.Helper()
	var body messagesBody
	w.decode(w.get(target), 200, &body)
	if body.Messages == nil {
		w.t.Fatalf("%s: messages is null", target)
	}
	return body.Messages
}

func TestMessage(t *testing.T) {
	w := newWorld(t)
	d := w.connect(iothub.ID{DeviceID: "d"})
	if got := w.messages("/messages"); len(got) != 0 {
		t.Errorf("at the start: %v", got)
	}
	send(t, d, iothub.Telemetry{
		System: iothub.SystemProperties{
			MessageID: "m-1", CorrelationID: "c", UserID: "u", To: "/t", ContentType: "application/json", ContentEncoding: "utf-8",
			Expiry: "2030-01-01", CreationTime: "2026-01-01", Schema: "s", Component: "k", InterfaceID: "i", OutputName: "o",
		},
		Properties: iothub.Properties{{Name: "zone", Value: "n<&>"}, {Name: "empty"}},
		Body:       []byte(`{"t":"ü <&>"}`),
	})
	got := w.messages("/messages?device=d")
	if len(got) != 1 {
		t.Fatalf("messages %v", got)
	}
	enqueued, err := time.Parse(time.RFC3339Nano, got[0].EnqueuedTime)
	if age := time.Since(enqueued); err != nil || age < -time.Second || age > time.Minute {
		t.Errorf("enqueuedTime %q: %v", got[0].EnqueuedTime, err)
	}
	want := Message{
		Direction: "d2c", Device: "d", Source: "Telemetry", Partition: got[0].Partition, SequenceNumber: 0, EnqueuedTime: got[0].EnqueuedTime,
		System: SystemProperties{
			MessageID: "m-1", CorrelationID: "c", UserID: "u", To: "/t", ContentType: "application/json", ContentEncoding: "utf-8",
			Expiry: "2030-01-01", CreationTime: "2026-01-01", Schema: "s", Component: "k", InterfaceID: "i", OutputName: "o",
			ModelID: "dtmi:com:example:T;1", ConnectionDeviceID: "d",
			ConnectionAuthMethod: `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`,
			EnqueuedTime:         got[0].EnqueuedTime,
		},
		Application: map[string]string{"zone": "n<&>", "empty": ""},
		Body:        `{"t":"ü <&>"}`, BodyEncoding: "utf8",
	}
	if diff := cmp.Diff(want, got[0], cmpopts.IgnoreFields(SystemProperties{}, "DeviceGenerationID")); diff != "" {
		t.Error(diff)
	}
	if got[0].System.DeviceGenerationID == "" {
		t.Error("no generation ID")
	}
}

// Bodies that are not UTF-8 come as base64, module messages with their module,
// and a bare message with empty objects, never null.
func TestMessageForms(t *testing.T) {
	w := newWorld(t)
	w.connect(iothub.ID{DeviceID: "d"})
	m := w.connect(iothub.ID{DeviceID: "d", ModuleID: "m"})
	binary := []byte{0xff, 0, '"'}
	send(t, m, iothub.Telemetry{Body: binary})
	send(t, m, iothub.Telemetry{})
	got := w.messages("/messages?device=d")
	if len(got) != 2 || got[0].Module != "m" || got[0].System.ConnectionModuleID != "m" || got[0].BodyEncoding != "base64" ||
		got[0].Body != base64.StdEncoding.EncodeToString(binary) {
		t.Errorf("binary: %+v", got)
	}
	if got[1].Body != "" || got[1].BodyEncoding != "utf8" || got[1].Application == nil {
		t.Errorf("empty: %+v", got[1])
	}
}

func TestMessagesQuery(t *testing.T) {
	w := newWorld(t)
	a, b := w.connect(iothub.ID{DeviceID: "a"}), w.connect(iothub.ID{DeviceID: "b"})
	for i := range 4 {
		send(t, a, iothub.Telemetry{Body: []byte(fmt.Sprint("a", i))})
		send(t, b, iothub.Telemetry{Body: []byte(fmt.Sprint("b", i))})
	}
	all := w.messages("/messages?device=a")
	numbers := make([]int64, len(all))
	for i, m := range all {
		numbers[i] = m.SequenceNumber
	}
	if len(all) != 4 || !slices.IsSorted(numbers) {
		t.Fatalf("messages of a: %+v", all)
	}
	bodies := func(list []Message) string {
		var s []string
		for _, m := range list {
			s = append(s, m.Body)
		}
		return strings.Join(s, " ")
	}
	for target, want := range map[string]string{
		"/messages?device=a":                                        "a0 a1 a2 a3",
		"/messages?device=a&since=-1&limit=2":                       "a0 a1",
		fmt.Sprint("/messages?device=a&since=", numbers[1]):         "a2 a3",
		fmt.Sprint("/messages?device=a&limit=1&since=", numbers[2]): "a3",
		fmt.Sprint("/messages?device=a&since=", numbers[3]):         "",
		"/messages?device=none":                                     "",
		"/messages/wait?device=b&count=3":                           "b0 b1 b2 b3",
		"/messages/wait?device=b&count=3&limit=3&timeout=0s":        "b0 b1 b2",
		"/messages/wait?device=b&count=3&limit=1":                   "b0 b1 b2",
	} {
		if got := bodies(w.messages(target)); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
	if got := w.messages("/messages"); len(got) != 8 {
		t.Errorf("%d messages in all", len(got))
	}
}

func TestRefusedQueries(t *testing.T) {
	w := newWorld(t)
	for _, query := range []string{
		"/messages?limit=0", "/messages?limit=10001", "/messages?limit=x", "/messages?since=-2", "/messages?since=1.5",
		"/messages?since=9223372036854775808", "/messages/wait?count=0", "/messages/wait?count=x", "/messages/wait?timeout=-1s",
		"/messages/wait?timeout=6m", "/messages/wait?timeout=301", "/messages/wait?timeout=soon", "/messages/wait?timeout=1e9",
	} {
		var problem huma.ErrorModel
		rec := w.get(query)
		w.decode(rec, http.StatusUnprocessableEntity, &problem)
		if len(problem.Errors) != 1 || !strings.HasPrefix(problem.Errors[0].Location, "query.") {
			t.Errorf("%s: %+v", query, problem)
		}
	}
}

func TestTimeouts(t *testing.T) {
	for text, want := range map[string]time.Duration{"0": 0, "0s": 0, "30": 30 * time.Second, "1m30s": 90 * time.Second, "250ms": 250 * time.Millisecond, "5m": MaxWait} {
		if got, err := parseTimeout(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

// A waiter is woken by the message that completes its count.
func TestWaitIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.connect(iothub.ID{DeviceID: "d"})
		answers := make(chan []Message, 1)
		go func() { answers <- w.messages("/messages/wait?device=d&count=2&timeout=60") }()
		synctest.Wait()
		send(t, d, iothub.Telemetry{Body: []byte("1")})
		synctest.Wait()
		select {
		case got := <-answers:
			t.Fatalf("answered after one of two messages: %v", got)
		default:
		}
		start := time.Now()
		send(t, d, iothub.Telemetry{Body: []byte("2")})
		if got := <-answers; len(got) != 2 || time.Since(start) > time.Second {
			t.Errorf("%v after %v", got, time.Since(start))
		}
	})
}

func TestWaitEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		d := w.connect(iothub.ID{DeviceID: "d"})
		send(t, d, iothub.Telemetry{Body: []byte("1")})
		start := time.Now()
		if got := w.messages("/messages/wait?device=d&count=2"); len(got) != 1 || time.Since(start) != 30*time.Second {
			t.Errorf("%v after %v, want one message after 30 s", got, time.Since(start))
		}
	})
}

// A program that leaves ends its wait.
func TestWaitingCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ctx, leave := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/messages/wait?timeout=5m", nil)
		r.Host = "localhost"
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.handler.ServeHTTP(httptest.NewRecorder(), r)
		}()
		synctest.Wait()
		start := time.Now()
		leave()
		<-done
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
		if w.logs.Len() != 0 {
			t.Errorf("log %s", w.logs)
		}
	})
}

// A hub that closes ends every wait, and that is no fault.
func TestWaitEndsWithTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		answers := make(chan *httptest.ResponseRecorder, 1)
		go func() { answers <- w.get("/messages/wait?timeout=5m") }()
		synctest.Wait()
		start := time.Now()
		if err := w.hub.Close(); err != nil {
			t.Fatal(err)
		}
		var problem huma.ErrorModel
		w.decode(<-answers, http.StatusServiceUnavailable, &problem)
		if took := time.Since(start); took != 0 || w.logs.Len() != 0 {
			t.Errorf("took %v; log %s", took, w.logs)
		}
	})
}
