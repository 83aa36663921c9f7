package amqp

import "github.com/hubnerite/hubnerite/amqp/wire"

// RequestNode is a node for request and response on one connection: it takes requests from links on which the client
// sends, and answers on the links on which the same client receives from the node. Make one per connection and node
// (keep it with [Conn.SetValue]), and let Handler.Attach hand the node's attaches to [RequestNode.Attach].
//
// The answer to a request goes to the link, among those attached to this node on this connection, whose target
// address is the request's reply-to; else to the one whose name is the reply-to; else to the last one attached in
// the request's session; else to the last one attached at all. It is never looked up anywhere else, so clients
// that use the same reply-to on different connections cannot get each other's answers.
type RequestNode struct {
	// Serve is called for each request from the connection's reader. It must see to it that the request is answered, now or
	// later, from any goroutine.
	Serve func(r *Request)
	// Acceptance is the pattern for the node's links: credit, sizes, capabilities. Sink and Source are set by the
	// node.
	Acceptance Acceptance
}

// Request is one request. It must be ended by exactly one of Reply and Reject.
type Request struct {
	// Delivery is the request's message. It must not be settled directly.
	Delivery *Delivery
	// Message is the scanned payload.
	Message wire.Message
	// Properties are the message's, for message-id (whose exact type an answer repeats as correlation-id) and
	// reply-to.
	Properties wire.Properties
}

// Attach answers an attach to the node, of either direction.
func (n *RequestNode) Attach(a *Attach) (*Acceptance, error) { panic("soon") }

// Reply accepts the request and then sends an encoded message as its answer; when the reply link has no credit, as soon as it
// has. It fails with [ErrLinkClosed] if there is no link for it.
func (r *Request) Reply(payload ...[]byte) error { panic("soon") }

// Reject settles the request as rejected, without an answer.
func (r *Request) Reject(err *Error) error { panic("soon") }
