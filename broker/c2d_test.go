package broker

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/internal/mqtttest"
	"github.com/hubnerite/hubnerite/iothub"
)

func TestC2D(t *testing.T) {
	w := newWorld(t, Options{})
	w.sendC2D(testDevice(), "a", "b")
	c := w.connect(testDevice())
	c.Subscribe(1, c2dFilter, 1)
	for i, body := range []string{"a", "b"} {
		p := c.Expect(mqtttest.Publish)
		want := "devices/dev-1/messages/devicebound/%24.mid=id-" + body + "&%24.to=%2Fdevices%2Fdev-1%2Fmessages%2FdeviceBound"
		if string(p.Payload) != body || p.QoS != 1 || p.Dup || p.Retain || !strings.HasPrefix(p.Topic, want) {
			t.Errorf("message %d: %+v", i, p)
		}
		c.Send(mqtttest.AppendPuback(nil, p.ID))
	}
	w.waiting(testDevice(), 0)
	w.sendC2D(testDevice(), "c")
	p := c.Expect(mqtttest.Publish)
	c.Send(mqtttest.AppendPuback(nil, p.ID))
	// A PUBACK twice, and one for nothing, change nothing.
	c.Send(mqtttest.AppendPuback(mqtttest.AppendPuback(nil, p.ID), 4711))
	w.waiting(testDevice(), 0)
	c.ExpectQuiet()
	c.Send(mqtttest.AppendUnsubscribe(nil, 2, c2dFilter))
	c.Expect(mqtttest.Unsuback)
	w.sendC2D(testDevice(), "d")
	c.ExpectQuiet()
	w.waiting(testDevice(), 1)
}

func TestC2DQoS0CompletesAtSend(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	c.Subscribe(1, c2dFilter, 0)
	w.sendC2D(testDevice(), "a")
	if p := c.Expect(mqtttest.Publish); p.QoS != 0 || string(p.Payload) != "a" {
		t.Errorf("got %+v", p)
	}
	w.waiting(testDevice(), 0)
}

func TestC2DToModule(t *testing.T) {
	w := newWorld(t, Options{})
	for _, filter := range []string{"devices/dev-1/modules/mod/#", "devices/dev-1/modules/mod/messages/devicebound/#"} {
		c := w.connect(testModule())
		c.Subscribe(1, filter, 1)
		w.sendC2D(testModule(), "a")
		p := c.Expect(mqtttest.Publish)
		if !strings.HasPrefix(p.Topic, "devices/dev-1/modules/mod/messages/devicebound/%24.mid=id-a&%24.to=%2Fdevices%2Fdev-1%2Fmodules%2Fmod%2F") {
			t.Errorf("%s: topic %s", filter, p.Topic)
		}
		c.Send(mqtttest.AppendPuback(nil, p.ID))
		w.waiting(testModule(), 0)
		c.Send(mqtttest.AppendUnsubscribe(nil, 2, filter))
		c.Expect(mqtttest.Unsuback)
	}
}

// TestC2DRedelivery: what has no PUBACK comes again on the next connection, in
// order, marked as a duplicate under its old identifier (MQTT 3.1.1 4.4).
func TestC2DRedelivery(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	c.Subscribe(1, c2dFilter, 1)
	w.sendC2D(testDevice(), "a", "b", "c")
	ids := map[string]uint16{}
	for range 3 {
		p := c.Expect(mqtttest.Publish)
		ids[string(p.Payload)] = p.ID
	}
	c.Send(mqtttest.AppendPuback(nil, ids["b"]))
	w.waiting(testDevice(), 2)
	_ = c.Close()
	for range 2 {
		c = w.connect(testDevice())
		for _, body := range []string{"a", "c"} {
			if p := c.Expect(mqtttest.Publish); string(p.Payload) != body || !p.Dup || p.ID != ids[body] {
				t.Errorf("got %+v, want %q again as %d", p, body, ids[body])
			}
		}
	}
	w.sendC2D(testDevice(), "d")
	p := c.Expect(mqtttest.Publish)
	if p.Dup || p.ID == ids["a"] || p.ID == ids["c"] {
		t.Errorf("a new message came as %+v", p)
	}
	for _, id := range []uint16{ids["a"], ids["c"], p.ID} {
		c.Send(mqtttest.AppendPuback(nil, id))
	}
	w.waiting(testDevice(), 0)
	// After a restart they are new: the identifiers were memory only.
	w.sendC2D(testDevice(), "e")
	c.Expect(mqtttest.Publish)
	w.stop()
	w.start()
	c = w.connect(testDevice())
	if p := c.Expect(mqtttest.Publish); string(p.Payload) != "e" {
		t.Errorf("got %+v", p)
	}
}

