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

// Message is a message that was kept: from a device, or to one at one of its steps.
type Message struct {
	Direction string `json:"direction" enum:"d2c,c2d"`
	Device    string `json:"device"`
	// Module is empty when the device itself sent the message, or is to receive it.
	Module         string           `json:"module" doc:"Empty when it is the device itself."`
	Source         string           `json:"source,omitempty" enum:"Telemetry,twinChangeEvents,deviceLifecycleEvents,deviceConnectionStateEvents" doc:"Of d2c."`
	Partition      int              `json:"partition" doc:"Of d2c."`
	SequenceNumber int64            `json:"sequenceNumber" doc:"Rises within the partition, or the device's queue."`
	EnqueuedTime   string           `json:"enqueuedTime" doc:"UTC, ISO 8601."`
	System         SystemProperties `json:"systemProperties"`
	// Application properties by name; never null.
	Application  map[string]string `json:"applicationProperties"`
	Body         string            `json:"body" doc:"Text, or base64 when it is not UTF-8."`
	BodyEncoding string            `json:"bodyEncoding" enum:"utf8,base64"`

	Event         string     `json:"event,omitempty" enum:"sent,delivered,abandoned,ended" doc:"Of c2d: the step."`
	Outcome       string     `json:"outcome,omitempty" doc:"Of c2d that ended: Success, Expired, DeliveryCountExceeded, Rejected or Purged."`
	Ack           string     `json:"ack,omitempty" doc:"Of c2d: for which outcomes it asks for feedback."`
	DeliveryCount int        `json:"deliveryCount,omitempty" doc:"Of c2d."`
	ExpiryTime    *time.Time `json:"expiryTime,omitempty" doc:"Of c2d."`
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

	ConnectionDeviceID   string `json:"connectionDeviceId,omitempty"`
	ConnectionModuleID   string `json:"connectionModuleId,omitempty"`
	ConnectionAuthMethod string `json:"connectionAuthMethod,omitempty" doc:"The JSON text that readers of the hub see."`
	DeviceGenerationID   string `json:"connectionDeviceGenerationId,omitempty"`
	EnqueuedTime         string `json:"enqueuedTime"`
}

// MessagesQuery selects messages. It is exported because huma passes over
// embedded types that are not.
type MessagesQuery struct {
	ActivityFilter
	Direction string `query:"direction" default:"d2c" enum:"d2c,c2d,all" doc:"What devices sent and the hub told of (d2c), what back ends sent to devices (c2d), or both. Of c2d there is one message when it was sent, or with outcome or event those that ended so, and so on."`
	Source    string `query:"source" default:"Telemetry" enum:"Telemetry,twinChangeEvents,deviceLifecycleEvents,deviceConnectionStateEvents,all" doc:"Of d2c, only messages of this source: what devices sent, or what the hub tells of twins, identities and connections."`
}

type messagesOutput struct {
	Body struct {
		Messages []Message `json:"messages" nullable:"false"`
		Position string    `json:"position" doc:"The place after the last one here, for since."`
	}
}

func (s *server) registerMessages() {
	huma.Register(s.api, huma.Operation{
		OperationID: "messages", Method: http.MethodGet, Path: "/messages", Summary: "Messages that were kept, in order", Tags: []string{"activity"},
		Description: "Ordered by time; those of one device are in its order. since takes the position of an answer, or the sequence number of the last message of a device.",
	}, func(ctx context.Context, in *struct {
		MessagesQuery
		PageQuery
	},
	) (*messagesOutput, error) {
		q, err := in.query()
		if err != nil {
			return nil, err
		}
		page, err := s.page(ctx, q, &in.PageQuery)
		return s.messages(page, err)
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "waitForMessages", Method: http.MethodGet, Path: "/messages/wait", Summary: "Wait for messages", Tags: []string{"activity"},
		Description: "Like /messages, but answers when count messages match or the time is over; then with fewer.",
	}, func(ctx context.Context, in *struct {
		MessagesQuery
		LimitQuery
		WaitQuery
	},
	) (*messagesOutput, error) {
		q, err := in.query()
		if err != nil {
			return nil, err
		}
		timeout, err := in.timeout()
		if err != nil {
			return nil, err
		}
		page, err := s.hub(ctx).WaitActivity(ctx, q, in.Count, in.Limit, timeout)
		return s.messages(page, err)
	})
}

