package broker

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/internal/mqtttest"
	"github.com/hubnerite/hubnerite/iothub"
)

func TestMethod(t *testing.T) {
	w := newWorld(t, Options{})
	for _, id := range []iothub.ID{testDevice(), testModule()} {
		for _, qos := range []byte{0, 1} {
			c := w.connect(id)
			c.Subscribe(1, "$iothub/methods/POST/#", qos)
			result := invoke(t, w, id, iothub.MethodRequest{MethodName: "rebootDevice", Payload: json.RawMessage(`"{\"method_number\":\"42\"}"`)})
			p := c.Expect(mqtttest.Publish)
			rid, ok := strings.CutPrefix(p.Topic, "$iothub/methods/POST/rebootDevice/?$rid=")
			if !ok || p.QoS != 0 || string(p.Payload) != `"{\"method_number\":\"42\"}"` {
				t.Fatalf("request %+v", p)
			}
			// Answers to nothing change nothing.
			c.Send(mqtttest.AppendPublish(nil, "$iothub/methods/res/500/?$rid=unknown", nil, 0, 0))
			c.Send(mqtttest.AppendPublish(nil, "$iothub/methods/res/201/?$rid="+rid, []byte(`{"ok":true}`), qos, 3))
			if qos == 1 {
				if p := c.Expect(mqtttest.Puback); p.ID != 3 {
					t.Errorf("got %+v", p)
				}
			}
			if r := <-result; r.err != nil || r.response.Status != 201 || string(r.response.Payload) != `{"ok":true}` {
				t.Errorf("result %+v", r)
			}
		}
	}
}

func TestMethodAnswers(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	c.Subscribe(1, "$iothub/methods/POST/#", 0)
	for _, test := range []struct {
		status, body, payload string
		code                  iothub.Code
	}{
		{"200", "", "", 0},
		{"404", "null", "null", 0},
		{"-1", "[1, 2]", "[1, 2]", 0},
		{"200", "not JSON", "", iothub.CodeIotHubFormatError},
		{"200", "\"\xff\"", "", iothub.CodeIotHubFormatError},
		{"200", `"` + strings.Repeat("x", iothub.MaxMethodPayload) + `"`, "", iothub.CodeMessageTooLarge},
	} {
		result := invoke(t, w, testDevice(), iothub.MethodRequest{MethodName: "m"})
		p := c.Expect(mqtttest.Publish)
		if len(p.Payload) != 0 {
			t.Errorf("request without payload came with %q", p.Payload)
		}
		_, rid, _ := strings.Cut(p.Topic, "$rid=")
		c.Send(mqtttest.AppendPublish(nil, "$iothub/methods/res/"+test.status+"/?$rid="+rid, []byte(test.body), 0, 0))
		r := <-result
		if iothub.ErrorCode(r.err) != test.code || string(r.response.Payload) != test.payload {
			t.Errorf("%.20q: result %+v", test.body, r)
		}
	}
}

func TestMethodNeedsSubscriber(t *testing.T) {
	w := newWorld(t, Options{})
	c := w.connect(testDevice())
	if r := <-invoke(t, w, testDevice(), iothub.MethodRequest{MethodName: "m"}); iothub.ErrorCode(r.err) != iothub.CodeDeviceNotOnline {
		t.Errorf("result %+v", r)
	}
	c.Subscribe(1, "$iothub/methods/POST/#", 0)
	// A call in flight when the connection ends fails at once.
	result := invoke(t, w, testDevice(), iothub.MethodRequest{MethodName: "m"})
	c.Expect(mqtttest.Publish)
	_ = c.Close()
	if r := <-result; iothub.ErrorCode(r.err) != iothub.CodeDeviceConnectionClosedRemotely {
		t.Errorf("result %+v", r)
	}
	// So does one whose connection is taken over.
	c = w.connect(testDevice())
	result = invoke(t, w, testDevice(), iothub.MethodRequest{MethodName: "m"})
	c.Expect(mqtttest.Publish)
	w.connect(testDevice())
	if r := <-result; iothub.ErrorCode(r.err) != iothub.CodeConnectionForcefullyClosedOnNewConnection {
		t.Errorf("result %+v", r)
	}
	// The session keeps the subscription.
	c = w.connect(testDevice())
	result = invoke(t, w, testDevice(), iothub.MethodRequest{MethodName: "m"})
	_, rid, _ := strings.Cut(c.Expect(mqtttest.Publish).Topic, "$rid=")
	c.Send(mqtttest.AppendPublish(nil, "$iothub/methods/res/200/?$rid="+rid, nil, 0, 0))
	if r := <-result; r.err != nil {
		t.Errorf("result %+v", r)
	}
}

type methodResult struct {
	response iothub.MethodResponse
	err      error
}

func invoke(t *testing.T, w *world, id iothub.ID, req iothub.MethodRequest) <-chan methodResult {
	t.Helper()
	result := make(chan methodResult, 1)
	go func() {
		r, err := w.hub.InvokeMethod(t.Context(), id, req)
		result <- methodResult{r, err}
	}()
	return result
}
