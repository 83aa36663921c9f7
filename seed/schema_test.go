package seed_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/hubnerite/hubnerite/seed"
)

// TestPublishedSchema: the file of the repository is the schema of the types.
func TestPublishedSchema(t *testing.T) {
	const path = "../docs/seed.schema.json"
	if os.Getenv("UPDATE_SCHEMA") != "" {
		if err := os.WriteFile(path, seed.Schema(), 0o644); err != nil { //nolint:gosec // anyone may read it
			t.Fatal(err)
		}
	}
	published, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(published, seed.Schema()) {
		t.Error("docs/seed.schema.json is not that of the types; run: UPDATE_SCHEMA=1 go test ./seed")
	}
}

func compiled(t testing.TB) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(seed.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(seed.SchemaID, document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(seed.SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestSchemaDescribes: an editor has something to say about every member.
func TestSchemaDescribes(t *testing.T) {
	var root struct {
		Properties map[string]struct{ Description string }
		Defs       map[string]struct {
			Properties map[string]struct{ Description string }
		} `json:"$defs"`
	}
	if err := json.Unmarshal(seed.Schema(), &root); err != nil {
		t.Fatal(err)
	}
	if len(root.Properties) < 10 || len(root.Defs) < 10 {
		t.Fatalf("%d members, %d definitions", len(root.Properties), len(root.Defs))
	}
	for name, p := range root.Properties {
		if p.Description == "" {
			t.Errorf("%s has no description", name)
		}
	}
	for of, d := range root.Defs {
		for name, p := range d.Properties {
			if p.Description == "" {
				t.Errorf("%s.%s has no description", of, name)
			}
		}
	}
}

// structural are the reader's complaints that the schema must have, too; the others need more than types.
var structural = regexp.MustCompile(`: ([^:]* (must be (a list|an object|a text|a number|true or false|null|one of|at least|from -?[0-9]+ to -?[0-9]+$|a whole number|a length)|has no member|needs the member|must not be empty|must have at most|does not have the form))`)

// TestSchemaAndReaderAgree: whatever has the form that the types say passes the schema, and what has not passes neither.
func TestSchemaAndReaderAgree(t *testing.T) {
	schema := compiled(t)
	rapid.Check(t, func(t *rapid.T) {
		value := drawObject(t, reflect.TypeFor[seed.Document](), 0)
		if rapid.Bool().Draw(t, "damage") {
			damage(t, value)
		}
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		again, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		bySchema := schema.Validate(again)
		_, byReader := seed.Parse("x.json", text, seed.Options{})
		refused := byReader != nil && structural.MatchString(byReader.Error())
		if refused != (bySchema != nil) {
			t.Fatalf("%s\nschema: %v\nreader: %v", text, bySchema, byReader)
		}
	})
}

// drawObject makes a JSON object with members of a type of the format.
func drawObject(t *rapid.T, typ reflect.Type, depth int) map[string]any {
	out := map[string]any{}
	for _, f := range reflect.VisibleFields(typ) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" {
			continue
		}
		if f.Tag.Get("required") == "true" || rapid.IntRange(0, 3+depth).Draw(t, name) == 0 {
			out[name] = draw(t, f.Type, f.Tag, depth+1)
		}
	}
	return out
}

func draw(t *rapid.T, typ reflect.Type, tag reflect.StructTag, depth int) any {
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ == reflect.TypeFor[seed.Duration]() {
		return rapid.SampledFrom([]string{"1s", "1.5s", "1h30m", "20ms"}).Draw(t, "duration")
	}
	switch typ.Kind() {
	case reflect.Struct:
		return drawObject(t, typ, depth)
	case reflect.Slice:
		out := []any{}
		for range rapid.IntRange(0, 2).Draw(t, "length") {
			out = append(out, draw(t, typ.Elem(), tag, depth))
		}
		return out
	case reflect.Map:
		out := map[string]any{}
		for range rapid.IntRange(0, 2).Draw(t, "members") {
			out[rapid.SampledFrom([]string{"a", "b", "properties.desired.x"}).Draw(t, "name")] = draw(t, typ.Elem(), tag, depth)
		}
		return out
	case reflect.Interface:
		return rapid.SampledFrom([]any{1, "text", true, nil, []any{1.5}, map[string]any{"x": "y"}}).Draw(t, "any")
	case reflect.Bool:
		return rapid.Bool().Draw(t, "bool")
	case reflect.Int, reflect.Int64:
		// Any number: min and max say which ones pass.
		return rapid.SampledFrom([]any{0, 1, 5, 200, -1, 1000000, 2.0}).Draw(t, "int")
	case reflect.String:
		if enum := tag.Get("enum"); enum != "" {
			return rapid.SampledFrom(append(strings.Split(enum, ","), "other")).Draw(t, "enum")
		}
		return rapid.SampledFrom([]string{"a", "", "b-2", strings.Repeat("é", 129), strings.Repeat("ab", 20), "sim-{n}"}).Draw(t, "text")
	}
	panic(typ.String())
}

// damage changes a place of a value into something else, or adds a member.
func damage(t *rapid.T, value any) {
	switch v := value.(type) {
	case map[string]any:
		if rapid.IntRange(0, 3).Draw(t, "add") == 0 || len(v) == 0 {
			v[rapid.SampledFrom([]string{"unknown", "id", "name"}).Draw(t, "member")] = rapid.SampledFrom([]any{1, "x", nil}).Draw(t, "new")
			return
		}
		var names []string
		for name := range v {
			names = append(names, name)
		}
		name := rapid.SampledFrom(sorted(names)).Draw(t, "which")
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			v[name] = rapid.SampledFrom([]any{1, "x", nil, true, []any{}, map[string]any{}}).Draw(t, "instead")
		case 1:
			delete(v, name)
		default:
			damage(t, v[name])
		}
	case []any:
		if len(v) > 0 {
			damage(t, v[rapid.IntRange(0, len(v)-1).Draw(t, "item")])
		}
	}
}

func sorted(names []string) []string {
	slices.Sort(names)
	return names
}
