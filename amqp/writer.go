package amqp

import (
	"errors"
	"time"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// minHeartbeat is the shortest interval between two empty frames, however short the peer's idle time-out is.
const minHeartbeat = 5 * time.Millisecond

// writeLoop writes what others append to c.out, everything there is in one call, and keeps the peer's idle
// time-out from expiring. It ends when all is written of a closing connection, or when writing fails.
func (c *Conn) writeLoop() {
	defer c.killWriter()
	var spare []byte
	var beat *time.Timer
	var beats <-chan time.Time
	last := time.Now()
	for {
		c.mu.Lock()
		c.writeDispositionsLocked()
		pending := c.out
		c.out = spare[:0]
		closing := c.state >= connClosing
		interval := c.heartbeatLocked()
		if len(pending) > 0 {
			c.roomLocked()
		}
		c.mu.Unlock()

		if len(pending) > 0 {
			if !closing { // else flushAndStop has set a shorter one, or will
				_ = c.nc.SetWriteDeadline(time.Now().Add(c.cfg.WriteTimeout))
			}
			if _, err := c.nc.Write(pending); err != nil {
				c.writeFailed(err)
				return
			}
			last = time.Now()
			if spare = pending; cap(spare) > retainedBuffer {
				spare = nil
			}
			continue
		}
		if spare = pending; closing {
			return
		}
		if interval > 0 {
			rest := time.Until(last.Add(interval))
			if rest <= 0 {
				spare = wire.AppendEmptyFrame(spare[:0])
				c.appendRaw(spare)
				continue
			}
			if beat == nil {
				beat = time.NewTimer(rest)
				defer beat.Stop()
				beats = beat.C
			} else {
				beat.Reset(rest)
			}
		}
		select {
		case <-c.wake:
		case <-beats:
		case <-c.dead:
			return
		}
	}
}

func (c *Conn) appendRaw(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == connOpen {
		c.out = append(c.out, b...)
	}
}

// heartbeatLocked is how long the writer may be silent: half of the peer's idle time-out (OASIS AMQP 1.0 2.4.5).
func (c *Conn) heartbeatLocked() time.Duration {
	if c.state != connOpen || c.open.IdleTimeOut == 0 {
		return 0
	}
	return max(time.Duration(c.open.IdleTimeOut)*time.Millisecond/2, minHeartbeat)
}

// roomLocked lets those go on who waited for the write buffer to empty.
func (c *Conn) roomLocked() {
	c.room.Broadcast()
	c.dispatchLocked()
}

func (c *Conn) writeFailed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state < connClosing || c.reason == nil {
		c.abortLocked(err)
		return
	}
	c.abortLocked(c.reason)
}

// signal wakes the writer.
func (c *Conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// writeLocked appends a frame, after the dispositions that were made before it. A frame that is larger than the
// peer takes loses its error's details; if that does not help, it reports false and appends nothing.
func (c *Conn) writeLocked(channel uint16, p wire.Performative) bool {
	if c.state >= connClosing {
		return false
	}
	c.writeDispositionsLocked()
	ok := c.appendFrameLocked(channel, p)
	c.signal()
	return ok
}

func (c *Conn) appendFrameLocked(channel uint16, p wire.Performative) bool {
	start := len(c.out)
	out, err := wire.AppendFrame(c.out, channel, p)
	if err == nil && len(out)-start <= int(c.writeMax) {
		c.out = out
		return true
	}
	c.out = c.out[:start]
	if err == nil && shorten(p) {
		return c.appendFrameLocked(channel, p)
	}
	if err == nil {
		err = errors.New("frame larger than the peer accepts")
	}
	c.log.Warn("amqp frame not sent", "code", p.Code(), "err", err)
	return false
}

// shorten takes the details out of a frame's error and reports whether there were any. The frame gets a copy.
func shorten(p wire.Performative) bool {
	var at **Error
	switch p := p.(type) {
	case *wire.Detach:
		at = &p.Error
	case *wire.End:
		at = &p.Error
	case *wire.Close:
		at = &p.Error
	case *wire.Disposition:
		if r, ok := p.State.(wire.Rejected); ok && bulky(r.Error) {
			p.State = wire.Rejected{Error: &Error{Condition: r.Error.Condition}}
			return true
		}
		return false
	default:
		return false
	}
	if !bulky(*at) {
		return false
	}
	*at = &Error{Condition: (*at).Condition}
	return true
}

func bulky(e *Error) bool { return e != nil && (e.Description != "" || len(e.Info) > 0) }
