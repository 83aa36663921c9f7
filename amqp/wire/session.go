package wire

import "math"

// Begin starts a session (OASIS AMQP 1.0 2.7.2).
type Begin struct {
	// RemoteChannel is set only in the answer to a peer's begin.
	RemoteChannel  Opt[uint16]
	NextOutgoingID uint32
	// IncomingWindow and OutgoingWindow count transfer frames.
	IncomingWindow uint32
	OutgoingWindow uint32
	// HandleMax is always written; Decode gives 4294967295 when it is absent.
	HandleMax           uint32
	OfferedCapabilities []Symbol
	DesiredCapabilities []Symbol
	Properties          Map
}

// Code implements Performative.
func (*Begin) Code() Code { return CodeBegin }

// End ends a session (OASIS AMQP 1.0 2.7.8).
type End struct {
	// Error is nil for an orderly end.
	Error *Error
}

// Code implements Performative.
func (*End) Code() Code { return CodeEnd }

// Append implements Performative.
func (p *Begin) Append(dst []byte) ([]byte, error) {
	dst, c := beginComposite(dst, CodeBegin)
	if p.RemoteChannel.Set {
		dst = AppendUshort(dst, p.RemoteChannel.Value)
	} else {
		dst = AppendNull(dst)
	}
	dst = AppendUint(dst, p.NextOutgoingID)
	dst = AppendUint(dst, p.IncomingWindow)
	dst = AppendUint(dst, p.OutgoingWindow)
	dst = AppendUint(dst, p.HandleMax)
	dst = appendOptSymbols(dst, p.OfferedCapabilities)
	dst = appendOptSymbols(dst, p.DesiredCapabilities)
	dst, err := appendOptMap(dst, p.Properties)
	return c.End(dst, 8), err
}

// Decode implements Performative.
func (p *Begin) Decode(body []byte) (rest []byte, err error) {
	f, rest, err := openComposite(body, CodeBegin)
	if err != nil {
		return nil, err
	}
	*p = Begin{
		RemoteChannel:       f.optUshort(),
		NextOutgoingID:      f.mustUint("begin.next-outgoing-id"),
		IncomingWindow:      f.mustUint("begin.incoming-window"),
		OutgoingWindow:      f.mustUint("begin.outgoing-window"),
		HandleMax:           f.uint(math.MaxUint32),
		OfferedCapabilities: f.symbols(),
		DesiredCapabilities: f.symbols(),
		Properties:          f.mapping(),
	}
	return rest, f.close()
}

// Append implements Performative.
func (p *End) Append(dst []byte) ([]byte, error) {
	dst, c := beginComposite(dst, CodeEnd)
	dst, err := appendOptError(dst, p.Error)
	return c.End(dst, 1), err
}

// Decode implements Performative.
func (p *End) Decode(body []byte) (rest []byte, err error) {
	f, rest, err := openComposite(body, CodeEnd)
	if err != nil {
		return nil, err
	}
	*p = End{Error: f.error()}
	return rest, f.close()
}
