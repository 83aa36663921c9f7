package hub

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/query"
	"github.com/hubnerite/hubnerite/registry"
)

// edgeHubModule is the module whose twin holds an edge device's routes.
const edgeHubModule = "$edgeHub"

const (
	// defaultEdgeTTL is how long messages wait for a module when nothing says otherwise.
	// Source: properties of the IoT Edge hub module twin (deployment manifests of the documentation).
	defaultEdgeTTL = 2 * time.Hour
	// lowestEdgePriority is that of routes without one; maxEdgePriority is the last that can be given.
	// Source: IoT Edge, deploy modules and establish routes (priority and time-to-live).
	lowestEdgePriority = math.MaxUint32
	maxEdgePriority    = 9
)

// edges are the routes of the edge devices whose modules or children send.
type edges struct {
	// tables holds *edgeEntry by device ID.
	tables sync.Map
	parser func() *query.Parser
	// arriving bounds the messages on their way to inputs.
	arriving chan struct{}
}

func newEdges() edges {
	return edges{parser: sync.OnceValue(query.NewParser), arriving: make(chan struct{}, maxArrivingInputs)}
}

// edgeEntry is what is known of one edge device; whoever needs it first makes it.
type edgeEntry struct {
	once  sync.Once
	table *edgeTable
	err   error
}

// edgeTable are the routes of an edge device. It is never changed.
type edgeTable struct {
	routes []compiledEdgeRoute
}

type compiledEdgeRoute struct {
	*query.EdgeRoute
	priority uint32
	ttl      time.Duration
}

// edgeOf returns the edge device whose routes rule what an identity sends: that of a
// module, or the parent of a leaf device; "" for none. The modules of the system speak
// to the hub.
func edgeOf(i *iothub.Identity) string {
	switch {
	case i.ID.IsModule():
		if i.ID.ModuleID[0] == '$' {
			return ""
		}
		return i.ID.DeviceID
	case i.Capabilities.IoTEdge:
		return ""
	}
	return registry.ScopeOwner(i.DeviceScope)
}

// edgeTable returns the routes of an edge device; nil means that everything goes to
// the hub: there are none, or the device's own edge hub is connected and has applied them.
func (h *Hub) edgeTable(ctx context.Context, device string) (*edgeTable, error) {
	if device == "" {
		return nil, nil
	}
	var e *edgeEntry
	if found, ok := h.edges.tables.Load(device); ok {
		e = found.(*edgeEntry)
	} else {
		found, _ := h.edges.tables.LoadOrStore(device, &edgeEntry{})
		e = found.(*edgeEntry)
	}
	e.once.Do(func() {
		if e.table, e.err = h.readEdgeTable(context.WithoutCancel(ctx), device); e.err != nil {
			h.edges.tables.CompareAndDelete(device, e)
		}
	})
	if e.err != nil || e.table == nil || h.isConnected(iothub.ID{DeviceID: device, ModuleID: edgeHubModule}) {
		return nil, e.err
	}
	return e.table, nil
}

// edgeWritten forgets the routes that a write may have changed.
func (h *Hub) edgeWritten(id iothub.ID) {
	if !id.IsModule() || id.ModuleID == edgeHubModule {
		h.edges.tables.Delete(id.DeviceID)
	}
}

func (h *Hub) isConnected(id iothub.ID) bool {
	p := h.find(id)
	if p == nil {
		return false
	}
	defer h.release(p)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conn != nil
}

// edgeHubDesired are the desired properties of $edgeHub that count here.
// Source: properties of the IoT Edge hub module twin.
type edgeHubDesired struct {
	Routes          map[string]json.RawMessage `json:"routes"`
	StoreAndForward struct {
		TimeToLiveSecs uint32 `json:"timeToLiveSecs"`
	} `json:"storeAndForwardConfiguration"`
}

// edgeRouteObject is a route with what schema version 1.1 added.
type edgeRouteObject struct {
	Route          string  `json:"route"`
	Priority       *uint32 `json:"priority"`
	TimeToLiveSecs uint32  `json:"timeToLiveSecs"`
}

