package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// fallbackName is the name under which the fallback route is read and set.
// Source: FallbackRouteProperties of the IoT Hub resource API 2023-06-30.
const fallbackName = "$fallback"

// Route is a route, in the form of the IoT Hub resource API.
type Route struct {
	Name          string   `json:"name,omitempty" doc:"That of the path."`
	Source        string   `json:"source"`
	Condition     string   `json:"condition" doc:"A routing query."`
	EndpointNames []string `json:"endpointNames,omitempty" doc:"One name: an endpoint, or events for the built-in one."`
	IsEnabled     bool     `json:"isEnabled"`
}

// RouteBody is a route to be put. What is left out is telemetry, always true,
// the built-in endpoint, enabled.
type RouteBody struct {
	Name          string   `json:"name,omitempty" doc:"Passed over: the path names the route."`
	Source        string   `json:"source,omitempty" default:"DeviceMessages" enum:"DeviceMessages,TwinChangeEvents,DeviceLifecycleEvents,DeviceConnectionStateEvents,DigitalTwinChangeEvents,DeviceJobLifecycleEvents,MqttBrokerMessages"`
	Condition     string   `json:"condition,omitempty" default:"true" doc:"A routing query."`
	EndpointNames []string `json:"endpointNames,omitempty" doc:"One name: an endpoint, or events for the built-in one, which is the default."`
	IsEnabled     *bool    `json:"isEnabled,omitempty" default:"true"`
}

// Enrichment is a message enrichment, in the form of the IoT Hub resource API.
type Enrichment struct {
	Key           string   `json:"key,omitempty" doc:"That of the path."`
	Value         string   `json:"value" doc:"A text, $iothubname, or a path such as $twin.tags.site."`
	EndpointNames []string `json:"endpointNames,omitempty" doc:"The endpoints whose messages get the property; events when there is none."`
}

// Endpoint is a webhook.
type Endpoint struct {
	Name string `json:"name,omitempty" doc:"That of the path."`
	URL  string `json:"url" doc:"Where messages are posted to, in the schema of Event Grid."`
}

// DeadLetter is a message that a webhook did not get.
type DeadLetter struct {
	ID        string  `json:"id" doc:"The ID of the event that was posted."`
	Endpoint  string  `json:"endpoint"`
	Reason    string  `json:"reason" enum:"refused,deliveryAttempts,queueFull,endpointRemoved,hubClosing,cannotBeDelivered"`
	LastError string  `json:"lastError"`
	Attempts  int     `json:"attempts"`
	Time      string  `json:"time" doc:"UTC, ISO 8601."`
	Message   Message `json:"message" doc:"It was in no partition: those members are 0."`
}

type (
	namePath struct {
		Name string `path:"name"`
	}
	routesOutput struct {
		Body struct {
			Routes   []Route `json:"routes" nullable:"false"`
			Fallback Route   `json:"fallbackRoute" doc:"Where telemetry goes that fulfils no condition."`
			Orphaned int64   `json:"orphaned" doc:"Telemetry since the start that went nowhere."`
		}
	}
	routeOutput       struct{ Body Route }
	enrichmentsOutput struct {
		Body struct {
			Enrichments []Enrichment `json:"enrichments" nullable:"false"`
		}
	}
	enrichmentOutput struct{ Body Enrichment }
	endpointsOutput  struct {
		Body struct {
			Endpoints []Endpoint `json:"endpoints" nullable:"false"`
		}
	}
	endpointOutput    struct{ Body Endpoint }
	deadLettersOutput struct {
		Body struct {
			DeadLetters []DeadLetter `json:"deadLetters" nullable:"false"`
		}
	}
)

func (s *server) registerRouting() {
	s.registerRoutes()
	s.registerEnrichments()
	s.registerEndpoints()
	s.registerDeadLetters()
}

