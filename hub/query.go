package hub

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/query"
	"github.com/hubnerite/hubnerite/registry"
)

// MaxQueryPage is the most rows of one page of a query, and the default.
// Source: IoT Hub service API, query devices (x-ms-max-item-count).
const MaxQueryPage = 100

// Item types of query pages.
const (
	ItemTypeTwin      = "Twin"
	ItemTypeDeviceJob = "DeviceJob"
	ItemTypeRaw       = "Raw"
)

// QueryRequest asks for one page of a query.
type QueryRequest struct {
	// Text is the query, up to query.MaxLength characters.
	Text string
	// PageSize is the most rows to return; 0, or more than MaxQueryPage, means MaxQueryPage.
	PageSize int
	// Continuation is that of the page before, of the same query; "" is the first page.
	Continuation string
}

// QueryPage is one page of rows.
type QueryPage struct {
	// ItemType is one of the item types: twins for SELECT * over devices and
	// modules, device jobs over devices.jobs, raw for lists and aggregates.
	ItemType string
	// Items are JSON objects.
	Items []json.RawMessage
	// Continuation is "" after the last page.
	Continuation string
}

// twinLanguage keeps the parser, which costs some milliseconds to make.
type twinLanguage struct {
	parser func() *query.Parser
}

func newTwinLanguage() twinLanguage { return twinLanguage{sync.OnceValue(query.NewParser)} }

// Query returns a page of a query over devices, devices.modules or
// devices.jobs. Rows are in the order of their IDs, groups in that of their values.
// Errors: ArgumentInvalid for a text that is no query, naming the position, and for a
// continuation token that is not of this query; ArgumentNull without a text.
// Source: IoT Hub devguide, query language.
func (h *Hub) Query(ctx context.Context, req QueryRequest) (_ QueryPage, err error) {
	defer h.measures.queries.count(&err)
	if !h.enter() {
		return QueryPage{}, errClosing()
	}
	defer h.leave()
	if req.Text == "" {
		return QueryPage{}, iothub.NewError(iothub.CodeArgumentNull, "The request has no query.")
	}
	if req.PageSize <= 0 || req.PageSize > MaxQueryPage {
		req.PageSize = MaxQueryPage
	}
	q, err := h.twinLanguage.parser().Query(req.Text)
	if err != nil {
		return QueryPage{}, querySyntaxError(err)
	}
	at, err := decodeContinuation(req.Continuation, req.Text)
	if err != nil {
		return QueryPage{}, err
	}
	run := &queryRun{h: h, q: q, text: req.Text, size: req.PageSize, at: at}
	if q.Top > 0 {
		if run.left = q.Top - at.Given; run.left <= run.size {
			run.size, run.last = max(run.left, 0), true
		}
	}
	switch {
	case q.Collection == query.DeviceJobs:
		return run.jobs(ctx)
	case q.Aggregates():
		return run.groups(ctx)
	}
	return run.twins(ctx)
}

func querySyntaxError(err error) error {
	var syntax *query.SyntaxError
	if !errors.As(err, &syntax) {
		return err
	}
	e := iothub.NewError(iothub.CodeArgumentInvalid, "The query has an error at character %d: %s.", syntax.Position, syntax.Message)
	e.Info = map[string]any{"position": syntax.Position}
	return e
}

// TwinCondition is a compiled target condition of a configuration or a job. It is
// safe for concurrent use.
type TwinCondition struct {
	c *query.TwinCondition
	h *Hub
}

// CompileTwinCondition compiles what a job or a configuration targets: the text
// behind WHERE in a query over devices, or "FROM devices.modules WHERE ..."; "" and * are all devices.
// Errors: ArgumentInvalid, naming the position.
func (h *Hub) CompileTwinCondition(text string) (*TwinCondition, error) {
	c, err := h.twinLanguage.parser().TwinCondition(text)
	if err != nil {
		return nil, querySyntaxError(err)
	}
	return &TwinCondition{c, h}, nil
}

// Modules reports whether the condition is about modules rather than devices.
func (c *TwinCondition) Modules() bool { return c.c.Collection == query.Modules }

// Matches reports whether a twin passes: one of a device when the condition is
// about devices, one of a module when it is about modules. Names of live state
// are asked of the hub, not taken from t.
func (c *TwinCondition) Matches(t Twin) bool {
	return t.Identity.ID.IsModule() == c.Modules() &&
		c.c.Matches(&query.TwinDocument{Identity: &t.Identity, Twin: &t.Twin, Live: live{c.h}})
}

// SelectIdentities calls yield for the devices ("devices") or modules
// ("devices.modules") that a condition selects, in the order of their IDs, until yield
// returns false. The condition is as for CompileTwinCondition; its own FROM wins over collection.
func (h *Hub) SelectIdentities(ctx context.Context, collection, condition string, yield func(iothub.ID) bool) error {
	c, err := h.CompileTwinCondition(condition)
	if err != nil {
		return err
	}
	modules := c.Modules() || collection == string(query.Modules)
	return h.o.Registry.Select(ctx, registry.Selection{Modules: modules, Where: c.c.Where, Live: live{h}}, func(row registry.Row) bool {
		return yield(row.ID())
	})
}

// live answers queries from the hub's memory.
type live struct{ h *Hub }

// Connection implements query.Live. An identity without a peer never did anything.
func (l live) Connection(id iothub.ID) (info iothub.ConnectionInfo) {
	p := l.h.find(id)
	if p == nil {
		return info
	}
	defer l.h.release(p)
	p.mu.Lock()
	info.Connected, info.StateUpdatedTime = p.conn != nil, p.stateUpdated
	p.mu.Unlock()
	if at := p.lastActivity.Load(); at != 0 {
		info.LastActivityTime = time.Unix(0, at).UTC()
	}
	return info
}

// C2DCount implements query.Live.
func (l live) C2DCount(id iothub.ID, generation string) int {
	info, err := l.h.connectionInfo(context.Background(), iothub.Identity{ID: id, GenerationID: generation})
	if err != nil {
		l.h.o.Logger.Warn("a query could not count the waiting messages", "device", id, "err", err)
	}
	return info.C2DCount
}

// Configurations implements query.Live.
func (l live) Configurations(id iothub.ID) map[string]any { return l.h.configurationStates(id) }
