package query

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hubnerite/hubnerite/iothub"
)

// sample is a message with everything that a condition may ask for.
func sample() *Message {
	at := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	twin := iothub.NewTwin(at)
	twin.Tags = map[string]any{"deploymentLocation": map[string]any{"building": "43", "floor": json.Number("1")}}
	twin.Desired.Values = map[string]any{"telemetryConfig": map[string]any{"sendFrequency": "5m"}}
	twin.Reported.Values = map[string]any{"hvac": map[string]any{"status": "success", "ok": true, "none": nil}}
	return &Message{
		Telemetry: &iothub.Telemetry{
			ID: iothub.ID{DeviceID: "pump-7", ModuleID: "m1"}, ModelID: "dtmi:com:example:Thermostat;1", EnqueuedTime: at,
			System: iothub.SystemProperties{
				ContentType: "application/json", ContentEncoding: "utf-8", MessageID: "m-1", CorrelationID: "c-1", UserID: "u-1", Component: "thermostat1",
			},
			Properties: iothub.Properties{
				{Name: "processingPath", Value: "hot"},
				{Name: "level", Value: "12.5"},
				{Name: "$odd", Value: "fallback"},
				{Name: "$contentType", Value: "shadowed"},
				{Name: "zone.name", Value: "north"},
				{Name: "my-prop", Value: "dashed"},
				{Name: "iothub-message-schema", Value: "twinChangeNotification"},
				{Name: "empty", Value: ""},
			},
			Body: []byte(`{"Weather":{"Temperature":50,"Time":"2017-03-09T00:00:00.000Z","IsEnabled":true,"PrevTemperatures":[20,30,40],
				"HistoricalData":[{"Month":"Feb","Temperature":40},{"Month":"Jan","Temperature":"cold"}],"none":null,"big":9007199254740993},
				"Größe":2,"a-b":7,"with space":8}`),
		},
		Twin: func() (iothub.Twin, bool) { return twin, true },
	}
}

