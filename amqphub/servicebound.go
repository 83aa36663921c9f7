package amqphub

import (
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// attachFeedback opens a link on which a back end receives feedback. It may
// stay idle for ever: the C service client opens one with every sender.
// Source: IoT Hub, AMQP support (receive feedback messages).
func (p *peer) attachFeedback(a *amqp.Attach) (*amqp.Acceptance, error) {
	return p.attachServiceBound(a, (*hub.Hub).Feedback, "/messages/serviceBound/feedback")
}

// attachFileNotifications opens a link on which a back end hears of uploaded files.
// Source: IoT Hub, AMQP support (receive file upload notifications).
func (p *peer) attachFileNotifications(a *amqp.Attach) (*amqp.Acceptance, error) {
	return p.attachServiceBound(a, (*hub.Hub).FileNotifications, "/messages/serviceBound/filenotifications")
}

// attachServiceBound opens a link on which a back end receives from a queue; to is
// the queue as messages name it.
func (p *peer) attachServiceBound(a *amqp.Attach, queue func(*hub.Hub) *hub.ServiceQueue, to string) (*amqp.Acceptance, error) {
	if err := p.authorize(iothub.ServiceConnect, ""); err != nil {
		return nil, err
	}
	f := &serviceSource{peer: p, queue: queue(p.hub()), to: to, sender: a.Sender, wake: make(chan struct{}, 1)}
	forget := p.track(iothub.ServiceConnect, "", a.Sender.Close)
	unregister := f.queue.OnWaiting(f.signal)
	f.end = func() {
		unregister()
		forget()
	}
	p.goLink("messages to the service", f.run)
	return &amqp.Acceptance{Source: f}, nil
}

// serviceSource sends the messages of a queue on one link. Its goroutine waits
// for the store, so that neither the hub nor the connection's reader does.
type serviceSource struct {
	peer   *peer
	queue  *hub.ServiceQueue
	to     string
	sender *amqp.Sender
	// wake has room for one signal: there may be a message, credit or a decision.
	wake chan struct{}
	// end undoes what attaching registered.
	end func()
	// late is a locked message that a fault rule holds back until then; the goroutine's own.
	late  *hub.ServiceDelivery
	until time.Time
	// refused says that the link is being ended from here, and takes no more messages; the goroutine's own.
	refused bool

	mu sync.Mutex
	// decided are the outcomes that the goroutine has yet to carry out.
	decided []decision
	closed  bool
}

// decision is what a back end decided on a message.
type decision struct {
	token    string
	complete bool
	sent     *amqp.Sent
}

func (f *serviceSource) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *serviceSource) decide(closed bool, d ...decision) {
	f.mu.Lock()
	f.decided = append(f.decided, d...)
	f.closed = f.closed || closed
	f.mu.Unlock()
	f.signal()
}

// Ready implements amqp.Source.
func (f *serviceSource) Ready(*amqp.Sender) { f.signal() }

// run carries out decisions and sends, until the link is closed and everything
// on it is decided.
func (f *serviceSource) run() {
	for range f.wake {
		f.mu.Lock()
		decided, closed := f.decided, f.closed
		f.decided = nil
		f.mu.Unlock()
		for _, d := range decided {
			f.carryOut(d)
		}
		if closed {
			if f.late != nil {
				f.queue.Release(f.late.LockToken)
			}
			return
		}
		f.pump()
	}
}

func (f *serviceSource) carryOut(d decision) {
	settle := f.queue.Abandon
	if d.complete {
		settle = f.queue.Complete
	}
	err := settle(f.peer.hubContext(), d.token)
	var answer wire.DeliveryState // nil repeats the client's outcome
	if err != nil {
		answer = wire.Rejected{Error: f.peer.refuse("settlement of "+f.to, err)}
	}
	_ = d.sent.Settle(answer) // a link that ended needs no answer
}

