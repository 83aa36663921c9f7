package admin

import (
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// metrics returns the handler of GET /metrics, in Prometheus' text form. Nothing is counted for it: each
// scrape asks the hubs. Their counters begin anew when a hub does.
func (s *server) metrics() http.Handler {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newHubMetrics(s), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if knows(w, r) {
			handler.ServeHTTP(w, r)
		}
	})
}

// activityMetric is a counter of activities.
type activityMetric struct {
	name, help string
	kind       hub.ActivityKind
	event      string
	// detail restricts it to one; label, if set, shows it instead.
	detail, label string
}

// activityMetrics are the counters that come from activities. Their help names the metric of a real hub.
// Source: Azure IoT Hub monitoring data reference.
func activityMetrics() []activityMetric {
	return []activityMetric{
		{"c2d_sent_total", "Cloud-to-device messages accepted from back ends (IoT Hub has no metric for it).", hub.ActivityC2D, hub.EventSent, "", ""},
		{"c2d_delivered_total", "Cloud-to-device messages handed to a device, repetitions included (IoT Hub has no metric for it).", hub.ActivityC2D, hub.EventDelivered, "", ""},
		{"c2d_completed_total", "Cloud-to-device messages that devices completed (c2d.commands.egress.complete.success).", hub.ActivityC2D, hub.EventEnded, string(iothub.OutcomeSuccess), ""},
		{"c2d_abandoned_total", "Cloud-to-device messages that devices abandoned (c2d.commands.egress.abandon.success).", hub.ActivityC2D, hub.EventAbandoned, "", ""},
		{"c2d_rejected_total", "Cloud-to-device messages that devices rejected (c2d.commands.egress.reject.success).", hub.ActivityC2D, hub.EventEnded, string(iothub.OutcomeRejected), ""},
		{"c2d_expired_total", "Cloud-to-device messages that expired (C2DMessagesExpired).", hub.ActivityC2D, hub.EventEnded, string(iothub.OutcomeExpired), ""},
		{"c2d_delivery_count_exceeded_total", "Cloud-to-device messages that were delivered too often (IoT Hub has no metric for it).", hub.ActivityC2D, hub.EventEnded, string(iothub.OutcomeDeliveryCountExceeded), ""},
		{"c2d_purged_total", "Cloud-to-device messages that were purged (IoT Hub has no metric for it).", hub.ActivityC2D, hub.EventEnded, string(iothub.OutcomePurged), ""},
		{"feedback_records_total", "Feedback records for back ends (IoT Hub has no metric for it).", hub.ActivityFeedback, hub.EventRecorded, "", ""},
		{"methods_called_total", "Direct methods called (c2d.methods.success and c2d.methods.failure together, and those not over yet).", hub.ActivityMethod, hub.EventCalled, "", ""},
		{"methods_success_total", "Direct methods that a device answered, with whatever status (c2d.methods.success).", hub.ActivityMethod, hub.EventAnswered, "", ""},
		{"methods_failure_total", "Direct methods without an answer (c2d.methods.failure).", hub.ActivityMethod, hub.EventFailed, "", ""},
		{"twin_reported_updates_total", "Changes of reported properties by devices (d2c.twin.update.success).", hub.ActivityTwin, hub.EventReported, "", ""},
		{"twin_patches_total", "Changes of twins by back ends (c2d.twin.update.success).", hub.ActivityTwin, hub.EventPatched, "", ""},
		{"twin_replacements_total", "Replacements of twins by back ends (c2d.twin.update.success).", hub.ActivityTwin, hub.EventReplaced, "", ""},
		{"connections_opened_total", "Connections of devices and modules that began (deviceConnected events).", hub.ActivityConnection, hub.EventConnected, "", "protocol"},
		{"connections_closed_total", "Connections of devices and modules that ended (deviceDisconnected events).", hub.ActivityConnection, hub.EventDisconnected, "", "protocol"},
		{"identities_created_total", "Devices and modules created (deviceCreated events).", hub.ActivityIdentity, hub.EventCreated, "", ""},
		{"identities_deleted_total", "Devices and modules deleted (deviceDeleted events).", hub.ActivityIdentity, hub.EventDeleted, "", ""},
		{"file_uploads_started_total", "File uploads begun by devices (IoT Hub has no metric for it).", hub.ActivityUpload, hub.EventStarted, "", ""},
		{"file_uploads_completed_total", "File uploads reported as done (IoT Hub has no metric for it).", hub.ActivityUpload, hub.EventCompleted, "", ""},
		{"file_uploads_failed_total", "File uploads reported as failed (IoT Hub has no metric for it).", hub.ActivityUpload, hub.EventFailed, "", ""},
		{"refusals_total", "Operations that were refused, by the error's name (the .failure metrics of IoT Hub, and its resource logs).", hub.ActivityRefusal, hub.EventRefused, "", "error"},
		{"fault_hits_total", "Times that a fault rule was applied (IoT Hub has nothing like it).", hub.ActivityFault, hub.EventHit, "", ""},
	}
}

// gauge is a value that is read off a hub.
type gauge struct {
	*prometheus.Desc
	kind  prometheus.ValueType
	value func(hub.Measures) int64
}

