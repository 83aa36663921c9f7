package amqphub

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"

	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/inspect"
	"github.com/hubnerite/hubnerite/iothub"
)

// Inspection is the inspect.Codec of AMQP 1.0 with its SASL layer. Tokens are shown without their signatures.
type Inspection struct{}

// Length implements inspect.Codec.
func (Inspection) Length(b []byte) int {
	switch {
	case len(b) < 8:
		return 0
	case bytes.HasPrefix(b, []byte("AMQP")):
		return 8
	}
	size := binary.BigEndian.Uint32(b)
	if body := 4 * uint32(b[4]); size < 8 || size > 1<<24 || body < 8 || body > size || b[5] > byte(wire.FrameSASL) {
		return -1
	}
	return int(size)
}

// Describe implements inspect.Codec.
func (Inspection) Describe(frame []byte) inspect.Description {
	if bytes.HasPrefix(frame, []byte("AMQP")) && len(frame) == 8 {
		layer := map[byte]string{0: "AMQP", 2: "TLS", 3: "SASL"}[frame[4]]
		return inspect.Description{Type: "header", Summary: fmt.Sprintf("%s %d.%d.%d", layer, frame[5], frame[6], frame[7])}
	}
	if len(frame) < 8 || 4*int(frame[4]) > len(frame) {
		return inspect.Description{Type: "incomplete"}
	}
	body := frame[4*int(frame[4]):]
	if len(body) == 0 {
		return inspect.Description{Type: "heartbeat"}
	}
	p, payload, err := wire.DecodePerformative(body)
	if err != nil {
		return inspect.Description{Type: "malformed", Summary: err.Error()}
	}
	kind := strings.ToLower(reflect.TypeOf(p).Elem().Name())
	fields, _ := inspected(reflect.ValueOf(p).Elem()).(map[string]any)
	d := inspect.Description{Type: kind, Fields: fields}
	if frame[5] == byte(wire.FrameAMQP) && fields != nil {
		fields["channel"] = binary.BigEndian.Uint16(frame[6:])
	}
	describePerformative(p, payload, fields, &d)
	return d
}

// describePerformative adds the line that says what matters, and what is inside.
func describePerformative(p wire.Performative, payload []byte, fields map[string]any, d *inspect.Description) {
	switch p := p.(type) {
	case *wire.SASLInit:
		d.Summary = string(p.Mechanism)
		if p.InitialResponse != nil {
			fields["initialResponse"] = withoutPassword(p.InitialResponse)
		}
	case *wire.SASLResponse:
		fields["response"] = withoutPassword(p.Response)
	case *wire.Open:
		d.Summary = strings.TrimSpace(p.ContainerID + " " + p.HostName)
	case *wire.Attach:
		d.Summary = p.Name
		for _, end := range []string{"source", "target"} {
			if t, ok := fields[end].(map[string]any); ok && t["address"] != nil && t["address"] != "" {
				d.Summary = fmt.Sprint(t["address"])
				d.Label = deviceOfAddress(d.Summary)
			}
		}
	case *wire.Transfer:
		d.Summary = fmt.Sprintf("handle %d", p.Handle)
		if message, err := wire.ScanMessage(payload); err == nil && !p.More {
			fields["message"] = inspectedMessage(&message)
		} else {
			fields["payloadBytes"] = len(payload)
		}
	case *wire.Disposition:
		d.Summary = fmt.Sprint(p.First)
		if p.State != nil {
			d.Summary += " " + strings.ToLower(reflect.TypeOf(p.State).Name())
		}
	case *wire.Detach:
		d.Summary = fmt.Sprintf("handle %d", p.Handle)
	}
	if e, ok := fields["error"].(map[string]any); ok {
		d.Summary = strings.TrimSpace(fmt.Sprint(d.Summary, " ", e["condition"], ": ", e["description"]))
	}
}

// deviceOfAddress finds the device in a link's address, "" where there is none.
func deviceOfAddress(address string) string {
	_, rest, found := strings.Cut(address, "/devices/")
	if !found {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

func inspectedMessage(m *wire.Message) map[string]any {
	out := map[string]any{}
	add := func(name string, v any, err error) {
		if err != nil {
			out[name] = err.Error()
			return
		}
		if value := inspected(reflect.ValueOf(v)); value != nil && !isEmpty(value) {
			out[name] = value
		}
	}
	header, err := m.Header()
	add("header", header, err)
	annotations, err := m.MessageAnnotations()
	add("messageAnnotations", annotations, err)
	properties, err := m.Properties()
	add("properties", properties, err)
	application, err := m.ApplicationProperties()
	add("applicationProperties", application, err)
	if m.BodyKind() == wire.BodyData {
		out["body"] = inspectedBytes(m.Data())
	} else if value, err := m.Value(); err == nil {
		out["body"] = inspected(reflect.ValueOf(value))
	}
	return out
}

// withoutPassword hides the password of SASL PLAIN.
func withoutPassword(response []byte) string {
	parts := strings.Split(string(response), "\x00")
	if len(parts) != 3 {
		return iothub.WithoutSignature(string(response))
	}
	return parts[1] + " " + iothub.WithoutSignature(parts[2])
}
