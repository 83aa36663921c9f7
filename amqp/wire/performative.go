package wire

// Code is the numeric descriptor of a type that the specification defines.
type Code uint64

// Descriptors of OASIS AMQP 1.0 parts 2, 3 and 5.
const (
	CodeOpen        Code = 0x10
	CodeBegin       Code = 0x11
	CodeAttach      Code = 0x12
	CodeFlow        Code = 0x13
	CodeTransfer    Code = 0x14
	CodeDisposition Code = 0x15
	CodeDetach      Code = 0x16
	CodeEnd         Code = 0x17
	CodeClose       Code = 0x18

	CodeError Code = 0x1d

	CodeReceived Code = 0x23
	CodeAccepted Code = 0x24
	CodeRejected Code = 0x25
	CodeReleased Code = 0x26
	CodeModified Code = 0x27

	CodeSource      Code = 0x28
	CodeTarget      Code = 0x29
	CodeCoordinator Code = 0x30

	CodeSASLMechanisms Code = 0x40
	CodeSASLInit       Code = 0x41
	CodeSASLChallenge  Code = 0x42
	CodeSASLResponse   Code = 0x43
	CodeSASLOutcome    Code = 0x44

	CodeHeader                Code = 0x70
	CodeDeliveryAnnotations   Code = 0x71
	CodeMessageAnnotations    Code = 0x72
	CodeProperties            Code = 0x73
	CodeApplicationProperties Code = 0x74
	CodeData                  Code = 0x75
	CodeSequence              Code = 0x76
	CodeValue                 Code = 0x77
	CodeFooter                Code = 0x78
)

// Performative is a frame body: *Open, *Begin, *Attach, *Flow, *Transfer,
// *Disposition, *Detach, *End, *Close, or one of the *SASL types.
type Performative interface {
	// Code is the type's descriptor.
	Code() Code
	// Append adds the encoding to dst. It fails only when a field of type any,
	// Map or Array holds a Go value that has no AMQP type (*ValueError).
	Append(dst []byte) ([]byte, error)
	// Decode replaces the receiver's fields by those at the start of body and
	// returns the bytes that follow, which for a transfer are its payload. Byte
	// slices in the result alias body only where the field says so.
	Decode(body []byte) (rest []byte, err error)
}

// Role says which end of a link speaks (OASIS AMQP 1.0 2.8.1).
type Role bool

// The two roles.
const (
	RoleSender   Role = false
	RoleReceiver Role = true
)

func (r Role) String() string {
	if r == RoleReceiver {
		return "receiver"
	}
	return "sender"
}

// SenderSettleMode is OASIS AMQP 1.0 2.8.2. The default of an absent field is
// SenderMixed, which Decode fills in.
type SenderSettleMode uint8

// Sender settle modes.
const (
	SenderUnsettled SenderSettleMode = 0
	SenderSettled   SenderSettleMode = 1
	SenderMixed     SenderSettleMode = 2
)

// ReceiverSettleMode is OASIS AMQP 1.0 2.8.3; absent means ReceiverFirst.
type ReceiverSettleMode uint8

// Receiver settle modes.
const (
	ReceiverFirst  ReceiverSettleMode = 0
	ReceiverSecond ReceiverSettleMode = 1
)
