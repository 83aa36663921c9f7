package admin

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/inspect"
)

// words is a codec whose frames are what is written at once.
type words struct{}

func (words) Length(b []byte) int { return len(b) }
func (words) Describe(b []byte) inspect.Description {
	return inspect.Description{Type: "word", Summary: string(b)}
}

func TestInspector(t *testing.T) {
	recorder := inspect.NewRecorder(nil)
	w := newWorld(t, func(o *Options) { o.Inspector = recorder })
	var state InspectorState
	w.decode(w.get("/inspector"), http.StatusOK, &state)
	if state.Watching || len(state.Connections) != 0 {
		t.Errorf("at first %+v", state)
	}
	w.decode(w.call(http.MethodPut, "/inspector", `{"watching": true}`), http.StatusOK, &state)
	if !state.Watching {
		t.Error("it does not watch")
	}
	near, far := net.Pipe()
	defer func() { _ = far.Close() }()
	tapped := recorder.Conn(near, "mqtt", words{})
	defer func() { _ = tapped.Close() }()
	go func() { _, _ = far.Write([]byte("hello")) }()
	if _, err := tapped.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	w.decode(w.get("/inspector"), http.StatusOK, &state)
	if len(state.Connections) != 1 || state.Connections[0].Protocol != "mqtt" || state.Connections[0].BytesIn != 5 {
		t.Fatalf("connections %+v", state.Connections)
	}
	var answer struct {
		Connection InspectedConnection
		Frames     []InspectedFrame
	}
	w.decode(w.get("/inspector/"+state.Connections[0].ID), http.StatusOK, &answer)
	if len(answer.Frames) != 1 || answer.Frames[0].Summary != "hello" || answer.Frames[0].Direction != "in" {
		t.Errorf("frames %+v", answer.Frames)
	}
	file := w.get("/inspector/" + state.Connections[0].ID + "/pcap")
	if file.Code != http.StatusOK || file.Header().Get("Content-Type") != "application/vnd.tcpdump.pcap" ||
		file.Header().Get("Content-Disposition") != `attachment; filename="`+state.Connections[0].ID+`.pcap"` ||
		!strings.HasPrefix(file.Body.String(), "\x4d\x3c\xb2\xa1") || !strings.Contains(file.Body.String(), "hello") {
		t.Errorf("the capture file: %d %v %q", file.Code, file.Header(), file.Body)
	}
	if unknown := w.get("/inspector/mqtt-99/pcap"); unknown.Code != http.StatusNotFound {
		t.Errorf("an unknown connection: %d", unknown.Code)
	}
	if unknown := w.get("/inspector/mqtt-99"); unknown.Code != http.StatusNotFound {
		t.Errorf("an unknown connection: %d", unknown.Code)
	}
}
