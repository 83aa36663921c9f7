//go:build conformance

package conformance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/amqp/wire"
)

// The credentials that a queueNode takes by SASL PLAIN.
const (
	queueUser     = "guest"
	queuePassword = "open sesame"
)

// queueNode is a broker on our AMQP engine for foreign AMQP clients to be tried against: every address is a queue. Messages are
// decoded when they come and encoded anew when they go, so that the client's codec is compared with ours. Special addresses:
//
//	NAME              a queue; what a client rejects moves to NAME/rejected
//	describe/NAME     the queue NAME gets a text about each message sent here, in the words of describeMessage
//	answer/OUTCOME    a sink that gives each message this outcome: rejected, released, modified
//	answer/late       a sink that accepts ten messages at a time, the last one first
//	close/WHAT        a sink that closes link, session or connection with an error when a message comes
//	refused           no link
type queueNode struct {
	mu      sync.Mutex
	queues  map[string]*nodeQueue
	dynamic int
	late    []*amqp.Delivery
}

// nodeQueue is one queue and those who receive from it.
type nodeQueue struct {
	node *queueNode
	name string

	mu      sync.Mutex
	next    int64
	waiting []*queued // by number
	readers []*amqp.Sender
}

// queued is a message with its place in the queue.
type queued struct {
	number int64
	m      decodedMessage
	notFor []*amqp.Sender // those who said that it cannot be delivered to them
}

// startQueueNode serves a node on a port of its own until the test ends, and returns its address.
func startQueueNode(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := amqp.NewServer(amqp.Config{
		Handler:        &queueNode{queues: map[string]*nodeQueue{}},
		SASL:           []amqp.Mechanism{amqp.Plain(), amqp.Anonymous("ANONYMOUS")},
		Authenticate:   queueAuthenticate,
		MaxMessageSize: 64 << 20,
	})
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("the queue node's end: %v", err)
		}
		if err := <-done; !errors.Is(err, amqp.ErrServerClosed) {
			t.Errorf("the queue node's end: %v", err)
		}
	})
	return listener.Addr().String()
}

func queueAuthenticate(_ context.Context, cred amqp.Credentials) (any, error) {
	if cred.Mechanism == "PLAIN" && (cred.Username != queueUser || cred.Password != queuePassword) {
		return nil, errors.New("wrong user or password")
	}
	return cred.Username, nil
}

func (n *queueNode) Open(*amqp.Conn) error { return nil }

func (n *queueNode) Closed(*amqp.Conn, error) {}

func (n *queueNode) Attach(a *amqp.Attach) (*amqp.Acceptance, error) {
	answer := &amqp.Acceptance{}
	if a.Sender != nil {
		source := a.Frame.Source
		if source == nil {
			return nil, &amqp.Error{Condition: wire.ErrInvalidField, Description: "no source"}
		}
		address := source.Address
		if source.Dynamic {
			address = n.newAddress()
			reply := *source
			reply.Address = address
			answer.ReplySource = &reply
		}
		if address == "refused" {
			return nil, &amqp.Error{Condition: wire.ErrNotFound, Description: "there is nothing here"}
		}
		q := n.queue(address)
		q.mu.Lock()
		q.readers = append(q.readers, a.Sender)
		q.mu.Unlock()
		answer.Source = q
		return answer, nil
	}
	if a.Frame.Target == nil {
		return nil, &amqp.Error{Condition: wire.ErrInvalidField, Description: "no target"}
	}
	sink, err := n.sink(a.Frame.Target.Address)
	answer.Sink = sink
	return answer, err
}

func (n *queueNode) newAddress() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dynamic++
	return fmt.Sprint("made/", n.dynamic)
}

func (n *queueNode) queue(name string) *nodeQueue {
	n.mu.Lock()
	defer n.mu.Unlock()
	q := n.queues[name]
	if q == nil {
		q = &nodeQueue{node: n, name: name}
		n.queues[name] = q
	}
	return q
}

func (n *queueNode) sink(address string) (amqp.SinkFunc, error) {
	kind, rest, _ := strings.Cut(address, "/")
	switch {
	case address == "refused":
		return nil, &amqp.Error{Condition: wire.ErrNotFound, Description: "there is nothing here"}
	case kind == "describe":
		q := n.queue(rest)
		return func(d *amqp.Delivery) {
			take(d, func(m decodedMessage) { q.add(&queued{m: textMessage(describeMessage(m))}) })
		}, nil
	case kind == "answer" && rest == "late":
		return n.takeLate, nil
	case kind == "answer":
		return func(d *amqp.Delivery) { answerWith(d, rest) }, nil
	case kind == "close":
		return func(d *amqp.Delivery) { closeAfter(d, rest) }, nil
	}
	q := n.queue(address)
	return func(d *amqp.Delivery) { take(d, func(m decodedMessage) { q.add(&queued{m: m}) }) }, nil
}

