package wire

import "fmt"

// DecodeError says that bytes are not a valid encoding of what was expected.
// Its AMQP condition is amqp:decode-error.
type DecodeError struct {
	// Reason is a short sentence without peer data.
	Reason string
}

func (e *DecodeError) Error() string { return "amqp decode: " + e.Reason }

// FramingError says that a frame header or a protocol header is not valid, or
// that a frame is larger than allowed. Its AMQP condition is
// amqp:connection:framing-error.
type FramingError struct {
	Reason string
}

func (e *FramingError) Error() string { return "amqp framing: " + e.Reason }

// UnknownDescriptorError says that a described value stands where the
// specification allows only certain descriptors, and has another.
type UnknownDescriptorError struct {
	// In names the place: "performative", "delivery-state", "source", "target",
	// "message section", or the composite type that was expected.
	In string
	// Descriptor is the descriptor found: a uint64 or a Symbol.
	Descriptor any
}

func (e *UnknownDescriptorError) Error() string {
	if n, ok := e.Descriptor.(uint64); ok {
		return fmt.Sprintf("amqp decode: %s has unknown descriptor 0x%x", e.In, n)
	}
	return fmt.Sprintf("amqp decode: %s has unknown descriptor %.64q", e.In, fmt.Sprint(e.Descriptor))
}

// ValueError says that a Go value has no AMQP encoding. It is a fault of the
// caller, not of a peer.
type ValueError struct {
	Reason string
}

func (e *ValueError) Error() string { return "amqp encode: " + e.Reason }
