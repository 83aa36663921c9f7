package admin

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
)

func TestLive(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	d, other := w.connect(iothub.ID{DeviceID: "d"}), w.connect(iothub.ID{DeviceID: "other"})
	send(t, d, iothub.Telemetry{Body: []byte("before")})
	follow := func(query string) func() Message {
		r, err := http.Get(server.URL + "/messages/live" + query)
		if err != nil || r.StatusCode != 200 {
			t.Fatalf("%s: %v, %+v", query, err, r)
		}
		t.Cleanup(func() { _ = r.Body.Close() })
		lines := bufio.NewScanner(r.Body)
		if !lines.Scan() || lines.Text() != "" {
			t.Fatalf("%s: no empty line first but %q", query, lines.Text())
		}
		return func() (m Message) {
			if !lines.Scan() {
				t.Fatalf("%s: the stream ended: %v", query, lines.Err())
			}
			if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
				t.Fatal(err)
			}
			return m
		}
	}
	latest, ofDevice := follow("?source=Telemetry"), follow("?device=d&from=earliest&source=Telemetry")
	send(t, other, iothub.Telemetry{Body: []byte("o")})
	if m := latest(); m.Device != "other" || m.Body != "o" {
		t.Errorf("got %+v", m)
	}
	send(t, d, iothub.Telemetry{Body: []byte("after")})
	if m := latest(); m.Device != "d" || m.Body != "after" {
		t.Errorf("got %+v", m)
	}
	for _, want := range []string{"before", "after"} {
		if m := ofDevice(); m.Device != "d" || m.Body != want {
			t.Errorf("got %+v, want %s", m, want)
		}
	}
	for _, query := range []string{"?source=x", "?from=yesterday"} {
		if rec := w.get("/messages/live" + query); rec.Code != 422 {
			t.Errorf("%s: %d", query, rec.Code)
		}
	}
}

// TestLiveEndsWithTheHub: a follower does not keep the emulator from stopping.
func TestLiveEndsWithTheHub(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewServer(w.handler)
	t.Cleanup(server.Close)
	r, err := http.Get(server.URL + "/messages/live")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Body.Close() })
	lines := bufio.NewScanner(r.Body)
	lines.Scan()
	if err := w.hub.Close(); err != nil {
		t.Fatal(err)
	}
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("the stream goes on: %q, %v", lines.Text(), lines.Err())
	}
}
