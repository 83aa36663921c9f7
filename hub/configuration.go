package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/query"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/store"
)

// Where configurations are stored, by their ID, and what they did to a device or
// module, by its name.
const (
	configurationCollection      = "configurations"
	configurationStateCollection = "configurationStates"
)

// configurations is automatic device management.
type configurations struct {
	// writing orders changes of configurations, across storage.
	writing sync.Mutex
	// any says that there is something to do for a written twin.
	any atomic.Bool

	// mu guards the rest, for memory only.
	mu   sync.Mutex
	byID map[string]*configuration
	// devices and modules say what was done to whom; modules by device and module.
	devices map[string]configurationState
	modules map[string]map[string]configurationState
	// counts are sums over these.
	counts map[configurationKey]configurationCount
	work   configurationWork
	// applying are the devices that ApplyContent is at work on.
	applying map[string]struct{}
}

// configuration is a configuration in effect. It does not change; an update
// replaces it.
type configuration struct {
	iothub.Configuration
	revision uint64
	// condition is nil when it targets nothing.
	condition *TwinCondition
	metrics   *configurationMetrics
}

func newConfigurations() configurations {
	return configurations{
		byID: map[string]*configuration{}, applying: map[string]struct{}{},
		devices: map[string]configurationState{}, modules: map[string]map[string]configurationState{},
		counts: map[configurationKey]configurationCount{},
		work:   newConfigurationWork(nil),
	}
}

// idleLocked reports whether no twin has anything to do with a configuration.
func (c *configurations) idleLocked() bool {
	return len(c.byID) == 0 && len(c.devices) == 0 && len(c.modules) == 0
}

// configurationDocument is a configuration as it is stored.
type configurationDocument struct {
	iothub.Configuration
	RawContent json.RawMessage
}

func (c *configuration) document() configurationDocument {
	d := configurationDocument{Configuration: c.Configuration, RawContent: c.Content.Raw}
	d.Content = iothub.Content{}
	return d
}

// PutConfiguration creates a configuration, or with an If-Match of a quoted etag
// or * updates one, durably. The content of an existing one stays as it is. Twins
// follow in the background; see SettleConfigurations.
// Errors: those of iothub.DecodeConfiguration; InvalidConfigurationTargetCondition,
// InvalidConfigurationCustomMetricsQuery, ConfigurationAlreadyExists, ConfigurationNotFound,
// PreconditionFailed, ConfigurationCountLimitExceeded.
// Source: IoT Hub, automatic device and module management; a bare etag counting as none is observed.
func (h *Hub) PutConfiguration(ctx context.Context, id string, body []byte, ifMatch string) (iothub.Configuration, error) {
	if !h.enter() {
		return iothub.Configuration{}, errClosing()
	}
	defer h.leave()
	want, err := iothub.DecodeConfiguration(id, body)
	if err != nil {
		return iothub.Configuration{}, err
	}
	c, err := h.compileConfiguration(want)
	if err != nil {
		return iothub.Configuration{}, err
	}
	h.configurations.writing.Lock()
	defer h.configurations.writing.Unlock()
	old, all := h.findConfiguration(id)
	now := h.now()
	if update := ifMatch != "" && (iothub.IsWildcardETag(ifMatch) || iothub.IsQuotedETag(ifMatch)); update {
		if old == nil {
			return iothub.Configuration{}, errNoConfiguration(id)
		}
		if !iothub.ETagMatches(ifMatch, old.ETagText()) {
			return iothub.Configuration{}, iothub.NewError(iothub.CodePreconditionFailed, "Precondition failed: the etag is %q now.", old.ETagText())
		}
		if old.Content.Kind != c.Content.Kind {
			// Its content stays, so the condition must fit that.
			want.Content = old.Content
			if c, err = h.compileConfiguration(want); err != nil {
				return iothub.Configuration{}, err
			}
		}
		c.Content, c.CreatedTime, c.Version, c.revision = old.Content, old.CreatedTime, old.Version+1, old.revision
	} else {
		if old != nil {
			return iothub.Configuration{}, iothub.NewError(iothub.CodeConfigurationAlreadyExists, "A configuration with ID %q exists already.", id)
		}
		if limit := h.maxConfigurations(); all >= limit {
			return iothub.Configuration{}, iothub.NewError(iothub.CodeConfigurationCountLimitExceeded, "A hub has at most %d configurations.", limit)
		}
		c.CreatedTime, c.Version = now, 1
	}
	c.LastUpdatedTime = now
	if c.revision, err = putDocument(ctx, h.o.Documents, configurationCollection, id, c.revision, c.document()); err != nil {
		return iothub.Configuration{}, err
	}
	h.setConfiguration(id, c)
	return c.Configuration, nil
}

