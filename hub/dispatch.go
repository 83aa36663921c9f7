package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/query"
)

// routingTable is the compiled routing configuration. It is never changed.
type routingTable struct {
	// plain says that there is nothing to decide for telemetry: all of it goes
	// to the built-in endpoint as it is.
	plain bool
	// routed are the sources that have a route, enabled or not.
	routed map[iothub.RouteSource]bool
	routes map[iothub.RouteSource][]compiledRoute
	// fallback sends what fulfilled no condition to the built-in endpoint.
	fallback bool
	// builtIn are the sources of events that go to the built-in endpoint when they have no route.
	builtIn     map[iothub.RouteSource]bool
	enrichments map[string][]compiledEnrichment
	webhooks    map[string]*webhook
}

type compiledRoute struct {
	condition *query.Condition
	endpoint  string
}

type compiledEnrichment struct {
	key, literal string
	// value is nil for a literal.
	value *query.Condition
}

func (r *routingTable) wants(s iothub.RouteSource) bool {
	if r.routed[s] {
		return len(r.routes[s]) > 0
	}
	return r.builtIn[s]
}

// targets returns the endpoints of a message, each once.
// Source: IoT Hub devguide, message routing (fallback route; several routes to
// one endpoint deliver once).
func (r *routingTable) targets(m *query.Message) []string {
	source := m.Telemetry.Source.RouteSource()
	isTelemetry := source == iothub.SourceDeviceMessages
	if !r.routed[source] && (isTelemetry && (r.fallback || len(r.routed) == 0) || r.builtIn[source]) {
		return []string{iothub.BuiltInEndpoint}
	}
	var found []string
	for _, route := range r.routes[source] {
		if !slices.Contains(found, route.endpoint) && route.condition.Matches(m) {
			found = append(found, route.endpoint)
		}
	}
	if len(found) == 0 && isTelemetry && r.fallback {
		return []string{iothub.BuiltInEndpoint}
	}
	return found
}

// dispatch brings a stamped message to its endpoints. done runs exactly once,
// when the built-in endpoint has stored it or refused it; at once when the
// message is for others only or for nobody. It must not block.
func (h *Hub) dispatch(ctx context.Context, table *routingTable, t *iothub.Telemetry, now time.Time, done func(error)) {
	t.EnqueuedTime = now
	m := &query.Message{Telemetry: t, Twin: func() (iothub.Twin, bool) {
		_, twin, err := h.o.Registry.Twin(context.WithoutCancel(ctx), t.ID)
		return twin, err == nil
	}}
	targets := table.targets(m)
	if len(targets) == 0 && t.Source.RouteSource() == iothub.SourceDeviceMessages {
		h.orphaned.Add(1)
		h.o.Logger.Debug("telemetry matches no route and is dropped", "device", t.ID)
	}
	var builtIn *iothub.Telemetry
	for _, endpoint := range targets {
		copied := *t
		if !h.enrich(&copied, table.enrichments[endpoint], m) {
			h.o.Logger.Warn("an enriched message is too large and is dropped", "device", t.ID, "endpoint", endpoint)
			continue
		}
		if endpoint == iothub.BuiltInEndpoint {
			builtIn = &copied
			continue
		}
		copied.Body = bytes.Clone(copied.Body) // t's is the caller's again in a moment
		table.webhooks[endpoint].offer(copied)
	}
	if builtIn == nil {
		if t.Source.RouteSource() == iothub.SourceDeviceMessages {
			h.measures.telemetry(nil)
		}
		done(nil)
		return
	}
	h.store(ctx, builtIn, now, done)
}

// enrich sets the properties of an endpoint. It is false when that makes the
// message too large. Source: IoT Hub message enrichments.
func (h *Hub) enrich(t *iothub.Telemetry, enrichments []compiledEnrichment, m *query.Message) bool {
	if len(enrichments) == 0 {
		return true
	}
	properties := slices.Clone(t.Properties)
	for _, e := range enrichments {
		properties = slices.DeleteFunc(properties, func(p iothub.Property) bool { return strings.EqualFold(p.Name, e.key) })
		properties = append(properties, iothub.Property{Name: e.key, Value: e.text(m)})
	}
	t.Properties = properties
	return iothub.MessageSize(&t.System, t.Properties, t.Body) <= iothub.MaxTelemetrySize
}

// text returns the value of an enrichment; what leads nowhere is its own text.
func (e *compiledEnrichment) text(m *query.Message) string {
	if e.value == nil {
		return e.literal
	}
	switch v := e.value.Value(m).(type) {
	case query.Undefined, nil:
		return e.literal
	case string:
		return v
	default:
		text, err := json.Marshal(v)
		if err != nil {
			return e.literal
		}
		return string(text)
	}
}
