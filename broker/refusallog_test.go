package broker

import (
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/internal/mqtttest"
	"github.com/hubnerite/hubnerite/iothub"
)

// count returns how many lines hold all the texts.
func (l *logLines) count(texts ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
lines:
	for line := range strings.Lines(l.text.String()) {
		for _, t := range texts {
			if !strings.Contains(line, t) {
				continue lines
			}
		}
		n++
	}
	return n
}

// TestRefusalsAreLogged: each refusal is one line with its cause, the device and the connection.
func TestRefusalsAreLogged(t *testing.T) {
	refuse := func(w *world, operation string) {
		rule := hub.FaultRule{Operation: operation, Action: hub.FaultRefuse, Code: iothub.CodeIotHubQuotaExceeded, Count: 1}
		if _, err := w.hub.AddFaultRule(rule); err != nil {
			w.t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		do   func(w *world)
		want []string
	}{
		"a wrong password": {func(w *world) {
			o := w.connectOptions(testDevice())
			o.Password = "SharedAccessSignature sr=x&sig=c2VjcmV0&se=9999999999"
			c := w.dial()
			if _, code := c.Connect(o); code == 0 {
				w.t.Error("connected")
			}
		}, []string{"MQTT connection refused", "code=401"}},
		"a rule for connections": {func(w *world) {
			refuse(w, hub.FaultOnConnect)
			if _, code := w.dial().Connect(w.connectOptions(testDevice())); code == 0 {
				w.t.Error("connected")
			}
		}, []string{"MQTT connection refused", "code=403002"}},
		"a rule for telemetry": {func(w *world) {
			refuse(w, hub.FaultOnTelemetry)
			c := w.connect(testDevice())
			c.Send(mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/", []byte("x"), 1, 1))
			c.ExpectClose()
		}, []string{"MQTT connection cut", "code=403002"}},
		"a topic": {func(w *world) {
			c := w.connect(testDevice())
			c.Send(mqtttest.AppendPublish(nil, "devices/other/messages/events/", []byte("x"), 1, 1))
			c.ExpectClose()
		}, []string{"MQTT connection cut"}},
		"a rule for twins": {func(w *world) {
			refuse(w, hub.FaultOnTwinGet)
			c := w.connect(testDevice())
			c.Subscribe(1, "$iothub/twin/res/#", 0)
			c.Send(mqtttest.AppendPublish(nil, "$iothub/twin/GET/?$rid=1", nil, 0, 0))
			c.Expect(mqtttest.Publish)
		}, []string{"twin operation refused", "code=403002", "rid=1"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Options{})
			c.do(w)
			want := append(c.want, "level=WARN", "device=dev-1", "conn=", "err=")
			w.logged(want...)
			if n := w.log.count(want...); n != 1 {
				t.Errorf("%d lines", n)
			}
			if w.log.has("c2VjcmV0") {
				t.Error("a signature is in the log")
			}
		})
	}
}
