package admin

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
)

// metric returns the value of a line of /metrics, and false without one.
func (w *world) metric(line string) (float64, bool) {
	w.t.Helper()
	rec := w.get("/metrics")
	if rec.Code != http.StatusOK {
		w.t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	for l := range strings.Lines(rec.Body.String()) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(l), line+" "); ok {
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				w.t.Fatalf("%s: %v", l, err)
			}
			return value, true
		}
	}
	return 0, false
}

func (w *world) wantMetric(line string, want float64) {
	w.t.Helper()
	if got, ok := w.metric(line); !ok || got != want {
		w.t.Errorf("%s is %v (there: %v), want %v", line, got, ok, want)
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	w.wantMetric(`hubnerite_build_info{version="1.2.3"}`, 1)
	w.wantMetric(`hubnerite_devices{hub="hub1"}`, 0)
	w.wantMetric(`hubnerite_telemetry_ingress_success_total{hub="hub1"}`, 0)
	w.wantMetric(`hubnerite_c2d_completed_total{hub="hub1"}`, 0)

	d := w.connect(iothub.ID{DeviceID: "d"})
	w.connect(iothub.ID{DeviceID: "d", ModuleID: "m"})
	for range 3 {
		send(t, d, iothub.Telemetry{Body: []byte("x")})
	}
	refused := make(chan error, 1)
	d.SendTelemetry(ctx, iothub.Telemetry{Body: make([]byte, iothub.MaxTelemetrySize+1)}, func(err error) { refused <- err })
	if err := <-refused; err == nil {
		t.Error("a message that is too large is taken")
	}
	if _, err := d.Twin(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := w.hub.GetTwin(ctx, iothub.ID{DeviceID: "nobody"}); err == nil {
		t.Error("nobody has a twin")
	}
	if _, err := w.hub.InvokeMethod(ctx, iothub.ID{DeviceID: "d"}, iothub.MethodRequest{MethodName: "m"}); err == nil {
		t.Error("a device without methods answers one")
	}
	if _, err := w.hub.SendC2D(ctx, iothub.C2DMessage{ID: iothub.ID{DeviceID: "d"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.hub.PurgeC2D(ctx, iothub.ID{DeviceID: "d"}); err != nil {
		t.Fatal(err)
	}
	w.hub.CountUnsupported("PUT /strange")
	w.hub.Refused("CONNECT", "mqtt", "", iothub.ID{DeviceID: "d"}, iothub.NewError(iothub.CodeGenericUnauthorized, "no"))

	for line, want := range map[string]float64{
		`hubnerite_devices{hub="hub1"}`:                                           1,
		`hubnerite_modules{hub="hub1"}`:                                           1,
		`hubnerite_connected_devices{hub="hub1"}`:                                 1,
		`hubnerite_telemetry_ingress_success_total{hub="hub1"}`:                   3,
		`hubnerite_telemetry_ingress_attempts_total{hub="hub1"}`:                  4,
		`hubnerite_telemetry_ingress_throttled_total{hub="hub1"}`:                 0,
		`hubnerite_twin_device_reads_success_total{hub="hub1"}`:                   1,
		`hubnerite_twin_reads_failure_total{hub="hub1"}`:                          1,
		`hubnerite_methods_called_total{hub="hub1"}`:                              1,
		`hubnerite_methods_success_total{hub="hub1"}`:                             0,
		`hubnerite_methods_failure_total{hub="hub1"}`:                             1,
		`hubnerite_c2d_sent_total{hub="hub1"}`:                                    1,
		`hubnerite_c2d_completed_total{hub="hub1"}`:                               0,
		`hubnerite_c2d_purged_total{hub="hub1"}`:                                  1,
		`hubnerite_unsupported_total{hub="hub1",operation="PUT /strange"}`:        1,
		`hubnerite_refusals_total{error="` + unauthorizedName() + `",hub="hub1"}`: 1,
	} {
		w.wantMetric(line, want)
	}
	if _, ok := w.metric(`go_goroutines`); !ok {
		t.Error("nothing of the Go runtime")
	}
	if rec := w.get("/metrics?name=x"); rec.Code != http.StatusUnprocessableEntity {
		t.Errorf("an unknown parameter: %d", rec.Code)
	}
}

func unauthorizedName() string { return iothub.CodeGenericUnauthorized.String() }

// TestMetricNames: names are Prometheus', help says which metric of a real hub it is.
func TestMetricNames(t *testing.T) {
	w := newWorld(t)
	text := w.get("/metrics").Body.String()
	counters := regexp.MustCompile(`(?m)^# TYPE (hubnerite_\S+) counter$`).FindAllStringSubmatch(text, -1)
	if len(counters) < 20 {
		t.Errorf("%d counters", len(counters))
	}
	for _, m := range counters {
		if !strings.HasSuffix(m[1], "_total") {
			t.Errorf("%s is a counter without _total", m[1])
		}
	}
	for _, name := range []string{
		"d2c.telemetry.ingress.success", "d2c.telemetry.ingress.allProtocol", "d2c.telemetry.ingress.sendThrottle", "d2c.telemetry.egress.orphaned",
		"c2d.commands.egress.complete.success", "c2d.commands.egress.abandon.success", "c2d.commands.egress.reject.success", "C2DMessagesExpired",
		"c2d.methods.success", "c2d.methods.failure", "d2c.twin.read.success", "d2c.twin.update.success", "c2d.twin.read.success", "c2d.twin.update.success",
		"twinQueries.success", "connectedDeviceCount", "devices.connectedDevices.allProtocol", "totalDeviceCount",
	} {
		if !strings.Contains(text, name) {
			t.Errorf("no help names %s", name)
		}
	}
}
