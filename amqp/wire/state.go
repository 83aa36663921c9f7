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

// Append implements DeliveryState.
func (s Received) Append(dst []byte) ([]byte, error) {
	dst, c := beginComposite(dst, CodeReceived)
	dst = AppendUint(dst, s.SectionNumber)
	dst = AppendUlong(dst, s.SectionOffset)
	return c.End(dst, 2), nil
}

// Append implements DeliveryState.
func (Accepted) Append(dst []byte) ([]byte, error) {
	return append(appendDescriptor(dst, CodeAccepted), codeList0), nil
}

// Append implements DeliveryState.
func (s Rejected) Append(dst []byte) ([]byte, error) {
	dst, c := beginComposite(dst, CodeRejected)
	dst, err := appendOptError(dst, s.Error)
	return c.End(dst, 1), err
}

// Append implements DeliveryState.
func (Released) Append(dst []byte) ([]byte, error) {
	return append(appendDescriptor(dst, CodeReleased), codeList0), nil
}

// Append implements DeliveryState.
func (s Modified) Append(dst []byte) ([]byte, error) {
	dst, c := beginComposite(dst, CodeModified)
	dst = AppendBool(dst, s.DeliveryFailed)
	dst = AppendBool(dst, s.UndeliverableHere)
	dst, err := appendOptMap(dst, s.MessageAnnotations)
	return c.End(dst, 3), err
}

func appendOptState(dst []byte, s DeliveryState) ([]byte, error) {
	if s == nil {
		return AppendNull(dst), nil
	}
	return s.Append(dst)
}

// state reads a delivery state field; nil if it is absent.
func (f *fields) state() DeliveryState {
	b := f.described()
	if b == nil {
		return nil
	}
	s, err := decodeState(b)
	f.fail(err)
	return s
}

func decodeState(b []byte) (s DeliveryState, err error) {
	c, symbol, b, err := splitDescriptor(b)
	if err != nil {
		return nil, err
	}
	if c < CodeReceived || c > CodeModified {
		return nil, &UnknownDescriptorError{In: "delivery-state", Descriptor: anyDescriptor(c, symbol)}
	}
	f, _, err := openList(b)
	if err != nil {
		return nil, err
	}
	switch c {
	case CodeReceived:
		number := f.mustUint("received.section-number")
		offset := f.optUlong()
		if !offset.Set {
			f.missing("received.section-offset")
		}
		s = Received{SectionNumber: number, SectionOffset: offset.Value}
	case CodeAccepted:
		s = Accepted{}
	case CodeRejected:
		s = Rejected{Error: f.error()}
	case CodeReleased:
		s = Released{}
	case CodeModified:
		s = Modified{DeliveryFailed: f.bool(), UndeliverableHere: f.bool(), MessageAnnotations: f.mapping()}
	}
	if err := f.close(); err != nil {
		return nil, err
	}
	return s, nil
}
