package wire

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// This file compares the codecs the other way round: go-amqp's own messages, with every section and every type that it can
// write, read by us, written by us and read by go-amqp again. It has no decimals and no char; those are in the vectors and in
// the foreign clients of package conformance.

// genTheirs makes a value of every Go type that go-amqp writes, compounds nested up to depth.
func genTheirs(depth int) *rapid.Generator[any] {
	scalars := []*rapid.Generator[any]{
		rapid.Just[any](amqp.Null{}),
		rapid.Bool().AsAny(), rapid.Uint8().AsAny(), rapid.Uint16().AsAny(), rapid.Uint32().AsAny(), rapid.Uint64().AsAny(),
		rapid.Int8().AsAny(), rapid.Int16().AsAny(), rapid.Int32().AsAny(), rapid.Int64().AsAny(), rapid.Float32().AsAny(), rapid.Float64().AsAny(),
		genText().AsAny(), rapid.SliceOfN(rapid.Byte(), 0, 300).AsAny(), genTime().AsAny(), genTheirUUID().AsAny(), genTheirSymbol().AsAny(),
	}
	if depth == 0 {
		return rapid.OneOf(scalars...)
	}
	inner := rapid.Deferred(func() *rapid.Generator[any] { return genTheirs(depth - 1) })
	return rapid.OneOf(append(scalars,
		rapid.SliceOfN(inner, 0, 6).AsAny(),
		rapid.MapOfN(genText(), inner, 0, 6).AsAny(),
		// A key that is no string keeps go-amqp from making a map of strings.
		rapid.Map(rapid.MapOfN(rapid.OneOf(rapid.Uint64().AsAny(), rapid.Int32().AsAny(), rapid.Bool().AsAny()), inner, 1, 6),
			func(m map[any]any) any { return m }),
		// go-amqp takes an array whose numbers are all below 128 for one that fits into bytes, so these are not below -128;
		// and it refuses arrays of empty texts at the end of a message.
		genTheirArray(rapid.Int8()), genTheirArray(rapid.Uint16()), genTheirArray(rapid.Int16()), genTheirArray(rapid.Uint32()), genTheirArray(rapid.Int32Min(-128)),
		genTheirArray(rapid.Uint64()), genTheirArray(rapid.Int64Min(-128)), genTheirArray(rapid.Float32()), genTheirArray(rapid.Float64()), genTheirArray(rapid.Bool()),
		genTheirArray(rapid.StringN(1, 40, 300)), genTheirArray(genTheirSymbol()), genTheirArray(rapid.SliceOfN(rapid.Byte(), 1, 300)), genTheirArray(genNearTime()), genTheirArray(genTheirUUID()),
	)...)
}

func genTheirArray[T any](item *rapid.Generator[T]) *rapid.Generator[any] {
	return rapid.SliceOfN(item, 1, 8).AsAny()
}

// genNearTime makes times that nanoseconds can count, which is how go-amqp writes them in arrays.
func genNearTime() *rapid.Generator[time.Time] {
	return rapid.Map(rapid.Int64Range(-1<<42, 1<<42), func(ms int64) time.Time { return time.UnixMilli(ms).UTC() })
}

func genTheirUUID() *rapid.Generator[amqp.UUID] {
	return rapid.Map(rapid.SliceOfN(rapid.Byte(), 16, 16), func(b []byte) amqp.UUID { return amqp.UUID(b) })
}

func genTheirSymbol() *rapid.Generator[amqp.Symbol] {
	return rapid.Map(genSymbol(), func(s Symbol) amqp.Symbol { return amqp.Symbol(s) })
}

// genPointer is nil, or points to something that is not the zero value: what is empty is null for us.
func genPointer[T comparable](g *rapid.Generator[T]) *rapid.Generator[*T] {
	return rapid.Custom(func(t *rapid.T) *T {
		var zero T
		v := g.Draw(t, "value")
		if v == zero {
			return nil
		}
		return &v
	})
}

func genTheirAnnotations() *rapid.Generator[amqp.Annotations] {
	keys := rapid.OneOf(rapid.StringMatching(`x-[a-z]{1,20}`).AsAny(), rapid.Int64().AsAny())
	return rapid.Map(rapid.MapOfN(keys, genTheirs(2), 0, 5), func(m map[any]any) amqp.Annotations {
		if len(m) == 0 {
			return nil
		}
		return m
	})
}