func (s *server) registerRoutes() {
	huma.Register(s.api, huma.Operation{
		OperationID: "routes", Method: http.MethodGet, Path: "/routes", Summary: "The message routes",
	}, func(ctx context.Context, _ *struct{}) (*routesOutput, error) {
		r, out := s.hub(ctx).Routing(), new(routesOutput)
		out.Body.Routes = []Route{}
		for _, route := range r.Routes {
			out.Body.Routes = append(out.Body.Routes, routeJSON(route))
		}
		out.Body.Fallback, out.Body.Orphaned = fallbackJSON(r), s.hub(ctx).Orphaned()
		return out, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "route", Method: http.MethodGet, Path: "/routes/{name}", Summary: "One route",
		Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *namePath) (*routeOutput, error) { return s.route(ctx, in.Name) })
	huma.Register(s.api, huma.Operation{
		OperationID: "putRoute", Method: http.MethodPut, Path: "/routes/{name}", Summary: "Add or replace a route",
		Description: "Kept over restarts. Of the route $fallback, which is always there, only isEnabled can be set.",
		Errors:      []int{http.StatusBadRequest},
	}, func(ctx context.Context, in *struct {
		Name string `path:"name"`
		Body RouteBody
	},
	) (*routeOutput, error) {
		enabled := in.Body.IsEnabled == nil || *in.Body.IsEnabled
		var err error
		if in.Name == fallbackName {
			err = s.hub(ctx).SetFallback(ctx, enabled)
		} else {
			endpoints := in.Body.EndpointNames
			if len(endpoints) == 0 {
				endpoints = []string{iothub.BuiltInEndpoint}
			}
			err = s.hub(ctx).PutRoute(ctx, iothub.Route{
				Name: in.Name, Source: iothub.RouteSource(in.Body.Source), Condition: in.Body.Condition,
				EndpointNames: endpoints, IsEnabled: enabled,
			})
		}
		if err != nil {
			return nil, s.problem(err)
		}
		return s.route(ctx, in.Name)
	})
	s.registerDelete("Route", "/routes/{name}", "Remove a route", (*hub.Hub).DeleteRoute)
}

func (s *server) registerEnrichments() {
	huma.Register(s.api, huma.Operation{
		OperationID: "enrichments", Method: http.MethodGet, Path: "/enrichments", Summary: "The message enrichments",
	}, func(ctx context.Context, _ *struct{}) (*enrichmentsOutput, error) {
		out := new(enrichmentsOutput)
		out.Body.Enrichments = []Enrichment{}
		for _, e := range s.hub(ctx).Routing().Enrichments {
			out.Body.Enrichments = append(out.Body.Enrichments, Enrichment(e))
		}
		return out, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "enrichment", Method: http.MethodGet, Path: "/enrichments/{name}", Summary: "One enrichment",
		Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *namePath) (*enrichmentOutput, error) { return s.enrichment(ctx, in.Name) })
	huma.Register(s.api, huma.Operation{
		OperationID: "putEnrichment", Method: http.MethodPut, Path: "/enrichments/{name}", Summary: "Add or replace an enrichment",
		Description: "The name is the key of the application property that messages get. Kept over restarts.",
		Errors:      []int{http.StatusBadRequest},
	}, func(ctx context.Context, in *struct {
		Name string `path:"name"`
		Body Enrichment
	},
	) (*enrichmentOutput, error) {
		endpoints := in.Body.EndpointNames
		if len(endpoints) == 0 {
			endpoints = []string{iothub.BuiltInEndpoint}
		}
		if err := s.hub(ctx).PutEnrichment(ctx, iothub.Enrichment{Key: in.Name, Value: in.Body.Value, EndpointNames: endpoints}); err != nil {
			return nil, s.problem(err)
		}
		return s.enrichment(ctx, in.Name)
	})
	s.registerDelete("Enrichment", "/enrichments/{name}", "Remove an enrichment", (*hub.Hub).DeleteEnrichment)
}

func (s *server) registerEndpoints() {
	huma.Register(s.api, huma.Operation{
		OperationID: "endpoints", Method: http.MethodGet, Path: "/endpoints", Summary: "The webhooks that routes may name",
	}, func(ctx context.Context, _ *struct{}) (*endpointsOutput, error) {
		out := new(endpointsOutput)
		out.Body.Endpoints = []Endpoint{}
		for _, e := range s.hub(ctx).Routing().Endpoints {
			out.Body.Endpoints = append(out.Body.Endpoints, Endpoint(e))
		}
		return out, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "endpoint", Method: http.MethodGet, Path: "/endpoints/{name}", Summary: "One webhook",
		Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *namePath) (*endpointOutput, error) { return s.endpoint(ctx, in.Name) })
	huma.Register(s.api, huma.Operation{
		OperationID: "putEndpoint", Method: http.MethodPut, Path: "/endpoints/{name}", Summary: "Add a webhook or change its address",
		Description: "Kept over restarts. Messages are posted one after the other, ten times at most, and then dead-lettered.",
		Errors:      []int{http.StatusBadRequest},
	}, func(ctx context.Context, in *struct {
		Name string `path:"name"`
		Body Endpoint
	},
	) (*endpointOutput, error) {
		if err := s.hub(ctx).PutEndpoint(ctx, iothub.Endpoint{Name: in.Name, URL: in.Body.URL}); err != nil {
			return nil, s.problem(err)
		}
		return s.endpoint(ctx, in.Name)
	})
	s.registerDelete("Endpoint", "/endpoints/{name}", "Remove a webhook that nothing names", (*hub.Hub).DeleteEndpoint)
}

