package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubnerite/hubnerite/iothub"
)

// fakeWeb answers what a webhook is posted.
type fakeWeb struct {
	mu     sync.Mutex
	posts  []post
	answer func(p post) (status int, err error)
}

type post struct {
	url  string
	body []byte
	at   time.Time
	n    int
}

func (w *fakeWeb) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	p := post{r.URL.String(), body, time.Now(), len(w.posts)}
	w.posts = append(w.posts, p)
	w.mu.Unlock()
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json; charset=utf-8" || r.Header.Get("Aeg-Event-Type") != "Notification" {
		return nil, fmt.Errorf("%s %v", r.Method, r.Header)
	}
	status, err := w.answer(p)
	if err != nil {
		return nil, err
	}
	if status == 0 { // never
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(bytes.NewReader([]byte("answer")))}, nil
}

func (w *fakeWeb) seen() []post {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]post(nil), w.posts...)
}

// gridEvents returns what was posted.
func gridEvents(t reporter, p post) gridEvent {
	t.Helper()
	var list []gridEvent
	dec := json.NewDecoder(bytes.NewReader(p.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&list); err != nil || len(list) != 1 {
		t.Fatalf("posted %s: %v", p.body, err)
	}
	return list[0]
}

func (f *fixture) hook(t reporter, source iothub.RouteSource) {
	t.Helper()
	if err := f.PutEndpoint(context.Background(), iothub.Endpoint{Name: "hook", URL: "http://web.test/a"}); err != nil {
		t.Fatalf("endpoint: %v", err)
	}
	f.route("to-"+string(source), source, "", "hook")
}

func webFixture(t *testing.T, answer func(p post) (int, error)) (*fixture, *fakeWeb) {
	web := &fakeWeb{answer: answer}
	f := startFixture(t, func(o *Options) { o.WebhookTransport = web })
	return f, web
}

func TestWebhookRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []int{503, 429, 408, 0, 200, 204}
		f, web := webFixture(t, func(p post) (int, error) {
			if p.n == 6 {
				return 0, errors.New("refused")
			}
			if p.n < len(answers) {
				return answers[p.n], nil
			}
			return 202, nil
		})
		defer func() { _ = f.Close() }()
		f.hook(t, iothub.SourceDeviceMessages)
		c, _ := f.connect(f.device("d"), "mqtt")
		begin := time.Now()
		for i := range 3 {
			publish(t, c, jsonMessage(fmt.Sprintf(`{"n":%d}`, i)))
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("telemetry waited %s for the webhook", took)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		var order []string
		var waits []time.Duration
		ids := map[string]bool{}
		for i, p := range web.seen() {
			e := gridEvents(t, p)
			body, _ := json.Marshal(e.Data["body"])
			order = append(order, string(body))
			ids[e.ID] = true
			if i > 0 {
				waits = append(waits, p.at.Sub(web.seen()[i-1].at))
			}
		}
		want := []string{`{"n":0}`, `{"n":0}`, `{"n":0}`, `{"n":0}`, `{"n":0}`, `{"n":1}`, `{"n":2}`, `{"n":2}`}
		if diff := cmp.Diff(want, order); diff != "" {
			t.Error(diff)
		}
		// The fourth attempt had no answer for 30 s.
		wantWaits := []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 34 * time.Second, 0, 0, 500 * time.Millisecond}
		if diff := cmp.Diff(wantWaits, waits); diff != "" {
			t.Error(diff)
		}
		if len(ids) != 3 {
			t.Errorf("%d event IDs for 3 messages", len(ids))
		}
		if d := f.DeadLetters(); len(d) != 0 {
			t.Errorf("dead letters %+v", d)
		}
	})
}

func TestWebhookDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, web := webFixture(t, func(p post) (int, error) {
			// Not the whole body: its identifiers are random.
			properties, _ := gridEvents(t, p).Data["properties"].(map[string]any)
			switch properties["kind"] {
			case "bad":
				return 400, nil
			case "slow":
				return 500, nil
			}
			return 200, nil
		})
		f.hook(t, iothub.SourceDeviceMessages)
		id := f.device("d")
		c, _ := f.connect(id, "mqtt")
		for _, name := range []string{"bad", "slow", "good"} {
			publish(t, c, iothub.Telemetry{Body: []byte("x"), Properties: iothub.Properties{{Name: "kind", Value: name}}})
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(web.seen()); n != 1+webhookAttempts+1 {
			t.Errorf("%d posts", n)
		}
		check := func(when string, want ...string) {
			t.Helper()
			var got []string
			for _, d := range f.DeadLetters() {
				kind, _ := d.Message.Properties.Get("kind")
				got = append(got, fmt.Sprintf("%s %s %s %d %s", kind, d.Endpoint, d.Reason, d.Attempts, d.LastError))
				if d.Message.ID != id || string(d.Message.Body) != "x" || d.Time.IsZero() || d.Message.EnqueuedTime.IsZero() || d.ID == "" {
					t.Errorf("%s: dead letter %+v", when, d)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", when, diff)
			}
		}
		bad, slow := "bad hook refused 1 status 400", "slow hook deliveryAttempts 10 status 500"
		check("delivered", bad, slow)
		f.restart()
		check("after a restart", bad, slow)
		if n := f.ClearDeadLetters(); n != 2 {
			t.Errorf("cleared %d", n)
		}
		f.restart()
		check("after clearing")
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A webhook that never answers holds up nobody, keeps bounded memory, and what
// waits is dead-lettered when the hub stops or the endpoint goes.
func TestWebhookThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := webFixture(t, func(post) (int, error) { return 0, nil })
		f.hook(t, iothub.SourceDeviceMessages)
		f.route("keep", iothub.SourceDeviceMessages, "keep = '1'", "events")
		c, _ := f.connect(f.device("d"), "mqtt")
		begin := time.Now()
		for range maxWebhookQueue + 5 {
			publish(t, c, iothub.Telemetry{Body: []byte("x")})
		}
		publish(t, c, iothub.Telemetry{Body: []byte("kept"), Properties: iothub.Properties{{Name: "keep", Value: "1"}}})
		if took := time.Since(begin); took != 0 {
			t.Errorf("telemetry waited %s", took)
		}
		if got := f.kept(); len(got) != 1 || got[0] != "kept" {
			t.Errorf("kept %v", got)
		}
		synctest.Wait()
		reasons := func() map[string]int {
			out := map[string]int{}
			for _, d := range f.DeadLetters() {
				out[d.Reason]++
			}
			return out
		}
		if diff := cmp.Diff(map[string]int{"queueFull": 6}, reasons()); diff != "" {
			t.Error(diff)
		}
		f.ClearDeadLetters()
		if err := f.DeleteRoute(t.Context(), "to-DeviceMessages"); err != nil {
			t.Fatal(err)
		}
		if err := f.DeleteEndpoint(t.Context(), "hook"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]int{"endpointRemoved": maxWebhookQueue}, reasons()); diff != "" {
			t.Error(diff)
		}
		f.ClearDeadLetters()
		f.hook(t, iothub.SourceDeviceMessages)
		publish(t, c, iothub.Telemetry{Body: []byte("y")})
		time.Sleep(time.Second)
		f.restart()
		if diff := cmp.Diff(map[string]int{"hubClosing": 1}, reasons()); diff != "" {
			t.Error(diff)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestDeadLettersAreBounded(t *testing.T) {
	f := newFixture(t)
	for i := range maxDeadLetters + 20 {
		f.deadLetter("hook", &delivery{id: fmt.Sprint(i), message: iothub.Telemetry{Body: make([]byte, 1000)}}, reasonRefused)
	}
	f.flushDeadLetters()
	check := func() {
		t.Helper()
		got := f.DeadLetters()
		if len(got) != maxDeadLetters || got[0].ID != "20" || got[len(got)-1].ID != fmt.Sprint(maxDeadLetters+19) {
			t.Errorf("%d dead letters, %s first", len(got), got[0].ID)
		}
	}
	check()
	f.restart()
	check()
	for range maxDeadLetterBytes/iothub.MaxTelemetrySize + 10 {
		f.deadLetter("hook", &delivery{id: "large", message: iothub.Telemetry{Body: make([]byte, iothub.MaxTelemetrySize)}}, reasonRefused)
	}
	if got := f.DeadLetters(); len(got) != maxDeadLetterBytes/iothub.MaxTelemetrySize || got[0].ID != "large" {
		t.Errorf("%d dead letters, %s first", len(got), got[0].ID)
	}
}

// An address that changes is used from the next attempt on.
func TestWebhookMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, web := webFixture(t, func(p post) (int, error) {
			if p.url == "http://web.test/b" {
				return 200, nil
			}
			return 503, nil
		})
		f.hook(t, iothub.SourceDeviceMessages)
		c, _ := f.connect(f.device("d"), "mqtt")
		publish(t, c, iothub.Telemetry{Body: []byte("x")})
		synctest.Wait()
		if err := f.PutEndpoint(t.Context(), iothub.Endpoint{Name: "HOOK", URL: "http://web.test/b"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := web.seen(); len(got) != 2 || got[1].url != "http://web.test/b" {
			t.Errorf("posts %v", got)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestWebhookEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, web := webFixture(t, func(post) (int, error) { return 200, nil })
		for _, source := range append(iothub.EventRouteSources(), iothub.SourceDeviceMessages) {
			f.hook(t, source)
		}
		f.device("d")
		id := f.device("d/m")
		c, _ := f.connect(id, "mqtt")
		synctest.Wait() // connections are told of by themselves
		publish(t, c, jsonMessage(`{"t":1.50}`, iothub.Property{Name: "p", Value: "v"}))
		publish(t, c, iothub.Telemetry{Body: []byte{0xff}})
		if _, err := c.Report(t.Context(), []byte(`{"a":1}`), nil); err != nil {
			t.Fatal(err)
		}
		c.Close()
		synctest.Wait()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		topic := topicPrefix + "HUB1"
		var got []string
		for _, p := range web.seen() {
			e := gridEvents(t, p)
			if e.Topic != topic || e.ID == "" || e.EventTime == "" || e.MetadataVersion != "1" {
				t.Errorf("event %+v", e)
			}
			data, err := json.Marshal(e.Data["body"])
			if err != nil {
				t.Fatal(err)
			}
			twin, _ := e.Data["twin"].(map[string]any)
			info, _ := e.Data["deviceConnectionStateEventInfo"].(map[string]any)
			system, _ := e.Data["systemProperties"].(map[string]any)
			got = append(got, fmt.Sprint(e.EventType, " ", e.Subject, " ", string(data), " ", twin["moduleId"], " ", e.Data["moduleId"], " ",
				len(fmt.Sprint(info["sequenceNumber"])), " ", system["iothub-connection-module-id"], " ", system["iothub-message-source"]))
		}
		module := "devices/d/modules/m"
		want := []string{
			"Microsoft.Devices.DeviceCreated devices/d null <nil> <nil> 5 <nil> <nil>",
			"Microsoft.Devices.DeviceCreated " + module + " null m m 5 <nil> <nil>",
			"Microsoft.Devices.DeviceConnected " + module + " null <nil> m 64 <nil> <nil>",
			"Microsoft.Devices.DeviceTelemetry " + module + ` {"t":1.5} <nil> <nil> 5 m Telemetry`,
			"Microsoft.Devices.DeviceTelemetry " + module + ` "/w==" <nil> <nil> 5 m Telemetry`,
			"Hubnerite.DeviceTwinChanged " + module + ` BODY <nil> <nil> 5 m twinChangeEvents`,
			"Microsoft.Devices.DeviceDisconnected " + module + " null <nil> m 64 <nil> <nil>",
		}
		for i := range got {
			if i < len(want) && bytes.Contains([]byte(want[i]), []byte("BODY")) {
				got[i] = want[i]
				e := gridEvents(t, web.seen()[i])
				if body, _ := e.Data["body"].(map[string]any); body["version"] != 2.0 {
					t.Errorf("twin change %v", e.Data)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}
