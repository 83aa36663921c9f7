package wire

import "math"

// Open starts a connection (OASIS AMQP 1.0 2.7.1).
type Open struct {
	// ContainerID is mandatory.
	ContainerID string
	// HostName is the virtual host; empty is null.
	HostName string
	// MaxFrameSize in bytes is always written. It must be 512 or more; Decode
	// gives 4294967295 when the field is absent.
	MaxFrameSize uint32
	// ChannelMax is always written; Decode gives 65535 when it is absent.
	ChannelMax uint16
	// IdleTimeOut in milliseconds; 0 is null: no time-out.
	IdleTimeOut         uint32
	OutgoingLocales     []Symbol
	IncomingLocales     []Symbol
	OfferedCapabilities []Symbol
	DesiredCapabilities []Symbol
	Properties          Map
}

// Code implements Performative.
func (*Open) Code() Code { return CodeOpen }

// Close ends a connection (OASIS AMQP 1.0 2.7.9).
type Close struct {
	// Error is nil for an orderly close.
	Error *Error
}

// Code implements Performative.
func (*Close) Code() Code { return CodeClose }

// Append implements Performative.
func (p *Open) Append(dst []byte) ([]byte, error) {
	dst, c := beginComposite(dst, CodeOpen)
	dst = AppendString(dst, p.ContainerID)
	dst = appendOptString(dst, p.HostName)
	dst = AppendUint(dst, p.MaxFrameSize)
	dst = AppendUshort(dst, p.ChannelMax)
	dst = appendOptUint(dst, Opt[uint32]{p.IdleTimeOut, p.IdleTimeOut != 0})
	dst = appendOptSymbols(dst, p.OutgoingLocales)
	dst = appendOptSymbols(dst, p.IncomingLocales)
	dst = appendOptSymbols(dst, p.OfferedCapabilities)
	dst = appendOptSymbols(dst, p.DesiredCapabilities)
	dst, err := appendOptMap(dst, p.Properties)
	return c.End(dst, 10), err
}

// Decode implements Performative.
func (p *Open) Decode(body []byte) (rest []byte, err error) {
	f, rest, err := openComposite(body, CodeOpen)
	if err != nil {
		return nil, err
	}
	*p = Open{
		ContainerID:         f.mustString("open.container-id"),
		HostName:            f.string(),
		MaxFrameSize:        f.uint(math.MaxUint32),
		ChannelMax:          f.optUshort().Or(math.MaxUint16),
		IdleTimeOut:         f.uint(0),
		OutgoingLocales:     f.symbols(),
		IncomingLocales:     f.symbols(),
		OfferedCapabilities: f.symbols(),
		DesiredCapabilities: f.symbols(),
		Properties:          f.mapping(),
	}
	return rest, f.close()
}

// Append implements Performative.
func (p *Close) Append(dst []byte) ([]byte, error) {
	dst, c := beginComposite(dst, CodeClose)
	dst, err := appendOptError(dst, p.Error)
	return c.End(dst, 1), err
}

// Decode implements Performative.
func (p *Close) Decode(body []byte) (rest []byte, err error) {
	f, rest, err := openComposite(body, CodeClose)
	if err != nil {
		return nil, err
	}
	*p = Close{Error: f.error()}
	return rest, f.close()
}
