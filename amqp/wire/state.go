package wire

// DeliveryState is the state of a delivery: Received, Accepted, Rejected,
// Released or Modified, all as values, not pointers (OASIS AMQP 1.0 3.4). A nil
// DeliveryState is null.
type DeliveryState interface {
	// Code is the state's descriptor.
	Code() Code
	// Append adds the encoding to dst; see Performative.Append for errors.
	Append(dst []byte) ([]byte, error)
}

// Received says how much of a delivery has arrived; it is not an outcome.
type Received struct {
	SectionNumber uint32
	// SectionOffset is in bytes.
	SectionOffset uint64
}

// Accepted is the outcome of a processed delivery.
type Accepted struct{}

// Rejected is the outcome of an invalid delivery.
type Rejected struct {
	// Error may be nil.
	Error *Error
}

// Released is the outcome of a delivery that was not and will not be processed.
type Released struct{}

// Modified is Released with changes to make before another delivery.
type Modified struct {
	DeliveryFailed     bool
	UndeliverableHere  bool
	MessageAnnotations Map
}

// Code implements DeliveryState.
func (Received) Code() Code { return CodeReceived }

// Code implements DeliveryState.
func (Accepted) Code() Code { return CodeAccepted }

// Code implements DeliveryState.
func (Rejected) Code() Code { return CodeRejected }

// Code implements DeliveryState.
func (Released) Code() Code { return CodeReleased }

// Code implements DeliveryState.
func (Modified) Code() Code { return CodeModified }
