package emulatortest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azeventhubs/v2"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
	"github.com/hubnerite/hubnerite/hub"
)

// exampleT is the testing.T of the examples: what follows inTest is the body of a test.
type exampleT struct {
	testing.TB
	cleanups []func()
}

func (t *exampleT) Helper()                  {}
func (t *exampleT) Context() context.Context { return context.Background() }
func (t *exampleT) Output() io.Writer        { return io.Discard }
func (t *exampleT) Cleanup(f func())         { t.cleanups = append(t.cleanups, f) }
func (t *exampleT) Errorf(format string, args ...any) {
	fmt.Printf(format+"\n", args...)
}

func (t *exampleT) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

func (t *exampleT) Fatal(args ...any) { t.Fatalf("%s", fmt.Sprintln(args...)) }

// inTest stands for func TestSomething(t *testing.T).
func inTest(test func(t testing.TB)) {
	t, done := &exampleT{}, make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, cleanup := range slices.Backward(t.cleanups) {
				cleanup()
			}
		}()
		test(t)
	}()
	<-done
}

// send is a device without an SDK: telemetry over HTTPS, with a token of the device's key. It stands for the program under test.
func send(t testing.TB, e *emulator.Emulator, device, body string) {
	info := e.Info()
	token, err := emulator.DeviceToken(info.Devices[device], e.Clock().Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("https://localhost:%d/devices/%s/messages/events?api-version=2020-03-13", info.Ports.HTTPS, device)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", token)
	request.Header.Set("iothub-app-level", "hot")
	client := http.Client{Transport: &http.Transport{TLSClientConfig: emulatortest.TLS(t, e), DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusNoContent {
		t.Fatalf("the hub answers %s", response.Status)
	}
}

func ExampleRun() {
	inTest(func(t testing.TB) {
		e := emulatortest.Run(t, emulatortest.WithDevices("pump-7"))
		fmt.Println(len(e.Info().Devices["pump-7"]) > 0, e.Info().HostName)
	})
	// Output: true localhost
}

func ExampleWaitMessage() {
	inTest(func(t testing.TB) {
		e := emulatortest.Run(t, emulatortest.WithDevices("pump-7"))
		send(t, e, "pump-7", `{"temperature":21.5}`) // the program under test
		m := emulatortest.WaitMessage(t, e, emulatortest.Filter{
			Device:     "pump-7",
			Properties: map[string]string{"level": "hot"},
			Match:      func(a *hub.Activity) bool { return bytes.Contains(a.Telemetry.Body, []byte("temperature")) },
		})
		fmt.Printf("%s\n", m.Body)
	})
	// Output: {"temperature":21.5}
}

// Tests that share an emulator have a hub each.
func ExampleHub() {
	inTest(func(t testing.TB) {
		e := emulatortest.Run(t)
		for range 2 {
			inTest(func(t testing.TB) {
				mine := emulatortest.Hub(t, e, emulator.HubOptions{Devices: []string{"pump-7"}})
				fmt.Println(len(mine.Devices), "device, and", len(e.Hubs()), "hubs")
			})
		}
	})
	// Output:
	// 1 device, and 2 hubs
	// 1 device, and 2 hubs
}

// A token of an hour has expired after two.
func ExampleAdvance() {
	inTest(func(t testing.TB) {
		e := emulatortest.Run(t)
		emulatortest.Freeze(t, e, time.Date(2031, 1, 2, 12, 0, 0, 0, time.UTC))
		emulatortest.Advance(t, e, 2*time.Hour)
		fmt.Println(e.Clock().Now())
	})
	// Output: 2031-01-02 14:00:00 +0000 UTC
}

// The first message of each device is lost on the way, although it is acknowledged.
func ExampleFault() {
	inTest(func(t testing.TB) {
		e := emulatortest.Run(t, emulatortest.WithDevices("pump-7"))
		lost := emulatortest.Fault(t, e, "", hub.FaultRule{Operation: hub.FaultOnTelemetry, Action: hub.FaultDrop, Acknowledge: true, Count: 1})
		send(t, e, "pump-7", "first")
		send(t, e, "pump-7", "second")
		fmt.Printf("%s, %d lost\n", emulatortest.WaitMessage(t, e, emulatortest.Filter{}).Body, lost.Hits())
	})
	// Output: second, 1 lost
}

func ExampleSnapshot() {
	inTest(func(t testing.TB) {
		e := emulatortest.Run(t)
		emulatortest.Device(t, e, "", "always")
		restore := emulatortest.Snapshot(t, e, "")
		emulatortest.Device(t, e, "", "for-a-while")
		restore()
		devices, err := e.Hub().ListDevices(t.Context(), 10)
		fmt.Println(len(devices), devices[0].ID, err)
	})
	// Output: 1 always <nil>
}

// A back end reads telemetry with the Event Hubs SDK.
func Example_eventHubs() {
	inTest(func(t testing.TB) {
		e := emulatortest.Run(t, emulatortest.WithDevices("pump-7"))
		send(t, e, "pump-7", "hello")
		partition := fmt.Sprint(emulatortest.WaitMessage(t, e, emulatortest.Filter{}).Partition)

		client, err := azeventhubs.NewConsumerClientFromConnectionString(e.Info().EventHub.EmulatorConnectionString, "", azeventhubs.DefaultConsumerGroup, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = client.Close(t.Context()) }()
		earliest := true
		reader, err := client.NewPartitionClient(partition, &azeventhubs.PartitionClientOptions{StartPosition: azeventhubs.StartPosition{Earliest: &earliest}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = reader.Close(t.Context()) }()
		events, err := reader.ReceiveEvents(t.Context(), 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("%s of %s\n", events[0].Body, events[0].SystemProperties["iothub-connection-device-id"])
	})
	// Output: hello of pump-7
}
