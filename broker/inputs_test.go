package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/internal/mqtttest"
	"github.com/hubnerite/hubnerite/iothub"
)

const inputsFilter = "devices/edge-1/modules/b/inputs/#"

// newEdgeWorld has the edge device edge-1 with the modules a and b: what a sends goes to
// the input "in 1" of b.
func newEdgeWorld(t *testing.T, o Options) (w *world, a, b iothub.ID) {
	t.Helper()
	w = newWorld(t, o)
	a, b = iothub.ID{DeviceID: "edge-1", ModuleID: "a"}, iothub.ID{DeviceID: "edge-1", ModuleID: "b"}
	for _, c := range []struct {
		id      iothub.ID
		request iothub.IdentityRequest
	}{{a.Device(), iothub.IdentityRequest{Capabilities: &iothub.Capabilities{IoTEdge: true}}}, {id: a}, {id: b}} {
		if _, err := w.hub.CreateIdentity(t.Context(), c.id, c.request); err != nil {
			t.Fatal(err)
		}
	}
	route := iothub.TwinPatch{Desired: map[string]any{"routes": map[string]any{
		"r": "FROM /messages/modules/a/outputs/* INTO BrokeredEndpoint(\"/modules/b/inputs/in 1\")",
	}}}
	if _, err := w.hub.PatchTwin(t.Context(), iothub.ID{DeviceID: "edge-1", ModuleID: "$edgeHub"}, route, ""); err != nil {
		t.Fatal(err)
	}
	return w, a, b
}

func sendOutput(c *mqtttest.Client, packetID uint16, body string) {
	c.Send(mqtttest.AppendPublish(nil, "devices/edge-1/modules/a/messages/events/%24.mid=id-"+body+"&%24.on=out&%24.ct=text%2Fplain&a%20b=c%2Fd/",
		[]byte(body), 1, packetID))
	c.Expect(mqtttest.Puback)
}

func TestInputs(t *testing.T) {
	w, a, b := newEdgeWorld(t, Options{})
	sender := w.connect(a)
	sendOutput(sender, 1, "early") // before there is a receiver
	for _, filter := range []string{inputsFilter, "devices/edge-1/modules/b/#"} {
		c := w.connect(b)
		c.Subscribe(1, filter, 1)
		if filter != inputsFilter {
			sendOutput(sender, 2, "late")
		}
		p := c.Expect(mqtttest.Publish)
		want := "devices/edge-1/modules/b/inputs/in%201/%24.mid=id-" + string(p.Payload) +
			"&%24.cdid=edge-1&%24.cmid=a&%24.ct=text%2Fplain&a%20b=c%2Fd"
		if p.Topic != want || p.QoS != 1 || p.Dup || len(p.Payload) < 4 {
			t.Errorf("%s: got %+v, want topic %s", filter, p, want)
		}
		c.Send(mqtttest.AppendPuback(nil, p.ID))
		c.Send(mqtttest.AppendUnsubscribe(nil, 2, filter))
		c.Expect(mqtttest.Unsuback)
		w.sendC2D(b, "not subscribed")
		c.ExpectQuiet()
		if _, err := w.hub.PurgeC2D(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
}

// TestInputsRedelivery: both kinds of messages without a PUBACK come again, as duplicates
// under their identifiers, although their numbers are the same.
func TestInputsRedelivery(t *testing.T) {
	w, a, b := newEdgeWorld(t, Options{})
	sender := w.connect(a)
	sendOutput(sender, 1, "input")
	w.sendC2D(b, "c2d")
	c := w.connect(b)
	c.Subscribe(1, "devices/edge-1/modules/b/#", 1)
	first, second := c.Expect(mqtttest.Publish), c.Expect(mqtttest.Publish)
	if first.ID == second.ID {
		t.Fatalf("both have the identifier %d", first.ID)
	}
	_ = c.Close()
	c = w.connect(b)
	for range 2 {
		p := c.Expect(mqtttest.Publish)
		want := first
		if string(p.Payload) == string(second.Payload) {
			want = second
		}
		if !p.Dup || p.ID != want.ID || p.Topic != want.Topic {
			t.Errorf("got %+v, want %+v again", p, want)
		}
		c.Send(mqtttest.AppendPuback(nil, p.ID))
	}
	w.waiting(b, 0)
	c.ExpectQuiet()
	_ = c.Close()
	c = w.connect(b)
	c.ExpectQuiet()
}

// TestInputsKeepOrder: a window of messages at a time, all of them, in their order.
func TestInputsKeepOrder(t *testing.T) {
	w, a, b := newEdgeWorld(t, Options{C2DWindow: 3})
	sender, c := w.connect(a), w.connect(b)
	c.Subscribe(1, inputsFilter, 1)
	var bodies []string
	for i := range 20 {
		bodies = append(bodies, strings.Repeat("x", i+1))
		sendOutput(sender, uint16(i+1), bodies[i])
	}
	for i, body := range bodies {
		p := c.Expect(mqtttest.Publish)
		if string(p.Payload) != body {
			t.Fatalf("message %d: %q", i, p.Payload)
		}
		c.Send(mqtttest.AppendPuback(nil, p.ID))
	}
}

// TestInputsQoS0: what is sent at QoS 0 is done with.
func TestInputsQoS0(t *testing.T) {
	w, a, b := newEdgeWorld(t, Options{})
	c := w.connect(b)
	c.Subscribe(1, inputsFilter, 0)
	sendOutput(w.connect(a), 1, "once")
	if p := c.Expect(mqtttest.Publish); p.QoS != 0 || string(p.Payload) != "once" {
		t.Errorf("got %+v", p)
	}
	w.until(func() error {
		entries, err := w.store.Queues().Load(t.Context(), "/inputs/edge-1/b")
		if err == nil && len(entries) > 0 {
			err = fmt.Errorf("%d messages are left", len(entries))
		}
		return err
	})
	_ = c.Close()
	c = w.connect(b)
	c.ExpectQuiet()
}
