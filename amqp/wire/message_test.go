package wire

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// One message with every section, written out from OASIS AMQP 1.0 3.2.
const (
	vecHeader     = "00 53 70 c0 06 03 41 50 04 52 64 "
	vecDelivery   = "00 53 71 c1 06 02 a3 01 'd' 55 01 "
	vecMessage    = "00 53 72 c1 06 02 a3 01 'm' 50 02 "
	vecProperties = "00 53 73 c0 1d 09 53 07 a0 01 'u' a1 02 'to' 40 40 a1 01 'c' a3 02 'ct' 40 83 00 00 00 00 00 00 03 e8 "
	vecApp        = "00 53 74 c1 07 02 a1 01 'k' a1 01 'v' "
	vecData       = "00 53 75 a0 03 'one' "
	vecData2      = "00 53 75 b0 00 00 00 03 'two' "
	vecFooter     = "00 53 78 c1 06 02 a3 01 'f' 54 03 "
)

func TestMessageVectors(t *testing.T) {
	b := unhex(t, vecHeader+vecDelivery+vecMessage+vecProperties+vecApp+vecData+vecData2+vecFooter)
	m, err := ScanMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	header := Header{Durable: true, Priority: Some(uint8(4)), TTL: Some(uint32(100))}
	if h, err := m.Header(); err != nil || h != header {
		t.Errorf("header %+v, %v", h, err)
	}
	props := Properties{MessageID: uint64(7), UserID: []byte("u"), To: "to", CorrelationID: "c", ContentType: "ct", AbsoluteExpiryTime: time.UnixMilli(1000).UTC()}
	p, err := m.Properties()
	if d := cmp.Diff(props, p); d != "" || err != nil {
		t.Error(err, d)
	}
	maps := []struct {
		decode func() (Map, error)
		append func([]byte, Map) ([]byte, error)
		raw    []byte
		want   Map
	}{
		{m.DeliveryAnnotations, AppendDeliveryAnnotations, m.RawDeliveryAnnotations(), Map{{Symbol("d"), int64(1)}}},
		{m.MessageAnnotations, AppendMessageAnnotations, m.RawMessageAnnotations(), Map{{Symbol("m"), uint8(2)}}},
		{m.ApplicationProperties, AppendApplicationProperties, m.RawApplicationProperties(), Map{{"k", "v"}}},
		{m.Footer, AppendFooter, m.RawFooter(), Map{{Symbol("f"), int32(3)}}},
	}
	for _, s := range maps {
		got, err := s.decode()
		if d := cmp.Diff(s.want, got); d != "" || err != nil {
			t.Error(err, d)
		}
		if b, err := s.append(nil, s.want); err != nil || !bytes.Equal(b, s.raw) {
			t.Errorf("section is written %x, want %x", b, s.raw)
		}
	}
	if b := AppendHeader(nil, &header); !bytes.Equal(b, m.RawHeader()) {
		t.Errorf("header is written %x, want %x", b, m.RawHeader())
	}
	if b, err := AppendProperties(nil, &props); err != nil || !bytes.Equal(b, m.RawProperties()) {
		t.Errorf("properties are written %x, want %x", b, m.RawProperties())
	}
	if got := slices.Collect(m.DataSections()); len(got) != 2 || string(got[0]) != "one" || string(got[1]) != "two" {
		t.Errorf("data sections %q", got)
	}
	if string(m.Data()) != "onetwo" || m.BodyKind() != BodyData {
		t.Errorf("data %q, kind %d", m.Data(), m.BodyKind())
	}
	bare := slices.Concat(m.RawProperties(), m.RawApplicationProperties(), m.RawBody())
	if !bytes.Equal(bare, m.Bare()) || !bytes.HasPrefix(m.Bare(), []byte{0, 0x53, 0x73}) {
		t.Errorf("bare message %x", m.Bare())
	}
	if !bytes.Equal(m.Raw(), b) || !bytes.HasSuffix(b, m.RawFooter()) {
		t.Error("raw ranges are wrong")
	}
	for n := 1; n < len(b); n++ {
		if m, err := ScanMessage(b[:n]); err == nil && !bytes.Equal(slices.Concat(m.RawHeader(), m.RawDeliveryAnnotations(), m.RawMessageAnnotations(), m.Bare(), m.RawFooter()), b[:n]) {
			t.Errorf("the first %d bytes are cut wrongly", n)
		}
	}
}

// Ids keep their AMQP type: a peer compares the answer's id with its own.
func TestMessageIDTypes(t *testing.T) {
	for _, id := range []any{nil, uint64(0), uint64(300), UUID{1, 2, 3}, []byte{}, []byte{9}, "", "id", int32(5), uint32(5)} {
		b, err := AppendProperties(nil, &Properties{MessageID: id, CorrelationID: id})
		if err != nil {
			t.Fatal(err)
		}
		m, err := ScanMessage(AppendDataSection(b, nil))
		if err != nil {
			t.Fatal(err)
		}
		p, err := m.Properties()
		if d := cmp.Diff(Properties{MessageID: id, CorrelationID: id}, p); d != "" || err != nil {
			t.Error(err, d)
		}
	}
	if _, err := AppendProperties(nil, &Properties{MessageID: 5}); err == nil {
		t.Error("an int is taken as message-id")
	}
}

