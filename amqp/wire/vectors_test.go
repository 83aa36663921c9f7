package wire

import (
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// unhex turns spaced hex digits, and quoted text between them, into bytes.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	var out []byte
	for i, part := range strings.Split(s, "'") {
		if i%2 == 1 {
			out = append(out, part...)
			continue
		}
		b, err := hex.DecodeString(strings.Join(strings.Fields(part), ""))
		if err != nil {
			t.Fatalf("bad test bytes %q: %v", s, err)
		}
		out = append(out, b...)
	}
	return out
}

// The encodings of OASIS AMQP 1.0 1.6, in the form that is written.
func TestValueVectors(t *testing.T) {
	long := strings.Repeat("a", 256)
	for _, c := range []struct {
		name  string
		bytes string
		value any
	}{
		{"null", "40", nil},
		{"true", "41", true},
		{"false", "42", false},
		{"ubyte", "50 ff", uint8(255)},
		{"ushort", "60 ff fe", uint16(65534)},
		{"uint0", "43", uint32(0)},
		{"smalluint", "52 ff", uint32(255)},
		{"uint", "70 00 00 01 00", uint32(256)},
		{"ulong0", "44", uint64(0)},
		{"smallulong", "53 01", uint64(1)},
		{"ulong", "80 00 00 00 13 70 00 00 0a", uint64(0x137000000a)},
		{"byte", "51 80", int8(-128)},
		{"short", "61 ff fe", int16(-2)},
		{"smallint", "54 ff", int32(-1)},
		{"int", "71 00 00 00 c8", int32(200)},
		{"smalllong", "55 80", int64(-128)},
		{"long", "81 ff ff ff ff ff ff ff 7f", int64(-129)},
		{"float", "72 3f 80 00 00", float32(1)},
		{"double", "82 c0 00 00 00 00 00 00 00", float64(-2)},
		{"decimal32", "74 22 50 00 01", Decimal32{0x22, 0x50, 0, 1}},
		{"decimal64", "84 22 34 00 00 00 00 00 01", Decimal64{0x22, 0x34, 0, 0, 0, 0, 0, 1}},
		{"decimal128", "94 22 08 00 00 00 00 00 00 00 00 00 00 00 00 00 01", Decimal128{0x22, 8, 15: 1}},
		{"char", "73 00 01 f6 00", Char(0x1f600)},
		{"timestamp", "83 00 00 01 2f d8 14 a0 01", time.UnixMilli(0x12fd814a001).UTC()},
		{"timestamp before 1970", "83 ff ff ff ff ff ff ff ff", time.UnixMilli(-1).UTC()},
		{"uuid", "98 00 11 22 33 44 55 66 77 88 99 aa bb cc dd ee ff", UUID{0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}},
		{"binary", "a0 02 00 ff", []byte{0, 255}},
		{"empty binary", "a0 00", []byte{}},
		{"binary32", "b0 00 00 01 00 '" + long + "'", []byte(long)},
		{"string", "a1 05 'h' c3 a9 'ho'", "hého"},
		{"string32", "b1 00 00 01 00 '" + long + "'", long},
		{"symbol", "a3 03 'abc'", Symbol("abc")},
		{"symbol32", "b3 00 00 01 00 '" + long + "'", Symbol(long)},
		{"list0", "45", List{}},
		{"list8", "c0 05 03 54 01 40 41", List{int32(1), nil, true}},
		{"list32", "d0 00 00 01 0a 00 00 00 02 b1 00 00 01 00 '" + long + "' 41", List{long, true}},
		{"empty map", "c1 01 00", Map{}},
		{"map8", "c1 0a 04 a1 01 'k' 54 01 a3 01 'k' 42", Map{{"k", int32(1)}, {Symbol("k"), false}}},
		{"map32", "d1 00 00 01 0c 00 00 00 02 a3 01 'k' b1 00 00 01 00 '" + long + "'", Map{{Symbol("k"), long}}},
		{"array of symbols", "e0 0d 02 a3 05 'PLAIN' 04 'EXTL'", Symbols("PLAIN", "EXTL")},
		{"array of one symbol", "e0 08 01 a3 05 'PLAIN'", Symbols("PLAIN")},
		{"array of strings", "e0 06 02 a1 01 '0' 01 '1'", Strings("0", "1")},
		{"empty array", "e0 02 00 a1", Array{Type: TypeString, Items: []any{}}},
		{"array of long strings", "f0 00 00 01 09 00 00 00 01 b1 00 00 01 00 '" + long + "'", Strings(long)},
		{"array of ints", "e0 0a 02 71 00 00 00 01 ff ff ff ff", Array{Type: TypeInt, Items: []any{int32(1), int32(-1)}}},
		{"array of booleans", "e0 04 02 56 01 00", Array{Type: TypeBoolean, Items: []any{true, false}}},
		{"array of ubytes", "e0 03 01 50 07", Array{Type: TypeUbyte, Items: []any{uint8(7)}}},
		{"array of uuids", "e0 12 01 98 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01", Array{Type: TypeUUID, Items: []any{UUID{15: 1}}}},
		{"array of described", "e0 06 01 00 53 25 50 07", Array{Type: TypeUbyte, Descriptors: []any{uint64(0x25)}, Items: []any{uint8(7)}}},
		{"array of lists", "e0 13 02 d0 00 00 00 05 00 00 00 01 41 00 00 00 04 00 00 00 00", Array{Type: TypeList, Items: []any{List{true}, List{}}}},
		{"array of maps", "e0 0d 01 d1 00 00 00 07 00 00 00 02 54 01 41", Array{Type: TypeMap, Items: []any{Map{{int32(1), true}}}}},
		{"array of arrays", "e0 0c 01 f0 00 00 00 06 00 00 00 01 50 07", Array{Type: TypeArray, Items: []any{Array{Type: TypeUbyte, Items: []any{uint8(7)}}}}},
		{"array of nulls", "e0 02 03 40", Array{Type: TypeNull, Items: []any{nil, nil, nil}}},
		{"described by smallulong", "00 53 77 a1 01 'x'", Described{uint64(0x77), "x"}},
		{"described by ulong", "00 80 00 00 46 8c 00 00 00 04 a1 01 'x'", Described{uint64(0x468c00000004), "x"}},
		{"described by symbol", "00 a3 03 'a:b' a1 01 'x'", Described{Symbol("a:b"), "x"}},
		{"described twice", "00 53 01 00 53 02 40", Described{uint64(1), Described{uint64(2), nil}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := unhex(t, c.bytes)
			got, err := AppendValue([]byte("prefix"), c.value)
			if err != nil || string(got) != "prefix"+string(want) {
				t.Errorf("AppendValue = %x, %v\nwant %x", got[6:], err, want)
			}
			v, rest, err := DecodeValue(append(want, 0xee))
			if err != nil || string(rest) != "\xee" {
				t.Fatalf("DecodeValue: rest %x, %v", rest, err)
			}
			if d := cmp.Diff(c.value, v); d != "" {
				t.Errorf("DecodeValue (-want +got):\n%s", d)
			}
			if rest, err := Skip(append(want, 0xee)); err != nil || string(rest) != "\xee" {
				t.Errorf("Skip: rest %x, %v", rest, err)
			}
			for n := range want {
				if v, _, err := DecodeValue(want[:n]); err == nil {
					t.Errorf("the first %d bytes decode as %v", n, v)
				}
			}
		})
	}
}

