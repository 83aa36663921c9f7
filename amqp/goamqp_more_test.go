package amqp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	client "github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// Values of every type that go-amqp writes pass through the engine as they are; that our codec reads and writes them as go-amqp does
// is for package wire's tests.
func TestClientTypes(t *testing.T) {
	addr, _ := startServer(t, Config{Handler: newQueueNode()})
	s := session(t, dial(t, addr, nil))
	out, in := sendLink(t, s, "q", nil), receiveLink(t, s, "q", nil)
	for _, v := range []any{
		true, false, uint8(255), uint16(65535), uint32(0), uint32(255), uint32(1 << 31), uint64(0), uint64(255), uint64(1 << 63),
		int8(-128), int16(-32768), int32(-128), int32(-1 << 31), int64(-128), int64(-1 << 63), float32(1.5), 0.1,
		time.UnixMilli(1700000000123).UTC(),
		client.UUID{1, 15: 2},
		[]byte{0, 255},
		pattern(70_000), "snow ☃", string(pattern(300)),
		[]any{int64(1), "two", []any{nil}},
		map[string]any{"k": uint8(3)},
		[]int32{1, -1, 70000},
		[]string{"a", "b"},
	} {
		m := &client.Message{Value: v, Annotations: client.Annotations{"x-v": v}, DeliveryAnnotations: client.Annotations{"x-i": v}, Footer: client.Annotations{"x-f": v}}
		switch v.(type) {
		case []any, map[string]any, []int32, []string:
			if l, ok := v.([]any); ok { // a bare nil is nothing to go-amqp
				l[2] = []any{client.Null{}}
			}
		default:
			m.ApplicationProperties = map[string]any{"v": v}
		}
		if err := out.Send(limit(t), m, nil); err != nil {
			t.Fatalf("%T: %v", v, err)
		}
		got, err := in.Receive(limit(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := in.AcceptMessage(limit(t), got); err != nil {
			t.Fatal(err)
		}
		if l, ok := v.([]any); ok {
			l[2] = []any{nil}
		}
		all := []any{got.Value, got.Annotations["x-v"], got.DeliveryAnnotations["x-i"], got.Footer["x-f"]}
		if m.ApplicationProperties != nil {
			all = append(all, got.ApplicationProperties["v"])
		}
		for i, g := range all {
			if d := cmp.Diff(v, g); d != "" {
				t.Errorf("%T in place %d (-sent +received):\n%s", v, i, d)
			}
		}
	}
}

func TestClientSASL(t *testing.T) {
	cfg := Config{Handler: newQueueNode(), SASL: []Mechanism{Plain(), Anonymous("ANONYMOUS")}}
	principals := make(chan any, 10)
	cfg.Authenticate = func(_ context.Context, c Credentials) (any, error) {
		if c.Mechanism == "PLAIN" && (c.Username != "guest" || c.Password != "open sesame") {
			return nil, errors.New("wrong password")
		}
		principals <- c.Mechanism
		return c.Mechanism, nil
	}
	addr, _ := startServer(t, cfg)
	for _, o := range []*client.ConnOptions{
		nil, {SASLType: client.SASLTypeAnonymous()}, {SASLType: client.SASLTypePlain("guest", "open sesame")},
	} {
		s := session(t, dial(t, addr, o))
		if err := sendLink(t, s, "q", nil).Send(limit(t), client.NewMessage([]byte("x")), nil); err != nil {
			t.Error(err)
		}
	}
	if a, b := <-principals, <-principals; a != "ANONYMOUS" || b != "PLAIN" {
		t.Errorf("mechanisms %v, %v", a, b)
	}
	if c, err := client.Dial(limit(t), "amqp://"+addr, &client.ConnOptions{SASLType: client.SASLTypePlain("guest", "guess")}); err == nil {
		t.Error("a wrong password is let in")
		_ = c.Close()
	}
}

func TestClientManyLinksOfASession(t *testing.T) {
	addr, _ := startServer(t, Config{Handler: newQueueNode()})
	s := session(t, dial(t, addr, nil))
	const n = 200
	var out [n]*client.Sender
	var in [n]*client.Receiver
	for i := range n {
		out[i] = sendLink(t, s, fmt.Sprint("q", i), nil)
		in[i] = receiveLink(t, s, fmt.Sprint("q", i), &client.ReceiverOptions{Credit: 2})
	}
	for i := range n {
		if err := out[i].Send(limit(t), client.NewMessage(fmt.Append(nil, i)), nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		m, err := in[i].Receive(limit(t), nil)
		if err != nil || string(m.GetData()) != fmt.Sprint(i) {
			t.Fatalf("link %d: %v %v", i, m, err)
		}
		if err := in[i].AcceptMessage(limit(t), m); err != nil {
			t.Fatal(err)
		}
	}
}

// A link that ended is attached again under its name, with a message of more than one frame each time.
func TestClientAttachesAgain(t *testing.T) {
	addr, _ := startServer(t, Config{Handler: newQueueNode()})
	s := session(t, dial(t, addr, nil))
	for i := range 20 {
		body := append(pattern(100_000), byte(i))
		out := sendLink(t, s, "q", &client.SenderOptions{Name: "out"})
		if err := out.Send(limit(t), client.NewMessage(body), nil); err != nil {
			t.Fatal(err)
		}
		in := receiveLink(t, s, "q", &client.ReceiverOptions{Name: "in", Credit: 1})
		m, err := in.Receive(limit(t), nil)
		if err != nil || !bytes.Equal(m.GetData(), body) {
			t.Fatalf("round %d: %v", i, err)
		}
		if err := in.AcceptMessage(limit(t), m); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(out.Close(limit(t)), in.Close(limit(t))); err != nil {
			t.Fatal(err)
		}
	}
}

// What a receiver has not settled when its link ends comes again, in order.
func TestClientLeavesUnsettled(t *testing.T) {
	node := newQueueNode()
	outcomes := make(chan wire.DeliveryState, 20)
	node.outcome = func(_ *Sent, state wire.DeliveryState) wire.DeliveryState {
		outcomes <- state
		return nil
	}
	addr, _ := startServer(t, Config{Handler: node})
	s := session(t, dial(t, addr, nil))
	out := sendLink(t, s, "q", nil)
	for i := range 5 {
		if err := out.Send(limit(t), client.NewMessage(fmt.Append(nil, i)), nil); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 2 {
		in := receiveLink(t, s, "q", &client.ReceiverOptions{Credit: 5})
		for i := range 5 {
			m, err := in.Receive(limit(t), nil)
			if err != nil || string(m.GetData()) != fmt.Sprint(i) {
				t.Fatalf("round %d: message %d: %v %v", round, i, m, err)
			}
			if round == 1 {
				if err := in.AcceptMessage(limit(t), m); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := in.Close(limit(t)); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		if state := <-outcomes; state != (wire.Accepted{}) {
			t.Errorf("outcome %#v", state)
		}
	}
}
