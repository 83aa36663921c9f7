package amqphub

import (
	"context"
	"errors"
	"time"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// c2dCredit is how many messages a back end may have under way on one link.
const c2dCredit = 100

// attachC2DSender opens the link on which a back end sends cloud-to-device
// messages. Source: IoT Hub, AMQP support (invoke cloud-to-device messages).
func (p *peer) attachC2DSender(a *amqp.Attach) (*amqp.Acceptance, error) {
	if err := p.authorize(iothub.ServiceConnect, ""); err != nil {
		return nil, err
	}
	s := &c2dSender{peer: p, queue: make(chan *amqp.Delivery, c2dCredit)}
	s.ctx, s.stop = context.WithCancel(a.Session.Conn().Context())
	s.forget = p.track(iothub.ServiceConnect, "", a.Receiver.Close)
	p.goLink("cloud-to-device sends", s.run)
	return &amqp.Acceptance{Sink: s, Credit: c2dCredit, MaxMessageSize: iothub.MaxTelemetrySize}, nil
}

// c2dSender takes the messages of one link. Its goroutine waits for the store,
// so that the connection's reader does not, and keeps their order.
type c2dSender struct {
	peer *peer
	// queue has room for every message that the link's credit allows.
	queue  chan *amqp.Delivery
	ctx    context.Context
	stop   context.CancelFunc
	forget func()
}

// Message implements amqp.Sink.
func (s *c2dSender) Message(d *amqp.Delivery) {
	select {
	case s.queue <- d:
	case <-s.ctx.Done():
	}
}

// Closed implements amqp.Sink. Messages not yet stored were not acknowledged
// and are the sender's to repeat.
func (s *c2dSender) Closed(*amqp.Receiver, error) {
	s.forget()
	s.stop()
}

func (s *c2dSender) run() {
	for {
		select {
		case d := <-s.queue:
			s.send(d)
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *c2dSender) send(d *amqp.Delivery) {
	m, err := parseC2D(d, s.peer.server.now)
	times := 1
	if err == nil {
		times, err = s.peer.hub().FaultC2DSend(s.ctx, s.peer.protocol, m.ID, peerSocket{s.peer})
	}
	for ; err == nil && times > 0; times-- {
		_, err = s.peer.hub().SendC2D(s.ctx, m)
	}
	// A link that ended meanwhile hears neither answer.
	switch {
	case errors.Is(err, hub.ErrUnanswered):
	case err == nil:
		_ = d.Accept()
	case s.ctx.Err() == nil:
		_ = d.Reject(s.peer.refuse("cloud-to-device message", err))
	}
}

// ackProperty is the application property that asks for feedback.
const ackProperty = "iothub-ack"

// parseC2D turns an AMQP message into the hub's. The time to live of the header
// counts when there is no absolute expiry time.
func parseC2D(d *amqp.Delivery, now func() time.Time) (iothub.C2DMessage, error) {
	var m iothub.C2DMessage
	message, err := parseMessage(d)
	if err != nil {
		return m, err
	}
	if m.ID, err = parseC2DAddress(message.properties.To); err != nil {
		return m, err
	}
	m.System, m.Body = message.system(), message.body
	m.ExpiryTime = message.properties.AbsoluteExpiryTime
	if ttl := message.header.TTL; m.ExpiryTime.IsZero() && ttl.Set {
		m.ExpiryTime = now().Add(time.Duration(ttl.Value) * time.Millisecond)
	}
	m.Ack = iothub.AckNone
	for _, q := range message.application {
		if q.Name != ackProperty {
			m.Properties = append(m.Properties, q)
			continue
		}
		if m.Ack, err = iothub.ParseAck(q.Value); err != nil {
			return m, err
		}
	}
	return m, nil
}
