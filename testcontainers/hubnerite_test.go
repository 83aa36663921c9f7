package hubnerite_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"
	"github.com/testcontainers/testcontainers-go"

	hubnerite "github.com/hubnerite/hubnerite/testcontainers"
)

// imageVariable names the image to test. Without it there is nothing to run: `make containers` of the repository sets it.
const imageVariable = "HUBNERITE_IMAGE"

// testTimeout bounds one test. Far more than it should take.
const testTimeout = 4 * time.Minute

// run starts the image under test, for the time of the test.
func run(t *testing.T, opts ...testcontainers.ContainerCustomizer) (context.Context, *hubnerite.Container) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	hub, err := hubnerite.Run(ctx, image(t), opts...)
	testcontainers.CleanupContainer(t, hub)
	if err != nil {
		t.Fatal(err)
	}
	return ctx, hub
}

func image(t *testing.T) string {
	t.Helper()
	name := os.Getenv(imageVariable)
	if name == "" {
		t.Skipf("%s names no image; make containers runs these tests", imageVariable)
	}
	return name
}

// TestClients uses an emulator on free ports with what Go has: an MQTT device, Azure's Event Hubs client, the REST API.
func TestClients(t *testing.T) {
	ctx, hub := run(t, hubnerite.WithDevices("d1"))
	device, err := connect(ctx, hub, "d1")
	if err != nil {
		t.Fatal(err)
	}
	defer device.Disconnect(250)
	const body = `{"temperature": 21.5}`
	if sent := device.Publish("devices/d1/messages/events/alert=yes", 1, false, body); !sent.WaitTimeout(time.Minute) || sent.Error() != nil {
		t.Fatalf("publish: %v", sent.Error())
	}

	messages, err := hub.WaitForMessages(ctx, 1, hubnerite.Filter{Device: "d*", Property: "alert=yes"})
	if err != nil || len(messages) != 1 {
		t.Fatalf("wait: %v, %v", messages, err)
	}
	if m := messages[0]; m.Device != "d1" || string(m.Body) != body || m.Properties["alert"] != "yes" || m.EnqueuedTime.IsZero() {
		t.Errorf("got %+v", m)
	}
	if messages, err := hub.WaitForMessages(ctx, 1, hubnerite.Filter{Body: "$.temperature=21.5"}); err != nil || len(messages) != 1 {
		t.Errorf("body filter: %v, %v", messages, err)
	}

	plain, err := hub.EventHubConnectionString(ctx)
	if err != nil {
		t.Fatal(err)
	}
	read(ctx, t, plain, nil, body)
	secured, err := hub.EventHubTLSConnectionString(ctx)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := hub.TLSConfig(ctx)
	if err != nil {
		t.Fatal(err)
	}
	read(ctx, t, secured, &azeventhubs.ConsumerClientOptions{TLSConfig: trust}, body)

	service, err := hub.ConnectionString(ctx, "registryRead")
	if err != nil {
		t.Fatal(err)
	}
	if status := getDevice(ctx, t, service, hub, "d1"); status != http.StatusOK {
		t.Errorf("GET /devices/d1: %d", status)
	}
	if status := getDevice(ctx, t, service, hub, "d2"); status != http.StatusNotFound {
		t.Errorf("GET /devices/d2: %d", status)
	}
	if text, err := hub.ConnectionString(ctx, "nobody"); err == nil {
		t.Errorf("connection string of a policy that is not there: %s", text)
	}
}

