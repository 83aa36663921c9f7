package amqp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// queueNode is a broker for tests: every address is a queue.
type queueNode struct {
	mu     sync.Mutex
	queues map[string]*queue

	// What a test may change.
	opened   func(c *Conn) error
	attached func(a *Attach, answer *Acceptance) error
	outcome  func(d *Sent, state wire.DeliveryState) wire.DeliveryState
	received func(d *Delivery) bool // true: the test settles
	closed   chan error
}

type queue struct {
	node *queueNode

	mu        sync.Mutex
	messages  []Message
	consumers []*Sender
}

func newQueueNode() *queueNode {
	return &queueNode{queues: make(map[string]*queue), closed: make(chan error, 100)}
}

func (n *queueNode) queue(address string) *queue {
	n.mu.Lock()
	defer n.mu.Unlock()
	q := n.queues[address]
	if q == nil {
		q = &queue{node: n}
		n.queues[address] = q
	}
	return q
}

func (n *queueNode) Open(c *Conn) error {
	if n.opened != nil {
		return n.opened(c)
	}
	return nil
}

func (n *queueNode) Closed(_ *Conn, err error) {
	select {
	case n.closed <- err:
	default:
	}
}

func (n *queueNode) Attach(a *Attach) (*Acceptance, error) {
	if a.Sender != nil && a.Frame.Source == nil || a.Receiver != nil && a.Frame.Target == nil {
		return nil, newError(wire.ErrInvalidField, "no address")
	}
	answer := &Acceptance{MaxMessageSize: 64 << 20}
	if a.Sender != nil {
		q := n.queue(a.Frame.Source.Address)
		q.mu.Lock()
		q.consumers = append(q.consumers, a.Sender)
		q.mu.Unlock()
		answer.Source = q
	} else {
		answer.Sink = queueSink{n.queue(a.Frame.Target.Address)}
	}
	if n.attached != nil {
		if err := n.attached(a, answer); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

func (q *queue) Message(d *Delivery) {
	if q.node.received != nil && q.node.received(d) {
		return
	}
	_ = d.Accept()
	q.add(Message{Payload: [][]byte{d.Payload}, Format: d.Format}, false)
}

func (q *queue) add(m Message, front bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m.Value = m
	if front {
		q.messages = append([]Message{m}, q.messages...)
	} else {
		q.messages = append(q.messages, m)
	}
	for i := 0; i < len(q.consumers) && len(q.messages) > 0; i++ {
		q.pump(q.consumers[i])
	}
}

func (q *queue) pump(s *Sender) {
	for len(q.messages) > 0 && s.TrySend(q.messages[0]) == nil {
		q.messages = q.messages[1:]
	}
}

func (q *queue) Ready(s *Sender) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s.SetAvailable(uint32(len(q.messages)))
	q.pump(s)
}

func (q *queue) Outcome(d *Sent, state wire.DeliveryState) {
	var answer wire.DeliveryState
	if q.node.outcome != nil {
		answer = q.node.outcome(d, state)
	}
	_ = d.Settle(answer)
	switch state.(type) {
	case wire.Released, wire.Modified:
		q.add(d.Value.(Message), true)
	}
}

func (q *queue) Closed(s *Sender, unsettled []*Sent, _ error) {
	q.mu.Lock()
	for i, c := range q.consumers {
		if c == s {
			q.consumers = append(q.consumers[:i:i], q.consumers[i+1:]...)
			break
		}
	}
	q.mu.Unlock()
	for i := len(unsettled) - 1; i >= 0; i-- {
		q.add(unsettled[i].Value.(Message), true)
	}
}

// queueSink gives the queue's sink half its own Closed.
type queueSink struct{ *queue }

func (queueSink) Closed(*Receiver, error) {}

// startServer serves the node on a loopback port until the test ends.
func startServer(t testing.TB, cfg Config) (address string, s *Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s = NewServer(cfg)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-done; !errors.Is(err, ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String(), s
}

func pattern(n int) []byte { return bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n] }
