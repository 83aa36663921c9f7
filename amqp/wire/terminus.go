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

func appendOptSource(dst []byte, s *Source) ([]byte, error) {
	if s == nil {
		return AppendNull(dst), nil
	}
	dst, c := beginComposite(dst, CodeSource)
	dst = appendOptString(dst, s.Address)
	dst = AppendUint(dst, s.Durable)
	dst = appendOptSymbol(dst, s.ExpiryPolicy)
	dst = AppendUint(dst, s.Timeout)
	dst = AppendBool(dst, s.Dynamic)
	dst, err := appendOptMap(dst, s.DynamicNodeProperties)
	if err != nil {
		return dst, err
	}
	dst = appendOptSymbol(dst, s.DistributionMode)
	if dst, err = appendOptMap(dst, s.Filter); err != nil {
		return dst, err
	}
	if dst, err = appendOptState(dst, s.DefaultOutcome); err != nil {
		return dst, err
	}
	dst = appendOptSymbols(dst, s.Outcomes)
	dst = appendOptSymbols(dst, s.Capabilities)
	return c.End(dst, 11), nil
}

func appendOptTarget(dst []byte, t *Target) ([]byte, error) {
	if t == nil {
		return AppendNull(dst), nil
	}
	dst, c := beginComposite(dst, CodeTarget)
	dst = appendOptString(dst, t.Address)
	dst = AppendUint(dst, t.Durable)
	dst = appendOptSymbol(dst, t.ExpiryPolicy)
	dst = AppendUint(dst, t.Timeout)
	dst = AppendBool(dst, t.Dynamic)
	dst, err := appendOptMap(dst, t.DynamicNodeProperties)
	dst = appendOptSymbols(dst, t.Capabilities)
	return c.End(dst, 7), err
}

func appendCoordinator(dst []byte, t *Coordinator) []byte {
	dst, c := beginComposite(dst, CodeCoordinator)
	dst = appendOptSymbols(dst, t.Capabilities)
	return c.End(dst, 1)
}

// source reads a source field; nil if it is absent.
func (f *fields) source() *Source {
	b := f.described()
	if b == nil {
		return nil
	}
	in, _, err := openComposite(b, CodeSource)
	if err != nil {
		f.fail(err)
		return nil
	}
	s := &Source{
		Address:               in.string(),
		Durable:               in.uint(0),
		ExpiryPolicy:          in.symbol(),
		Timeout:               in.uint(0),
		Dynamic:               in.bool(),
		DynamicNodeProperties: in.mapping(),
		DistributionMode:      in.symbol(),
		Filter:                in.mapping(),
		DefaultOutcome:        in.state(),
		Outcomes:              in.symbols(),
		Capabilities:          in.symbols(),
	}
	f.fail(in.close())
	return s
}

// target reads a target field, which may be a coordinator; both results are nil
// if it is absent.
func (f *fields) target() (*Target, *Coordinator) {
	b := f.described()
	if b == nil {
		return nil, nil
	}
	code, _, _, err := splitDescriptor(b)
	if err != nil {
		f.fail(err)
		return nil, nil
	}
	if code == CodeCoordinator {
		in, _, err := openComposite(b, CodeCoordinator)
		f.fail(err)
		c := &Coordinator{Capabilities: in.symbols()}
		f.fail(in.close())
		return nil, c
	}
	in, _, err := openComposite(b, CodeTarget)
	if err != nil {
		f.fail(err)
		return nil, nil
	}
	t := &Target{
		Address:               in.string(),
		Durable:               in.uint(0),
		ExpiryPolicy:          in.symbol(),
		Timeout:               in.uint(0),
		Dynamic:               in.bool(),
		DynamicNodeProperties: in.mapping(),
		Capabilities:          in.symbols(),
	}
	f.fail(in.close())
	return t, nil
}
