package wire

import "io"

// FrameType is the type byte of a frame header (OASIS AMQP 1.0 2.3.1, 5.3.1).
type FrameType uint8

// Frame types.
const (
	FrameAMQP FrameType = 0
	FrameSASL FrameType = 1
)

// MinMaxFrameSize is the smallest max-frame-size a peer may have, in bytes, and
// the largest frame that may be sent before open (OASIS AMQP 1.0 2.3.1).
const MinMaxFrameSize = 512

// Frame is one frame as it was read.
type Frame struct {
	Type FrameType
	// Channel is 0 for SASL frames.
	Channel uint16
	// Body is the performative and its payload; empty for a heartbeat. It is
	// valid until the Reader's next call.
	Body []byte
}

// ProtocolID is the fifth byte of a protocol header.
type ProtocolID uint8

// Protocol ids of OASIS AMQP 1.0 2.2 and 5.
const (
	ProtocolAMQP ProtocolID = 0
	ProtocolTLS  ProtocolID = 2
	ProtocolSASL ProtocolID = 3
)

// Reader cuts frames out of a byte stream. It has one buffer, which never grows
// past the largest frame allowed. It is not safe for concurrent use.
type Reader struct {
	r    io.Reader
	buf  []byte
	from int // buf[from:to] is read but not yet given out
	to   int
	max  uint32
}