func TestRoutingConditions(t *testing.T) {
	p, functions := NewParser(), RoutingFunctions()
	for _, tt := range []struct {
		condition string
		want      Value
	}{
		// Nothing is the condition that is always true; a constant is a condition.
		{"", true},
		{"  \n", true},
		{"true", true},
		{"FALSE", false},
		{"null", nil},
		{"undefined", Undefined{}},

		// Application properties: any case, texts, names with dots and hyphens.
		{"processingPath = 'hot'", true},
		{"PROCESSINGPATH = \"hot\"", true},
		{"processingPath = 'HOT'", false},
		{"processingPath <> 'cold'", true},
		{"zone.name = 'north'", true},
		{"my-prop = 'dashed'", true},
		{"iothub-message-schema = 'twinChangeNotification'", true},
		{"empty = ''", true},
		{"missing = ''", Undefined{}},
		{"missing", Undefined{}},
		{"processingPath", "hot"},
		{"processingPath[0] = 'h'", Undefined{}},

		// System properties win over application properties of that name, which win over nothing.
		{"$contentType = 'application/json'", true},
		{"$contentEncoding = 'utf-8'", true},
		{"$connectionDeviceId = 'pump-7' AND $connectionModuleId = 'm1'", true},
		{"$messageId = 'm-1' AND $correlationId = 'c-1' AND $userId = 'u-1'", true},
		{"$enqueuedTime >= '2026-01-05T10' AND $enqueuedTime < '2026-01-06'", true},
		{"$dt-dataschema = 'dtmi:com:example:Thermostat;1' AND $dt-subject = 'thermostat1'", true},
		{"$odd = 'fallback'", true},
		{"$nothing = 'x'", Undefined{}},

		// The body.
		{"$body.Weather.Temperature = 50", true},
		{"$body.Weather.HistoricalData[0].Month = 'Feb'", true},
		{"$body.Weather.HistoricalData[1].Temperature > 10", Undefined{}},
		{"$body.Weather.HistoricalData[2].Month = 'Feb'", Undefined{}},
		{"$body.Weather.PrevTemperatures[0] + 10 >= $body.Weather.PrevTemperatures[1]", true},
		{"$body.Weather.IsEnabled", true},
		{"NOT $body.Weather.IsEnabled", false},
		{"NOT NOT $body.Weather.IsEnabled", true},
		{"NOT NOT $body.Weather.Temperature", Undefined{}},
		{"$body.Weather.none = null", true},
		{"$body.Weather.none != null", false},
		{"is_null($body.Weather.none) AND is_defined($body.Weather.none)", true},
		{"$body.weather.Temperature = 50", Undefined{}},
		{"$body.Größe = 2", true},
		{"$body.[[a-b]] = 7 AND $body.a-b = 7 AND $body['a-b'] = 7", true},
		{"$body.[[with space]] = 8", true},
		{"$BODY.Weather.Temperature = 50", true},
		{"$body", Undefined{}},
		{"$body[0] = 1", Undefined{}},
		{"$body.Weather.HistoricalData = $body.Weather.HistoricalData", Undefined{}},
		{"length($body.Weather.Time) = 24", true},

		// The twin.
		{"$twin.tags.deploymentLocation.floor = 1", true},
		{"$twin.properties.desired.telemetryConfig.sendFrequency = '5m'", true},
		{"$twin.properties.reported.hvac.status = 'success' and $twin.properties.reported.hvac.ok", true},
		{"$twin.properties.desired.$version >= 1", true},
		{"$twin.deviceId = 'pump-7'", Undefined{}},
		{"$twin", Undefined{}},

		// Comparison of different types is undefined, whatever the operator.
		{"level = 12.5", Undefined{}},
		{"as_number(level) = 12.5", true},
		{"level > 12", Undefined{}},
		{"1 = '1'", Undefined{}},
		{"1 != '1'", Undefined{}},
		{"true > false", Undefined{}},
		{"null = null", true},
		{"null = 1", Undefined{}},
		{"undefined = undefined", Undefined{}},
		{"'a' < 'b' and 'B' < 'a' and 'ab' > 'a' and 'a' <= 'a' and 'a' >= 'a'", true},
		{"1 < 2 and 2 <= 2 and 3 > 2 and 3 >= 3 and 1 != 2 and 1 <> 2", true},

		// Three-valued logic.
		{"missing = 1 OR true", true},
		{"true OR missing = 1", true},
		{"missing = 1 OR false", Undefined{}},
		{"missing = 1 AND false", false},
		{"false AND missing = 1", false},
		{"missing = 1 AND true", Undefined{}},
		{"NOT (missing = 1)", Undefined{}},
		{"'x' AND true", Undefined{}},
		{"true OR false AND false", true},
		{"(true OR false) AND false", false},
		{"NOT 1 = 2", true},
		{"NOT false AND false", false},

		// Lists.
		{"processingPath IN ['cold', 'hot']", true},
		{"processingPath in ['cold']", false},
		{"processingPath NIN ['cold']", true},
		{"processingPath nin ['hot', 1]", false},
		{"missing IN ['hot']", Undefined{}},
		{"missing NIN ['hot']", Undefined{}},
		{"$body.Weather.Temperature IN [10, -50, 50]", true},
		{"-50 IN [10, -50]", true},
		{"null IN [null]", true},
		{"1 IN []", false},
		{"NOT 1 IN [2]", true},
		{"is_array([1, 'a', true, null, [2]])", true},

		// Arithmetic and constants.
		{"1 + 2 * 3 = 7", true},
		{"(1 + 2) * 3 = 9", true},
		{"10 - 2 - 3 = 5", true},
		{"7 % 4 = 3 and 7 / 2 = 3.5", true},
		{"-2 + 3 = 1 and - -2 = 2 and +2 = 2", true},
		{"1 / 0", Undefined{}},
		{"1 % 0", Undefined{}},
		{"'a' + 'b'", Undefined{}},
		{"-'a'", Undefined{}},
		{"0xFF = 255 and 1e3 = 1000 and 1.5E-1 = 0.15", true},
		{"5-3", 2.0},
		{`'it\'s' = "it's"`, true},
		{`"a\"b\\c" = 'a"b\\c'`, true},
		{`'\u00e9\ud83d\ude00\n' = 'é😀` + "\n'", true},

		// Functions.
		{"abs(-2) = 2 and power(2, 10) = 1024 and square(3) = 9 and sqrt(9) = 3", true},
		{"ceiling(1.2) = 2 and floor(-1.2) = -2 and sign(-3) = -1 and sign(0) = 0 and sign(2) = 1", true},
		{"exp(0) = 1", true},
		{"sqrt(-1)", Undefined{}},
		{"abs('1')", Undefined{}},
		{"power(2, 'x')", Undefined{}},
		{"as_number('12') = 12 and as_number(' -1.5e1 ') = -15 and as_number(3) = 3", true},
		{"as_number('12x')", Undefined{}},
		{"as_number('inf')", Undefined{}},
		{"as_number(true)", Undefined{}},
		{"is_bool(true) and is_number(1) and is_string('') and is_null(null) and is_primitive(null)", true},
		{"is_object($body.Weather) and is_array($body.Weather.PrevTemperatures)", true},
		{"is_primitive($body.Weather) or is_primitive(missing) or is_string(missing) or is_defined(missing)", false},
		{"concat('a', 'b', 'c') = 'abc'", true},
		{"concat('a', 1)", Undefined{}},
		{"length('größe') = 5", true},
		{"lower('ÄB') = 'äb' and UPPER('äb') = 'ÄB'", true},
		{"substring('größe', 2) = 'öße' and substring('größe', 2, 2) = 'öß' and substring('abc', 1, 99) = 'bc'", true},
		{"substring('abc', 3) = '' and substring('abc', 99, 1) = ''", true},
		{"substring('abc', -1)", Undefined{}},
		{"index_of('größe', 'ß') = 3 and index_of('abc', 'x') = -1", true},
		{"starts_with(processingPath, 'h') and ends_with(processingPath, 't') and contains(processingPath, 'o')", true},
		{"contains(processingPath, 'x')", false},
		{"starts_with(missing, 'h')", Undefined{}},
		{"is_defined('(') and contains('a and (b', '(')", true},
	} {
		c, err := p.Condition(tt.condition, functions)
		if err != nil {
			t.Errorf("%s: %v", tt.condition, err)
			continue
		}
		m := sample()
		if diff := cmp.Diff(tt.want, c.Value(m)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.condition, diff)
		}
		if got := c.Matches(m); got != (tt.want == true) {
			t.Errorf("%s matches: %t", tt.condition, got)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	p, functions := NewParser(), RoutingFunctions()
	for _, tt := range []struct {
		condition string
		position  int
		message   string
	}{
		{"a =", 4, "end"},
		{"a = = 1", 5, `"="`},
		{"a = 1 b", 7, `"b"`},
		{"größe = 'a", 9, ""},
		{"(a = 1", 7, "end"},
		{"a AND", 6, "end"},
		{"AND = 1", 1, `"AND"`},
		{"a AND OR b", 7, `"OR"`},
		{"a = 1 = 2", 7, `"="`},
		{"a # 1", 3, "#"},
		{"1 IN 2", 6, `"2"`},
		{"1 IN [b]", 7, `"b"`},
		{"1 IN [-'b']", 8, "number"},
		{"nothing(1) = 1", 1, "no function nothing"},
		{"true and ABS(1, 2) = 1", 10, "ABS takes 1 argument, not 2"},
		{"concat('a') = ''", 1, "2 arguments or more"},
		{"substring('a') = ''", 1, "2 to 3 arguments"},
		{"power(1)=1", 1, "POWER takes 2 arguments, not 1"},
		{`a = 'b\q'`, 5, `\q`},
		{`a = '\u12'`, 5, "four"},
		{`a = '\ud800'`, 5, "half"},
		{"$body.a[1.5] = 1", 8, "index"},
		{"$body.a[99999999999] = 1", 8, "index"},
		{"a = 1e999", 5, "large"},
		{"a = 0x1FFFFFFFFFFFFFFFF", 5, "large"},
		{"a = \xff", 1, "UTF-8"},
		{strings.Repeat("(", 101) + "1" + strings.Repeat(")", 101), 101, "deep"},
		{strings.Repeat("a", MaxLength+1), MaxLength + 1, "limit"},
	} {
		_, err := p.Condition(tt.condition, functions)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%.40s: error %v, want a syntax error", tt.condition, err)
			continue
		}
		if syntax.Position != tt.position || !strings.Contains(syntax.Message, tt.message) {
			t.Errorf("%.40s: %v, want character %d and %q", tt.condition, err, tt.position, tt.message)
		}
	}
	deep := strings.Repeat("(", 100) + "true" + strings.Repeat(")", 100)
	if c, err := p.Condition(deep, functions); err != nil || !c.Matches(sample()) {
		t.Errorf("nested 100 deep: %v", err)
	}
}

