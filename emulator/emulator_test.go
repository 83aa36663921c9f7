package emulator_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
	"github.com/hubnerite/hubnerite/iothub"
)

func TestMain(m *testing.M) {
	// The Event Hubs client forgets the goroutine that renews the claim of its
	// management link when it is closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(
		"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2/internal.(*Namespace).startNegotiateClaimRenewer.func3"))
}

// httpClient trusts the emulator's CA file only.
func httpClient(t testing.TB, e *emulator.Emulator) *http.Client {
	t.Helper()
	text, err := os.ReadFile(e.Info().CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
	}}
}

func get(t *testing.T, c *http.Client, url, token string) (int, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", token)
	response, err := c.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body
}

func deviceURL(info emulator.Info, id string) string {
	return "https://localhost:" + strconv.Itoa(info.Ports.HTTPS) + "/devices/" + id + "?api-version=2021-04-12"
}

func TestZeroConfigServesEverything(t *testing.T) {
	e := emulatortest.Run(t, emulatortest.WithDevices("d1"))
	info := e.Info()

	client := httpClient(t, e)
	status, body := get(t, client, info.AdminURL+"/health", "")
	if status != http.StatusOK {
		t.Errorf("health answers %d: %s", status, body)
	}
	status, body = get(t, client, info.AdminURL+"/info", "")
	var served emulator.Info
	if err := json.Unmarshal(body, &served); err != nil || status != http.StatusOK {
		t.Fatalf("info answers %d, %v", status, err)
	}
	if diff := cmp.Diff(info, served); diff != "" {
		t.Errorf("the info served differs from Info() (-want +got):\n%s", diff)
	}
	if status, body = get(t, client, info.AdminURL+"/ca.pem", ""); status != http.StatusOK || !strings.Contains(string(body), "BEGIN CERTIFICATE") {
		t.Errorf("ca.pem answers %d: %s", status, body)
	}

	// The service connection string opens the service API.
	token, err := emulator.ServiceToken(info.ConnectionStrings["registryRead"], time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	status, body = get(t, client, deviceURL(info, "d1"), token)
	var device struct {
		DeviceID       string `json:"deviceId"`
		Authentication iothub.Authentication
	}
	if err := json.Unmarshal(body, &device); err != nil || status != http.StatusOK {
		t.Fatalf("the device is answered with %d: %s", status, body)
	}
	want := "HostName=localhost;DeviceId=d1;SharedAccessKey=" + device.Authentication.SymmetricKey.PrimaryKey
	if got := info.Devices["d1"]; got != want {
		t.Errorf("connection string %q, want %q", got, want)
	}

	// MQTT and AMQP listeners speak TLS under the same authority.
	for _, name := range []string{"mqtt", "amqp"} {
		config := client.Transport.(*http.Transport).TLSClientConfig.Clone()
		config.ServerName = "hub1.azure-devices.net"
		c, err := tls.Dial("tcp", e.Addr(name).String(), config)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = c.Close()
	}
	if e.Addr("mqtt-plain") != nil {
		t.Error("MQTT without TLS listens although nobody asked")
	}
}

func TestMQTTConnect(t *testing.T) {
	e := emulatortest.Run(t, emulatortest.WithConfig(func(c *emulator.Config) { c.PlainMQTT = true }))
	c, err := net.Dial("tcp", e.Addr("mqtt-plain").String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	// A CONNECT without any credential is refused with a CONNACK, which shows
	// that the front end is behind the listener.
	if _, err := c.Write([]byte("\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02d1")); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	answer := make([]byte, 4)
	if _, err := io.ReadFull(c, answer); err != nil || answer[0] != 0x20 || answer[3] == 0 {
		t.Errorf("answer % x, %v; want a CONNACK that refuses", answer, err)
	}
}

func TestTwoEmulatorsInOneProcess(t *testing.T) {
	a := emulatortest.Run(t, emulatortest.WithDevices("only-in-a"))
	b := emulatortest.Run(t)
	for _, tt := range []struct {
		e    *emulator.Emulator
		want int
	}{{a, http.StatusOK}, {b, http.StatusNotFound}} {
		token, err := emulator.ServiceToken(tt.e.Info().ConnectionStrings["iothubowner"], time.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if status, body := get(t, httpClient(t, tt.e), deviceURL(tt.e.Info(), "only-in-a"), token); status != tt.want {
			t.Errorf("%s answers %d, want %d: %s", tt.e.Info().AdminURL, status, tt.want, body)
		}
	}
}

func TestListensOnBothLoopbackAddresses(t *testing.T) {
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("this machine has no IPv6 loopback address")
	} else {
		_ = l.Close()
	}
	e := emulatortest.Run(t)
	for _, host := range []string{"127.0.0.1", "::1"} {
		response, err := httpClient(t, e).Get("http://" + net.JoinHostPort(host, strconv.Itoa(e.Info().Ports.Admin)) + "/health")
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		_ = response.Body.Close()
	}
}

func TestInMemoryLeavesNothing(t *testing.T) {
	e, err := emulator.Start(t.Context(), emulator.Config{})
	if err != nil {
		t.Fatal(err)
	}
	file := e.Info().CAFile
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := e.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", file, err)
	}
	// Whoever listens there by now is another program.
	if response, err := http.Get(e.Info().AdminURL + "/info"); err == nil {
		defer func() { _ = response.Body.Close() }()
		var info emulator.Info
		if err := json.NewDecoder(response.Body).Decode(&info); err == nil && info.CAFile == file {
			t.Error("the admin port is still open after Close")
		}
	}
}

func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	port := taken.Addr().(*net.TCPAddr).Port
	_, err = emulator.Start(t.Context(), emulator.Config{AMQPPort: port})
	var listen *emulator.ListenError
	if !errors.As(err, &listen) || listen.Listener != "amqp" || listen.Port != port {
		t.Errorf("error %v, want a ListenError of amqp and port %d", err, port)
	}
}

