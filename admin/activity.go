package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// Activity is something that happened in a hub. Members that mean nothing for its kind are left out.
type Activity struct {
	Time   time.Time `json:"time" doc:"By the clock of the hubs."`
	Hub    string    `json:"hub"`
	Kind   string    `json:"kind" enum:"telemetry,c2d,feedback,method,twin,connection,identity,upload,refusal,fault"`
	Event  string    `json:"event" doc:"telemetry: received. c2d: sent, delivered, abandoned, ended. feedback: recorded. method: called, answered, failed. twin: patched, replaced, reported. connection: connected, disconnected. identity: created, deleted. upload: started, completed, failed. refusal: refused. fault: hit."`
	Device string    `json:"device,omitempty"`
	Module string    `json:"module,omitempty"`
	// Protocol and RemoteAddress are those of the device's connection.
	Protocol      string `json:"protocol,omitempty" doc:"mqtt, mqtt-ws, amqp, amqp-ws or https."`
	RemoteAddress string `json:"remoteAddress,omitempty"`
	Operation     string `json:"operation,omitempty" doc:"What was refused, or what a fault rule was applied to; of an upload the blob."`
	Rule          string `json:"rule,omitempty" doc:"The fault rule that was applied."`
	// Error is why something was refused, failed or ended.
	Error *ActivityError `json:"error,omitempty" doc:"Why something was refused, failed or ended."`

	MessageID             string            `json:"messageId,omitempty"`
	Outcome               string            `json:"outcome,omitempty" doc:"Of a cloud-to-device message that has ended: Success, Expired, DeliveryCountExceeded, Rejected or Purged."`
	Ack                   string            `json:"ack,omitempty" doc:"For which outcomes a cloud-to-device message asks for feedback."`
	DeliveryCount         int               `json:"deliveryCount,omitempty"`
	ExpiryTime            *time.Time        `json:"expiryTime,omitempty"`
	Partition             *int              `json:"partition,omitempty" doc:"Of telemetry."`
	SequenceNumber        *int64            `json:"sequenceNumber,omitempty" doc:"Of telemetry, in its partition; of a cloud-to-device message, in the device's queue."`
	SystemProperties      *SystemProperties `json:"systemProperties,omitempty"`
	ApplicationProperties map[string]string `json:"applicationProperties,omitempty"`
	Body                  *string           `json:"body,omitempty" doc:"Of a message: text, or base64 when it is not UTF-8."`
	BodyEncoding          string            `json:"bodyEncoding,omitempty" enum:"utf8,base64"`

	Method    string `json:"method,omitempty" doc:"Name of the direct method."`
	RequestID string `json:"requestId,omitempty"`
	Payload   any    `json:"payload,omitempty" doc:"Of the call."`
	Status    *int   `json:"status,omitempty" doc:"Of the device's answer."`
	Response  any    `json:"response,omitempty" doc:"Payload of the device's answer."`
	Took      string `json:"took,omitempty" doc:"From the call to its end, by the clock of the hubs." example:"12.3ms"`

	Change any `json:"change,omitempty" doc:"What was written into a twin, with the versions that it has since: tags, properties.desired, properties.reported."`
	Record any `json:"record,omitempty" doc:"A feedback record as back ends get it."`
}

// ActivityError is a reason, of the error catalogue.
type ActivityError struct {
	Code    int    `json:"code" doc:"Six digits." example:"401003"`
	Name    string `json:"name" example:"IotHubUnauthorizedAccess"`
	Message string `json:"message"`
}

// ActivityQuery selects activities. It is exported because huma passes over embedded types that are not.
type ActivityQuery struct {
	ActivityFilter
	Kind []string `query:"kind" enum:"telemetry,c2d,feedback,method,twin,connection,identity,upload,refusal,fault" doc:"Only these kinds, separated by commas."`
}

// WaitQuery says how long to wait for what.
type WaitQuery struct {
	Count   int    `query:"count" default:"1" minimum:"1" maximum:"10000" doc:"How many to wait for; the answer has more, up to limit, if they came together."`
	Timeout string `query:"timeout" default:"30s" doc:"How long to wait in real time, at most 5m: 30s, 1m30s or a number of seconds."`
}

// LimitQuery bounds an answer.
type LimitQuery struct {
	Limit int `query:"limit" default:"100" minimum:"1" maximum:"10000" doc:"The most to return."`
}

