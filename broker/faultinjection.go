package broker

import (
	"github.com/hubnerite/hubnerite/internal/halfopen"
	"github.com/hubnerite/hubnerite/internal/netreset"
	"github.com/hubnerite/hubnerite/iothub"
)

// Silence implements hub.SilentClient.
func (s *session) Silence() { halfopen.Silence(s.conn.Conn) }

// InjectFault implements hub.FaultClient: KillTcp resets the connection, what
// else there is on MQTT lets the peer see a plain end of stream.
// Source: the fault injection tests of the device SDKs.
func (s *session) InjectFault(f iothub.Fault, reason *iothub.Error) {
	if f.Type != iothub.FaultKillTCP {
		s.abort(reason)
		return
	}
	s.over.Store(true)
	s.conn.fail(reason)
	netreset.Reset(s.conn.Conn)
}
