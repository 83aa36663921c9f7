package broker

import (
	"encoding/json"

	"github.com/hubnerite/hubnerite/iothub"
)

// DeliverMethod implements hub.Client: it publishes the request at QoS 0, the
// payload alone as the body.
// Source: IoT Hub devguide, direct methods (MQTT).
func (s *session) DeliverMethod(req iothub.MethodRequest) error {
	topic := formatMethodTopic(req.MethodName, req.RequestID)
	return s.conn.enqueue(appendPublish(nil, topic, req.Payload, 0, false, 0))
}

// methodResponse takes the answer of the device. A body that is not JSON cannot
// be passed on to the caller, so the answer is dropped with a line in the log
// and the call times out.
func (s *session) methodResponse(t deviceTopic, payload []byte) {
	switch {
	case len(payload) == 0:
		payload = nil
	case len(payload) > iothub.MaxMethodPayload:
		s.log.Warn("method response dropped: too large", "rid", t.rid, "code", int(iothub.CodeMessageTooLarge))
		return
	case !json.Valid(payload):
		s.log.Warn("method response dropped: not JSON", "rid", t.rid, "code", int(iothub.CodeIotHubFormatError))
		return
	}
	s.link.AnswerMethod(t.rid, iothub.MethodResponse{Status: t.status, Payload: payload})
}