func genTheirMessage() *rapid.Generator[*amqp.Message] {
	return rapid.Custom(func(t *rapid.T) *amqp.Message {
		m := &amqp.Message{
			DeliveryAnnotations:   genTheirAnnotations().Draw(t, "delivery annotations"),
			Annotations:           genTheirAnnotations().Draw(t, "message annotations"),
			ApplicationProperties: rapid.MapOfN(genText(), genTheirs(0), 0, 8).Draw(t, "application properties"),
			Footer:                genTheirAnnotations().Draw(t, "footer"),
		}
		if rapid.Bool().Draw(t, "header") {
			m.Header = &amqp.MessageHeader{
				Durable: rapid.Bool().Draw(t, "durable"), Priority: rapid.Uint8().Draw(t, "priority"),
				TTL:           time.Duration(rapid.Uint32().Draw(t, "ttl")) * time.Millisecond,
				FirstAcquirer: rapid.Bool().Draw(t, "first"), DeliveryCount: rapid.Uint32().Draw(t, "count"),
			}
		}
		if rapid.Bool().Draw(t, "properties") {
			m.Properties = &amqp.MessageProperties{
				MessageID: theirs(genID().Draw(t, "message-id")), UserID: rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "user"),
				To: genPointer(genText()).Draw(t, "to"), Subject: genPointer(genText()).Draw(t, "subject"), ReplyTo: genPointer(genText()).Draw(t, "reply-to"),
				CorrelationID: theirs(genID().Draw(t, "correlation-id")),
				ContentType:   genPointer(rapid.StringMatching(`[a-z/]{0,20}`)).Draw(t, "type"), ContentEncoding: genPointer(rapid.StringMatching(`[a-z]{0,9}`)).Draw(t, "encoding"),
				AbsoluteExpiryTime: genPointer(genTime()).Draw(t, "expires"), CreationTime: genPointer(genTime()).Draw(t, "created"),
				GroupID: genPointer(genText()).Draw(t, "group"), GroupSequence: genPointer(rapid.Uint32()).Draw(t, "sequence"),
				ReplyToGroupID: genPointer(genText()).Draw(t, "reply group"),
			}
		}
		switch rapid.IntRange(0, 3).Draw(t, "body") {
		case 0:
			m.Value = genTheirs(3).Draw(t, "value")
		case 1:
			m.Sequence = rapid.SliceOfN(rapid.SliceOfN(genTheirs(2), 0, 5), 1, 3).Draw(t, "sequences")
		default:
			m.Data = rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 600), 1, 3).Draw(t, "data")
		}
		return m
	})
}

// ours is what our decoder must make of a value that go-amqp wrote.
func ours(v any) any {
	switch v := v.(type) {
	case amqp.Null:
		return nil
	case amqp.UUID:
		return UUID(v)
	case amqp.Symbol:
		return Symbol(v)
	case []any:
		l := List{}
		for _, e := range v {
			l = append(l, ours(e))
		}
		return l
	case map[string]any:
		m := Map{}
		for k, e := range v {
			m = m.Add(k, ours(e))
		}
		return m
	case map[any]any:
		m := Map{}
		for k, e := range v {
			m = m.Add(k, ours(e))
		}
		return m
	case []int8:
		return arrayOf(TypeByte, v)
	case []uint16:
		return arrayOf(TypeUshort, v)
	case []int16:
		return arrayOf(TypeShort, v)
	case []uint32:
		return arrayOf(TypeUint, v)
	case []int32:
		return arrayOf(TypeInt, v)
	case []uint64:
		return arrayOf(TypeUlong, v)
	case []int64:
		return arrayOf(TypeLong, v)
	case []float32:
		return arrayOf(TypeFloat, v)
	case []float64:
		return arrayOf(TypeDouble, v)
	case []bool:
		return arrayOf(TypeBoolean, v)
	case []string:
		return arrayOf(TypeString, v)
	case []amqp.Symbol:
		return arrayOf(TypeSymbol, v)
	case [][]byte:
		return arrayOf(TypeBinary, v)
	case []time.Time:
		return arrayOf(TypeTimestamp, v)
	case []amqp.UUID:
		return arrayOf(TypeUUID, v)
	}
	return v
}

func arrayOf[T any](of Type, items []T) Array {
	a := Array{Type: of}
	for _, item := range items {
		a.Items = append(a.Items, ours(item))
	}
	return a
}

// annotationsOf is a map whose text keys are symbols.
func annotationsOf(a amqp.Annotations) Map {
	var m Map
	for k, v := range a {
		if text, ok := k.(string); ok {
			k = Symbol(text)
		}
		m = m.Add(k, ours(v))
	}
	return m
}

// asRead is what go-amqp itself reads of what it wrote: symbols that are values become strings.
func asRead(v any) any {
	switch v := v.(type) {
	case amqp.Null:
		return nil
	case amqp.Symbol:
		return string(v)
	case []any:
		l := []any{}
		for _, e := range v {
			l = append(l, asRead(e))
		}
		return l
	case map[string]any:
		if len(v) == 0 {
			return map[any]any{}
		}
		m := map[string]any{}
		for k, e := range v {
			m[k] = asRead(e)
		}
		return m
	case map[any]any:
		m := map[any]any{}
		for k, e := range v {
			m[k] = asRead(e)
		}
		return m
	}
	return v
}

func messageAsRead(m amqp.Message) *amqp.Message {
	for _, a := range []*amqp.Annotations{&m.DeliveryAnnotations, &m.Annotations, &m.Footer} {
		read := amqp.Annotations{}
		for k, v := range *a {
			read[k] = asRead(v)
		}
		*a = read
	}
	properties := map[string]any{}
	for k, v := range m.ApplicationProperties {
		properties[k] = asRead(v)
	}
	m.ApplicationProperties = properties
	m.Value = asRead(m.Value)
	var sequences [][]any
	for _, s := range m.Sequence {
		l, _ := asRead(s).([]any)
		sequences = append(sequences, l)
	}
	m.Sequence = sequences
	return &m
}

