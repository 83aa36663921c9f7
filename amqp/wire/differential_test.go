package wire

import (
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// theirs turns a value of ours into the Go type that go-amqp uses for it.
func theirs(v any) any {
	if u, ok := v.(UUID); ok {
		return amqp.UUID(u)
	}
	return v
}

func genText() *rapid.Generator[string] { return rapid.StringN(0, 40, 300) }

// genScalar makes scalars that both codecs keep apart: go-amqp gives a symbol
// that is a value as a string, so symbols are compared only where it keeps them.
func genScalar() *rapid.Generator[any] {
	return rapid.OneOf(
		rapid.Bool().AsAny(), rapid.Uint8().AsAny(), rapid.Uint16().AsAny(), rapid.Uint32().AsAny(), rapid.Uint64().AsAny(),
		rapid.Int8().AsAny(), rapid.Int16().AsAny(), rapid.Int32().AsAny(), rapid.Int64().AsAny(), rapid.Float32().AsAny(), rapid.Float64().AsAny(),
		genText().AsAny(), rapid.SliceOfN(rapid.Byte(), 0, 300).AsAny(), genTime().AsAny(),
		rapid.Custom(func(t *rapid.T) UUID { return UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uuid")) }).AsAny(),
	)
}

func genSymbol() *rapid.Generator[Symbol] {
	return rapid.Map(rapid.StringMatching(`[a-z:.-]{1,300}`), func(s string) Symbol { return Symbol(s) })
}

func genTime() *rapid.Generator[time.Time] {
	return rapid.Map(rapid.Int64Range(-1<<45, 1<<45), func(ms int64) time.Time { return time.UnixMilli(ms).UTC() })
}

func genID() *rapid.Generator[any] {
	return rapid.OneOf(rapid.Just[any](nil), rapid.Uint64().AsAny(), genText().AsAny(), rapid.SliceOfN(rapid.Byte(), 0, 40).AsAny(), rapid.Just[any](UUID{1, 2}))
}

func genOpt[T any](g *rapid.Generator[T]) *rapid.Generator[Opt[T]] {
	return rapid.Custom(func(t *rapid.T) (o Opt[T]) {
		if rapid.Bool().Draw(t, "set") {
			o = Some(g.Draw(t, "value"))
		}
		return o
	})
}

func genProperties() *rapid.Generator[Properties] {
	return rapid.Custom(func(t *rapid.T) Properties {
		p := Properties{
			MessageID: genID().Draw(t, "message-id"), CorrelationID: genID().Draw(t, "correlation-id"),
			To: genText().Draw(t, "to"), Subject: genText().Draw(t, "subject"), ReplyTo: genText().Draw(t, "reply-to"),
			GroupID: genText().Draw(t, "group"), ReplyToGroupID: genText().Draw(t, "reply group"),
			GroupSequence: genOpt(rapid.Uint32()).Draw(t, "sequence"),
		}
		if rapid.Bool().Draw(t, "more") {
			p.UserID = rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "user")
			p.ContentType = genSymbol().Draw(t, "type")
			p.ContentEncoding = genSymbol().Draw(t, "encoding")
			p.CreationTime = genTime().Draw(t, "created")
			p.AbsoluteExpiryTime = genTime().Draw(t, "expires")
		}
		return p
	})
}

func genStringMap(values *rapid.Generator[any]) *rapid.Generator[Map] {
	return rapid.Custom(func(t *rapid.T) (m Map) {
		for _, k := range rapid.SliceOfNDistinct(genText(), 0, 12, rapid.ID).Draw(t, "keys") {
			m = m.Add(k, values.Draw(t, "value"))
		}
		return m
	})
}

func buildMessage(t *rapid.T, h Header, notes Map, p Properties, app Map, data []byte) []byte {
	b := AppendHeader(nil, &h)
	var errs [3]error
	b, errs[0] = AppendMessageAnnotations(b, notes)
	b, errs[1] = AppendProperties(b, &p)
	b, errs[2] = AppendApplicationProperties(b, app)
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return AppendDataSection(b, data)
}

// What we write, go-amqp reads as the same message; what it then writes, we read
// as the same message.
func TestAgainstGoAMQP(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Header{
			Durable: rapid.Bool().Draw(t, "durable"), FirstAcquirer: rapid.Bool().Draw(t, "first"), DeliveryCount: rapid.Uint32().Draw(t, "count"),
			Priority: genOpt(rapid.Uint8()).Draw(t, "priority"), TTL: genOpt(rapid.Uint32Range(1, 1<<32-1)).Draw(t, "ttl"),
		}
		p := genProperties().Draw(t, "properties")
		app := genStringMap(genScalar()).Draw(t, "application properties")
		var notes Map
		for _, e := range genStringMap(genScalar()).Draw(t, "annotations") {
			notes = notes.Add(Symbol("x-"+hexOf(e.Key.(string))), e.Value)
		}
		data := rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "data")
		b := buildMessage(t, h, notes, p, app, data)

		var other amqp.Message
		if err := other.UnmarshalBinary(b); err != nil {
			t.Fatalf("go-amqp refuses %x: %v", b, err)
		}
		if string(other.GetData()) != string(data) || len(other.ApplicationProperties) != len(app) || len(other.Annotations) != len(notes) {
			t.Fatalf("go-amqp reads %+v", other)
		}
		for _, e := range app {
			if d := cmp.Diff(theirs(e.Value), other.ApplicationProperties[e.Key.(string)], cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("application property (-ours +theirs):\n%s", d)
			}
		}
		for _, e := range notes {
			if d := cmp.Diff(theirs(e.Value), other.Annotations[string(e.Key.(Symbol))], cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("annotation (-ours +theirs):\n%s", d)
			}
		}
		if q := other.Properties; q != nil {
			if d := cmp.Diff([]any{theirs(p.MessageID), theirs(p.CorrelationID)}, []any{q.MessageID, q.CorrelationID}, cmpopts.EquateEmpty()); d != "" {
				t.Fatalf("ids (-ours +theirs):\n%s", d)
			}
		}

		again, err := other.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		m, err := ScanMessage(again)
		if err != nil {
			t.Fatalf("we refuse %x: %v", again, err)
		}
		gotP, err := m.Properties()
		if d := cmp.Diff(p, gotP, cmpopts.EquateEmpty()); d != "" || err != nil {
			t.Fatalf("properties: %v (-sent +returned):\n%s", err, d)
		}
		gotApp, err := m.ApplicationProperties()
		if d := cmp.Diff(app, gotApp, cmpopts.EquateEmpty(), cmpopts.EquateNaNs(), byKey()); d != "" || err != nil {
			t.Fatalf("application properties: %v (-sent +returned):\n%s", err, d)
		}
		gotNotes, err := m.MessageAnnotations()
		if d := cmp.Diff(notes, gotNotes, cmpopts.EquateEmpty(), cmpopts.EquateNaNs(), byKey()); d != "" || err != nil {
			t.Fatalf("annotations: %v (-sent +returned):\n%s", err, d)
		}
		if string(m.Data()) != string(data) {
			t.Fatalf("data %x, want %x", m.Data(), data)
		}
	})
}

// byKey ignores the order of map pairs, which go-amqp loses.
func byKey() cmp.Option {
	return cmpopts.SortSlices(func(a, b MapEntry) bool { return keyText(a.Key) < keyText(b.Key) })
}

func keyText(k any) string {
	if s, ok := k.(Symbol); ok {
		return string(s)
	}
	return k.(string)
}

// hexOf makes a distinct ASCII key of any string.
func hexOf(s string) string {
	const digits = "0123456789abcdef"
	var b []byte
	for _, c := range []byte(s) {
		b = append(b, digits[c>>4], digits[c&15])
	}
	return string(b)
}
