package iothub

import (
	"fmt"
	"strings"
	"testing"
)

// sized returns an object of exactly n bytes, as twins are measured.
func sized(n int) map[string]any {
	m := map[string]any{}
	for i := 0; n > 0; i++ {
		key := fmt.Sprintf("k%02d", i) // 3 bytes
		text := min(n-3, MaxTwinString)
		if rest := n - 3 - text; rest > 0 && rest < 3 {
			text -= 3 // leave room for another name
		}
		m[key] = strings.Repeat("x", text)
		n -= 3 + text
	}
	return m
}

// Each section takes what just fits and refuses one byte more, and every other
// limit holds in each of them, by PATCH and by PUT.
// Source: IoT Hub devguide, device twins (size, format of tags and properties).
func TestLimitsOfEverySection(t *testing.T) {
	sections := map[string]struct {
		size   int
		writes map[string]func(map[string]any) error
	}{
		"tags": {MaxTagsSize, map[string]func(map[string]any) error{
			"patch": func(m map[string]any) error {
				_, err := NewTwin(twinTestTime).Patch(TwinPatch{Tags: m}, twinTestTime)
				return err
			},
			"replace": func(m map[string]any) error {
				_, err := NewTwin(twinTestTime).Replace(TwinPatch{Tags: m}, twinTestTime)
				return err
			},
		}},
		"desired": {MaxDesiredSize, map[string]func(map[string]any) error{
			"patch": func(m map[string]any) error {
				_, err := NewTwin(twinTestTime).Patch(TwinPatch{Desired: m}, twinTestTime)
				return err
			},
			"replace": func(m map[string]any) error {
				_, err := NewTwin(twinTestTime).Replace(TwinPatch{Desired: m}, twinTestTime)
				return err
			},
		}},
		"reported": {MaxReportedSize, map[string]func(map[string]any) error{
			"report": func(m map[string]any) error { _, err := NewTwin(twinTestTime).Report(m, twinTestTime); return err },
		}},
	}
	arrays := func(n int) string { return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}" }
	limits := map[string]struct{ fits, breaks string }{
		"objects":               {nested(11, "1"), nested(12, "1")},
		"a scalar in the tenth": {nested(10, `{"k":"v"}`), nested(11, `{"k":"v"}`)},
		"arrays":                {arrays(10), arrays(11)},
		"arrays in objects":     {`{"o":{"p":` + arrays(10) + `}}`, `{"o":{"p":` + arrays(11) + `}}`},
		"objects in arrays":     {`{"l":[` + nested(10, "1") + `]}`, `{"l":[` + nested(11, "1") + `]}`},
		"name":                  {`{"` + strings.Repeat("é", MaxTwinKey/2) + `":1}`, `{"` + strings.Repeat("é", MaxTwinKey/2) + `k":1}`},
		"text":                  {`{"k":"` + strings.Repeat("é", MaxTwinString/2) + `"}`, `{"k":"` + strings.Repeat("é", MaxTwinString/2) + `x"}`},
		"text in an array":      {`{"k":["` + strings.Repeat("x", MaxTwinString) + `"]}`, `{"k":["` + strings.Repeat("x", MaxTwinString+1) + `"]}`},
		"largest":               {`{"k":4503599627370495}`, `{"k":4503599627370496}`},
		"smallest":              {`{"k":-4503599627370496}`, `{"k":-4503599627370497}`},
		"number in an array":    {`{"k":[[4503599627370495]]}`, `{"k":[[4503599627370496]]}`},
		"null":                  {`{"k":null,"o":{"k":null}}`, `{"k":[null]}`},
		"null in an array":      {`{"k":[{"a":[]}]}`, `{"k":[[{"a":null}]]}`},
		"dot":                   {`{"a-b":1}`, `{"a.b":1}`},
		"dollar":                {`{"a_b":1}`, `{"a$b":1}`},
		"hash":                  {`{"a/b":1}`, `{"o":{"a#b":1}}`},
		"space":                 {`{"a\u00a0b":1}`, `{"a b":1}`},
		"control characters":    {`{"a":"\u0001\u0085"}`, `{"a\u009f":1}`},
	}
	for section, s := range sections {
		for how, write := range s.writes {
			if err := write(sized(s.size)); err != nil {
				t.Errorf("%s, %s: %d bytes: %v", section, how, s.size, err)
			}
			if err := write(sized(s.size + 1)); ErrorCode(err) != CodeArgumentInvalid || !strings.Contains(err.Error(), section) {
				t.Errorf("%s, %s: %d bytes: %v", section, how, s.size+1, err)
			}
			for limit, c := range limits {
				if section == "tags" && len(c.fits) > MaxTagsSize {
					continue
				}
				if err := write(object(t, c.fits)); err != nil {
					t.Errorf("%s, %s: %s: %v", section, how, limit, err)
				}
				if err := write(object(t, c.breaks)); ErrorCode(err) != CodeArgumentInvalid || !strings.Contains(err.Error(), section) {
					t.Errorf("%s, %s: %s: %v, want a refusal that names the section", section, how, limit, err)
				}
			}
		}
	}
	if got := twinSize(sized(12345)); got != 12345 {
		t.Errorf("the test measures wrongly: %d", got)
	}
}
