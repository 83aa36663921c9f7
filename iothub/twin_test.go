package iothub

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var twinTestTime = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant of the tests

func object(t testing.TB, text string) map[string]any {
	t.Helper()
	m, err := DecodeObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestNewTwin(t *testing.T) {
	tw := NewTwin(twinTestTime)
	if tw.ETagText() != "AAAAAAAAAAE=" || tw.Version != 2 || tw.Desired.Version != 1 || tw.Reported.Version != 1 {
		t.Errorf("%+v", tw)
	}
}

func TestTwinPatch(t *testing.T) {
	tw := NewTwin(twinTestTime)
	later := twinTestTime.Add(time.Hour)
	tw, err := tw.Patch(TwinPatch{Tags: object(t, `{"site":"n"}`), Desired: object(t, `{"a":{"b":1,"c":2},"list":[1,2]}`)}, twinTestTime)
	if err != nil {
		t.Fatal(err)
	}
	before := tw
	tw, err = tw.Patch(TwinPatch{Desired: object(t, `{"a":{"b":null,"d":true},"list":[3]}`)}, later)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(object(t, `{"a":{"c":2,"d":true},"list":[3]}`), tw.Desired.Values); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(object(t, `{"a":{"b":1,"c":2},"list":[1,2]}`), before.Desired.Values); diff != "" {
		t.Error("the old twin changed: " + diff)
	}
	if tw.Version != 4 || tw.ETagText() != "AAAAAAAAAAM=" || tw.Desired.Version != 3 || tw.Reported.Version != 1 {
		t.Errorf("versions: %+v", tw)
	}
	a := tw.Desired.Metadata.Children["a"]
	if !a.LastUpdated.Equal(later) || a.LastUpdatedVersion != 3 || a.Children["b"] != nil ||
		!a.Children["c"].LastUpdated.Equal(twinTestTime) || a.Children["c"].LastUpdatedVersion != 2 ||
		a.Children["d"].LastUpdatedVersion != 3 {
		t.Errorf("metadata: %+v", a)
	}
	tw, err = tw.Patch(TwinPatch{Desired: object(t, `{"a":{"c":null,"d":null}}`)}, later)
	if err != nil || cmp.Diff(object(t, `{"a":{},"list":[3]}`), tw.Desired.Values) != "" {
		t.Errorf("deleting the last leaf leaves an empty object: %v %v", tw.Desired.Values, err)
	}
}

func TestTwinReplace(t *testing.T) {
	tw := NewTwin(twinTestTime)
	tw, _ = tw.Patch(TwinPatch{Tags: object(t, `{"x":1}`), Desired: object(t, `{"a":1}`)}, twinTestTime)
	tw, _ = tw.Report(object(t, `{"r":1}`), twinTestTime)
	tw, err := tw.Replace(TwinPatch{Desired: object(t, `{"b":1,"gone":null}`)}, twinTestTime)
	if err != nil {
		t.Fatal(err)
	}
	if len(tw.Tags) != 0 || cmp.Diff(object(t, `{"b":1}`), tw.Desired.Values) != "" || len(tw.Reported.Values) != 1 {
		t.Errorf("%+v", tw)
	}
	if tw.Desired.Metadata.Children["a"] != nil || tw.Desired.Version != 3 {
		t.Errorf("%+v", tw.Desired)
	}
}

func TestTwinReport(t *testing.T) {
	tw := NewTwin(twinTestTime)
	next, err := tw.Report(object(t, `{"rebootTime":"now","deep":{"x":1.5e3}}`), twinTestTime)
	if err != nil || next.Reported.Version != 2 || next.Version != tw.Version || next.ETag != tw.ETag {
		t.Fatalf("%+v, %v", next, err)
	}
	if next.Reported.Metadata.Children["deep"].LastUpdatedVersion != 0 {
		t.Error("reported metadata has no version")
	}
}

func nested(levels int, leaf string) string {
	return strings.Repeat(`{"o":`, levels) + leaf + strings.Repeat("}", levels)
}

func TestTwinLimits(t *testing.T) {
	accepted := map[string]string{
		"ten nested objects":   nested(11, "1"),
		"long text":            `{"k":"` + strings.Repeat("x", 4096) + `"}`,
		"long key":             `{"` + strings.Repeat("k", 1024) + `":1}`,
		"largest integer":      `{"k":4503599627370495}`,
		"smallest integer":     `{"k":-4503599627370496}`,
		"array of objects":     `{"k":[{"a":1},[1,2]]}`,
		"null deletes nothing": `{"k":null}`,
		"deep null":            `{"k":{"l":null}}`,
	}
	for name, text := range accepted {
		if _, err := NewTwin(twinTestTime).Report(object(t, text), twinTestTime); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused := map[string]string{
		"eleven nested objects": nested(12, "1"),
		"longer text":           `{"k":"` + strings.Repeat("x", 4097) + `"}`,
		"longer key":            `{"` + strings.Repeat("k", 1025) + `":1}`,
		"empty key":             `{"":1}`,
		"dot":                   `{"a.b":1}`,
		"dollar":                `{"$version":1}`,
		"hash":                  `{"a#":1}`,
		"space":                 `{"a b":1}`,
		"C0 control":            `{"a\u0001":1}`,
		"C1 control":            `{"a\u0085":1}`,
		"integer too large":     `{"k":4503599627370496}`,
		"integer too small":     `{"k":-4503599627370497}`,
		"many digits":           `{"k":` + strings.Repeat("9", 400) + `}`,
		"double too large":      `{"k":1e999}`,
		"null in array":         `{"k":[1,null]}`,
		"null in array object":  `{"k":[{"a":null}]}`,
		"bad key in array":      `{"k":[{"a.b":1}]}`,
		"too large":             fmt.Sprintf(`{"a":%[1]q,"b":%[1]q,"c":%[1]q,"d":%[1]q,"e":%[1]q,"f":%[1]q,"g":%[1]q,"h":%[1]q}`, strings.Repeat("x", 4096)),
	}
	for name, text := range refused {
		if _, err := NewTwin(twinTestTime).Report(object(t, text), twinTestTime); ErrorCode(err) != CodeArgumentInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The size limit is about the result, not the patch.
	tw := NewTwin(twinTestTime)
	var err error
	for i := range 8 {
		if tw, err = tw.Report(map[string]any{fmt.Sprintf("k%d", i): strings.Repeat("x", 4090)}, twinTestTime); err != nil {
			t.Fatal(i, err)
		}
	}
	if _, err = tw.Report(map[string]any{"k9": strings.Repeat("x", 200)}, twinTestTime); ErrorCode(err) != CodeArgumentInvalid {
		t.Error("a patch may push the section past its size")
	}
	if _, err := NewTwin(twinTestTime).Patch(TwinPatch{Tags: map[string]any{"a": strings.Repeat("x", 4096), "b": strings.Repeat("x", 4096)}}, twinTestTime); ErrorCode(err) != CodeArgumentInvalid {
		t.Error("tags may exceed 8 KB")
	}
}

func TestTwinSize(t *testing.T) {
	if got := twinSize(object(t, `{"ab":"x\u0001y","n":1,"t":true,"o":{"k":[1,"z"]},"nil":null}`)); got != (2+2)+(1+8)+(1+4)+(1+1+8+1)+3 {
		t.Error(got)
	}
}

func TestMarshalTwin(t *testing.T) {
	tw, err := NewTwin(twinTestTime).Patch(TwinPatch{Tags: object(t, `{"s":1}`), Desired: object(t, `{"big":12345678901234.50}`)}, twinTestTime)
	if err != nil {
		t.Fatal(err)
	}
	data, err := MarshalTwin(Identity{ID: ID{DeviceID: "d"}, ETag: "NzU3", Status: StatusEnabled, Authentication: Authentication{Type: AuthSAS}}, tw, ConnectionInfo{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"etag":"AAAAAAAAAAI="`, `"deviceEtag":"NzU3"`, `"version":3`, `"authenticationType":"sas"`, `"big":12345678901234.50`,
		`"$lastUpdatedVersion":2`, `"$version":2`, `"PrimaryThumbprint":null`, `"statusUpdateTime":"0001-01-01T00:00:00Z"`,
		`"reported":{"$metadata":{"$lastUpdated":"2026-01-05T09:00:00.0000000Z"},"$version":1}`,
	} {
		if !strings.Contains(string(data), want) {
			t.Errorf("no %s in %s", want, data)
		}
	}
	if strings.Contains(string(data), "moduleId") || strings.Contains(string(data), "deviceScope") {
		t.Errorf("absent members show: %s", data)
	}
	device, _ := MarshalDeviceTwin(tw)
	if string(device) != `{"desired":{"$version":2,"big":12345678901234.50},"reported":{"$version":1}}` {
		t.Errorf("%s", device)
	}
	patch, _ := MarshalDesiredPatch(object(t, `{"gone":null}`), 7)
	if string(patch) != `{"$version":7,"gone":null}` {
		t.Errorf("%s", patch)
	}
}

func TestMetadataRoundTrip(t *testing.T) {
	tw, _ := NewTwin(twinTestTime).Patch(TwinPatch{Desired: object(t, `{"a":{"b":1}}`)}, twinTestTime)
	data, err := json.Marshal(tw)
	if err != nil {
		t.Fatal(err)
	}
	var back Twin
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tw.Desired.Metadata.Children["a"].Children["b"].LastUpdatedVersion, back.Desired.Metadata.Children["a"].Children["b"].LastUpdatedVersion); diff != "" {
		t.Error(diff)
	}
	again, _ := json.Marshal(back)
	if string(again) != string(data) {
		t.Errorf("%s\n%s", data, again)
	}
}

func TestDecodeTwinPatch(t *testing.T) {
	p, err := DecodeTwinPatch([]byte(`{"deviceId":"d","tags":{"a":1},"properties":{"desired":{"x":1,"$version":4,"$metadata":{}},"reported":{"y":1}}}`))
	if err != nil || len(p.Tags) != 1 || len(p.Desired) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := DecodeTwinPatch([]byte(`{"tags":null}`)); err != nil || p.Tags != nil || p.Desired != nil {
		t.Errorf("%+v, %v", p, err)
	}
	for _, bad := range []string{``, `null`, `[]`, `{`, `{} {}`, `"x"`, "{\"a\":\"\xff\"}"} {
		if _, err := DecodeTwinPatch([]byte(bad)); ErrorCode(err) != CodeIotHubFormatError {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, bad := range []string{`{"tags":1}`, `{"properties":[]}`, `{"properties":{"desired":"x"}}`} {
		if _, err := DecodeTwinPatch([]byte(bad)); ErrorCode(err) != CodeArgumentInvalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// genObject draws JSON objects of few names, so that patches meet.
func genObject(depth int, nulls bool) *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		m := map[string]any{}
		for _, k := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 3, rapid.ID[string]).Draw(t, "keys") {
			switch kind := rapid.IntRange(0, 4).Draw(t, "kind"); {
			case kind == 0 && nulls:
				m[k] = nil
			case kind == 1 && depth > 0:
				m[k] = genObject(depth-1, nulls).Draw(t, "object")
			case kind == 2:
				m[k] = []any{json.Number("1"), "x"}
			default:
				m[k] = rapid.SampledFrom([]any{json.Number("7"), "text", true, false}).Draw(t, "leaf")
			}
		}
		return m
	})
}

// naiveMerge is the rule as the documentation states it, on a deep copy.
func naiveMerge(base map[string]any, patch map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range base {
		out[k] = v
	}
	for k, v := range patch {
		child, isObject := v.(map[string]any)
		if v == nil {
			delete(out, k)
		} else if !isObject {
			out[k] = v
		} else if old, ok := out[k].(map[string]any); ok {
			out[k] = naiveMerge(old, child)
		} else {
			out[k] = naiveMerge(map[string]any{}, child)
		}
	}
	return out
}

// mirrors reports whether the metadata has exactly the tree of the values.
func mirrors(m *Metadata, values map[string]any) bool {
	if len(m.Children) != len(values) {
		return false
	}
	for k, v := range values {
		c := m.Children[k]
		child, isObject := v.(map[string]any)
		if c == nil || isObject && !mirrors(c, child) || !isObject && len(c.Children) != 0 {
			return false
		}
	}
	return true
}

func TestTwinMergeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tw := NewTwin(twinTestTime)
		model := map[string]any{}
		for i := range rapid.IntRange(1, 6).Draw(t, "patches") {
			patch := genObject(3, true).Draw(t, "patch")
			before := tw
			beforeText, _ := json.Marshal(before)
			next, err := tw.Patch(TwinPatch{Desired: patch}, twinTestTime.Add(time.Duration(i)*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			tw, model = next, naiveMerge(model, patch)
			if diff := cmp.Diff(model, tw.Desired.Values); diff != "" {
				t.Fatal(diff)
			}
			if !mirrors(tw.Desired.Metadata, tw.Desired.Values) {
				t.Fatalf("metadata does not mirror %v", tw.Desired.Values)
			}
			if afterText, _ := json.Marshal(before); string(afterText) != string(beforeText) {
				t.Fatal("the twin before the patch changed")
			}
			if tw.Desired.Version != before.Desired.Version+1 || tw.ETag != before.ETag+1 {
				t.Fatal("versions do not rise by one")
			}
		}
	})
}

func FuzzTwinPatch(f *testing.F) {
	for _, s := range []string{
		`{"tags":{"a":1},"properties":{"desired":{"x":{"y":null},"z":[1,"2",{"q":true}]}}}`,
		`{"properties":{"desired":{"$version":1,"k":1e400}}}`, `{"tags":{"a.b":1}}`, `{}`, `[`, nested(40, "1"),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := DecodeTwinPatch(body)
		if err != nil {
			return
		}
		tw, err := NewTwin(twinTestTime).Patch(p, twinTestTime)
		if err != nil {
			return
		}
		if !mirrors(tw.Desired.Metadata, tw.Desired.Values) {
			t.Fatal("metadata does not mirror the values")
		}
		if _, err := MarshalTwin(Identity{}, tw, ConnectionInfo{}); err != nil {
			t.Fatal(err)
		}
		// What was accepted is accepted again, and merging it again changes nothing.
		again, err := tw.Patch(p, twinTestTime)
		if err != nil || cmp.Diff(tw.Desired.Values, again.Desired.Values) != "" {
			t.Fatalf("merging twice differs: %v", err)
		}
	})
}
