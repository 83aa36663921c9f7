package wire

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
