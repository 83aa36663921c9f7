package amqp

import (
	"errors"
	"sync"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// RequestNode is a node for request and response on one connection: it takes requests from links on which the client
// sends, and answers on the links on which the same client receives from the node. Make one per connection and node
// (keep it with [Conn.SetValue]), and let Handler.Attach hand the node's attaches to [RequestNode.Attach].
//
// The answer to a request goes to the link, among those attached to this node on this connection, whose target
// address is the request's reply-to; else to the one whose name is the reply-to; else to the last one attached in
// the request's session; else to the last one attached at all. Of several links that match, one in the request's
// session is preferred. It is never looked up anywhere else, so clients that use the same reply-to on different
// connections cannot get each other's answers.
type RequestNode struct {
	// Serve is called for each request from the connection's reader. It must see to it that the request is answered, now or
	// later, from any goroutine.
	Serve func(r *Request)
	// Acceptance is the pattern for the node's links: credit, sizes, capabilities. Sink and Source are set by the
	// node.
	Acceptance Acceptance

	mu    sync.Mutex
	links []*replyLink // in the order attached
}

// maxReplies bounds the answers that wait for a client that asks but gives no credit for answers. The requests beyond
// are unsettled until some leave, so the client runs out of credit itself.
const maxReplies = 64

// Request is one request. It must be ended by exactly one of Reply and Reject.
type Request struct {
	// Delivery is the request's message. It must not be settled directly.
	Delivery *Delivery
	// Message is the scanned payload.
	Message wire.Message
	// Properties are the message's, for message-id (whose exact type an answer repeats as correlation-id) and
	// reply-to.
	Properties wire.Properties

	node *RequestNode
}

// Attach answers an attach to the node, of either direction.
func (n *RequestNode) Attach(a *Attach) (*Acceptance, error) {
	answer := n.Acceptance
	if a.Receiver != nil {
		answer.Source, answer.Sink = nil, SinkFunc(n.request)
		return &answer, nil
	}
	l := &replyLink{node: n, sender: a.Sender}
	n.mu.Lock()
	n.links = append(n.links, l)
	n.mu.Unlock()
	answer.Source, answer.Sink = l, nil
	return &answer, nil
}

// request takes one message.
func (n *RequestNode) request(d *Delivery) {
	m, err := wire.ScanMessage(d.Payload)
	if err != nil {
		_ = d.Reject(newError(wire.ErrDecode, "the request is not a message"))
		return
	}
	p, err := m.Properties()
	if err != nil {
		_ = d.Reject(newError(wire.ErrDecode, "the request's properties are malformed"))
		return
	}
	n.Serve(&Request{Delivery: d, Message: m, Properties: p, node: n})
}

// Reply accepts the request and then sends an encoded message as its answer; when the reply link has no credit, as soon as it
// has. It fails with [ErrLinkClosed] if there is no link for it; the request is accepted nevertheless.
func (r *Request) Reply(payload ...[]byte) error {
	l := r.node.route(r.Properties.ReplyTo, r.Delivery.receiver.session)
	if l == nil {
		_ = r.Delivery.Accept()
		return ErrLinkClosed
	}
	return l.reply(r.Delivery, Message{Payload: payload})
}

// Reject settles the request as rejected, without an answer.
func (r *Request) Reject(err *Error) error { return r.Delivery.Reject(err) }

// route finds the link for an answer.
func (n *RequestNode) route(replyTo string, session *Session) *replyLink {
	n.mu.Lock()
	defer n.mu.Unlock()
	best, bestRank := (*replyLink)(nil), -1
	for _, l := range n.links {
		rank := 0
		frame := l.sender.frame
		switch {
		case replyTo == "":
		case frame.Target != nil && frame.Target.Address == replyTo:
			rank = 4
		case frame.Name == replyTo:
			rank = 2
		}
		if l.sender.session == session {
			rank++
		}
		if rank >= bestRank { // the later one wins
			best, bestRank = l, rank
		}
	}
	return best
}

// replyLink is a link for answers, with those that wait for credit.
type replyLink struct {
	node   *RequestNode
	sender *Sender

	mu    sync.Mutex
	queue []queuedReply
}

// queuedReply is an answer that waits. Its request is settled when it is near enough to leaving that the queue is bounded by
// the client's own credit.
type queuedReply struct {
	request *Delivery // nil if it is accepted already
	m       Message
}

// reply accepts the request and sends or queues its answer, in this order: clients rely on the disposition being
// first.
func (l *replyLink) reply(request *Delivery, m Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) < maxReplies {
		_ = request.Accept()
		request = nil
	}
	l.queue = append(l.queue, queuedReply{request, m})
	if len(l.queue) > 1 {
		return nil // Ready will send it after those before it
	}
	return l.pumpLocked()
}

// pumpLocked sends what can be sent.
func (l *replyLink) pumpLocked() error {
	for len(l.queue) > 0 {
		q := &l.queue[0]
		if q.request != nil {
			_ = q.request.Accept()
			q.request = nil
		}
		if err := l.sender.TrySend(q.m); errors.Is(err, ErrWouldBlock) {
			return nil
		} else if err != nil {
			l.queue = nil
			return err
		}
		l.queue[0] = queuedReply{}
		l.queue = l.queue[1:]
	}
	l.queue = nil
	return nil
}

// Ready sends what waits.
func (l *replyLink) Ready(*Sender) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.pumpLocked()
}

// Outcome ends the delivery: an answer has none that matters.
func (l *replyLink) Outcome(d *Sent, _ wire.DeliveryState) { _ = d.Settle(nil) }

// Closed forgets the link and what waits on it.
func (l *replyLink) Closed(*Sender, []*Sent, error) {
	l.node.mu.Lock()
	for i, other := range l.node.links {
		if other == l {
			l.node.links = append(l.node.links[:i:i], l.node.links[i+1:]...)
			break
		}
	}
	l.node.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, q := range l.queue {
		if q.request != nil {
			_ = q.request.Release()
		}
	}
	l.queue = nil
}
