package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/query"
)

// Routing is the configuration of routes, enrichments and endpoints.
type Routing struct {
	// Routes, Enrichments and Endpoints in the order of their names.
	Routes      []iothub.Route      `json:"routes"`
	Enrichments []iothub.Enrichment `json:"enrichments"`
	Endpoints   []iothub.Endpoint   `json:"endpoints"`
	// Fallback sends telemetry that fulfils no condition to the built-in endpoint.
	Fallback bool `json:"fallback"`
}

func (r Routing) clone() Routing {
	r.Routes, r.Enrichments, r.Endpoints = slices.Clone(r.Routes), slices.Clone(r.Enrichments), slices.Clone(r.Endpoints)
	return r
}

// routingQueue is the store's queue whose one entry is the configuration.
const routingQueue = "/routing"

// storedRouting is the stored form, version 1.
type storedRouting struct {
	Version int     `json:"v"`
	Routing Routing `json:"routing"`
}

// loadRouting reads the configuration and starts the webhooks.
func (h *Hub) loadRouting(ctx context.Context) error {
	entries, err := h.o.Queues.Load(ctx, routingQueue)
	if err != nil {
		return fmt.Errorf("hub: routing: %w", err)
	}
	h.routingNow = Routing{Fallback: true}
	if len(entries) > 0 {
		last := entries[len(entries)-1]
		var s storedRouting
		if err := json.Unmarshal(last.Payload, &s); err != nil {
			return fmt.Errorf("hub: routing: %w", err)
		}
		if s.Version != 1 {
			return errors.New("hub: the stored routing configuration has an unknown version")
		}
		h.routingNow, h.routingEntry = s.Routing, last.Number
	}
	if err := h.loadDeadLetters(ctx); err != nil {
		return err
	}
	table, err := h.compileRouting(h.routingNow, map[string]*webhook{})
	if err != nil {
		return fmt.Errorf("hub: routing: %w", err)
	}
	h.applyRouting(table)
	return nil
}

// Routing returns the configuration.
func (h *Hub) Routing() Routing {
	h.routingMu.Lock()
	defer h.routingMu.Unlock()
	return h.routingNow.clone()
}

// Orphaned returns how many messages no endpoint got since the start.
func (h *Hub) Orphaned() int64 { return h.orphaned.Load() }

// PutRoute adds or replaces a route, durably. A condition that cannot be parsed
// is ArgumentInvalid and names the position.
func (h *Hub) PutRoute(ctx context.Context, route iothub.Route) error {
	if err := route.Validate(); err != nil {
		return err
	}
	return h.changeRouting(ctx, func(r *Routing) error {
		r.Routes = put(r.Routes, route, routeName)
		if len(r.Routes) > iothub.MaxRoutes {
			return iothub.NewError(iothub.CodeArgumentInvalid, "There may be %d routes at most.", iothub.MaxRoutes)
		}
		return nil
	})
}

// DeleteRoute removes a route, or returns GenericNotFound.
func (h *Hub) DeleteRoute(ctx context.Context, name string) error {
	return h.changeRouting(ctx, func(r *Routing) (err error) {
		r.Routes, err = remove(r.Routes, name, routeName, "route")
		return err
	})
}

// SetFallback says what becomes of telemetry that fulfils no condition.
func (h *Hub) SetFallback(ctx context.Context, on bool) error {
	return h.changeRouting(ctx, func(r *Routing) error {
		r.Fallback = on
		return nil
	})
}

// PutEnrichment adds or replaces an enrichment, durably.
func (h *Hub) PutEnrichment(ctx context.Context, e iothub.Enrichment) error {
	if err := e.Validate(); err != nil {
		return err
	}
	return h.changeRouting(ctx, func(r *Routing) error {
		r.Enrichments = put(r.Enrichments, e, enrichmentKey)
		if len(r.Enrichments) > iothub.MaxEnrichments {
			return iothub.NewError(iothub.CodeArgumentInvalid, "There may be %d enrichments at most.", iothub.MaxEnrichments)
		}
		return nil
	})
}

// DeleteEnrichment removes an enrichment, or returns GenericNotFound.
func (h *Hub) DeleteEnrichment(ctx context.Context, key string) error {
	return h.changeRouting(ctx, func(r *Routing) (err error) {
		r.Enrichments, err = remove(r.Enrichments, key, enrichmentKey, "enrichment")
		return err
	})
}

// PutEndpoint adds a webhook or changes its address, durably. What waits for
// it goes to the new address.
func (h *Hub) PutEndpoint(ctx context.Context, e iothub.Endpoint) error {
	if err := e.Validate(); err != nil {
		return err
	}
	return h.changeRouting(ctx, func(r *Routing) error {
		r.Endpoints = put(r.Endpoints, e, endpointName)
		if len(r.Endpoints) > iothub.MaxEndpoints {
			return iothub.NewError(iothub.CodeArgumentInvalid, "There may be %d endpoints at most.", iothub.MaxEndpoints)
		}
		return nil
	})
}

// DeleteEndpoint removes a webhook that no route and no enrichment names. What
// waits for it is dead-lettered. Unknown: GenericNotFound.
func (h *Hub) DeleteEndpoint(ctx context.Context, name string) error {
	return h.changeRouting(ctx, func(r *Routing) (err error) {
		r.Endpoints, err = remove(r.Endpoints, name, endpointName, "endpoint")
		return err
	})
}

