package iothub

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// The documents as encoding/json writes them, to compare with.

func libraryTwin(i Identity, t Twin, c ConnectionInfo) ([]byte, error) {
	return json.Marshal(twinJSON{
		DeviceID: i.ID.DeviceID, ModuleID: i.ID.ModuleID, ETag: t.ETagText(), DeviceETag: i.ETag,
		Status: i.Status, StatusReason: i.StatusReason, StatusUpdateTime: FormatTime(i.StatusUpdatedTime),
		ConnectionState: c.ConnectionState(), LastActivityTime: FormatTime(c.LastActivityTime),
		C2DCount: c.C2DCount, AuthenticationType: i.Authentication.Type,
		X509Thumbprint: twinThumbprintJSON(i.Authentication.X509Thumbprint),
		ModelID:        t.ModelID, Version: t.Version, Tags: t.Tags,
		Properties:   propertiesJSON{t.Desired.document(), t.Reported.document()},
		Capabilities: i.Capabilities, DeviceScope: i.DeviceScope, ParentScopes: i.ParentScopes,
		Configurations: c.Configurations,
	})
}

func (s Section) document() map[string]any {
	out := make(map[string]any, len(s.Values)+2)
	maps.Copy(out, s.Values)
	out["$metadata"], out["$version"] = s.Metadata.library(), s.Version
	return out
}

func (m *Metadata) library() map[string]any {
	out := map[string]any{"$lastUpdated": FormatTime(m.LastUpdated)}
	if m.LastUpdatedVersion != 0 {
		out["$lastUpdatedVersion"] = m.LastUpdatedVersion
	}
	for k, c := range m.Children {
		out[k] = c.library()
	}
	return out
}

type twinJSON struct {
	DeviceID           string             `json:"deviceId"`
	ModuleID           string             `json:"moduleId,omitempty"`
	ETag               string             `json:"etag"`
	DeviceETag         string             `json:"deviceEtag"`
	Status             Status             `json:"status"`
	StatusReason       string             `json:"statusReason,omitempty"`
	StatusUpdateTime   string             `json:"statusUpdateTime"`
	ConnectionState    string             `json:"connectionState"`
	LastActivityTime   string             `json:"lastActivityTime"`
	C2DCount           int                `json:"cloudToDeviceMessageCount"`
	AuthenticationType AuthenticationType `json:"authenticationType"`
	X509Thumbprint     twinThumbprintJSON `json:"x509Thumbprint"`
	ModelID            string             `json:"modelId"`
	Version            int64              `json:"version"`
	Tags               map[string]any     `json:"tags"`
	Properties         propertiesJSON     `json:"properties"`
	Capabilities       Capabilities       `json:"capabilities"`
	DeviceScope        string             `json:"deviceScope,omitempty"`
	ParentScopes       []string           `json:"parentScopes,omitempty"`
	Configurations     map[string]any     `json:"configurations,omitempty"`
}

type twinThumbprintJSON struct {
	PrimaryThumbprint   *string `json:"PrimaryThumbprint"`
	SecondaryThumbprint *string `json:"SecondaryThumbprint"`
}

type propertiesJSON struct {
	Desired  map[string]any `json:"desired"`
	Reported map[string]any `json:"reported"`
}

func libraryIdentity(i Identity, c ConnectionInfo) ([]byte, error) {
	if i.ID.IsModule() {
		return json.Marshal(moduleJSON{
			ModuleID: i.ID.ModuleID, ManagedBy: stringOrNull(i.ManagedBy), DeviceID: i.ID.DeviceID,
			GenerationID: i.GenerationID, ETag: i.ETag,
			ConnectionState: c.ConnectionState(), ConnectionStateUpdatedTime: FormatTime(c.StateUpdatedTime),
			LastActivityTime: FormatTime(c.LastActivityTime), C2DCount: c.C2DCount,
			Authentication: i.Authentication,
		})
	}
	return json.Marshal(deviceJSON{
		DeviceID: i.ID.DeviceID, GenerationID: i.GenerationID, ETag: i.ETag,
		ConnectionState: c.ConnectionState(), Status: i.Status, StatusReason: stringOrNull(i.StatusReason),
		ConnectionStateUpdatedTime: FormatTime(c.StateUpdatedTime), StatusUpdatedTime: FormatTime(i.StatusUpdatedTime),
		LastActivityTime: FormatTime(c.LastActivityTime), C2DCount: c.C2DCount,
		Authentication: i.Authentication, Capabilities: i.Capabilities,
		DeviceScope: i.DeviceScope, ParentScopes: i.ParentScopes,
	})
}

