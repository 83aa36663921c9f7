package broker

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/internal/mqtttest"
	"github.com/hubnerite/hubnerite/iothub"
)

func TestTwin(t *testing.T) {
	for _, id := range []iothub.ID{testDevice(), testModule()} {
		for _, qos := range []byte{0, 1} {
			t.Run(fmt.Sprintf("%s at QoS %d", id, qos), func(t *testing.T) {
				w := newWorld(t, Options{})
				c := w.connect(id)
				c.Subscribe(1, "$iothub/twin/res/#", qos)
				// request publishes and returns the answer, after the PUBACK at QoS 1.
				request := func(topic, body string) mqtttest.Packet {
					t.Helper()
					c.Send(mqtttest.AppendPublish(nil, topic, []byte(body), qos, 5))
					var answer *mqtttest.Packet
					for range 1 + int(qos) {
						switch p := c.Read(); p.Type {
						case mqtttest.Publish:
							answer = &p
						case mqtttest.Puback:
							if qos == 0 || p.ID != 5 {
								t.Errorf("got %+v", p)
							}
						}
					}
					if answer == nil || answer.QoS != 0 {
						t.Fatalf("answer %+v", answer)
					}
					return *answer
				}
				p := request("$iothub/twin/PATCH/properties/reported/?$rid=a%201", `{"rebootTime":"now","n":1}`)
				if p.Topic != "$iothub/twin/res/204/?$rid=a%201&$version=2" || len(p.Payload) != 0 {
					t.Errorf("patch answered with %+v", p)
				}
				p = request("$iothub/twin/GET/?$rid=b", " ")
				if want := `{"desired":{"$version":1},"reported":{"$version":2,"n":1,"rebootTime":"now"}}`; p.Topic != "$iothub/twin/res/200/?$rid=b" || string(p.Payload) != want {
					t.Errorf("get answered with %s %s", p.Topic, p.Payload)
				}
				p = request("$iothub/twin/PATCH/properties/reported/?$rid=c&$version=2", `{"n":null}`)
				if p.Topic != "$iothub/twin/res/204/?$rid=c&$version=3" {
					t.Errorf("conditional patch answered with %+v", p)
				}
				for _, test := range []struct {
					topic, body string
					code        iothub.Code
				}{
					{"&$version=2", `{"n":2}`, iothub.CodePreconditionFailed},
					{"&$version=two", `{"n":2}`, iothub.CodeArgumentInvalid},
					{"&$version=2.5", `{"n":2}`, iothub.CodeArgumentInvalid},
					{"&$version=", `{"n":2}`, iothub.CodeArgumentInvalid},
					{"", `{"n":`, iothub.CodeIotHubFormatError},
					{"", `[1]`, iothub.CodeIotHubFormatError},
					{"", ``, iothub.CodeIotHubFormatError},
					{"", `{"a.b":1}`, iothub.CodeArgumentInvalid},
					{"", `{"$version":9}`, iothub.CodeArgumentInvalid},
					{"", `{"a":"` + strings.Repeat("x", iothub.MaxTwinString+1) + `"}`, iothub.CodeArgumentInvalid},
				} {
					p = request("$iothub/twin/PATCH/properties/reported/?$rid=d"+test.topic, test.body)
					if want := fmt.Sprintf("$iothub/twin/res/%d/?$rid=d", test.code.HTTPStatus()); p.Topic != want {
						t.Errorf("%.40q answered on %s, want %s", test.body, p.Topic, want)
					}
					var e struct {
						ErrorCode                         int
						TrackingID, Message, TimestampUTC string
					}
					if err := json.Unmarshal(p.Payload, &e); err != nil || e.ErrorCode != int(test.code) || e.Message == "" || e.TrackingID == "" {
						t.Errorf("%.40q answered with %s", test.body, p.Payload)
					}
					if _, err := time.Parse(time.RFC3339Nano, e.TimestampUTC); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// TestTwinWithoutSubscription: the Python client asks before it subscribes.
func TestTwinWithoutSubscription(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	c.Send(mqtttest.AppendPublish(nil, "$iothub/twin/GET/?$rid=1", []byte(" "), 1, 1))
	c.Expect(mqtttest.Puback)
	c.Subscribe(2, "$iothub/twin/res/#", 1)
	c.ExpectQuiet()
}

// TestTwinWithoutAPIVersion: patches are bad requests then.
func TestTwinWithoutAPIVersion(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.dial()
	o := w.connectOptions(testDevice())
	o.UserName = testHost + "/dev-1"
	if _, code := c.Connect(o); code != 0 {
		t.Fatal(code)
	}
	c.Subscribe(1, "$iothub/twin/res/#", 0)
	c.Send(mqtttest.AppendPublish(nil, "$iothub/twin/PATCH/properties/reported/?$rid=1", []byte("{}"), 0, 0))
	if p := c.Expect(mqtttest.Publish); p.Topic != "$iothub/twin/res/400/?$rid=1" {
		t.Errorf("answer on %s", p.Topic)
	}
	c.Send(mqtttest.AppendPublish(nil, "$iothub/twin/GET/?$rid=2", nil, 0, 0))
	if p := c.Expect(mqtttest.Publish); p.Topic != "$iothub/twin/res/200/?$rid=2" {
		t.Errorf("answer on %s", p.Topic)
	}
}

func TestDesired(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	patch := func(n any) {
		t.Helper()
		if _, err := w.hub.PatchTwin(t.Context(), testDevice(), iothub.TwinPatch{Desired: map[string]any{"n": n}}, ""); err != nil {
			t.Fatal(err)
		}
	}
	patch(1) // nobody listens: never sent
	c.Subscribe(1, "$iothub/twin/PATCH/properties/desired/#", 1)
	for i := range 20 {
		patch(i)
	}
	for i := range 20 {
		p := c.Expect(mqtttest.Publish)
		topic := fmt.Sprintf("$iothub/twin/PATCH/properties/desired/?$version=%d", i+3)
		body := fmt.Sprintf(`{"$version":%d,"n":%d}`, i+3, i)
		if p.Topic != topic || string(p.Payload) != body || p.QoS != 0 {
			t.Fatalf("got %s %s, want %s %s", p.Topic, p.Payload, topic, body)
		}
	}
	patch(nil)
	if p := c.Expect(mqtttest.Publish); string(p.Payload) != `{"$version":23,"n":null}` {
		t.Errorf("got %s", p.Payload)
	}
	c.Send(mqtttest.AppendUnsubscribe(nil, 2, "$iothub/twin/PATCH/properties/desired/#"))
	c.Expect(mqtttest.Unsuback)
	patch(5)
	c.ExpectQuiet()
}
