package wire

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
