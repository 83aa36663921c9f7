package amqp

import "github.com/hubnerite/hubnerite/amqp/wire"

// Handler decides what clients may do. Its methods are called from the connection's reader goroutine, one at a
// time per connection and concurrently for different connections.
//
// An error that a method returns reaches the client: an [*Error] as it is, any other error as amqp:internal-error
// without its text, which is logged instead.
type Handler interface {
	// Open is called when the client's open frame arrived, before it is answered. An error opens and at once
	// closes the connection with it (OASIS AMQP 1.0 2.4.5).
	Open(c *Conn) error
	// Attach is called for each attach of the client. On an error the link is answered with null terminus and
	// detached with the error.
	Attach(a *Attach) (*Acceptance, error)
	// Closed is called once for each connection whose Open was called and returned nil, after everything on it ended. err
	// is nil if the client closed without an error.
	Closed(c *Conn, err error)
}

// SessionHandler is implemented by a [Handler] that cares for sessions.
type SessionHandler interface {
	// Begin is called for each begin frame, before it is answered. An error begins and at once ends the session with it.
	Begin(s *Session) error
	// Ended is called once for each session whose Begin returned nil, after its links' Closed.
	Ended(s *Session, err error)
}

// Attach is a client's wish for a link.
type Attach struct {
	// Frame is the client's attach with everything it holds: name, role, source, target, properties,
	// capabilities, settle modes, max-message-size. Source and Target may be nil. Not to be changed.
	Frame *wire.Attach
	// Session, and by it the connection, on which the link shall be.
	Session *Session
	// Sender is the server's end if the client wants to receive, else nil. It may be kept; it has no credit
	// before the attach is answered.
	Sender *Sender
	// Receiver is the server's end if the client wants to send, else nil.
	Receiver *Receiver
}

// Acceptance is a handler's yes to an [Attach]. Zero values mean the default named at the field.
type Acceptance struct {
	// Sink takes the messages of a client that sends. Required if [Attach.Receiver] is set.
	Sink Sink
	// Credit is how many messages a client may have sent that are not yet settled by the sink. The engine grants it
	// unasked and tops it up. Default 100; see [Receiver.SetCredit]. NoCredit starts with none.
	Credit   uint32
	NoCredit bool

	// Source gives messages to a client that receives. Required if [Attach.Sender] is set.
	Source Source
	// InitialDeliveryCount of a link on which the server sends. Default 0.
	InitialDeliveryCount uint32

	// MaxMessageSize in bytes. As receiver it is enforced; as sender it is announced only. Default [Config.MaxMessageSize]. If
	// the client names a smaller one that is not 0, that is announced and enforced.
	MaxMessageSize uint64

	// Terminus and properties of the answer. Default: what the client sent, which is what most clients insist
	// on.
	ReplySource     *wire.Source
	ReplyTarget     *wire.Target
	ReplyProperties wire.Map
	// OfferedCapabilities of the answer. Default none.
	OfferedCapabilities []wire.Symbol
	// SenderSettleMode of the answer. Default: as requested.
	SenderSettleMode *wire.SenderSettleMode
	// ReceiverSettleMode of the answer. Default: as requested.
	ReceiverSettleMode *wire.ReceiverSettleMode
}

// Sink takes the messages of one link. Calls come from the connection's reader.
type Sink interface {
	// Message takes one complete message. It must be settled sooner or later, at once or from any goroutine,
	// also when it arrived pre-settled: settling is what makes room for the next one.
	Message(d *Delivery)
	// Closed is called once, when the link is gone at both ends or with its session or connection. err is nil if the
	// client detached without an error.
	Closed(r *Receiver, err error)
}

// Source gives messages to one link.
type Source interface {
	// Ready says that TrySend may work (again): after the client's first credit, and once after each TrySend that
	// returned [ErrWouldBlock]. If the client asked to drain ([Sender.Draining]), the rest of its credit is used up
	// when Ready returns, so what is to be sent should be sent before. Calls for one connection are one at
	// a time, but may overlap with other handler calls and may come late, after Closed.
	Ready(s *Sender)
	// Outcome is called when the client decided on a delivery sent unsettled; see [Sent]. From the connection's reader.
	Outcome(d *Sent, state wire.DeliveryState)
	// Closed is called once, when the link is gone at both ends or with its session or connection. unsettled
	// are the deliveries without outcome, in the order sent. err is nil if the client detached without an
	// error. From the connection's reader.
	Closed(s *Sender, unsettled []*Sent, err error)
}

// SinkFunc makes a [Sink] of a function for messages.
type SinkFunc func(d *Delivery)

// Message calls f.
func (f SinkFunc) Message(d *Delivery) { f(d) }

// Closed does nothing.
func (SinkFunc) Closed(*Receiver, error) {}
