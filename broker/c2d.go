package broker

import (
	"maps"
	"sync"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// c2dOutlet is where messages of one kind go: base is the topic up to the property
// bag, or up to the input's name; "" while the client is not subscribed.
type c2dOutlet struct {
	base string
	qos  byte
}

// c2dPump sends cloud-to-device messages, and those at a module's inputs, while the
// client is subscribed and its window has room. It owns the packet identifiers of this direction; they have
// nothing to do with those of the client's own packets (MQTT 3.1.1 2.3.1).
type c2dPump struct {
	session *session
	window  int

	mu sync.Mutex
	// idle is signalled when running ends.
	idle    sync.Cond
	running bool
	// again says that something changed while the pump ran.
	again       bool
	stopped     bool
	c2d, inputs c2dOutlet
	// sent are the unacknowledged messages by packet identifier.
	sent   map[uint16]hub.Delivery
	lastID uint16
	// earlier are the packet identifiers of messages sent before in this session
	// and not acknowledged, by messageKey: they go out again as duplicates
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

// configure sets where messages go.
func (p *c2dPump) configure(c2d, inputs c2dOutlet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.c2d, p.inputs = c2d, inputs
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
			c2d, inputs := p.c2d, p.inputs
			p.mu.Unlock()
			ok := p.sendNext(c2d, p.session.link.ReceiveC2D) || p.sendNext(inputs, p.session.link.ReceiveInput)
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
	return !p.stopped && len(p.sent) < p.window
}

// sendNext sends the next message of one kind; false when there is none, or nowhere for it to go.
func (p *c2dPump) sendNext(to c2dOutlet, receive func() (hub.Delivery, bool)) bool {
	if to.base == "" {
		return false
	}
	d, ok := receive()
	if ok {
		p.send(to, d)
	}
	return ok
}

// send publishes one message. What cannot be sent to this client ever is
// dead-lettered.
func (p *c2dPump) send(to c2dOutlet, d hub.Delivery) {
	s := p.session
	topic := formatC2DTopic(to.base, &d.Message)
	if len(topic) > maxTopic {
		s.log.Warn("message to the client rejected: its properties do not fit into a topic", "code", int(iothub.CodeMessageTooLarge))
		if err := s.key.hub.RejectC2D(s.ctx, s.key.id, d.LockToken); err != nil {
			s.log.Warn("message not rejected", "code", publicCode(err), "err", err)
		}
		return
	}
	if to.qos == 0 {
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
	key := messageKey(&d.Message)
	// Messages of a kind come in order: what is older has ended meanwhile.
	maps.DeleteFunc(p.earlier, func(k uint64, _ uint16) bool { return k < key && k&1 == key&1 })
	if id, dup = p.earlier[key]; dup {
		delete(p.earlier, key)
	} else {
		id = p.nextIDLocked()
	}
	p.sent[id] = d
	return id, dup
}

// messageKey tells the messages of one client apart: the numbers of the two kinds have
// nothing to do with each other.
func messageKey(m *iothub.C2DMessage) uint64 {
	key := m.SequenceNumber << 1
	if m.Input != "" {
		key |= 1
	}
	return key
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
			s.log.Info("message not completed", "code", publicCode(err), "err", err)
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
		unacknowledged[messageKey(&d.Message)] = id
	}
	return unacknowledged
}

// resume tells the pump of a new connection what the last one left.
func (p *c2dPump) resume(unacknowledged map[uint64]uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.earlier = unacknowledged
}

// formatC2DTopic returns the topic of a message: base, for an input its name and a slash, then the property bag,
// all percent-encoded, with a system key first because the Java client looks for
// the first %24. A system property without a value is not there; an application
// property without one keeps its name and the equals sign.
// Source: IoT Hub, communicate using the MQTT protocol (receiving
// cloud-to-device messages); topics seen by the SDKs.
func formatC2DTopic(base string, m *iothub.C2DMessage) string {
	b := make([]byte, 0, len(base)+128)
	b = append(b, base...)
	if m.Input != "" {
		b = append(appendEscaped(b, m.Input), '/')
	}
	first := true
	system := func(key, value string) {
		if value != "" {
			b = appendBagItem(b, &first, key, value)
		}
	}
	system("$.mid", m.System.MessageID)
	if m.Input != "" {
		inputProperties(m, system)
	} else {
		system("$.to", "/"+m.ID.ResourcePath()+"/messages/deviceBound")
	}
	system("$.cid", m.System.CorrelationID)
	system("$.uid", m.System.UserID)
	if !m.ExpiryTime.IsZero() && m.Input == "" {
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

// inputProperties are the system properties that only a message at an input has: what
// its sender gave it, and who that is.
// Source: IoT Edge hub, MQTT (system properties of outgoing messages).
func inputProperties(m *iothub.C2DMessage, system func(key, value string)) {
	system("$.to", m.System.To)
	system("$.exp", m.System.Expiry)
	system("$.schema", m.System.Schema)
	system("$.ctime", m.System.CreationTime)
	system("$.ifid", m.System.InterfaceID)
	system("$.cdid", m.From.DeviceID)
	system("$.cmid", m.From.ModuleID)
}

// ackProperty carries the feedback that a message asks for.
const ackProperty = "iothub-ack"