// take accepts a message that can be decoded, and rejects another.
func take(d *amqp.Delivery, add func(decodedMessage)) {
	m, err := decodeMessage(d.Payload)
	m.format = d.Format
	if err != nil {
		_ = d.Reject(&amqp.Error{Condition: wire.ErrDecode, Description: err.Error()})
		return
	}
	_ = d.Accept()
	add(m)
}

func answerWith(d *amqp.Delivery, outcome string) {
	switch outcome {
	case "rejected":
		_ = d.Reject(&amqp.Error{
			Condition: "test:unwanted", Description: "not wanted", Info: wire.Map{{Key: wire.Symbol("size"), Value: int32(len(d.Payload))}},
		})
	case "released":
		_ = d.Release()
	default:
		_ = d.Settle(wire.Modified{
			DeliveryFailed: true, UndeliverableHere: true, MessageAnnotations: wire.Map{{Key: wire.Symbol("x-why"), Value: "modified"}},
		})
	}
}

func (n *queueNode) takeLate(d *amqp.Delivery) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.late = append(n.late, d); len(n.late) < 10 {
		return
	}
	for _, d := range slices.Backward(n.late) {
		_ = d.Accept()
	}
	n.late = nil
}

func closeAfter(d *amqp.Delivery, what string) {
	err := &amqp.Error{Condition: "test:closed", Description: what + " closed", Info: wire.Map{{Key: wire.Symbol("what"), Value: what}}}
	link := d.Receiver()
	switch what {
	case "link":
		link.Close(err)
	case "session":
		link.Session().End(err)
	case "connection":
		link.Conn().Close(err)
	}
}

// add puts a message in its place: new ones last, those that come back where they were.
func (q *nodeQueue) add(m *queued) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m.number == 0 {
		q.next++
		m.number = q.next
	}
	at, _ := slices.BinarySearchFunc(q.waiting, m, func(a, b *queued) int { return int(a.number - b.number) })
	q.waiting = slices.Insert(q.waiting, at, m)
	for _, reader := range slices.Clone(q.readers) {
		q.pumpLocked(reader)
	}
}

// pumpLocked sends to a reader what it has room for.
func (q *nodeQueue) pumpLocked(reader *amqp.Sender) {
	for {
		at := slices.IndexFunc(q.waiting, func(m *queued) bool { return !slices.Contains(m.notFor, reader) })
		if at < 0 {
			break
		}
		m := q.waiting[at]
		payload, err := encodeMessage(m.m)
		if err != nil {
			reader.Close(&amqp.Error{Condition: wire.ErrInternal, Description: err.Error()})
			return
		}
		if reader.TrySend(amqp.Message{Payload: [][]byte{payload}, Format: m.m.format, Value: m}) != nil {
			break
		}
		q.waiting = slices.Delete(q.waiting, at, at+1)
	}
	reader.SetAvailable(uint32(len(q.waiting)))
}

// Ready implements amqp.Source.
func (q *nodeQueue) Ready(reader *amqp.Sender) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pumpLocked(reader)
}

// Outcome implements amqp.Source.
func (q *nodeQueue) Outcome(d *amqp.Sent, state wire.DeliveryState) {
	_ = d.Settle(nil)
	m, _ := d.Value.(*queued)
	switch state := state.(type) {
	case wire.Released:
		q.add(m)
	case wire.Modified:
		if state.DeliveryFailed {
			m.m.header.DeliveryCount++
		}
		if state.UndeliverableHere {
			m.notFor = append(m.notFor, d.Sender())
		}
		m.m.notes = append(m.m.notes, state.MessageAnnotations...)
		q.add(m)
	case wire.Rejected:
		m.number = 0
		if state.Error != nil {
			m.m.notes = m.m.notes.Add(wire.Symbol("x-rejected"), string(state.Error.Condition))
		}
		q.node.queue(q.name + "/rejected").add(m)
	}
}

// Closed implements amqp.Source.
func (q *nodeQueue) Closed(reader *amqp.Sender, unsettled []*amqp.Sent, _ error) {
	q.mu.Lock()
	q.readers = slices.DeleteFunc(q.readers, func(r *amqp.Sender) bool { return r == reader })
	q.mu.Unlock()
	for _, d := range unsettled {
		m, _ := d.Value.(*queued)
		q.add(m)
	}
}
