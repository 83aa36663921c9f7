package amqp

import (
	"errors"
	"sync/atomic"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// link is what both directions share.
type link struct {
	session *Session
	frame   *wire.Attach
	value   atomic.Pointer[any]

	// One of the two, by direction.
	sender   *Sender
	receiver *Receiver

	told bool // the handler was told the end; only the reader uses it

	// Below is guarded by conn.mu.
	state      linkState
	handle     uint32 // this end's
	reason     error  // why this end detached
	closeWish  bool   // Close was called before the attach was answered
	closeError *Error
	maxMessage uint64
}

type linkState uint8

const (
	linkAttaching linkState = iota
	linkAttached
	linkDetaching // this end's detach is sent, the peer's is awaited
	linkGone
)

// Session is the link's session.
func (l *link) Session() *Session { return l.session }

// Conn is the link's connection.
func (l *link) Conn() *Conn { return l.session.conn }

// Name is the link's name, unique in its session and direction.
func (l *link) Name() string { return l.frame.Name }

// Frame is the client's attach. Not to be changed.
func (l *link) Frame() *wire.Attach { return l.frame }

// Value is what SetValue set, or nil. For the handler's use.
func (l *link) Value() any { return load(&l.value) }

// SetValue keeps v with the link.
func (l *link) SetValue(v any) { l.value.Store(&v) }

// Close detaches the link with err, or without error if err is nil. It does not wait; only the first call counts. A
// message whose first frame is out and whose last is not is never finished then.
func (l *link) Close(err *Error) {
	l.session.conn.mu.Lock()
	defer l.session.conn.mu.Unlock()
	if l.state == linkAttaching {
		if !l.closeWish {
			l.closeWish, l.closeError = true, err
		}
		return
	}
	l.detachLocked(err)
}

// detachLocked sends detach. The handler hears of it when the peer's detach arrives.
func (l *link) detachLocked(err *Error) {
	if l.state != linkAttached {
		return
	}
	l.session.writeLocked(&wire.Detach{Handle: l.handle, Closed: true, Error: err})
	l.state = linkDetaching
	if err != nil {
		l.reason = err
		l.session.conn.log.Debug("amqp link detached", "link", l.frame.Name, "err", err)
	}
	if l.sender != nil {
		l.sender.failLocked()
	}
	if l.receiver != nil {
		l.receiver.dropPartialLocked()
	}
}

var errUnknownDirection = errors.New("amqp: handler accepted the link without the Sink or Source of its direction")

// onAttach asks the handler for a link and answers.
func (s *Session) onAttach(p *wire.Attach) {
	c := s.conn
	name := linkName{p.Name, p.Role}
	ask := &Attach{Frame: p, Session: s}
	var l *link
	if p.Role == wire.RoleReceiver {
		ask.Sender = newSender(s, p)
		l = &ask.Sender.link
	} else {
		ask.Receiver = newReceiver(s, p)
		l = &ask.Receiver.link
	}

	c.mu.Lock()
	switch {
	case s.state != sessionOpen:
		c.mu.Unlock()
		return
	case p.Handle > c.cfg.HandleMax:
		s.endLocked(newError(wire.ErrNotAllowed, "link handle above handle-max"))
	case s.byHandle[p.Handle] != nil:
		s.endLocked(newError(wire.ErrSessionHandleInUse, "there is a link on this handle"))
	case !l.takeHandleLocked():
		s.endLocked(newError(wire.ErrResourceLimitExceeded, "more links than the client's handle-max"))
	}
	if s.state != sessionOpen {
		c.mu.Unlock()
		return
	}
	s.byHandle[p.Handle] = l
	s.usedHandle[p.Handle] = struct{}{}
	old := s.byName[name]
	s.byName[name] = l
	stolen := newError(wire.ErrLinkStolen, "the link was attached again")
	if old != nil && old.state == linkAttached {
		old.detachLocked(stolen)
	} else {
		old = nil
	}
	c.mu.Unlock()
	if old != nil {
		old.finish(stolen)
	}

	answer, err := s.ask(ask)

	c.mu.Lock()
	if s.state != sessionOpen || c.state != connOpen {
		c.mu.Unlock()
		if err == nil { // the handler shall know the end of what it let in
			l.adopt(answer)
			l.finish(s.reason)
		}
		return
	}
	if err == nil && l.closeWish { // the handler changed its mind
		l.refuseLocked(l.closeError)
		c.mu.Unlock()
		l.adopt(answer)
		l.finish(errorOrNil(l.closeError))
		return
	}
	if err != nil {
		l.told = true // there is nothing of the handler's to end
		l.refuseLocked(c.refusal("attach", err))
		c.mu.Unlock()
		return
	}
	l.adopt(answer)
	if !l.acceptLocked(answer) {
		l.refuseLocked(newError(wire.ErrFrameSizeTooSmall, "the answer does not fit the client's max-frame-size"))
		c.mu.Unlock()
		l.finish(nil)
		return
	}
	c.mu.Unlock()
}

// ask asks the handler, except for what the engine has no part in.
func (s *Session) ask(a *Attach) (*Acceptance, error) {
	if a.Frame.Coordinator != nil {
		return nil, newError(wire.ErrNotImplemented, "transactions are not supported")
	}
	var answer *Acceptance
	err := errPanicked
	s.conn.Protect("attach", func() { answer, err = s.conn.cfg.Handler.Attach(a) })
	if err != nil {
		return nil, err
	}
	if answer == nil || a.Sender != nil && answer.Source == nil || a.Receiver != nil && answer.Sink == nil {
		return nil, errUnknownDirection
	}
	return answer, nil
}

// adopt keeps the handler's end of the link.
func (l *link) adopt(answer *Acceptance) {
	if l.sender != nil {
		l.sender.source = answer.Source
	} else {
		l.receiver.sink = answer.Sink
	}
}

// takeHandleLocked finds this end's handle, within the peer's handle-max.
func (l *link) takeHandleLocked() bool {
	s := l.session
	if n := len(s.freeHandle); n > 0 {
		l.handle = s.freeHandle[n-1]
		s.freeHandle = s.freeHandle[:n-1]
		s.handles[l.handle] = l
		return true
	}
	if uint64(len(s.handles)) > uint64(s.begin.HandleMax) {
		return false
	}
	l.handle = uint32(len(s.handles))
	s.handles = append(s.handles, l)
	return true
}

// refuseLocked answers with an attach without terminus and the detach that must follow at once
// (OASIS AMQP 1.0 2.6.3).
func (l *link) refuseLocked(err *Error) {
	answer := &wire.Attach{
		Name:               l.frame.Name,
		Handle:             l.handle,
		Role:               !l.frame.Role,
		SenderSettleMode:   l.frame.SenderSettleMode,
		ReceiverSettleMode: l.frame.ReceiverSettleMode,
		MaxMessageSize:     l.session.conn.cfg.MaxMessageSize,
	}
	if l.sender != nil {
		answer.InitialDeliveryCount = wire.Some(uint32(0))
	}
	l.session.writeLocked(answer)
	l.state = linkAttached
	l.detachLocked(err)
}

// acceptLocked answers with what the handler said, by default the client's own words, and opens the link. It reports
// false if the answer cannot be written.
func (l *link) acceptLocked(a *Acceptance) bool {
	p := l.frame
	l.maxMessage = a.MaxMessageSize
	if l.maxMessage == 0 {
		l.maxMessage = l.session.conn.cfg.MaxMessageSize
	}
	if p.MaxMessageSize > 0 {
		l.maxMessage = min(l.maxMessage, p.MaxMessageSize)
	}
	answer := &wire.Attach{
		Name:                p.Name,
		Handle:              l.handle,
		Role:                !p.Role,
		SenderSettleMode:    orDefault(a.SenderSettleMode, p.SenderSettleMode),
		ReceiverSettleMode:  orDefault(a.ReceiverSettleMode, p.ReceiverSettleMode),
		Source:              cmpOr(a.ReplySource, p.Source),
		Target:              cmpOr(a.ReplyTarget, p.Target),
		MaxMessageSize:      l.maxMessage,
		OfferedCapabilities: a.OfferedCapabilities,
		Properties:          a.ReplyProperties,
	}
	if answer.Source == nil { // a success must not look like a refusal
		answer.Source = &wire.Source{}
	}
	if answer.Target == nil {
		answer.Target = &wire.Target{}
	}
	if answer.Properties == nil {
		answer.Properties = p.Properties
	}
	if l.sender != nil {
		answer.InitialDeliveryCount = wire.Some(a.InitialDeliveryCount)
	}
	if !l.session.writeLocked(answer) {
		return false
	}
	l.state = linkAttached
	if l.sender != nil {
		l.sender.startLocked(a, answer.SenderSettleMode)
	} else {
		l.receiver.startLocked(a)
	}
	return true
}

func orDefault[T any](p *T, def T) T {
	if p != nil {
		return *p
	}
	return def
}

func cmpOr[T any](p, def *T) *T {
	if p != nil {
		return p
	}
	return def
}

// errorOrNil avoids an error that holds a nil *Error.
func errorOrNil(e *Error) error {
	if e == nil {
		return nil
	}
	return e
}

// onDetach answers the peer's detach, or takes it as the answer to ours. The handler hears of the end first: a client
// that has the answer may rely on what the link held being free again.
func (s *Session) onDetach(p *wire.Detach) {
	c := s.conn
	c.mu.Lock()
	l := s.byHandle[p.Handle]
	if l == nil { // some clients detach twice
		c.mu.Unlock()
		return
	}
	reason, unanswered := l.reason, l.state == linkAttached
	if unanswered && p.Error != nil {
		reason = p.Error
	}
	delete(s.byHandle, p.Handle)
	if name := (linkName{l.frame.Name, l.frame.Role}); s.byName[name] == l {
		delete(s.byName, name)
	}
	if int(l.handle) < len(s.handles) {
		s.handles[l.handle] = nil
		s.freeHandle = append(s.freeHandle, l.handle)
	}
	l.state = linkGone
	c.mu.Unlock()
	l.finish(reason)
	if unanswered {
		c.mu.Lock()
		s.writeLocked(&wire.Detach{Handle: l.handle, Closed: p.Closed})
		c.mu.Unlock()
	}
}

// finish tells the handler that the link is gone. Only the reader calls it.
func (l *link) finish(reason error) {
	c := l.session.conn
	c.mu.Lock()
	if l.state < linkDetaching {
		l.state = linkGone
	}
	var unsettled []*Sent
	if l.sender != nil {
		l.sender.failLocked()
		unsettled = l.sender.forgetLocked()
	} else {
		l.receiver.dropPartialLocked()
	}
	told := l.told
	l.told = true
	c.mu.Unlock()
	switch {
	case told:
	case l.sender != nil && l.sender.source != nil:
		c.Protect("link closed", func() { l.sender.source.Closed(l.sender, unsettled, reason) })
	case l.receiver != nil && l.receiver.sink != nil:
		c.Protect("link closed", func() { l.receiver.sink.Closed(l.receiver, reason) })
	}
}
