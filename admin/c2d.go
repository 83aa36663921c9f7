package admin

import (
	"context"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hubnerite/hubnerite/iothub"
)

// C2DMessage is a cloud-to-device message to send. The service's own API sends
// them over AMQP only; this is for people without an SDK, and for pages.
type C2DMessage struct {
	Body         string `json:"body" doc:"Text, or base64 when bodyEncoding says so."`
	BodyEncoding string `json:"bodyEncoding,omitempty" default:"utf8" enum:"utf8,base64"`

	MessageID       string            `json:"messageId,omitempty" maxLength:"128"`
	CorrelationID   string            `json:"correlationId,omitempty"`
	UserID          string            `json:"userId,omitempty"`
	ContentType     string            `json:"contentType,omitempty"`
	ContentEncoding string            `json:"contentEncoding,omitempty"`
	Application     map[string]string `json:"applicationProperties,omitempty"`
	Ack             string            `json:"ack,omitempty" default:"none" enum:"none,positive,negative,full" doc:"For which outcomes back ends get feedback."`
	ExpiryTime      *time.Time        `json:"expiryTime,omitempty" doc:"At most 48 h from now; left out, the hub's default of one hour."`
}

// SentC2D is a message in its queue.
type SentC2D struct {
	MessageID      string `json:"messageId"`
	SequenceNumber uint64 `json:"sequenceNumber" doc:"Rises within the queue."`
	EnqueuedTime   string `json:"enqueuedTime" doc:"UTC, ISO 8601."`
	ExpiryTime     string `json:"expiryTime" doc:"UTC, ISO 8601."`
	Outcome        string `json:"outcome,omitempty" enum:"Success,Expired,DeliveryCountExceeded,Rejected,Purged" doc:"What became of it, when that was waited for; left out when the time was over first."`
}

type (
	// C2DQuery is exported because huma passes over embedded types that are not.
	C2DQuery struct {
		DeviceID string `path:"deviceId"`
		Wait     string `query:"wait" default:"0" doc:"How long to wait for the message's outcome, at most 5m: 30s, 1m30s or a number of seconds. It takes no feedback away from anybody."`
		Body     C2DMessage
	}
	moduleC2DQuery struct {
		C2DQuery
		ModuleID string `path:"moduleId"`
	}
	c2dOutput struct{ Body SentC2D }
)

func (s *server) registerC2D() {
	operation := huma.Operation{
		OperationID: "sendC2D", Method: http.MethodPost, Path: "/devices/{deviceId}/c2d", Summary: "Send a cloud-to-device message to a device",
		Description: "With wait, answers when the device has completed or rejected the message, or it has expired.",
		// A method with its base64 would be larger.
		MaxBodyBytes: 2 * iothub.MaxC2DSize,
		Errors:       []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusRequestEntityTooLarge},
	}
	huma.Register(s.api, operation, func(ctx context.Context, in *C2DQuery) (*c2dOutput, error) {
		return s.sendC2D(ctx, iothub.ID{DeviceID: in.DeviceID}, in)
	})
	operation.OperationID, operation.Path = "sendModuleC2D", "/devices/{deviceId}/modules/{moduleId}/c2d"
	operation.Summary = "Send a cloud-to-device message to a module"
	huma.Register(s.api, operation, func(ctx context.Context, in *moduleC2DQuery) (*c2dOutput, error) {
		return s.sendC2D(ctx, iothub.ID{DeviceID: in.DeviceID, ModuleID: in.ModuleID}, &in.C2DQuery)
	})
}

func (s *server) sendC2D(ctx context.Context, id iothub.ID, in *C2DQuery) (*c2dOutput, error) {
	timeout, err := parseTimeout(in.Wait)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity("validation failed",
			&huma.ErrorDetail{Message: err.Error(), Location: "query.wait", Value: in.Wait})
	}
	m, err := in.Body.message(id)
	if err != nil {
		return nil, err
	}
	out := new(c2dOutput)
	if timeout == 0 {
		m, err = s.hub(ctx).SendC2D(ctx, m)
	} else {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		var outcome iothub.Outcome
		m, outcome, err = s.hub(ctx).SendC2DAndWait(ctx, m)
		out.Body.Outcome = string(outcome)
	}
	if err != nil {
		return nil, s.problem(err)
	}
	out.Body.MessageID, out.Body.SequenceNumber = m.System.MessageID, m.SequenceNumber
	out.Body.EnqueuedTime, out.Body.ExpiryTime = iothub.FormatTime(m.EnqueuedTime), iothub.FormatTime(m.ExpiryTime)
	return out, nil
}

// message returns the message in the hub's terms; properties are in the order of
// their names.
func (b *C2DMessage) message(id iothub.ID) (iothub.C2DMessage, error) {
	m := iothub.C2DMessage{
		ID: id, Body: []byte(b.Body), Ack: iothub.Ack(b.Ack),
		System: iothub.SystemProperties{
			MessageID: b.MessageID, CorrelationID: b.CorrelationID, UserID: b.UserID,
			ContentType: b.ContentType, ContentEncoding: b.ContentEncoding,
		},
	}
	for _, name := range slices.Sorted(maps.Keys(b.Application)) {
		m.Properties = append(m.Properties, iothub.Property{Name: name, Value: b.Application[name]})
	}
	if b.ExpiryTime != nil {
		m.ExpiryTime = *b.ExpiryTime
	}
	if b.BodyEncoding == "base64" {
		body, err := base64.StdEncoding.DecodeString(b.Body)
		if err != nil {
			return m, huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Message: "expected base64", Location: "body.body"})
		}
		m.Body = body
	}
	return m, nil
}