func (h *Hub) maxConfigurations() int {
	if h.o.Tier == iothub.TierF1 {
		return iothub.MaxConfigurationsFree
	}
	return iothub.MaxConfigurations
}

func errNoConfiguration(id string) error {
	return iothub.NewError(iothub.CodeConfigurationNotFound, "There is no configuration with ID %q.", id)
}

// compileConfiguration checks the queries.
func (h *Hub) compileConfiguration(want iothub.Configuration) (*configuration, error) {
	c := &configuration{Configuration: want, metrics: &configurationMetrics{}}
	if text := strings.TrimSpace(want.TargetCondition); text != "" {
		condition, err := h.CompileTwinCondition(text)
		if err != nil {
			return nil, iothub.NewError(iothub.CodeInvalidConfigurationTargetCondition, "The target condition is none: %s", iothub.AsError(err).Message)
		}
		if condition.Modules() != (want.Content.Kind == iothub.ModuleContent) {
			return nil, iothub.NewError(iothub.CodeInvalidConfigurationTargetCondition,
				"Module content needs a target condition that begins with FROM devices.modules, and no other content has one.")
		}
		c.condition = condition
	}
	for name, text := range want.Metrics {
		if err := h.checkMetric(text); err != nil {
			return nil, iothub.NewError(iothub.CodeInvalidConfigurationCustomMetricsQuery, "The metric %q: %s", name, iothub.AsError(err).Message)
		}
	}
	return c, nil
}

func (h *Hub) checkMetric(text string) error {
	q, err := h.twinLanguage.parser().Query(text)
	if err != nil {
		return querySyntaxError(err)
	}
	if q.Collection == query.DeviceJobs {
		return iothub.NewError(iothub.CodeArgumentInvalid, "a metric is a query over devices or devices.modules.")
	}
	return nil
}

func (h *Hub) findConfiguration(id string) (found *configuration, all int) {
	h.configurations.mu.Lock()
	defer h.configurations.mu.Unlock()
	return h.configurations.byID[id], len(h.configurations.byID)
}

// setConfiguration puts a configuration into effect; nil takes it out.
func (h *Hub) setConfiguration(id string, c *configuration) {
	h.configurations.mu.Lock()
	defer h.configurations.mu.Unlock()
	if c == nil {
		delete(h.configurations.byID, id)
	} else {
		h.configurations.byID[id] = c
	}
	h.configurations.any.Store(true)
	h.configurations.work.passes[id] = struct{}{}
	h.startConfigurationWorkLocked()
}

// DeleteConfiguration deletes a configuration. Settings that it made stay unless
// another configuration sets the same. ifMatch may be empty.
// Errors: ConfigurationNotFound, PreconditionFailed.
// Source: IoT Hub, automatic device and module management (delete a configuration).
func (h *Hub) DeleteConfiguration(ctx context.Context, id, ifMatch string) error {
	if !h.enter() {
		return errClosing()
	}
	defer h.leave()
	h.configurations.writing.Lock()
	defer h.configurations.writing.Unlock()
	c, _ := h.findConfiguration(id)
	if c == nil {
		return errNoConfiguration(id)
	}
	if !iothub.ETagMatches(ifMatch, c.ETagText()) {
		return iothub.NewError(iothub.CodePreconditionFailed, "Precondition failed: the etag is %q now.", c.ETagText())
	}
	if err := h.o.Documents.DeleteDocument(ctx, configurationCollection, id, c.revision); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	h.setConfiguration(id, nil)
	return nil
}

// ConfigurationResult is a configuration with its metrics.
type ConfigurationResult struct {
	iothub.Configuration
	System, Custom iothub.MetricResults
}

// GetConfiguration returns a configuration, with its metrics of now. Error: ConfigurationNotFound.
func (h *Hub) GetConfiguration(ctx context.Context, id string) (ConfigurationResult, error) {
	c, _ := h.findConfiguration(id)
	if c == nil {
		return ConfigurationResult{}, errNoConfiguration(id)
	}
	return h.withMetrics(ctx, c, true)
}

