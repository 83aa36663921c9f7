package admin

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// FaultDelay says how long delays are, in real time.
type FaultDelay struct {
	Distribution string `json:"distribution,omitempty" default:"fixed" enum:"fixed,uniform,normal,exponential" doc:"fixed has value, uniform min and max, normal mean and deviation, exponential mean."`
	Value        string `json:"value,omitempty" example:"500ms" doc:"A duration, at most 10m, or a number of seconds; so are the others."`
	Min          string `json:"min,omitempty"`
	Max          string `json:"max,omitempty"`
	Mean         string `json:"mean,omitempty"`
	Deviation    string `json:"deviation,omitempty"`
}

// FaultBody is a rule that makes operations go wrong.
type FaultBody struct {
	Device      string      `json:"device,omitempty" doc:"Only this device and its modules; * and ? stand for any characters and any one." example:"thermostat-*"`
	Operation   string      `json:"operation" minLength:"1" doc:"telemetry; c2d (its delivery); c2d-send (by a back end); feedback and file-notification (their delivery to a back end over AMQP); method; twin-get; twin-report; twin-desired; connect; handshake (TLS); events (on their way to a reader of the Event Hubs-compatible endpoint); rest (any request of the service and device API over HTTPS), or such a request by its method and the pattern of its path, such as GET /twins/{deviceID} or * /devices/*." example:"telemetry"`
	Protocols   []string    `json:"protocols,omitempty" doc:"Only over these: mqtt, mqtt-ws, amqp, amqp-ws, https." example:"[\"mqtt\"]"`
	Action      string      `json:"action" enum:"drop,delay,duplicate,refuse,throttle,disconnect,halfOpen,certificate" doc:"drop: not done and not answered. delay: later. duplicate: twice. refuse: with code. throttle: refuse what is faster than rate. disconnect: TCP reset. halfOpen: the socket stays and nobody answers. certificate: a bad one in the handshake. Not every operation takes every action."`
	Probability float64     `json:"probability,omitempty" default:"1" minimum:"0" maximum:"1" doc:"Of each operation that matches; 0 counts as 1." example:"0.5"`
	Skip        int64       `json:"skip,omitempty" minimum:"0" doc:"How many that match are let through first."`
	Count       int64       `json:"count,omitempty" minimum:"0" doc:"How many are hit at most; 0 is no limit." example:"1"`
	Seed        uint64      `json:"seed,omitempty" doc:"Makes what chance decides repeatable; chosen unless given."`
	Code        any         `json:"code,omitempty" doc:"Of refuse and throttle: a code of the catalogue by number or name; ThrottlingException unless given." example:"429001"`
	Rate        float64     `json:"rate,omitempty" doc:"Of throttle: how many pass per second; a second's worth may come at once."`
	Delay       *FaultDelay `json:"delay,omitempty" doc:"Of delay."`
	Acknowledge bool        `json:"acknowledge,omitempty" doc:"Of drop: acknowledge the telemetry, or the back end's message, that is lost."`
	Certificate string      `json:"certificate,omitempty" enum:"untrusted,expired,wrongName" doc:"Of certificate: what is wrong with it; untrusted unless given."`
}

// Fault is a rule in effect.
type Fault struct {
	ID string `json:"id"`
	FaultBody
	Matched int64 `json:"matched" doc:"How many operations the rule was about."`
	Hits    int64 `json:"hits" doc:"How many it hit."`
}

type faultOutput struct{ Body Fault }

type faultsOutput struct {
	Body struct {
		Faults []Fault `json:"faults" nullable:"false"`
	}
}

type removedOutput struct {
	Body struct {
		Removed int `json:"removed"`
	}
}

type faultID struct {
	ID string `path:"id" doc:"ID of the rule."`
}

