package wire

import "time"

// Header is a message's header section (OASIS AMQP 1.0 3.2.1).
type Header struct {
	Durable bool
	// Priority is 4 when null.
	Priority Opt[uint8]
	// TTL is in milliseconds.
	TTL           Opt[uint32]
	FirstAcquirer bool
	DeliveryCount uint32
}

// Properties is a message's properties section (OASIS AMQP 1.0 3.2.4). Empty
// strings and symbols, nil slices, and zero times are null on the wire.
type Properties struct {
	// MessageID is nil, uint64, UUID, []byte or string. Decode keeps whatever
	// scalar type the peer used, so that an answer can carry the same.
	MessageID any
	UserID    []byte
	To        string
	Subject   string
	ReplyTo   string
	// CorrelationID has the same types as MessageID.
	CorrelationID      any
	ContentType        Symbol
	ContentEncoding    Symbol
	AbsoluteExpiryTime time.Time
	CreationTime       time.Time
	GroupID            string
	GroupSequence      Opt[uint32]
	ReplyToGroupID     string
}

// BodyKind says which sections a message's body is made of.
type BodyKind uint8

// The kinds of body (OASIS AMQP 1.0 3.2). BodyNone is not allowed by the
// specification but occurs.
const (
	BodyNone BodyKind = iota
	BodyData
	BodySequence
	BodyValue
)

// Message is a scanned message: the byte ranges of its sections, which alias the
// scanned bytes. The sections are decoded when asked for.
type Message struct {
	raw  []byte
	kind BodyKind
	// end[i] is where section group i ends; it starts where i-1 ends.
	end [sectionGroups]int
}

// The section groups of a message in the only order allowed.
const (
	groupHeader = iota
	groupDeliveryAnnotations
	groupMessageAnnotations
	groupProperties
	groupApplicationProperties
	groupBody
	groupFooter
	sectionGroups
)
