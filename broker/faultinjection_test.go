package broker

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/hubnerite/hubnerite/internal/mqtttest"
	"github.com/hubnerite/hubnerite/iothub"
)

// faultPublish asks for a fault of dev-1.
func faultPublish(which iothub.FaultType, delay, duration string, qos byte, id uint16) []byte {
	topic := fmt.Sprintf("devices/dev-1/messages/events/%s=%s&%s=boom&%s=%s&%s=%s", iothub.FaultTypeProperty, which,
		iothub.FaultCloseReasonProperty, iothub.FaultDelayProperty, delay, iothub.FaultDurationProperty, duration)
	return mqtttest.AppendPublish(nil, topic, []byte(" "), qos, id)
}

// expectReset checks that the connection ends with a TCP reset.
func expectReset(t *testing.T, c *mqtttest.Client) {
	t.Helper()
	if p, err := c.TryRead(); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("got %+v, %v, want a reset", p, err)
	}
	_ = c.Close()
}

func TestFaultEndsTheConnection(t *testing.T) {
	for which, end := range map[iothub.FaultType]func(*testing.T, *mqtttest.Client){
		iothub.FaultKillTCP:      expectReset,
		iothub.FaultShutDownMQTT: func(_ *testing.T, c *mqtttest.Client) { c.ExpectClose() },
	} {
		for _, qos := range []byte{0, 1} {
			t.Run(fmt.Sprint(which, "/qos ", qos), func(t *testing.T) {
				w := newWorld(t, Options{})
				c, other := w.dial(), w.connect(iothub.ID{DeviceID: "dev-2"})
				o := w.connectOptions(testDevice())
				o.WillTopic, o.WillPayload = "devices/dev-1/messages/events/", "my will"
				if _, code := c.Connect(o); code != connackAccepted {
					t.Fatal("CONNACK ", code)
				}
				c.Send(faultPublish(which, "0", "0", qos, 7*uint16(qos)))
				end(t, c)
				w.stored("dev-1", 1) // the will, and not the message
				other.ExpectQuiet()
				w.logged("MQTT connection cut", "code=400029", string(which))

				// It may come back at once; what is sent again has its PUBACK now.
				c, _ = w.reconnect(testDevice())
				if qos == 1 {
					c.Send(faultPublish(which, "0", "0", 1, 9))
					if p := c.Expect(mqtttest.Puback); p.ID != 9 {
						t.Errorf("PUBACK %d", p.ID)
					}
				}
				c.ExpectQuiet()
				w.stored("dev-1", 1)
			})
		}
	}
}

// The fault message has no PUBACK, and nothing else waits for it.
func TestFaultMessageIsNotAcknowledged(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	topic := "devices/dev-1/messages/events/"
	b := mqtttest.AppendPublish(nil, topic, []byte("before"), 1, 1)
	b = append(b, faultPublish(iothub.FaultKillTCP, "3600", "1", 1, 2)...)
	b = append(b, faultPublish(iothub.FaultKillTCP, "3600", "1", 1, 3)...)
	c.Send(mqtttest.AppendPublish(b, topic, []byte("after"), 1, 4))
	for _, id := range []uint16{1, 4} {
		if p := c.Expect(mqtttest.Puback); p.ID != id {
			t.Errorf("PUBACK %d, want %d", p.ID, id)
		}
	}
	c.ExpectQuiet()
	w.stored("dev-1", 2)
	// A fault of AMQP is telemetry here; one without a number of seconds is refused.
	c.Send(faultPublish(iothub.FaultKillAMQPSession, "0", "0", 1, 5))
	c.Expect(mqtttest.Puback)
	w.stored("dev-1", 3)
	c.Send(faultPublish(iothub.FaultKillTCP, "soon", "0", 1, 6))
	c.ExpectClose()
	w.logged("code=400004", iothub.FaultDelayProperty)
}

// What is refused as long as a fault lasts.
func TestFaultRefusesConnections(t *testing.T) {
	for which, want := range map[iothub.FaultType]byte{
		iothub.FaultKillTCP: connackUnavailable, iothub.FaultShutDownMQTT: connackUnavailable,
		iothub.FaultThrottling: connackUnavailable, iothub.FaultAuth: connackNotAuthorized, iothub.FaultQuota: connackAccepted,
	} {
		t.Run(string(which), func(t *testing.T) {
			w := newWorld(t, Options{})
			c := w.connect(testDevice())
			c.Send(faultPublish(which, "0", "3600", 1, 1))
			if which == iothub.FaultKillTCP {
				expectReset(t, c)
			} else {
				c.ExpectClose()
			}
			c = w.dial()
			if _, code := c.Connect(w.connectOptions(testDevice())); code != want {
				t.Fatalf("CONNACK %d, want %d", code, want)
			}
			if want == connackAccepted {
				c.ExpectQuiet()
				c.Send(mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/", []byte("x"), 1, 2))
				w.logged("code=403002")
			}
			c.ExpectClose()
			w.connect(iothub.ID{DeviceID: "dev-2"}).ExpectQuiet()
		})
	}
}