func routeName(r iothub.Route) string          { return r.Name }
func enrichmentKey(e iothub.Enrichment) string { return e.Key }
func endpointName(e iothub.Endpoint) string    { return e.Name }

// Names are compared without regard to case and listed in order.
func put[T any](list []T, item T, name func(T) string) []T {
	for i := range list {
		if strings.EqualFold(name(list[i]), name(item)) {
			list[i] = item
			return list
		}
	}
	list = append(list, item)
	slices.SortFunc(list, func(a, b T) int { return strings.Compare(strings.ToLower(name(a)), strings.ToLower(name(b))) })
	return list
}

func remove[T any](list []T, want string, name func(T) string, kind string) ([]T, error) {
	at := slices.IndexFunc(list, func(item T) bool { return strings.EqualFold(name(item), want) })
	if at < 0 {
		return nil, iothub.NewError(iothub.CodeGenericNotFound, "There is no %s %q.", kind, want)
	}
	return slices.Delete(list, at, at+1), nil
}

// changeRouting makes a change durable and then effective.
func (h *Hub) changeRouting(ctx context.Context, change func(*Routing) error) error {
	if !h.enter() {
		return errClosing()
	}
	defer h.leave()
	h.routingMu.Lock()
	defer h.routingMu.Unlock()
	next := h.routingNow.clone()
	if err := change(&next); err != nil {
		return err
	}
	table, err := h.compileRouting(next, h.routing.Load().webhooks)
	if err != nil {
		return err
	}
	payload, err := json.Marshal(storedRouting{1, next})
	if err != nil {
		return err
	}
	if h.routingEntry == 0 {
		h.routingEntry, err = h.o.Queues.Append(ctx, routingQueue, payload)
	} else {
		err = h.o.Queues.Replace(ctx, routingQueue, h.routingEntry, payload)
	}
	if err != nil {
		return err
	}
	h.routingNow = next
	h.applyRouting(table)
	return nil
}

// compileRouting checks a configuration as a whole. Webhooks that exist are
// kept; new ones are made but not started.
func (h *Hub) compileRouting(r Routing, existing map[string]*webhook) (*routingTable, error) {
	table := &routingTable{
		plain: len(r.Routes) == 0, fallback: r.Fallback, routed: map[iothub.RouteSource]bool{},
		routes: map[iothub.RouteSource][]compiledRoute{}, builtIn: map[iothub.RouteSource]bool{},
		enrichments: map[string][]compiledEnrichment{}, webhooks: map[string]*webhook{},
	}
	for _, s := range h.o.BuiltInEvents {
		table.builtIn[s] = true
	}
	for _, e := range r.Endpoints {
		key := strings.ToLower(e.Name)
		w := existing[key]
		if w == nil {
			w = newWebhook(h, e.Name)
		}
		table.webhooks[key] = w
	}
	endpoint := func(name string) (string, error) {
		key := strings.ToLower(name)
		if key == iothub.BuiltInEndpoint || table.webhooks[key] != nil {
			return key, nil
		}
		return "", iothub.NewError(iothub.CodeInvalidMessagingEndpoint, "There is no endpoint %q.", name)
	}
	// Most hubs have nothing to parse.
	parser := sync.OnceValue(query.NewParser)
	for _, route := range r.Routes {
		name, err := endpoint(route.EndpointNames[0])
		if err != nil {
			return nil, err
		}
		condition, err := parser().Condition(route.Condition, query.RoutingFunctions())
		if err != nil {
			return nil, iothub.NewError(iothub.CodeArgumentInvalid, "The condition of route %q is not valid: %v.", route.Name, err)
		}
		table.routed[route.Source] = true
		if route.IsEnabled {
			table.routes[route.Source] = append(table.routes[route.Source], compiledRoute{condition, name})
		}
	}
	for _, e := range r.Enrichments {
		compiled := compileEnrichment(parser, h.o.Name, e)
		for _, name := range e.EndpointNames {
			key, err := endpoint(name)
			if err != nil {
				return nil, err
			}
			table.enrichments[key] = append(table.enrichments[key], compiled)
			table.plain = table.plain && key != iothub.BuiltInEndpoint
		}
	}
	return table, nil
}

// compileEnrichment: a value that is no path of the twin is a text, and so is
// one that looks like a path and is none.
func compileEnrichment(parser func() *query.Parser, hubName string, e iothub.Enrichment) compiledEnrichment {
	compiled := compiledEnrichment{key: e.Key, literal: e.Value}
	switch lower := strings.ToLower(e.Value); {
	case lower == "$iothubname":
		compiled.literal = hubName
	case strings.HasPrefix(lower, "$twin."):
		if path, err := parser().Path(e.Value); err == nil {
			compiled.value = path
		}
	}
	return compiled
}

// applyRouting makes a table effective: new webhooks start before messages can
// come to them, old ones end after.
func (h *Hub) applyRouting(table *routingTable) {
	for _, e := range h.routingNow.Endpoints {
		table.webhooks[strings.ToLower(e.Name)].start(e.URL)
	}
	old := h.routing.Swap(table)
	if old == nil {
		return
	}
	for name, w := range old.webhooks {
		if table.webhooks[name] == nil {
			w.stop(reasonRemoved)
		}
	}
}
