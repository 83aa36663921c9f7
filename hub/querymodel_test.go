package hub

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hubnerite/hubnerite/iothub"
)

// The model of queries: expressions that know their text and, by rules written down here once more, what they are worth
// on the plain JSON of a twin.

// nothing is the value of what is not there.
type nothing struct{}

type expression struct {
	text  string
	value func(doc map[string]any) any
}

func drawLiteral(t *rapid.T) expression {
	v := rapid.SampledFrom([]any{nil, true, false, 0.0, 1.0, 2.0, 2.5, "", "a", "b", "ab", nothing{}}).Draw(t, "literal")
	text := ""
	switch v := v.(type) {
	case nil:
		text = rapid.SampledFrom([]string{"null", "NULL"}).Draw(t, "null")
	case nothing:
		text = "undefined"
	case string:
		text = rapid.SampledFrom([]string{"'" + v + "'", `"` + v + `"`}).Draw(t, "quoted")
	default:
		text = fmt.Sprint(v)
	}
	return expression{text, func(map[string]any) any { return v }}
}

func drawPath(t *rapid.T, prefix string) expression {
	parts := rapid.SampledFrom([][]string{
		{"tags", "a"},
		{"tags", "b"},
		{"tags", "o", "a"},
		{"tags", "o"},
		{"tags", "list"},
		{"tags", "none"},
		{"properties", "reported", "a"},
		{"properties", "reported", "o", "b"},
		{"properties", "desired", "$version"},
		{"properties", "reported", "$version"},
		{"deviceId"},
		{"status"},
		{"version"},
		{"connectionState"},
		{"nothing", "here"},
	}).Draw(t, "path")
	text := rapid.SampledFrom([]string{"", prefix}).Draw(t, "prefix") + parts[0]
	for _, p := range parts[1:] {
		if rapid.IntRange(0, 3).Draw(t, "quote") == 0 {
			text += ".[[" + p + "]]"
		} else {
			text += "." + p
		}
	}
	if parts[len(parts)-1] == "list" && rapid.Bool().Draw(t, "index") {
		n := rapid.IntRange(0, 3).Draw(t, "index")
		text += fmt.Sprintf("[%d]", n)
		parts = append(slices.Clone(parts), "#"+strconv.Itoa(n))
	}
	return expression{text, func(doc map[string]any) any { return walk(doc, parts) }}
}

func walk(doc any, parts []string) any {
	for _, p := range parts {
		if at, ok := strings.CutPrefix(p, "#"); ok {
			list, _ := doc.([]any)
			n, _ := strconv.Atoi(at)
			if n >= len(list) {
				return nothing{}
			}
			doc = list[n]
			continue
		}
		members, _ := doc.(map[string]any)
		v, ok := members[p]
		if !ok {
			return nothing{}
		}
		doc = v
	}
	return doc
}

// kind is what values are compared within.
func kind(v any) string {
	switch v.(type) {
	case nil, bool, float64, string:
		return fmt.Sprintf("%T", v)
	}
	return ""
}

func drawOperand(t *rapid.T, prefix string, depth int) expression {
	switch rapid.IntRange(0, 5).Draw(t, "operand") {
	case 0, 1, 2:
		return drawPath(t, prefix)
	case 3, 4:
		return drawLiteral(t)
	}
	if depth == 0 {
		return drawPath(t, prefix)
	}
	a, b := drawOperand(t, prefix, depth-1), drawOperand(t, prefix, depth-1)
	op := rapid.SampledFrom([]string{"+", "-", "*", "/", "%"}).Draw(t, "arithmetic")
	return expression{"(" + a.text + " " + op + " " + b.text + ")", func(doc map[string]any) any {
		x, xOK := a.value(doc).(float64)
		y, yOK := b.value(doc).(float64)
		if !xOK || !yOK || y == 0 && (op == "/" || op == "%") {
			return nothing{}
		}
		switch op {
		case "+":
			return x + y
		case "-":
			return x - y
		case "*":
			return x * y
		case "/":
			return x / y
		}
		return math.Mod(x, y)
	}}
}

