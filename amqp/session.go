package amqp

import "github.com/hubnerite/hubnerite/amqp/wire"

// Session is one session of a connection.
type Session struct{ conn *Conn }

// Conn is the session's connection.
func (s *Session) Conn() *Conn { return s.conn }

// Channel is the channel number that the client uses.
func (s *Session) Channel() uint16 { panic("soon") }

// Begin is the client's begin frame. Not to be changed.
func (s *Session) Begin() *wire.Begin { panic("soon") }

// Value is what SetValue set, or nil. For the handler's use.
func (s *Session) Value() any { panic("soon") }

// SetValue keeps v with the session.
func (s *Session) SetValue(v any) { panic("soon") }

// End ends the session and its links with err, or without error if err is nil. It does not wait; only the first
// call counts.
func (s *Session) End(err *Error) { panic("soon") }
