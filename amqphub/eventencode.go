package amqphub

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// appendEvent adds an event as readers get it: annotations, properties,
// application properties and one data section. Types matter, because clients
// compare them: sequence numbers are longs, offsets are strings, times are
// timestamps.
// Source: Event Hubs, AMQP 1.0 protocol guide (message annotations); IoT Hub
// devguide, read device-to-cloud messages (system properties).
func appendEvent(b []byte, t *iothub.Telemetry) ([]byte, error) {
	b, m := wire.BeginMapSection(b, wire.CodeMessageAnnotations)
	count := 0
	str := func(name wire.Symbol, value string) {
		if value != "" {
			b = wire.AppendString(wire.AppendSymbol(b, name), value)
			count += 2
		}
	}
	b = wire.AppendLong(wire.AppendSymbol(b, "x-opt-sequence-number"), t.SequenceNumber)
	b = appendOffset(wire.AppendSymbol(b, "x-opt-offset"), t.Offset)
	b = wire.AppendTimestamp(wire.AppendSymbol(b, "x-opt-enqueued-time"), t.EnqueuedTime)
	b = wire.AppendTimestamp(wire.AppendSymbol(b, "iothub-enqueuedtime"), t.EnqueuedTime)
	count += 8
	str("iothub-connection-device-id", t.ID.DeviceID)
	str("iothub-connection-module-id", t.ID.ModuleID)
	if t.AuthMethod.Type != "" {
		str("iothub-connection-auth-method", authMethodText(t.AuthMethod))
	}
	str("iothub-connection-auth-generation-id", t.GenerationID)
	source := t.Source
	if source == "" {
		source = iothub.MessageSourceTelemetry
	}
	str("iothub-message-source", string(source))
	str("dt-dataschema", t.ModelID)
	str("dt-subject", t.System.Component)
	str("iothub-interface-id", t.System.InterfaceID)
	b = m.End(b, count)

	b, err := appendEventProperties(b, &t.System)
	if err != nil {
		return nil, err
	}
	b = appendEventApplicationProperties(b, t)
	return wire.AppendDataSection(b, t.Body), nil
}

// appendOffset adds an offset, which is a string.
func appendOffset(b []byte, offset int64) []byte {
	var digits [20]byte
	return wire.AppendString(b, string(strconv.AppendInt(digits[:0], offset, 10)))
}

func appendEventProperties(b []byte, s *iothub.SystemProperties) ([]byte, error) {
	p := wire.Properties{ContentType: wire.Symbol(s.ContentType), ContentEncoding: wire.Symbol(s.ContentEncoding)}
	if s.MessageID != "" {
		p.MessageID = s.MessageID
	}
	if s.CorrelationID != "" {
		p.CorrelationID = s.CorrelationID
	}
	if s.UserID != "" {
		p.UserID = []byte(s.UserID)
	}
	if p.MessageID == nil && p.CorrelationID == nil && p.UserID == nil && s.ContentType == "" && s.ContentEncoding == "" {
		return b, nil
	}
	return wire.AppendProperties(b, &p)
}

// The system properties that readers find among the application properties.
const (
	eventCreationTime = "iothub-creation-time-utc"
	eventSchema       = "iothub-message-schema"
)

func appendEventApplicationProperties(b []byte, t *iothub.Telemetry) []byte {
	if len(t.Properties) == 0 && t.System.CreationTime == "" && t.System.Schema == "" {
		return b
	}
	b, m := wire.BeginMapSection(b, wire.CodeApplicationProperties)
	count := 0
	add := func(name, value string) {
		b = wire.AppendString(wire.AppendString(b, name), value)
		count += 2
	}
	for _, p := range t.Properties {
		add(p.Name, p.Value)
	}
	for _, p := range []iothub.Property{{Name: eventCreationTime, Value: t.System.CreationTime}, {Name: eventSchema, Value: t.System.Schema}} {
		if _, there := t.Properties.Get(p.Name); p.Value != "" && !there {
			add(p.Name, p.Value)
		}
	}
	return m.End(b, count)
}

// authMethodText is the value of iothub-connection-auth-method.
func authMethodText(m iothub.AuthMethod) string {
	const sasOfDevice = `{"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null}`
	if m == (iothub.AuthMethod{Scope: "device", Type: "sas", Issuer: "iothub"}) {
		return sasOfDevice // by far the most frequent
	}
	text, err := json.Marshal(m)
	if err != nil {
		return ""
	}
	return string(text)
}

// appendMetrics adds what a reader that asked for runtime metrics is told about
// its partition with every event.
// Source: Event Hubs, AMQP 1.0 protocol guide (com.microsoft:enable-receiver-runtime-metric).
func appendMetrics(b []byte, info hub.PartitionInfo, now time.Time) []byte {
	b, m := wire.BeginMapSection(b, wire.CodeDeliveryAnnotations)
	b = wire.AppendLong(wire.AppendSymbol(b, "last_enqueued_sequence_number"), info.Next-1)
	b = appendOffset(wire.AppendSymbol(b, "last_enqueued_offset"), info.LastOffset)
	b = wire.AppendTimestamp(wire.AppendSymbol(b, "last_enqueued_time_utc"), epochIfZero(info.LastEnqueuedTime))
	b = wire.AppendTimestamp(wire.AppendSymbol(b, "runtime_info_retrieval_time_utc"), now)
	return m.End(b, 8)
}

// epochIfZero stands for a time that never was, as Event Hubs tells it.
func epochIfZero(t time.Time) time.Time {
	if t.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return t
}
