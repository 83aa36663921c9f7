package seed

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// field is a member that a type of the format has.
type field struct {
	name     string
	doc      string
	required bool
	enum     []string
	min, max string
	pattern  string
	// index is that of reflect.Value.FieldByIndex.
	index []int
	typ   reflect.Type
}

// fields returns the members of a struct, those of what it embeds included.
func fields(t reflect.Type) []field {
	var out []field
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" {
			continue
		}
		member := field{
			name: name, doc: f.Tag.Get("doc"), required: f.Tag.Get("required") == "true", min: f.Tag.Get("min"), max: f.Tag.Get("max"),
			pattern: f.Tag.Get("pattern"), index: f.Index, typ: f.Type,
		}
		if enum := f.Tag.Get("enum"); enum != "" {
			member.enum = strings.Split(enum, ",")
		}
		out = append(out, member)
	}
	return out
}

// decoder fills Go values from nodes and collects what does not fit.
type decoder struct {
	problems []Problem
	fields   map[reflect.Type][]field
	patterns map[string]*regexp.Regexp
}

func newDecoder() *decoder {
	return &decoder{fields: map[reflect.Type][]field{}, patterns: map[string]*regexp.Regexp{}}
}

func (d *decoder) complain(at Position, format string, args ...any) {
	d.problems = append(d.problems, Problem{Position: at, Message: fmt.Sprintf(format, args...)})
}

func (d *decoder) fieldsOf(t reflect.Type) []field {
	known, ok := d.fields[t]
	if !ok {
		known = fields(t)
		d.fields[t] = known
	}
	return known
}

// decode sets v from n. rules are those of the member that n is the value of; where names it in messages.
func (d *decoder) decode(n *node, v reflect.Value, rules field, where string) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if text, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if d.expect(n, kindString, where) {
			d.text(n, text, rules, where)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		if d.expect(n, kindObject, where) {
			d.object(n, v, where)
		}
	case reflect.Slice:
		if !d.expect(n, kindArray, where) {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
		for i, item := range n.items {
			d.decode(item, v.Index(i), rules, fmt.Sprintf("%s[%d]", where, i))
		}
	case reflect.Map:
		if d.expect(n, kindObject, where) {
			d.table(n, v, rules, where)
		}
	case reflect.Interface:
		if value := n.value(); value != nil {
			v.Set(reflect.ValueOf(value))
		}
	case reflect.String:
		if d.expect(n, kindString, where) {
			v.SetString(n.text)
			d.checkText(n, rules, where)
		}
	case reflect.Bool:
		if d.expect(n, kindBool, where) {
			v.SetBool(n.text == "true")
		}
	case reflect.Int, reflect.Int64:
		if d.expect(n, kindNumber, where) {
			d.integer(n, v, rules, where)
		}
	default:
		panic("seed: a type of the format is not one that can be read: " + v.Type().String())
	}
}

func (d *decoder) expect(n *node, want kind, where string) bool {
	if n.kind != want {
		d.complain(n.at, "%s must be %s, not %s", where, want, n.kind)
	}
	return n.kind == want
}

func (d *decoder) object(n *node, v reflect.Value, where string) {
	known := d.fieldsOf(v.Type())
	for _, m := range n.members {
		i := slices.IndexFunc(known, func(f field) bool { return f.name == m.name })
		if i < 0 {
			d.complain(m.at, "%s has no member %q%s", orFile(where), m.name, suggestion(m.name, known))
			continue
		}
		d.decode(m.value, v.FieldByIndex(known[i].index), known[i], m.name)
	}
	for _, f := range known {
		if f.required && n.member(f.name) == nil {
			d.complain(n.at, "%s needs the member %q", orFile(where), f.name)
		}
	}
}

func orFile(where string) string {
	if where == "" {
		return "a seed"
	}
	return where
}

// suggestion names the members, the likely one alone.
func suggestion(name string, known []field) string {
	var all []string
	for _, f := range known {
		if strings.EqualFold(f.name, name) || strings.EqualFold(f.name, name+"s") || strings.EqualFold(f.name+"s", name) {
			return fmt.Sprintf("; it is called %q", f.name)
		}
		all = append(all, f.name)
	}
	return "; there are " + strings.Join(all, ", ")
}

