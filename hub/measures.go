package hub

import (
	"sync/atomic"

	"github.com/hubnerite/hubnerite/iothub"
)

// Measures are counts since the hub began, for monitoring.
type Measures struct {
	// TelemetryStored counts device-to-cloud messages that were acknowledged, TelemetryRefused those that were not, of
	// which TelemetryThrottled by a rate or the daily quota.
	TelemetryStored, TelemetryRefused, TelemetryThrottled int64
	// Of the reads of a twin by its device, by back ends, and of queries.
	DeviceTwinReads, TwinReads, Queries Results
	// Activities count everything else that is remembered as an Activity, also after that is forgotten.
	Activities map[ActivityCount]int64
	// Ingress is how long the log took to store telemetry, of about one message in TelemetrySampling.
	Ingress Latency
	// Methods is how long direct methods took that were answered, EventReads how long it took to get a page of events.
	Methods, EventReads Latency
	// Twins and Requests are how long twin operations and admitted requests over HTTPS took, by their names.
	Twins, Requests map[string]Latency
	// Jobs counts the scheduled jobs that the hub knows, by what they do and how far they are.
	Jobs map[JobKind]int
}

// Results counts operations by how they ended.
type Results struct{ Success, Failure int64 }

// ActivityCount names activities that are counted together.
type ActivityCount struct {
	Kind  ActivityKind
	Event string
	// Detail is the outcome of a cloud-to-device message that has ended, the protocol of a connection,
	// the name of the error of a refusal; else empty.
	Detail string
}

// JobKind names jobs that are counted together.
type JobKind struct {
	Type   iothub.JobType
	Status iothub.JobStatus
}

// measures is what is counted as it happens. What many do at one time is here; the rest is counted
// under the lock of the activities.
type measures struct {
	telemetryStored, telemetryRefused, telemetryThrottled atomic.Int64

	deviceTwinReads, twinReads, queries results

	ingress, methods, eventReads latency
	twins, requests              latencies
}

// TelemetrySampling is of how many messages about one has its time taken: looking at the clock costs as much as
// anything else that is done for a message.
const TelemetrySampling = 16

// results counts as it happens what Results tells.
type results struct{ success, failure atomic.Int64 }

// count is for a defer; err is where the error will be.
func (o *results) count(err *error) {
	if *err == nil {
		o.success.Add(1)
	} else {
		o.failure.Add(1)
	}
}

func (o *results) read() Results { return Results{o.success.Load(), o.failure.Load()} }

// telemetry counts the end of a message.
func (m *measures) telemetry(err error) {
	if err == nil {
		m.telemetryStored.Add(1)
		return
	}
	m.telemetryRefused.Add(1)
	switch iothub.ErrorCode(err) {
	case iothub.CodeThrottlingBacklogTimeout, iothub.CodeIotHubQuotaExceeded:
		m.telemetryThrottled.Add(1)
	}
}

// counted names what an activity is counted as.
func (a *Activity) counted() ActivityCount {
	c := ActivityCount{Kind: a.Kind, Event: a.Event}
	switch {
	case a.Kind == ActivityC2D && a.Event == EventEnded:
		c.Detail = string(a.Outcome)
	case a.Kind == ActivityConnection:
		c.Detail = a.Protocol
	case a.Kind == ActivityRefusal && a.Error != nil:
		c.Detail = a.Error.Code.String()
	}
	return c
}

// Measures returns the counts. It takes a few locks for a moment.
func (h *Hub) Measures() Measures {
	m := Measures{
		TelemetryStored: h.measures.telemetryStored.Load(), TelemetryRefused: h.measures.telemetryRefused.Load(),
		TelemetryThrottled: h.measures.telemetryThrottled.Load(),
		DeviceTwinReads:    h.measures.deviceTwinReads.read(), TwinReads: h.measures.twinReads.read(), Queries: h.measures.queries.read(),
		Ingress: h.measures.ingress.read(), Methods: h.measures.methods.read(), EventReads: h.measures.eventReads.read(),
		Twins: h.measures.twins.read(), Requests: h.measures.requests.read(),
		Activities: h.activities.countsNow(), Jobs: map[JobKind]int{},
	}
	h.jobs.mu.Lock()
	defer h.jobs.mu.Unlock()
	for _, j := range h.jobs.byID {
		m.Jobs[JobKind{j.doc.Type, j.doc.Status}]++
	}
	return m
}