func drawComparison(t *rapid.T, prefix string) expression {
	a, b := drawOperand(t, prefix, 1), drawOperand(t, prefix, 1)
	op := rapid.SampledFrom([]string{"=", "=", "=", "!=", "<>", "<", ">", "<=", ">="}).Draw(t, "comparison")
	return expression{a.text + " " + op + " " + b.text, func(doc map[string]any) any {
		x, y := a.value(doc), b.value(doc)
		if kind(x) == "" || kind(x) != kind(y) {
			return nothing{}
		}
		switch op {
		case "=":
			return x == y
		case "!=", "<>":
			return x != y
		}
		sign := 0
		switch x := x.(type) {
		case float64:
			sign = int(math.Copysign(1, x-y.(float64)))
			if x == y {
				sign = 0
			}
		case string:
			sign = strings.Compare(x, y.(string))
		default:
			return nothing{}
		}
		return map[string]bool{"<": sign < 0, ">": sign > 0, "<=": sign <= 0, ">=": sign >= 0}[op]
	}}
}

func drawMembership(t *rapid.T, prefix string) expression {
	a := drawPath(t, prefix)
	var list []expression
	var texts []string
	for range rapid.IntRange(0, 3).Draw(t, "members") {
		e := drawLiteral(t)
		list, texts = append(list, e), append(texts, e.text)
	}
	op := rapid.SampledFrom([]string{"IN", "in", "NIN"}).Draw(t, "membership")
	return expression{a.text + " " + op + " [" + strings.Join(texts, ", ") + "]", func(doc map[string]any) any {
		x := a.value(doc)
		if x == any(nothing{}) {
			return nothing{}
		}
		found := slices.ContainsFunc(list, func(e expression) bool {
			y := e.value(doc)
			return kind(x) != "" && kind(x) == kind(y) && x == y
		})
		return found == !strings.EqualFold(op, "NIN")
	}}
}

func drawCall(t *rapid.T, prefix string) expression {
	a, b := drawPath(t, prefix), drawOperand(t, prefix, 0)
	type test struct {
		text string
		f    func(x, y any) any
	}
	is := func(name string, f func(any) bool) test {
		return test{name + "(" + a.text + ")", func(x, _ any) any { return f(x) }}
	}
	texts := func(name string, f func(x, y string) bool) test {
		return test{name + "(" + a.text + ", " + b.text + ")", func(x, y any) any {
			s, sOK := x.(string)
			part, partOK := y.(string)
			if !sOK || !partOK {
				return nothing{}
			}
			return f(s, part)
		}}
	}
	tests := []test{
		is("is_defined", func(x any) bool { return x != any(nothing{}) }),
		is("IS_NULL", func(x any) bool { return x == nil }),
		is("is_bool", func(x any) bool { return kind(x) == "bool" }),
		is("is_number", func(x any) bool { return kind(x) == "float64" }),
		is("is_string", func(x any) bool { return kind(x) == "string" }),
		is("is_primitive", func(x any) bool { return kind(x) != "" }),
		is("is_object", func(x any) bool { _, ok := x.(map[string]any); return ok }),
		is("is_array", func(x any) bool { _, ok := x.([]any); return ok }),
		texts("startswith", strings.HasPrefix),
		texts("ENDS_WITH", strings.HasSuffix),
		texts("contains", strings.Contains),
		{"array_contains(" + a.text + ", " + b.text + ")", func(x, y any) any {
			list, ok := x.([]any)
			if !ok || y == any(nothing{}) {
				return nothing{}
			}
			return slices.ContainsFunc(list, func(e any) bool { return kind(e) != "" && kind(e) == kind(y) && e == y })
		}},
	}
	one := tests[rapid.IntRange(0, len(tests)-1).Draw(t, "function")]
	return expression{one.text, func(doc map[string]any) any { return one.f(a.value(doc), b.value(doc)) }}
}