func TestMessageBodies(t *testing.T) {
	b, err := AppendValueSection(nil, Map{{"k", Strings("0")}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := ScanMessage(b)
	if err != nil || m.BodyKind() != BodyValue || m.Data() != nil {
		t.Fatal(m, err)
	}
	if v, err := m.Value(); err != nil || !cmp.Equal(v, any(Map{{"k", Strings("0")}})) {
		t.Errorf("%v, %v", v, err)
	}
	b, _ = AppendSequenceSection(nil, List{int32(1)})
	b, _ = AppendSequenceSection(b, List{})
	m, err = ScanMessage(b)
	if err != nil || m.BodyKind() != BodySequence {
		t.Fatal(m, err)
	}
	if l, err := m.Sequences(); err != nil || !cmp.Equal(l, []List{{int32(1)}, {}}) {
		t.Errorf("%v, %v", l, err)
	}
	if v, err := m.Value(); v != nil || err != nil {
		t.Errorf("a sequence has the value %v, %v", v, err)
	}
	m, err = ScanMessage(nil)
	if err != nil || m.BodyKind() != BodyNone || m.Data() != nil || len(m.Bare()) != 0 {
		t.Errorf("empty message: %+v, %v", m, err)
	}
	for _, section := range []string{"00 53 70 40", "00 53 73 45", "00 53 74 40", "00 80 00 00 00 00 00 00 00 74 c1 01 00", "00 a3 0f 'amqp:footer:map' c1 01 00"} {
		m, err := ScanMessage(unhex(t, section))
		if err != nil {
			t.Errorf("%s: %v", section, err)
		}
		if h, err := m.Header(); err != nil || h != (Header{}) {
			t.Errorf("%s: header %+v, %v", section, h, err)
		}
		if ap, err := m.ApplicationProperties(); err != nil || len(ap) != 0 {
			t.Errorf("%s: application-properties %v, %v", section, ap, err)
		}
	}
}

func TestMessageMalformed(t *testing.T) {
	var de *DecodeError
	var ue *UnknownDescriptorError
	for _, c := range []struct {
		name, bytes string
		target      any
	}{
		{"not described", "a0 00", &de},
		{"not a section", "00 53 24 45", &ue},
		{"unknown symbol", "00 a3 01 'x' 45", &ue},
		{"cut after descriptor", "00 53 75", &de},
		{"header is a map", "00 53 70 c1 01 00", &de},
		{"data is a string", "00 53 75 a1 00", &de},
		{"data is null", "00 53 75 40", &de},
		{"annotations are a list", "00 53 72 45", &de},
		{"sequence is a map", "00 53 76 c1 01 00", &de},
		{"two headers", "00 53 70 45 00 53 70 45", &de},
		{"properties before header", "00 53 73 45 00 53 70 45", &de},
		{"two values", "00 53 77 40 00 53 77 40", &de},
		{"data and value", "00 53 75 a0 00 00 53 77 40", &de},
		{"body after footer", "00 53 78 c1 01 00 00 53 75 a0 00", &de},
	} {
		if m, err := ScanMessage(unhex(t, c.bytes)); err == nil || !errors.As(err, c.target) {
			t.Errorf("%s: %+v, %v, want a %T", c.name, m, err, c.target)
		}
	}
	for _, props := range []string{"00 53 73 c0 02 01 45", "00 53 73 c0 03 01 40 40", "00 53 73 c0 05 03 40 40 a0 00"} {
		m, err := ScanMessage(unhex(t, props))
		if err != nil {
			t.Fatal(err)
		}
		if p, err := m.Properties(); !errors.As(err, &de) {
			t.Errorf("%s: %+v, %v", props, p, err)
		}
	}
}

// A map section written in place equals one made from a Map, at any size.
func TestBeginMapSection(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 1000} {
		got, c := BeginMapSection([]byte("x"), CodeMessageAnnotations)
		var m Map
		for i := range n {
			got = AppendLong(AppendSymbol(got, "k"), int64(i))
			m = m.Add(Symbol("k"), int64(i))
		}
		got = c.End(got, 2*n)
		want, err := AppendMessageAnnotations([]byte("x"), m)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d pairs: %x\nwant %x, %v", n, got, want, err)
		}
		if v, _, err := DecodeValue(got[1:]); err != nil || len(v.(Described).Value.(Map)) != n {
			t.Errorf("%d pairs: %v", n, err)
		}
	}
}