// Configurations returns up to top configurations (1 or more; else all), in the order
// of their IDs. Their metrics are those of the last GetConfiguration, or of now when there was none.
func (h *Hub) Configurations(ctx context.Context, top int) ([]ConfigurationResult, error) {
	h.configurations.mu.Lock()
	all := slices.SortedFunc(maps.Values(h.configurations.byID), func(a, b *configuration) int { return strings.Compare(a.ID, b.ID) })
	h.configurations.mu.Unlock()
	if top > 0 && top < len(all) {
		all = all[:top]
	}
	out := make([]ConfigurationResult, len(all))
	for i, c := range all {
		var err error
		if out[i], err = h.withMetrics(ctx, c, false); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// TestConfigurationQueries checks a target condition and metric queries, "" and
// nil for none. It returns what is wrong, "" for nothing.
// Source: Configuration - Test Queries of the IoT Hub service API 2021-04-12; that * is refused is observed.
func (h *Hub) TestConfigurationQueries(condition string, metrics map[string]string) (conditionError string, metricErrors map[string]string) {
	if text := strings.TrimSpace(condition); text == "*" {
		conditionError = "The query has an error at character 1: a condition is needed."
	} else if text != "" {
		if _, err := h.CompileTwinCondition(text); err != nil {
			conditionError = iothub.AsError(err).Message
		}
	}
	metricErrors = map[string]string{}
	for name, text := range metrics {
		if err := h.checkMetric(text); err != nil {
			metricErrors[name] = iothub.AsError(err).Message
		}
	}
	return conditionError, metricErrors
}

// loadConfigurations reads the configurations and what they did, and looks at all twins
// once: a stop may have come between a change and what follows from it.
func (h *Hub) loadConfigurations(ctx context.Context) error {
	c := &h.configurations
	err := h.eachDocument(ctx, configurationCollection, "", func(d store.Document) error {
		var doc configurationDocument
		if err := json.Unmarshal(d.Payload, &doc); err != nil {
			return err
		}
		var err error
		if doc.Content, err = iothub.DecodeContent(doc.RawContent); err != nil {
			return err
		}
		loaded, err := h.compileConfiguration(doc.Configuration)
		if err != nil {
			return err
		}
		loaded.revision = d.Revision
		c.byID[doc.ID] = loaded
		return nil
	})
	if err == nil {
		err = h.loadConfigurationStates(ctx)
	}
	if err != nil {
		return fmt.Errorf("hub: configurations: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.idleLocked() {
		c.any.Store(true)
		c.work.full = true
		h.startConfigurationWorkLocked()
	}
	h.o.Registry.Watch(h.twinWritten)
	return nil
}

// configurationMetrics are what the metrics were when they were last looked at.
type configurationMetrics struct {
	mu     sync.Mutex
	known  bool
	custom iothub.MetricResults
	edge   iothub.MetricResults
}

// withMetrics counts what a configuration's metrics count.
func (h *Hub) withMetrics(ctx context.Context, c *configuration, now bool) (ConfigurationResult, error) {
	out := ConfigurationResult{Configuration: c.Configuration, System: h.countStates(c)}
	m := c.metrics
	m.mu.Lock()
	defer m.mu.Unlock()
	if now || !m.known {
		m.custom, m.edge = iothub.MetricResults{}, iothub.MetricResults{}
		queries := c.SystemMetricQueries()
		for _, name := range []string{iothub.MetricReportedSuccessful, iothub.MetricReportedFailed} {
			if text, ok := queries[name]; ok {
				n, err := h.countRows(ctx, text)
				if err != nil {
					return out, err
				}
				m.edge[name] = n
			}
		}
		for name, text := range c.Metrics {
			n, err := h.countRows(ctx, text)
			if err != nil {
				return out, err
			}
			m.custom[name] = n
		}
		m.known = true
	}
	maps.Copy(out.System, m.edge)
	out.Custom = maps.Clone(m.custom)
	return out, nil
}

// countRows returns how many rows a query has.
func (h *Hub) countRows(ctx context.Context, text string) (int, error) {
	q, err := h.twinLanguage.parser().Query(text)
	if err != nil {
		return 0, querySyntaxError(err)
	}
	n := 0
	if !q.Aggregates() {
		err := h.o.Registry.Select(ctx, registry.Selection{Modules: q.Collection == query.Modules, Where: q.Where, Live: live{h}},
			func(registry.Row) bool {
				n++
				return ctx.Err() == nil && n != q.Top
			})
		return n, errors.Join(err, ctx.Err())
	}
	token := ""
	for {
		page, err := h.Query(ctx, QueryRequest{Text: text, Continuation: token})
		if err != nil {
			return 0, err
		}
		n += len(page.Items)
		if token = page.Continuation; token == "" {
			return n, nil
		}
	}
}
