package template_test

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hubnerite/hubnerite/simulate/template"
)

func environment() *template.Environment {
	return &template.Environment{
		Now: time.Date(2024, 5, 6, 7, 8, 9, 123_000_000, time.UTC), DeviceID: `thermostat "1"`, ModuleID: "m1", Number: 7,
		MethodName: "reboot", Payload: json.RawMessage(`{"in":[1,2]}`),
	}
}

func random() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func TestText(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"", ""},
		{"plain {n} }} text", "plain {n} }} text"},
		{"{{number}}-{{number}}", "7-7"},
		{"{{ deviceId }}/{{moduleId}}", `thermostat "1"/m1`},
		{"{{sequence}},{{sequence 10}},{{sequence 5 -2}}", "1,10,5"},
		{"{{random 3 3}} {{random 4 4 0}} {{walk 5 5 1}} {{sine 6 6 1m}}", "3.00 4 5.00 6.00"},
		{"{{time}} {{time unix}} {{time unixms}}", "2024-05-06T07:08:09.123Z 1714979289 1714979289123"},
		{`{{choice "a b"}} {{choice 'c"d'}} {{choice true}} {{"{{"}}`, `a b c"d true {{`},
		{`{{choice "a }} b"}}`, "a }} b"},
	} {
		compiled, err := template.Text(tc.text, template.Options{})
		if err != nil {
			t.Errorf("%s: %v", tc.text, err)
			continue
		}
		if got := string(compiled.Append(nil, compiled.NewState(random()), environment())); got != tc.want {
			t.Errorf("%s renders %q, want %q", tc.text, got, tc.want)
		}
	}
}

