package amqp

import (
	"github.com/hubnerite/hubnerite/amqp/wire"
)

// readLoop handles frames until the connection ends. It returns an *Error to tell the peer, errPeerClosed, or an
// error of the network.
func (c *Conn) readLoop() error {
	for {
		if err := c.awaitRoom(); err != nil {
			return err
		}
		f, err := c.rd.ReadFrame()
		if err != nil {
			return frameFault(err)
		}
		if len(f.Body) == 0 {
			continue // a heartbeat, on whatever channel
		}
		if f.Type != wire.FrameAMQP {
			return newError(wire.ErrConnectionFraming, "not an AMQP frame")
		}
		if err := c.handle(f); err != nil {
			return err
		}
	}
}

// awaitRoom waits until there is room for what the next frame may cause: answers in the write buffer, messages
// for the sinks.
func (c *Conn) awaitRoom() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.state == connOpen && (len(c.out) > outStall || c.unsettled > c.cfg.MaxUnsettledBytes) {
		c.room.Wait()
	}
	return nil
}

// handle handles one frame.
func (c *Conn) handle(f wire.Frame) error {
	code, err := wire.PeekCode(f.Body)
	if err != nil {
		return frameFault(err)
	}
	c.mu.Lock()
	closing := c.state >= connClosing
	session := c.sessions[f.Channel]
	_, known := c.used[f.Channel]
	c.mu.Unlock()

	switch {
	case code == wire.CodeClose:
		return c.onClose(f.Body)
	case closing:
		return nil
	case code == wire.CodeOpen:
		return newError(wire.ErrNotAllowed, "open was sent before")
	case code == wire.CodeBegin:
		return c.onBegin(f.Channel, session, f.Body)
	case session == nil && known:
		// Sent before the peer knew that the session has ended, or by peers that detach after end.
		return nil
	case session == nil:
		return newError(wire.ErrNotAllowed, "no session on this channel")
	}

	switch code {
	case wire.CodeTransfer:
		payload, err := c.transfer.Decode(f.Body)
		if err != nil {
			return frameFault(err)
		}
		session.onTransfer(&c.transfer, payload)
	case wire.CodeFlow:
		if _, err := c.flow.Decode(f.Body); err != nil {
			return frameFault(err)
		}
		session.onFlow(&c.flow)
	case wire.CodeDisposition:
		if _, err := c.disposition.Decode(f.Body); err != nil {
			return frameFault(err)
		}
		session.onDisposition(&c.disposition)
	case wire.CodeAttach:
		attach := new(wire.Attach)
		if _, err := attach.Decode(f.Body); err != nil {
			return frameFault(err)
		}
		session.onAttach(attach)
	case wire.CodeDetach:
		var detach wire.Detach
		if _, err := detach.Decode(f.Body); err != nil {
			return frameFault(err)
		}
		session.onDetach(&detach)
	case wire.CodeEnd:
		var end wire.End
		if _, err := end.Decode(f.Body); err != nil {
			return frameFault(err)
		}
		session.onEnd(&end)
	default:
		return newError(wire.ErrNotImplemented, "unknown performative")
	}
	return nil
}

// onClose answers the peer's close, or takes it as the answer to ours.
func (c *Conn) onClose(body []byte) error {
	var p wire.Close
	if _, err := p.Decode(body); err != nil {
		return frameFault(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == connOpen {
		if p.Error != nil {
			c.reason = p.Error
		}
		c.writeLocked(0, &wire.Close{})
		c.state = connClosing
	}
	return errPeerClosed
}

// onBegin starts a session and answers on the same channel number.
func (c *Conn) onBegin(channel uint16, old *Session, body []byte) error {
	begin := new(wire.Begin)
	if _, err := begin.Decode(body); err != nil {
		return frameFault(err)
	}
	switch {
	case channel > c.cfg.ChannelMax:
		return newError(wire.ErrNotAllowed, "channel number above channel-max")
	case old != nil:
		return newError(wire.ErrNotAllowed, "there is a session on this channel")
	case begin.RemoteChannel.Set:
		return newError(wire.ErrNotAllowed, "begin answers no begin")
	}
	s := newSession(c, channel, begin)
	var fault *Error
	if h, ok := c.cfg.Handler.(SessionHandler); ok {
		err := errPanicked
		c.Protect("begin", func() { err = h.Begin(s) })
		if err != nil {
			fault = c.refusal("begin", err)
		} else {
			s.admitted = true
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions[channel] = s
	c.used[channel] = struct{}{}
	c.writeLocked(channel, &wire.Begin{
		RemoteChannel:  wire.Some(channel),
		NextOutgoingID: s.nextOutgoingID,
		IncomingWindow: s.incomingWindow,
		OutgoingWindow: begin.IncomingWindow,
		HandleMax:      c.cfg.HandleMax,
	})
	s.state = sessionOpen
	switch {
	case fault != nil:
		s.endLocked(fault)
	case s.endWish: // the handler called End before the session was begun
		s.endLocked(s.endError)
	}
	return nil
}

// endSessions tells the handler the end of everything on the connection.
func (c *Conn) endSessions(reason error) {
	c.mu.Lock()
	sessions := make([]*Session, 0, len(c.sessions))
	for _, s := range c.sessions {
		sessions = append(sessions, s)
	}
	c.mu.Unlock()
	for _, s := range sessions {
		s.finish(reason)
	}
}
