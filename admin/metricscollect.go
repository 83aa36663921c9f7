package admin

import (
	"context"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hubnerite/hubnerite/hub"
)

// collect sends the metrics of one hub.
func (m *hubMetrics) collect(h *hub.Hub, out chan<- prometheus.Metric) {
	name := h.EventHubName()
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, float64(value), append([]string{name}, labels...)...)
	}
	measured := h.Measures()
	for _, c := range m.counters {
		send(c.Desc, c.kind, c.value(measured))
	}
	took := func(d *prometheus.Desc, l hub.Latency, labels ...string) {
		within := map[float64]uint64{}
		for i, bound := range hub.LatencyBounds() {
			within[bound.Seconds()] = uint64(l.Within[i])
		}
		out <- prometheus.MustNewConstHistogram(d, uint64(l.Count), l.Sum.Seconds(), within, append([]string{name}, labels...)...)
	}
	took(m.ingress, measured.Ingress)
	took(m.methods, measured.Methods)
	took(m.eventReads, measured.EventReads)
	for operation, l := range measured.Twins {
		took(m.twins, l, operation)
	}
	for operation, l := range measured.Requests {
		took(m.requests, l, strings.ToValidUTF8(operation, "?"))
	}
	for i, a := range m.activities {
		byDetail, sum := map[string]int64{}, int64(0)
		for of, n := range measured.Activities {
			if of.Kind == a.kind && of.Event == a.event && (a.detail == "" || of.Detail == a.detail) {
				sum += n
				byDetail[of.Detail] += n
			}
		}
		if a.label == "" {
			send(m.descs[i], prometheus.CounterValue, sum)
			continue
		}
		for detail, n := range byDetail {
			send(m.descs[i], prometheus.CounterValue, n, detail)
		}
	}
	for kind, n := range measured.Jobs {
		send(m.jobs, prometheus.GaugeValue, int64(n), string(kind.Type), string(kind.Status))
	}
	if counts, err := h.Counts(context.Background()); err == nil {
		send(m.devices, prometheus.GaugeValue, int64(counts.Devices))
		send(m.modules, prometheus.GaugeValue, int64(counts.Modules))
	}
	send(m.connected, prometheus.GaugeValue, int64(h.ConnectedDevices()))
	protocols := map[string]int64{}
	for _, c := range h.Connections() {
		protocols[c.Protocol]++
	}
	for protocol, n := range protocols {
		send(m.connections, prometheus.GaugeValue, n, protocol)
	}
	send(m.orphaned, prometheus.CounterValue, h.Orphaned())
	for operation, n := range h.Unsupported() {
		send(m.unsupported, prometheus.CounterValue, int64(n), strings.ToValidUTF8(operation, "?"))
	}
	if q := h.Quota(); q.Daily != 0 {
		send(m.quotaUsed, prometheus.GaugeValue, q.Used)
		send(m.quota, prometheus.GaugeValue, q.Daily)
	}
}
