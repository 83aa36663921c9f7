package admin

import (
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// ActivityFilter selects activities; all that is given must match. It is exported because huma passes over embedded types that are not.
type ActivityFilter struct {
	Device   string   `query:"device" doc:"Only this device and its modules; * and ? stand for any characters and any one." example:"thermostat-*"`
	Module   string   `query:"module" doc:"Only this module."`
	Event    []string `query:"event" doc:"Only these events, separated by commas." example:"answered,failed"`
	Protocol []string `query:"protocol" doc:"Only over these protocols, separated by commas: mqtt, mqtt-ws, amqp, amqp-ws, https."`
	Code     []string `query:"code" doc:"Only with these errors, by code or name, separated by commas." example:"IotHubUnauthorizedAccess"`
	Outcome  []string `query:"outcome" doc:"Only cloud-to-device messages that ended so, separated by commas: Success, Expired, DeliveryCountExceeded, Rejected, Purged."`
	Method   string   `query:"method" doc:"Only this direct method."`
	Property []string `query:"property,explode" doc:"Only messages with this application property: name=value, or name alone for any value. Repeatable." example:"[\"level=hot\"]"`
	System   []string `query:"system,explode" doc:"Only messages with this system property, by its name here: messageId=m1. Repeatable." example:"[\"messageId=m1\"]"`
	Content  []string `query:"body,explode" doc:"Only where the JSON of the message, the method's answer (or call), the twin's change or the feedback record has this: path=value, or path alone for any value. Repeatable." example:"[\"$.temperature=21.5\"]"`
	Since    string   `query:"since" doc:"Only after this position, which every answer has; latest is now. Without it from the oldest that is kept on."`
}

// query makes the hub's query of the filter.
func (f *ActivityFilter) query(kinds []string) (hub.ActivityQuery, error) {
	q := hub.ActivityQuery{Since: f.Since}
	for _, k := range kinds {
		q.Kinds = append(q.Kinds, hub.ActivityKind(k))
	}
	selects, err := f.compile()
	if err != nil {
		return q, huma.Error422UnprocessableEntity("validation failed", err)
	}
	if globOf(f.Device) == "" {
		q.DeviceID = f.Device
	}
	q.Select = selects
	return q, nil
}

// compile returns what decides, nil when everything matches.
func (f *ActivityFilter) compile() (func(*hub.Activity) bool, error) {
	var tests []func(*hub.Activity) bool
	if pattern := globOf(f.Device); pattern != "" {
		tests = append(tests, func(a *hub.Activity) bool { ok, err := path.Match(pattern, a.ID.DeviceID); return ok && err == nil })
	}
	oneOf := func(list []string, of func(*hub.Activity) string) {
		if len(list) > 0 {
			tests = append(tests, func(a *hub.Activity) bool { return slices.Contains(list, of(a)) })
		}
	}
	oneOf(f.Event, func(a *hub.Activity) string { return a.Event })
	oneOf(f.Protocol, func(a *hub.Activity) string { return a.Protocol })
	oneOf(f.Outcome, func(a *hub.Activity) string { return string(a.Outcome) })
	if f.Module != "" {
		oneOf([]string{f.Module}, func(a *hub.Activity) string { return a.ID.ModuleID })
	}
	if f.Method != "" {
		tests = append(tests, func(a *hub.Activity) bool { return a.Method != nil && a.Method.Name == f.Method })
	}
	if len(f.Code) > 0 {
		for _, c := range f.Code {
			if !slices.ContainsFunc(iothub.Codes(), func(known iothub.Code) bool { return c == known.String() || c == strconv.Itoa(int(known)) }) {
				return nil, &huma.ErrorDetail{Message: "no code of the catalogue", Location: "query.code", Value: c}
			}
		}
		tests = append(tests, func(a *hub.Activity) bool {
			return a.Error != nil && (slices.Contains(f.Code, a.Error.Code.String()) || slices.Contains(f.Code, strconv.Itoa(int(a.Error.Code))))
		})
	}
	for _, text := range f.Property {
		name, value, given := strings.Cut(text, "=")
		tests = append(tests, func(a *hub.Activity) bool { return hasProperty(a, name, value, given) })
	}
	for _, text := range f.System {
		name, value, given := strings.Cut(text, "=")
		if !slices.Contains(systemNames(), name) {
			return nil, &huma.ErrorDetail{Message: "expected one of " + strings.Join(systemNames(), ", "), Location: "query.system", Value: text}
		}
		tests = append(tests, func(a *hub.Activity) bool { return hasSystemProperty(a, name, value, given) })
	}
	for _, text := range f.Content {
		condition, err := parseBodyCondition(text)
		if err != nil {
			return nil, &huma.ErrorDetail{Message: err.Error(), Location: "query.body", Value: text}
		}
		tests = append(tests, condition.matches)
	}
	if len(tests) == 0 {
		return nil, nil
	}
	return func(a *hub.Activity) bool {
		return !slices.ContainsFunc(tests, func(test func(*hub.Activity) bool) bool { return !test(a) })
	}, nil
}

// globOf returns the pattern of path.Match for a device with * and ?, "" when it has none. Other special characters stand for themselves.
func globOf(device string) string {
	if !strings.ContainsAny(device, "*?") {
		return ""
	}
	return strings.NewReplacer(`\`, `\\`, `[`, `\[`).Replace(device)
}

func hasProperty(a *hub.Activity, name, value string, given bool) bool {
	var properties iothub.Properties
	switch {
	case a.Telemetry != nil:
		properties = a.Telemetry.Properties
	case a.C2D != nil:
		properties = a.C2D.Properties
	}
	return slices.ContainsFunc(properties, func(p iothub.Property) bool { return p.Name == name && (!given || p.Value == value) })
}

// systemNames are the names of the members of SystemProperties.
func systemNames() []string {
	var names []string
	for field := range fieldsOf(reflect.TypeFor[SystemProperties]()) {
		names = append(names, field)
	}
	slices.Sort(names)
	return names
}

// fieldsOf yields the JSON names of a struct's fields with their indexes.
func fieldsOf(t reflect.Type) func(func(string, int) bool) {
	return func(yield func(string, int) bool) {
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			if !yield(name, i) {
				return
			}
		}
	}
}

func hasSystemProperty(a *hub.Activity, name, value string, given bool) bool {
	var m Message
	switch {
	case a.Telemetry != nil:
		var err error
		if m, err = message(*a.Telemetry); err != nil {
			return false
		}
	case a.C2D != nil:
		m = c2dMessage(a)
	default:
		return false
	}
	properties := reflect.ValueOf(m.System)
	for field, i := range fieldsOf(properties.Type()) {
		if field == name {
			text := properties.Field(i).String()
			return text != "" && !given || given && text == value
		}
	}
	return false
}

// bodyCondition is a place in JSON and what is to be there.
type bodyCondition struct {
	steps []any // string: a member, int: an element
	// value is what json.Unmarshal makes of the text, which also counts as a string.
	value any
	text  string
	any   bool
}

// parseBodyCondition reads "$.a.b[0]['c d']=value"; the "$." may be left out. A value that is not JSON is a string.
func parseBodyCondition(s string) (c bodyCondition, err error) {
	rest := strings.TrimPrefix(s, "$")
	if rest == s && rest != "" && rest[0] != '.' && rest[0] != '[' {
		rest = "." + rest
	}
	for rest != "" && rest[0] != '=' {
		switch {
		case strings.HasPrefix(rest, "['"):
			name, after, ok := strings.Cut(rest[2:], "']")
			if !ok {
				return c, fmt.Errorf("%q has no end", rest)
			}
			c.steps, rest = append(c.steps, name), after
		case rest[0] == '[':
			text, after, ok := strings.Cut(rest[1:], "]")
			n, numberErr := strconv.Atoi(text)
			if !ok || numberErr != nil || n < 0 {
				return c, fmt.Errorf("%q is no index such as [0]", rest)
			}
			c.steps, rest = append(c.steps, n), after
		case rest[0] == '.':
			end := strings.IndexAny(rest[1:], ".[=")
			if end < 0 {
				end = len(rest) - 1
			}
			if end == 0 {
				return c, fmt.Errorf("%q has no name after the dot", rest)
			}
			c.steps, rest = append(c.steps, rest[1:1+end]), rest[1+end:]
		default:
			return c, fmt.Errorf("%q is no path such as $.a.b[0]['c d']", rest)
		}
	}
	if rest == "" {
		c.any = true
		return c, nil
	}
	c.text = rest[1:]
	if json.Unmarshal([]byte(c.text), &c.value) != nil {
		c.value = c.text
	}
	return c, nil
}

func (c *bodyCondition) matches(a *hub.Activity) bool {
	var text []byte
	switch {
	case a.Telemetry != nil:
		text = a.Telemetry.Body
	case a.C2D != nil:
		text = a.C2D.Body
	case a.Method != nil && a.Event == hub.EventAnswered:
		text = a.Method.Response
	case a.Method != nil:
		text = a.Method.Payload
	default:
		text = a.Body
	}
	var value any
	if json.Unmarshal(text, &value) != nil {
		return false
	}
	for _, step := range c.steps {
		switch at := step.(type) {
		case string:
			object, _ := value.(map[string]any)
			member, ok := object[at]
			if !ok {
				return false
			}
			value = member
		case int:
			list, _ := value.([]any)
			if at >= len(list) {
				return false
			}
			value = list[at]
		}
	}
	return c.any || reflect.DeepEqual(value, c.value) || value == any(c.text)
}
