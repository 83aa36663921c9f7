package wire

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// genValue makes any value up to a depth.
func genValue(depth int) *rapid.Generator[any] {
	scalar := rapid.OneOf(genScalar(), rapid.Just[any](nil), genSymbol().AsAny(), rapid.Just[any](Char('x')),
		rapid.Just[any](Decimal32{1}), rapid.Just[any](Decimal64{2}), rapid.Just[any](Decimal128{3}))
	if depth == 0 {
		return scalar
	}
	inner := genValue(depth - 1)
	return rapid.OneOf(scalar,
		rapid.Map(rapid.SliceOfN(inner, 0, 20), func(v []any) any { return List(v) }),
		rapid.Custom(func(t *rapid.T) any {
			m := Map{}
			for range rapid.IntRange(0, 10).Draw(t, "pairs") {
				m = m.Add(inner.Draw(t, "key"), inner.Draw(t, "value"))
			}
			return m
		}),
		rapid.Custom(func(t *rapid.T) any {
			return Described{rapid.OneOf(rapid.Uint64().AsAny(), genSymbol().AsAny()).Draw(t, "descriptor"), inner.Draw(t, "value")}
		}),
		genArray(),
	)
}

func genArray() *rapid.Generator[any] {
	array := func(t Type, item *rapid.Generator[any]) *rapid.Generator[any] {
		return rapid.Custom(func(rt *rapid.T) any {
			a := Array{Type: t, Items: rapid.SliceOfN(item, 0, 40).Draw(rt, "items")}
			if rapid.Bool().Draw(rt, "described") {
				a.Descriptors = []any{rapid.Uint64().Draw(rt, "descriptor")}
			}
			return a
		})
	}
	return rapid.OneOf(
		array(TypeString, genText().AsAny()), array(TypeSymbol, genSymbol().AsAny()), array(TypeBinary, rapid.SliceOfN(rapid.Byte(), 0, 300).AsAny()),
		array(TypeUint, rapid.Uint32().AsAny()), array(TypeLong, rapid.Int64().AsAny()), array(TypeBoolean, rapid.Bool().AsAny()),
		array(TypeUshort, rapid.Uint16().AsAny()), array(TypeTimestamp, genTime().AsAny()), array(TypeUlong, rapid.Uint64().AsAny()),
		array(TypeList, rapid.Map(rapid.SliceOfN(genScalar(), 0, 5), func(v []any) any { return List(v) })),
	)
}

func TestValueRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := genValue(3).Draw(t, "value")
		b, err := AppendValue(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		got, rest, err := DecodeValue(b)
		if err != nil || len(rest) != 0 {
			t.Fatalf("%x: rest %x, %v", b, rest, err)
		}
		if d := cmp.Diff(v, got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("(-want +got):\n%s", d)
		}
		if rest, err := Skip(b); err != nil || len(rest) != 0 {
			t.Fatalf("Skip leaves %x, %v", rest, err)
		}
	})
}

func TestPerformativeRoundTrip(t *testing.T) {
	state := rapid.SampledFrom([]DeliveryState{nil, Received{1, 1 << 40}, Accepted{}, Released{}, Rejected{}, Rejected{&Error{Condition: "c", Description: "d"}}, Modified{DeliveryFailed: true}})
	u32 := rapid.Uint32()
	rapid.Check(t, func(t *rapid.T) {
		for _, p := range []Performative{
			&Transfer{
				Handle: u32.Draw(t, "handle"), DeliveryID: genOpt(u32).Draw(t, "id"), MessageFormat: genOpt(u32).Draw(t, "format"),
				DeliveryTag: rapid.SliceOfN(rapid.Byte(), 1, 32).Draw(t, "tag"), Settled: rapid.Bool().Draw(t, "settled"), State: state.Draw(t, "state"),
			},
			&Flow{NextIncomingID: genOpt(u32).Draw(t, "in"), IncomingWindow: u32.Draw(t, "window"), Handle: genOpt(u32).Draw(t, "link"), LinkCredit: genOpt(u32).Draw(t, "credit")},
			&Disposition{Role: Role(rapid.Bool().Draw(t, "role")), First: u32.Draw(t, "first"), Last: genOpt(u32).Draw(t, "last"), State: state.Draw(t, "outcome")},
			&Attach{
				Name: genText().Draw(t, "name"), MaxMessageSize: rapid.Uint64().Draw(t, "size"), Properties: genStringMap(genValue(1)).Draw(t, "properties"),
				Source: &Source{Address: genText().Draw(t, "address"), Filter: genStringMap(genValue(2)).Draw(t, "filter"), DefaultOutcome: state.Draw(t, "default")},
				Target: &Target{Capabilities: []Symbol{genSymbol().Draw(t, "capability")}},
			},
			&Open{ContainerID: genText().Draw(t, "container"), MaxFrameSize: u32.Draw(t, "frame"), IdleTimeOut: u32.Draw(t, "idle")},
		} {
			b, err := p.Append(nil)
			if err != nil {
				t.Fatal(err)
			}
			got, rest, err := DecodePerformative(append(b, "rest"...))
			if err != nil || string(rest) != "rest" {
				t.Fatalf("%x: rest %x, %v", b, rest, err)
			}
			if d := cmp.Diff(p, got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("(-want +got):\n%s", d)
			}
		}
	})
}

// Claimed sizes and counts cost nothing until their bytes arrive.
func TestAllocationIsBounded(t *testing.T) {
	nested := bytes.Repeat([]byte{codeList32, 0, 0, 0xff, 0, 0, 0, 0xf0, 0}, 31)
	for name, b := range map[string][]byte{
		"lists that claim much":      append(nested, make([]byte, 1<<16)...),
		"array of nulls":             unhex(t, "f0 00 00 00 05 7f ff ff ff 40"),
		"many arrays of nulls":       append(unhex(t, "d0 00 00 ff ff 00 00 3f 00"), bytes.Repeat(unhex(t, "e0 02 ff 40"), 1<<14)...),
		"binary of 4 GiB":            unhex(t, "b0 ff ff ff ff 00"),
		"list of 2 G with one value": unhex(t, "d0 00 00 00 05 7f ff ff ff 40"),
	} {
		bounded(t, len(b), func() {
			if v, _, err := DecodeValue(b); err == nil {
				t.Errorf("%s: decodes as %T", name, v)
			}
		})
	}
}
