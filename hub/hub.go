package hub

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/store"
)

// DefaultFeedbackInterval is the time from one feedback message to the next.
// Source: IoT Hub devguide, cloud-to-device message feedback.
const DefaultFeedbackInterval = 15 * time.Second

// Options configure a Hub. Registry, Queues, Documents and Log are required.
type Options struct {
	// Name is the hub's name, the first label of its host name; it is the
	// user-id of feedback messages.
	Name     string
	Registry *registry.Registry
	Queues   store.Queues
	// Documents hold the hub's own records: configurations, jobs.
	Documents store.Documents
	// Containers opens the blob containers of import and export jobs; nil opens none.
	Containers Containers
	Log        store.Log
	// C2D are the cloud-to-device settings; the zero value means the defaults.
	C2D iothub.C2DSettings
	// Files is where devices upload files to; nil refuses that.
	Files FileStorage
	// FileUpload are the file upload settings; the zero value means the defaults.
	FileUpload iothub.FileUploadSettings
	// FeedbackInterval is the time from one feedback message to the next; 0
	// means 15 s. Source: IoT Hub devguide, cloud-to-device message feedback.
	FeedbackInterval time.Duration
	// BuiltInEvents are the sources of events, not of telemetry, that go to the
	// built-in endpoint as long as they have no route; nil means twin changes.
	BuiltInEvents []iothub.RouteSource
	// WebhookTransport posts to webhooks; nil means a transport of the hub's own.
	WebhookTransport http.RoundTripper
	// Tier and Units (0 means 1) set limits of rate and a daily quota; TierNone, the default, has none.
	Tier  iothub.Tier
	Units int
	// TokenGrace is how long a connection outlives its token; a new one needs a token that is valid. The service is said to give
	// some ten minutes.
	TokenGrace time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger takes debug and error lines; nil discards.
	Logger *slog.Logger
}

// Hub is one IoT hub. It is safe for concurrent use.
type Hub struct {
	o      Options
	shards [shardCount]shard

	feedback feedbackQueue

	// waitsMu guards waits, the time-outs that Sweep may bring forward.
	waitsMu sync.Mutex
	waits   map[*deadline]struct{}

	activities activityLog
	rules      faultRules
	measures   measures

	unsupportedMu sync.Mutex
	unsupported   map[string]int

	twinLanguage twinLanguage

	jobs           jobs
	configurations configurations

	connected counter
	// storedCalls holds *storedCall.
	storedCalls sync.Pool

	faults faults
	edges  edges

	// limits is nil for a hub without a tier.
	limits *limits

	// closeMu orders enter against Close: work is counted or refused.
	closeMu sync.RWMutex
	closed  bool
	closing chan struct{}
	// ending ends with closing.
	ending context.Context
	finish context.CancelFunc
	work   sync.WaitGroup

	consumerGroupsMu sync.Mutex
	// consumerGroups beside $Default, by name in lower case.
	consumerGroups map[string]consumerGroup
	created        time.Time

	// routing is what is in effect, never nil; routingMu guards the configuration.
	routing      atomic.Pointer[routingTable]
	routingMu    sync.Mutex
	routingNow   Routing
	routingEntry uint64
	orphaned     atomic.Int64

	registryJobs     registryJobs
	connectionEvents connectionEvents
	deadLetters      deadLetters
}