// Encodings that are not written but must be read.
func TestValueAlternatives(t *testing.T) {
	for _, c := range []struct {
		bytes string
		value any
	}{
		{"56 01", true},
		{"56 00", false},
		{"70 00 00 00 00", uint32(0)},
		{"52 00", uint32(0)},
		{"80 00 00 00 00 00 00 00 05", uint64(5)},
		{"53 00", uint64(0)},
		{"71 ff ff ff ff", int32(-1)},
		{"81 ff ff ff ff ff ff ff ff", int64(-1)},
		{"b0 00 00 00 01 07", []byte{7}},
		{"b1 00 00 00 01 'x'", "x"},
		{"b3 00 00 00 01 'x'", Symbol("x")},
		{"c0 01 00", List{}},
		{"d0 00 00 00 05 00 00 00 01 41", List{true}},
		{"d1 00 00 00 06 00 00 00 02 43 41", Map{{uint32(0), true}}},
		{"f0 00 00 00 06 00 00 00 01 50 07", Array{Type: TypeUbyte, Items: []any{uint8(7)}}},
		{"e0 04 02 52 01 02", Array{Type: TypeUint, Items: []any{uint32(1), uint32(2)}}},
		{"e0 02 02 43", Array{Type: TypeUint, Items: []any{uint32(0), uint32(0)}}},
		{"e0 02 01 41", Array{Type: TypeBoolean, Items: []any{true}}},
		{"e0 02 01 45", Array{Type: TypeList, Items: []any{List{}}}},
		{"e0 05 01 c0 02 01 41", Array{Type: TypeList, Items: []any{List{true}}}},
		{"00 44 40", Described{uint64(0), nil}},
		{"72 7f c0 00 01", math.Float32frombits(0x7fc00001)},
	} {
		v, rest, err := DecodeValue(unhex(t, c.bytes))
		if err != nil || len(rest) != 0 {
			t.Errorf("%s: rest %x, %v", c.bytes, rest, err)
			continue
		}
		if f, ok := v.(float32); ok {
			if math.Float32bits(f) != math.Float32bits(c.value.(float32)) {
				t.Errorf("%s: NaN payload changed", c.bytes)
			}
			continue
		}
		if d := cmp.Diff(c.value, v); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.bytes, d)
		}
	}
}