func TestBodyNeedsItsType(t *testing.T) {
	c, err := NewParser().Condition("$body.a = 'ü'", RoutingFunctions())
	if err != nil {
		t.Fatal(err)
	}
	const text = `{"a":"ü"}`
	little, big := utf16Bytes(text, false), utf16Bytes(text, true)
	for _, tt := range []struct {
		contentType, encoding, body string
		want                        bool
	}{
		{"application/json", "utf-8", text, true},
		{"Application/JSON; charset=utf-8", "UTF-8", text, true},
		{"application/json", "utf-8", "\xef\xbb\xbf" + text, true},
		{"application/json", "utf-16", little, true},
		{"application/json", "utf-16", "\xff\xfe" + little, true},
		{"application/json", "UTF-16", "\xfe\xff" + big, true},
		{"application/json", "utf-16", big, false},
		{"application/json", "utf-16", little + "x", false},
		{"application/json", "utf-32", utf32Bytes(text, false), true},
		{"application/json", "utf-32", "\x00\x00\xfe\xff" + utf32Bytes(text, true), true},
		{"application/json", "utf-32", "\xff\xff\xff\xff", false},
		{"application/json", "", text, false},
		{"application/json", "latin1", text, false},
		{"", "utf-8", text, false},
		{"text/plain", "utf-8", text, false},
		{"application/json", "utf-8", text + "{}", false},
		{"application/json", "utf-8", "not json", false},
		{"application/json", "utf-8", "", false},
	} {
		m := &Message{Telemetry: &iothub.Telemetry{
			System: iothub.SystemProperties{ContentType: tt.contentType, ContentEncoding: tt.encoding}, Body: []byte(tt.body),
		}}
		if got := c.Matches(m); got != tt.want {
			t.Errorf("%q %q %q: %t, want %t", tt.contentType, tt.encoding, tt.body, got, tt.want)
		}
	}
}

