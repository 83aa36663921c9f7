package amqp

import (
	"errors"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// Error is the AMQP error that a peer sees or sent. The conditions of the standard are constants of package wire.
type Error = wire.Error

// Errors of the sending and settling methods.
var (
	// ErrWouldBlock says that a message cannot be taken now: no credit, no window, no room in the write buffer, or the
	// message before it is still being cut into frames. [Source.Ready] is called when it is worth trying again.
	ErrWouldBlock = errors.New("amqp: would block")
	// ErrLinkClosed says that the link, its session or its connection has ended or is ending.
	ErrLinkClosed = errors.New("amqp: link closed")
	// ErrSettled says that the delivery was settled before, by this end or by the peer.
	ErrSettled = errors.New("amqp: delivery already settled")
	// ErrDeliveryTag says that a delivery tag is longer than 32 bytes (OASIS AMQP 1.0 2.8.7).
	ErrDeliveryTag = errors.New("amqp: delivery tag longer than 32 bytes")
)

// Errorf makes an [*Error] of a condition and a text for the peer.
func newError(condition wire.Symbol, description string) *Error {
	return &Error{Condition: condition, Description: description}
}

// peerError is what the peer may see of err: an *Error as it is, of anything else only that it happened.
func peerError(err error) *Error {
	if err == nil {
		return nil
	}
	if e := (*Error)(nil); errors.As(err, &e) && e != nil {
		return e
	}
	return &Error{Condition: wire.ErrInternal, Description: "internal error"}
}