func drawCondition(t *rapid.T, prefix string, depth int) expression {
	n := rapid.IntRange(0, 7).Draw(t, "condition")
	if depth == 0 {
		n %= 4
	}
	switch n {
	case 0, 1:
		return drawComparison(t, prefix)
	case 2:
		return drawMembership(t, prefix)
	case 3:
		return drawCall(t, prefix)
	case 4:
		a := drawCondition(t, prefix, depth-1)
		return expression{"NOT (" + a.text + ")", func(doc map[string]any) any {
			if b, ok := a.value(doc).(bool); ok {
				return !b
			}
			return nothing{}
		}}
	}
	a, b := drawCondition(t, prefix, depth-1), drawCondition(t, prefix, depth-1)
	word, decisive := "AND", false
	if n == 7 {
		word, decisive = "or", true
	}
	return expression{"(" + a.text + ") " + word + " (" + b.text + ")", func(doc map[string]any) any {
		x, y := a.value(doc), b.value(doc)
		if x == any(decisive) || y == any(decisive) {
			return decisive
		}
		if kind(x) != "bool" || kind(y) != "bool" {
			return nothing{}
		}
		return !decisive
	}}
}

func drawValue(t *rapid.T) any {
	return rapid.SampledFrom([]any{true, false, json.Number("0"), json.Number("1"), json.Number("2.5"), "", "a", "b", "ab"}).Draw(t, "value")
}

func drawSection(t *rapid.T) map[string]any {
	out := map[string]any{}
	for _, name := range []string{"a", "b"} {
		if rapid.IntRange(0, 2).Draw(t, "there") > 0 {
			out[name] = drawValue(t)
		}
	}
	if rapid.Bool().Draw(t, "object") {
		out["o"] = map[string]any{"a": drawValue(t), "b": drawValue(t)}
	}
	if rapid.Bool().Draw(t, "array") {
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			list = append(list, drawValue(t))
		}
		out["list"] = list
	}
	return out
}

// twinDocuments returns the documents of a collection, in the order of IDs.
func (f *fixture) twinDocuments(ids []iothub.ID) []map[string]any {
	f.t.Helper()
	var out []map[string]any
	for _, id := range ids {
		twin, err := f.GetTwin(f.background(), id)
		if err != nil {
			f.t.Fatalf("%s: %v", id, err)
		}
		body, err := iothub.MarshalTwin(twin.Identity, twin.Twin, twin.Connection)
		if err != nil {
			f.t.Fatalf("%s: %v", id, err)
		}
		var doc map[string]any
		if err := json.Unmarshal(body, &doc); err != nil {
			f.t.Fatalf("%s: %v", id, err)
		}
		out = append(out, doc)
	}
	return out
}