// anyOrder compares maps without regard to the order of their pairs, which go-amqp does not keep.
func anyOrder() cmp.Options {
	return cmp.Options{
		cmpopts.EquateEmpty(), cmpopts.EquateNaNs(),
		cmpopts.SortSlices(func(a, b MapEntry) bool {
			return fmt.Sprintf("%T %v", a.Key, a.Key) < fmt.Sprintf("%T %v", b.Key, b.Key)
		}),
	}
}

// What go-amqp writes, we read as the same message, section by section; what we then write of those sections, go-amqp reads as
// the message that it wrote.
func TestGoAMQPMessages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := genTheirMessage().Draw(t, "message")
		b, err := sent.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		m, err := ScanMessage(b)
		if err != nil {
			t.Fatalf("we refuse %x: %v", b, err)
		}
		equal := func(what string, got, want any, err error) {
			t.Helper()
			if d := cmp.Diff(want, got, anyOrder()); d != "" || err != nil {
				t.Fatalf("%s of %x: %v (-theirs +ours):\n%s", what, b, err, d)
			}
		}
		var again []byte
		if sent.Header != nil {
			h, err := m.Header()
			equal("header", h, Header{
				Durable: sent.Header.Durable, Priority: unless(sent.Header.Priority, 4), TTL: unless(uint32(sent.Header.TTL/time.Millisecond), 0),
				FirstAcquirer: sent.Header.FirstAcquirer, DeliveryCount: sent.Header.DeliveryCount,
			}, err)
			again = AppendHeader(again, &h)
		}
		copySection := func(what string, got Map, err error, want Map, add func([]byte, Map) ([]byte, error)) {
			t.Helper()
			equal(what, got, want, err)
			if got == nil {
				return
			}
			if again, err = add(again, got); err != nil {
				t.Fatal(err)
			}
		}
		notes, err := m.DeliveryAnnotations()
		copySection("delivery annotations", notes, err, annotationsOf(sent.DeliveryAnnotations), AppendDeliveryAnnotations)
		notes, err = m.MessageAnnotations()
		copySection("message annotations", notes, err, annotationsOf(sent.Annotations), AppendMessageAnnotations)
		if sent.Properties != nil {
			p, err := m.Properties()
			equal("properties", p, propertiesOf(sent.Properties), err)
			if again, err = AppendProperties(again, &p); err != nil {
				t.Fatal(err)
			}
		}
		app, err := m.ApplicationProperties()
		want, _ := ours(sent.ApplicationProperties).(Map)
		copySection("application properties", app, err, want, AppendApplicationProperties)
		switch m.BodyKind() {
		case BodyValue:
			v, err := m.Value()
			equal("value", v, ours(sent.Value), err)
			if again, err = AppendValueSection(again, v); err != nil {
				t.Fatal(err)
			}
		case BodySequence:
			all, err := m.Sequences()
			var want []List
			for _, s := range sent.Sequence {
				l, _ := ours(s).(List)
				want = append(want, l)
			}
			equal("sequences", all, want, err)
			for _, l := range all {
				if again, err = AppendSequenceSection(again, l); err != nil {
					t.Fatal(err)
				}
			}
		default:
			var all [][]byte
			for data := range m.DataSections() {
				all = append(all, data)
				again = AppendDataSection(again, data)
			}
			equal("data", all, sent.Data, nil)
			equal("joined data", m.Data(), bytes.Join(sent.Data, nil), nil)
		}
		notes, err = m.Footer()
		copySection("footer", notes, err, annotationsOf(sent.Footer), AppendFooter)

		var read amqp.Message
		if err := read.UnmarshalBinary(again); err != nil {
			t.Fatalf("go-amqp refuses %x: %v", again, err)
		}
		if d := cmp.Diff(messageAsRead(*sent), messageAsRead(read), cmpopts.IgnoreUnexported(amqp.Message{}), cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); d != "" {
			t.Fatalf("(-sent +after our codec):\n%s", d)
		}
	})
}

// unless is null for the value that go-amqp does not write.
func unless[T comparable](v, left T) (o Opt[T]) {
	if v != left {
		o = Some(v)
	}
	return o
}

func propertiesOf(p *amqp.MessageProperties) Properties {
	o := Properties{
		MessageID: ours(p.MessageID), UserID: p.UserID, To: value(p.To), Subject: value(p.Subject), ReplyTo: value(p.ReplyTo),
		CorrelationID: ours(p.CorrelationID), ContentType: Symbol(value(p.ContentType)), ContentEncoding: Symbol(value(p.ContentEncoding)),
		AbsoluteExpiryTime: value(p.AbsoluteExpiryTime), CreationTime: value(p.CreationTime), GroupID: value(p.GroupID),
		ReplyToGroupID: value(p.ReplyToGroupID),
	}
	if p.GroupSequence != nil {
		o.GroupSequence = Some(*p.GroupSequence)
	}
	return o
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
