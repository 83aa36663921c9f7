package wire

// Attach opens a link end (OASIS AMQP 1.0 2.7.3).
type Attach struct {
	Name               string
	Handle             uint32
	Role               Role
	SenderSettleMode   SenderSettleMode
	ReceiverSettleMode ReceiverSettleMode
	// Source is nil for a null terminus.
	Source *Source
	// Target is nil for a null terminus or when Coordinator is set.
	Target *Target
	// Coordinator is set instead of Target on a transaction control link
	// (OASIS AMQP 1.0 4.5.1).
	Coordinator *Coordinator
	// Unsettled maps delivery tags to delivery states, undecoded: Described
	// values or nil.
	Unsettled           Map
	IncompleteUnsettled bool
	// InitialDeliveryCount is mandatory when Role is RoleSender.
	InitialDeliveryCount Opt[uint32]
	// MaxMessageSize in bytes; 0 is null: no limit.
	MaxMessageSize      uint64
	OfferedCapabilities []Symbol
	DesiredCapabilities []Symbol
	Properties          Map
}

// Code implements Performative.
func (*Attach) Code() Code { return CodeAttach }

// Detach closes or suspends a link end (OASIS AMQP 1.0 2.7.7).
type Detach struct {
	Handle uint32
	// Closed is true when the link itself ends.
	Closed bool
	Error  *Error
}

// Code implements Performative.
func (*Detach) Code() Code { return CodeDetach }
