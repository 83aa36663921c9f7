package amqp

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	client "github.com/Azure/go-amqp"
	"github.com/coder/websocket"
)

// Frames may share WebSocket messages or be spread over several.
func TestWebSocket(t *testing.T) {
	srv := NewServer(Config{Handler: newQueueNode()})
	ended := make(chan error, 1)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"AMQPWSB10"}})
		if err != nil {
			t.Error(err)
			return
		}
		ended <- srv.ServeConn(r.Context(), websocket.NetConn(r.Context(), ws, websocket.MessageBinary))
	}))
	defer web.Close()
	ws, _, err := websocket.Dial(limit(t), web.URL, &websocket.DialOptions{Subprotocols: []string{"AMQPWSB10"}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.NewConn(limit(t), websocket.NetConn(limit(t), ws, websocket.MessageBinary), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := session(t, c)
	body := pattern(500_000)
	out, in := sendLink(t, s, "q", nil), receiveLink(t, s, "q", nil)
	for range 3 {
		if err := out.Send(limit(t), client.NewMessage(body), nil); err != nil {
			t.Fatal(err)
		}
		m, err := in.Receive(limit(t), nil)
		if err != nil || !bytes.Equal(m.GetData(), body) {
			t.Fatal("not the message sent", err)
		}
		if err := in.AcceptMessage(limit(t), m); err != nil {
			t.Fatal(err)
		}
	}
	_ = c.Close() // go-amqp reports its own closing of the stream as an error
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := srv.Shutdown(limit(t)); err != nil {
		t.Error(err)
	}
}
