package seed

import (
	"encoding/json"
	"reflect"
	"strings"
)

// SchemaID names the JSON Schema of seed files.
const SchemaID = "urn:hubnerite:seed"

// Schema returns the JSON Schema (2020-12) of a seed file, as editors use it. It follows from the types: what the schema refuses the reader
// refuses, too. The reader knows more, such as that a parent is an IoT Edge device.
func Schema() []byte {
	g := &schemaWriter{definitions: map[string]any{}}
	root := g.object(reflect.TypeFor[Document]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = SchemaID
	root["title"] = "Hubnerite seed file"
	root["description"] = "What an emulator's hubs hold: policies, devices, twins, routes, simulated devices."
	root["$defs"] = g.definitions
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic(err) // maps of texts and numbers always encode
	}
	return append(text, '\n')
}

type schemaWriter struct{ definitions map[string]any }

func (g *schemaWriter) object(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for _, f := range fields(t) {
		s := g.schema(f.typ, f)
		if f.doc != "" {
			s["description"] = f.doc
		}
		properties[f.name] = s
		if f.required {
			required = append(required, f.name)
		}
	}
	s := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// schema returns that of a type under the rules of the member that has it.
func (g *schemaWriter) schema(t reflect.Type, rules field) map[string]any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[Duration]() {
		return map[string]any{"type": "string", "pattern": durationPattern}
	}
	switch t.Kind() {
	case reflect.Struct:
		name := strings.ToLower(t.Name()[:1]) + t.Name()[1:]
		if g.definitions[name] == nil {
			g.definitions[name] = g.object(t)
		}
		return map[string]any{"$ref": "#/$defs/" + name}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": g.schema(t.Elem(), rules)}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": g.schema(t.Elem(), rules)}
	case reflect.Interface:
		return map[string]any{}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return limited(map[string]any{"type": "integer"}, rules, "minimum", "maximum")
	case reflect.String:
		s := limited(map[string]any{"type": "string"}, rules, "minLength", "maxLength")
		if rules.enum != nil {
			s["enum"] = rules.enum
		}
		if rules.pattern != "" {
			s["pattern"] = rules.pattern
		}
		return s
	}
	panic("seed: a type of the format has no schema: " + t.String())
}

func limited(s map[string]any, rules field, lowest, highest string) map[string]any {
	if rules.min != "" {
		s[lowest] = number64(rules.min)
	}
	if rules.max != "" {
		s[highest] = number64(rules.max)
	}
	return s
}
