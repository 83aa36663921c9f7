package amqp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// handshakeError is why a connection ended before its open frame: there is no frame that could tell the client.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "amqp handshake: " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

func handshakeErrorf(format string, args ...any) error {
	return &handshakeError{fmt.Errorf(format, args...)}
}

// handshake goes from the first byte to both open frames.
func (c *Conn) handshake() error {
	id, err := c.rd.ReadProtocolHeader()
	switch {
	case errors.As(err, new(*wire.FramingError)):
		c.answerHeader(c.wantedHeader())
		return handshakeErrorf("%w", err)
	case err != nil:
		return err
	case id == wire.ProtocolSASL && len(c.cfg.SASL) > 0:
		c.answerHeader(id)
		if err := c.authenticate(); err != nil {
			return err
		}
		// Some clients lose bytes that follow the outcome in the same packet: nothing more is sent until theirs
		// arrive.
		if id, err = c.rd.ReadProtocolHeader(); err != nil && !errors.As(err, new(*wire.FramingError)) {
			return err
		}
		if err != nil || id != wire.ProtocolAMQP {
			c.answerHeader(wire.ProtocolAMQP)
			return handshakeErrorf("no AMQP header after SASL")
		}
	case id == wire.ProtocolAMQP && !c.cfg.RequireSASL:
	default:
		c.answerHeader(c.wantedHeader())
		return handshakeErrorf("protocol id %d is not served", id)
	}
	c.answerHeader(wire.ProtocolAMQP)
	return c.exchangeOpen()
}

// wantedHeader is the header that tells a client which protocol to use (OASIS AMQP 1.0 2.2).
func (c *Conn) wantedHeader() wire.ProtocolID {
	if c.cfg.RequireSASL {
		return wire.ProtocolSASL
	}
	return wire.ProtocolAMQP
}

func (c *Conn) answerHeader(id wire.ProtocolID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state < connClosing {
		c.out = wire.AppendProtocolHeader(c.out, id)
		c.signal()
	}
}

// exchangeOpen waits for the client's open, asks the handler, and answers.
func (c *Conn) exchangeOpen() error {
	c.rd.SetMaxFrameSize(c.cfg.MaxFrameSize)
	open, fault := c.readOpen()
	if fault != nil && !errors.As(fault, new(*Error)) {
		return fault
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state >= connClosing {
		return c.reason
	}
	if open == nil {
		open = &wire.Open{MaxFrameSize: minMaxFrameSize}
	}
	c.open = open
	c.writeMax = max(min(open.MaxFrameSize, defaultMaxFrameSize), minMaxFrameSize)
	if fault == nil {
		c.mu.Unlock()
		err := errPanicked
		c.Protect("open", func() { err = c.cfg.Handler.Open(c) })
		if err != nil {
			fault = c.refusal("open", err)
		} else {
			c.admitted = true
		}
		c.mu.Lock()
		if c.state >= connClosing {
			return c.reason
		}
	}
	answer := &wire.Open{
		ContainerID:  c.cfg.ContainerID(),
		MaxFrameSize: c.cfg.MaxFrameSize,
		ChannelMax:   c.cfg.ChannelMax,
		Properties:   c.cfg.Properties,
	}
	if c.cfg.IdleTimeout > 0 {
		answer.IdleTimeOut = uint32(min(c.cfg.IdleTimeout/time.Millisecond, 1<<31))
	}
	c.writeLocked(0, answer)
	c.state = connOpen
	c.in.relax(2 * max(c.cfg.IdleTimeout, 0))
	return fault
}

// readOpen reads the first frame. An error that is an *Error can be told to the client after an open frame.
func (c *Conn) readOpen() (*wire.Open, error) {
	for {
		f, err := c.rd.ReadFrame()
		if err != nil {
			return nil, frameFault(err)
		}
		if f.Type != wire.FrameAMQP {
			return nil, newError(wire.ErrConnectionFraming, "not an AMQP frame")
		}
		if len(f.Body) == 0 {
			continue
		}
		p, _, err := wire.DecodePerformative(f.Body)
		if err != nil {
			return nil, frameFault(err)
		}
		open, ok := p.(*wire.Open)
		switch {
		case !ok:
			return nil, newError(wire.ErrNotAllowed, "the first frame must be open")
		case open.MaxFrameSize < minMaxFrameSize:
			return nil, newError(wire.ErrInvalidField, "max-frame-size is less than 512")
		}
		return open, nil
	}
}

// frameFault makes what the peer shall be told of a reader's or decoder's error; errors of the network stay as
// they are.
func frameFault(err error) error {
	if e := (*wire.FramingError)(nil); errors.As(err, &e) {
		return &Error{Condition: wire.ErrConnectionFraming, Description: e.Reason}
	}
	if e := (*wire.DecodeError)(nil); errors.As(err, &e) {
		return &Error{Condition: wire.ErrDecode, Description: e.Reason}
	}
	if e := (*wire.UnknownDescriptorError)(nil); errors.As(err, &e) {
		return &Error{Condition: wire.ErrNotImplemented, Description: e.Error()}
	}
	return err
}

// refusal is what the client is told when the handler said no; what it is not told is logged.
func (c *Conn) refusal(what string, err error) *Error {
	e := peerError(err)
	if e.Condition == wire.ErrInternal && !errors.Is(err, errPanicked) {
		c.log.Error("amqp handler failed", "frame", what, "err", err)
	}
	return e
}

// authenticate runs the SASL exchange to an accepted outcome, or returns why not.
func (c *Conn) authenticate() error {
	names := make([]wire.Symbol, len(c.cfg.SASL))
	for i, m := range c.cfg.SASL {
		names[i] = wire.Symbol(m.Name)
	}
	c.writeSASL(&wire.SASLMechanisms{Mechanisms: names})
	p, err := c.readSASL()
	if err != nil {
		return err
	}
	init, ok := p.(*wire.SASLInit)
	if !ok {
		return handshakeErrorf("sasl-init expected")
	}
	cred, err := c.exchange(init)
	if err != nil {
		return c.refuseSASL(string(init.Mechanism), err)
	}
	cred.Mechanism, cred.Hostname, cred.Conn, cred.TLS = string(init.Mechanism), init.HostName, c.nc, c.TLS()
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.HandshakeTimeout)
	var principal any
	err = &SASLRefusal{Code: wire.SASLSys, Reason: errPanicked.Error()}
	c.Protect("authenticate", func() { principal, err = c.cfg.Authenticate(ctx, *cred) })
	cancel()
	if err != nil {
		return c.refuseSASL(cred.Mechanism, err)
	}
	c.principal, c.mechanism = principal, cred.Mechanism
	c.writeSASL(&wire.SASLOutcome{Result: wire.SASLOK})
	return nil
}

