package broker

import (
	"maps"
	"sync"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// c2dPump sends cloud-to-device messages while the client is subscribed and its
// window has room. It owns the packet identifiers of this direction; they have
// nothing to do with those of the client's own packets (MQTT 3.1.1 2.3.1).
type c2dPump struct {
	session *session
	window  int

	mu sync.Mutex
	// idle is signalled when running ends.
	idle    sync.Cond
	running bool
	// again says that something changed while the pump ran.
	again   bool
	stopped bool
	// base is the topic in front of the property bag; "" while not subscribed.
	base string
	qos  byte
	// sent are the unacknowledged messages by packet identifier.
	sent   map[uint16]hub.Delivery
	lastID uint16
	// earlier are the packet identifiers of messages sent before in this session
	// and not acknowledged, by sequence number: they go out again as duplicates
	// under the same identifier (MQTT 3.1.1 4.4).
	earlier map[uint64]uint16
}

func newC2DPump(s *session, window int) *c2dPump {
	p := &c2dPump{session: s, window: window, sent: map[uint16]hub.Delivery{}}
	p.idle.L = &p.mu
	return p
}

// C2DWaiting implements hub.Client.
func (s *session) C2DWaiting() { s.c2d.wake() }

// configure sets where messages go; base "" means nowhere.
func (p *c2dPump) configure(base string, qos byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.base, p.qos = base, qos
}

// wake starts the pump. It does not wait.
func (p *c2dPump) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wakeLocked()
}

func (p *c2dPump) wakeLocked() {
	switch {
	case p.stopped:
	case p.running:
		p.again = true
	default:
		p.running = true
		go p.run()
	}
}

// run sends until there is no message, no room or no subscription.
func (p *c2dPump) run() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for p.againOrRoomLocked() {
			p.mu.Unlock()
			d, ok := p.session.link.ReceiveC2D()
			if ok {
				p.send(d)
			}
			p.mu.Lock()
			if !ok {
				break
			}
		}
		if !p.again || p.stopped {
			break
		}
		p.again = false
	}
	p.running = false
	p.idle.Broadcast()
}

func (p *c2dPump) againOrRoomLocked() bool {
	return !p.stopped && p.base != "" && len(p.sent) < p.window
}

// send publishes one message. What cannot be sent to this client ever is
// dead-lettered.
func (p *c2dPump) send(d hub.Delivery) {
	s := p.session
	p.mu.Lock()
	base, qos := p.base, p.qos
	p.mu.Unlock()
	topic := formatC2DTopic(base, &d.Message)
	if len(topic) > maxTopic {
		s.log.Warn("cloud-to-device message rejected: its properties do not fit into a topic", "code", int(iothub.CodeMessageTooLarge))
		if err := s.key.hub.RejectC2D(s.ctx, s.key.id, d.LockToken); err != nil {
			s.log.Warn("message not rejected", "code", publicCode(err), "err", err)
		}
		return
	}
	if qos == 0 {
		if s.conn.write(appendPublish(nil, topic, d.Message.Body, 0, false, 0)) == nil {
			p.complete(d)
		}
		return
	}
	id, dup := p.track(d)
	// On an error the session ends, and its end unlocks the message.
	_ = s.conn.write(appendPublish(nil, topic, d.Message.Body, 1, dup, id))
}

// track gives a message its packet identifier and enters it in the window.
func (p *c2dPump) track(d hub.Delivery) (id uint16, dup bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	number := d.Message.SequenceNumber
	// Messages come in order: what is older has ended meanwhile.
	maps.DeleteFunc(p.earlier, func(n uint64, _ uint16) bool { return n < number })
	if id, dup = p.earlier[number]; dup {
		delete(p.earlier, number)
	} else {
		id = p.nextIDLocked()
	}
	p.sent[id] = d
	return id, dup
}

// nextIDLocked returns an identifier that is not in use. There is always one:
// the window is far smaller than their number.
func (p *c2dPump) nextIDLocked() uint16 {
	for {
		p.lastID++
		if p.lastID == 0 || p.usedLocked(p.lastID) {
			continue
		}
		return p.lastID
	}
}

func (p *c2dPump) usedLocked(id uint16) bool {
	if _, ok := p.sent[id]; ok {
		return true
	}
	for _, e := range p.earlier {
		if e == id {
			return true
		}
	}
	return false
}

// acknowledged completes the message of a PUBACK. One for an unknown identifier
// is passed over: it may belong to a message of an earlier connection.
func (p *c2dPump) acknowledged(id uint16) {
	p.mu.Lock()
	d, ok := p.sent[id]
	if ok {
		delete(p.sent, id)
		p.wakeLocked()
	}
	p.mu.Unlock()
	if ok {
		p.complete(d)
	}
}

func (p *c2dPump) complete(d hub.Delivery) {
	s := p.session
	s.key.hub.CompleteC2DAsync(s.key.id, d.LockToken, func(err error) {
		if err != nil {
			s.log.Info("cloud-to-device message not completed", "code", publicCode(err), "err", err)
		}
	})
}

// stop ends the pump and returns what a next connection of the session must know.
func (p *c2dPump) stop() map[uint64]uint16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for p.running {
		p.idle.Wait()
	}
	unacknowledged := p.earlier
	if unacknowledged == nil && len(p.sent) > 0 {
		unacknowledged = make(map[uint64]uint16, len(p.sent))
	}
	for id, d := range p.sent {
		unacknowledged[d.Message.SequenceNumber] = id
	}
	return unacknowledged
}

// resume tells the pump of a new connection what the last one left.
func (p *c2dPump) resume(unacknowledged map[uint64]uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.earlier = unacknowledged
}

// formatC2DTopic returns the topic of a message: base, then the property bag,
// all percent-encoded, with a system key first because the Java client looks for
// the first %24. A system property without a value is not there; an application
// property without one keeps its name and the equals sign.
// Source: IoT Hub, communicate using the MQTT protocol (receiving
// cloud-to-device messages); topics seen by the SDKs.
func formatC2DTopic(base string, m *iothub.C2DMessage) string {
	b := make([]byte, 0, len(base)+128)
	b = append(b, base...)
	first := true
	system := func(key, value string) {
		if value != "" {
			b = appendBagItem(b, &first, key, value)
		}
	}
	system("$.mid", m.System.MessageID)
	system("$.to", "/"+m.ID.ResourcePath()+"/messages/deviceBound")
	system("$.cid", m.System.CorrelationID)
	system("$.uid", m.System.UserID)
	if !m.ExpiryTime.IsZero() {
		system("$.exp", iothub.FormatTime(m.ExpiryTime))
	}
	system("$.ct", m.System.ContentType)
	system("$.ce", m.System.ContentEncoding)
	if m.Ack != "" && m.Ack != iothub.AckNone {
		b = appendBagItem(b, &first, ackProperty, string(m.Ack))
	}
	for _, q := range m.Properties {
		if q.Name != ackProperty && q.Name != "" {
			b = appendBagItem(b, &first, q.Name, q.Value)
		}
	}
	return string(b)
}

// ackProperty carries the feedback that a message asks for.
const ackProperty = "iothub-ack"
