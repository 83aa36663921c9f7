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

// Append implements Performative.
func (p *Attach) Append(dst []byte) ([]byte, error) {
	dst, c := beginComposite(dst, CodeAttach)
	dst = AppendString(dst, p.Name)
	dst = AppendUint(dst, p.Handle)
	dst = AppendBool(dst, bool(p.Role))
	dst = AppendUbyte(dst, uint8(p.SenderSettleMode))
	dst = AppendUbyte(dst, uint8(p.ReceiverSettleMode))
	dst, err := appendOptSource(dst, p.Source)
	if err != nil {
		return dst, err
	}
	if p.Coordinator != nil {
		dst = appendCoordinator(dst, p.Coordinator)
	} else if dst, err = appendOptTarget(dst, p.Target); err != nil {
		return dst, err
	}
	if dst, err = appendOptMap(dst, p.Unsettled); err != nil {
		return dst, err
	}
	dst = AppendBool(dst, p.IncompleteUnsettled)
	dst = appendOptUint(dst, p.InitialDeliveryCount)
	if p.MaxMessageSize == 0 {
		dst = AppendNull(dst)
	} else {
		dst = AppendUlong(dst, p.MaxMessageSize)
	}
	dst = appendOptSymbols(dst, p.OfferedCapabilities)
	dst = appendOptSymbols(dst, p.DesiredCapabilities)
	dst, err = appendOptMap(dst, p.Properties)
	return c.End(dst, 14), err
}

// Decode implements Performative.
func (p *Attach) Decode(body []byte) (rest []byte, err error) {
	f, rest, err := openComposite(body, CodeAttach)
	if err != nil {
		return nil, err
	}
	*p = Attach{
		Name:               f.mustString("attach.name"),
		Handle:             f.mustUint("attach.handle"),
		Role:               f.mustRole("attach.role"),
		SenderSettleMode:   SenderSettleMode(f.optUbyte().Or(uint8(SenderMixed))),
		ReceiverSettleMode: ReceiverSettleMode(f.optUbyte().Value),
		Source:             f.source(),
	}
	if p.SenderSettleMode > SenderMixed || p.ReceiverSettleMode > ReceiverSecond {
		f.fail(malformed("attach has an unknown settle mode"))
	}
	p.Target, p.Coordinator = f.target()
	p.Unsettled = f.mapping()
	p.IncompleteUnsettled = f.bool()
	p.InitialDeliveryCount = f.optUint()
	p.MaxMessageSize = f.optUlong().Value
	p.OfferedCapabilities = f.symbols()
	p.DesiredCapabilities = f.symbols()
	p.Properties = f.mapping()
	return rest, f.close()
}

func (f *fields) mustRole(field string) Role {
	v := f.optBool()
	if !v.Set {
		f.missing(field)
	}
	return Role(v.Value)
}

// Append implements Performative.
func (p *Detach) Append(dst []byte) ([]byte, error) {
	dst, c := beginComposite(dst, CodeDetach)
	dst = AppendUint(dst, p.Handle)
	dst = AppendBool(dst, p.Closed)
	dst, err := appendOptError(dst, p.Error)
	return c.End(dst, 3), err
}

// Decode implements Performative.
func (p *Detach) Decode(body []byte) (rest []byte, err error) {
	f, rest, err := openComposite(body, CodeDetach)
	if err != nil {
		return nil, err
	}
	*p = Detach{
		Handle: f.mustUint("detach.handle"),
		Closed: f.bool(),
		Error:  f.error(),
	}
	return rest, f.close()
}