// pump sends until there is no credit or no message. It locks a message only
// when the link has credit for it.
func (f *serviceSource) pump() {
	for {
		if f.refused {
			return
		}
		if f.sender.Credit() == 0 {
			f.sender.WantReady()
			return
		}
		d, ok := f.next()
		if !ok {
			return
		}
		if err := f.send(d); err != nil {
			f.queue.Release(d.LockToken)
			if !errors.Is(err, amqp.ErrWouldBlock) {
				f.peer.log.Debug("message not sent", "queue", f.to, "err", err)
			}
			return
		}
	}
}

// next locks the next message that is to be sent now; false when there is none, or the link has ended.
func (f *serviceSource) next() (d hub.ServiceDelivery, ok bool) {
	for {
		if f.late != nil {
			if time.Now().Before(f.until) {
				return d, false // its timer will signal
			}
			d, f.late = *f.late, nil
			return d, true
		}
		d, ok, err := f.queue.Receive(f.peer.hubContext())
		if err != nil {
			f.refused = true
			f.sender.Close(f.peer.refuse(f.to, err))
			return d, false
		}
		if !ok {
			return d, false
		}
		switch fault := f.queue.Fault(f.peer.protocol, peerSocket{f.peer}); {
		case fault.Err != nil:
			f.queue.Release(d.LockToken)
			f.refused = true
			if !errors.Is(fault.Err, hub.ErrUnanswered) {
				f.sender.Close(f.peer.refuse(f.to, fault.Err))
			}
			return d, false
		case fault.Lost: // it stays locked, and comes again when the lock is over
		case fault.Delay > 0:
			f.late, f.until = &d, time.Now().Add(fault.Delay)
			time.AfterFunc(fault.Delay, f.signal)
		case fault.Twice:
			// The first one has a lock that is over, as if its time had run out.
			again := d
			again.LockToken = uuid.NewString()
			if err := f.send(again); err != nil {
				f.peer.log.Debug("message not sent twice", "queue", f.to, "err", err)
			}
			return d, true
		default:
			return d, true
		}
	}
}

func (f *serviceSource) send(d hub.ServiceDelivery) error {
	token, err := uuid.Parse(d.LockToken)
	if err != nil {
		return err
	}
	b, err := wire.AppendMessageAnnotations(nil, wire.Map{}.
		Add(wire.Symbol("x-opt-sequence-number"), int64(d.SequenceNumber)).
		Add(wire.Symbol("x-opt-lock-token"), wire.UUID(token)).
		Add(wire.Symbol("iothub-enqueuedtime"), d.EnqueuedTime).
		Add(wire.Symbol("iothub-deliverycount"), uint8(min(d.DeliveryCount, 255))))
	if err != nil {
		return err
	}
	b, err = wire.AppendProperties(b, &wire.Properties{
		MessageID: d.LockToken, UserID: []byte(f.peer.hub().Name()), To: f.to,
		ContentType: wire.Symbol(d.System.ContentType), ContentEncoding: "utf-8", AbsoluteExpiryTime: d.ExpiryTime,
	})
	if err != nil {
		return err
	}
	b = wire.AppendDataSection(b, d.Body)
	return f.sender.TrySend(amqp.Message{Payload: [][]byte{b}, Tag: token[:], Value: d.LockToken})
}

// Outcome implements amqp.Source: released and modified give the message back,
// everything else ends it.
func (f *serviceSource) Outcome(sent *amqp.Sent, state wire.DeliveryState) {
	d := decision{complete: true, sent: sent}
	d.token, _ = sent.Value.(string)
	switch state.(type) {
	case wire.Released, wire.Modified:
		d.complete = false
	}
	f.decide(false, d)
}

// Closed implements amqp.Source: what was not settled is there for others, and
// its delivery count stays.
func (f *serviceSource) Closed(_ *amqp.Sender, unsettled []*amqp.Sent, _ error) {
	f.end()
	for _, sent := range unsettled {
		if token, ok := sent.Value.(string); ok {
			f.queue.Release(token)
		}
	}
	f.decide(true)
}
