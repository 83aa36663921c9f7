package amqp

import (
	"sync/atomic"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// Session is one session of a connection.
type Session struct {
	conn     *Conn
	channel  uint16
	begin    *wire.Begin
	value    atomic.Pointer[any]
	admitted bool // SessionHandler.Begin returned nil; only the reader uses it

	// Below is guarded by conn.mu.
	state    sessionState
	reason   error // why this end ended the session
	endWish  bool  // End was called before the begin was answered
	endError *Error

	// Transfer frames (OASIS AMQP 1.0 2.5.6).
	nextIncomingID uint32
	incomingWindow uint32 // frames the peer may send before the next flow
	nextOutgoingID uint32
	remoteWindow   uint32 // frames that may be sent before the peer's next flow
	nextDeliveryID uint32

	byHandle   map[uint32]*link // the peer's handles
	usedHandle map[uint32]struct{}
	byName     map[linkName]*link
	handles    []*link // this end's handles
	freeHandle []uint32
	sent       map[uint32]*Sent     // by delivery id
	settled    []pendingDisposition // not yet written

	// Senders that wait for the peer's window: those that had a turn since it last opened, and those that had none.
	served, unserved []*Sender
}

// linkName is what must be unique in a session. Links of one name in both directions are common.
type linkName struct {
	name string
	role wire.Role
}

type sessionState uint8

const (
	sessionBeginning sessionState = iota
	sessionOpen
	sessionEnding // this end's end is sent, the peer's is awaited
	sessionEnded
)

func newSession(c *Conn, channel uint16, begin *wire.Begin) *Session {
	return &Session{
		conn:           c,
		channel:        channel,
		begin:          begin,
		nextIncomingID: begin.NextOutgoingID,
		incomingWindow: c.cfg.IncomingWindow,
		nextOutgoingID: c.cfg.firstID + 1,
		nextDeliveryID: c.cfg.firstID,
		remoteWindow:   begin.IncomingWindow,
		byHandle:       make(map[uint32]*link),
		usedHandle:     make(map[uint32]struct{}),
		byName:         make(map[linkName]*link),
		sent:           make(map[uint32]*Sent),
	}
}

// Conn is the session's connection.
func (s *Session) Conn() *Conn { return s.conn }

// Channel is the channel number that the client uses.
func (s *Session) Channel() uint16 { return s.channel }

// Begin is the client's begin frame. Not to be changed.
func (s *Session) Begin() *wire.Begin { return s.begin }

// Value is what SetValue set, or nil. For the handler's use.
func (s *Session) Value() any { return load(&s.value) }

// SetValue keeps v with the session.
func (s *Session) SetValue(v any) { s.value.Store(&v) }

// End ends the session and its links with err, or without error if err is nil. It does not wait; only the first
// call counts.
func (s *Session) End(err *Error) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if s.state == sessionBeginning {
		if !s.endWish {
			s.endWish, s.endError = true, err
		}
		return
	}
	s.endLocked(err)
}

// endLocked sends end. The links' handlers hear of it when the peer's end arrives.
func (s *Session) endLocked(err *Error) {
	if s.state != sessionOpen {
		return
	}
	s.conn.writeLocked(s.channel, &wire.End{Error: err})
	s.state = sessionEnding
	if err != nil {
		s.reason = err
	}
	s.failSendersLocked()
	if err != nil {
		s.conn.log.Debug("amqp session ended", "channel", s.channel, "err", err)
	}
}

// onEnd answers the peer's end, or takes it as the answer to ours.
func (s *Session) onEnd(p *wire.End) {
	c := s.conn
	c.mu.Lock()
	reason := s.reason
	if s.state == sessionOpen {
		s.writeLocked(&wire.End{})
		if p.Error != nil {
			reason = p.Error
		}
	}
	s.state = sessionEnded
	delete(c.sessions, s.channel)
	c.mu.Unlock()
	s.finish(reason)
}

// finish tells the handler the end of the session's links and of the session. Only the reader calls it, last of all.
func (s *Session) finish(reason error) {
	c := s.conn
	c.mu.Lock()
	s.state = sessionEnded
	s.failSendersLocked()
	var links []*link
	for _, l := range s.handles {
		if l != nil {
			links = append(links, l)
		}
	}
	s.handles = nil
	clear(s.byHandle)
	clear(s.byName)
	c.mu.Unlock()
	for _, l := range links {
		l.finish(reason)
	}
	if h, ok := c.cfg.Handler.(SessionHandler); ok && s.admitted {
		c.Protect("session ended", func() { h.Ended(s, reason) })
	}
}

// failSendersLocked lets those go who wait in Send.
func (s *Session) failSendersLocked() {
	for _, l := range s.handles {
		if l != nil && l.sender != nil {
			l.sender.failLocked()
		}
	}
	s.served, s.unserved = nil, nil
}

// writeLocked writes a frame on the session's channel, if the session may still send.
func (s *Session) writeLocked(p wire.Performative) bool {
	return s.state == sessionOpen && s.conn.writeLocked(s.channel, p)
}

// windowsLocked is a flow frame that tells the session's state; every flow has these four (OASIS AMQP 1.0 2.7.4).
func (s *Session) windowsLocked() *wire.Flow {
	s.incomingWindow = s.conn.cfg.IncomingWindow
	return &wire.Flow{
		NextIncomingID: wire.Some(s.nextIncomingID),
		IncomingWindow: s.incomingWindow,
		NextOutgoingID: s.nextOutgoingID,
		OutgoingWindow: s.begin.IncomingWindow,
	}
}

// receivedFrameLocked counts a transfer frame and opens the window again when half of it is used.
func (s *Session) receivedFrameLocked() *Error {
	if s.incomingWindow == 0 {
		return newError(wire.ErrSessionWindowViolation, "more transfer frames than the session's window")
	}
	s.nextIncomingID++
	s.incomingWindow--
	if s.incomingWindow <= s.conn.cfg.IncomingWindow/2 {
		s.writeLocked(s.windowsLocked())
	}
	return nil
}
