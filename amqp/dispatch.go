package amqp

// enqueueLocked gives a sender a turn: as soon as there is room in the write buffer, or when the client opens the
// session's window if that is what it waits for. Senders without credit get theirs with the credit.
func (s *Sender) enqueueLocked() {
	c := s.session.conn
	if s.queued || s.closedLocked() || s.state != linkAttached || !s.wantsTurnLocked() {
		return
	}
	s.queued = true
	if s.session.remoteWindow == 0 && !s.onlyDrainsLocked() {
		s.session.served = append(s.session.served, s)
		return
	}
	c.readyQ = append(c.readyQ, s)
	c.dispatchLocked()
}

// wantsTurnLocked reports whether a turn could do something.
func (s *Sender) wantsTurnLocked() bool {
	return s.current.active || s.draining || s.credit > 0 && (s.armed || len(s.waiting) > 0)
}

// onlyDrainsLocked reports whether all there is to do is to answer a drain of no credit, which needs no window.
func (s *Sender) onlyDrainsLocked() bool {
	return s.draining && s.credit == 0 && !s.current.active
}

// windowOpenedLocked gives those a turn who waited for the client's window, first those that had none last time:
// a window of one frame must reach every link in the end.
func (s *Session) windowOpenedLocked() {
	if s.remoteWindow == 0 {
		return
	}
	s.conn.readyQ = append(append(s.conn.readyQ, s.unserved...), s.served...)
	s.unserved, s.served = s.unserved[:0], s.served[:0]
}

// dispatchLocked starts the goroutine that gives turns, if there is one to give and room in the write buffer.
func (c *Conn) dispatchLocked() {
	if c.busy || len(c.readyQ) == 0 || len(c.out) >= outHighWater || c.state != connOpen {
		return
	}
	c.busy = true
	c.tasks.Go(c.dispatch)
}

// dispatch gives turns, one sender after the other, and ends when nobody waits or the write buffer is full.
func (c *Conn) dispatch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.readyQ) > 0 && len(c.out) < outHighWater && c.state == connOpen {
		s := c.readyQ[0]
		c.readyQ[0] = nil
		if c.readyQ = c.readyQ[1:]; len(c.readyQ) == 0 {
			c.readyQ = nil
		}
		if s.state != linkAttached || s.closedLocked() {
			s.queued = false
			continue
		}
		if s.session.remoteWindow == 0 && !s.onlyDrainsLocked() {
			s.session.unserved = append(s.session.unserved, s)
			continue
		}
		s.queued = false
		s.turnLocked()
	}
	c.busy = false
}

// turnLocked is a sender's turn: first the message that is not finished, then those that wait in Send, then the
// handler, and last the answer to a drain. It lets go of the lock while it calls the handler.
func (s *Sender) turnLocked() {
	c := s.session.conn
	if s.current.active {
		s.writeFramesLocked()
	}
	for len(s.waiting) > 0 && s.roomLocked() {
		w := s.waiting[0]
		s.waiting[0] = nil
		s.waiting = s.waiting[1:]
		s.sendLocked(&w.m)
		w.done <- nil
	}
	if s.current.active || len(s.waiting) > 0 && s.credit > 0 {
		s.enqueueLocked()
		return
	}
	if s.credit > 0 && (s.armed || s.draining) {
		if !s.roomLocked() {
			s.enqueueLocked()
			return
		}
		s.armed = false
		source := s.source
		c.mu.Unlock()
		c.Protect("ready", func() { source.Ready(s) })
		c.mu.Lock()
	}
	if s.draining && s.state == linkAttached && !s.closedLocked() && !s.current.active && (s.credit == 0 || !s.armed) {
		s.drainLocked()
	}
	s.enqueueLocked()
}
