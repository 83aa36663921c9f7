package inspect

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines is a protocol whose frames have their length in the first byte.
type lengths struct{}

func (lengths) Length(b []byte) int {
	switch {
	case len(b) == 0:
		return 0
	case b[0] == 0 || b[0] > 200:
		return -1
	}
	return int(b[0])
}

func (lengths) Describe(frame []byte) Description {
	if string(frame[1:]) == "poison" {
		panic("a mistake in the codec")
	}
	return Description{Type: "frame", Summary: string(frame[1:]), Label: "client"}
}

func frameOf(text string) string { return string(rune(len(text)+1)) + text }

// dialog is a tapped end and the peer of a connection.
func dialog(t *testing.T, r *Recorder) (near, far net.Conn) {
	t.Helper()
	a, b := net.Pipe()
	near = r.Conn(a, "test", lengths{})
	t.Cleanup(func() { _, _ = near.Close(), b.Close() })
	return near, b
}

// send writes on one end in pieces and reads on the other.
func send(t *testing.T, from, to net.Conn, pieces ...string) {
	t.Helper()
	for _, piece := range pieces {
		done := make(chan error, 1)
		go func() { _, err := from.Write([]byte(piece)); done <- err }()
		if _, err := io.ReadFull(to, make([]byte, len(piece))); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// seen are the summaries of what was recorded of the only connection.
func seen(t *testing.T, r *Recorder) (list []string) {
	t.Helper()
	all := r.Connections()
	if len(all) != 1 {
		t.Fatalf("%d connections", len(all))
	}
	_, frames, ok := r.Frames(all[0].ID, 0, 1000)
	if !ok {
		t.Fatal("the connection is unknown")
	}
	for _, f := range frames {
		list = append(list, fmt.Sprint(f.Direction, " ", f.Summary))
	}
	return list
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("recorded %q, want %q", got, want)
	}
}

func TestFrames(t *testing.T) {
	r := NewRecorder(nil)
	near, far := dialog(t, r)
	send(t, far, near, frameOf("unseen"))
	if got := r.Connections(); got[0].Frames != 0 || got[0].BytesIn != 7 {
		t.Errorf("before watching: %+v", got[0])
	}
	r.Watch(true)
	send(t, far, near, frameOf("one")+frameOf("two"))
	send(t, near, far, frameOf("three"))
	whole := frameOf("in pieces")
	send(t, far, near, whole[:1], whole[1:4], whole[4:]+frameOf("four"))
	want(t, seen(t, r), "in one", "in two", "out three", "in in pieces", "in four")
	if c := r.Connections()[0]; c.Label != "client" || c.Protocol != "test" || c.Frames != 5 {
		t.Errorf("connection %+v", c)
	}
	r.Watch(false)
	send(t, far, near, frameOf("unseen"))
	r.Watch(true)
	want(t, seen(t, r))
	send(t, far, near, frameOf("five"))
	want(t, seen(t, r), "in five")
}

// TestFromTheMiddle begins to watch in the middle of a frame: what cannot be understood is passed over.
func TestFromTheMiddle(t *testing.T) {
	r := NewRecorder(nil)
	near, far := dialog(t, r)
	whole := frameOf("half of it is missed")
	send(t, far, near, whole[:5])
	r.Watch(true)
	send(t, far, near, whole[5:])
	send(t, far, near, frameOf("whole"))
	want(t, seen(t, r), "in whole")
	// What is no frame ends the understanding until the next one that is.
	send(t, far, near, "\x00garbage", frameOf("again"))
	want(t, seen(t, r), "in whole", "in again")
}

func TestBounds(t *testing.T) {
	r := NewRecorder(nil)
	r.Watch(true)
	near, far := dialog(t, r)
	for i := range maxFrames + 10 {
		send(t, far, near, frameOf(fmt.Sprint(i)))
	}
	c := r.Connections()[0]
	_, frames, _ := r.Frames(c.ID, 0, 10*maxFrames)
	if len(frames) != maxFrames || frames[0].Summary != "10" || c.Frames != maxFrames+10 {
		t.Errorf("%d frames from %q, %d in all", len(frames), frames[0].Summary, c.Frames)
	}
	if _, later, _ := r.Frames(c.ID, frames[5].Number, 2); len(later) != 2 || later[0].Number != frames[6].Number {
		t.Errorf("after number %d: %+v", frames[5].Number, later)
	}
	for range 3 * maxBytes / maxFrameBytes {
		r.record(r.conns[c.ID], In, time.Now(), maxFrameBytes, append([]byte{5}, make([]byte, maxFrameBytes-1)...))
	}
	r.mu.Lock()
	bytes, kept := r.bytes, len(r.kept)
	r.mu.Unlock()
	if bytes > maxBytes {
		t.Errorf("%d bytes in %d frames are kept", bytes, kept)
	}
}

func TestEndedConnections(t *testing.T) {
	r := NewRecorder(nil)
	quiet, _ := dialog(t, r)
	_ = quiet.Close()
	if n := len(r.Connections()); n != 0 {
		t.Errorf("%d connections are left of one that nothing was recorded of", n)
	}
	r.Watch(true)
	for i := range maxEnded + 5 {
		near, far := dialog(t, r)
		send(t, far, near, frameOf(fmt.Sprint(i)))
		_ = near.Close()
		_ = near.Close()
	}
	all := r.Connections()
	if len(all) != maxEnded || all[0].Closed.IsZero() {
		t.Errorf("%d ended connections are remembered, the last closed at %v", len(all), all[0].Closed)
	}
}

func TestHandler(t *testing.T) {
	r := NewRecorder(nil)
	h := r.Handler(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		_, _ = io.Copy(io.Discard, request.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"made": true}`)
	}), "https", func(string) string { return "hidden" })
	call := func() {
		request := httptest.NewRequest(http.MethodPut, "/devices/d1?sv=1&sig=secret&se=2", strings.NewReader(`{"deviceId": "d1"}`))
		request.Header.Set("Authorization", "secret")
		h.ServeHTTP(httptest.NewRecorder(), request)
	}
	call()
	if n := len(r.Connections()); n != 0 {
		t.Errorf("%d connections before watching", n)
	}
	r.Watch(true)
	call()
	call()
	all := r.Connections()
	if len(all) != 1 || all[0].Protocol != "https" {
		t.Fatalf("connections %+v", all)
	}
	_, frames, _ := r.Frames(all[0].ID, 0, 10)
	if len(frames) != 4 || frames[0].Type != "request" || frames[0].Summary != "PUT /devices/d1?sv=1&sig=…&se=2" || frames[1].Summary != "201 Created" {
		t.Fatalf("frames %+v", frames)
	}
	if text := fmt.Sprint(frames); strings.Contains(text, "secret") || !strings.Contains(text, "hidden") {
		t.Errorf("recorded %s", text)
	}
	for i, body := range []string{`{"deviceId": "d1"}`, `{"made": true}`} {
		if got := fmt.Sprintf("%s", frames[i].Fields.(map[string]any)["body"]); got != body {
			t.Errorf("body %s, want %s", got, body)
		}
	}
}

// TestCodecThatPanics: a codec with a mistake spoils its frame, and neither the connection nor the emulator.
func TestCodecThatPanics(t *testing.T) {
	r := NewRecorder(time.Now)
	r.Watch(true)
	near, far := dialog(t, r)
	send(t, far, near, frameOf("poison"), frameOf("after"))
	list := r.Connections()
	if len(list) != 1 {
		t.Fatalf("connections: %v", list)
	}
	_, frames, _ := r.Frames(list[0].ID, 0, 10)
	if len(frames) != 2 || frames[0].Type != "unreadable" || !strings.Contains(frames[0].Summary, "a mistake in the codec") || frames[1].Summary != "after" {
		t.Errorf("frames: %+v", frames)
	}
}