func TestPolicyKeys(t *testing.T) {
	const key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	e := emulatortest.Run(t, emulatortest.WithConfig(func(c *emulator.Config) {
		c.PolicyKeys = map[string]string{"service": key}
	}))
	if got, want := e.Info().ConnectionStrings["service"], "SharedAccessKey="+key; !strings.HasSuffix(got, want) {
		t.Errorf("connection string %q, want it to end with the given key", got)
	}
	if got := e.Info().ConnectionStrings["iothubowner"]; strings.Contains(got, key) {
		t.Errorf("connection string %q has the other policy's key", got)
	}
}

func TestNoticesWhenReachable(t *testing.T) {
	const key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	own := map[string]string{}
	for _, name := range []string{"iothubowner", "service", "device", "registryRead", "registryReadWrite"} {
		own[name] = key
	}
	for name, tt := range map[string]struct {
		cfg  emulator.Config
		want bool
	}{
		"loopback":                     {emulator.Config{}, false},
		"everywhere, published keys":   {emulator.Config{Bind: "0.0.0.0"}, true},
		"everywhere, one key replaced": {emulator.Config{Bind: "0.0.0.0", PolicyKeys: map[string]string{"service": key}}, true},
		"everywhere, keys of one's own": {
			emulator.Config{Bind: "0.0.0.0", PolicyKeys: own}, false,
		},
	} {
		e := emulatortest.Run(t, emulatortest.WithConfig(func(c *emulator.Config) { *c = tt.cfg }))
		if got := strings.Contains(strings.Join(e.Notices(), "\n"), "iothubowner"); got != tt.want {
			t.Errorf("%s: notices %q, want a warning: %t", name, e.Notices(), tt.want)
		}
		if got := strings.Contains(strings.Join(e.Notices(), "\n"), "storage account"); got != (tt.cfg.Bind != "") {
			t.Errorf("%s: notices %q", name, e.Notices())
		}
	}
}

