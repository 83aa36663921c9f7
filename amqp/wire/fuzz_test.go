package wire

import (
	"bytes"
	"runtime/metrics"
	"testing"
)

// allocated is how many bytes of heap the process has ever asked for. Small
// objects show up in it late, so the bound below is for the large ones.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// bounded fails if f allocates much more than n bytes of input justify.
func bounded(t *testing.T, n int, f func()) {
	t.Helper()
	before := allocated()
	f()
	if got := allocated() - before; got > 1<<20+uint64(n)*256 {
		t.Fatalf("%d bytes of input made it allocate %d", n, got)
	}
}

func FuzzValue(f *testing.F) {
	for _, s := range []string{
		"40", "c0 05 03 54 01 40 41", "c1 0a 04 a1 01 'k' 54 01 a3 01 'k' 42", "e0 0d 02 a3 05 'PLAIN' 04 'EXTL'",
		"e0 06 01 00 53 25 50 07", "00 80 00 00 46 8c 00 00 00 04 a1 01 'x'", "f0 00 00 00 05 7f ff ff ff 40",
		"d0 ff ff ff ff ff ff ff ff", "e0 02 02 45", "94 22 08 00 00 00 00 00 00 00 00 00 00 00 00 00 01",
	} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v any
		var rest []byte
		var err error
		bounded(t, len(b), func() { v, rest, err = DecodeValue(b) })
		if err != nil {
			return
		}
		skipped, err := Skip(b)
		if err != nil || len(skipped) != len(rest) {
			t.Fatalf("Skip leaves %d bytes, DecodeValue %d, %v", len(skipped), len(rest), err)
		}
		once, err := AppendValue(nil, v)
		if err != nil {
			t.Fatalf("%#v does not encode: %v", v, err)
		}
		again, rest, err := DecodeValue(once)
		if err != nil || len(rest) != 0 {
			t.Fatalf("%x does not decode: %v", once, err)
		}
		// Bytes are compared, not values: NaN differs from itself.
		twice, err := AppendValue(nil, again)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("unstable: %x, then %x, %v", once, twice, err)
		}
	})
}

func FuzzFrame(f *testing.F) {
	for _, s := range []string{
		"00 00 00 08 02 00 00 00",
		"00 00 00 0f 02 00 01 02 00 53 17 c0 02 01 40",
		"00 00 00 0c 03 00 00 00 de ad be ef",
		"ff ff ff ff 02 00 00 00",
		"00 00 00 11 02 01 00 00 00 53 44 c0 04 02 50 00 40",
		"00 00 00 1f 02 00 00 00 00 53 14 c0 12 0b 43 43 a0 04 00 00 00 01 43 42 42 40 40 42 42 42",
		"00 00 00 18 02 00 00 00 00 53 15 c0 0b 06 41 43 52 09 41 00 53 24 45 42",
		"00 00 00 35 02 00 00 00 00 53 12 c0 28 07 a1 01 'n' 43 41 50 02 50 00 00 53 28 c0 14 08 a1 01 's' 40 40 40 40 40 40 c1 08 02 a3 01 'f' a1 01 'v' 40 00 53 29 45",
	} {
		f.Add(unhex(f, s))
	}
	for _, p := range []Performative{
		&Open{ContainerID: "c", MaxFrameSize: 65536, IdleTimeOut: 1000, Properties: Map{{Symbol("k"), "v"}}},
		&Begin{HandleMax: 255},
		&Attach{Name: "n", Source: &Source{Address: "s", Filter: Map{{Symbol("f"), Described{uint64(1), "v"}}}}, Target: &Target{Address: "t"}},
		&Flow{Handle: Some(uint32(1)), LinkCredit: Some(uint32(100))},
		&Close{Error: &Error{Condition: ErrConnectionForced, Description: "d", Info: Map{}}},
		&SASLMechanisms{Mechanisms: []Symbol{"PLAIN", "ANONYMOUS"}},
		&SASLInit{Mechanism: "PLAIN", InitialResponse: []byte("\x00u\x00p")},
	} {
		b, err := AppendFrame(nil, 1, p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		bounded(t, len(b), func() {
			r := NewReader(bytes.NewReader(b), 4096)
			for {
				frame, err := r.ReadFrame()
				if err != nil {
					return
				}
				p, payload, err := DecodePerformative(frame.Body)
				if err != nil {
					continue
				}
				checkStable(t, p, payload)
			}
		})
	})
}

// checkStable checks that what p is written as reads as the same.
func checkStable(t *testing.T, p Performative, payload []byte) {
	t.Helper()
	once, err := p.Append(nil)
	if err != nil {
		t.Fatalf("%+v does not encode: %v", p, err)
	}
	again, rest, err := DecodePerformative(append(bytes.Clone(once), payload...))
	if err != nil || !bytes.Equal(rest, payload) {
		t.Fatalf("%x does not decode: %v", once, err)
	}
	twice, err := again.Append(nil)
	if err != nil || !bytes.Equal(once, twice) {
		t.Fatalf("unstable: %x, then %x, %v", once, twice, err)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(unhex(f, vecHeader+vecDelivery+vecMessage+vecProperties+vecApp+vecData+vecData2+vecFooter))
	f.Add(unhex(f, vecProperties+"00 53 77 a1 01 'x'"))
	f.Add(unhex(f, "00 53 76 c0 02 01 41 00 53 76 45"))
	f.Add(unhex(f, "00 53 75 b0 ff ff ff ff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		bounded(t, len(b), func() { checkMessage(t, b) })
	})
}

func checkMessage(t *testing.T, b []byte) {
	t.Helper()
	m, err := ScanMessage(b)
	if err != nil {
		return
	}
	var cut []byte
	for g := range sectionGroups {
		cut = append(cut, m.group(g)...)
	}
	if !bytes.Equal(cut, b) {
		t.Fatalf("sections %x of message %x", cut, b)
	}
	if h, err := m.Header(); err == nil {
		once := AppendHeader(nil, &h)
		if again, err := decodeHeader(once); err != nil || again != h {
			t.Fatalf("header %+v becomes %+v, %v", h, again, err)
		}
	}
	if p, err := m.Properties(); err == nil {
		once, err := AppendProperties(nil, &p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeProperties(once)
		if err != nil {
			t.Fatalf("%x does not decode: %v", once, err)
		}
		if twice, err := AppendProperties(nil, &again); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("properties are unstable: %x, then %x, %v", once, twice, err)
		}
	}
	for _, section := range []func() (Map, error){m.DeliveryAnnotations, m.MessageAnnotations, m.ApplicationProperties, m.Footer} {
		if s, err := section(); err == nil {
			if _, err := AppendValue(nil, s); err != nil {
				t.Fatal(err)
			}
		}
	}
	n := 0
	for data := range m.DataSections() {
		n += len(data)
	}
	if n != len(m.Data()) {
		t.Fatalf("data is %d bytes, its sections %d", len(m.Data()), n)
	}
	if v, err := m.Value(); err == nil {
		if _, err := AppendValue(nil, v); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Sequences(); err != nil && m.BodyKind() != BodySequence {
		t.Fatal(err)
	}
}
