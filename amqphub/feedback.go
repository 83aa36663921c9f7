package amqphub

import (
	"errors"
	"sync"

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
	if err := p.authorize(iothub.ServiceConnect, ""); err != nil {
		return nil, err
	}
	f := &feedbackSource{peer: p, sender: a.Sender, wake: make(chan struct{}, 1)}
	forget := p.track(iothub.ServiceConnect, "", a.Sender.Close)
	unregister := p.hub.OnFeedback(f.signal)
	f.end = func() {
		unregister()
		forget()
	}
	p.server.work.Go(f.run)
	return &amqp.Acceptance{Source: f}, nil
}

// feedbackSource sends feedback messages on one link. Its goroutine waits for
// the store, so that neither the hub nor the connection's reader does.
type feedbackSource struct {
	peer   *peer
	sender *amqp.Sender
	// wake has room for one signal: there may be feedback, credit or a decision.
	wake chan struct{}
	// end undoes what attaching registered.
	end func()

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

func (f *feedbackSource) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *feedbackSource) decide(closed bool, d ...decision) {
	f.mu.Lock()
	f.decided = append(f.decided, d...)
	f.closed = f.closed || closed
	f.mu.Unlock()
	f.signal()
}

// Ready implements amqp.Source.
func (f *feedbackSource) Ready(*amqp.Sender) { f.signal() }

// run carries out decisions and sends, until the link is closed and everything
// on it is decided.
func (f *feedbackSource) run() {
	for range f.wake {
		f.mu.Lock()
		decided, closed := f.decided, f.closed
		f.decided = nil
		f.mu.Unlock()
		for _, d := range decided {
			f.carryOut(d)
		}
		if closed {
			return
		}
		f.pump()
	}
}

func (f *feedbackSource) carryOut(d decision) {
	settle := f.peer.hub.AbandonFeedback
	if d.complete {
		settle = f.peer.hub.CompleteFeedback
	}
	err := settle(f.peer.hubContext(), d.token)
	var answer wire.DeliveryState // nil repeats the client's outcome
	if err != nil {
		answer = wire.Rejected{Error: f.peer.refuse("feedback settlement", err)}
	}
	_ = d.sent.Settle(answer) // a link that ended needs no answer
}

// pump sends until there is no credit or no feedback. It locks a message only
// when the link has credit for it.
func (f *feedbackSource) pump() {
	for {
		if f.sender.Credit() == 0 {
			f.sender.WantReady()
			return
		}
		d, ok, err := f.peer.hub.ReceiveFeedback(f.peer.hubContext())
		if err != nil {
			f.sender.Close(f.peer.refuse("feedback", err))
			return
		}
		if !ok {
			return
		}
		if err := f.send(d); err != nil {
			f.peer.hub.ReleaseFeedback(d.LockToken)
			if !errors.Is(err, amqp.ErrWouldBlock) {
				f.peer.log.Debug("feedback not sent", "err", err)
			}
			return
		}
	}
}

func (f *feedbackSource) send(d hub.FeedbackDelivery) error {
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
		MessageID: d.LockToken, UserID: []byte(f.peer.hub.Name()), To: "/messages/serviceBound/feedback",
		ContentType: iothub.FeedbackContentType, ContentEncoding: "utf-8", AbsoluteExpiryTime: d.ExpiryTime,
	})
	if err != nil {
		return err
	}
	b = wire.AppendDataSection(b, d.Body)
	return f.sender.TrySend(amqp.Message{Payload: [][]byte{b}, Tag: token[:], Value: d.LockToken})
}

// Outcome implements amqp.Source: released and modified give the message back,
// everything else ends it.
func (f *feedbackSource) Outcome(sent *amqp.Sent, state wire.DeliveryState) {
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
func (f *feedbackSource) Closed(_ *amqp.Sender, unsettled []*amqp.Sent, _ error) {
	f.end()
	for _, sent := range unsettled {
		if token, ok := sent.Value.(string); ok {
			f.peer.hub.ReleaseFeedback(token)
		}
	}
	f.decide(true)
}
