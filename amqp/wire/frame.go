package wire

import (
	"encoding/binary"
	"errors"
	"io"
)

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

	small int // frames in a row that would fit firstBuffer
	idle  int // reads in a row that gave nothing
}

// firstBuffer is a Reader's buffer size until a larger frame arrives. Most
// connections are idle most of the time and never need more.
const firstBuffer = 4096

// shrinkAfter is how many small frames in a row make a Reader give a grown
// buffer back.
const shrinkAfter = 64

// NewReader reads frames of at most maxFrameSize bytes, header included, from r.
// A limit below MinMaxFrameSize is raised to it.
func NewReader(r io.Reader, maxFrameSize uint32) *Reader {
	return &Reader{r: r, max: max(maxFrameSize, MinMaxFrameSize)}
}

// SetMaxFrameSize changes the limit for the frames that follow.
func (r *Reader) SetMaxFrameSize(n uint32) { r.max = max(n, MinMaxFrameSize) }

// Buffered is how many bytes have been read from the stream but not given out:
// when it is 0, the next call will wait for the peer.
func (r *Reader) Buffered() int { return r.to - r.from }

// ReadProtocolHeader reads the 8 bytes "AMQP", id, 1, 0, 0 (OASIS AMQP 1.0 2.2).
// Other bytes give a *FramingError; the stream's own errors come as they are,
// io.EOF becoming io.ErrUnexpectedEOF after the first byte.
func (r *Reader) ReadProtocolHeader() (ProtocolID, error) {
	if err := r.fill(8); err != nil {
		return 0, err
	}
	h := r.buf[r.from : r.from+8]
	r.from += 8
	if string(h[:4]) != "AMQP" {
		return 0, &FramingError{Reason: "stream does not begin with an AMQP protocol header"}
	}
	if h[5] != 1 || h[6] != 0 || h[7] != 0 {
		return ProtocolID(h[4]), &FramingError{Reason: "protocol version is not 1.0.0"}
	}
	return ProtocolID(h[4]), nil
}

// ReadFrame reads the next frame (OASIS AMQP 1.0 2.3). A header that is not
// valid, or a size above the limit, gives a *FramingError before anything is
// allocated for the frame. The stream's own errors come as they are: io.EOF
// between frames, io.ErrUnexpectedEOF inside one.
func (r *Reader) ReadFrame() (Frame, error) {
	if err := r.fill(8); err != nil {
		return Frame{}, err
	}
	h := r.buf[r.from:]
	size := binary.BigEndian.Uint32(h)
	body := 4 * uint32(h[4])
	switch {
	case size < 8:
		return Frame{}, &FramingError{Reason: "frame size is below 8"}
	case size > r.max:
		return Frame{}, &FramingError{Reason: "frame is larger than max-frame-size"}
	case body < 8 || body > size:
		return Frame{}, &FramingError{Reason: "frame data offset is outside the frame"}
	case h[5] > byte(FrameSASL):
		return Frame{}, &FramingError{Reason: "frame type is unknown"}
	}
	if err := r.fill(int(size)); err != nil {
		return Frame{}, err
	}
	b := r.buf[r.from : r.from+int(size) : r.from+int(size)]
	r.from += int(size)
	f := Frame{Type: FrameType(b[5]), Body: b[body:]}
	if f.Type == FrameAMQP {
		f.Channel = binary.BigEndian.Uint16(b[6:])
	}
	if size > firstBuffer {
		r.small = 0
	} else {
		r.small++
	}
	return f, nil
}

// fill makes at least n unread bytes available, n being at most r.max.
func (r *Reader) fill(n int) error {
	if r.to-r.from >= n {
		return nil
	}
	r.makeRoom(n)
	for r.to-r.from < n {
		m, err := r.r.Read(r.buf[r.to:])
		r.to += m
		if err != nil && r.to-r.from < n {
			if errors.Is(err, io.EOF) && r.to > r.from {
				return io.ErrUnexpectedEOF
			}
			return err
		}
		if m == 0 && err == nil {
			if r.idle++; r.idle > 100 {
				return io.ErrNoProgress
			}
			continue
		}
		r.idle = 0
	}
	return nil
}

// makeRoom moves the unread bytes to the front of a buffer of at least n bytes.
func (r *Reader) makeRoom(n int) {
	unread := r.buf[r.from:r.to]
	want := len(r.buf)
	if n > want {
		want = min(max(n, 2*want, firstBuffer), max(int(r.max), firstBuffer))
	} else if want > firstBuffer && r.small >= shrinkAfter && max(n, len(unread)) <= firstBuffer {
		want = firstBuffer
		r.small = 0
	}
	if want != len(r.buf) {
		r.buf = make([]byte, want)
	}
	r.to = copy(r.buf, unread)
	r.from = 0
}