func (s *server) registerFaults() {
	tags := []string{"faults"}
	huma.Register(s.api, huma.Operation{
		OperationID: "faults", Method: http.MethodGet, Path: "/faults", Summary: "The fault rules in effect, with how often they hit", Tags: tags,
		Description: "In the order in which they are tried: the first that hits counts. They end with the hub, and by a reset. What they hit is in /activity?kind=fault.",
	}, func(ctx context.Context, _ *struct{}) (*faultsOutput, error) {
		out := new(faultsOutput)
		out.Body.Faults = []Fault{}
		for _, r := range s.hub(ctx).FaultRules() {
			out.Body.Faults = append(out.Body.Faults, faultOf(r))
		}
		return out, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "addFault", Method: http.MethodPost, Path: "/faults", Summary: "Make something go wrong", Tags: tags, DefaultStatus: http.StatusCreated,
		Description: `{"operation":"telemetry","action":"drop","probability":0.5} loses half of the telemetry; {"device":"d1","operation":"method","action":"delay",` +
			`"delay":{"distribution":"normal","mean":"2s","deviation":"500ms"}} slows methods; {"operation":"connect","action":"refuse","code":"IotHubUnauthorizedAccess","count":3} ` +
			"refuses three connections. Nothing of the management API itself goes wrong by a rule.",
	}, func(ctx context.Context, in *struct{ Body FaultBody }) (*faultOutput, error) {
		rule, err := in.Body.rule()
		var state hub.FaultRuleState
		if err == nil {
			state, err = s.hub(ctx).AddFaultRule(rule)
		}
		if err != nil {
			detail, ok := err.(*huma.ErrorDetail) //nolint:errorlint // it is never wrapped
			if !ok {
				detail = &huma.ErrorDetail{Message: iothub.AsError(err).Message, Location: "body"}
			}
			return nil, huma.Error422UnprocessableEntity("validation failed", detail)
		}
		return &faultOutput{faultOf(state)}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "fault", Method: http.MethodGet, Path: "/faults/{id}", Summary: "A fault rule", Tags: tags,
	}, func(ctx context.Context, in *faultID) (*faultOutput, error) {
		for _, r := range s.hub(ctx).FaultRules() {
			if r.ID == in.ID {
				return &faultOutput{faultOf(r)}, nil
			}
		}
		return nil, huma.Error404NotFound("There is no such fault rule.")
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "removeFault", Method: http.MethodDelete, Path: "/faults/{id}", Summary: "Remove a fault rule", Tags: tags, DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, in *faultID) (*struct{}, error) {
		if s.hub(ctx).RemoveFaultRule(in.ID) == 0 {
			return nil, huma.Error404NotFound("There is no such fault rule.")
		}
		return nil, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "removeFaults", Method: http.MethodDelete, Path: "/faults", Summary: "Remove all fault rules", Tags: tags,
	}, func(ctx context.Context, _ *struct{}) (*removedOutput, error) {
		out := new(removedOutput)
		out.Body.Removed = s.hub(ctx).RemoveFaultRule("")
		return out, nil
	})
}

// rule reads the body; an error is a *huma.ErrorDetail.
func (b *FaultBody) rule() (hub.FaultRule, error) {
	r := hub.FaultRule{
		Device: b.Device, Operation: b.Operation, Protocols: b.Protocols, Action: hub.FaultAction(b.Action), Probability: b.Probability,
		Skip: b.Skip, Count: b.Count, Seed: b.Seed, Rate: b.Rate, Acknowledge: b.Acknowledge,
		Certificate: hub.FaultCertificateKind(b.Certificate),
	}
	if b.Code != nil {
		code, ok := codeOf(b.Code)
		if !ok {
			return r, &huma.ErrorDetail{Message: "no code of the catalogue", Location: "body.code", Value: b.Code}
		}
		r.Code = code
	}
	if b.Delay == nil {
		return r, nil
	}
	r.Delays.Distribution = b.Delay.Distribution
	for _, d := range []struct {
		name, text string
		to         *time.Duration
	}{
		{"value", b.Delay.Value, &r.Delays.Value},
		{"min", b.Delay.Min, &r.Delays.Min},
		{"max", b.Delay.Max, &r.Delays.Max},
		{"mean", b.Delay.Mean, &r.Delays.Mean},
		{"deviation", b.Delay.Deviation, &r.Delays.Deviation},
	} {
		if d.text == "" {
			continue
		}
		var err error
		if *d.to, err = parseDuration(d.text); err != nil {
			return r, &huma.ErrorDetail{Message: err.Error(), Location: "body.delay." + d.name, Value: d.text}
		}
	}
	return r, nil
}

// codeOf finds a code of the catalogue by number, or by name or number as a text.
func codeOf(v any) (iothub.Code, bool) {
	text := ""
	switch v := v.(type) {
	case float64:
		text = strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		text = v
	}
	for _, c := range iothub.Codes() {
		if text == c.String() || text == strconv.Itoa(int(c)) {
			return c, true
		}
	}
	return 0, false
}

func faultOf(r hub.FaultRuleState) Fault {
	f := Fault{ID: r.ID, Matched: r.Matched, Hits: r.Hits, FaultBody: FaultBody{
		Device: r.Device, Operation: r.Operation, Protocols: r.Protocols, Action: string(r.Action), Probability: r.Probability,
		Skip: r.Skip, Count: r.Count, Seed: r.Seed, Rate: r.Rate, Acknowledge: r.Acknowledge,
		Certificate: string(r.Certificate),
	}}
	if r.Code != 0 {
		f.Code = int(r.Code)
	}
	if r.Action == hub.FaultDelay {
		text := func(d time.Duration) string {
			if d == 0 {
				return ""
			}
			return d.String()
		}
		f.Delay = &FaultDelay{
			Distribution: r.Delays.Distribution, Value: text(r.Delays.Value), Min: text(r.Delays.Min), Max: text(r.Delays.Max),
			Mean: text(r.Delays.Mean), Deviation: text(r.Delays.Deviation),
		}
	}
	return f
}
