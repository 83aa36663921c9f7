package admin

import (
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/store/memory"
)

// withTier gives the world a hub with limits.
func (w *world) withTier() {
	w.t.Helper()
	_ = w.hub.Close()
	s := memory.New(memory.Options{})
	r, err := registry.New(registry.Options{Records: s.Records(), Documents: s.Documents()})
	if err != nil {
		w.t.Fatal(err)
	}
	h, err := hub.New(hub.Options{
		Name: "hub1", Registry: r, Queues: s.Queues(), Documents: s.Documents(), Log: s.Log(), Logger: slog.New(slog.DiscardHandler), Tier: iothub.TierS3,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.hub = h
	w.t.Cleanup(func() {
		_ = h.Close()
		_ = s.Close()
	})
}

// families is what Prometheus' own parser makes of GET /metrics.
func (w *world) families() map[string]*dto.MetricFamily {
	w.t.Helper()
	rec := w.get("/metrics")
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(rec.Body)
	if rec.Code != http.StatusOK || err != nil {
		w.t.Fatal(rec.Code, err)
	}
	return families
}

// TestMetricsTable: docs/metrics.md has every metric that there is, with its type, labels and help, and no other one.
func TestMetricsTable(t *testing.T) {
	w := newWorld(t)
	w.withTier()
	ctx := t.Context()
	d := w.connect(iothub.ID{DeviceID: "d"})
	send(t, d, iothub.Telemetry{Body: []byte("x")})
	if _, err := d.Twin(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := w.hub.CreateJob(ctx, "j", []byte(`{"jobId":"j","type":"scheduleUpdateTwin","queryCondition":"*","updateTwin":{"etag":"*","tags":{"a":1}},"startTime":"2020-01-01T00:00:00Z","maxExecutionTimeInSeconds":60}`)); err != nil {
		t.Fatal(err)
	}
	w.hub.CountUnsupported("PUT /strange")
	w.hub.Refused("CONNECT", "mqtt", "", iothub.ID{DeviceID: "d"}, iothub.NewError(iothub.CodeGenericUnauthorized, "no"))
	w.hub.ObserveRequest("GET /devices/{deviceID}", time.Millisecond)
	gone := w.connect(iothub.ID{DeviceID: "gone"})
	gone.Close()

	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if row := strings.Split(line, "|"); len(row) == 6 && strings.HasPrefix(row[1], " `hubnerite_") {
			for i := range row {
				row[i] = strings.ReplaceAll(strings.TrimSpace(row[i]), "`", "")
			}
			documented[row[1]] = strings.Join(row[2:5], " | ")
		}
	}
	for name, family := range w.families() {
		if !strings.HasPrefix(name, "hubnerite_") {
			continue
		}
		var labels []string
		for _, pair := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, pair.GetName())
		}
		slices.SortFunc(labels, func(a, b string) int { // hub first; the text form has them by name
			switch {
			case a == "hub":
				return -1
			case b == "hub":
				return 1
			}
			return strings.Compare(a, b)
		})
		is := strings.ToLower(family.GetType().String()) + " | " + strings.Join(labels, ", ") + " | " + family.GetHelp()
		if documented[name] != is {
			t.Errorf("%s is documented as %q, but is %q", name, documented[name], is)
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("%s is documented, but is not there", name)
	}
}

// TestMetricsOfLatency: what took its time is in the histograms.
func TestMetricsOfLatency(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	d := w.connect(iothub.ID{DeviceID: "d"})
	for range 2 * hub.TelemetrySampling {
		send(t, d, iothub.Telemetry{Body: []byte("x")})
	}
	if _, err := d.Twin(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Report(ctx, []byte(`{"a":1}`), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.hub.GetTwin(ctx, iothub.ID{DeviceID: "d"}); err != nil {
		t.Fatal(err)
	}
	for _, change := range []func() (hub.Twin, error){
		func() (hub.Twin, error) {
			return w.hub.PatchTwin(ctx, iothub.ID{DeviceID: "d"}, iothub.TwinPatch{Tags: map[string]any{"a": 1}}, "")
		},
		func() (hub.Twin, error) {
			return w.hub.ReplaceTwin(ctx, iothub.ID{DeviceID: "d"}, iothub.TwinPatch{}, "")
		},
	} {
		if _, err := change(); err != nil {
			t.Fatal(err)
		}
	}
	for _, took := range []time.Duration{0, 100 * time.Microsecond, 101 * time.Microsecond, 3 * time.Second, time.Hour} {
		w.hub.ObserveRequest("GET /x", took)
		w.hub.ObserveEventRead(took)
	}
	families := w.families()
	histogram := func(name, operation string) *dto.Histogram {
		t.Helper()
		for _, m := range families["hubnerite_"+name].GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["operation"] == operation && labels["hub"] == "hub1" {
				return m.GetHistogram()
			}
		}
		t.Fatalf("no %s of %q", name, operation)
		return nil
	}
	if n := histogram("telemetry_ingress_seconds", "").GetSampleCount(); n == 0 || n > 2*hub.TelemetrySampling {
		t.Errorf("%d messages had their time taken", n)
	}
	for _, operation := range []string{"device read", "device update", "read", "update", "replace"} {
		if n := histogram("twin_seconds", operation).GetSampleCount(); n != 1 {
			t.Errorf("%s: %d", operation, n)
		}
	}
	if n := histogram("method_seconds", "").GetSampleCount(); n != 0 {
		t.Errorf("%d methods", n)
	}
	for _, h := range []*dto.Histogram{histogram("rest_request_seconds", "GET /x"), histogram("event_read_seconds", "")} {
		if h.GetSampleCount() != 5 || h.GetSampleSum() < 3603 || h.GetSampleSum() > 3603.1 {
			t.Errorf("%d, %v s", h.GetSampleCount(), h.GetSampleSum())
		}
		for _, b := range h.GetBucket() {
			want := uint64(4)
			switch bound := b.GetUpperBound(); {
			case bound < 0.0002:
				want = 2
			case bound < 3:
				want = 3
			case bound > 31:
				want = 5
			}
			if b.GetCumulativeCount() != want {
				t.Errorf("up to %v: %d, want %d", b.GetUpperBound(), b.GetCumulativeCount(), want)
			}
		}
	}
}
