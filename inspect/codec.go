package inspect

// Codec knows the frames of a protocol. Its methods are called with bytes of both directions, and of peers that may send
// anything: they must not panic or keep the slice.
type Codec interface {
	// Length returns the length of the frame that b begins with, which may be more than len(b); 0 when more of it is
	// needed to tell, -1 when b does not begin with a frame.
	Length(b []byte) int
	// Describe decodes a frame.
	Describe(frame []byte) Description
}

// Description is a frame for people.
type Description struct {
	// Type is the name of the packet or frame, such as "PUBLISH" or "attach".
	Type string
	// Summary is a line with what matters most of it.
	Summary string
	// Fields is what encoding/json makes an object of; nil for none.
	Fields any
	// Label names who is at the other end, such as a device ID, where the frame tells; "" otherwise.
	Label string
}

// Direction of a frame.
type Direction string

// Directions, as the emulator sees them.
const (
	In  Direction = "in"
	Out Direction = "out"
)