func TestValueMalformed(t *testing.T) {
	for _, c := range []struct{ name, bytes string }{
		{"nothing", ""},
		{"unknown empty code", "46"},
		{"unknown fixed code", "57 00"},
		{"unknown variable code", "a2 00"},
		{"unknown compound code", "c2 01 00"},
		{"unknown array code", "e1 02 00 40"},
		{"reserved code", "10"},
		{"boolean 2", "56 02"},
		{"string not UTF-8", "a1 01 ff"},
		{"symbol not ASCII", "a3 02 c3 a9"},
		{"size above input", "b0 ff ff ff ff 00"},
		{"list with no count", "c0 00"},
		{"list too short", "c0 02 02 41"},
		{"list too long", "c0 03 01 41 41"},
		{"list count above bytes", "d0 00 00 00 05 ff ff ff ff 41"},
		{"map with odd count", "c1 02 01 41"},
		{"map too long", "c1 04 02 41 41 41"},
		{"array without constructor", "e0 01 00"},
		{"array with unknown constructor", "e0 02 00 46"},
		{"array count above bytes", "f0 00 00 00 06 ff ff ff ff 50 07"},
		{"array of countless nulls", "f0 00 00 00 05 7f ff ff ff 40"},
		{"array too long", "e0 04 01 50 07 07"},
		{"element unlike constructor", "e0 03 01 56 02"},
		{"descriptor alone", "00 53 70"},
		{"deep lists", strings.Repeat("c0 7f 01", 40)},
		{"deep descriptors", strings.Repeat("00", 100)},
		{"deep descriptions", strings.Repeat("00 40", 100) + "40"},
		{"deep array constructor", "e0 7f 00" + strings.Repeat("00 40", 50) + "40"},
	} {
		v, _, err := DecodeValue(unhex(t, c.bytes))
		var de *DecodeError
		if !errors.As(err, &de) {
			t.Errorf("%s: value %v, error %v, want a DecodeError", c.name, v, err)
		}
	}
}

func TestDepth(t *testing.T) {
	deep := func(n int) any {
		var v any
		for range n {
			v = List{v}
		}
		return v
	}
	b, err := AppendValue(nil, deep(32))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := DecodeValue(b); err != nil {
		t.Errorf("depth 32 is refused: %v", err)
	}
	var ve *ValueError
	if _, err := AppendValue(nil, deep(33)); !errors.As(err, &ve) {
		t.Errorf("depth 33 is encoded: %v", err)
	}
}

func TestValueErrors(t *testing.T) {
	for name, v := range map[string]any{
		"int":                  1,
		"inside a list":        List{struct{}{}},
		"inside a map":         Map{{"k", []string{"x"}}},
		"map key":              Map{{complex64(1), nil}},
		"descriptor":           Described{1, nil},
		"described":            Described{uint64(1), 1},
		"array of other type":  Array{Type: TypeInt, Items: []any{int64(1)}},
		"array of mixed types": Array{Type: TypeString, Items: []any{"a", Symbol("b")}},
		"array list as map":    Array{Type: TypeMap, Items: []any{List{true}}},
		"array map as list":    Array{Type: TypeList, Items: []any{Map{}}},
		"array null in ints":   Array{Type: TypeInt, Items: []any{nil}},
		"array ushort/short":   Array{Type: TypeShort, Items: []any{uint16(1)}},
		"array unknown type":   Array{Type: 99},
		"array descriptor":     Array{Type: TypeInt, Descriptors: []any{1}},
		"too many nulls":       Array{Type: TypeNull, Items: make([]any, 257)},
	} {
		var ve *ValueError
		if b, err := AppendValue(nil, v); !errors.As(err, &ve) {
			t.Errorf("%s: %x, %v, want a ValueError", name, b, err)
		}
	}
}

func TestMapLookups(t *testing.T) {
	m := Map{{Symbol("a"), Symbol("x")}, {"b", uint8(7)}, {int32(1), "n"}, {"big", uint64(math.MaxUint64)}, {"a", "second"}}
	if v, ok := m.Text("a"); v != "x" || !ok {
		t.Errorf("a = %q, %v", v, ok)
	}
	if n, ok := m.Integer("b"); n != 7 || !ok {
		t.Errorf("b = %d, %v", n, ok)
	}
	if _, ok := m.Integer("big"); ok {
		t.Error("a ulong above the long range is given as an int64")
	}
	if _, ok := m.Get("c"); ok {
		t.Error("c is found")
	}
	if _, ok := m.Text("b"); ok {
		t.Error("b is given as text")
	}
	for _, v := range []any{int8(-3), int16(-3), int32(-3), int64(-3)} {
		if n, ok := (Map{}).Add("k", v).Integer("k"); n != -3 || !ok {
			t.Errorf("%T: %d, %v", v, n, ok)
		}
	}
	if s := (UUID{0xab, 15: 1}).String(); s != "ab000000-0000-0000-0000-000000000001" {
		t.Error(s)
	}
}
