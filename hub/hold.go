package hub

import "github.com/hubnerite/hubnerite/store"

// HoldTelemetry says that the caller has several messages at hand and is going
// to send them at once, and ReleaseTelemetry, which must follow as soon as they
// are sent, that these were all. The log then stores them together. Their done
// may run before ReleaseTelemetry returns, and so may that of messages of others:
// the caller must hold no lock that they take.
func (c *Connection) HoldTelemetry() {
	if log, ok := c.h.o.Log.(store.BatchingLog); ok {
		log.Hold()
	}
}

// ReleaseTelemetry ends HoldTelemetry.
func (c *Connection) ReleaseTelemetry() {
	if log, ok := c.h.o.Log.(store.BatchingLog); ok {
		log.Release()
	}
}
