//go:build conformance

package conformance

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// decodedMessage is a message taken apart, so that writing it again is our encoder's work.
type decodedMessage struct {
	format        uint32
	hasHeader     bool
	header        wire.Header
	deliveryNotes wire.Map
	notes         wire.Map
	properties    wire.Properties
	application   wire.Map
	kind          wire.BodyKind
	value         any
	data          [][]byte
	sequences     []wire.List
	footer        wire.Map
}

func textMessage(text string) decodedMessage {
	return decodedMessage{kind: wire.BodyValue, value: text}
}

func decodeMessage(raw []byte) (m decodedMessage, err error) {
	scanned, err := wire.ScanMessage(raw)
	if err != nil {
		return m, err
	}
	m.kind, m.hasHeader = scanned.BodyKind(), len(scanned.RawHeader()) > 0
	if m.header, err = scanned.Header(); err != nil {
		return m, err
	}
	if m.properties, err = scanned.Properties(); err != nil {
		return m, err
	}
	for into, section := range map[*wire.Map]func() (wire.Map, error){
		&m.deliveryNotes: scanned.DeliveryAnnotations, &m.notes: scanned.MessageAnnotations,
		&m.application: scanned.ApplicationProperties, &m.footer: scanned.Footer,
	} {
		if *into, err = section(); err != nil {
			return m, err
		}
	}
	for data := range scanned.DataSections() {
		m.data = append(m.data, data)
	}
	if m.value, err = scanned.Value(); err != nil {
		return m, err
	}
	m.sequences, err = scanned.Sequences()
	return m, err
}

func encodeMessage(m decodedMessage) (b []byte, err error) {
	if m.hasHeader || m.header != (wire.Header{}) {
		b = wire.AppendHeader(b, &m.header)
	}
	if b, err = appendSection(b, m.deliveryNotes, wire.AppendDeliveryAnnotations); err != nil {
		return nil, err
	}
	if b, err = appendSection(b, m.notes, wire.AppendMessageAnnotations); err != nil {
		return nil, err
	}
	if b, err = wire.AppendProperties(b, &m.properties); err != nil {
		return nil, err
	}
	if b, err = appendSection(b, m.application, wire.AppendApplicationProperties); err != nil {
		return nil, err
	}
	switch m.kind {
	case wire.BodyValue:
		b, err = wire.AppendValueSection(b, m.value)
	case wire.BodyData:
		for _, data := range m.data {
			b = wire.AppendDataSection(b, data)
		}
	case wire.BodySequence:
		for _, list := range m.sequences {
			if b, err = wire.AppendSequenceSection(b, list); err != nil {
				return nil, err
			}
		}
	}
	if err != nil {
		return nil, err
	}
	return appendSection(b, m.footer, wire.AppendFooter)
}

// appendSection leaves an empty section out.
func appendSection(b []byte, m wire.Map, add func([]byte, wire.Map) ([]byte, error)) ([]byte, error) {
	if len(m) == 0 {
		return b, nil
	}
	return add(b, m)
}

// describeMessage tells as JSON what our decoder found in a message: every value with its AMQP type.
func describeMessage(m decodedMessage) string {
	p := m.properties
	properties := map[string]string{}
	for name, value := range map[string]any{
		"messageId": p.MessageID, "correlationId": p.CorrelationID, "userId": p.UserID, "to": p.To, "subject": p.Subject,
		"replyTo": p.ReplyTo, "contentType": p.ContentType, "contentEncoding": p.ContentEncoding, "groupId": p.GroupID,
		"replyToGroupId": p.ReplyToGroupID, "absoluteExpiryTime": p.AbsoluteExpiryTime, "creationTime": p.CreationTime,
	} {
		switch value := value.(type) {
		case []byte:
			if value == nil {
				continue
			}
		case string:
			if value == "" {
				continue
			}
		case wire.Symbol:
			if value == "" {
				continue
			}
		case time.Time:
			if value.IsZero() {
				continue
			}
		case nil:
			continue
		}
		properties[name] = describe(value)
	}
	if p.GroupSequence.Set {
		properties["groupSequence"] = describe(p.GroupSequence.Value)
	}
	var body []string
	switch m.kind {
	case wire.BodyValue:
		body = []string{describe(m.value)}
	case wire.BodyData:
		for _, data := range m.data {
			body = append(body, "data "+hex.EncodeToString(data))
		}
	case wire.BodySequence:
		for _, list := range m.sequences {
			body = append(body, "sequence "+describe(list))
		}
	}
	text, err := json.Marshal(map[string]any{
		"header": fmt.Sprintf("durable=%v priority=%d ttl=%d firstAcquirer=%v deliveryCount=%d", m.header.Durable,
			m.header.Priority.Or(4), m.header.TTL.Or(0), m.header.FirstAcquirer, m.header.DeliveryCount),
		"deliveryAnnotations": describeEntries(m.deliveryNotes), "messageAnnotations": describeEntries(m.notes),
		"properties": properties, "applicationProperties": describeEntries(m.application),
		"body": strings.Join(body, " "), "footer": describeEntries(m.footer), "format": m.format,
	})
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func describeEntries(m wire.Map) map[string]string {
	all := map[string]string{}
	for _, e := range m {
		all[describe(e.Key)] = describe(e.Value)
	}
	return all
}

// describe is "type:value" with numbers in decimal, floating-point numbers and what has no text as hexadecimal bytes in wire
// order, and timestamps in milliseconds.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return fmt.Sprint("boolean:", v)
	case uint8:
		return fmt.Sprint("ubyte:", v)
	case uint16:
		return fmt.Sprint("ushort:", v)
	case uint32:
		return fmt.Sprint("uint:", v)
	case uint64:
		return fmt.Sprint("ulong:", v)
	case int8:
		return fmt.Sprint("byte:", v)
	case int16:
		return fmt.Sprint("short:", v)
	case int32:
		return fmt.Sprint("int:", v)
	case int64:
		return fmt.Sprint("long:", v)
	case float32:
		return fmt.Sprintf("float:%08x", math.Float32bits(v))
	case float64:
		return fmt.Sprintf("double:%016x", math.Float64bits(v))
	case wire.Decimal32:
		return fmt.Sprintf("decimal32:%x", v[:])
	case wire.Decimal64:
		return fmt.Sprintf("decimal64:%x", v[:])
	case wire.Decimal128:
		return fmt.Sprintf("decimal128:%x", v[:])
	case wire.Char:
		return fmt.Sprint("char:", uint32(v))
	case time.Time:
		return fmt.Sprint("timestamp:", v.UnixMilli())
	case wire.UUID:
		return "uuid:" + v.String()
	case []byte:
		return fmt.Sprintf("binary:%x", v)
	case string:
		return "string:" + v
	case wire.Symbol:
		return "symbol:" + string(v)
	case wire.List:
		return "list[" + describeAll(v) + "]"
	case wire.Map:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = describe(e.Key) + "=" + describe(e.Value)
		}
		return "map{" + strings.Join(parts, " ") + "}"
	case wire.Array:
		text := "array["
		for _, d := range v.Descriptors {
			text += "@" + describe(d) + " "
		}
		return text + describeAll(v.Items) + "]"
	case wire.Described:
		return "@" + describe(v.Descriptor) + " " + describe(v.Value)
	}
	return fmt.Sprintf("unknown %T", v)
}

func describeAll(values []any) string {
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = describe(v)
	}
	return strings.Join(parts, " ")
}