// exchange runs the mechanism that the client chose.
func (c *Conn) exchange(init *wire.SASLInit) (*Credentials, error) {
	for _, m := range c.cfg.SASL {
		if m.Name != string(init.Mechanism) {
			continue
		}
		step, response := m.New(), init.InitialResponse
		for range saslRounds {
			challenge, cred, err := step(response)
			if err != nil || cred != nil {
				return cred, err
			}
			c.writeSASL(&wire.SASLChallenge{Challenge: challenge})
			p, err := c.readSASL()
			if err != nil {
				return nil, err
			}
			answer, ok := p.(*wire.SASLResponse)
			if !ok {
				return nil, handshakeErrorf("sasl-response expected")
			}
			if response = answer.Response; response == nil {
				response = []byte{}
			}
		}
		return nil, handshakeErrorf("too many SASL challenges")
	}
	return nil, handshakeErrorf("SASL mechanism %.32q is not offered", init.Mechanism)
}

// refuseSASL answers with the outcome that err asks for. Errors of the network get no answer.
func (c *Conn) refuseSASL(mechanism string, err error) error {
	code := wire.SASLAuth
	if r := (*SASLRefusal)(nil); errors.As(err, &r) && r.Code != wire.SASLOK {
		code = r.Code
	}
	c.writeSASL(&wire.SASLOutcome{Result: code})
	return handshakeErrorf("sasl %.32q refused with code %d: %w", mechanism, code, err)
}

func (c *Conn) writeSASL(p wire.Performative) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeLocked(0, p)
}

func (c *Conn) readSASL() (wire.Performative, error) {
	for {
		f, err := c.rd.ReadFrame()
		if errors.As(err, new(*wire.FramingError)) {
			return nil, handshakeErrorf("%w", err)
		}
		if err != nil {
			return nil, err
		}
		if f.Type != wire.FrameSASL {
			return nil, handshakeErrorf("not a SASL frame")
		}
		if len(f.Body) == 0 {
			continue
		}
		p, _, err := wire.DecodePerformative(f.Body)
		if err != nil {
			return nil, handshakeErrorf("%w", err)
		}
		return p, nil
	}
}
