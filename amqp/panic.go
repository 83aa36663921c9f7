package amqp

import (
	"errors"
	"runtime/debug"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// errPanicked stands for the answer of a handler that panicked. The panic itself is logged already.
var errPanicked = errors.New("amqp: the handler panicked")

// Protect calls f, which what names in the log. If f panics, the panic is logged once with its stack and the
// connection is closed with amqp:internal-error, as if Close had been called: one connection's fault must not end the
// process with all others. It reports whether f returned. The engine protects its calls of handlers so; goroutines that
// a handler starts for a connection can do it themselves.
func (c *Conn) Protect(what string, f func()) (returned bool) {
	defer func() {
		if returned {
			return
		}
		// nil is runtime.Goexit, which tests use to give up, or a panic while this end gives up anyhow.
		if v := recover(); v != nil {
			c.panicked(what, v)
		}
	}()
	f()
	return true
}

func (c *Conn) panicked(what string, v any) {
	c.log.Error("amqp handler panicked; the connection is closed", "call", what, "panic", v, "stack", string(debug.Stack()))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == connOpen { // before that, the handshake ends with errPanicked
		c.closeLocked(newError(wire.ErrInternal, "internal error"))
	}
}