func TestJSON(t *testing.T) {
	var v any
	d := json.NewDecoder(strings.NewReader(`{"n": "{{number}}", "text": "no {{number}}", "id": "{{deviceId}}", "quote": "\"{{deviceId}}\"",
		"list": [1.50, true, null, "{{choice 1 1}}", "{{choice \"1\" \"1\"}}"], "echo": "{{payload}}", "of": "{{method}}!", "empty": ""}`))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	compiled, err := template.JSON(v, template.Options{Method: true})
	if err != nil {
		t.Fatal(err)
	}
	got := string(compiled.Append(nil, compiled.NewState(random()), environment()))
	want := `{"echo":{"in":[1,2]},"empty":"","id":"thermostat \"1\"","list":[1.50,true,null,1,"1"],"n":7,"of":"reboot!",` +
		`"quote":"\"thermostat \"1\"\"","text":"no 7"}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !json.Valid([]byte(got)) {
		t.Error("what was rendered is no JSON")
	}
}

// TestSequences: what a state remembers is its own.
func TestSequences(t *testing.T) {
	compiled, err := template.Text("{{sequence}} {{sequence 100 10}}", template.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, b := compiled.NewState(random()), compiled.NewState(random())
	for i, want := range []string{"1 100", "2 110", "3 120"} {
		if got := string(compiled.Append(nil, a, environment())); got != want {
			t.Errorf("rendering %d: %q, want %q", i, got, want)
		}
	}
	if got := string(compiled.Append(nil, b, environment())); got != "1 100" {
		t.Errorf("another state: %q", got)
	}
}

func TestSine(t *testing.T) {
	compiled, err := template.Text("{{sine 10 20 1m 3}}", template.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, s := environment(), compiled.NewState(random())
	for seconds, want := range map[int64]string{0: "15.000", 15: "20.000", 30: "15.000", 45: "10.000", 50: "10.670"} {
		e.Now = time.Unix(6000+seconds, 0)
		if got := string(compiled.Append(nil, s, e)); got != want {
			t.Errorf("after %d s: %s, want %s", seconds, got, want)
		}
	}
}

func TestConstant(t *testing.T) {
	for text, want := range map[string]bool{"": true, "abc": true, "{{number}}": false, "a{{number}}": false} {
		compiled, err := template.Text(text, template.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got, is := compiled.Constant(); is != want || is && got != text {
			t.Errorf("%q: constant %v %q", text, is, got)
		}
	}
}

func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		"ab {{number":            "character 4 has no end",
		"{{}}":                   "it is empty",
		"{{nothing}}":            `there is no function "nothing"`,
		"{{number 1}}":           "number has no arguments",
		"{{random 1}}":           "write random MINIMUM",
		"{{random 2 1}}":         "greater than the maximum",
		"{{random a 1}}":         `"a" is not a number`,
		"{{random 0 NaN}}":       "is not a number",
		"{{random 0 1 1.5}}":     "decimals are 0 to 15",
		"{{random 0 1e15 15}}":   "too many values",
		"{{walk 0 1 -1}}":        "the step is negative",
		"{{walk 0 1}}":           "write walk",
		"{{sine 0 1 0s}}":        "is not a period",
		"{{sine 0 1}}":           "write sine",
		"{{sequence 1.5}}":       "numbers are whole",
		"{{sequence 1 2 3}}":     "write sequence",
		"{{choice}}":             "write choice",
		"{{choice 'a}}":          "has no end",
		`{{choice "\x"}}`:        "is not valid",
		"{{time zone}}":          "write time",
		"{{payload}}":            "only the answer of a direct method",
		`{{"text" 1}}`:           "a text has no arguments",
		`ok {{number}} {{oops}}`: "character 15",
	} {
		if _, err := template.Text(text, template.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	_, err := template.JSON(map[string]any{"a": []any{"x", map[string]any{"b": "{{no}}"}}}, template.Options{})
	if err == nil || !strings.HasPrefix(err.Error(), "a[1].b: ") {
		t.Errorf("the place in JSON: %v", err)
	}
}

// TestRepeatable: the same seed gives the same renderings, another one others.
func TestRepeatable(t *testing.T) {
	compiled, err := template.Text("{{random 0 1000000 6}} {{walk 0 100 5}} {{uuid}} {{choice 1 2 3 4 5 6}}", template.Options{})
	if err != nil {
		t.Fatal(err)
	}
	render := func(seed uint64) string {
		s := compiled.NewState(rand.New(rand.NewPCG(seed, 0)))
		return string(compiled.Append(compiled.Append(nil, s, environment()), s, environment()))
	}
	first, again, other := render(1), render(1), render(2)
	if first != again || first == other {
		t.Errorf("%s\n%s\n%s", first, again, other)
	}
}

// TestNumbersStayInRange holds for any range, step and number of decimals.
func TestNumbersStayInRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		decimals := rapid.IntRange(0, 6).Draw(t, "decimals")
		// Bounds that can be written with these decimals.
		scale := 1.0
		for range decimals {
			scale *= 10
		}
		lowest := float64(rapid.IntRange(-1000, 1000).Draw(t, "lowest"))
		highest := lowest + float64(rapid.IntRange(0, 5000).Draw(t, "width"))/scale
		step := rapid.Float64Range(0, 1e4).Draw(t, "step")
		number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
		text := "{{random " + number(lowest) + " " + number(highest) + " " + strconv.Itoa(decimals) + "}} {{walk " + number(lowest) + " " +
			number(highest) + " " + number(step) + " " + strconv.Itoa(decimals) + "}} {{sine " + number(lowest) + " " + number(highest) +
			" 7s " + strconv.Itoa(decimals) + "}}"
		compiled, err := template.Text(text, template.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s := compiled.NewState(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)))
		e := environment()
		for i := range 50 {
			e.Now = e.Now.Add(time.Duration(i) * 333 * time.Millisecond)
			for _, word := range strings.Fields(string(compiled.Append(nil, s, e))) {
				got, err := strconv.ParseFloat(word, 64)
				if err != nil || got < lowest-1e-9 || got > highest+1e-9 || strings.HasPrefix(word, "-0") && got == 0 {
					t.Fatalf("%s gives %s", text, word)
				}
				if _, fraction, _ := strings.Cut(word, "."); len(fraction) != decimals {
					t.Fatalf("%s gives %s: not %d decimals", text, word, decimals)
				}
			}
		}
	})
}

// FuzzTemplate: any text compiles or is refused; what compiles as JSON renders JSON.
func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"{{random 1 2}}", `{{choice "a" 'b' c}}`, "a {{payload}} {{", `{{"\u0000"}}`, "{{sine 1 2 5m 1}} {{uuid}}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if compiled, err := template.Text(text, template.Options{Method: true}); err == nil {
			compiled.Append(nil, compiled.NewState(random()), environment())
		}
		compiled, err := template.JSON(map[string]any{"v": text}, template.Options{Method: true})
		if err != nil {
			return
		}
		if got := compiled.Append(nil, compiled.NewState(random()), environment()); !json.Valid(got) {
			t.Fatalf("%q renders %q", text, got)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	compiled, err := template.JSON(map[string]any{
		"temperature": "{{walk 18 26 0.4}}", "humidity": "{{random 30 60 0}}", "count": "{{sequence}}", "at": "{{time}}", "device": "{{deviceId}}",
	}, template.Options{})
	if err != nil {
		b.Fatal(err)
	}
	s, e := compiled.NewState(random()), environment()
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		buffer = compiled.Append(buffer[:0], s, e)
	}
}
