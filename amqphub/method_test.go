package amqphub

import (
	"encoding/json"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"
	"github.com/google/uuid"

	"github.com/hubnerite/hubnerite/iothub"
)

const methodsD = "/devices/d/methods/devicebound"

type methodResult struct {
	response iothub.MethodResponse
	err      error
}

// invoke calls a method in the background.
func (r *rig) invoke(name, payload string, connect time.Duration) chan methodResult {
	done := make(chan methodResult, 1)
	go func() {
		answer, err := r.hub.InvokeMethod(r.t.Context(), deviceD(), iothub.MethodRequest{
			MethodName: name, Payload: json.RawMessage(payload), ConnectTimeout: connect,
		})
		done <- methodResult{answer, err}
	}()
	return done
}

func TestMethod(t *testing.T) {
	r := newRig(t)
	s := r.device(deviceD())
	// Called before the device is there.
	early := r.invoke("reboot", `{"in":5}`, 30*time.Second)
	answers := r.sender(s, methodsD, &goamqp.SenderOptions{Properties: map[string]any{channelProperty: "methods:1"}})
	calls := r.receiver(s, methodsD, &goamqp.ReceiverOptions{Properties: map[string]any{channelProperty: "methods:1"}})
	m := r.receive(calls)
	id, ok := m.Properties.CorrelationID.(goamqp.UUID)
	if !ok || m.ApplicationProperties["IoThub-methodname"] != "reboot" || string(m.GetData()) != `{"in":5}` {
		t.Fatalf("%T, %v, %s", m.Properties.CorrelationID, m.ApplicationProperties, m.GetData())
	}
	answer := func(correlation, status any, body string) *goamqp.Message {
		a := goamqp.NewMessage([]byte(body))
		a.Properties = &goamqp.MessageProperties{CorrelationID: correlation}
		a.ApplicationProperties = map[string]any{"IoThub-status": status}
		return a
	}
	r.send(answers, answer(id, int32(202), `{"ok":true}`))
	if got := <-early; got.err != nil || got.response.Status != 202 || string(got.response.Payload) != `{"ok":true}` {
		t.Errorf("%+v", got)
	}
	// The answer's correlation ID may be text, in any case; a call without payload says null.
	call := r.invoke("stop", "", 0)
	m = r.receive(calls)
	if string(m.GetData()) != "null" {
		t.Errorf("%q", m.GetData())
	}
	rid := uuid.UUID(m.Properties.CorrelationID.(goamqp.UUID)).String()
	for name, bad := range map[string]*goamqp.Message{
		"no status": {Properties: &goamqp.MessageProperties{CorrelationID: rid}, Data: [][]byte{{}}}, "text as status": answer(rid, "200", ""),
		"no correlation ID": answer(nil, int32(1), ""),
	} {
		wantCondition(t, name, answers.Send(r.ctx(), bad, nil), "com.microsoft:argument-error")
	}
	r.send(answers, answer("somebody else's", int32(200), ""))
	r.send(answers, answer(rid, int32(-7), ""))
	if got := <-call; got.err != nil || got.response.Status != -7 || got.response.Payload != nil {
		t.Errorf("%+v", got)
	}
	// Without the link the device takes no methods.
	if err := calls.Close(r.ctx()); err != nil {
		t.Fatal(err)
	}
	if got := <-r.invoke("late", "1", 0); iothub.ErrorCode(got.err) != iothub.CodeDeviceNotOnline {
		t.Errorf("%+v", got)
	}
}

// TestMethodsInParallel: answers find their calls in any order, and calls for
// which the client has no credit wait.
func TestMethodsInParallel(t *testing.T) {
	r := newRig(t)
	s := r.device(deviceD())
	answers := r.sender(s, methodsD, nil)
	calls := r.receiver(s, methodsD, &goamqp.ReceiverOptions{Credit: -1})
	const count = 20
	var results []chan methodResult
	for i := range count {
		payload, err := json.Marshal(i)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, r.invoke("echo", string(payload), 0))
	}
	var got []*goamqp.Message
	for range count {
		if err := calls.IssueCredit(1); err != nil {
			t.Fatal(err)
		}
		got = append(got, r.receive(calls))
	}
	for i := range got {
		m := got[count-1-i]
		a := goamqp.NewMessage(m.GetData())
		a.Properties = &goamqp.MessageProperties{CorrelationID: m.Properties.CorrelationID}
		a.ApplicationProperties = map[string]any{"IoThub-status": int32(200)}
		r.send(answers, a)
	}
	for i, result := range results {
		want, _ := json.Marshal(i)
		if got := <-result; got.err != nil || string(got.response.Payload) != string(want) {
			t.Errorf("call %d: %+v", i, got)
		}
	}
}
