package amqp

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	client "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// Many links with little credit each share a connection; every message arrives once and in the order of its link.
func TestManyReceivers(t *testing.T) {
	const links, messages = 120, 60
	node := newQueueNode()
	addr, _ := startServer(t, Config{Handler: node})
	conn := dial(t, addr, &client.ConnOptions{MaxFrameSize: 4096})
	var wg sync.WaitGroup
	var s *client.Session
	for i := range links {
		if i%30 == 0 {
			s = session(t, conn)
		}
		q := node.queue(fmt.Sprint("q", i))
		in := receiveLink(t, s, fmt.Sprint("q", i), &client.ReceiverOptions{Credit: int32(1 + i%5)})
		wg.Go(func() {
			for n := range messages {
				b := wire.AppendDataSection(nil, append(fmt.Append(nil, n, " "), pattern(n*50)...))
				q.add(Message{Payload: [][]byte{b}}, false)
			}
		})
		wg.Go(func() {
			for n := range messages {
				m, err := in.Receive(limit(t), nil)
				if err != nil {
					t.Errorf("link %d: %v", i, err)
					return
				}
				var got int
				if _, err := fmt.Sscan(string(m.GetData()), &got); err != nil || got != n {
					t.Errorf("link %d: message %d is %d (%v)", i, n, got, err)
					return
				}
				if err := in.AcceptMessage(limit(t), m); err != nil {
					t.Errorf("link %d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// Links, sessions and connections are closed by both ends at any moment, while messages go both ways; nothing may
// hang, leak or race, and the bookkeeping must come out even.
func TestChaos(t *testing.T) {
	node := newQueueNode()
	var mu sync.Mutex
	var attached []*Attach
	node.attached = func(a *Attach, answer *Acceptance) error {
		mu.Lock()
		attached = append(attached, a)
		mu.Unlock()
		answer.Credit = 5
		return nil
	}
	node.received = func(d *Delivery) bool {
		go func() { // settled late, by someone else
			_ = d.Accept()
			d.Receiver().SetCredit(uint32(1 + rand.IntN(10)))
		}()
		return true
	}
	addr, srv := startServer(t, Config{Handler: node, IncomingWindow: 8, MaxUnsettledBytes: 50_000})

	closer := func(n int) {
		for range n {
			mu.Lock()
			if len(attached) == 0 {
				mu.Unlock()
				continue
			}
			a := attached[rand.IntN(len(attached))]
			mu.Unlock()
			switch rand.IntN(20) {
			case 0:
				a.Session.Conn().Abort()
			case 1:
				a.Session.Conn().Close(nil)
			case 2, 3:
				a.Session.End(newError(wire.ErrResourceLimitExceeded, "chaos"))
			default:
				if a.Sender != nil {
					_ = a.Sender.TrySend(Message{Value: Message{}})
					a.Sender.Close(nil)
				} else {
					a.Receiver.Close(newError(wire.ErrLinkDetachForced, "chaos"))
				}
			}
		}
	}
	work := func(c *client.Conn, n int) {
		ctx := limit(t)
		for range n { // every error is welcome here
			s, err := c.NewSession(ctx, nil)
			if err != nil {
				return
			}
			out, err := s.NewSender(ctx, "q", nil)
			if err == nil {
				for range 5 {
					_, _ = out.SendWithReceipt(ctx, client.NewMessage(pattern(rand.IntN(20_000))), nil)
				}
			}
			if in, err := s.NewReceiver(ctx, "q", &client.ReceiverOptions{Credit: 3}); err == nil && rand.IntN(2) == 0 {
				_ = in.Close(ctx)
			}
			if rand.IntN(2) == 0 {
				_ = s.Close(ctx)
			}
		}
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 8 {
				c, err := client.Dial(context.Background(), "amqp://"+addr, nil)
				if err != nil {
					t.Error(err)
					return
				}
				work(c, 6)
				closer(2)
				_ = c.Close()
			}
		})
	}
	wg.Wait()
	if err := srv.Shutdown(limit(t)); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, a := range attached {
		c := a.Session.Conn()
		c.mu.Lock()
		if c.partial != 0 || len(a.Session.sent) != 0 || c.state != connDead {
			t.Errorf("%d partial, %d sent, state %d", c.partial, len(a.Session.sent), c.state)
		}
		c.mu.Unlock()
	}
}
