package broker

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubnerite/hubnerite/internal/mqtttest"
	"github.com/hubnerite/hubnerite/iothub"
)

// TestBagsOfTheSDKs: telemetry under the topics that the SDKs write, with a system property, an encoded and an empty value, and
// no bag at all. What is kept does not tell which SDK it was.
func TestBagsOfTheSDKs(t *testing.T) {
	w := newWorld(t, Options{})
	const device, module = "devices/dev-1/messages/events", "devices/dev-1/modules/mod/messages/events"
	for i, test := range []struct {
		name  string
		id    iothub.ID
		topic string
		empty bool
	}{
		{"Python", testDevice(), device + "/%24.mid=m%201&%24.ct=application%2Fjson&empty=&k=a%2Fb%26c", false},
		{"Node.js", testDevice(), device + "/%24.mid=m%201&%24.ct=application%2Fjson&k=a%2Fb%26c&empty=", false},
		{"Java", testDevice(), device + "/$.mid=m%201&k=a%2Fb%26c&empty=&$.ct=application%2Fjson", false},
		{"C#", testDevice(), device + "/%24.mid=m%201&%24.ct=application%2Fjson&k=a%2Fb%26c&empty=/", false},
		{"C", testDevice(), device + "/empty=&k=a/b%26c&%24.mid=m%201&%24.ct=application%2Fjson", false},
		{"by hand, with a question mark", testDevice(), device + "/?$.mid=m%201&$.ct=application%2Fjson&k=a%2Fb%26c&empty", false},
		{"Java, module", testModule(), module + "/$.mid=m%201&k=a%2Fb%26c&empty=&$.ct=application%2Fjson/", false},
		{"Node.js, output of a module", testModule(), module + "/%24.mid=m%201&%24.ct=application%2Fjson&k=a%2Fb%26c&empty=&%24.on=out/", false},
		{"no bag", testDevice(), device + "/", true},
		{"no bag and no slash", testDevice(), device, true},
		{"a question mark alone", testDevice(), device + "/?", true},
	} {
		c := w.connect(test.id)
		c.Send(mqtttest.AppendPublish(nil, test.topic, []byte(test.name), 1, 1))
		c.Expect(mqtttest.Puback)
		m := w.stored("dev-1", i+1)[i]
		system := iothub.SystemProperties{MessageID: "m 1", ContentType: "application/json"}
		properties := map[string]string{"k": "a/b&c", "empty": ""}
		if strings.Contains(test.topic, "%24.on=") {
			system.OutputName = "out"
		}
		if test.empty {
			system, properties = iothub.SystemProperties{}, map[string]string{}
		}
		if m.ID != test.id || string(m.Body) != test.name || m.System != system || cmp.Diff(properties, m.Properties.Map()) != "" {
			t.Errorf("%s: kept as %+v", test.name, m)
		}
	}
}

// TestRetain: the flag becomes a property of telemetry, at both levels of QoS, whatever the bag says of it; nothing is retained
// for subscribers, and requests with the flag are requests.
// Source: IoT Hub, communicate using the MQTT protocol (sending messages).
func TestRetain(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	retained := func(topic, body string, qos byte, id uint16) {
		packet := mqtttest.AppendPublish(nil, topic, []byte(body), qos, id)
		packet[0] |= 1
		c.Send(packet)
	}
	retained("devices/dev-1/messages/events/", "a", 0, 0)
	retained("devices/dev-1/messages/events/mqtt-retain=false&k=v", "b", 1, 1)
	c.Expect(mqtttest.Puback)
	for i, want := range []map[string]string{{"mqtt-retain": "true"}, {"mqtt-retain": "true", "k": "v"}} {
		if m := w.stored("dev-1", 2)[i]; cmp.Diff(want, m.Properties.Map()) != "" {
			t.Errorf("message %d: %+v", i, m)
		}
	}
	c.Subscribe(2, c2dFilter, 1)
	c.Subscribe(3, "$iothub/twin/res/#", 1)
	c.ExpectQuiet()
	retained("$iothub/twin/PATCH/properties/reported/?$rid=1", `{"a":1}`, 1, 4)
	c.Expect(mqtttest.Puback)
	if p := c.Expect(mqtttest.Publish); p.Topic != "$iothub/twin/res/204/?$rid=1&$version=2" || p.Retain {
		t.Errorf("got %+v", p)
	}
	c, _ = w.reconnect(testDevice())
	c.ExpectQuiet()
}

