package hubnerite_test

import (
	"context"
	"fmt"
	"log"
	"net/url"
	"strings"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/testcontainers/testcontainers-go"

	hubnerite "github.com/hubnerite/hubnerite/testcontainers"
)

// A device sends telemetry over MQTT, and the test waits for it without an Event Hubs client. Microsoft has no device SDK for Go: the device is an
// MQTT client with the address, user name and password of one.
func ExampleRun() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	hub, err := hubnerite.Run(ctx, "hubnerite:dev", hubnerite.WithDevices("d1"))
	defer func() {
		if err := testcontainers.TerminateContainer(hub); err != nil {
			log.Print(err)
		}
	}()
	if err != nil {
		log.Print(err)
		return
	}

	device, err := connect(ctx, hub, "d1")
	if err != nil {
		log.Print(err)
		return
	}
	defer device.Disconnect(250)
	sent := device.Publish("devices/d1/messages/events/$.ct=application%2Fjson&$.ce=utf-8", 1, false, `{"temperature": 21.5}`)
	if sent.Wait(); sent.Error() != nil {
		log.Print(sent.Error())
		return
	}

	messages, err := hub.WaitForMessages(ctx, 1, hubnerite.Filter{Device: "d1", Body: "$.temperature"})
	if err != nil {
		log.Print(err)
		return
	}
	fmt.Printf("%s sent %s\n", messages[0].Device, messages[0].Body)
	// The test of this package runs the example, where there is a container engine, and compares with:
	// d1 sent {"temperature": 21.5}
}

// connect signs a device in as Azure's documentation of MQTT says.
func connect(ctx context.Context, hub *hubnerite.Container, id string) (mqtt.Client, error) {
	text, err := hub.DeviceConnectionString(ctx, id)
	if err != nil {
		return nil, err
	}
	address, err := hub.MQTTAddress(ctx)
	if err != nil {
		return nil, err
	}
	trust, err := hub.TLSConfig(ctx)
	if err != nil {
		return nil, err
	}
	_, key, _ := strings.Cut(text, "SharedAccessKey=")
	options := mqtt.NewClientOptions().AddBroker("tls://" + address).SetTLSConfig(trust).SetClientID(id).SetConnectTimeout(time.Minute).
		SetUsername(hub.HostName() + "/" + id + "/?api-version=2021-04-12").
		SetPassword(token(hub.HostName()+"/devices/"+url.PathEscape(id), key, ""))
	client := mqtt.NewClient(options)
	connected := client.Connect()
	connected.Wait()
	return client, connected.Error()
}
