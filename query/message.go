package query

import (
	"strings"

	"github.com/hubnerite/hubnerite/iothub"
)

// Message is the environment of a routing condition: application properties by
// their bare name, system properties by $name, the JSON body by $body and the
// twin by $twin. It is for one goroutine; body and twin are read at the first use.
// Source: IoT Hub message routing query syntax.
type Message struct {
	Telemetry *iothub.Telemetry
	// Twin returns the twin of the device or module that the message is of; ok
	// is false when there is none. Nil is no twin.
	Twin func() (twin iothub.Twin, ok bool)

	bodyRead, twinRead bool
	body, twin         any
}

// Lookup gives a name of the routing query language its value.
func (m *Message) Lookup(p *Path) Value {
	root := strings.ToLower(p.Root)
	switch {
	case root == "$body":
		// The whole body and an index at its root are undefined.
		if len(p.Steps) == 0 || p.Steps[0].IsIndex {
			return Undefined{}
		}
		return m.bodyValue(p.Steps)
	case root == "$twin":
		return m.twinValue(p.Steps)
	case strings.HasPrefix(root, "$"):
		if len(p.Steps) == 0 {
			if v, ok := m.system(root); ok {
				return v
			}
		}
	}
	// A name with dots is one name: application properties have no parts.
	name := p.Root
	for _, s := range p.Steps {
		if s.IsIndex {
			return Undefined{}
		}
		name += "." + s.Name
	}
	for _, q := range m.Telemetry.Properties {
		if strings.EqualFold(q.Name, name) {
			return q.Value
		}
	}
	switch strings.ToLower(name) {
	case "iothub-message-schema":
		return textOrUndefined(m.Telemetry.System.Schema)
	case "iothub-creation-time-utc":
		return textOrUndefined(m.Telemetry.System.CreationTime)
	}
	return Undefined{}
}

func textOrUndefined(s string) Value {
	if s == "" {
		return Undefined{}
	}
	return s
}

// system returns a system property that is set.
func (m *Message) system(name string) (Value, bool) {
	t := m.Telemetry
	var s string
	switch name {
	case "$contenttype":
		s = t.System.ContentType
	case "$contentencoding":
		s = t.System.ContentEncoding
	case "$connectiondeviceid":
		s = t.ID.DeviceID
	case "$connectionmoduleid":
		s = t.ID.ModuleID
	case "$enqueuedtime":
		if !t.EnqueuedTime.IsZero() {
			s = iothub.FormatTime(t.EnqueuedTime)
		}
	case "$messageid":
		s = t.System.MessageID
	case "$correlationid":
		s = t.System.CorrelationID
	case "$userid":
		s = t.System.UserID
	case "$dt-dataschema":
		s = t.ModelID
	case "$dt-subject":
		s = t.System.Component
	}
	return s, s != ""
}

func (m *Message) bodyValue(steps []Step) Value {
	if !m.bodyRead {
		m.bodyRead = true
		m.body = decodeBody(&m.Telemetry.System, m.Telemetry.Body)
	}
	return Follow(m.body, steps)
}

func (m *Message) twinValue(steps []Step) Value {
	if len(steps) == 0 {
		return Undefined{}
	}
	if !m.twinRead {
		m.twinRead = true
		if m.Twin != nil {
			if t, ok := m.Twin(); ok {
				m.twin = twinDocument(t)
			}
		}
	}
	return Follow(m.twin, steps)
}

// twinDocument is what $twin shows of a twin.
func twinDocument(t iothub.Twin) map[string]any {
	return map[string]any{
		"tags": t.Tags,
		"properties": map[string]any{
			"desired":  sectionDocument(t.Desired),
			"reported": sectionDocument(t.Reported),
		},
	}
}

func sectionDocument(s iothub.Section) map[string]any {
	out := make(map[string]any, len(s.Values)+1)
	for name, v := range s.Values {
		out[name] = v
	}
	out["$version"] = s.Version
	return out
}