// hubMetrics collects the metrics of all hubs.
type hubMetrics struct {
	server     *server
	activities []activityMetric
	descs      []*prometheus.Desc // of activities
	counters   []gauge

	ingress, methods, eventReads, twins, requests *prometheus.Desc

	build, devices, modules, connected, connections, jobs, orphaned, unsupported, quotaUsed, quota *prometheus.Desc
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("hubnerite_"+name, help, append([]string{"hub"}, labels...), nil)
}

func newHubMetrics(s *server) *hubMetrics {
	m := &hubMetrics{server: s, activities: activityMetrics()}
	for _, a := range m.activities {
		if a.label != "" {
			m.descs = append(m.descs, desc(a.name, a.help, a.label))
		} else {
			m.descs = append(m.descs, desc(a.name, a.help))
		}
	}
	count := func(name, help string, value func(hub.Measures) int64) {
		m.counters = append(m.counters, gauge{desc(name, help), prometheus.CounterValue, value})
	}
	count("telemetry_ingress_success_total", "Telemetry messages that were acknowledged (d2c.telemetry.ingress.success).",
		func(h hub.Measures) int64 { return h.TelemetryStored })
	count("telemetry_ingress_attempts_total", "Telemetry messages sent, refused ones included (d2c.telemetry.ingress.allProtocol).",
		func(h hub.Measures) int64 { return h.TelemetryStored + h.TelemetryRefused })
	count("telemetry_ingress_throttled_total", "Telemetry messages refused because of a rate or the daily quota (d2c.telemetry.ingress.sendThrottle).",
		func(h hub.Measures) int64 { return h.TelemetryThrottled })
	count("twin_device_reads_success_total", "Reads of a twin by its device (d2c.twin.read.success).",
		func(h hub.Measures) int64 { return h.DeviceTwinReads.Success })
	count("twin_device_reads_failure_total", "Reads of a twin by its device that failed (d2c.twin.read.failure).",
		func(h hub.Measures) int64 { return h.DeviceTwinReads.Failure })
	count("twin_reads_success_total", "Reads of a twin by back ends (c2d.twin.read.success).",
		func(h hub.Measures) int64 { return h.TwinReads.Success })
	count("twin_reads_failure_total", "Reads of a twin by back ends that failed (c2d.twin.read.failure).",
		func(h hub.Measures) int64 { return h.TwinReads.Failure })
	count("twin_queries_success_total", "Queries (twinQueries.success).", func(h hub.Measures) int64 { return h.Queries.Success })
	count("twin_queries_failure_total", "Queries that failed (twinQueries.failure).", func(h hub.Measures) int64 { return h.Queries.Failure })

	m.ingress = desc("telemetry_ingress_seconds", fmt.Sprintf("Time in which the log stored a telemetry message, of about one in %d (d2c.endpoints.latency.builtIn.events).", hub.TelemetrySampling))
	m.methods = desc("method_seconds", "Time from the call of a direct method to its answer, waiting for the device to connect included (IoT Hub has no metric for it).")
	m.twins = desc("twin_seconds", "Time that operations on twins took, of devices and of back ends (IoT Hub has no metric for it).", "operation")
	m.requests = desc("rest_request_seconds", "Time that admitted requests over HTTPS took (IoT Hub has no metric for it).", "operation")
	m.eventReads = desc("event_read_seconds", "Time to get a page of events for a reader of the Event Hubs-compatible endpoint (IoT Hub has no metric for it).")

	m.build = prometheus.NewDesc("hubnerite_build_info", "1, with the version of the emulator.", []string{"version"}, nil)
	m.devices = desc("devices", "Devices (totalDeviceCount, devices.totalDevices).")
	m.modules = desc("modules", "Modules (IoT Hub has no metric for it).")
	m.connected = desc("connected_devices", "Connected devices (connectedDeviceCount, devices.connectedDevices.allProtocol).")
	m.connections = desc("connections", "Connections of devices and modules by protocol (connectedDeviceCount).", "protocol")
	m.jobs = desc("jobs", "Scheduled jobs that the hub knows (jobs.createTwinUpdateJob.success, jobs.createDirectMethodJob.success, jobs.completed, jobs.failed, jobs.cancelJob.success).", "type", "status")
	m.orphaned = desc("telemetry_orphaned_total", "Telemetry messages that matched no route (d2c.telemetry.egress.orphaned).")
	m.unsupported = desc("unsupported_total", "Calls of operations that the emulator refuses (IoT Hub has nothing like it).", "operation")
	m.quotaUsed = desc("daily_message_quota_used", "Messages of this UTC day, with a tier (dailyMessageQuotaUsed).")
	m.quota = desc("daily_message_quota", "Messages that the tier allows a day.")
	return m
}

// Describe implements prometheus.Collector. It says nothing, because which hubs there are changes.
func (m *hubMetrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m *hubMetrics) Collect(out chan<- prometheus.Metric) {
	out <- prometheus.MustNewConstMetric(m.build, prometheus.GaugeValue, 1, m.server.Version)
	names := []string{""}
	if m.server.Hosting != nil {
		names = names[:0]
		for _, info := range m.server.Hosting.Hubs() {
			names = append(names, info.Name)
		}
	}
	for _, name := range names {
		if h, ok := m.server.Hub(name); ok {
			m.collect(h, out)
		}
	}
}
