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

// Append implements Performative.
func (p *Flow) Append(dst []byte) ([]byte, error) {
	dst, c := beginComposite(dst, CodeFlow)
	dst = appendOptUint(dst, p.NextIncomingID)
	dst = AppendUint(dst, p.IncomingWindow)
	dst = AppendUint(dst, p.NextOutgoingID)
	dst = AppendUint(dst, p.OutgoingWindow)
	dst = appendOptUint(dst, p.Handle)
	dst = appendOptUint(dst, p.DeliveryCount)
	dst = appendOptUint(dst, p.LinkCredit)
	dst = appendOptUint(dst, p.Available)
	dst = AppendBool(dst, p.Drain)
	dst = AppendBool(dst, p.Echo)
	dst, err := appendOptMap(dst, p.Properties)
	return c.End(dst, 11), err
}

// Decode implements Performative.
func (p *Flow) Decode(body []byte) (rest []byte, err error) {
	f, rest, err := openComposite(body, CodeFlow)
	if err != nil {
		return nil, err
	}
	*p = Flow{
		NextIncomingID: f.optUint(),
		IncomingWindow: f.mustUint("flow.incoming-window"),
		NextOutgoingID: f.mustUint("flow.next-outgoing-id"),
		OutgoingWindow: f.mustUint("flow.outgoing-window"),
		Handle:         f.optUint(),
		DeliveryCount:  f.optUint(),
		LinkCredit:     f.optUint(),
		Available:      f.optUint(),
		Drain:          f.bool(),
		Echo:           f.bool(),
		Properties:     f.mapping(),
	}
	return rest, f.close()
}

// Append implements Performative.
func (p *Transfer) Append(dst []byte) ([]byte, error) {
	dst, _, err := p.append(dst, p.More)
	return dst, err
}

// append also says where the one byte of the more flag is.
func (p *Transfer) append(dst []byte, more bool) (out []byte, moreAt int, err error) {
	dst, c := beginComposite(dst, CodeTransfer)
	dst = AppendUint(dst, p.Handle)
	dst = appendOptUint(dst, p.DeliveryID)
	dst = appendOptBinary(dst, p.DeliveryTag)
	dst = appendOptUint(dst, p.MessageFormat)
	dst = AppendBool(dst, p.Settled)
	moreAt = len(dst)
	dst = AppendBool(dst, more)
	if p.ReceiverSettleMode.Set {
		dst = AppendUbyte(dst, uint8(p.ReceiverSettleMode.Value))
	} else {
		dst = AppendNull(dst)
	}
	if dst, err = appendOptState(dst, p.State); err != nil {
		return dst, 0, err
	}
	dst = AppendBool(dst, p.Resume)
	dst = AppendBool(dst, p.Aborted)
	dst = AppendBool(dst, p.Batchable)
	n := len(dst)
	dst = c.End(dst, 11)
	return dst, moreAt + len(dst) - n, nil
}

// Decode implements Performative.
func (p *Transfer) Decode(body []byte) (rest []byte, err error) {
	f, rest, err := openComposite(body, CodeTransfer)
	if err != nil {
		return nil, err
	}
	*p = Transfer{
		Handle:        f.mustUint("transfer.handle"),
		DeliveryID:    f.optUint(),
		DeliveryTag:   f.aliasedBinary(),
		MessageFormat: f.optUint(),
		Settled:       f.bool(),
		More:          f.bool(),
	}
	if mode := f.optUbyte(); mode.Set {
		p.ReceiverSettleMode = Some(ReceiverSettleMode(mode.Value))
		if p.ReceiverSettleMode.Value > ReceiverSecond {
			f.fail(malformed("transfer has an unknown settle mode"))
		}
	}
	if len(p.DeliveryTag) > 32 {
		f.fail(malformed("delivery tag is longer than 32 bytes"))
	}
	p.State = f.state()
	p.Resume = f.bool()
	p.Aborted = f.bool()
	p.Batchable = f.bool()
	return rest, f.close()
}

// Append implements Performative.
func (p *Disposition) Append(dst []byte) ([]byte, error) {
	dst, c := beginComposite(dst, CodeDisposition)
	dst = AppendBool(dst, bool(p.Role))
	dst = AppendUint(dst, p.First)
	dst = appendOptUint(dst, p.Last)
	dst = AppendBool(dst, p.Settled)
	dst, err := appendOptState(dst, p.State)
	dst = AppendBool(dst, p.Batchable)
	return c.End(dst, 6), err
}

// Decode implements Performative.
func (p *Disposition) Decode(body []byte) (rest []byte, err error) {
	f, rest, err := openComposite(body, CodeDisposition)
	if err != nil {
		return nil, err
	}
	*p = Disposition{
		Role:      f.mustRole("disposition.role"),
		First:     f.mustUint("disposition.first"),
		Last:      f.optUint(),
		Settled:   f.bool(),
		State:     f.state(),
		Batchable: f.bool(),
	}
	return rest, f.close()
}