// PageQuery bounds an answer that is a list of what is there.
type PageQuery struct {
	LimitQuery
	Newest bool `query:"newest" doc:"Of what matches the last, up to limit, instead of the first."`
}

// ActivityPage is an answer.
type ActivityPage struct {
	Activity []Activity `json:"activity" nullable:"false"`
	Position string     `json:"position" doc:"The place after the last one here, for since."`
}

type activityOutput struct{ Body ActivityPage }

// activityRoutes are the short ways to one kind.
func activityRoutes() []struct{ path, operation, what, kind string } {
	return []struct{ path, operation, what, kind string }{
		{"/feedback", "feedback", "feedback of cloud-to-device messages, as it is recorded", string(hub.ActivityFeedback)},
		{"/methods", "methods", "direct methods: called, answered, failed", string(hub.ActivityMethod)},
		{"/twin-changes", "twinChanges", "changes of twins: patched, replaced, reported", string(hub.ActivityTwin)},
		{"/connections", "connections", "devices that connected and disconnected, with reasons", string(hub.ActivityConnection)},
		{"/refusals", "refusals", "operations that were refused, with their codes", string(hub.ActivityRefusal)},
		{"/uploads", "uploads", "file uploads: started, completed, failed", string(hub.ActivityUpload)},
	}
}

func (s *server) registerActivity() {
	const remembered = "By time. Telemetry is what the built-in endpoint keeps; of everything else the last 10,000 are remembered until the hub ends or is reset. " +
		"Every answer has a position: pass it as since to go on there."
	huma.Register(s.api, huma.Operation{
		OperationID: "activity", Method: http.MethodGet, Path: "/activity", Summary: "What happened", Tags: []string{"activity"}, Description: remembered,
	}, func(ctx context.Context, in *struct {
		ActivityQuery
		PageQuery
	},
	) (*activityOutput, error) {
		return s.readActivity(ctx, &in.ActivityFilter, in.Kind, &in.PageQuery)
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "waitForActivity", Method: http.MethodGet, Path: "/activity/wait", Summary: "Wait for something to happen", Tags: []string{"activity"},
		Description: "Like /activity, but answers when count match or the time is over; then with fewer.",
	}, func(ctx context.Context, in *struct {
		ActivityQuery
		LimitQuery
		WaitQuery
	},
	) (*activityOutput, error) {
		return s.waitActivity(ctx, &in.ActivityFilter, in.Kind, in.Limit, &in.WaitQuery)
	})
	s.registerStream()
	for _, route := range activityRoutes() {
		huma.Register(s.api, huma.Operation{
			OperationID: route.operation, Method: http.MethodGet, Path: route.path, Summary: "What happened: " + route.what, Tags: []string{"activity"},
			Description: "Short for /activity?kind=" + route.kind + ".",
		}, func(ctx context.Context, in *struct {
			ActivityFilter
			PageQuery
		},
		) (*activityOutput, error) {
			return s.readActivity(ctx, &in.ActivityFilter, []string{route.kind}, &in.PageQuery)
		})
		huma.Register(s.api, huma.Operation{
			OperationID: "waitFor" + string(route.operation[0]-'a'+'A') + route.operation[1:], Method: http.MethodGet, Path: route.path + "/wait",
			Summary: "Wait for " + route.what, Tags: []string{"activity"}, Description: "Short for /activity/wait?kind=" + route.kind + ".",
		}, func(ctx context.Context, in *struct {
			ActivityFilter
			LimitQuery
			WaitQuery
		},
		) (*activityOutput, error) {
			return s.waitActivity(ctx, &in.ActivityFilter, []string{route.kind}, in.Limit, &in.WaitQuery)
		})
	}
}

func (s *server) readActivity(ctx context.Context, f *ActivityFilter, kinds []string, p *PageQuery) (*activityOutput, error) {
	q, err := f.query(kinds)
	if err != nil {
		return nil, err
	}
	page, err := s.page(ctx, q, p)
	return s.activities(ctx, page, err)
}

// page reads the first or the last of what is selected.
func (s *server) page(ctx context.Context, q hub.ActivityQuery, p *PageQuery) (hub.ActivityPage, error) {
	if p.Newest {
		return s.hub(ctx).NewestActivity(ctx, q, p.Limit)
	}
	return s.hub(ctx).ReadActivity(ctx, q, p.Limit)
}