// readEdgeTable reads the routes of a device: nil when it is no edge device or its
// $edgeHub has no routes. A route that cannot be read is logged and passed over.
func (h *Hub) readEdgeTable(ctx context.Context, device string) (*edgeTable, error) {
	identity, _, err := h.o.Registry.Twin(ctx, iothub.ID{DeviceID: device})
	if err == nil && !identity.Capabilities.IoTEdge {
		return nil, nil
	}
	var twin iothub.Twin
	if err == nil {
		_, twin, err = h.o.Registry.Twin(ctx, iothub.ID{DeviceID: device, ModuleID: edgeHubModule})
	}
	if err != nil {
		if iothub.ErrorCode(err).HTTPStatus() == 404 {
			return nil, nil
		}
		return nil, err
	}
	if twin.Desired.Values["routes"] == nil {
		return nil, nil
	}
	log := h.o.Logger.With("device", iothub.ID{DeviceID: device, ModuleID: edgeHubModule})
	var desired edgeHubDesired
	data, err := json.Marshal(twin.Desired.Values)
	if err == nil {
		err = json.Unmarshal(data, &desired)
	}
	if err != nil {
		log.Warn("the routes of the edge hub are malformed; everything goes to the hub", "err", err)
		return nil, nil
	}
	ttl := defaultEdgeTTL
	if n := desired.StoreAndForward.TimeToLiveSecs; n != 0 {
		ttl = time.Duration(n) * time.Second
	}
	table := &edgeTable{}
	for _, name := range slices.Sorted(maps.Keys(desired.Routes)) {
		route, err := h.compileEdgeRoute(desired.Routes[name], ttl)
		if err != nil {
			log.Warn("a route of the edge hub cannot be read and is passed over", "route", name, "err", err)
		} else if route.EdgeRoute != nil {
			table.routes = append(table.routes, route)
		}
	}
	return table, nil
}

// compileEdgeRoute reads a route, which is a text or an object; an empty text is no route.
func (h *Hub) compileEdgeRoute(data json.RawMessage, ttl time.Duration) (r compiledEdgeRoute, err error) {
	var o edgeRouteObject
	if json.Unmarshal(data, &o.Route) != nil {
		if err := json.Unmarshal(data, &o); err != nil {
			return r, err
		}
	}
	if o.Route == "" {
		return r, nil
	}
	r.priority, r.ttl = lowestEdgePriority, ttl
	if o.Priority != nil {
		if r.priority = *o.Priority; r.priority > maxEdgePriority {
			return r, errors.New("the priority must be 0 to 9")
		}
	}
	if o.TimeToLiveSecs != 0 {
		r.ttl = time.Duration(o.TimeToLiveSecs) * time.Second
	}
	r.EdgeRoute, err = h.edges.parser().EdgeRoute(o.Route)
	return r, err
}

// targets returns the routes to follow, one for each sink: of several the one with
// the highest priority.
func (t *edgeTable) targets(m *query.Message) (found []compiledEdgeRoute) {
	source := []string{"messages", "events"}
	if id := m.Telemetry.ID; id.IsModule() {
		source = []string{"messages", "modules", id.ModuleID}
		if output := m.Telemetry.System.OutputName; output != "" {
			source = append(source, "outputs", output)
		}
	}
	for _, r := range t.routes {
		if !r.From(source...) || !r.Condition.Matches(m) {
			continue
		}
		at := slices.IndexFunc(found, func(f compiledEdgeRoute) bool { return f.Module == r.Module && f.Input == r.Input })
		switch {
		case at < 0:
			found = append(found, r)
		case r.priority < found[at].priority:
			found[at] = r
		}
	}
	return found
}

// dispatchEdge brings a stamped message of an edge device's module or child where the
// device's routes say. done runs once, when every sink has stored it; at once when no
// route takes it, which drops it. Only the queues' bounds make it wait.
// Source: IoT Edge, deploy modules and establish routes.
func (h *Hub) dispatchEdge(ctx context.Context, device string, table *edgeTable, t *iothub.Telemetry, now time.Time, done func(error)) {
	t.EnqueuedTime = now
	m := &query.Message{Telemetry: t, Twin: func() (iothub.Twin, bool) {
		_, twin, err := h.o.Registry.Twin(context.WithoutCancel(ctx), t.ID)
		return twin, err == nil
	}}
	targets := table.targets(m)
	if len(targets) == 0 {
		h.o.Logger.Debug("no route of the edge device takes the message; it is dropped", "device", t.ID)
		done(nil)
		return
	}
	done = afterAll(len(targets), done)
	for _, r := range targets {
		if r.Upstream() {
			h.dispatch(ctx, h.routing.Load(), t, now, done)
			continue
		}
		h.putInput(ctx, iothub.C2DMessage{
			ID: iothub.ID{DeviceID: device, ModuleID: r.Module}, Input: r.Input, From: t.ID, Priority: r.priority,
			System: t.System, Properties: t.Properties, Body: slices.Clone(t.Body), Ack: iothub.AckNone,
			EnqueuedTime: now, ExpiryTime: now.Add(r.ttl),
		}, done)
	}
}

// afterAll returns a done to be called n times, which then calls the given one with
// the first error.
func afterAll(n int, done func(error)) func(error) {
	if n == 1 {
		return done
	}
	var (
		left  atomic.Int64
		first atomic.Pointer[error]
	)
	left.Store(int64(n))
	return func(err error) {
		if err != nil {
			first.CompareAndSwap(nil, &err)
		}
		if left.Add(-1) > 0 {
			return
		}
		if failed := first.Load(); failed != nil {
			done(*failed)
		} else {
			done(nil)
		}
	}
}
