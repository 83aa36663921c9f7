package amqphub

import (
	"reflect"
	"strings"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/iothub"
)

// kept returns all telemetry that the hub has.
func (r *rig) kept() []iothub.Telemetry {
	r.t.Helper()
	var all []iothub.Telemetry
	for p := range r.hub.Partitions() {
		for from := int64(0); ; {
			events, err := r.hub.ReadEvents(r.t.Context(), p, from, 1000)
			if err != nil {
				r.t.Fatal(err)
			}
			if len(events) == 0 {
				break
			}
			all = append(all, events...)
			from = events[len(events)-1].SequenceNumber + 1
		}
	}
	return all
}

func TestTelemetry(t *testing.T) {
	r := newRig(t)
	snd := r.sender(r.device(moduleM()), "/devices/d/modules/m/messages/events", nil)
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	id := goamqp.UUID{0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	to, json, utf8 := "/devices/d/modules/m/messages/events", "application/json", "utf-8"
	m := goamqp.NewMessage([]byte(`{"t":1}`))
	m.Properties = &goamqp.MessageProperties{
		MessageID: id, CorrelationID: uint64(7), UserID: []byte("u"), To: &to, ContentType: &json, ContentEncoding: &utf8, AbsoluteExpiryTime: &at,
	}
	m.Annotations = goamqp.Annotations{"dt-subject": "thermostat1", "iothub-interface-id": "urn:azureiot:Security:SecurityAgent:1", "x-other": 1}
	m.ApplicationProperties = map[string]any{
		"zone": "n", "iothub-outputname": "out1", "iothub-creation-time-utc": "2026-01-02T03:04:05.0000000Z", "iothub-message-schema": "s1",
	}
	r.send(snd, m)
	kept := r.kept()
	if len(kept) != 1 {
		t.Fatalf("%d messages", len(kept))
	}
	want := iothub.SystemProperties{
		MessageID: "ab010203-0405-0607-0809-0a0b0c0d0e0f", CorrelationID: "7", UserID: "u", To: to, ContentType: json, ContentEncoding: utf8,
		Expiry: "2030-01-02T03:04:05.0000000Z", CreationTime: "2026-01-02T03:04:05.0000000Z", Schema: "s1",
		Component: "thermostat1", InterfaceID: "urn:azureiot:Security:SecurityAgent:1", OutputName: "out1",
	}
	got := kept[0]
	if got.ID != moduleM() || got.System != want || string(got.Body) != `{"t":1}` ||
		!reflect.DeepEqual(got.Properties, iothub.Properties{{Name: "zone", Value: "n"}}) {
		t.Errorf("%+v", got)
	}
	if got.AuthMethod.Scope != "module" || got.AuthMethod.Type != "sas" || got.GenerationID == "" {
		t.Errorf("%+v", got)
	}
}

// batchOf encodes messages as the SDKs batch them.
func batchOf(t *testing.T, messages ...*goamqp.Message) *goamqp.Message {
	t.Helper()
	b := &goamqp.Message{Format: batchFormat}
	for _, m := range messages {
		data, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		b.Data = append(b.Data, data)
	}
	return b
}

func TestTelemetryBatch(t *testing.T) {
	r := newRig(t)
	snd := r.sender(r.device(deviceD()), "/devices/d/messages/events", nil)
	small := goamqp.NewMessage([]byte("x"))
	var full []*goamqp.Message
	for range iothub.MaxTelemetryBatch {
		full = append(full, small)
	}
	first := goamqp.NewMessage([]byte("first"))
	first.ApplicationProperties = map[string]any{"n": "1"}
	r.send(snd, batchOf(t, first, goamqp.NewMessage([]byte("second"))))
	kept := r.kept()
	if len(kept) != 2 || string(kept[0].Body) != "first" || string(kept[1].Body) != "second" || len(kept[0].Properties) != 1 {
		t.Fatalf("%+v", kept)
	}
	r.send(snd, batchOf(t, full...))
	if n := len(r.kept()); n != 502 {
		t.Errorf("%d messages are kept, want 502", n)
	}
	longID := goamqp.NewMessage([]byte("x"))
	longID.Properties = &goamqp.MessageProperties{MessageID: strings.Repeat("i", 129)}
	for name, c := range map[string]struct {
		m    *goamqp.Message
		want string
	}{
		"501 messages":   {batchOf(t, append(full, small)...), "amqp:link:message-size-exceeded"},
		"none":           {&goamqp.Message{Format: batchFormat, Data: [][]byte{}, Value: nil, Properties: &goamqp.MessageProperties{}}, "com.microsoft:argument-error"},
		"not a message":  {&goamqp.Message{Format: batchFormat, Data: [][]byte{[]byte("garbage")}}, "com.microsoft:argument-error"},
		"ID too long":    {batchOf(t, small, longID), "com.microsoft:argument-error"},
		"unknown format": {&goamqp.Message{Format: 7, Data: [][]byte{[]byte("x")}}, "amqp:not-implemented"},
	} {
		wantCondition(t, name, snd.Send(r.ctx(), c.m, nil), c.want)
	}
	if n := len(r.kept()); n != 502 {
		t.Errorf("a refused batch left something: %d messages", n)
	}
}

// TestTelemetrySize: the link says how much it takes, and a client that does not
// look is refused without losing the link.
func TestTelemetrySize(t *testing.T) {
	r := newRig(t)
	snd := r.sender(r.device(deviceD()), "/devices/d/messages/events", nil)
	if n := snd.MaxMessageSize(); n != iothub.MaxTelemetrySize {
		t.Errorf("max-message-size %d", n)
	}
	r.send(snd, goamqp.NewMessage(make([]byte, 250<<10)))
	if err := snd.Send(r.ctx(), goamqp.NewMessage(make([]byte, 257<<10)), nil); err == nil {
		t.Error("too much was accepted")
	}
	longID := goamqp.NewMessage(nil)
	longID.Properties = &goamqp.MessageProperties{MessageID: strings.Repeat("i", 129)}
	wantCondition(t, "ID too long", snd.Send(r.ctx(), longID, nil), "com.microsoft:argument-error")
	r.send(snd, goamqp.NewMessage([]byte("x")))
	// Pre-settled telemetry has no answer and is kept all the same.
	settled := goamqp.SenderSettleModeSettled
	r.send(r.sender(r.device(moduleM()), "/devices/d/modules/m/messages/events", &goamqp.SenderOptions{SettlementMode: &settled}), goamqp.NewMessage([]byte("y")))
	r.eventually("kept", func() bool { return len(r.kept()) == 3 })
}

// FuzzParseTelemetry: whatever arrives is a message, a batch within its limit, or
// refused.
func FuzzParseTelemetry(f *testing.F) {
	m := goamqp.NewMessage([]byte("body"))
	m.Annotations = goamqp.Annotations{"dt-subject": "c"}
	m.ApplicationProperties = map[string]any{"n": int64(1), "iothub-outputname": "o"}
	single, err := m.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	batch, err := (&goamqp.Message{Format: batchFormat, Data: [][]byte{single, single}}).MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(single, false)
	f.Add(batch, true)
	f.Fuzz(func(t *testing.T, payload []byte, inBatch bool) {
		d := &amqp.Delivery{Payload: payload}
		if inBatch {
			d.Format = batchFormat
		}
		messages, err := parseTelemetry(d)
		if err == nil && (len(messages) == 0 || len(messages) > iothub.MaxTelemetryBatch) {
			t.Errorf("%d messages", len(messages))
		}
		if err != nil && iothub.ErrorCode(err) == 0 {
			t.Errorf("an error without a code: %v", err)
		}
	})
}