func (s *server) waitActivity(ctx context.Context, f *ActivityFilter, kinds []string, limit int, w *WaitQuery) (*activityOutput, error) {
	q, err := f.query(kinds)
	if err != nil {
		return nil, err
	}
	timeout, err := w.timeout()
	if err != nil {
		return nil, err
	}
	page, err := s.hub(ctx).WaitActivity(ctx, q, w.Count, limit, timeout)
	return s.activities(ctx, page, err)
}

func (w *WaitQuery) timeout() (time.Duration, error) {
	d, err := parseTimeout(w.Timeout)
	if err != nil {
		return 0, huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Message: err.Error(), Location: "query.timeout", Value: w.Timeout})
	}
	return d, nil
}

func (s *server) activities(ctx context.Context, page hub.ActivityPage, err error) (*activityOutput, error) {
	if err != nil {
		return nil, s.activityError(err)
	}
	out := &activityOutput{ActivityPage{Activity: make([]Activity, 0, len(page.Activities)), Position: page.Position}}
	for i := range page.Activities {
		a, err := activity(s.hub(ctx).Name(), &page.Activities[i])
		if err != nil {
			return nil, err
		}
		out.Body.Activity = append(out.Body.Activity, a)
	}
	return out, nil
}

// activityError answers with an error of the hub.
func (s *server) activityError(err error) error {
	var e *iothub.Error
	if iothub.ErrorCode(err) == iothub.CodeArgumentInvalid {
		return huma.Error422UnprocessableEntity("validation failed", &huma.ErrorDetail{Message: iothub.AsError(err).Message, Location: "query.since"})
	}
	if errors.As(err, &e) && e.Code.HTTPStatus() != http.StatusInternalServerError {
		return huma.NewError(e.Code.HTTPStatus(), e.Message)
	}
	if !errors.Is(err, context.Canceled) {
		s.Logger.Error("activities cannot be read", "err", err)
	}
	return huma.Error500InternalServerError("Telemetry cannot be read; see the emulator's log.")
}

// activity puts an activity into the form of the management API.
func activity(hubName string, a *hub.Activity) (Activity, error) {
	out := Activity{
		Time: a.Time.UTC(), Hub: hubName, Kind: string(a.Kind), Event: a.Event, Device: a.ID.DeviceID, Module: a.ID.ModuleID,
		Protocol: a.Protocol, RemoteAddress: a.RemoteAddr, Operation: a.Operation, Rule: a.Rule, Outcome: string(a.Outcome),
	}
	if a.Error != nil {
		out.Error = &ActivityError{int(a.Error.Code), a.Error.Code.String(), a.Error.Message}
	}
	switch {
	case a.Telemetry != nil:
		m, err := message(*a.Telemetry)
		if err != nil {
			return out, err
		}
		out.setMessage(&m)
		out.Partition = &m.Partition
	case a.C2D != nil:
		m := c2dMessage(a)
		out.setMessage(&m)
		out.Ack, out.DeliveryCount, out.ExpiryTime = m.Ack, m.DeliveryCount, m.ExpiryTime
	case a.Method != nil:
		m := a.Method
		out.Method, out.RequestID, out.Payload = m.Name, m.RequestID, rawJSON(m.Payload)
		if a.Event != hub.EventCalled {
			out.Took = m.Took.String()
		}
		if a.Event == hub.EventAnswered {
			out.Status, out.Response = &m.Status, rawJSON(m.Response)
		}
	case a.Kind == hub.ActivityTwin:
		out.Change = rawJSON(a.Body)
	case a.Kind == hub.ActivityFeedback:
		out.Record = rawJSON(a.Body)
	}
	return out, nil
}

func (a *Activity) setMessage(m *Message) {
	a.MessageID, a.SequenceNumber, a.SystemProperties, a.ApplicationProperties = m.System.MessageID, &m.SequenceNumber, &m.System, m.Application
	a.Body, a.BodyEncoding = &m.Body, m.BodyEncoding
}

// rawJSON is nil for no text, so that it is left out.
func rawJSON(text []byte) any {
	if len(text) == 0 {
		return nil
	}
	return json.RawMessage(text)
}
