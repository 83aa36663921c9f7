package iothub

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The documents of this package are written by hand where they are written often:
// encoding/json needs several times as long for maps, and goes over everything
// again that has a MarshalJSON.

// appendJSONString appends a quoted text, as json.Marshal writes it.
func appendJSONString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			text, _ := json.Marshal(s) // texts never fail
			return append(b, text...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// appendJSONMember appends a comma unless it is the first, and the name.
func appendJSONMember(b []byte, name string) []byte {
	if c := b[len(b)-1]; c != '{' {
		b = append(b, ',')
	}
	b = appendJSONString(b, name)
	return append(b, ':')
}

// appendJSONText appends a member; "" is null.
func appendJSONText(b []byte, name, value string) []byte {
	b = appendJSONMember(b, name)
	if value == "" {
		return append(b, "null"...)
	}
	return appendJSONString(b, value)
}

func appendJSONTime(b []byte, name string, t time.Time) []byte {
	b = append(appendJSONMember(b, name), '"')
	if t.IsZero() {
		b = append(b, "0001-01-01T00:00:00Z"...)
	} else {
		b = t.UTC().AppendFormat(b, timeLayout)
	}
	return append(b, '"')
}

// appendJSONValue appends a value of a twin: what a decoder makes of JSON, numbers
// as json.Number.
func appendJSONValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		return appendJSONString(b, v), nil
	case json.Number:
		if plainNumber(string(v)) {
			return append(b, v...), nil
		}
	case map[string]any:
		if v != nil {
			return appendJSONObject(append(b, '{'), v)
		}
	case []any:
		if v == nil {
			break
		}
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = appendJSONValue(b, e); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case *Metadata:
		return v.appendJSON(b), nil
	}
	text, err := json.Marshal(v)
	return append(b, text...), err
}

// plainNumber reports whether s is a decimal of digits as JSON has it; what has an
// exponent is for the library to check.
func plainNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	whole, fraction, point := strings.Cut(s, ".")
	digits := func(s string) bool {
		for i := range len(s) {
			if s[i] < '0' || s[i] > '9' {
				return false
			}
		}
		return s != ""
	}
	return digits(whole) && (whole[0] != '0' || len(whole) == 1) && (!point || digits(fraction))
}

// appendJSONObject appends the members of m in the order of their names, and the
// bracket that ends them.
func appendJSONObject(b []byte, m map[string]any) ([]byte, error) {
	var err error
	for _, name := range sortedNames(m) {
		if b, err = appendJSONValue(appendJSONMember(b, name), m[name]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// appendJSON appends $lastUpdated, $lastUpdatedVersion and the children.
func (m *Metadata) appendJSON(b []byte) []byte {
	if m == nil {
		return append(b, "null"...)
	}
	b = appendJSONTime(append(b, '{'), "$lastUpdated", m.LastUpdated)
	if m.LastUpdatedVersion != 0 {
		b = strconv.AppendInt(appendJSONMember(b, "$lastUpdatedVersion"), m.LastUpdatedVersion, 10)
	}
	for _, name := range sortedNames(m.Children) {
		b = m.Children[name].appendJSON(appendJSONMember(b, name))
	}
	return append(b, '}')
}

// appendDocument appends a section as back ends and devices see it.
func (s Section) appendDocument(b []byte, metadata bool) ([]byte, error) {
	b = append(b, '{')
	if metadata {
		b = s.Metadata.appendJSON(appendJSONMember(b, "$metadata"))
	}
	b = strconv.AppendInt(appendJSONMember(b, "$version"), s.Version, 10)
	return appendJSONObject(b, s.Values)
}

// appendProperties appends desired and reported properties.
func (t Twin) appendProperties(b []byte, metadata bool) ([]byte, error) {
	b, err := t.Desired.appendDocument(append(b, `{"desired":`...), metadata)
	if err != nil {
		return nil, err
	}
	if b, err = t.Reported.appendDocument(append(b, `,"reported":`...), metadata); err != nil {
		return nil, err
	}
	return append(b, '}'), nil
}

// AppendJSON appends the form in which a twin is stored, which json.Unmarshal
// reads with numbers as json.Number.
func (t Twin) AppendJSON(b []byte) ([]byte, error) {
	b = strconv.AppendUint(append(b, `{"etag":`...), t.ETag, 10)
	b = strconv.AppendInt(append(b, `,"version":`...), t.Version, 10)
	b, err := appendJSONValue(append(b, `,"tags":`...), t.Tags)
	if err != nil {
		return nil, err
	}
	for _, s := range []struct {
		name    string
		section Section
	}{{"desired", t.Desired}, {"reported", t.Reported}} {
		b = append(appendJSONMember(b, s.name), `{"values":`...)
		if b, err = appendJSONValue(b, s.section.Values); err != nil {
			return nil, err
		}
		b = s.section.Metadata.appendJSON(append(b, `,"metadata":`...))
		b = strconv.AppendInt(append(b, `,"version":`...), s.section.Version, 10)
		b = append(b, '}')
	}
	if t.ModelID != "" {
		b = appendJSONString(append(b, `,"modelId":`...), t.ModelID)
	}
	return append(b, '}'), nil
}

// AppendJSON appends the form in which an identity is stored, which json.Unmarshal
// reads. All members are there, blank ones too: queries read them without decoding
// the rest.
func (i Identity) AppendJSON(b []byte) []byte {
	b = appendJSONString(append(b, `{"ID":{"DeviceID":`...), i.ID.DeviceID)
	b = append(appendJSONString(append(b, `,"ModuleID":`...), i.ID.ModuleID), '}')
	for _, m := range []struct{ name, value string }{
		{"GenerationID", i.GenerationID},
		{"ETag", i.ETag},
		{"Status", string(i.Status)},
		{"StatusReason", i.StatusReason},
		{"DeviceScope", i.DeviceScope},
		{"ManagedBy", i.ManagedBy},
	} {
		b = appendJSONString(appendJSONMember(b, m.name), m.value)
	}
	b = i.StatusUpdatedTime.AppendFormat(append(b, `,"StatusUpdatedTime":"`...), time.RFC3339Nano)
	b = append(b, '"')
	b = appendAuthentication(append(b, `,"Authentication":`...), i.Authentication)
	b = strconv.AppendBool(append(b, `,"Capabilities":{"iotEdge":`...), i.Capabilities.IoTEdge)
	b = append(b, '}')
	b = appendJSONTexts(append(b, `,"ParentScopes":`...), i.ParentScopes)
	return append(b, '}')
}

func appendAuthentication(b []byte, a Authentication) []byte {
	b = append(b, `{"symmetricKey":{`...)
	b = appendJSONText(b, "primaryKey", a.SymmetricKey.PrimaryKey)
	b = appendJSONText(b, "secondaryKey", a.SymmetricKey.SecondaryKey)
	b = appendJSONThumbprints(append(b, '}'), a.X509Thumbprint, "primaryThumbprint", "secondaryThumbprint")
	b = appendJSONString(appendJSONMember(b, "type"), string(a.Type))
	return append(b, '}')
}

func appendJSONTexts(b []byte, texts []string) []byte {
	b = append(b, '[')
	for n, text := range texts {
		if n > 0 {
			b = append(b, ',')
		}
		b = appendJSONString(b, text)
	}
	return append(b, ']')
}