// TestWillOfEveryEnd: whatever ends a connection but DISCONNECT and the end of the identity itself sends the will.
// Source: MQTT 3.1.1 3.1.2.5.
func TestWillOfEveryEnd(t *testing.T) {
	for _, test := range []struct {
		name string
		id   iothub.ID
		end  func(w *world, c *mqtttest.Client)
		sent bool
	}{
		{"keep-alive passes", testDevice(), func(*world, *mqtttest.Client) {}, true},
		{"a module's keep-alive passes", testModule(), func(*world, *mqtttest.Client) {}, true},
		{"QoS 2", testDevice(), func(_ *world, c *mqtttest.Client) {
			c.Send(mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/", nil, 2, 1))
		}, true},
		{"a malformed packet", testDevice(), func(_ *world, c *mqtttest.Client) { c.Send([]byte{0, 0}) }, true},
		{"its token expires", testDevice(), func(w *world, _ *mqtttest.Client) { w.hub.Sweep(time.Now().Add(2 * time.Hour)) }, true},
		{"the emulator stops", testDevice(), func(w *world, _ *mqtttest.Client) {
			w.stop()
			w.start()
		}, true},
		{"the device is disabled", testDevice(), func(w *world, _ *mqtttest.Client) {
			r := iothub.IdentityRequest{DeviceID: "dev-1", Status: iothub.StatusDisabled}
			if _, err := w.hub.ReplaceIdentity(w.t.Context(), testDevice(), r, "*"); err != nil {
				w.t.Fatal(err)
			}
		}, false},
		{"DISCONNECT", testDevice(), func(_ *world, c *mqtttest.Client) { c.Send([]byte{mqtttest.Disconnect << 4, 0}) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, Options{})
			o := w.connectOptions(test.id)
			if strings.Contains(test.name, "keep-alive") {
				o.KeepAlive = 1
			}
			o.WillTopic, o.WillPayload = "devices/"+strings.Replace(test.id.String(), "/", "/modules/", 1)+"/messages/events/a=b", "gone"
			c := w.dial()
			if _, code := c.Connect(o); code != 0 {
				t.Fatal(code)
			}
			test.end(w, c)
			c.ExpectClose()
			if !test.sent {
				// Another device's message, after the end of the connection, stands alone in the log.
				w.until(func() error {
					w.server.mu.Lock()
					defer w.server.mu.Unlock()
					if len(w.server.conns) != 0 {
						return errors.New("the connection is still there")
					}
					return nil
				})
				w.stored("dev-1", 0)
				return
			}
			m := w.stored("dev-1", 1)[0]
			if m.ID != test.id || string(m.Body) != "gone" || m.Properties.Map()["iothub-MessageType"] != "Will" || m.Properties.Map()["a"] != "b" {
				t.Errorf("will %+v", m)
			}
		})
	}
}

// TestDuplicatesAfterReconnect: what a client sends again on its next connection because it saw no acknowledgement is taken as
// it is: telemetry is kept once more, a twin request is answered under its $rid, the answer to a method is nobody's any more, and
// a PUBACK of the connection before completes the message that it was for.
func TestDuplicatesAfterReconnect(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	c.Subscribe(1, c2dFilter, 1)
	c.Subscribe(2, "$iothub/twin/res/#", 1)
	c.Subscribe(3, "$iothub/methods/POST/#", 1)
	w.sendC2D(testDevice(), "a")
	delivered := c.Expect(mqtttest.Publish)
	result := invoke(t, w, testDevice(), iothub.MethodRequest{MethodName: "m"})
	call := c.Expect(mqtttest.Publish)
	_, rid, _ := strings.Cut(call.Topic, "$rid=")
	sent := [][]byte{
		mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/k=v", []byte("x"), 1, 11),
		mqtttest.AppendPublish(nil, "$iothub/twin/PATCH/properties/reported/?$rid=r1", []byte(`{"n":1}`), 1, 12),
		mqtttest.AppendPublish(nil, "$iothub/methods/res/200/?$rid="+rid, []byte(`{}`), 1, 13),
	}
	for _, packet := range sent {
		c.Send(packet)
	}
	for range 4 { // three PUBACKs and the twin's answer
		c.Read()
	}
	if r := <-result; r.err != nil || r.response.Status != 200 {
		t.Errorf("method %+v", r)
	}
	_ = c.Close()

	c, present := w.reconnect(testDevice())
	if !present {
		t.Error("session not present")
	}
	if p := c.Expect(mqtttest.Publish); !p.Dup || p.ID != delivered.ID || string(p.Payload) != "a" {
		t.Errorf("redelivered as %+v", p)
	}
	for _, packet := range sent {
		packet[0] |= 8
		c.Send(packet)
	}
	acknowledged, answers := map[uint16]bool{}, []string{}
	for range 4 {
		if p := c.Read(); p.Type == mqtttest.Puback {
			acknowledged[p.ID] = true
		} else {
			answers = append(answers, p.Topic)
		}
	}
	if want := map[uint16]bool{11: true, 12: true, 13: true}; cmp.Diff(want, acknowledged) != "" {
		t.Errorf("acknowledged %v", acknowledged)
	}
	if want := []string{"$iothub/twin/res/204/?$rid=r1&$version=3"}; cmp.Diff(want, answers) != "" {
		t.Errorf("answers %v", answers)
	}
	c.Send(mqtttest.AppendPuback(nil, delivered.ID))
	w.waiting(testDevice(), 0)
	w.stored("dev-1", 2)
	c.ExpectQuiet()
}

