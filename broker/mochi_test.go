package broker

import (
	"fmt"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"

	"github.com/hubnerite/hubnerite/internal/mqtttest"
)

// TestLibraryStaysEmpty: with subscriptions, deliveries under way and publishes
// of every kind, the library holds no subscription, no retained message and no
// inflight message, and after the end it does not know the client any more.
func TestLibraryStaysEmpty(t *testing.T) {
	w := newWorld(t, Options{})
	library, ok := w.server.library.(*mqtt.Server)
	if !ok {
		t.Fatalf("the library is %T", w.server.library)
	}
	c := w.connect(testDevice())
	c.Subscribe(1, c2dFilter, 1)
	c.Subscribe(2, "$iothub/twin/res/#", 1)
	w.sendC2D(testDevice(), "a", "b")
	c.Expect(mqtttest.Publish)
	c.Expect(mqtttest.Publish)
	retained := mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/", []byte("x"), 1, 1)
	retained[0] |= 1
	c.Send(retained)
	c.Expect(mqtttest.Puback)
	c.ExpectQuiet()
	clients := library.Clients.GetAll()
	if len(clients) != 1 {
		t.Errorf("the library knows %d clients", len(clients))
	}
	for id, cl := range clients {
		if cl.State.Inflight.Len() != 0 || cl.State.Subscriptions.Len() != 0 {
			t.Errorf("client %s: %d inflight, %d subscriptions", id, cl.State.Inflight.Len(), cl.State.Subscriptions.Len())
		}
		if id == "dev-1" || !cl.Properties.Clean || cl.Properties.Will.Flag != 0 {
			t.Errorf("client %s: clean %t, will %d", id, cl.Properties.Clean, cl.Properties.Will.Flag)
		}
	}
	if n := len(library.Topics.Subscribers("devices/dev-1/messages/devicebound/x").Subscriptions); n != 0 {
		t.Errorf("%d subscriptions in the topic tree", n)
	}
	// $SYS topics would be retained messages.
	if n := library.Topics.Retained.Len(); n != 0 {
		t.Errorf("%d retained messages", n)
	}
	_ = c.Close()
	w.until(func() error {
		if n := library.Clients.Len(); n != 0 {
			return fmt.Errorf("the library knows %d clients", n)
		}
		return nil
	})
}

// TestTwoConnectionsOfOneIdentity: the library must not see that they are one,
// or it would send the old one a DISCONNECT, which only MQTT 5 servers do.
func TestTwoConnectionsOfOneIdentity(t *testing.T) {
	w := newWorld(t, Options{})
	old := w.connect(testDevice())
	c := w.connect(testDevice())
	old.ExpectClose() // fails on any packet
	c.ExpectQuiet()
	// Nor may the end of the old one end the new one.
	for range 20 {
		next := w.connect(testDevice())
		c.ExpectClose()
		c = next
		c.ExpectQuiet()
	}
}
