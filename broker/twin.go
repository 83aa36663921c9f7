package broker

import (
	"errors"
	"net/http"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// DeliverDesired implements hub.Client.
// Source: IoT Hub, communicate using the MQTT protocol (receiving desired properties update notifications).
func (s *session) DeliverDesired(version int64, body []byte) {
	// An error means that the connection ends: the client reads the twin when it
	// comes back, as it must.
	_ = s.conn.enqueue(appendPublish(nil, formatDesiredTopic(version), body, 0, false, 0))
}

// getTwin answers a request for the twin.
func (s *session) getTwin(t deviceTopic) {
	body, err := s.link.Twin(s.ctx)
	if err != nil {
		s.answerTwinError(t, err)
		return
	}
	s.answerTwin(http.StatusOK, t.rid, 0, body)
}

// report merges a patch of the reported properties and answers 204 with the new
// version.
func (s *session) report(t deviceTopic, patch []byte) {
	// Observed on the service: without an api-version in the user name patches
	// are bad requests.
	if s.apiVersion == "" {
		s.answerTwinError(t, iothub.NewError(iothub.CodeInvalidProtocolVersion, "The user name of the connection has no api-version."))
		return
	}
	if t.fault != nil {
		s.answerTwinError(t, t.fault)
		return
	}
	version, err := s.link.Report(s.ctx, patch, t.version)
	if err != nil {
		s.answerTwinError(t, err)
		return
	}
	s.answerTwin(http.StatusNoContent, t.rid, version, nil)
}

func (s *session) answerTwinError(t deviceTopic, err error) {
	if s.ended() || errors.Is(err, hub.ErrUnanswered) {
		return
	}
	status, body := twinError(err, s.server.o.Now())
	s.refused("twin", err)
	s.log.Warn("twin operation refused", "rid", t.rid, "code", publicCode(err), "err", err)
	s.answerTwin(status, t.rid, 0, body)
}

// answerTwin publishes an answer if the client takes them: some clients ask
// before they subscribe.
func (s *session) answerTwin(status int, rid string, version int64, body []byte) {
	topic := formatTwinResponseTopic(status, rid, version)
	if !s.twinResponses.Load() || len(topic) > maxTopic {
		s.log.Debug("twin answer without a subscriber dropped", "rid", rid)
		return
	}
	s.send(topic, body)
}
