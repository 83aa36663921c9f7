package broker

import "github.com/hubnerite/hubnerite/iothub"

// DeliverMethod implements hub.Client: it publishes the request at QoS 0, the
// payload alone as the body.
// Source: IoT Hub devguide, direct methods (MQTT).
func (s *session) DeliverMethod(req iothub.MethodRequest) error {
	topic := formatMethodTopic(req.MethodName, req.RequestID)
	return s.conn.enqueue(appendPublish(nil, topic, req.Payload, 0, false, 0))
}

// methodResponse takes the answer of the device: any status, a body of JSON or none.
func (s *session) methodResponse(t deviceTopic, payload []byte) {
	s.link.AnswerMethod(t.rid, iothub.MethodResponse{Status: t.status, Payload: payload})
}
