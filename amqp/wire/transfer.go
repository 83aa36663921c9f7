package wire

// Flow updates session windows and, when Handle is set, a link's credit
// (OASIS AMQP 1.0 2.7.4).
type Flow struct {
	NextIncomingID Opt[uint32]
	IncomingWindow uint32
	NextOutgoingID uint32
	OutgoingWindow uint32
	// Handle and the fields below it concern one link; without Handle they
	// must be null.
	Handle        Opt[uint32]
	DeliveryCount Opt[uint32]
	LinkCredit    Opt[uint32]
	Available     Opt[uint32]
	Drain         bool
	Echo          bool
	Properties    Map
}

// Code implements Performative.
func (*Flow) Code() Code { return CodeFlow }

// Transfer carries one delivery or a part of it (OASIS AMQP 1.0 2.7.5). The
// payload is not a field: it is the rest that Decode returns, and an argument
// of AppendTransferFrame.
type Transfer struct {
	Handle uint32
	// DeliveryID may be null on all but the first transfer of a delivery.
	DeliveryID Opt[uint32]
	// DeliveryTag has at most 32 bytes; nil is null. After Decode it aliases
	// the decoded bytes.
	DeliveryTag []byte
	// MessageFormat may be null on all but the first transfer of a delivery.
	MessageFormat Opt[uint32]
	Settled       bool
	More          bool
	// ReceiverSettleMode overrides the link's mode when set.
	ReceiverSettleMode Opt[ReceiverSettleMode]
	State              DeliveryState
	Resume             bool
	Aborted            bool
	Batchable          bool
}

// Code implements Performative.
func (*Transfer) Code() Code { return CodeTransfer }

// Disposition reports the state of a range of deliveries
// (OASIS AMQP 1.0 2.7.6).
type Disposition struct {
	Role  Role
	First uint32
	// Last is the same as First when null.
	Last      Opt[uint32]
	Settled   bool
	State     DeliveryState
	Batchable bool
}

// Code implements Performative.
func (*Disposition) Code() Code { return CodeDisposition }
