package rest

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// exhaust uses up what may pass and what may wait of a throttle.
func (w *world) exhaust(of iothub.Throttle, rate iothub.Rate) {
	w.t.Helper()
	if err := w.hub.Throttle(context.Background(), of, rate.Amount); err != nil {
		w.t.Fatal(err)
	}
	left, cancel := context.WithCancel(context.Background())
	cancel()
	// The ten seconds of those who wait, of which this one does not care to see the end.
	_ = w.hub.Throttle(left, of, 10*rate.Amount/rate.Seconds)
}

func TestThrottledOperationsAnswer429(t *testing.T) {
	for _, c := range []struct {
		throttle           iothub.Throttle
		method, path, body string
	}{
		{iothub.ThrottleRegistry, "GET", "/devices/d", ""},
		{iothub.ThrottleRegistry, "PUT", "/devices/e", `{"deviceId":"e"}`},
		{iothub.ThrottleRegistry, "GET", "/devices/d/modules", ""},
		{iothub.ThrottleTwinRead, "GET", "/twins/d", ""},
		{iothub.ThrottleTwinUpdate, "PATCH", "/twins/d", `{"tags":{"a":1}}`},
		{iothub.ThrottleMethod, "POST", "/twins/d/methods", `{"methodName":"m"}`},
		{iothub.ThrottleC2DReceive, "GET", "/devices/d/messages/devicebound", ""},
		{iothub.ThrottleTelemetry, "POST", "/devices/d/messages/events", "x"},
		{iothub.ThrottleRegistry, "POST", "/devices", `[{"id":"e","importMode":"create"}]`},
		{iothub.ThrottleQuery, "POST", "/devices/query", `{"query":"SELECT * FROM devices"}`},
		{iothub.ThrottleJob, "GET", "/jobs/v2/j", ""},
		{iothub.ThrottleJob, "GET", "/jobs", ""},
		{iothub.ThrottleConfigurations, "GET", "/configurations/c", ""},
		{iothub.ThrottleFileUpload, "POST", "/devices/d/files", `{"blobName":"b"}`},
	} {
		t.Run(c.method+c.path, func(t *testing.T) {
			// In a bubble no time passes that would give way to the request.
			synctest.Test(t, func(t *testing.T) {
				w := newWorldOf(t, hub.Options{Tier: iothub.TierS1})
				if a := w.do("PUT", "/devices/d", `{"deviceId":"d"}`); a.status != 200 {
					t.Fatal(a)
				}
				w.exhaust(c.throttle, iothub.TierS1.Rate(c.throttle, 1))
				a := w.do(c.method, c.path, c.body)
				if a.status != 429 || a.header.Get("iothub-errorcode") != "ThrottlingBacklogTimeout" {
					t.Errorf("status %d, code %q", a.status, a.header.Get("iothub-errorcode"))
				}
				if want := "Wait 10 seconds and try again. Operation type: " + string(c.throttle); !strings.Contains(a.body, want) {
					t.Errorf("body %s lacks %q", a.body, want)
				}
				if a.header.Get("Retry-After") != "" {
					t.Error("the service sends no Retry-After here")
				}
			})
		})
	}
}

func TestUsedUpQuotaAnswers403(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no day ends
		w := newWorldOf(t, hub.Options{Tier: iothub.TierF1})
		if a := w.do("PUT", "/devices/d", `{"deviceId":"d"}`); a.status != 200 {
			t.Fatal(a)
		}
		w.hub.Charge(7999 * 512)
		// The last message of the day pays for an answer that is larger.
		if a := w.do("GET", "/twins/d", ""); a.status != 200 {
			t.Errorf("with a message left: %d", a.status)
		}
		for _, c := range [][3]string{
			{"GET", "/twins/d", ""},
			{"PATCH", "/twins/d", `{"tags":{"a":1}}`},
			{"POST", "/twins/d/methods", `{"methodName":"m"}`},
			{"POST", "/devices/d/messages/events", "x"},
			{"POST", "/devices/query", `{"query":"SELECT * FROM devices"}`},
			{"POST", "/devices/d/files", `{"blobName":"b"}`},
		} {
			a := w.do(c[0], c[1], c[2])
			if a.status != 403 || a.header.Get("iothub-errorcode") != "IotHubQuotaExceeded" {
				t.Errorf("%s %s: status %d, code %q", c[0], c[1], a.status, a.header.Get("iothub-errorcode"))
			}
		}
		if a := w.do("GET", "/devices/d", ""); a.status != 200 {
			t.Errorf("the registry is not metered, but answers %d", a.status)
		}
		if q := w.hub.Quota(); q.Used != q.Daily {
			t.Errorf("used %d of %d", q.Used, q.Daily)
		}
	})
}
