package emulator_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
	"github.com/hubnerite/hubnerite/hub"
)

// TestServiceBehindTheManagementAPI: the hub's own API without a token, of each hub, and not touched by fault rules.
func TestServiceBehindTheManagementAPI(t *testing.T) {
	e := emulatortest.Run(t, emulatortest.WithDevices("d1"))
	if _, err := e.CreateHub(t.Context(), emulator.HubOptions{Name: "second", Devices: []string{"d2"}}); err != nil {
		t.Fatal(err)
	}
	call := func(method, path, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, e.Info().AdminURL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}
	want := func(method, path, body string, status int, contains string) {
		t.Helper()
		if got, text := call(method, path, body); got != status || !strings.Contains(text, contains) {
			t.Errorf("%s %s: %d %s, want %d and %q", method, path, got, text, status, contains)
		}
	}
	const version = "api-version=2021-04-12"
	want("GET", "/service/devices/d1?"+version, "", 200, `"deviceId":"d1"`)
	want("GET", "/service/devices/d2?"+version, "", 404, "DeviceNotFound")
	want("GET", "/service/devices/d2?hub=second&"+version, "", 200, `"deviceId":"d2"`)
	want("GET", "/service/devices/d1?hub=second&"+version, "", 404, "DeviceNotFound")
	want("PATCH", "/service/twins/d2?hub=second&"+version, `{"tags":{"site":"Oslo"}}`, 200, `"Oslo"`)
	want("POST", "/service/devices/query?hub=second&"+version, `{"query":"SELECT deviceId FROM devices WHERE tags.site = 'Oslo'"}`, 200, `"d2"`)

	if _, err := hubNamed(t, e, "").AddFaultRule(hub.FaultRule{Operation: hub.FaultOnREST, Action: hub.FaultRefuse}); err != nil {
		t.Fatal(err)
	}
	want("GET", "/service/devices/d1?"+version, "", 200, `"deviceId":"d1"`)
}