func utf16Bytes(s string, big bool) string {
	var out []byte
	for _, r := range s {
		out = appendUnit(out, uint32(r), 2, big)
	}
	return string(out)
}

func utf32Bytes(s string, big bool) string {
	var out []byte
	for _, r := range s {
		out = appendUnit(out, uint32(r), 4, big)
	}
	return string(out)
}

func appendUnit(out []byte, r uint32, size int, big bool) []byte {
	for i := range size {
		shift := 8 * i
		if big {
			shift = 8 * (size - 1 - i)
		}
		out = append(out, byte(r>>shift))
	}
	return out
}

func TestMessageWithoutTwin(t *testing.T) {
	c, err := NewParser().Condition("is_defined($twin.tags.x)", RoutingFunctions())
	if err != nil {
		t.Fatal(err)
	}
	for name, twin := range map[string]func() (iothub.Twin, bool){
		"nobody knows": nil, "none": func() (iothub.Twin, bool) { return iothub.Twin{}, false },
	} {
		if got := c.Value(&Message{Telemetry: &iothub.Telemetry{}, Twin: twin}); got != false {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestLogicModel compares AND, OR and NOT with the tables of three-valued logic.
func TestLogicModel(t *testing.T) {
	p, functions := NewParser(), RoutingFunctions()
	// rank: false 0, undefined 1, true 2: AND is the minimum, OR the maximum.
	value := map[int]Value{0: false, 1: Undefined{}, 2: true}
	text := map[int]string{0: "1=2", 1: "missing=2", 2: "2=2"}
	var build func(t *rapid.T, depth int) (string, int)
	build = func(t *rapid.T, depth int) (string, int) {
		kind := rapid.IntRange(0, 3).Draw(t, "kind")
		if depth == 0 || kind == 0 {
			rank := rapid.IntRange(0, 2).Draw(t, "rank")
			return text[rank], rank
		}
		a, aRank := build(t, depth-1)
		switch kind {
		case 1:
			return "NOT (" + a + ")", 2 - aRank
		case 2:
			b, bRank := build(t, depth-1)
			return "(" + a + ") AND (" + b + ")", min(aRank, bRank)
		}
		b, bRank := build(t, depth-1)
		return "(" + a + ") OR (" + b + ")", max(aRank, bRank)
	}
	rapid.Check(t, func(t *rapid.T) {
		condition, rank := build(t, 5)
		c, err := p.Condition(condition, functions)
		if err != nil {
			t.Fatalf("%s: %v", condition, err)
		}
		if got := c.Value(sample()); got != value[rank] {
			t.Fatalf("%s = %v, want %v", condition, got, value[rank])
		}
	})
}

func TestFromJSON(t *testing.T) {
	for _, tt := range []struct {
		in   any
		want Value
	}{
		{json.Number("1e400"), Undefined{}}, {json.Number("1.5"), 1.5}, {int64(3), 3.0}, {4, 4.0}, {nil, nil}, {"x", "x"},
	} {
		if got := FromJSON(tt.in); got != tt.want {
			t.Errorf("FromJSON(%v) = %v", tt.in, got)
		}
	}
	if number(math.Inf(1)) != (Undefined{}) {
		t.Error("infinity is a number")
	}
}

func FuzzCondition(f *testing.F) {
	for _, s := range []string{
		"", "true", "a = 'b' AND NOT $body.x[0].y >= 1 OR $twin.tags.a IN ['x', 1, null]", "concat('a','b')='ab'", "-1--1 <> +0x1F",
		"((a))", "[1,[2]]", "$body.[[a b]]['c'] % 2 = 0", `'\ud83d\ude00\u00e9' = "x"`, "a NIN []", "is_defined(a-b)", "NOT NOT NOT true",
		"a.b.c-d", "1e5/0", "undefined", "'", "((((", "a IN [", "abs(", "$", "\xff", "🙂='a'",
	} {
		f.Add(s)
	}
	p, functions := NewParser(), RoutingFunctions()
	f.Fuzz(func(t *testing.T, text string) {
		c, err := p.Condition(text, functions)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("%q: %T %v", text, err, err)
			}
			if syntax.Position < 1 || syntax.Position > len([]rune(text))+1 {
				t.Fatalf("%q: position %d", text, syntax.Position)
			}
			return
		}
		switch v := c.Value(sample()).(type) {
		case nil, bool, string, []any, map[string]any, Undefined:
		case float64:
			if math.IsNaN(v) || math.IsInf(v, 0) {
				t.Fatalf("%q = %v", text, v)
			}
		default:
			t.Fatalf("%q is a %T", text, v)
		}
	})
}

func BenchmarkCondition(b *testing.B) {
	p, functions := NewParser(), RoutingFunctions()
	for name, text := range map[string]string{
		"property": "processingPath = 'hot'", "body": "$body.Weather.Temperature > 40",
	} {
		c, err := p.Condition(text, functions)
		if err != nil {
			b.Fatal(err)
		}
		base := sample()
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !c.Matches(&Message{Telemetry: base.Telemetry}) {
					b.Fatal("no match")
				}
			}
		})
	}
}