// drawSelect returns the text of a SELECT list, of a GROUP BY clause, and what they make of the rows that passed.
func drawSelect(t *rapid.T, prefix string) (list, group string, rows func([]map[string]any) []map[string]any) {
	a, b := drawPath(t, prefix), drawPath(t, prefix)
	put := func(row map[string]any, name string, v any) {
		if v != any(nothing{}) {
			row[name] = v
		}
	}
	switch rapid.IntRange(0, 3).Draw(t, "list") {
	case 0:
		return "*", "", func(docs []map[string]any) []map[string]any { return docs }
	case 1:
		return a.text + " AS x, " + b.text + " AS y", "", func(docs []map[string]any) (rows []map[string]any) {
			for _, doc := range docs {
				row := map[string]any{}
				put(row, "x", a.value(doc))
				put(row, "y", b.value(doc))
				rows = append(rows, row)
			}
			return rows
		}
	}
	grouped := rapid.Bool().Draw(t, "grouped")
	list = "COUNT() AS n, SUM(" + b.text + ") AS total, max(" + b.text + ") AS most"
	if grouped {
		list, group = list+", "+a.text+" AS x", " GROUP BY "+a.text
	}
	return list, group, func(docs []map[string]any) []map[string]any {
		groups := map[string]map[string]any{}
		if !grouped {
			groups[""] = map[string]any{"n": 0.0, "total": 0.0}
		}
		for _, doc := range docs {
			key, x := "", a.value(doc)
			if kind(x) == "" {
				x = nothing{}
			}
			if grouped {
				key = fmt.Sprintf("%T %v", x, x)
			}
			row := groups[key]
			if row == nil {
				row = map[string]any{"n": 0.0, "total": 0.0}
				put(row, "x", x)
				groups[key] = row
			}
			row["n"] = row["n"].(float64) + 1
			most, has := row["most"]
			switch y := b.value(doc).(type) {
			case float64:
				row["total"] = row["total"].(float64) + y
				if m, isNumber := most.(float64); !has || isNumber && y > m {
					row["most"] = y
				}
			case string:
				if m, isText := most.(string); !has || !isText || y > m {
					row["most"] = y
				}
			}
		}
		return slices.Collect(maps.Values(groups))
	}
}

// texts returns rows as JSON; sorted when their order is not part of the question.
func rowTexts(t *rapid.T, rows []map[string]any, sorted bool) []string {
	out := []string{}
	for _, row := range rows {
		body, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(body))
	}
	if sorted {
		slices.Sort(out)
	}
	return out
}

func TestQueryModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := startFixture(rt)
		defer func() { _ = f.Close() }()
		ids := map[string][]iothub.ID{}
		for i := range rapid.IntRange(0, 8).Draw(rt, "devices") {
			names := []string{fmt.Sprint("d", i)}
			if rapid.Bool().Draw(rt, "module") {
				names = append(names, names[0]+"/m")
			}
			for _, name := range names {
				id := f.device(name)
				patch := iothub.TwinPatch{Tags: drawSection(rt)}
				if _, err := f.PatchTwin(f.background(), id, patch, ""); err != nil {
					rt.Fatal(err)
				}
				if _, err := f.registry.Report(f.background(), id, drawSection(rt), nil); err != nil {
					rt.Fatal(err)
				}
				collection := "devices"
				if id.IsModule() {
					collection = "devices.modules"
				} else if rapid.Bool().Draw(rt, "connected") {
					f.connect(id, "mqtt")
				}
				ids[collection] = append(ids[collection], id)
			}
		}
		for range 5 {
			collection := rapid.SampledFrom([]string{"devices", "devices", "devices.modules"}).Draw(rt, "collection")
			from, prefix := collection, collection+"."
			if rapid.Bool().Draw(rt, "alias") {
				from, prefix = collection+" AS twin", "twin."
			}
			list, group, rows := drawSelect(rt, prefix)
			text := "SELECT " + list + " FROM " + from
			docs := f.twinDocuments(ids[collection])
			if rapid.IntRange(0, 5).Draw(rt, "where") > 0 {
				where := drawCondition(rt, prefix, 2)
				text += " WHERE " + where.text
				docs = slices.DeleteFunc(docs, func(doc map[string]any) bool { return where.value(doc) != any(true) })
			}
			text += group
			got, _, err := f.queryAll(text, rapid.IntRange(0, 4).Draw(rt, "page"))
			if err != nil {
				rt.Fatalf("%s: %v", text, err)
			}
			var found []map[string]any
			if err := json.Unmarshal([]byte(got), &found); err != nil {
				rt.Fatal(err)
			}
			sorted := group != ""
			want, answer := rowTexts(rt, rows(docs), sorted), rowTexts(rt, found, sorted)
			if !slices.Equal(want, answer) {
				rt.Fatalf("%s\n got %s\nwant %s", text, strings.Join(answer, "\n     "), strings.Join(want, "\n     "))
			}
		}
	})
}
