package broker

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/internal/mqtttest"
	"github.com/hubnerite/hubnerite/iothub"
)

const c2dFilter = "devices/dev-1/messages/devicebound/#"

func TestSubscribe(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	// Several filters in one packet, as the C client sends; QoS 2 is granted as 1.
	body := []byte{0, 9}
	for _, f := range []struct {
		filter string
		qos    byte
	}{{c2dFilter, 2}, {"$iothub/methods/POST/#", 0}, {"$iothub/twin/res/#", 1}} {
		body = append(body, 0, byte(len(f.filter)))
		body = append(append(body, f.filter...), f.qos)
	}
	c.Send(mqtttest.AppendPacket(nil, 0x82, body))
	if p := c.Expect(mqtttest.Suback); p.ID != 9 || string(p.Payload) != "\x01\x00\x01" {
		t.Errorf("SUBACK %+v", p)
	}
	// Again is not one more.
	for range 5 {
		if qos := c.Subscribe(10, "$iothub/twin/res/#", 0); qos != 0 {
			t.Errorf("granted %d", qos)
		}
	}
	c.Send(mqtttest.AppendUnsubscribe(nil, 11, "$iothub/twin/res/#"))
	if p := c.Expect(mqtttest.Unsuback); p.ID != 11 || len(p.Payload) != 0 {
		t.Errorf("UNSUBACK %+v", p)
	}
	c.Send(mqtttest.AppendUnsubscribe(nil, 12, "never/subscribed"))
	c.Expect(mqtttest.Unsuback)
}

func TestSubscribeRefused(t *testing.T) {
	w := newWorld(t, Options{})
	for _, test := range []struct {
		name   string
		packet []byte
	}{
		{"everything", mqtttest.AppendSubscribe(nil, 1, "#", 1)},
		{"another device", mqtttest.AppendSubscribe(nil, 1, "devices/dev-2/messages/devicebound/#", 1)},
		{"a wildcard inside", mqtttest.AppendSubscribe(nil, 1, "devices/a/b+", 1)},
		{"identifier 0", mqtttest.AppendSubscribe(nil, 0, c2dFilter, 1)},
		{"QoS 3", mqtttest.AppendSubscribe(nil, 1, c2dFilter, 3)},
		{"no filter", mqtttest.AppendPacket(nil, 0x82, []byte{0, 1})},
		{"wrong flags", mqtttest.AppendPacket(nil, 0x80, []byte{0, 1, 0, 1, 'x', 0})},
		{"unsubscribe nothing", mqtttest.AppendPacket(nil, 0xa2, []byte{0, 1})},
		{"unsubscribe identifier 0", mqtttest.AppendUnsubscribe(nil, 0, c2dFilter)},
		{"second CONNECT", mqtttest.AppendConnect(nil, w.connectOptions(testDevice()))},
		{"CONNACK from a client", []byte{0x20, 2, 0, 0}},
		{"PUBREC", []byte{0x50, 2, 0, 1}},
		{"PUBREL", []byte{0x62, 2, 0, 1}},
		{"packet type 0", []byte{0, 0}},
		{"packet type 15", []byte{0xf0, 0}},
		{"PUBACK with a tail", []byte{0x40, 3, 0, 1, 0}},
		{"PINGREQ with a body", []byte{0xc0, 1, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := w.connect(testDevice())
			c.Send(test.packet)
			c.ExpectClose()
		})
	}
}

func TestSubscriptionLimit(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testModule())
	const owner = "devices/dev-1/modules/mod/"
	for i, f := range []string{owner + "#", owner + "inputs/#", owner + "messages/devicebound/#", "$iothub/methods/POST/#", "$iothub/twin/res/#"} {
		if qos := c.Subscribe(uint16(i+1), f, 1); qos != 1 {
			t.Errorf("%s granted as %d", f, qos)
		}
	}
	c.Send(mqtttest.AppendSubscribe(nil, 6, "$iothub/twin/PATCH/properties/desired/#", 1))
	c.ExpectClose()
	w.logged("level=WARN", "more than 5 subscriptions")
}

