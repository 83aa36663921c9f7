package broker

import (
	"fmt"
	"testing"

	"github.com/hubnerite/hubnerite/internal/mqtttest"
	"github.com/hubnerite/hubnerite/iothub"
)

// MQTT 3.1.1 has no way to say why a connection ends, so the log does.
func TestInvalidOperationsAreLogged(t *testing.T) {
	w := newWorld(t, Options{})
	for text, packet := range map[string][]byte{
		"QoS 2 is not supported":                               mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/", nil, 2, 1),
		"publish to a topic that a device may not use":         mqtttest.AppendPublish(nil, "home/kitchen", nil, 1, 1),
		"publish to a topic that is not the device's own":      mqtttest.AppendPublish(nil, "devices/dev-2/messages/events/", nil, 1, 1),
		"subscription to a topic filter that the hub does not": mqtttest.AppendSubscribe(nil, 1, "#", 1),
		"a packet that a client may not send":                  mqtttest.AppendConnect(nil, w.connectOptions(testDevice())),
	} {
		c := w.connect(testDevice())
		c.Send(packet)
		c.ExpectClose()
		w.logged("device=dev-1", fmt.Sprintf("%d %s: %s", iothub.CodeInvalidOperation, iothub.CodeInvalidOperation, text))
	}
}