func TestC2DWindow(t *testing.T) {
	w := newWorld(t, Options{C2DWindow: 3})
	c := w.connect(testDevice())
	c.Subscribe(1, c2dFilter, 1)
	var bodies []string
	for i := range 20 {
		bodies = append(bodies, fmt.Sprint(i))
	}
	w.sendC2D(testDevice(), bodies...)
	var open []uint16
	for range 3 {
		open = append(open, c.Expect(mqtttest.Publish).ID)
	}
	c.ExpectQuiet()
	for i := 3; i < 20; i++ {
		c.Send(mqtttest.AppendPuback(nil, open[0]))
		p := c.Expect(mqtttest.Publish)
		if string(p.Payload) != bodies[i] {
			t.Fatalf("got %q, want %q", p.Payload, bodies[i])
		}
		open = append(open[1:], p.ID)
	}
	for _, id := range open {
		c.Send(mqtttest.AppendPuback(nil, id))
	}
	w.waiting(testDevice(), 0)
}

// TestPacketIdentifierSpaces: the client's identifiers and the hub's are two
// spaces. The MQTT library mixes them up: a SUBSCRIBE under the identifier of an
// open delivery got 0x91, a PUBLISH deleted the delivery.
func TestPacketIdentifierSpaces(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	c.Subscribe(1, c2dFilter, 1)
	w.sendC2D(testDevice(), "a")
	p := c.Expect(mqtttest.Publish)
	if p.ID != 1 {
		t.Fatalf("the delivery has identifier %d; the test wants 1", p.ID)
	}
	if qos := c.Subscribe(1, "$iothub/twin/res/#", 1); qos != 1 {
		t.Errorf("SUBSCRIBE granted as %#x", qos)
	}
	c.Send(mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/", nil, 1, 1))
	if ack := c.Expect(mqtttest.Puback); ack.ID != 1 {
		t.Errorf("got %+v", ack)
	}
	c.Send(mqtttest.AppendUnsubscribe(nil, 1, "$iothub/twin/res/#"))
	c.Expect(mqtttest.Unsuback)
	w.waiting(testDevice(), 1)
	c.Send(mqtttest.AppendPuback(nil, 1))
	w.waiting(testDevice(), 0)
}

// TestC2DThatFitsNoTopic is dead-lettered and does not block the queue.
func TestC2DThatFitsNoTopic(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	c.Subscribe(1, c2dFilter, 1)
	m := iothub.C2DMessage{ID: testDevice(), Properties: iothub.Properties{{Name: "k", Value: strings.Repeat("/", 30000)}}}
	if _, err := w.hub.SendC2D(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	w.sendC2D(testDevice(), "a")
	p := c.Expect(mqtttest.Publish)
	if string(p.Payload) != "a" {
		t.Errorf("got %+v", p)
	}
	w.waiting(testDevice(), 1)
	w.logged("level=WARN", "rejected", "code=413001")
}

func TestC2DLargest(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	c.Subscribe(1, c2dFilter, 1)
	body := bytes.Repeat([]byte("x"), iothub.MaxC2DSize)
	if _, err := w.hub.SendC2D(t.Context(), iothub.C2DMessage{ID: testDevice(), Body: body}); err != nil {
		t.Fatal(err)
	}
	if p := c.Expect(mqtttest.Publish); !bytes.Equal(p.Payload, body) {
		t.Errorf("%d bytes", len(p.Payload))
	}
}