// TestControl resets the hub, makes devices, and moves the clock.
func TestControl(t *testing.T) {
	ctx, hub := run(t, hubnerite.WithDevices("d1"), hubnerite.WithSeed(filepath.Join("..", "examples", "seed", "hub.yaml")),
		hubnerite.WithHostNames("hub1.azure-devices.net"))
	first, err := hub.DeviceConnectionString(ctx, "d1")
	if err != nil {
		t.Fatal(err)
	}
	seeded, err := hub.DeviceConnectionString(ctx, "press-1")
	if want := "HostName=" + hub.HostName() + ";DeviceId=press-1;SharedAccessKey=cHJlc3MtMSBwcmltYXJ5IGtleSBmb3IgZGVtb3M="; err != nil || seeded != want {
		t.Errorf("device of the seed: %s, %v, want %s", seeded, err, want)
	}
	if text, err := hub.DeviceConnectionString(ctx, "pump-1"); err != nil || !strings.HasSuffix(text, ";x509=true") {
		t.Errorf("device with a certificate: %s, %v", text, err)
	}
	made, err := hub.CreateDevice(ctx, "d2")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := hub.CreateDevice(ctx, "d2"); err != nil || again != made {
		t.Errorf("created again: %s, %v, want the same device", again, err)
	}
	trust, err := hub.TLSConfig(ctx)
	if err != nil {
		t.Fatal(err)
	}
	trust.ServerName = "hub1.azure-devices.net"
	client := http.Client{Transport: &http.Transport{TLSClientConfig: trust}}
	defer client.CloseIdleConnections()
	address, err := hub.HTTPSAddress(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := client.Get("https://" + address + "/"); err != nil {
		t.Errorf("under a name of WithHostNames: %v", err)
	} else {
		_ = response.Body.Close()
	}

	if err := hub.AdvanceClock(ctx, 2*time.Hour); err != nil {
		t.Error(err)
	}
	if err := hub.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	if text, err := hub.DeviceConnectionString(ctx, "d2"); err == nil {
		t.Errorf("d2 is there after a reset: %s", text)
	}
	if text, err := hub.DeviceConnectionString(ctx, "d1"); err != nil || text != first {
		t.Errorf("d1 after a reset: %s, %v, want %s", text, err, first)
	}
	if text, err := hub.DeviceConnectionString(ctx, "press-1"); err != nil || text != seeded {
		t.Errorf("press-1 after a reset: %s, %v, want %s", text, err, seeded)
	}
	short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	if messages, err := hub.WaitForMessages(short, 1, hubnerite.Filter{Device: "d1"}); !errors.Is(err, context.DeadlineExceeded) || len(messages) != 0 {
		t.Errorf("waiting for what does not come: %v, %v", messages, err)
	}
}

// TestFixedPorts: with them nothing but the names has to be known, which is what Microsoft's device SDKs need.
func TestFixedPorts(t *testing.T) {
	ctx, hub := run(t, hubnerite.WithFixedPorts(), hubnerite.WithDevices("d1"))
	for name, address := range map[string]func(context.Context) (string, error){
		"8883": hub.MQTTAddress, "5671": hub.AMQPAddress, "443": hub.HTTPSAddress,
	} {
		if got, err := address(ctx); err != nil || got != hub.HostName()+":"+name {
			t.Errorf("address %s, %v, want port %s", got, err, name)
		}
	}
	text, err := hub.ConnectionString(ctx, "iothubowner")
	if err != nil || !strings.HasPrefix(text, "HostName="+hub.HostName()+";") {
		t.Errorf("connection string %q, %v: it needs no port", text, err)
	}
	if status := getDevice(ctx, t, text, hub, "d1"); status != http.StatusOK {
		t.Errorf("GET /devices/d1: %d", status)
	}
	text, err = hub.EventHubConnectionString(ctx)
	if err != nil || !strings.HasPrefix(text, "Endpoint=sb://"+hub.HostName()+"/;") {
		t.Errorf("connection string %q, %v: it needs no port", text, err)
	}
}

// TestBadSeed: an emulator that does not start is an error at once.
func TestBadSeed(t *testing.T) {
	seed := filepath.Join(t.TempDir(), "hub.yaml")
	if err := os.WriteFile(seed, []byte("devices:\n  - id: d1\n    colour: red\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	hub, err := hubnerite.Run(ctx, image(t), hubnerite.WithSeed(seed))
	testcontainers.CleanupContainer(t, hub)
	if err == nil {
		t.Fatal("it started")
	}
	if ctx.Err() != nil {
		t.Errorf("it took until the time was up: %v", err)
	}
}

// TestExample runs the example of the documentation.
func TestExample(t *testing.T) {
	if name := image(t); name != "hubnerite:dev" {
		t.Skipf("the example runs hubnerite:dev, not %s", name)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out := os.Stdout
	os.Stdout = writer
	ExampleRun()
	os.Stdout = out
	_ = writer.Close()
	got, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	if want := "d1 sent {\"temperature\": 21.5}\n"; !bytes.HasSuffix(got, []byte(want)) {
		t.Errorf("the example printed %q, want %q", got, want)
	}
}

// read reads telemetry with Azure's Event Hubs client until the body is there.
func read(ctx context.Context, t *testing.T, text string, options *azeventhubs.ConsumerClientOptions, want string) {
	t.Helper()
	client, err := azeventhubs.NewConsumerClientFromConnectionString(text, "", azeventhubs.DefaultConsumerGroup, options)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer func() { _ = client.Close(context.WithoutCancel(ctx)) }()
	hub, err := client.GetEventHubProperties(ctx, nil)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	bodies := make(chan string, 100)
	earliest := true
	for _, id := range hub.PartitionIDs {
		partition, err := client.NewPartitionClient(id, &azeventhubs.PartitionClientOptions{StartPosition: azeventhubs.StartPosition{Earliest: &earliest}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = partition.Close(context.WithoutCancel(ctx)) }()
		go func() {
			for {
				events, err := partition.ReceiveEvents(reading, 1, nil)
				for _, event := range events {
					bodies <- string(event.Body)
				}
				if err != nil {
					return
				}
			}
		}()
	}
	select {
	case got := <-bodies:
		if got != want {
			t.Errorf("read %q, want %q", got, want)
		}
	case <-ctx.Done():
		t.Errorf("%s: nothing to read: %v", text, ctx.Err())
	}
}

// getDevice asks the REST API for a device, as a back end with the connection string does, and returns the status.
func getDevice(ctx context.Context, t *testing.T, text string, hub *hubnerite.Container, id string) int {
	t.Helper()
	fields := map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(part, "=")
		fields[name] = value
	}
	trust, err := hub.TLSConfig(ctx)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: trust}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://%s/devices/%s?api-version=2021-04-12", fields["HostName"], id), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", token(fields["HostName"], fields["SharedAccessKey"], fields["SharedAccessKeyName"]))
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// token is a shared access signature for an hour.
func token(resource, key, policy string) string {
	secret, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return ""
	}
	expiry := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(url.QueryEscape(resource) + "\n" + expiry))
	text := "SharedAccessSignature sr=" + url.QueryEscape(resource) + "&sig=" + url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil))) + "&se=" + expiry
	if policy != "" {
		text += "&skn=" + policy
	}
	return text
}
