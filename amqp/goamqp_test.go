package amqp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	client "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// dial connects the go-amqp client.
func dial(t testing.TB, address string, o *client.ConnOptions) *client.Conn {
	t.Helper()
	c, err := client.Dial(limit(t), "amqp://"+address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// limit is a context that ends before the test binary's time-out.
func limit(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func session(t testing.TB, c *client.Conn) *client.Session {
	t.Helper()
	s, err := c.NewSession(limit(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sendLink(t testing.TB, s *client.Session, address string, o *client.SenderOptions) *client.Sender {
	t.Helper()
	l, err := s.NewSender(limit(t), address, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func receiveLink(t testing.TB, s *client.Session, address string, o *client.ReceiverOptions) *client.Receiver {
	t.Helper()
	l, err := s.NewReceiver(limit(t), address, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestClientSendReceive(t *testing.T) {
	for _, size := range []int{0, 1, 100, 70_000, 10 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			addr, _ := startServer(t, Config{Handler: newQueueNode()})
			s := session(t, dial(t, addr, nil))
			out := sendLink(t, s, "q", nil)
			body := pattern(size)
			m := client.NewMessage(body)
			m.Properties = &client.MessageProperties{MessageID: uint64(7)}
			if err := out.Send(limit(t), m, nil); err != nil {
				t.Fatal(err)
			}
			in := receiveLink(t, s, "q", nil)
			got, err := in.Receive(limit(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.GetData(), body) || got.Properties.MessageID != uint64(7) {
				t.Errorf("got %d bytes, id %v", len(got.GetData()), got.Properties.MessageID)
			}
			if err := in.AcceptMessage(limit(t), got); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestClientManyMessagesInOrder(t *testing.T) {
	addr, _ := startServer(t, Config{Handler: newQueueNode(), IncomingWindow: 20})
	conn := dial(t, addr, nil)
	out := sendLink(t, session(t, conn), "q", nil)
	in := receiveLink(t, session(t, conn), "q", &client.ReceiverOptions{Credit: 7})
	const n = 3000
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for i := range n {
			if _, err := out.SendWithReceipt(context.Background(), client.NewMessage(fmt.Append(nil, i)), nil); err != nil {
				t.Errorf("send %d: %v", i, err)
				return
			}
		}
	}()
	for i := range n {
		m, err := in.Receive(limit(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(m.GetData()); got != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, got)
		}
		if err := in.AcceptMessage(limit(t), m); err != nil {
			t.Fatal(err)
		}
	}
	<-sent
}

func TestClientOutcomes(t *testing.T) {
	for _, mode := range []client.ReceiverSettleMode{client.ReceiverSettleModeFirst, client.ReceiverSettleModeSecond} {
		t.Run(mode.String(), func(t *testing.T) {
			node := newQueueNode()
			outcomes := make(chan wire.DeliveryState, 10)
			node.outcome = func(d *Sent, state wire.DeliveryState) wire.DeliveryState {
				if d.PeerSettled() != (mode == client.ReceiverSettleModeFirst) {
					t.Errorf("peer settled: %v", d.PeerSettled())
				}
				outcomes <- state
				return nil
			}
			addr, _ := startServer(t, Config{Handler: node})
			s := session(t, dial(t, addr, nil))
			out := sendLink(t, s, "q", nil)
			in := receiveLink(t, s, "q", &client.ReceiverOptions{SettlementMode: mode.Ptr()})
			if err := out.Send(limit(t), client.NewMessage([]byte("x")), nil); err != nil {
				t.Fatal(err)
			}
			settle := []func(*client.Message) error{
				func(m *client.Message) error { return in.ReleaseMessage(limit(t), m) },
				func(m *client.Message) error {
					return in.ModifyMessage(limit(t), m, &client.ModifyMessageOptions{DeliveryFailed: true})
				},
				func(m *client.Message) error {
					return in.RejectMessage(limit(t), m, &client.Error{Condition: "x:y", Description: "d"})
				},
			}
			for _, f := range settle {
				m, err := in.Receive(limit(t), nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := f(m); err != nil {
					t.Fatal(err)
				}
			}
			if s := <-outcomes; s != (wire.Released{}) {
				t.Errorf("first outcome %#v", s)
			}
			if s, ok := (<-outcomes).(wire.Modified); !ok || !s.DeliveryFailed {
				t.Errorf("second outcome %#v", s)
			}
			if s, ok := (<-outcomes).(wire.Rejected); !ok || s.Error == nil || s.Error.Condition != "x:y" {
				t.Errorf("third outcome %#v", s)
			}
		})
	}
}

func TestClientSenderModes(t *testing.T) {
	for _, snd := range []client.SenderSettleMode{client.SenderSettleModeUnsettled, client.SenderSettleModeSettled, client.SenderSettleModeMixed} {
		for _, rcv := range []client.ReceiverSettleMode{client.ReceiverSettleModeFirst, client.ReceiverSettleModeSecond} {
			t.Run(snd.String()+" "+rcv.String(), func(t *testing.T) {
				addr, _ := startServer(t, Config{Handler: newQueueNode()})
				s := session(t, dial(t, addr, nil))
				out := sendLink(t, s, "q", &client.SenderOptions{SettlementMode: snd.Ptr(), RequestedReceiverSettleMode: rcv.Ptr()})
				in := receiveLink(t, s, "q", &client.ReceiverOptions{RequestedSenderSettleMode: snd.Ptr()})
				for range 150 { // more than the first credit
					if err := out.Send(limit(t), client.NewMessage([]byte("x")), nil); err != nil {
						t.Fatal(err)
					}
					m, err := in.Receive(limit(t), nil)
					if err != nil {
						t.Fatal(err)
					}
					if err := in.AcceptMessage(limit(t), m); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

func TestClientRejectedWithError(t *testing.T) {
	node := newQueueNode()
	node.received = func(d *Delivery) bool {
		go func() { // settled from another goroutine
			if err := d.Reject(&Error{Condition: wire.ErrNotFound, Description: "no such thing"}); err != nil {
				t.Error(err)
			}
			if err := d.Accept(); !errors.Is(err, ErrSettled) {
				t.Errorf("second settlement: %v", err)
			}
		}()
		return true
	}
	addr, _ := startServer(t, Config{Handler: node})
	out := sendLink(t, session(t, dial(t, addr, nil)), "q", nil)
	err := out.Send(limit(t), client.NewMessage([]byte("x")), nil)
	var e *client.Error
	if !errors.As(err, &e) || e.Condition != client.ErrCondNotFound || e.Description != "no such thing" {
		t.Errorf("send: %v", err)
	}
}

func TestClientDrain(t *testing.T) {
	addr, _ := startServer(t, Config{Handler: newQueueNode()})
	s := session(t, dial(t, addr, nil))
	out := sendLink(t, s, "q", nil)
	in := receiveLink(t, s, "q", &client.ReceiverOptions{Credit: -1})
	for i := range 3 {
		if err := out.Send(limit(t), client.NewMessage(fmt.Append(nil, i)), nil); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 3 {
		if err := in.IssueCredit(10); err != nil {
			t.Fatal(err)
		}
		if round > 0 {
			if err := out.Send(limit(t), client.NewMessage(fmt.Append(nil, "r")), nil); err != nil {
				t.Fatal(err)
			}
		}
		want := 3
		if round > 0 {
			want = 1
		}
		for range want {
			m, err := in.Receive(limit(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := in.AcceptMessage(limit(t), m); err != nil {
				t.Fatal(err)
			}
		}
		if err := in.DrainCredit(limit(t), nil); err != nil {
			t.Fatal(err)
		}
		if m := in.Prefetched(); m != nil {
			t.Errorf("a message is left: %q", m.GetData())
		}
	}
	// Without credit nothing is sent.
	if err := out.Send(limit(t), client.NewMessage([]byte("later")), nil); err != nil {
		t.Fatal(err)
	}
	if err := in.IssueCredit(1); err != nil {
		t.Fatal(err)
	}
	m, err := in.Receive(limit(t), nil)
	if err != nil || string(m.GetData()) != "later" {
		t.Errorf("after drain: %v %v", m, err)
	}
}

func TestClientRefusedAttach(t *testing.T) {
	node := newQueueNode()
	node.attached = func(*Attach, *Acceptance) error {
		return &Error{Condition: wire.ErrLinkRedirect, Info: wire.Map{
			{Key: wire.Symbol("hostname"), Value: "other.example"},
			{Key: wire.Symbol("port"), Value: int32(5671)},
		}}
	}
	addr, _ := startServer(t, Config{Handler: node})
	s := session(t, dial(t, addr, nil))
	_, err := s.NewReceiver(limit(t), "q", nil)
	var e *client.Error
	if !errors.As(err, &e) || e.Condition != client.ErrCondLinkRedirect || e.Info["hostname"] != "other.example" || e.Info["port"] != int32(5671) {
		t.Errorf("receiver: %#v", err)
	}
	_, err = s.NewSender(limit(t), "q", nil)
	if !errors.As(err, &e) || e.Condition != client.ErrCondLinkRedirect {
		t.Errorf("sender: %v", err)
	}
	node.attached = nil
	sendLink(t, s, "q", nil) // the session is not hurt
}

func TestClientRefusedOpenAndInternalError(t *testing.T) {
	node := newQueueNode()
	node.opened = func(*Conn) error { return newError(wire.ErrNotFound, "no such host") }
	addr, _ := startServer(t, Config{Handler: node})
	conn, err := client.Dial(limit(t), "amqp://"+addr, nil)
	if err == nil { // the client learns it right after open
		_, err = conn.NewSession(limit(t), nil)
		_ = conn.Close()
	}
	var e *client.Error
	if !errors.As(err, &e) || e.Condition != client.ErrCondNotFound {
		t.Errorf("refused open: %v", err)
	}

	node = newQueueNode()
	node.attached = func(*Attach, *Acceptance) error { return errors.New("database password is hunter2") }
	addr, _ = startServer(t, Config{Handler: node})
	_, err = session(t, dial(t, addr, nil)).NewSender(limit(t), "q", nil)
	if !errors.As(err, &e) || e.Condition != client.ErrCondInternalError || e.Description != "internal error" {
		t.Errorf("internal error: %#v", err)
	}
}

func TestClientManySessionsAndLinks(t *testing.T) {
	addr, _ := startServer(t, Config{Handler: newQueueNode()})
	conn := dial(t, addr, nil)
	const n = 1000
	sessions := make([]*client.Session, n)
	links := make([]*client.Sender, n)
	for i := range n {
		sessions[i] = session(t, conn)
		links[i] = sendLink(t, sessions[i], "q", &client.SenderOptions{Name: "same"})
	}
	for i := range n {
		if err := links[i].Send(limit(t), client.NewMessage(fmt.Append(nil, i)), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range sessions[:n/2] {
		if err := s.Close(limit(t)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 300 { // channels and handles are used again
		s := session(t, conn)
		in := receiveLink(t, s, "q", &client.ReceiverOptions{Credit: 1})
		m, err := in.Receive(limit(t), nil)
		if err != nil || string(m.GetData()) != fmt.Sprint(i) {
			t.Fatalf("%v %v", m, err)
		}
		if err := in.AcceptMessage(limit(t), m); err != nil {
			t.Fatal(err)
		}
		if err := in.Close(limit(t)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(limit(t)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClientSmallFrames(t *testing.T) {
	addr, _ := startServer(t, Config{Handler: newQueueNode(), MaxFrameSize: 512})
	s := session(t, dial(t, addr, &client.ConnOptions{MaxFrameSize: 512}))
	body := pattern(300_000)
	if err := sendLink(t, s, "q", nil).Send(limit(t), client.NewMessage(body), nil); err != nil {
		t.Fatal(err)
	}
	m, err := receiveLink(t, s, "q", nil).Receive(limit(t), nil)
	if err != nil || !bytes.Equal(m.GetData(), body) {
		t.Fatal("not the message sent", err)
	}
}

func TestClientMessageTooLarge(t *testing.T) {
	node := newQueueNode()
	node.attached = func(a *Attach, answer *Acceptance) error {
		answer.MaxMessageSize = 1000
		return nil
	}
	addr, _ := startServer(t, Config{Handler: node})
	out := sendLink(t, session(t, dial(t, addr, nil)), "q", nil)
	if out.MaxMessageSize() != 1000 {
		t.Errorf("max-message-size %d", out.MaxMessageSize())
	}
	if err := out.Send(limit(t), client.NewMessage(pattern(990)), nil); err != nil {
		t.Error(err)
	}
}

func TestServerCloses(t *testing.T) {
	node := newQueueNode()
	conns := make(chan *Conn, 1)
	var mu sync.Mutex
	var links []*Attach
	node.opened = func(c *Conn) error { conns <- c; c.SetValue("v"); return nil }
	node.attached = func(a *Attach, _ *Acceptance) error {
		mu.Lock()
		defer mu.Unlock()
		links = append(links, a)
		return nil
	}
	addr, srv := startServer(t, Config{Handler: node})
	c := dial(t, addr, nil)
	s := session(t, c)
	out := sendLink(t, s, "q", nil)
	in := receiveLink(t, s, "q", nil)
	mu.Lock()
	links[0].Receiver.Close(newError(wire.ErrLinkDetachForced, "go away"))
	links[1].Sender.Close(newError(wire.ErrLinkStolen, "stolen"))
	mu.Unlock()
	var e *client.LinkError
	if _, err := in.Receive(limit(t), nil); !errors.As(err, &e) || e.RemoteErr == nil || e.RemoteErr.Condition != client.ErrCondStolen {
		t.Errorf("receive: %v", err)
	}
	if err := out.Send(limit(t), client.NewMessage(nil), nil); !errors.As(err, &e) || e.RemoteErr == nil || e.RemoteErr.Condition != client.ErrCondDetachForced {
		t.Errorf("send: %v", err)
	}
	sendLink(t, s, "q", nil)
	mu.Lock()
	links[2].Session.End(newError(wire.ErrResourceLimitExceeded, "enough"))
	mu.Unlock()
	var se *client.SessionError
	for {
		_, err := s.NewSender(limit(t), "q", nil)
		if err == nil {
			continue
		}
		if !errors.As(err, &se) || se.RemoteErr == nil || se.RemoteErr.Condition != client.ErrCondResourceLimitExceeded {
			t.Errorf("session: %v", err)
		}
		break
	}
	server := <-conns
	if server.Value() != "v" || server.Open().ContainerID == "" || server.TLS() != nil {
		t.Error("the connection lost what belongs to it")
	}
	if n := srv.Connections(); n != 1 {
		t.Errorf("%d connections", n)
	}
	if err := srv.Shutdown(limit(t)); err != nil {
		t.Error(err)
	}
	_, err := c.NewSession(limit(t), nil)
	var ce *client.ConnError
	if !errors.As(err, &ce) || ce.RemoteErr == nil || ce.RemoteErr.Condition != client.ErrCondConnectionForced {
		t.Errorf("connection: %v", err)
	}
	var ours *Error
	if err := <-node.closed; !errors.As(err, &ours) || ours.Condition != wire.ErrConnectionForced {
		t.Errorf("Closed: %v", err)
	}
	if server.Context().Err() == nil {
		t.Error("the context lives on")
	}
}
