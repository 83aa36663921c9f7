package wire

// beginComposite starts a type that the specification defines: its descriptor
// and a list that End then closes with the full number of fields.
func beginComposite(dst []byte, c Code) ([]byte, Compound) {
	return BeginList(appendDescriptor(dst, c))
}

func appendOptUint(dst []byte, v Opt[uint32]) []byte {
	if !v.Set {
		return AppendNull(dst)
	}
	return AppendUint(dst, v.Value)
}

// appendOptString writes the empty string as null.
func appendOptString(dst []byte, s string) []byte {
	if s == "" {
		return AppendNull(dst)
	}
	return AppendString(dst, s)
}

// appendOptSymbol writes the empty symbol as null.
func appendOptSymbol(dst []byte, s Symbol) []byte {
	if s == "" {
		return AppendNull(dst)
	}
	return AppendSymbol(dst, s)
}

// appendOptBinary writes nil as null.
func appendOptBinary(dst, b []byte) []byte {
	if b == nil {
		return AppendNull(dst)
	}
	return AppendBinary(dst, b)
}

// appendOptSymbols writes nil as null, and anything else as an array, even one
// symbol: not every peer takes the bare form.
func appendOptSymbols(dst []byte, s []Symbol) []byte {
	if s == nil {
		return AppendNull(dst)
	}
	return appendSymbols(dst, s)
}

func appendSymbols(dst []byte, s []Symbol) []byte {
	code := byte(codeSymbol8)
	for _, v := range s {
		if len(v) > 255 {
			code = codeSymbol32
		}
	}
	dst, c := beginArray(dst)
	dst = append(dst, code)
	for _, v := range s {
		dst = append(appendSize(dst, code, len(v)), v...)
	}
	return c.End(dst, len(s))
}

// PeekCode gives the descriptor at the start of a frame's body, so that a caller
// can Decode into a struct of its own. A symbolic descriptor counts as the
// number it stands for. The error is a *DecodeError, or *UnknownDescriptorError
// for a symbol that the specification does not define.
func PeekCode(body []byte) (Code, error) {
	c, symbol, _, err := splitDescriptor(body)
	if err == nil && symbol != nil {
		err = &UnknownDescriptorError{In: "performative", Descriptor: Symbol(symbol)}
	}
	return c, err
}

// DecodePerformative decodes the performative at the start of a frame's body and
// returns it, as a pointer to its type, with the payload that follows. The error
// is a *DecodeError or an *UnknownDescriptorError.
func DecodePerformative(body []byte) (p Performative, payload []byte, err error) {
	c, err := PeekCode(body)
	if err != nil {
		return nil, nil, err
	}
	switch c {
	case CodeOpen:
		p = new(Open)
	case CodeBegin:
		p = new(Begin)
	case CodeAttach:
		p = new(Attach)
	case CodeFlow:
		p = new(Flow)
	case CodeTransfer:
		p = new(Transfer)
	case CodeDisposition:
		p = new(Disposition)
	case CodeDetach:
		p = new(Detach)
	case CodeEnd:
		p = new(End)
	case CodeClose:
		p = new(Close)
	case CodeSASLMechanisms:
		p = new(SASLMechanisms)
	case CodeSASLInit:
		p = new(SASLInit)
	case CodeSASLChallenge:
		p = new(SASLChallenge)
	case CodeSASLResponse:
		p = new(SASLResponse)
	case CodeSASLOutcome:
		p = new(SASLOutcome)
	default:
		return nil, nil, &UnknownDescriptorError{In: "performative", Descriptor: uint64(c)}
	}
	payload, err = p.Decode(body)
	if err != nil {
		return nil, nil, err
	}
	return p, payload, nil
}