// TestPersistentSession: the SDKs do not subscribe again, neither after token
// renewal, nor after takeover, nor when the emulator was restarted.
func TestPersistentSession(t *testing.T) {
	w := newWorld(t, Options{})
	c, present := w.reconnect(testDevice())
	if present {
		t.Error("a new session is said to be present")
	}
	c.Subscribe(1, c2dFilter, 1)
	c.Subscribe(2, "$iothub/twin/res/#", 0)
	check := func(step, body string) {
		t.Helper()
		w.sendC2D(testDevice(), body)
		p := c.Expect(mqtttest.Publish)
		if string(p.Payload) != body || p.QoS != 1 {
			t.Fatalf("%s: got %+v, want %q", step, p, body)
		}
		c.Send(mqtttest.AppendPuback(nil, p.ID))
		c.Send(mqtttest.AppendPublish(nil, "$iothub/twin/GET/?$rid=1", []byte(" "), 0, 0))
		if p := c.Expect(mqtttest.Publish); p.Topic != "$iothub/twin/res/200/?$rid=1" {
			t.Fatalf("%s: twin answer on %q", step, p.Topic)
		}
		w.waiting(testDevice(), 0)
	}
	check("first connection", "one")

	c.Send([]byte{mqtttest.Disconnect << 4, 0})
	c.ExpectClose()
	if c, present = w.reconnect(testDevice()); !present {
		t.Error("session not present after DISCONNECT")
	}
	check("renewal", "two")

	old := c
	if c, present = w.reconnect(testDevice()); !present {
		t.Error("session not present after takeover")
	}
	old.ExpectClose()
	check("takeover", "three")

	w.stop()
	c.ExpectClose()
	w.start()
	if c, present = w.reconnect(testDevice()); !present {
		t.Error("session not present after restart")
	}
	check("restart", "four")

	// A clean session ends it.
	o := w.connectOptions(testDevice())
	o.Clean = true
	c = w.dial()
	if present, code := c.Connect(o); present || code != 0 {
		t.Errorf("clean session: present %t, code %d", present, code)
	}
	w.sendC2D(testDevice(), "five")
	c.ExpectQuiet()
	if c, present = w.reconnect(testDevice()); present {
		t.Error("session present after a clean one")
	}
	c.ExpectQuiet()
	c.Subscribe(3, c2dFilter, 1)
	if p := c.Expect(mqtttest.Publish); string(p.Payload) != "five" {
		t.Errorf("got %+v", p)
	}
}

// TestSessionWithoutSubscriptions: clean session 0 alone makes a session.
func TestSessionWithoutSubscriptions(t *testing.T) {
	w := newWorld(t, Options{})
	w.connect(testDevice())
	if _, present := w.reconnect(testDevice()); !present {
		t.Error("session not present")
	}
	o := w.connectOptions(testDevice())
	o.Clean = true
	for range 2 {
		if present, code := w.dial().Connect(o); present || code != 0 {
			t.Errorf("clean session: present %t, code %d", present, code)
		}
	}
	if _, present := w.reconnect(testDevice()); present {
		t.Error("session present")
	}
}

// TestSubscriptionStoredBeforeSuback: the subscription of a SUBACK survives
// whatever comes after.
func TestSubscriptionStoredBeforeSuback(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	c.Subscribe(1, c2dFilter, 1)
	stored, err := w.registry.MQTTSession(t.Context(), testDevice())
	if err != nil || stored[c2dFilter] != 1 {
		t.Errorf("stored %v, %v", stored, err)
	}
	c.Send(mqtttest.AppendUnsubscribe(nil, 2, c2dFilter))
	c.Expect(mqtttest.Unsuback)
	stored, err = w.registry.MQTTSession(t.Context(), testDevice())
	if err != nil || stored == nil || len(stored) != 0 {
		t.Errorf("stored %v, %v", stored, err)
	}
}