// New returns a hub; Close ends it. It reads the hub's own queues, so that
// feedback that was not collected before a restart is there.
func New(o Options) (*Hub, error) {
	switch {
	case o.Registry == nil:
		return nil, errors.New("hub: Options.Registry is required")
	case o.Queues == nil:
		return nil, errors.New("hub: Options.Queues is required")
	case o.Documents == nil:
		return nil, errors.New("hub: Options.Documents is required")
	case o.Log == nil:
		return nil, errors.New("hub: Options.Log is required")
	}
	if o.C2D == (iothub.C2DSettings{}) {
		o.C2D = iothub.DefaultC2DSettings()
	}
	if o.FileUpload == (iothub.FileUploadSettings{}) {
		o.FileUpload = iothub.DefaultFileUploadSettings()
	}
	if o.FeedbackInterval == 0 {
		o.FeedbackInterval = DefaultFeedbackInterval
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.BuiltInEvents == nil {
		o.BuiltInEvents = []iothub.RouteSource{iothub.SourceTwinChange}
	}
	if o.WebhookTransport == nil {
		o.WebhookTransport = &http.Transport{Proxy: http.ProxyFromEnvironment, IdleConnTimeout: webhookTimeout}
	}
	limits, err := newLimits(o.Tier, o.Units)
	if err != nil {
		return nil, err
	}
	h := &Hub{
		o:           o,
		limits:      limits,
		waits:       map[*deadline]struct{}{},
		unsupported: map[string]int{},
		closing:     make(chan struct{}),
		created:     o.Now(),

		consumerGroups: map[string]consumerGroup{},
		twinLanguage:   newTwinLanguage(),
		jobs:           newJobs(),
		configurations: newConfigurations(),
		faults:         newFaults(),
		edges:          newEdges(),
	}
	h.activities.begin()
	h.connectionEvents.idle.L = &h.connectionEvents.mu
	h.deadLetters.idle.L = &h.deadLetters.mu
	h.ending, h.finish = context.WithCancel(context.Background())
	for i := range h.shards {
		h.shards[i].peers = map[iothub.ID]*peer{}
	}
	ctx := context.Background()
	if err := h.loadFeedback(ctx); err != nil {
		return nil, err
	}
	if err := h.loadMarkers(ctx); err != nil {
		return nil, err
	}
	if err := h.loadConsumerGroups(ctx); err != nil {
		return nil, err
	}
	if o.Containers == nil {
		h.o.Containers = noContainers
	}
	// Last, because it may start webhooks.
	if err := h.loadRouting(ctx); err != nil {
		return nil, err
	}
	// These run from now on.
	if err := h.loadConfigurations(ctx); err != nil {
		return nil, err
	}
	if err := h.loadRegistryJobs(ctx); err != nil {
		return nil, err
	}
	if err := h.loadJobs(ctx); err != nil {
		return nil, err
	}
	return h, nil
}

// Close disconnects every client and waits for what the hub started. It does
// not close the stores, which must stay open until it returned.
func (h *Hub) Close() error {
	h.closeMu.Lock()
	already := h.closed
	h.closed = true
	h.closeMu.Unlock()
	if already {
		h.work.Wait()
		return nil
	}
	close(h.closing)
	h.finish()
	for _, p := range h.allPeers() {
		h.disconnect(p, errClosing())
		h.release(p)
	}
	h.connectionEvents.close()
	h.work.Wait()
	for _, w := range h.routing.Load().webhooks {
		w.stop(reasonClosing)
	}
	h.flushDeadLetters()
	if t, ok := h.o.WebhookTransport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
	return nil
}

func errClosing() *iothub.Error {
	return iothub.NewError(iothub.CodeServiceUnavailable, "The hub is closing.")
}

// enter counts work that Close waits for; it is false once Close began.
// leave ends it.
func (h *Hub) enter() bool {
	h.closeMu.RLock()
	defer h.closeMu.RUnlock()
	if h.closed {
		return false
	}
	h.work.Add(1)
	return true
}

func (h *Hub) leave() { h.work.Done() }

// Sweep does what is due at the given time: expired messages and locks,
// feedback to flush, connections whose token ended, method time-outs. The
// emulator calls it from a ticker, tests call it directly. When it returns, the
// outcomes are stored.
func (h *Hub) Sweep(now time.Time) {
	if !h.enter() {
		return
	}
	defer h.leave()
	h.sweepDeadlines(now)
	for _, p := range h.duePeers(now) {
		h.sweepPeer(p, now)
		h.release(p)
	}
	h.sweepFeedback(now)
	h.sweepFaults(now)
	h.sweepJobs(now)
	h.sweepConfigurations()
}

// Created returns when the hub was started.
func (h *Hub) Created() time.Time { return h.created }

// Name returns the hub's name.
func (h *Hub) Name() string { return h.o.Name }

func (h *Hub) now() time.Time { return h.o.Now() }

// Lookup finds the hub that answers to a host name (with or without port, any
// case), or returns IotHubNotFound. Front ends hold a Lookup, not a Hub.
type Lookup func(hostName string) (*Hub, error)

// CountUnsupported counts a call of an operation that the emulator refuses.
func (h *Hub) CountUnsupported(operation string) {
	h.unsupportedMu.Lock()
	defer h.unsupportedMu.Unlock()
	h.unsupported[operation]++
}

// Unsupported returns how often each refused operation was called.
func (h *Hub) Unsupported() map[string]int {
	h.unsupportedMu.Lock()
	defer h.unsupportedMu.Unlock()
	return maps.Clone(h.unsupported)
}
