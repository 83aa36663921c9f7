package broker

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// Ends of a session that are the peer's doing.
var (
	errDisconnected     = errors.New("the client sent DISCONNECT")
	errEnded            = errors.New("the session has ended")
	errMalformed        = iothub.NewError(iothub.CodeIotHubFormatError, "malformed packet")
	errUnexpectedPacket = iothub.NewError(iothub.CodeInvalidOperation, "a packet that a client may not send, or not twice")
	errQoS2             = iothub.NewError(iothub.CodeInvalidOperation, "QoS 2 is not supported")
)

// maxQueuedOps is how many twin operations and subscriptions of one connection
// may wait for the store before its reading stops.
const maxQueuedOps = 32

// session is what runs on a connection between CONNECT and its end: it turns
// packets into calls of the hub and is the hub.Client of the connection.
type session struct {
	server *Server
	conn   *conn
	key    sessionKey
	link   *hub.Connection
	log    *slog.Logger
	// ctx ends with the session.
	ctx    context.Context
	cancel context.CancelFunc

	apiVersion string
	// persistent is clean session 0; present is what CONNACK said.
	persistent, present bool

	acks ackQueue
	ops  *opQueue
	c2d  *c2dPump
	will atomic.Pointer[will]
	over atomic.Bool
	once sync.Once
	// twinResponses says that the client takes twin answers.
	twinResponses atomic.Bool

	mu sync.Mutex
	// subscriptions are the granted filters, as spelled by the client, and
	// their QoS.
	subscriptions map[string]byte
}

// sessionKey names an identity among all hubs of the process.
type sessionKey struct {
	hub *hub.Hub
	id  iothub.ID
}

func (s *Server) newSession(c *conn, key sessionKey, u userName, persistent bool) *session {
	ss := &session{
		server: s, conn: c, key: key, apiVersion: u.apiVersion, persistent: persistent,
		log: s.o.Logger.With("device", key.id.String(), "conn", c.number),
		ops: newOpQueue(maxQueuedOps), subscriptions: map[string]byte{},
	}
	ss.acks.conn, ss.acks.failed = c, ss.telemetryDone
	ss.c2d = newC2DPump(ss, s.o.C2DWindow)
	ss.ctx, ss.cancel = context.WithCancel(s.ctx)
	return ss
}

// start turns on what the stored subscriptions ask for, after CONNACK.
func (s *session) start() {
	s.mu.Lock()
	filters := maps.Clone(s.subscriptions)
	s.mu.Unlock()
	s.apply(filters)
}

// ended reports whether the session is being taken down.
func (s *session) ended() bool { return s.over.Load() }

// abort ends the session from any goroutine without waiting.
func (s *session) abort(cause error) {
	s.over.Store(true)
	s.conn.abort(cause)
}

// Disconnect implements hub.Client.
func (s *session) Disconnect(reason *iothub.Error) { s.abort(reason) }

// quiesce stops what the session does on its own: operations, deliveries, and,
// unless the client said DISCONNECT, it sends the will. The identity stays
// attached to the hub. Who comes second waits for the first.
func (s *session) quiesce() {
	s.once.Do(func() {
		s.over.Store(true)
		s.cancel()
		s.ops.stop()
		if sent := s.c2d.stop(); s.persistent {
			s.server.keepUnacknowledged(s.key, sent)
		}
		s.sendWill()
	})
}

// finish takes the session down.
func (s *session) finish() {
	s.quiesce()
	s.link.CloseBecause(s.conn.closeReason())
	s.server.forget(s)
}

// publish is a PUBLISH from the client.
type publish struct {
	topic    string
	payload  []byte
	packetID uint16
	qos      byte
	retain   bool
}

// publish takes a PUBLISH over. An error ends the connection: MQTT 3.1.1 has no
// other way to refuse one.
// Source: IoT Hub, communicate using the MQTT protocol (sending messages).
func (s *session) publish(p publish) error {
	switch {
	case p.qos == 2:
		return errQoS2
	case p.qos == 1 && p.packetID == 0, p.topic == "":
		return errMalformed
	case hasWildcard(p.topic):
		return iothub.NewError(iothub.CodeIotHubFormatError, "publish to a topic with a wildcard")
	}
	t, err := parsePublishTopic(s.key.id, p.topic)
	if err != nil {
		return err
	}
	switch t.kind {
	case topicTelemetry:
		return s.telemetry(t, p)
	case topicTwinGet:
		s.defer1(p, func() { s.getTwin(t) })
	case topicTwinReported:
		s.defer1(p, func() { s.report(t, p.payload) })
	case topicMethodResponse:
		s.methodResponse(t, p.payload)
		s.acknowledge(p)
	}
	return nil
}

// defer1 queues an operation that waits for the store, then acknowledges the
// publish: the answer of the operation is the one that counts for the client.
func (s *session) defer1(p publish, op func()) {
	s.enqueueOp(op)
	s.acknowledge(p)
}

func (s *session) acknowledge(p publish) {
	if p.qos == 1 {
		s.acks.take(p.packetID).finish(nil)
	}
}

// enqueueOp queues op; while the queue is full, reading stops.
func (s *session) enqueueOp(op func()) {
	if s.ops.tryAdd(op) {
		return
	}
	s.conn.park()
	s.ops.add(op)
	s.conn.unpark()
}

// send publishes to the client at QoS 0 from a goroutine that may wait.
func (s *session) send(topic string, payload []byte) {
	if err := s.conn.write(appendPublish(nil, topic, payload, 0, false, 0)); err != nil {
		s.log.Debug("not sent", "err", err)
	}
}

func hasWildcard(topic string) bool {
	for i := range len(topic) {
		if topic[i] == '+' || topic[i] == '#' {
			return true
		}
	}
	return false
}