// TestTakeover: a stream of messages each way loses nothing while connections
// take over from each other, and the old one sees a plain end.
func TestTakeover(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	c.Subscribe(1, c2dFilter, 1)
	got := map[string]int{}
	next := 0
	for round := range 10 {
		for range 4 {
			w.sendC2D(testDevice(), fmt.Sprint(next))
			next++
		}
		old := c
		c = w.connect(testDevice())
		// The old connection may hold messages that it was sent before: unacknowledged.
		for {
			p, err := old.TryRead()
			if err != nil {
				if err.Error() != "EOF" {
					t.Fatalf("round %d: the old connection ended with %v", round, err)
				}
				break
			}
			if p.Type != mqtttest.Publish {
				t.Fatalf("round %d: the old connection got %+v", round, p)
			}
		}
		for range 4 {
			p := c.Expect(mqtttest.Publish)
			got[string(p.Payload)]++
			c.Send(mqtttest.AppendPuback(nil, p.ID))
		}
		w.waiting(testDevice(), 0)
	}
	c.ExpectQuiet()
	for i := range next {
		if got[fmt.Sprint(i)] != 1 {
			t.Errorf("message %d acknowledged %d times", i, got[fmt.Sprint(i)])
		}
	}
	w.logged("device=dev-1", "code=400027")
	if n := w.hub.ConnectedDevices(); n != 1 {
		t.Errorf("%d devices connected", n)
	}
}

func TestDeviceDisabledAndDeleted(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	m := w.connect(testModule())
	if _, err := w.hub.ReplaceIdentity(t.Context(), testDevice(), iothub.IdentityRequest{DeviceID: "dev-1", Status: iothub.StatusDisabled}, "*"); err != nil {
		t.Fatal(err)
	}
	c.ExpectClose()
	m.ExpectClose()
	other := iothub.ID{DeviceID: "dev-2"}
	c = w.connect(other)
	if err := w.hub.DeleteIdentity(t.Context(), other, "*"); err != nil {
		t.Fatal(err)
	}
	c.ExpectClose()
	w.until(func() error {
		if n := w.hub.ConnectedDevices(); n != 0 {
			return fmt.Errorf("%d devices connected", n)
		}
		return nil
	})
}

func TestTokenExpires(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice()) // its token is valid for an hour
	w.hub.Sweep(time.Now().Add(30 * time.Minute))
	c.ExpectQuiet()
	w.hub.Sweep(time.Now().Add(2 * time.Hour))
	c.ExpectClose()
	w.logged("level=WARN", "device=dev-1", "cut", "401")
}

func TestKeepAlive(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, w *world) {
		c := w.dial()
		o := w.connectOptions(testDevice())
		o.KeepAlive = 1
		start := time.Now()
		if _, code := c.Connect(o); code != 0 {
			t.Fatal(code)
		}
		c.ExpectClose()
		if d := time.Since(start); d != 1500*time.Millisecond {
			t.Errorf("cut after %v, want 1.5 s", d)
		}
		w.logged("level=WARN", "keep-alive")
	})
}

// TestKeepAliveClamp: none, and more than the hub allows, become the hub's own.
func TestKeepAliveClamp(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, w *world) {
		for _, test := range []struct{ in, want uint16 }{{0, 1178}, {1, 1}, {60, 60}, {1178, 1178}, {1179, 1178}, {65535, 1178}} {
			c := w.dial()
			o := w.connectOptions(testDevice())
			o.KeepAlive = test.in
			if _, code := c.Connect(o); code != 0 {
				t.Fatal(code)
			}
			c.ExpectQuiet()
			start := time.Now()
			_ = c.SetReadDeadline(start.Add(time.Hour))
			if _, err := c.Conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("keep-alive %d: read %v, want the end", test.in, err)
			}
			if d, want := time.Since(start), time.Duration(test.want)*time.Second*3/2; d != want {
				t.Errorf("keep-alive %d: cut after %v, want %v", test.in, d, want)
			}
		}
	})
}

func TestShutdown(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	waiting := w.dial()
	waiting.Send([]byte{0x10}) // a CONNECT that does not go on
	w.until(func() error {
		w.server.mu.Lock()
		defer w.server.mu.Unlock()
		if len(w.server.conns) != 2 {
			return fmt.Errorf("%d connections", len(w.server.conns))
		}
		return nil
	})
	stopped := make(chan struct{})
	go func() {
		w.stop()
		close(stopped)
	}()
	c.ExpectClose()
	waiting.ExpectClose()
	<-stopped
	// What comes too late is closed and not served.
	here, there := net.Pipe()
	w.server.ServeConn(there, "mqtt")
	if _, err := here.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want the end", err)
	}
	w.start()
}
