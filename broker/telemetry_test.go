package broker

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubnerite/hubnerite/internal/mqtttest"
	"github.com/hubnerite/hubnerite/iothub"
)

func TestTelemetry(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	c.Send(mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/%24.mid=m1&%24.ct=application%2Fjson&k=v%20w", []byte(`{"t":1}`), 1, 7))
	if p := c.Expect(mqtttest.Puback); p.ID != 7 || len(p.Payload) != 0 {
		t.Errorf("PUBACK %+v", p)
	}
	c.Send(mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/", nil, 0, 0))
	// RETAIN becomes a property, DUP means nothing.
	retained := mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/a=b/", []byte("x"), 1, 8)
	retained[0] |= 1
	c.Send(retained)
	again := mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/a=b/", []byte("x"), 1, 8)
	again[0] |= 8
	c.Send(again)
	for range 2 {
		if p := c.Expect(mqtttest.Puback); p.ID != 8 {
			t.Errorf("PUBACK %+v", p)
		}
	}
	c.ExpectQuiet()
	got := w.stored("dev-1", 4)
	if m := got[0]; m.ID != testDevice() || string(m.Body) != `{"t":1}` || m.System.MessageID != "m1" || m.System.ContentType != "application/json" ||
		cmp.Diff(iothub.Properties{{Name: "k", Value: "v w"}}, m.Properties) != "" || m.AuthMethod.Type != "sas" {
		t.Errorf("first message %+v", m)
	}
	if m := got[1]; len(m.Body) != 0 || len(m.Properties) != 0 {
		t.Errorf("second message %+v", m)
	}
	if m := got[2]; cmp.Diff(map[string]string{"a": "b", "mqtt-retain": "true"}, m.Properties.Map()) != "" {
		t.Errorf("retained message %+v", m)
	}
	if m := got[3]; cmp.Diff(map[string]string{"a": "b"}, m.Properties.Map()) != "" {
		t.Errorf("duplicate %+v", m)
	}
}

func TestModuleTelemetry(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testModule())
	c.Send(mqtttest.AppendPublish(nil, "devices/dev-1/modules/mod/messages/events/%24.on=out1/", []byte("x"), 1, 1))
	c.Expect(mqtttest.Puback)
	if m := w.stored("dev-1", 1)[0]; m.ID != testModule() || m.System.OutputName != "out1" {
		t.Errorf("message %+v", m)
	}
}

// TestPubacksInOrder: acknowledgements leave in the order of the publishes, one
// for each, whatever the operations are.
func TestPubacksInOrder(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	const count = 3000
	var all []byte
	for i := range count {
		id := uint16(i + 1)
		switch i % 10 {
		case 3:
			all = mqtttest.AppendPublish(all, fmt.Sprintf("$iothub/twin/GET/?$rid=%d", i), []byte(" "), 1, id)
		case 7:
			all = mqtttest.AppendPublish(all, fmt.Sprintf("$iothub/methods/res/200/?$rid=%d", i), nil, 1, id)
		default:
			all = mqtttest.AppendPublish(all, "devices/dev-1/messages/events/", []byte("x"), 1, id)
		}
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(all)
		sent <- err
	}()
	for i := range count {
		if p := c.Expect(mqtttest.Puback); p.ID != uint16(i+1) {
			t.Fatalf("PUBACK %d, want %d", p.ID, i+1)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	c.ExpectQuiet()
	w.stored("dev-1", count*8/10)
}

func TestTelemetrySizes(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	c.Send(mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/", bytes.Repeat([]byte("x"), iothub.MaxTelemetrySize), 1, 1))
	c.Expect(mqtttest.Puback)
	c.Send(mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/k=v", bytes.Repeat([]byte("x"), iothub.MaxTelemetrySize-1), 1, 2))
	c.ExpectClose()
	w.logged("level=WARN", "device=dev-1", "code=413001")
	w.stored("dev-1", 1)
	// The packet limit cuts before the body is read.
	c = w.connect(testDevice())
	c.Send([]byte{0x32, 0xff, 0xff, 0xff, 0x7f})
	c.ExpectClose()
}

func TestPublishRefused(t *testing.T) {
	w := newWorld(t, Options{})
	long := "devices/dev-1/messages/events/%24.mid=" + strings.Repeat("m", iothub.MaxIDLength+1)
	for _, test := range []struct {
		name   string
		packet []byte
	}{
		{"QoS 2", mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/", nil, 2, 1)},
		{"QoS 3", mqtttest.AppendPacket(nil, 0x36, []byte{0, 1, 'x', 0, 1})},
		{"another topic, QoS 0", mqtttest.AppendPublish(nil, "home/kitchen", nil, 0, 0)},
		{"another topic, QoS 1", mqtttest.AppendPublish(nil, "home/kitchen", nil, 1, 1)},
		{"another device", mqtttest.AppendPublish(nil, "devices/dev-2/messages/events/", nil, 1, 1)},
		{"wildcard", mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/a+b", nil, 1, 1)},
		{"multi-level wildcard", mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/#", nil, 0, 0)},
		{"NUL", mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/\x00", nil, 0, 0)},
		{"not UTF-8", mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/\xff", nil, 0, 0)},
		{"bag that does not decode", mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/a=%FF", nil, 0, 0)},
		{"message ID too long", mqtttest.AppendPublish(nil, long, nil, 1, 1)},
		{"no topic", mqtttest.AppendPublish(nil, "", nil, 0, 0)},
		{"identifier 0", mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/", nil, 1, 0)},
		{"topic longer than the packet", mqtttest.AppendPacket(nil, 0x30, []byte{0, 9, 'x'})},
		{"DUP at QoS 0", mqtttest.AppendPacket(nil, 0x38, []byte{0, 1, 'x'})},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := w.connect(testDevice())
			c.Send(test.packet)
			c.ExpectClose()
		})
	}
	w.logged("level=WARN", "device=dev-1", "QoS 2")
}

func TestWill(t *testing.T) {
	w := newWorld(t, Options{})
	withWill := func(id iothub.ID) mqtttest.ConnectOptions {
		o := w.connectOptions(id)
		o.WillTopic, o.WillPayload, o.WillQoS = "devices/"+id.DeviceID+"/messages/events/a=b", "gone", 1
		return o
	}
	t.Run("sent when the connection breaks", func(t *testing.T) {
		c := w.dial()
		o := withWill(testDevice())
		o.WillRetain = true
		if _, code := c.Connect(o); code != 0 {
			t.Fatalf("CONNACK %d", code)
		}
		_ = c.Close()
		m := w.stored("dev-1", 1)[0]
		want := map[string]string{"a": "b", "iothub-MessageType": "Will", "mqtt-retain": "true"}
		if string(m.Body) != "gone" || cmp.Diff(want, m.Properties.Map()) != "" {
			t.Errorf("will %+v", m)
		}
	})
	t.Run("sent on takeover", func(t *testing.T) {
		c := w.dial()
		if _, code := c.Connect(withWill(testDevice())); code != 0 {
			t.Fatalf("CONNACK %d", code)
		}
		w.connect(testDevice())
		c.ExpectClose()
		w.stored("dev-1", 2)
	})
	t.Run("not sent after DISCONNECT", func(t *testing.T) {
		c := w.dial()
		if _, code := c.Connect(withWill(iothub.ID{DeviceID: "dev-2"})); code != 0 {
			t.Fatalf("CONNACK %d", code)
		}
		c.Send([]byte{mqtttest.Disconnect << 4, 0})
		c.ExpectClose()
		// A message of the next connection stands alone in the log.
		c = w.connect(iothub.ID{DeviceID: "dev-2"})
		c.Send(mqtttest.AppendPublish(nil, "devices/dev-2/messages/events/", []byte("x"), 1, 1))
		c.Expect(mqtttest.Puback)
		w.stored("dev-2", 1)
	})
	for _, test := range []struct {
		name   string
		change func(*mqtttest.ConnectOptions)
	}{
		{"another topic", func(o *mqtttest.ConnectOptions) { o.WillTopic = "status/dev-1" }},
		{"another device", func(o *mqtttest.ConnectOptions) { o.WillTopic = "devices/dev-2/messages/events/" }},
		{"a twin topic", func(o *mqtttest.ConnectOptions) { o.WillTopic = "$iothub/twin/GET/?$rid=1" }},
		{"QoS 2", func(o *mqtttest.ConnectOptions) { o.WillQoS = 2 }},
	} {
		t.Run("refused: "+test.name, func(t *testing.T) {
			c := w.dial()
			o := withWill(testDevice())
			test.change(&o)
			if _, code := c.Connect(o); code != connackNotAuthorized {
				t.Errorf("CONNACK %d", code)
			}
			c.ExpectClose()
		})
	}
}
