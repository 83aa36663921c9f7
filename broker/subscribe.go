package broker

import (
	"maps"

	"github.com/hubnerite/hubnerite/iothub"
)

// subscription is one filter of a SUBSCRIBE.
type subscription struct {
	filter string
	qos    byte
}

// subscribe checks a SUBSCRIBE and queues it: SUBACK leaves when the
// subscription is stored. A filter that the hub does not have, or one too many,
// ends the connection, because the SDKs take any SUBACK for success and would
// wait for messages that never come.
// Source: IoT Hub, communicate using the MQTT protocol (receiving messages); MQTT 3.1.1 3.8.
func (s *session) subscribe(packetID uint16, wanted []subscription) error {
	if packetID == 0 || len(wanted) == 0 {
		return errMalformed
	}
	codes := make([]byte, len(wanted))
	for i, w := range wanted {
		if _, _, err := parseFilter(s.key.id, w.filter); err != nil {
			return err
		}
		codes[i] = min(w.qos, 1)
	}
	s.mu.Lock()
	next := maps.Clone(s.subscriptions)
	for i, w := range wanted {
		next[w.filter] = codes[i]
	}
	if len(next) > iothub.MaxSubscriptions {
		s.mu.Unlock()
		return iothub.NewError(iothub.CodeInvalidOperation, "more than %d subscriptions", iothub.MaxSubscriptions)
	}
	s.subscriptions = next
	s.mu.Unlock()
	s.enqueueOp(func() { s.changeSubscriptions(next, appendSuback(nil, packetID, codes)) })
	return nil
}

// unsubscribe queues an UNSUBSCRIBE.
func (s *session) unsubscribe(packetID uint16, filters []string) error {
	if packetID == 0 || len(filters) == 0 {
		return errMalformed
	}
	s.mu.Lock()
	next := maps.Clone(s.subscriptions)
	for _, f := range filters {
		delete(next, f)
	}
	s.subscriptions = next
	s.mu.Unlock()
	s.enqueueOp(func() { s.changeSubscriptions(next, appendUnsuback(nil, packetID)) })
	return nil
}

// changeSubscriptions stores the subscriptions of a persistent session, answers,
// and switches on or off what they stand for.
func (s *session) changeSubscriptions(next map[string]byte, answer []byte) {
	if s.persistent {
		if err := s.link.SetMQTTSession(s.ctx, next); err != nil {
			s.abort(err)
			return
		}
	}
	// An error means that the session ends.
	_ = s.conn.writeThen(answer, func() { s.apply(next) })
}

// apply tells the hub what the client now takes.
func (s *session) apply(subscriptions map[string]byte) {
	var methods, desired, twin bool
	var c2d, inputs c2dOutlet
	for filter, granted := range subscriptions {
		kind, b, err := parseFilter(s.key.id, filter)
		if err != nil {
			s.log.Warn("stored subscription passed over", "err", err)
			continue
		}
		switch kind {
		case filterMethods:
			methods = true
		case filterDesired:
			desired = true
		case filterC2D:
			c2d.cover(b, granted)
		case filterInputs:
			inputs.cover(b, granted)
		case filterModule:
			c2d.cover(b+"messages/devicebound/", granted)
			inputs.cover(b+"inputs/", granted)
		case filterTwinResponse:
			twin = true
		}
	}
	s.twinResponses.Store(twin)
	s.link.EnableMethods(methods)
	s.link.EnableDesired(desired)
	s.c2d.configure(c2d, inputs)
	s.link.EnableC2D(c2d.base != "")
	s.link.EnableInputs(inputs.base != "")
}

// cover adds a filter: of two that cover the messages the higher QoS counts (MQTT 3.1.1 3.3.5).
func (o *c2dOutlet) cover(base string, qos byte) {
	if o.base == "" || qos > o.qos || qos == o.qos && base < o.base {
		*o = c2dOutlet{base, qos}
	}
}