type deviceJSON struct {
	DeviceID                   string         `json:"deviceId"`
	GenerationID               string         `json:"generationId"`
	ETag                       string         `json:"etag"`
	ConnectionState            string         `json:"connectionState"`
	Status                     Status         `json:"status"`
	StatusReason               *string        `json:"statusReason"`
	ConnectionStateUpdatedTime string         `json:"connectionStateUpdatedTime"`
	StatusUpdatedTime          string         `json:"statusUpdatedTime"`
	LastActivityTime           string         `json:"lastActivityTime"`
	C2DCount                   int            `json:"cloudToDeviceMessageCount"`
	Authentication             Authentication `json:"authentication"`
	Capabilities               Capabilities   `json:"capabilities"`
	DeviceScope                string         `json:"deviceScope,omitempty"`
	ParentScopes               []string       `json:"parentScopes,omitempty"`
}

type moduleJSON struct {
	ModuleID                   string         `json:"moduleId"`
	ManagedBy                  *string        `json:"managedBy"`
	DeviceID                   string         `json:"deviceId"`
	GenerationID               string         `json:"generationId"`
	ETag                       string         `json:"etag"`
	ConnectionState            string         `json:"connectionState"`
	ConnectionStateUpdatedTime string         `json:"connectionStateUpdatedTime"`
	LastActivityTime           string         `json:"lastActivityTime"`
	C2DCount                   int            `json:"cloudToDeviceMessageCount"`
	Authentication             Authentication `json:"authentication"`
}

func drawJSON(t *rapid.T, depth int) any {
	kinds := []string{"null", "bool", "text", "number", "list"}
	if depth > 0 {
		kinds = append(kinds, "object", "object")
	}
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "bool":
		return rapid.Bool().Draw(t, "bool")
	case "text":
		return rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z]{0,8}`)).Draw(t, "text")
	case "number":
		return json.Number(rapid.SampledFrom([]string{"0", "-0", "1.50", "12345678901234567890123", "-7", "1E+2", "1e-7", "0.0"}).Draw(t, "number"))
	case "list":
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) any { return drawJSON(t, depth-1) }), 0, 3).Draw(t, "list")
	case "object":
		return drawObject(t, depth-1)
	}
	return nil
}

func drawObject(t *rapid.T, depth int) map[string]any {
	out := map[string]any{}
	for range rapid.IntRange(0, 4).Draw(t, "members") {
		out[rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-c]`)).Draw(t, "name")] = drawJSON(t, depth)
	}
	return out
}

func drawIdentity(t *rapid.T) Identity {
	text := rapid.OneOf(rapid.Just(""), rapid.String(), rapid.StringMatching(`[a-z<>&"]{1,6}`))
	at := time.UnixMilli(rapid.Int64Range(0, 4e12).Draw(t, "at"))
	i := Identity{
		ID:           ID{DeviceID: text.Draw(t, "device"), ModuleID: text.Draw(t, "module")},
		GenerationID: "63", ETag: text.Draw(t, "etag"), Status: StatusDisabled, StatusReason: text.Draw(t, "reason"),
		Authentication: Authentication{Type: AuthSAS, SymmetricKey: SymmetricKey{PrimaryKey: text.Draw(t, "key")}},
		Capabilities:   Capabilities{IoTEdge: rapid.Bool().Draw(t, "edge")}, DeviceScope: text.Draw(t, "scope"), ManagedBy: text.Draw(t, "by"),
	}
	if rapid.Bool().Draw(t, "more") {
		i.StatusUpdatedTime, i.ParentScopes = at, []string{text.Draw(t, "parent"), "b"}
		thumbprint := text.Draw(t, "thumbprint")
		i.Authentication.X509Thumbprint.SecondaryThumbprint = &thumbprint
	}
	return i
}