func TestHostNames(t *testing.T) {
	e := emulatortest.Run(t, emulatortest.WithHostNames("hub1.localhost", "hub1.example"), emulatortest.WithDevices("d"))
	info := e.Info()
	if want := "HostName=hub1.localhost:" + strconv.Itoa(info.Ports.HTTPS) + ";"; !strings.HasPrefix(info.ConnectionStrings["service"], want) {
		t.Errorf("service string %q, want it to begin with %q", info.ConnectionStrings["service"], want)
	}
	if want := "HostName=hub1.localhost;DeviceId=d;"; !strings.HasPrefix(info.Devices["d"], want) {
		t.Errorf("device string %q, want it to begin with %q", info.Devices["d"], want)
	}
	text, err := os.ReadFile(info.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	for _, name := range info.HostNames {
		c, err := tls.Dial("tcp", e.Addr("https").String(), &tls.Config{RootCAs: pool, ServerName: name, MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = c.Close()
	}
	if got := e.Hub().Name(); got != "hub1" {
		t.Errorf("hub name %q, want hub1", got)
	}
}

func TestConfigIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  emulator.Config
		want string
	}{
		"durability without a directory": {emulator.Config{Durability: "fsync"}, "data directory"},
		"unknown durability":             {emulator.Config{DataDir: "x", Durability: "maybe"}, "none, os, fsync"},
		"certificate without key":        {emulator.Config{CertFile: "x"}, "key"},
		"key without certificate":        {emulator.Config{KeyFile: "x"}, "key"},
		"bind to a name":                 {emulator.Config{Bind: "example.com"}, "IP address"},
		"host name with scheme":          {emulator.Config{HostNames: []string{"https://hub"}}, "host name"},
		"host name with port":            {emulator.Config{HostNames: []string{"hub:443"}}, "host name"},
		"empty host name":                {emulator.Config{HostNames: []string{""}}, "host name"},
		"device ID":                      {emulator.Config{Devices: []string{"a b"}}, "a b"},
		"events of no source":            {emulator.Config{BuiltInEvents: []string{"DeviceMessages"}}, "DeviceMessages"},
		"route without an endpoint":      {emulator.Config{Routes: []iothub.Route{{Name: "r", Source: "DeviceMessages"}}}, "endpointNames"},
		"route with a bad condition": {emulator.Config{Routes: []iothub.Route{
			{Name: "r", Source: "DeviceMessages", EndpointNames: []string{"events"}, Condition: "a ="},
		}}, "character 4"},
		"enrichment without a value": {emulator.Config{Enrichments: []iothub.Enrichment{{Key: "k", EndpointNames: []string{"events"}}}}, "value"},
		"endpoint of no web":         {emulator.Config{Endpoints: []iothub.Endpoint{{Name: "e", URL: "mailto:x"}}}, "URL"},
		"port too high":              {emulator.Config{MQTTPort: 65536}, "65535"},
		"negative port":              {emulator.Config{AdminPort: -1}, "admin"},
		"long token grace":           {emulator.Config{TokenGrace: 2 * time.Hour}, "token grace"},
		"one port twice":             {emulator.Config{MQTTPort: 9000, AMQPPort: 9000}, "9000"},
		"unknown policy":             {emulator.Config{PolicyKeys: map[string]string{"nobody": "MDEyMzQ1Njc4OTAxMjM0NQ=="}}, "nobody"},
		"short key":                  {emulator.Config{PolicyKeys: map[string]string{"service": "c2hvcnQ="}}, "service"},
	} {
		_, err := emulator.Start(t.Context(), tt.cfg)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one that says %q", name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "c2hvcnQ=") {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

func TestCloseDoesNotWaitForIdleClients(t *testing.T) {
	e, err := emulator.Start(t.Context(), emulator.Config{})
	if err != nil {
		t.Fatal(err)
	}
	// Connected, silent, in the middle of nothing.
	for _, name := range []string{"mqtt", "amqp", "https", "admin"} {
		c, err := net.Dial("tcp", e.Addr(name).String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	began := time.Now()
	if err := e.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("close took %s", took)
	}
}
