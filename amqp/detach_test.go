package amqp

import (
	"context"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// oneReader lets one receiver attach at a time.
type oneReader struct{ taken atomic.Bool }

func (*oneReader) Open(*Conn) error    { return nil }
func (*oneReader) Closed(*Conn, error) {}

func (h *oneReader) Attach(*Attach) (*Acceptance, error) {
	if !h.taken.CompareAndSwap(false, true) {
		return nil, &Error{Condition: "amqp:resource-limit-exceeded"}
	}
	return &Acceptance{Source: exclusive{h}}, nil
}

type exclusive struct{ h *oneReader }

func (exclusive) Ready(*Sender)                     {}
func (exclusive) Outcome(*Sent, wire.DeliveryState) {}

// Closed takes its time, so that an answer that does not wait for it comes too early.
func (e exclusive) Closed(*Sender, []*Sent, error) {
	for range 10_000 {
		runtime.Gosched()
	}
	e.h.taken.Store(false)
}

// A client whose detach was answered finds free what its link had held.
func TestDetachIsAnsweredAfterTheHandler(t *testing.T) {
	server := NewServer(Config{Handler: &oneReader{}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	defer func() { _ = server.Close(); <-done }()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	sessions := make([]*goamqp.Session, 2)
	for i := range sessions {
		conn, err := goamqp.Dial(ctx, "amqp://"+l.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if sessions[i], err = conn.NewSession(ctx, nil); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 200 {
		rcv, err := sessions[i%2].NewReceiver(ctx, "node", nil)
		if err != nil {
			t.Fatal(i, err)
		}
		if err := rcv.Close(ctx); err != nil {
			t.Fatal(i, err)
		}
	}
}