// What is written by hand says what encoding/json would.
func TestDocumentsAsTheLibraryWritesThem(t *testing.T) {
	same := func(t *rapid.T, got []byte, err error, want []byte, wantErr error) {
		t.Helper()
		if err != nil || wantErr != nil {
			t.Fatalf("%v, %v", err, wantErr)
		}
		if d := cmp.Diff(decoded(t, want), decoded(t, got)); d != "" {
			t.Fatalf("%s\n%s", got, d)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		now := time.UnixMilli(rapid.Int64Range(1, 4e12).Draw(t, "now"))
		i := drawIdentity(t)
		c := ConnectionInfo{Connected: rapid.Bool().Draw(t, "connected"), LastActivityTime: now, C2DCount: 3}
		twin := NewTwin(now)
		twin.Tags, twin.Desired.Values = drawObject(t, 3), drawObject(t, 3)
		twin.Desired = twin.Desired.merge(twin.Desired.Values, now, 7, 7)
		twin.Reported = twin.Reported.merge(drawObject(t, 2), now.Add(time.Second), 3, 0)
		twin.ModelID = rapid.SampledFrom([]string{"", "dtmi:a;1"}).Draw(t, "model")
		got, err := MarshalIdentity(i, c)
		want, wantErr := libraryIdentity(i, c)
		same(t, got, err, want, wantErr)
		got, err = MarshalTwin(i, twin, c)
		want, wantErr = libraryTwin(i, twin, c)
		same(t, got, err, want, wantErr)
		got, err = MarshalDesiredPatch(twin.Desired.Values, 4)
		values := maps.Clone(twin.Desired.Values)
		values["$version"] = 4
		want, wantErr = json.Marshal(values)
		same(t, got, err, want, wantErr)

		// The stored forms come back as they were.
		var identity Identity
		if err := unmarshal(i.AppendJSON(nil), &identity); err != nil {
			t.Fatal(err)
		}
		if text, err := json.Marshal(i); err != nil || len(text) == 0 {
			t.Fatal(err)
		} else if err := unmarshal(text, &i); err != nil { // as the library does with what is no UTF-8
			t.Fatal(err)
		}
		if d := cmp.Diff(i, identity, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
		stored, err := twin.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		var back Twin
		if err := unmarshal(stored, &back); err != nil {
			t.Fatal(err)
		}
		again, err := back.AppendJSON(nil)
		same(t, again, err, stored, nil)
		if members, ok := parsed(t, stored).(map[string]any); !ok {
			t.Fatal("no object")
		} else if fast, err := TwinOfStored(members); err != nil {
			t.Fatal(err)
		} else if d := cmp.Diff(back, fast, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
		if members, ok := parsed(t, i.AppendJSON(nil)).(map[string]any); !ok {
			t.Fatal("no object")
		} else if fast, err := IdentityOfStored(members); err != nil {
			t.Fatal(err)
		} else if d := cmp.Diff(identity, fast, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
		library, err := json.Marshal(twin)
		same(t, stored, err, library, nil)
	})
}

func unmarshal(text []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return dec.Decode(v)
}

func decoded(t *rapid.T, text []byte) any {
	t.Helper()
	var v any
	if err := unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// parsed is ParseStored, compared with the library.
func parsed(t *rapid.T, text []byte) any {
	t.Helper()
	v, err := ParseStored(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if d := cmp.Diff(decoded(t, text), v); d != "" {
		t.Fatal(d)
	}
	return v
}

// What the library reads, the parser reads the same; what is damaged is an error, not
// a panic.
func FuzzParseStored(f *testing.F) {
	for _, text := range []string{
		`{"a":[1,-2.5e3,"x\\\"\u00e9",null,true,false,{}],"b":{"c":[]}}`, `""`, ` [ 1 , 2 ] `, `{"a"`, `[1,`, `"\`, `{"a":}`, `nul`, `{}{}`,
		`{"twin":{"etag":"x"}}`, strings.Repeat("[", 1000),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := ParseStored(text)
		var want any
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		if dec.Decode(&want) == nil && !dec.More() && json.Valid(text) {
			if err != nil && !strings.Contains(err.Error(), "too deep") {
				t.Fatalf("%q: %v", text, err)
			}
			// Texts that are no UTF-8 are left as they are.
			if d := cmp.Diff(want, got); err == nil && d != "" && utf8.Valid(text) {
				t.Fatal(d)
			}
		}
		if members, ok := got.(map[string]any); ok && err == nil {
			_, _ = TwinOfStored(members)
			_, _ = IdentityOfStored(members)
		}
	})
}

// What is no JSON number is refused, not written.
func TestNumbersThatAreNone(t *testing.T) {
	for _, n := range []string{"nonsense", "01", "-", "1.", ".5", "+1", "0x10", "1e", "--1", "1.2.3", "NaN"} {
		if b, err := appendJSONValue(nil, []any{json.Number(n)}); err == nil {
			t.Errorf("%q was written as %s", n, b)
		}
	}
}

func BenchmarkMarshalTwin(b *testing.B) {
	i, twin := Identity{ID: ID{DeviceID: "device"}, Status: StatusEnabled}, NewTwin(time.Now())
	for n := range 20 {
		patch := map[string]any{"property" + string(rune('a'+n)): json.Number("12.5"), "deep": map[string]any{"er": "text"}}
		twin, _ = twin.Patch(TwinPatch{Tags: patch, Desired: patch}, time.Now())
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := MarshalTwin(i, twin, ConnectionInfo{}); err != nil {
			b.Fatal(err)
		}
	}
}
