package admin

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// Message is one kept telemetry message.
type Message struct {
	Device string `json:"device"`
	// Module is empty when the device itself sent the message.
	Module         string           `json:"module" doc:"Empty when the device itself sent it."`
	Source         string           `json:"source" enum:"Telemetry,twinChangeEvents,deviceLifecycleEvents,deviceConnectionStateEvents"`
	Partition      int              `json:"partition"`
	SequenceNumber int64            `json:"sequenceNumber" doc:"Rises within the partition."`
	EnqueuedTime   string           `json:"enqueuedTime" doc:"UTC, ISO 8601."`
	System         SystemProperties `json:"systemProperties"`
	// Application properties by name; never null.
	Application  map[string]string `json:"applicationProperties"`
	Body         string            `json:"body" doc:"Text, or base64 when it is not UTF-8."`
	BodyEncoding string            `json:"bodyEncoding" enum:"utf8,base64"`
}

// SystemProperties are those the sender set, when set, and those the hub stamped.
// Source: IoT Hub devguide, create and read messages.
type SystemProperties struct {
	MessageID       string `json:"messageId,omitempty"`
	CorrelationID   string `json:"correlationId,omitempty"`
	UserID          string `json:"userId,omitempty"`
	To              string `json:"to,omitempty"`
	ContentType     string `json:"contentType,omitempty"`
	ContentEncoding string `json:"contentEncoding,omitempty"`
	Expiry          string `json:"expiry,omitempty"`
	CreationTime    string `json:"creationTime,omitempty"`
	Schema          string `json:"schema,omitempty"`
	Component       string `json:"component,omitempty"`
	InterfaceID     string `json:"interfaceId,omitempty"`
	OutputName      string `json:"outputName,omitempty"`
	ModelID         string `json:"modelId,omitempty"`

	ConnectionDeviceID   string `json:"connectionDeviceId"`
	ConnectionModuleID   string `json:"connectionModuleId,omitempty"`
	ConnectionAuthMethod string `json:"connectionAuthMethod" doc:"The JSON text that readers of the hub see."`
	DeviceGenerationID   string `json:"connectionDeviceGenerationId"`
	EnqueuedTime         string `json:"enqueuedTime"`
}

// MessagesQuery selects messages. It is exported because huma passes over
// embedded types that are not.
type MessagesQuery struct {
	Device string `query:"device" doc:"Only messages of this device and its modules."`
	Source string `query:"source" default:"Telemetry" enum:"Telemetry,twinChangeEvents,deviceLifecycleEvents,deviceConnectionStateEvents,all" doc:"Only messages of this source: what devices sent, or what the hub tells of twins, identities and connections."`
	Since  int64  `query:"since" default:"-1" minimum:"-1" doc:"Only messages after this sequence number of the device's partition."`
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"10000" doc:"The most messages to return."`
}

type waitQuery struct {
	MessagesQuery
	Count   int    `query:"count" default:"1" minimum:"1" maximum:"10000" doc:"How many messages to wait for."`
	Timeout string `query:"timeout" default:"30s" doc:"How long to wait, at most 5m: 30s, 1m30s or a number of seconds."`
}

type messagesOutput struct {
	Body struct {
		Messages []Message `json:"messages" nullable:"false"`
	}
}

func (s *server) registerMessages() {
	huma.Register(s.api, huma.Operation{
		OperationID: "messages", Method: http.MethodGet, Path: "/messages", Summary: "Telemetry that was kept, in order",
		Description: "Ordered by partition, then sequence number; the messages of a device are all in one partition.",
	}, func(ctx context.Context, in *MessagesQuery) (*messagesOutput, error) {
		list, err := s.hub(ctx).ReadTelemetry(ctx, in.query())
		return s.messages(list, err)
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "waitForMessages", Method: http.MethodGet, Path: "/messages/wait", Summary: "Wait for telemetry",
		Description: "Like /messages, but answers when count messages match or the time is over; then with fewer.",
	}, func(ctx context.Context, in *waitQuery) (*messagesOutput, error) {
		timeout, err := parseTimeout(in.Timeout)
		if err != nil {
			return nil, huma.Error422UnprocessableEntity("validation failed",
				&huma.ErrorDetail{Message: err.Error(), Location: "query.timeout", Value: in.Timeout})
		}
		q := in.query()
		q.Limit = max(q.Limit, in.Count)
		list, err := s.hub(ctx).WaitTelemetry(ctx, q, in.Count, timeout)
		return s.messages(list, err)
	})
}

func (q *MessagesQuery) query() hub.TelemetryQuery {
	return hub.TelemetryQuery{DeviceID: q.Device, Source: iothub.MessageSource(q.Source), Since: q.Since, Limit: q.Limit}
}

func (s *server) messages(list []iothub.Telemetry, err error) (*messagesOutput, error) {
	if err != nil {
		var e *iothub.Error
		if errors.As(err, &e) && e.Code.HTTPStatus() != http.StatusInternalServerError {
			return nil, huma.NewError(e.Code.HTTPStatus(), e.Message)
		}
		if !errors.Is(err, context.Canceled) {
			s.Logger.Error("telemetry cannot be read", "err", err)
		}
		return nil, huma.Error500InternalServerError("Telemetry cannot be read; see the emulator's log.")
	}
	out := new(messagesOutput)
	out.Body.Messages = make([]Message, 0, len(list))
	for _, t := range list {
		m, err := message(t)
		if err != nil {
			return nil, err
		}
		out.Body.Messages = append(out.Body.Messages, m)
	}
	return out, nil
}

func message(t iothub.Telemetry) (Message, error) {
	auth, err := json.Marshal(t.AuthMethod)
	if err != nil {
		return Message{}, err
	}
	enqueued := iothub.FormatTime(t.EnqueuedTime)
	m := Message{
		Device: t.ID.DeviceID, Module: t.ID.ModuleID, Source: string(cmp.Or(t.Source, iothub.MessageSourceTelemetry)),
		Partition: t.Partition, SequenceNumber: t.SequenceNumber, EnqueuedTime: enqueued,
		System: SystemProperties{
			MessageID: t.System.MessageID, CorrelationID: t.System.CorrelationID, UserID: t.System.UserID, To: t.System.To,
			ContentType: t.System.ContentType, ContentEncoding: t.System.ContentEncoding,
			Expiry: t.System.Expiry, CreationTime: t.System.CreationTime, Schema: t.System.Schema,
			Component: t.System.Component, InterfaceID: t.System.InterfaceID, OutputName: t.System.OutputName,
			ModelID: t.ModelID, ConnectionDeviceID: t.ID.DeviceID, ConnectionModuleID: t.ID.ModuleID,
			ConnectionAuthMethod: string(auth), DeviceGenerationID: t.GenerationID, EnqueuedTime: enqueued,
		},
		Application: t.Properties.Map(),
		Body:        string(t.Body), BodyEncoding: "utf8",
	}
	if !utf8.Valid(t.Body) {
		m.Body, m.BodyEncoding = base64.StdEncoding.EncodeToString(t.Body), "base64"
	}
	return m, nil
}

// parseTimeout reads a duration or a number of seconds, from 0 to MaxWait.
func parseTimeout(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		seconds, numErr := strconv.ParseUint(s, 10, 16)
		if numErr != nil {
			return 0, errors.New("expected a duration such as 30s or a number of seconds")
		}
		d = time.Duration(seconds) * time.Second
	}
	if d < 0 || d > MaxWait {
		return 0, errors.New("expected at most 5m and not less than 0")
	}
	return d, nil
}
