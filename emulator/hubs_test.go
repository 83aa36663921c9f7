package emulator_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/admin"
	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

func hubNamed(t testing.TB, e *emulator.Emulator, name string) *hub.Hub {
	t.Helper()
	h, ok := e.HubNamed(name)
	if !ok {
		t.Fatalf("there is no hub %q", name)
	}
	return h
}

func TestCreateAndDeleteHubs(t *testing.T) {
	e := emulatortest.Run(t, emulatortest.WithDevices("d1"))
	ctx := t.Context()
	info, err := e.CreateHub(ctx, emulator.HubOptions{
		Name: "Second", HostNames: []string{"Second.Test"}, Devices: []string{"d2"}, ConsumerGroups: []string{"g"},
		PolicyKeys: map[string]string{"service": "c2VydmljZSBrZXkgb2Ygc2Vjb25k"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(info.HostNames, " "), "second.test second.localhost second.azure-devices.net"; got != want {
		t.Errorf("host names %q, want %q", got, want)
	}
	if info.HostName != "second.test" || info.Default || info.EventHub.EntityPath != "Second" {
		t.Errorf("info %+v", info)
	}
	if s := info.ConnectionStrings["service"]; !strings.HasPrefix(s, "HostName=second.test") || !strings.HasSuffix(s, "SharedAccessKey=c2VydmljZSBrZXkgb2Ygc2Vjb25k") {
		t.Errorf("connection string %q", s)
	}
	if info.ConnectionStrings["iothubowner"] == "" || info.Devices["d2"] == "" {
		t.Errorf("strings missing: %+v", info)
	}
	second := hubNamed(t, e, "SECOND")
	if _, err := second.GetIdentity(ctx, iothub.ID{DeviceID: "d1"}); iothub.ErrorCode(err) != iothub.CodeDeviceNotFound {
		t.Errorf("the second hub has the first one's device: %v", err)
	}
	if _, ok := second.ConsumerGroup("g"); !ok {
		t.Error("no consumer group g")
	}
	if hubs := e.Hubs(); len(hubs) != 2 || !hubs[0].Default || hubs[1].Name != "Second" {
		t.Errorf("hubs %+v", hubs)
	}

	if got := strings.Join(e.Info().Hubs, " "); got != "localhost Second" {
		t.Errorf("the info names the hubs %q", got)
	}

	if err := e.DeleteHub(ctx, "second"); err != nil {
		t.Fatal(err)
	}
	if _, ok := e.HubNamed("second"); ok {
		t.Error("the hub is still there")
	}
	// The name is free at once, and nothing is left.
	if info, err = e.CreateHub(ctx, emulator.HubOptions{Name: "second"}); err != nil || len(info.Devices) != 0 {
		t.Errorf("made again: %+v, %v", info, err)
	}
	if _, err := hubNamed(t, e, "second").GetIdentity(ctx, iothub.ID{DeviceID: "d2"}); iothub.ErrorCode(err) != iothub.CodeDeviceNotFound {
		t.Errorf("the new hub has the old one's device: %v", err)
	}
}

func TestRefusedHubs(t *testing.T) {
	e := emulatortest.Run(t, emulatortest.WithHostNames("main.test"))
	ctx := t.Context()
	if _, err := e.CreateHub(ctx, emulator.HubOptions{Name: "taken", HostNames: []string{"extra.test"}}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		options emulator.HubOptions
		status  int
	}{
		{emulator.HubOptions{}, http.StatusBadRequest},
		{emulator.HubOptions{Name: "a.b"}, http.StatusBadRequest},
		{emulator.HubOptions{Name: "-a"}, http.StatusBadRequest},
		{emulator.HubOptions{Name: "a-"}, http.StatusBadRequest},
		{emulator.HubOptions{Name: "../a"}, http.StatusBadRequest},
		{emulator.HubOptions{Name: strings.Repeat("a", 51)}, http.StatusBadRequest},
		{emulator.HubOptions{Name: "a", HostNames: []string{"http://a"}}, http.StatusBadRequest},
		{emulator.HubOptions{Name: "a", HostNames: []string{"127.0.0.1"}}, http.StatusBadRequest},
		{emulator.HubOptions{Name: "a", Devices: []string{"not a device"}}, http.StatusBadRequest},
		{emulator.HubOptions{Name: "a", PolicyKeys: map[string]string{"none": "c2VydmljZSBrZXkgb2Ygc2Vjb25k"}}, http.StatusBadRequest},
		{emulator.HubOptions{Name: "a", PolicyKeys: map[string]string{"service": "short"}}, http.StatusBadRequest},
		{emulator.HubOptions{Name: "TAKEN"}, http.StatusConflict},
		{emulator.HubOptions{Name: "main"}, http.StatusConflict},
		{emulator.HubOptions{Name: "a", HostNames: []string{"Extra.test"}}, http.StatusConflict},
		{emulator.HubOptions{Name: "a", HostNames: []string{"taken.localhost"}}, http.StatusConflict},
		{emulator.HubOptions{Name: "a", HostNames: []string{"taken.servicebus.windows.net"}}, http.StatusConflict},
		{emulator.HubOptions{Name: "a", HostNames: []string{"localhost"}}, http.StatusConflict},
		{emulator.HubOptions{Name: "a", HostNames: []string{"MAIN.test"}}, http.StatusConflict},
	} {
		_, err := e.CreateHub(ctx, tt.options)
		if r := (*admin.Refusal)(nil); !errors.As(err, &r) || r.Status != tt.status {
			t.Errorf("%+v: %v, want status %d", tt.options, err, tt.status)
		}
	}
	if len(e.Hubs()) != 2 {
		t.Errorf("there are %d hubs", len(e.Hubs()))
	}
	for name, status := range map[string]int{"none": http.StatusNotFound, "": http.StatusConflict, "main": http.StatusConflict} {
		err := e.DeleteHub(ctx, name)
		if r := (*admin.Refusal)(nil); !errors.As(err, &r) || r.Status != status {
			t.Errorf("delete %q: %v, want status %d", name, err, status)
		}
	}
}

// Each name reaches its hub over HTTPS, with a certificate that covers it and tokens of its own.
func TestHubsByHostName(t *testing.T) {
	e := emulatortest.Run(t)
	for _, name := range []string{"one", "two"} {
		if _, err := e.CreateHub(t.Context(), emulator.HubOptions{Name: name, HostNames: []string{name + ".test"}, Devices: []string{"only-" + name}}); err != nil {
			t.Fatal(err)
		}
	}
	infos := map[string]emulator.HubInfo{}
	for _, info := range e.Hubs() {
		infos[info.Name] = info
	}
	for _, tt := range []struct{ host, hub string }{
		{"one.test", "one"},
		{"two.test", "two"},
		{"ONE.localhost", "one"},
		{"two.azure-devices.net", "two"},
		{"two.service.azure-devices.net", "two"},
		{"localhost", "localhost"},
		{"other.azure-devices.net", "localhost"},
	} {
		t.Run(tt.host, func(t *testing.T) {
			client := clientFor(t, e)
			for name, info := range infos {
				service := info.ConnectionStrings["iothubowner"]
				_, key, _ := strings.Cut(service, ";")
				token, err := emulator.ServiceToken("HostName="+tt.host+";"+key, time.Now().Add(time.Hour))
				if err != nil {
					t.Fatal(err)
				}
				if name != tt.hub {
					// The published keys are the same; the name in the token tells whom it is for.
					if token, err = emulator.ServiceToken(service, time.Now().Add(time.Hour)); err != nil {
						t.Fatal(err)
					}
				}
				status, _ := get(t, client, "https://"+tt.host+"/devices/only-"+tt.hub+"?api-version=2021-04-12", token)
				want := http.StatusUnauthorized
				if name == tt.hub {
					if want = http.StatusOK; name == "localhost" {
						want = http.StatusNotFound
					}
				}
				if status != want {
					t.Errorf("with a token for %s: status %d, want %d", name, status, want)
				}
			}
		})
	}
}

// clientFor dials the HTTPS listener whatever the URL's host is, and asks for that host's certificate.
func clientFor(t *testing.T, e *emulator.Emulator) *http.Client {
	t.Helper()
	client := httpClient(t, e)
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, e.Addr("https").String())
	}
	return client
}

func TestHubsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	var before []emulator.HubInfo
	run := func(name string, f func(*testing.T, *emulator.Emulator)) {
		t.Run(name, func(t *testing.T) { f(t, emulatortest.Run(t, emulatortest.WithDataDir(dir))) })
	}
	run("first", func(t *testing.T, e *emulator.Emulator) {
		for i := range 3 {
			if _, err := e.CreateHub(t.Context(), emulator.HubOptions{Name: fmt.Sprintf("hub%d", i), Devices: []string{"d"}, HostNames: []string{fmt.Sprintf("h%d.test", i)}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.DeleteHub(t.Context(), "hub1"); err != nil {
			t.Fatal(err)
		}
		before = e.Hubs()
	})
	run("second", func(t *testing.T, e *emulator.Emulator) {
		after := e.Hubs()
		if len(after) != 3 || after[1].Name != "hub0" || after[2].Name != "hub2" {
			t.Fatalf("hubs %+v", after)
		}
		if after[2].Devices["d"] != before[2].Devices["d"] || strings.Join(after[2].HostNames, " ") != strings.Join(before[2].HostNames, " ") {
			t.Errorf("was %+v, is %+v", before[2], after[2])
		}
		if _, err := hubNamed(t, e, "hub2").GetIdentity(context.Background(), iothub.ID{DeviceID: "d"}); err != nil {
			t.Error(err)
		}
	})
}
