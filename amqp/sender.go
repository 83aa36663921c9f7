package amqp

import (
	"context"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// Sender is the server's end of a link on which the client receives.
type Sender struct{ session *Session }

// Message is what a [Sender] sends.
type Message struct {
	// Payload is the encoded message in pieces that are sent one after the other, so that sections of different
	// origin need not be copied together. The bytes must not change until Outcome, Closed, or the link's next
	// accepted message.
	Payload [][]byte
	// Tag is the delivery tag, at most 32 bytes, unique among the link's unsettled deliveries. nil: the engine makes a
	// tag of 4 bytes, a counter of the link.
	Tag []byte
	// Format is the message format; 0 is the standard's message.
	Format uint32
	// Settled sends pre-settled: no outcome. Only on a link in mixed mode; on others the link's mode decides.
	Settled bool
	// Value is for the handler's use; see [Sent].
	Value any
}

// Session is the link's session.
func (s *Sender) Session() *Session { return s.session }

// Conn is the link's connection.
func (s *Sender) Conn() *Conn { return s.session.conn }

// Name is the link's name.
func (s *Sender) Name() string { panic("soon") }

// Frame is the client's attach. Not to be changed.
func (s *Sender) Frame() *wire.Attach { panic("soon") }

// TrySend sends m, or returns [ErrWouldBlock] if that is not possible at once; then [Source.Ready] is called when it is
// worth trying again. Other errors: [ErrLinkClosed], [ErrDeliveryTag].
func (s *Sender) TrySend(m Message) error { panic("soon") }

// Send is TrySend that waits until the message is taken, ctx ends or the link ends. It does not wait for the
// outcome.
func (s *Sender) Send(ctx context.Context, m Message) error { panic("soon") }

// Credit is how many messages the client is ready to take now.
func (s *Sender) Credit() uint32 { panic("soon") }

// Draining says that the client wants its credit used up: what is there should be sent now, the rest of the credit
// will be taken back (OASIS AMQP 1.0 2.6.7).
func (s *Sender) Draining() bool { panic("soon") }

// SetAvailable sets the number of messages waiting, which the link's flow frames tell the client
// (OASIS AMQP 1.0 2.6.7). It sends nothing itself.
func (s *Sender) SetAvailable(n uint32) { panic("soon") }

// Close detaches the link with err, or without error if err is nil. A message whose first frame is out and whose
// last is not is never finished then. It does not wait; only the first call counts.
func (s *Sender) Close(err *Error) { panic("soon") }

// Sent is a delivery that was sent unsettled and has no final answer yet.
type Sent struct {
	// Tag is the delivery tag, Value what Message.Value was.
	Tag   []byte
	Value any

	sender *Sender
}

// Sender is the link that the message was sent on.
func (d *Sent) Sender() *Sender { return d.sender }

// PeerSettled says whether the client has settled, and so forgotten, the delivery. If not, it waits for
// [Sent.Settle] (receiver settle mode second).
func (d *Sent) PeerSettled() bool { panic("soon") }

// Settle ends a delivery for which Outcome was called. If the client settled it already, it does nothing and
// returns nil. Otherwise the client waits for this answer; state nil repeats the outcome the client gave, any other
// says what really happened, e.g. rejected. It may be called from any goroutine, once, and has to be called for
// each Outcome.
func (d *Sent) Settle(state wire.DeliveryState) error { panic("soon") }
