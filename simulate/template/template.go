package template

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Environment is what a rendering knows. MethodName and Payload are those of a direct method and count only where Options.Method was set.
type Environment struct {
	// Now is the time that {{time}} and {{sine}} go by.
	Now                time.Time
	DeviceID, ModuleID string
	// Number is the device's number among those of its simulation, from 1.
	Number     int
	MethodName string
	Payload    json.RawMessage
}

// Options say what a template may name.
type Options struct {
	// Method allows {{method}} and {{payload}}.
	Method bool
}

// Template is a compiled text or JSON value. It does not change.
type Template struct {
	segments []segment
	// memory is how many of its functions remember something.
	memory int
}

// segment is a literal or a call of a function.
type segment struct {
	literal string
	call    function
	form    form
}

// form is how a value is written.
type form int

const (
	// asText writes it as it is, asJSON as a JSON value, inString as a part of a JSON text.
	asText form = iota
	asJSON
	inString
)

// Text compiles a text. An error names the place, in bytes from 1.
func Text(text string, o Options) (*Template, error) {
	t := &Template{}
	if err := t.addText(text, asText, o); err != nil {
		return nil, err
	}
	return t, nil
}

// JSON compiles a JSON value (map[string]any, []any, string, json.Number, bool, nil), the texts of which may have placeholders: a text that is one
// placeholder and nothing else becomes that value, a number too.
func JSON(value any, o Options) (*Template, error) {
	t := &Template{}
	if err := t.addJSON(value, "", o); err != nil {
		return nil, err
	}
	return t, nil
}

// Constant reports whether every rendering is the same, and returns it then.
func (t *Template) Constant() (string, bool) {
	switch {
	case len(t.segments) == 0:
		return "", true
	case len(t.segments) == 1 && t.segments[0].call == nil:
		return t.segments[0].literal, true
	}
	return "", false
}

// State is what one device's renderings of a template remember. It is not safe for concurrent use.
type State struct {
	random *rand.Rand
	memory []float64
	begun  []bool
}

// NewState returns a state that draws from random.
func (t *Template) NewState(random *rand.Rand) *State {
	return &State{random: random, memory: make([]float64, t.memory), begun: make([]bool, t.memory)}
}

// Append appends a rendering to b. Text that is not UTF-8 has come from a payload only and is passed on.
func (t *Template) Append(b []byte, s *State, e *Environment) []byte {
	for i := range t.segments {
		seg := &t.segments[i]
		if seg.call == nil {
			b = append(b, seg.literal...)
		} else {
			b = seg.call(s, e).append(b, seg.form)
		}
	}
	return b
}

// literal adds what is always the same, to the literal before it if there is one.
func (t *Template) literal(text string) {
	if n := len(t.segments); n > 0 && t.segments[n-1].call == nil {
		t.segments[n-1].literal += text
	} else if text != "" {
		t.segments = append(t.segments, segment{literal: text})
	}
}

func (t *Template) addText(text string, f form, o Options) error {
	rest, at := text, 0
	for {
		before, inside, found := strings.Cut(rest, "{{")
		if f == inString {
			t.literal(quoted(before))
		} else {
			t.literal(before)
		}
		if !found {
			return nil
		}
		begin := at + len(before) + 1
		end := closing(inside)
		if end < 0 {
			return fmt.Errorf("the placeholder at character %d has no end: }} is missing", begin)
		}
		call, err := t.compile(inside[:end], o)
		if err != nil {
			return fmt.Errorf("the placeholder at character %d: %w", begin, err)
		}
		t.segments = append(t.segments, segment{call: call, form: f})
		at += len(before) + 2 + end + 2
		rest = inside[end+2:]
	}
}

// closing returns where }} begins, quotes aside; -1 for nowhere.
func closing(text string) int {
	quote := byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0 && c == '\\' && quote == '"':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '}' && strings.HasPrefix(text[i:], "}}"):
			return i
		}
	}
	return -1
}

func (t *Template) addJSON(value any, where string, o Options) error {
	switch v := value.(type) {
	case map[string]any:
		t.literal("{")
		for i, name := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				t.literal(",")
			}
			t.literal(jsonText(name) + ":")
			if err := t.addJSON(v[name], where+"."+name, o); err != nil {
				return err
			}
		}
		t.literal("}")
	case []any:
		t.literal("[")
		for i, item := range v {
			if i > 0 {
				t.literal(",")
			}
			if err := t.addJSON(item, fmt.Sprintf("%s[%d]", where, i), o); err != nil {
				return err
			}
		}
		t.literal("]")
	case string:
		if err := t.addString(v, o); err != nil {
			if where == "" {
				return err
			}
			return fmt.Errorf("%s: %w", strings.TrimPrefix(where, "."), err)
		}
	default:
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		t.literal(string(text))
	}
	return nil
}

func (t *Template) addString(text string, o Options) error {
	if inside, ok := strings.CutPrefix(text, "{{"); ok {
		if end := closing(inside); end >= 0 && end+2 == len(inside) {
			return t.addText(text, asJSON, o)
		}
	}
	t.literal(`"`)
	if err := t.addText(text, inString, o); err != nil {
		return err
	}
	t.literal(`"`)
	return nil
}

func jsonText(text string) string { return `"` + quoted(text) + `"` }

// quoted is the inside of a JSON text.
func quoted(text string) string { return string(appendQuoted(nil, text)) }

// appendQuoted appends the inside of a JSON text. Nearly all are plain.
func appendQuoted(b []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			var buffer bytes.Buffer
			e := json.NewEncoder(&buffer)
			e.SetEscapeHTML(false)
			if err := e.Encode(text); err != nil {
				panic(err) // a text always encodes
			}
			encoded := bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
			return append(b, encoded[1:len(encoded)-1]...)
		}
	}
	return append(b, text...)
}
