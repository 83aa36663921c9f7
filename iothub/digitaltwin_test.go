package iothub

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// plugAndPlay is the twin of a thermostat controller: a root property, an acknowledged
// one, and a component.
func plugAndPlay(t *testing.T) Twin {
	t.Helper()
	at := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	twin := NewTwin(at)
	twin.ModelID = "dtmi:com:example:TemperatureController;1"
	var err error
	report := func(text string) {
		t.Helper()
		at = at.Add(time.Second)
		if twin, err = twin.Report(object(t, text), at); err != nil {
			t.Fatal(err)
		}
	}
	report(`{"serialNumber":"x1","thermostat1":{"__t":"c","maxTemp":25.3,"targetTemperature":{"value":20.4,"ac":200,"av":2,"ad":"done"}}}`)
	at = at.Add(time.Second)
	if twin, err = twin.Patch(TwinPatch{Desired: object(t,
		`{"thermostat1":{"__t":"c","targetTemperature":21.4},"fan":{"speed":3,"mode":"a"},"thermostat2":{"__t":"c","targetTemperature":5}}`)}, at); err != nil {
		t.Fatal(err)
	}
	return twin
}

func TestMarshalDigitalTwin(t *testing.T) {
	body, err := MarshalDigitalTwin(ID{DeviceID: "d"}, plugAndPlay(t))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"$dtId":"d","serialNumber":"x1",
		"$metadata":{"$model":"dtmi:com:example:TemperatureController;1",
			"serialNumber":{"lastUpdateTime":"2026-01-05T10:00:01.0000000Z"},
			"fan":{"desiredValue":{"speed":3,"mode":"a"},"desiredVersion":2,"lastUpdateTime":"2026-01-05T10:00:02.0000000Z"}},
		"thermostat1":{"maxTemp":25.3,"targetTemperature":20.4,"$metadata":{
			"maxTemp":{"lastUpdateTime":"2026-01-05T10:00:01.0000000Z"},
			"targetTemperature":{"desiredValue":21.4,"desiredVersion":2,"ackVersion":2,"ackCode":200,"ackDescription":"done",
				"lastUpdateTime":"2026-01-05T10:00:01.0000000Z"}}},
		"thermostat2":{"$metadata":{"targetTemperature":{"desiredValue":5,"desiredVersion":2,"lastUpdateTime":"2026-01-05T10:00:02.0000000Z"}}}}`
	if got := object(t, string(body)); !reflect.DeepEqual(got, object(t, want)) {
		t.Errorf("got %s\nwant %s", body, want)
	}
	body, err = MarshalDigitalTwin(ID{DeviceID: "plain"}, NewTwin(time.Unix(0, 0)))
	if err != nil || string(body) != `{"$dtId":"plain","$metadata":{"$model":""}}` {
		t.Errorf("without a model: %s, %v", body, err)
	}
}

func TestDigitalTwinPatch(t *testing.T) {
	for _, c := range []struct{ patch, want string }{
		{`[]`, ``},
		{`[{"op":"add","path":"/serialNumber","value":"x2"}]`, `{"serialNumber":"x2"}`},
		{`[{"op":"add","path":"/brandNew","value":1.50}]`, `{"brandNew":1.50}`},
		{`[{"op":"replace","path":"/thermostat1/targetTemperature","value":30}]`, `{"thermostat1":{"__t":"c","targetTemperature":30}}`},
		{`[{"op":"add","path":"/thermostat2/other","value":true}]`, `{"thermostat2":{"__t":"c","other":true}}`},
		{`[{"op":"remove","path":"/thermostat1/targetTemperature"}]`, `{"thermostat1":{"__t":"c","targetTemperature":null}}`},
		{`[{"op":"remove","path":"/thermostat1/maxTemp"}]`, `{"thermostat1":{"__t":"c","maxTemp":null}}`},
		{`[{"op":"remove","path":"/thermostat2"}]`, `{"thermostat2":null}`},
		{
			`[{"op":"replace","path":"/thermostat1","value":{"$metadata":{},"other":1}}]`,
			`{"thermostat1":{"__t":"c","other":1,"targetTemperature":null}}`,
		},
		{
			`[{"op":"add","path":"/thermostat3","value":{"$metadata":{},"targetTemperature":1}}]`,
			`{"thermostat3":{"__t":"c","targetTemperature":1}}`,
		},
		{`[{"op":"replace","path":"/fan","value":{"speed":4}}]`, `{"fan":{"speed":4,"mode":null}}`},
		{`[{"op":"replace","path":"/fan/speed","value":4}]`, `{"fan":{"speed":4,"mode":"a"}}`},
		{`[{"op":"remove","path":"/fan/mode"}]`, `{"fan":{"speed":3,"mode":null}}`},
		{
			`[{"op":"add","path":"/a","value":1},{"op":"replace","path":"/a","value":2},{"op":"add","path":"/thermostat1/b","value":3},{"op":"add","path":"/thermostat1/c","value":4}]`,
			`{"a":2,"thermostat1":{"__t":"c","b":3,"c":4}}`,
		},
		{`[{"op":"add","path":"/thermostat1/b","value":3},{"op":"remove","path":"/thermostat1"}]`, `{"thermostat1":null}`},
	} {
		got, err := plugAndPlay(t).DigitalTwinPatch([]byte(c.patch))
		if err != nil {
			t.Errorf("%s: %v", c.patch, err)
			continue
		}
		var want map[string]any
		if c.want != "" {
			want = object(t, c.want)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", c.patch, got, want)
		}
	}
}

func TestDigitalTwinPatchRefused(t *testing.T) {
	twin := plugAndPlay(t)
	var err error
	if twin, err = twin.Report(object(t, `{"list":[1],"bad":{"__t":"c","a":[1]}}`), time.Now()); err != nil {
		t.Fatal(err)
	}
	deep := strings.Repeat(`{"a":`, 6) + "1" + strings.Repeat("}", 6)
	for patch, want := range map[string]Code{
		``:                              CodeInvalidDigitalTwinJsonPatch,
		`{}`:                            CodeInvalidDigitalTwinJsonPatch,
		`[1]`:                           CodeInvalidDigitalTwinJsonPatch,
		`[{}]`:                          CodeInvalidDigitalTwinJsonPatch,
		`[{"op":"add","path":"/a"}]`:    CodeInvalidDigitalTwinJsonPatch,
		`[{"op":"add","value":1}]`:      CodeInvalidDigitalTwinJsonPatch,
		`[{"op":"x","path":"/a"}]`:      CodeInvalidDigitalTwinJsonPatch,
		`[{"op":"test","path":"/fan"}]`: CodeInvalidDigitalTwinPatch,
		`[{"op":"move","path":"/a","from":"/fan"}]`:                                                 CodeInvalidDigitalTwinPatch,
		`[{"op":"add","path":"","value":{}}]`:                                                       CodeInvalidDigitalTwinPatchPath,
		`[{"op":"add","path":"a","value":1}]`:                                                       CodeInvalidDigitalTwinPatchPath,
		`[{"op":"add","path":"/","value":1}]`:                                                       CodeInvalidDigitalTwinPatchPath,
		`[{"op":"add","path":"/$metadata/$model","value":"x"}]`:                                     CodeInvalidDigitalTwinPatchPath,
		`[{"op":"add","path":"/thermostat1/__t","value":"x"}]`:                                      CodeInvalidDigitalTwinPatchPath,
		`[{"op":"add","path":"/a~1b","value":1}]`:                                                   CodeInvalidDigitalTwinPatchPath,
		`[{"op":"remove","path":"/nothing"}]`:                                                       CodeInvalidDigitalTwinPatchPath,
		`[{"op":"replace","path":"/nothing","value":1}]`:                                            CodeInvalidDigitalTwinPatchPath,
		`[{"op":"add","path":"/nothing/a","value":1}]`:                                              CodeInvalidDigitalTwinPatchPath,
		`[{"op":"add","path":"/a","value":null}]`:                                                   CodeInvalidDigitalTwinPayload,
		`[{"op":"add","path":"/a","value":[1]}]`:                                                    CodeInvalidDigitalTwinPayload,
		`[{"op":"add","path":"/a","value":{"b c":1}}]`:                                              CodeInvalidDigitalTwinPayload,
		`[{"op":"add","path":"/a","value":` + deep + `}]`:                                           CodeInvalidDigitalTwinPayload,
		`[{"op":"replace","path":"/thermostat1","value":{"a":1}}]`:                                  CodeInvalidDigitalTwinPayload,
		`[{"op":"replace","path":"/thermostat1","value":{"a":1,"$metadata":{"x":1}}}]`:              CodeInvalidDigitalTwinPayload,
		`[{"op":"add","path":"/thermostat1/a","value":{"$metadata":{}}}]`:                           CodeInvalidDigitalTwinPayload,
		`[{"op":"replace","path":"/list","value":1}]`:                                               CodeArgumentInvalid,
		`[{"op":"add","path":"/bad/b","value":1}]`:                                                  CodeArgumentInvalid,
		"[" + strings.Repeat(`{"op":"remove","path":"/x"},`, 1000) + `{"op":"remove","path":"/x"}]`: CodeInvalidDigitalTwinJsonPatch,
	} {
		if got, err := twin.DigitalTwinPatch([]byte(patch)); ErrorCode(err) != want {
			t.Errorf("%.100s: got %v, %v; want %v", patch, got, err, want)
		}
	}
}

// Whatever a patch is, it is refused as the peer's fault or gives a change that
// a twin takes, or refuses for its size alone.
func FuzzDigitalTwinPatch(f *testing.F) {
	for _, seed := range []string{
		`[{"op":"add","path":"/fan/speed","value":4}]`, `[{"op":"remove","path":"/thermostat1"}]`,
		`[{"op":"replace","path":"/thermostat1","value":{"$metadata":{},"a":{"b":1e5}}}]`, `[{"op":"add","path":"/a~0b","value":[]}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, patch []byte) {
		twin := plugAndPlay(t)
		desired, err := twin.DigitalTwinPatch(patch)
		if err != nil {
			if code := ErrorCode(err); code.HTTPStatus() != 400 {
				t.Fatalf("%q: %v", patch, err)
			}
			return
		}
		if desired == nil {
			return
		}
		after, err := twin.Patch(TwinPatch{Desired: desired}, time.Now())
		if err != nil {
			if ErrorCode(err) != CodeArgumentInvalid {
				t.Fatalf("%q: %v", patch, err)
			}
			return
		}
		body, err := MarshalDigitalTwin(ID{DeviceID: "d"}, after)
		if err != nil || !json.Valid(body) {
			t.Fatalf("%q: %s, %v", patch, body, err)
		}
	})
}