func (s *server) registerDeadLetters() {
	huma.Register(s.api, huma.Operation{
		OperationID: "deadLetters", Method: http.MethodGet, Path: "/dead-letters", Summary: "Messages that webhooks did not get",
		Description: "Oldest first; the last 1,000, or 64 MiB of them. Kept over restarts.",
	}, func(ctx context.Context, _ *struct{}) (*deadLettersOutput, error) {
		out := new(deadLettersOutput)
		out.Body.DeadLetters = []DeadLetter{}
		for _, d := range s.hub(ctx).DeadLetters() {
			m, err := message(d.Message)
			if err != nil {
				return nil, err
			}
			out.Body.DeadLetters = append(out.Body.DeadLetters, DeadLetter{
				ID: d.ID, Endpoint: d.Endpoint, Reason: d.Reason, LastError: d.LastError, Attempts: d.Attempts,
				Time: iothub.FormatTime(d.Time), Message: m,
			})
		}
		return out, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "clearDeadLetters", Method: http.MethodDelete, Path: "/dead-letters", Summary: "Forget all dead letters",
		DefaultStatus: http.StatusNoContent,
	}, func(ctx context.Context, _ *struct{}) (*struct{}, error) {
		s.hub(ctx).ClearDeadLetters()
		return nil, nil
	})
}

func (s *server) registerDelete(kind, path, summary string, remove func(*hub.Hub, context.Context, string) error) {
	huma.Register(s.api, huma.Operation{
		OperationID: "delete" + kind, Method: http.MethodDelete, Path: path, Summary: summary,
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusBadRequest, http.StatusNotFound},
	}, func(ctx context.Context, in *namePath) (*struct{}, error) {
		if err := remove(s.hub(ctx), ctx, in.Name); err != nil {
			return nil, s.problem(err)
		}
		return nil, nil
	})
}

func (s *server) route(ctx context.Context, name string) (*routeOutput, error) {
	r := s.hub(ctx).Routing()
	if name == fallbackName {
		return &routeOutput{fallbackJSON(r)}, nil
	}
	for _, route := range r.Routes {
		if strings.EqualFold(route.Name, name) {
			return &routeOutput{routeJSON(route)}, nil
		}
	}
	return nil, huma.Error404NotFound("There is no such route.")
}

func (s *server) enrichment(ctx context.Context, key string) (*enrichmentOutput, error) {
	for _, e := range s.hub(ctx).Routing().Enrichments {
		if strings.EqualFold(e.Key, key) {
			return &enrichmentOutput{Enrichment(e)}, nil
		}
	}
	return nil, huma.Error404NotFound("There is no such enrichment.")
}

func (s *server) endpoint(ctx context.Context, name string) (*endpointOutput, error) {
	for _, e := range s.hub(ctx).Routing().Endpoints {
		if strings.EqualFold(e.Name, name) {
			return &endpointOutput{Endpoint(e)}, nil
		}
	}
	return nil, huma.Error404NotFound("There is no such endpoint.")
}

func routeJSON(r iothub.Route) Route {
	return Route{r.Name, string(r.Source), r.Condition, r.EndpointNames, r.IsEnabled}
}

func fallbackJSON(r hub.Routing) Route {
	return Route{fallbackName, string(iothub.SourceDeviceMessages), "true", []string{iothub.BuiltInEndpoint}, r.Fallback}
}

// problem turns an error of the hub into an answer.
func (s *server) problem(err error) error {
	var e *iothub.Error
	if errors.As(err, &e) && e.Code.HTTPStatus() != http.StatusInternalServerError {
		return huma.NewError(e.Code.HTTPStatus(), e.Message)
	}
	if r := (*Refusal)(nil); errors.As(err, &r) {
		return huma.NewError(r.Status, r.Message)
	}
	if !errors.Is(err, context.Canceled) {
		s.Logger.Error("a management request failed", "err", err)
	}
	return huma.Error500InternalServerError("The emulator failed; see its log.")
}
