package wire

// Source is where a link's messages come from (OASIS AMQP 1.0 3.5.3).
type Source struct {
	// Address is null on the wire when empty.
	Address string
	// Durable is 0 none, 1 configuration, 2 unsettled-state.
	Durable uint32
	// ExpiryPolicy is null on the wire when empty: session-end.
	ExpiryPolicy Symbol
	// Timeout is in seconds.
	Timeout               uint32
	Dynamic               bool
	DynamicNodeProperties Map
	DistributionMode      Symbol
	// Filter is as the peer wrote it: keys are Symbol or string, values are
	// Described or bare.
	Filter         Map
	DefaultOutcome DeliveryState
	Outcomes       []Symbol
	Capabilities   []Symbol
}

// FilterNamed finds a filter by its key, whether that is a symbol or a string.
// A value without a descriptor is given as a Described with a nil Descriptor.
func (s *Source) FilterNamed(name string) (filter Described, ok bool) {
	if s == nil {
		return Described{}, false
	}
	v, ok := s.Filter.Get(name)
	if d, described := v.(Described); described {
		return d, true
	}
	return Described{Value: v}, ok
}

// Target is where a link's messages go (OASIS AMQP 1.0 3.5.4). Its fields mean
// the same as those of Source.
type Target struct {
	Address               string
	Durable               uint32
	ExpiryPolicy          Symbol
	Timeout               uint32
	Dynamic               bool
	DynamicNodeProperties Map
	Capabilities          []Symbol
}

// Coordinator is the target of a transaction control link
// (OASIS AMQP 1.0 4.5.1).
type Coordinator struct {
	Capabilities []Symbol
}