func (d *decoder) table(n *node, v reflect.Value, rules field, where string) {
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.members)))
	for _, m := range n.members {
		item := reflect.New(v.Type().Elem()).Elem()
		d.decode(m.value, item, rules, where+"."+m.name)
		v.SetMapIndex(reflect.ValueOf(m.name), item)
	}
}

func (d *decoder) text(n *node, v encoding.TextUnmarshaler, rules field, where string) {
	if duration, ok := v.(*Duration); ok {
		if !d.pattern(durationPattern).MatchString(n.text) || duration.UnmarshalText([]byte(n.text)) != nil {
			d.complain(n.at, "%s must be a length of time such as 500ms, 10s or 1h30m", where)
			return
		}
		if outside(rules, func(limit string) int { return compareDuration(*duration, limit) }) {
			d.complain(n.at, "%s must be from %s to %s", where, rules.min, rules.max)
		}
		return
	}
	if err := v.UnmarshalText([]byte(n.text)); err != nil {
		d.complain(n.at, "%s: %v", where, err)
	}
}

func compareDuration(d Duration, limit string) int {
	parsed, err := time.ParseDuration(limit)
	if err != nil {
		panic(err) // a tag of this package
	}
	return int(d/Duration(time.Microsecond)) - int(parsed/time.Microsecond)
}

// outside reports whether a value is below min or above max, where those are given.
func outside(rules field, compare func(limit string) int) bool {
	return rules.min != "" && compare(rules.min) < 0 || rules.max != "" && compare(rules.max) > 0
}

func (d *decoder) checkText(n *node, rules field, where string) {
	length := utf8.RuneCountInString(n.text)
	switch {
	case rules.enum != nil && !slices.Contains(rules.enum, n.text):
		d.complain(n.at, "%s must be one of %s, not %.60q", where, strings.Join(rules.enum, ", "), n.text)
	case outside(rules, func(limit string) int { return length - number64(limit) }):
		if n.text == "" {
			d.complain(n.at, "%s must not be empty", where)
		} else {
			d.complain(n.at, "%s must have at most %s characters, not %d", where, rules.max, length)
		}
	case rules.pattern != "" && !d.pattern(rules.pattern).MatchString(n.text):
		d.complain(n.at, "%s does not have the form %s", where, rules.pattern)
	}
}

func number64(limit string) int {
	n, err := strconv.Atoi(limit)
	if err != nil {
		panic(err) // a tag of this package
	}
	return n
}

func (d *decoder) integer(n *node, v reflect.Value, rules field, where string) {
	whole, err := strconv.ParseInt(n.text, 10, 64)
	if err != nil {
		// JSON writes the same number in many ways.
		f, ferr := strconv.ParseFloat(n.text, 64)
		if ferr != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			d.complain(n.at, "%s must be a whole number", where)
			return
		}
		whole = int64(f)
	}
	v.SetInt(whole)
	if outside(rules, func(limit string) int { return int(whole) - number64(limit) }) {
		if rules.max == "" {
			d.complain(n.at, "%s must be at least %s", where, rules.min)
		} else {
			d.complain(n.at, "%s must be from %s to %s", where, rules.min, rules.max)
		}
	}
}

func (d *decoder) pattern(text string) *regexp.Regexp {
	known, ok := d.patterns[text]
	if !ok {
		known = regexp.MustCompile(text)
		d.patterns[text] = known
	}
	return known
}

// member returns the value of a member, nil when there is none.
func (n *node) member(name string) *node {
	for _, m := range n.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// value returns a node as encoding/json has it, numbers as json.Number.
func (n *node) value() any {
	switch n.kind {
	case kindBool:
		return n.text == "true"
	case kindNumber:
		return json.Number(n.text)
	case kindString:
		return n.text
	case kindArray:
		items := make([]any, len(n.items))
		for i, item := range n.items {
			items[i] = item.value()
		}
		return items
	case kindObject:
		members := make(map[string]any, len(n.members))
		for _, m := range n.members {
			members[m.name] = m.value.value()
		}
		return members
	}
	return nil
}
