package amqphub

import (
	"log/slog"
	"strings"
	"sync"
	"testing"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// logText keeps what was logged.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// lines returns those that hold all the texts.
func (l *logText) lines(texts ...string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
lines:
	for line := range strings.Lines(l.text.String()) {
		for _, t := range texts {
			if !strings.Contains(line, t) {
				continue lines
			}
		}
		found = append(found, line)
	}
	return found
}

// TestRefusalsAreLogged: each refusal is one line with its cause and the connection, and with the device where there is one.
func TestRefusalsAreLogged(t *testing.T) {
	log := &logText{}
	r := newRig(t, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(log, nil)) })
	refuse := func(operation string) {
		r.rule(hub.FaultRule{Operation: operation, Action: hub.FaultRefuse, Code: iothub.CodeIotHubQuotaExceeded, Count: 1})
	}
	session := r.dial(goamqp.SASLTypeAnonymous())
	r.putDevice(r.cbs(session), deviceD())
	telemetry := r.sender(session, "/devices/d/messages/events", nil)
	c2d := r.sender(r.plain("service"), "/messages/deviceBound", nil)
	condition := iothub.CodeIotHubQuotaExceeded.AMQPCondition()

	refuse(hub.FaultOnTelemetry)
	wantCondition(t, "telemetry", telemetry.Send(r.ctx(), goamqp.NewMessage([]byte("x")), nil), condition)
	refuse(hub.FaultOnC2DSend)
	wantCondition(t, "c2d", c2d.Send(r.ctx(), c2dMessage(toDevice, "x"), nil), condition)
	_, err := r.dial(goamqp.SASLTypeAnonymous()).NewSender(r.ctx(), "/devices/d/messages/events", nil)
	wantCondition(t, "attach without a token", err, iothub.CodeIotHubUnauthorizedAccess.AMQPCondition())
	_, err = r.plain("service").NewReceiver(r.ctx(), "hub1/ConsumerGroups/none/Partitions/0", nil)
	wantCondition(t, "a consumer group that is not there", err, "amqp:not-found")

	for what, want := range map[string][]string{
		"what=telemetry ":                          {"device=d ", "code=403002", "level=WARN"},
		`what="cloud-to-device message"`:           {"code=403002", "level=WARN"},
		`what="attach /devices/d/messages/events"`: {"device=d ", "code=401002", "level=WARN"},
		"what=\"attach hub1/ConsumerGroups":        {"condition=amqp:not-found", "level=INFO"},
	} {
		lines := log.lines("AMQP refused", what)
		if len(lines) == 0 { // it is not quoted when it need not be
			lines = log.lines("AMQP refused", strings.ReplaceAll(what, `"`, ""))
		}
		if len(lines) != 1 {
			t.Errorf("%s: %d lines", what, len(lines))
			continue
		}
		for _, text := range append(want, "conn=", "err=") {
			if !strings.Contains(lines[0], text) {
				t.Errorf("no %s in %s", text, lines[0])
			}
		}
	}
}