// TestConnectionState: MQTT connections and what comes over them show in the identity and its twin, with their times.
func TestConnectionState(t *testing.T) {
	w := newWorld(t, Options{})
	for _, id := range []iothub.ID{testDevice(), testModule()} {
		identity := func() iothub.ConnectionInfo {
			t.Helper()
			i, err := w.hub.GetIdentity(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return i.Connection
		}
		state := func() iothub.ConnectionInfo {
			t.Helper()
			for {
				i := identity()
				twin, err := w.hub.GetTwin(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				// What the connection does meanwhile may fall between the two.
				if now := identity(); now.Connected != i.Connected || !now.LastActivityTime.Equal(i.LastActivityTime) {
					continue
				}
				if twin.Connection.Connected != i.Connected || !twin.Connection.LastActivityTime.Equal(i.LastActivityTime) {
					t.Errorf("the twin says %+v, the identity %+v", twin.Connection, i)
				}
				return i
			}
		}
		if s := state(); s.Connected || !s.LastActivityTime.IsZero() {
			t.Errorf("before: %+v", s)
		}
		before := time.Now()
		c := w.connect(id)
		last := state()
		if !last.Connected || last.StateUpdatedTime.Before(before) || !last.LastActivityTime.Equal(last.StateUpdatedTime) {
			t.Errorf("connected: %+v", last)
		}
		c.Subscribe(1, "$iothub/twin/res/#", 0)
		for _, topic := range []string{
			"devices/" + strings.Replace(id.String(), "/", "/modules/", 1) + "/messages/events/",
			"$iothub/twin/GET/?$rid=1", "$iothub/twin/PATCH/properties/reported/?$rid=2",
		} {
			c.Send(mqtttest.AppendPublish(nil, topic, []byte("{}"), 1, 2))
			for c.Read().Type != mqtttest.Puback { // answers may come before
			}
			w.until(func() error {
				if s := state(); !s.LastActivityTime.After(last.LastActivityTime) {
					return fmt.Errorf("%s is no activity: %+v", topic, s)
				}
				return nil
			})
			last = state()
		}
		if !last.StateUpdatedTime.Before(last.LastActivityTime) {
			t.Errorf("activity moved the time of the connection: %+v", last)
		}
		_ = c.Close()
		w.until(func() error {
			if s := state(); s.Connected || !s.StateUpdatedTime.After(last.StateUpdatedTime) {
				return fmt.Errorf("after: %+v", s)
			}
			return nil
		})
	}
}

// TestKeepAliveCountsWhatTheClientSends: any packet of the client's, telemetry too, keeps the connection; what the hub sends
// does not (MQTT 3.1.1 3.1.2.10).
func TestKeepAliveCountsWhatTheClientSends(t *testing.T) {
	for name, packet := range map[string][]byte{
		"telemetry": mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/", []byte("x"), 0, 0),
		"PINGREQ":   {mqtttest.Pingreq << 4, 0},
		"nothing":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Options{}, func(t *testing.T, w *world) {
				o := w.connectOptions(testDevice())
				o.KeepAlive = 1
				c := w.dial()
				if _, code := c.Connect(o); code != 0 {
					t.Fatal(code)
				}
				c.Subscribe(1, c2dFilter, 0)
				start := time.Now()
				// A pipe has no buffer, so another goroutine reads.
				ended := make(chan time.Time, 1)
				var pings atomic.Int64
				go func() {
					for {
						p, err := c.TryRead()
						if err != nil {
							ended <- time.Now()
							return
						}
						if p.Type == mqtttest.Pingresp {
							pings.Add(1)
						}
					}
				}()
				for i := range 4 { // 2.8 s
					time.Sleep(700 * time.Millisecond)
					if packet != nil {
						c.Send(packet)
					} else {
						w.sendC2D(testDevice(), fmt.Sprint(i))
					}
				}
				if packet != nil {
					before := pings.Load()
					c.Send([]byte{mqtttest.Pingreq << 4, 0})
					synctest.Wait()
					if pings.Load() <= before {
						t.Error("the connection is gone")
					}
					start = time.Now()
				}
				if d := (<-ended).Sub(start); d != 1500*time.Millisecond {
					t.Errorf("cut after %v", d)
				}
				w.logged("level=WARN", "keep-alive")
			})
		})
	}
}
