package amqp

import "github.com/hubnerite/hubnerite/amqp/wire"

// Receiver is the server's end of a link on which the client sends.
type Receiver struct{ session *Session }

// Session is the link's session.
func (r *Receiver) Session() *Session { return r.session }

// Conn is the link's connection.
func (r *Receiver) Conn() *Conn { return r.session.conn }

// Name is the link's name.
func (r *Receiver) Name() string { panic("soon") }

// Frame is the client's attach. Not to be changed.
func (r *Receiver) Frame() *wire.Attach { panic("soon") }

// SetCredit changes how many unsettled messages the client may have under way; see [Acceptance.Credit]. 0 stops
// the client, as far as it has not used its credit already: what is sent within credit granted before is
// still delivered.
func (r *Receiver) SetCredit(n uint32) { panic("soon") }

// Close detaches the link with err, or without error if err is nil. It does not wait; only the first call counts.
func (r *Receiver) Close(err *Error) { panic("soon") }

// Delivery is one message that a client sent. It must be settled exactly once; the settling methods may be called from any
// goroutine and in any order, also after the link ended, when they return [ErrLinkClosed] and tell no one.
type Delivery struct {
	// Payload is the encoded message, with all its sections. It belongs to the sink.
	Payload []byte
	// Tag is the client's delivery tag. It belongs to the sink.
	Tag []byte
	// Format is the message format of the first transfer frame; 0 is the standard's message.
	Format uint32
	// PreSettled deliveries expect no answer; settling them only makes room.
	PreSettled bool
	// Value is for the handler's use.
	Value any
}

// Receiver is the link that the message arrived on.
func (d *Delivery) Receiver() *Receiver { panic("soon") }

// Accept settles with accepted.
func (d *Delivery) Accept() error { return d.Settle(wire.Accepted{}) }

// Reject settles with rejected. err may be nil.
func (d *Delivery) Reject(err *Error) error { return d.Settle(wire.Rejected{Error: err}) }

// Release settles with released.
func (d *Delivery) Release() error { return d.Settle(wire.Released{}) }

// Settle settles with any outcome.
func (d *Delivery) Settle(outcome wire.DeliveryState) error { panic("soon") }