func (m *MessagesQuery) query() (hub.ActivityQuery, error) {
	f := m.ActivityFilter
	after, numbered := int64(-1), false
	if n, err := strconv.ParseInt(f.Since, 10, 64); err == nil && n >= -1 {
		after, numbered, f.Since = n, true, ""
	}
	var kinds []string
	if m.Direction != "c2d" {
		kinds = append(kinds, string(hub.ActivityTelemetry))
	}
	if m.Direction != "d2c" {
		kinds = append(kinds, string(hub.ActivityC2D))
	}
	q, err := f.query(kinds)
	if err != nil {
		return q, err
	}
	q.Source = iothub.MessageSource(m.Source)
	// Of a message to a device there is an activity for each step.
	once := len(f.Event) == 0 && len(f.Outcome) == 0
	selects := q.Select
	q.Select = func(a *hub.Activity) bool {
		switch {
		case a.Telemetry != nil && numbered && a.Telemetry.SequenceNumber <= after, a.C2D != nil && numbered && int64(a.C2D.SequenceNumber) <= after:
			return false
		case a.C2D != nil && once && a.Event != hub.EventSent:
			return false
		}
		return selects == nil || selects(a)
	}
	return q, nil
}

func (s *server) messages(page hub.ActivityPage, err error) (*messagesOutput, error) {
	if err != nil {
		return nil, s.activityError(err)
	}
	out := new(messagesOutput)
	out.Body.Messages, out.Body.Position = make([]Message, 0, len(page.Activities)), page.Position
	for i := range page.Activities {
		a := &page.Activities[i]
		if a.C2D != nil {
			out.Body.Messages = append(out.Body.Messages, c2dMessage(a))
			continue
		}
		m, err := message(*a.Telemetry)
		if err != nil {
			return nil, err
		}
		out.Body.Messages = append(out.Body.Messages, m)
	}
	return out, nil
}

// c2dMessage is a message to a device at one of its steps.
func c2dMessage(a *hub.Activity) Message {
	c := a.C2D
	expiry := c.ExpiryTime.UTC()
	m := Message{
		Direction: "c2d", Device: c.ID.DeviceID, Module: c.ID.ModuleID, SequenceNumber: int64(c.SequenceNumber), EnqueuedTime: iothub.FormatTime(c.EnqueuedTime),
		System: SystemProperties{
			MessageID: c.System.MessageID, CorrelationID: c.System.CorrelationID, UserID: c.System.UserID, To: c.System.To,
			ContentType: c.System.ContentType, ContentEncoding: c.System.ContentEncoding,
			Expiry: c.System.Expiry, CreationTime: c.System.CreationTime, EnqueuedTime: iothub.FormatTime(c.EnqueuedTime),
		},
		Application: c.Properties.Map(),
		Event:       a.Event, Outcome: string(a.Outcome), Ack: string(c.Ack), DeliveryCount: c.DeliveryCount, ExpiryTime: &expiry,
	}
	m.setBody(c.Body)
	return m
}

func (m *Message) setBody(body []byte) {
	m.Body, m.BodyEncoding = string(body), "utf8"
	if !utf8.Valid(body) {
		m.Body, m.BodyEncoding = base64.StdEncoding.EncodeToString(body), "base64"
	}
}

func message(t iothub.Telemetry) (Message, error) {
	auth, err := json.Marshal(t.AuthMethod)
	if err != nil {
		return Message{}, err
	}
	enqueued := iothub.FormatTime(t.EnqueuedTime)
	m := Message{
		Direction: "d2c", Device: t.ID.DeviceID, Module: t.ID.ModuleID, Source: string(cmp.Or(t.Source, iothub.MessageSourceTelemetry)),
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
	}
	m.setBody(t.Body)
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
