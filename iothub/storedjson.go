package iothub

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseStored reads one JSON value that this package wrote, numbers as json.Number.
// It is for what a store gives back: several times as fast as encoding/json, and
// less strict about what it would never have written. The texts of the value do not
// refer to data.
func ParseStored(data []byte) (any, error) {
	p := storedParser{data: data}
	v, err := p.value(0)
	if err == nil {
		if p.space(); p.at != len(data) {
			err = errors.New("there is more than one value")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("stored JSON, byte %d: %w", p.at, err)
	}
	return v, nil
}

// maxStoredDepth is deeper than anything that is stored.
const maxStoredDepth = 200

type storedParser struct {
	data []byte
	at   int
}

var errStored = errors.New("it is malformed")

func (p *storedParser) space() {
	for p.at < len(p.data) && (p.data[p.at] == ' ' || p.data[p.at] == '\n' || p.data[p.at] == '\t' || p.data[p.at] == '\r') {
		p.at++
	}
}

// next passes over spaces and returns the byte there, 0 at the end.
func (p *storedParser) next() byte {
	p.space()
	if p.at == len(p.data) {
		return 0
	}
	return p.data[p.at]
}

func (p *storedParser) value(depth int) (any, error) {
	if depth > maxStoredDepth {
		return nil, errors.New("it is too deep")
	}
	switch c := p.next(); {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		return p.text()
	case c == '-' || c >= '0' && c <= '9':
		start := p.at
		for p.at < len(p.data) && strings.IndexByte("+-.eE0123456789", p.data[p.at]) >= 0 {
			p.at++
		}
		return json.Number(p.data[start:p.at]), nil
	case p.word("null"):
		return nil, nil
	case p.word("true"):
		return true, nil
	case p.word("false"):
		return false, nil
	}
	return nil, errStored
}

func (p *storedParser) word(w string) bool {
	if !strings.HasPrefix(string(p.data[p.at:min(len(p.data), p.at+len(w))]), w) {
		return false
	}
	p.at += len(w)
	return true
}

func (p *storedParser) object(depth int) (any, error) {
	m := map[string]any{}
	p.at++
	if p.next() == '}' {
		p.at++
		return m, nil
	}
	for {
		if p.next() != '"' {
			return nil, errStored
		}
		name, err := p.text()
		if err != nil {
			return nil, err
		}
		if p.next() != ':' {
			return nil, errStored
		}
		p.at++
		if m[name], err = p.value(depth + 1); err != nil {
			return nil, err
		}
		switch p.next() {
		case ',':
			p.at++
		case '}':
			p.at++
			return m, nil
		default:
			return nil, errStored
		}
	}
}

func (p *storedParser) array(depth int) (any, error) {
	list := []any{}
	p.at++
	if p.next() == ']' {
		p.at++
		return list, nil
	}
	for {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		switch p.next() {
		case ',':
			p.at++
		case ']':
			p.at++
			return list, nil
		default:
			return nil, errStored
		}
	}
}

// text reads a text; p is at its quote.
func (p *storedParser) text() (string, error) {
	start, plain := p.at, true
	for p.at++; p.at < len(p.data); p.at++ {
		switch p.data[p.at] {
		case '\\':
			plain = false
			p.at++
		case '"':
			p.at++
			if plain {
				return string(p.data[start+1 : p.at-1]), nil
			}
			var s string
			err := json.Unmarshal(p.data[start:p.at], &s)
			return s, err
		}
	}
	return "", errStored
}

// stored reads members of an object; it notes the first that is of another type.
type stored struct {
	members map[string]any
	err     error
}

func storedMember[T any](s *stored, name string) T {
	var zero T
	v, ok := s.members[name]
	if !ok || v == nil {
		return zero
	}
	t, ok := v.(T)
	if !ok && s.err == nil {
		s.err = fmt.Errorf("%s is %T", name, v)
	}
	return t
}

func (s *stored) object(name string) *stored {
	return &stored{members: storedMember[map[string]any](s, name)}
}

// done adds the errors of inner objects.
func (s *stored) done(inner ...*stored) error {
	for _, i := range inner {
		if s.err == nil {
			s.err = i.err
		}
	}
	return s.err
}

func (s *stored) time(name string) time.Time {
	text := storedMember[string](s, name)
	if text == "" || strings.HasPrefix(text, "0001-01-01T00:00:00") {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil && s.err == nil {
		s.err = err
	}
	return t
}

func (s *stored) integer(name string) int64 {
	text := storedMember[json.Number](s, name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil && s.err == nil {
		s.err = err
	}
	return n
}

// IdentityOfStored returns the identity that Identity.AppendJSON wrote and
// ParseStored read.
func IdentityOfStored(members map[string]any) (Identity, error) {
	s := &stored{members: members}
	id, auth, capabilities := s.object("ID"), s.object("Authentication"), s.object("Capabilities")
	key, thumbprint := auth.object("symmetricKey"), auth.object("x509Thumbprint")
	i := Identity{
		ID:           ID{DeviceID: storedMember[string](id, "DeviceID"), ModuleID: storedMember[string](id, "ModuleID")},
		GenerationID: storedMember[string](s, "GenerationID"), ETag: storedMember[string](s, "ETag"),
		Status: Status(storedMember[string](s, "Status")), StatusReason: storedMember[string](s, "StatusReason"),
		StatusUpdatedTime: s.time("StatusUpdatedTime"),
		Authentication: Authentication{
			SymmetricKey: SymmetricKey{PrimaryKey: storedMember[string](key, "primaryKey"), SecondaryKey: storedMember[string](key, "secondaryKey")},
			X509Thumbprint: X509Thumbprint{
				PrimaryThumbprint: thumbprint.textOrNil("primaryThumbprint"), SecondaryThumbprint: thumbprint.textOrNil("secondaryThumbprint"),
			},
			Type: AuthenticationType(storedMember[string](auth, "type")),
		},
		Capabilities: Capabilities{IoTEdge: storedMember[bool](capabilities, "iotEdge")},
		DeviceScope:  storedMember[string](s, "DeviceScope"), ManagedBy: storedMember[string](s, "ManagedBy"),
	}
	for _, scope := range storedMember[[]any](s, "ParentScopes") {
		text, _ := scope.(string)
		i.ParentScopes = append(i.ParentScopes, text)
	}
	return i, s.done(id, auth, capabilities, key, thumbprint)
}

func (s *stored) textOrNil(name string) *string {
	if s.members[name] == nil {
		return nil
	}
	text := storedMember[string](s, name)
	return &text
}

// TwinOfStored returns the twin that Twin.AppendJSON wrote and ParseStored read.
func TwinOfStored(members map[string]any) (Twin, error) {
	s := &stored{members: members}
	t := Twin{
		Version: s.integer("version"), Tags: storedMember[map[string]any](s, "tags"), ModelID: storedMember[string](s, "modelId"),
	}
	var err error
	if text := storedMember[json.Number](s, "etag"); text != "" {
		t.ETag, err = strconv.ParseUint(string(text), 10, 64)
	}
	desired, reported := s.object("desired"), s.object("reported")
	for _, part := range []struct {
		from *stored
		to   *Section
	}{{desired, &t.Desired}, {reported, &t.Reported}} {
		part.to.Values, part.to.Version = storedMember[map[string]any](part.from, "values"), part.from.integer("version")
		if raw := storedMember[map[string]any](part.from, "metadata"); raw != nil {
			part.to.Metadata = new(Metadata)
			err = errors.Join(err, part.to.Metadata.decode(raw))
		}
	}
	return t, errors.Join(err, s.done(desired, reported))
}
