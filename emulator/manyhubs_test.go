package emulator_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
	"github.com/hubnerite/hubnerite/internal/mqtttest"
	"github.com/hubnerite/hubnerite/iothub"
)

// Two emulators with ten hubs each, one in memory and one on disk, each hub with devices of the same names that
// talk over MQTT at the same time; each hub has only what its own devices sent.
func TestTwoEmulatorsWithTwentyHubs(t *testing.T) {
	const hubs, devicesEach, messages = 10, 3, 5
	emulators := []*emulator.Emulator{
		emulatortest.Run(t),
		emulatortest.Run(t, emulatortest.WithDataDir(t.TempDir())),
	}
	t.Run("send", func(t *testing.T) {
		for n, e := range emulators {
			for i := range hubs {
				t.Run(fmt.Sprintf("%d-%d", n, i), func(t *testing.T) {
					t.Parallel()
					options := emulator.HubOptions{Name: fmt.Sprintf("hub%d", i)}
					for d := range devicesEach {
						options.Devices = append(options.Devices, fmt.Sprintf("d%d", d))
					}
					info, err := e.CreateHub(t.Context(), options)
					if err != nil {
						t.Fatal(err)
					}
					for _, device := range options.Devices {
						sendOverMQTT(t, e, info, device, fmt.Sprintf("emulator%d/hub%d/%s", n, i, device), messages)
					}
				})
			}
		}
	})
	if t.Failed() {
		return
	}
	var work sync.WaitGroup
	for n, e := range emulators {
		if got := len(e.Hubs()); got != hubs+1 {
			t.Fatalf("emulator %d has %d hubs", n, got)
		}
		for i := range hubs {
			h := hubNamed(t, e, fmt.Sprintf("hub%d", i))
			for d := range devicesEach {
				device := fmt.Sprintf("d%d", d)
				want := slices.Repeat([]string{fmt.Sprintf("emulator%d/hub%d/%s", n, i, device)}, messages)
				if got := bodies(t, h, device); !slices.Equal(got, want) {
					t.Errorf("emulator %d, hub %d, %s: %q", n, i, device, got)
				}
			}
		}
		if got := devices(t, e.Hub()); got != "" {
			t.Errorf("the default hub has the devices %q", got)
		}
		// Half of them go, half are reset, and a device of a reset hub is thrown out.
		c := dialMQTT(t, e, "hub1.localhost")
		loginMQTT(t, c, e, "hub1", "d0")
		for i := range hubs {
			work.Go(func() {
				name := fmt.Sprintf("hub%d", i)
				var err error
				if i%2 == 0 {
					err = e.DeleteHub(t.Context(), name)
				} else {
					err = e.Reset(t.Context(), name, false)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		work.Wait()
		c.ExpectClose()
		for i := range hubs {
			h, ok := e.HubNamed(fmt.Sprintf("hub%d", i))
			if ok != (i%2 == 1) {
				t.Errorf("hub %d is there: %t", i, ok)
			}
			if ok && len(bodies(t, h, "d0")) != 0 {
				t.Errorf("hub %d has telemetry after the reset", i)
			}
		}
		// Its key is what it was.
		c = dialMQTT(t, e, "hub1.localhost")
		loginMQTT(t, c, e, "hub1", "d0")
	}
}

func dialMQTT(t *testing.T, e *emulator.Emulator, host string) *mqtttest.Client {
	t.Helper()
	ca, err := os.ReadFile(e.Info().CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	nc, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Minute}, "tcp", e.Addr("mqtt").String(), &tls.Config{RootCAs: pool, ServerName: host, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatalf("%s: %v", host, err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return mqtttest.New(t, nc)
}

func loginMQTT(t *testing.T, c *mqtttest.Client, e *emulator.Emulator, hub, device string) {
	t.Helper()
	info, err := e.HubInfo(hub)
	if err != nil {
		t.Fatal(err)
	}
	token, err := emulator.DeviceToken(info.Devices[device], time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if _, code := c.Connect(mqtttest.ConnectOptions{
		ClientID: device, UserName: info.HostName + "/" + device + "/?api-version=2021-04-12", Password: token,
	}); code != 0 {
		t.Fatalf("CONNACK %d", code)
	}
}

func sendOverMQTT(t *testing.T, e *emulator.Emulator, info emulator.HubInfo, device, body string, count int) {
	t.Helper()
	c := dialMQTT(t, e, info.HostName)
	loginMQTT(t, c, e, info.Name, device)
	for i := range count {
		c.Send(mqtttest.AppendPublish(nil, "devices/"+device+"/messages/events/", []byte(body), 1, uint16(i+1)))
		c.Expect(mqtttest.Puback)
	}
	c.Send(mqtttest.AppendPacket(nil, mqtttest.Disconnect<<4, nil))
}

// A token for one hub opens no other, although the keys of all are the published ones.
func TestHubsDoNotTakeEachOthersTokens(t *testing.T) {
	e := emulatortest.Run(t)
	for _, name := range []string{"one", "two"} {
		if _, err := e.CreateHub(t.Context(), emulator.HubOptions{Name: name, Devices: []string{"d"}}); err != nil {
			t.Fatal(err)
		}
	}
	one := hubNamed(t, e, "one")
	for _, tt := range []struct {
		resource string
		ok       bool
	}{
		{"one.localhost", true},
		{"one.azure-devices.net/devices/d", true},
		{"one.servicebus.windows.net/one", true},
		{"sb://localhost/one", true}, // a client of Event Hubs that knows no other name
		{"two.localhost", false},
		{"localhost", false},
		{"localhost/devices/d", false},
		{"sb://localhost/two", false},
		{"other.azure-devices.net", false},
	} {
		info := e.Info()
		_, key, _ := strings.Cut(info.ConnectionStrings["iothubowner"], "SharedAccessKey=")
		token, err := emulator.ServiceToken("HostName="+tt.resource+";SharedAccessKeyName=iothubowner;SharedAccessKey="+key, time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := one.Authenticate(t.Context(), token); (err == nil) != tt.ok || err != nil && iothub.ErrorCode(err) != iothub.CodeIotHubUnauthorizedAccess {
			t.Errorf("%s: %v, want it accepted: %t", tt.resource, err, tt.ok)
		}
	}
}
