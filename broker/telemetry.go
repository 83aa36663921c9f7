package broker

import (
	"context"
	"errors"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// Application properties that the hub adds on MQTT.
// Source: IoT Hub, communicate using the MQTT protocol (sending messages, will).
const (
	retainProperty      = "mqtt-retain"
	messageTypeProperty = "iothub-MessageType"
)

// telemetry hands a device-to-cloud message to the hub. It does not wait for
// the log, only for room in its buffer, which is what slows a sender down. The
// PUBACK leaves when the message is as durable as the log's mode says.
func (s *session) telemetry(t deviceTopic, p publish) error {
	m, err := telemetryMessage(t.bag, p.payload, p.retain)
	if err != nil {
		return err
	}
	if p.qos == 0 {
		s.link.SendTelemetry(s.ctx, m, s.acks.failed) // telemetryDone, without an allocation
		return nil
	}
	s.link.SendTelemetry(s.ctx, m, s.acks.take(p.packetID).finish)
	return nil
}

// telemetryDone ends the connection of a message that was refused: too large,
// malformed, or not stored. The client then sends again what has no PUBACK.
func (s *session) telemetryDone(err error) {
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, hub.ErrFaultTaken) {
		s.refused("telemetry", err)
		s.abort(err)
	}
}

func telemetryMessage(bag string, payload []byte, retain bool) (iothub.Telemetry, error) {
	m := iothub.Telemetry{Body: payload}
	var err error
	if m.Properties, err = parseBag(bag, &m.System); err != nil {
		return iothub.Telemetry{}, err
	}
	if retain {
		m.Properties = setProperty(m.Properties, retainProperty, "true")
	}
	return m, nil
}

// will is the message that a client leaves for the case that its connection
// ends without DISCONNECT.
type will struct {
	topic   string
	payload []byte
	qos     byte
	retain  bool
	// message is the telemetry that it becomes.
	message iothub.Telemetry
}

// check parses the will of id, which must be telemetry of its own.
// Source: IoT Hub, communicate using the MQTT protocol (using the will message).
func (w *will) check(id iothub.ID) error {
	if w.qos > 1 {
		return errQoS2
	}
	t, err := parsePublishTopic(id, w.topic)
	if err != nil || t.kind != topicTelemetry || hasWildcard(w.topic) {
		return iothub.NewError(iothub.CodeInvalidOperation, "the will's topic is not the device's telemetry topic").WithCause(err)
	}
	if w.message, err = telemetryMessage(t.bag, w.payload, w.retain); err != nil {
		return err
	}
	w.message.Properties = setProperty(w.message.Properties, messageTypeProperty, "Will")
	if n := iothub.MessageSize(&w.message.System, w.message.Properties, w.payload); n > iothub.MaxTelemetrySize {
		return iothub.NewError(iothub.CodeMessageTooLarge, "the will has %d bytes, the limit is %d", n, iothub.MaxTelemetrySize)
	}
	return nil
}

// sendWill sends the will, at most once. Where the hub itself ended the
// connection, of a deleted device say, it also refuses the will.
func (s *session) sendWill() {
	w := s.will.Swap(nil)
	if w == nil {
		return
	}
	s.link.SendWill(context.WithoutCancel(s.ctx), w.message, func(err error) {
		if err != nil {
			s.log.Info("will not sent", "code", publicCode(err), "err", err)
		}
	})
}
