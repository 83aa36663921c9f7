package wire

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every performative has the full field count with trailing nulls written, a
// smallulong descriptor, and list8: some peers index without checking.
func TestPerformativeVectors(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes string
		value Performative
	}{
		{
			"open", "00 53 10 c0 17 0a a1 02 'id' a1 01 'h' 70 00 01 00 00 60 1f ff 40 40 40 40 40 40",
			&Open{ContainerID: "id", HostName: "h", MaxFrameSize: 65536, ChannelMax: 8191},
		},
		{
			"open full", "00 53 10 c0 3c 0a a1 02 'id' 40 70 00 00 10 00 60 00 00 70 00 03 a9 80" +
				"e0 08 01 a3 05 'en-US' e0 06 01 a3 03 'de_' e0 04 01 a3 01 'o' e0 04 01 a3 01 'd' c1 06 02 a3 01 'k' 54 01",
			&Open{
				ContainerID: "id", MaxFrameSize: 4096, IdleTimeOut: 240000, OutgoingLocales: []Symbol{"en-US"}, IncomingLocales: []Symbol{"de_"},
				OfferedCapabilities: []Symbol{"o"}, DesiredCapabilities: []Symbol{"d"}, Properties: Map{{Symbol("k"), int32(1)}},
			},
		},
		{
			"begin", "00 53 11 c0 19 08 60 00 02 52 01 70 00 00 13 88 70 00 00 13 88 70 00 03 ff ff 40 40 40",
			&Begin{RemoteChannel: Some(uint16(2)), NextOutgoingID: 1, IncomingWindow: 5000, OutgoingWindow: 5000, HandleMax: 262143},
		},
		{
			"begin without channel", "00 53 11 c0 0a 08 40 43 43 52 07 52 ff 40 40 40",
			&Begin{OutgoingWindow: 7, HandleMax: 255},
		},
		{
			"attach refused", "00 53 12 c0 14 0e a1 01 'n' 43 41 50 02 50 00 40 40 40 42 40 40 40 40 40",
			&Attach{Name: "n", Role: RoleReceiver, SenderSettleMode: SenderMixed},
		},
		{
			"attach", "00 53 12 c0 5c 0e a1 01 'n' 52 03 42 50 01 50 01" +
				"00 53 28 c0 2f 0b a1 01 's' 52 01 a3 05 'never' 52 3c 41 c1 01 00 a3 04 'move' c1 0b 02 a3 01 'f' 00 a3 01 'd' a1 01 'v' 00 53 24 45 e0 02 00 a3 40" +
				"00 53 29 c0 0a 07 a1 01 't' 43 40 43 42 40 40" +
				"40 42 43 80 00 00 00 00 00 10 00 00 40 40 40",
			&Attach{
				Name: "n", Handle: 3, Role: RoleSender, SenderSettleMode: SenderSettled, ReceiverSettleMode: ReceiverSecond,
				Source: &Source{
					Address: "s", Durable: 1, ExpiryPolicy: "never", Timeout: 60, Dynamic: true, DynamicNodeProperties: Map{}, DistributionMode: "move",
					Filter: Map{{Symbol("f"), Described{Symbol("d"), "v"}}}, DefaultOutcome: Accepted{}, Outcomes: []Symbol{},
				},
				Target: &Target{Address: "t"}, InitialDeliveryCount: Some(uint32(0)), MaxMessageSize: 1 << 20,
			},
		},
		{
			"attach coordinator", "00 53 12 c0 1f 0e a1 01 'n' 43 42 50 00 50 00 40 00 53 30 c0 07 01 e0 04 01 a3 01 'c' 40 42 40 40 40 40 40",
			&Attach{Name: "n", Coordinator: &Coordinator{Capabilities: []Symbol{"c"}}},
		},
		{
			"flow of session", "00 53 13 c0 10 0b 43 52 64 43 52 0a 40 40 40 40 42 42 40",
			&Flow{NextIncomingID: Some(uint32(0)), IncomingWindow: 100, OutgoingWindow: 10},
		},
		{
			"flow of link", "00 53 13 c0 12 0b 40 43 43 43 43 43 52 64 52 05 41 41 c1 01 00",
			&Flow{Handle: Some(uint32(0)), DeliveryCount: Some(uint32(0)), LinkCredit: Some(uint32(100)), Available: Some(uint32(5)), Drain: true, Echo: true, Properties: Map{}},
		},
		{
			"transfer", "00 53 14 c0 12 0b 43 43 a0 04 00 00 00 01 43 42 42 40 40 42 42 42",
			&Transfer{DeliveryID: Some(uint32(0)), DeliveryTag: []byte{0, 0, 0, 1}, MessageFormat: Some(uint32(0))},
		},
		{
			"transfer of a batch", "00 53 14 c0 1a 0b 52 01 52 02 a0 00 70 80 01 37 00 41 41 50 01 00 53 26 45 41 41 41",
			&Transfer{
				Handle: 1, DeliveryID: Some(uint32(2)), DeliveryTag: []byte{}, MessageFormat: Some(uint32(0x80013700)), Settled: true, More: true,
				ReceiverSettleMode: Some(ReceiverSecond), State: Released{}, Resume: true, Aborted: true, Batchable: true,
			},
		},
		{"transfer continued", "00 53 14 c0 0c 0b 43 40 40 40 42 41 40 40 42 42 42", &Transfer{More: true}},
		{
			"disposition accepted", "00 53 15 c0 0b 06 41 43 52 09 41 00 53 24 45 42",
			&Disposition{Role: RoleReceiver, Last: Some(uint32(9)), Settled: true, State: Accepted{}},
		},
		{"disposition rejected", "00 53 15 c0 1c 06 41 52 07 40 41 00 53 25 c0 0f 01 00 53 1d c0 09 03 a3 03 'a:b' a1 00 40 42", nil},
		{
			"disposition modified", "00 53 15 c0 10 06 42 43 40 42 00 53 27 c0 04 03 41 41 40 41",
			&Disposition{State: Modified{DeliveryFailed: true, UndeliverableHere: true}, Batchable: true},
		},
		{
			"disposition received", "00 53 15 c0 10 06 41 43 40 42 00 53 23 c0 04 02 52 01 44 42",
			&Disposition{Role: RoleReceiver, State: Received{SectionNumber: 1}},
		},
		{"detach", "00 53 16 c0 05 03 52 01 41 40", &Detach{Handle: 1, Closed: true}},
		{
			"detach with error", "00 53 16 c0 1e 03 43 41 00 53 1d c0 16 03 a3 03 'a:b' a1 03 'why' c1 09 02 a3 01 'k' 71 00 00 16 27",
			&Detach{Closed: true, Error: &Error{Condition: "a:b", Description: "why", Info: Map{{Symbol("k"), int32(5671)}}}},
		},
		{"end", "00 53 17 c0 02 01 40", &End{}},
		{"close", "00 53 18 c0 02 01 40", &Close{}},
		{"close with error", "00 53 18 c0 0e 01 00 53 1d c0 08 03 a3 03 'a:b' 40 40", &Close{Error: &Error{Condition: "a:b"}}},
		{"sasl mechanisms", "00 53 40 c0 0b 01 e0 08 01 a3 05 'PLAIN'", &SASLMechanisms{Mechanisms: []Symbol{"PLAIN"}}},
		{"sasl init", "00 53 41 c0 10 03 a3 05 'PLAIN' a0 04 00 'u' 00 'p' 40", &SASLInit{Mechanism: "PLAIN", InitialResponse: []byte("\x00u\x00p")}},
		{"sasl init alone", "00 53 41 c0 0d 03 a3 07 'MSSBCBS' 40 40", &SASLInit{Mechanism: "MSSBCBS"}},
		{"sasl challenge", "00 53 42 c0 04 01 a0 01 07", &SASLChallenge{Challenge: []byte{7}}},
		{"sasl response", "00 53 43 c0 03 01 a0 00", &SASLResponse{Response: []byte{}}},
		{"sasl outcome", "00 53 44 c0 04 02 50 00 40", &SASLOutcome{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := unhex(t, c.bytes)
			// Outer sizes are the sums of the parts written above.
			b[4] = byte(len(b) - 5)
			if c.value != nil {
				got, err := c.value.Append(nil)
				if err != nil || !bytes.Equal(got, b) {
					t.Fatalf("Append = %x, %v\n  want %x", got, err, b)
				}
			}
			p, payload, err := DecodePerformative(append(b, "payload"...))
			if err != nil || string(payload) != "payload" {
				t.Fatalf("decode: payload %q, %v", payload, err)
			}
			if c.value == nil {
				return
			}
			if d := cmp.Diff(c.value, p); d != "" {
				t.Errorf("decode (-want +got):\n%s", d)
			}
			for n := range b {
				if _, _, err := DecodePerformative(b[:n]); err == nil {
					t.Errorf("the first %d of %d bytes decode", n, len(b))
				}
			}
		})
	}
}

// A performative above 255 bytes turns into a list32 with the same fields.
func TestPerformativeList32(t *testing.T) {
	want := &Open{ContainerID: strings.Repeat("x", 300), MaxFrameSize: 512, ChannelMax: 1}
	b, err := want.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if head := unhex(t, "00 53 10 d0 00 00 01 44 00 00 00 0a b1 00 00 01 2c"); !bytes.HasPrefix(b, head) {
		t.Errorf("begins %x, want %x", b[:len(head)], head)
	}
	p, _, err := DecodePerformative(b)
	if d := cmp.Diff(Performative(want), p); d != "" || err != nil {
		t.Error(err, d)
	}
}

// What peers write differently from us is read all the same.
func TestPerformativeTolerance(t *testing.T) {
	for _, c := range []struct {
		name, bytes string
		want        Performative
	}{
		{"open with one field", "00 53 10 c0 05 01 a1 02 'id'", &Open{ContainerID: "id", MaxFrameSize: math.MaxUint32, ChannelMax: math.MaxUint16}},
		{"symbol for string", "00 53 10 c0 05 01 a3 02 'id'", &Open{ContainerID: "id", MaxFrameSize: math.MaxUint32, ChannelMax: math.MaxUint16}},
		{"string for symbol", "00 53 41 c0 08 01 a1 05 'PLAIN'", &SASLInit{Mechanism: "PLAIN"}},
		{"bare multiple", "00 53 40 c0 08 01 a3 05 'PLAIN'", &SASLMechanisms{Mechanisms: []Symbol{"PLAIN"}}},
		{"strings in multiple", "00 53 40 c0 0b 01 e0 08 01 a1 05 'PLAIN'", &SASLMechanisms{Mechanisms: []Symbol{"PLAIN"}}},
		{"list in multiple", "00 53 40 c0 0b 01 c0 08 01 a1 05 'PLAIN'", &SASLMechanisms{Mechanisms: []Symbol{"PLAIN"}}},
		{"list0 end", "00 53 17 45", &End{}},
		{"list0 close", "00 53 18 45", &Close{}},
		{"ulong descriptor", "00 80 00 00 00 00 00 00 00 17 45", &End{}},
		{"symbol descriptor", "00 a3 0d 'amqp:end:list' 45", &End{}},
		{"list32", "00 53 17 d0 00 00 00 05 00 00 00 01 40", &End{}},
		{"wide forms", "00 53 16 c0 08 02 70 00 00 00 01 56 01", &Detach{Handle: 1, Closed: true}},
		{"more fields than known", "00 53 17 c0 06 03 40 a1 01 'x' 41", &End{}},
		{"string keys", "00 53 18 c0 13 01 00 53 1d c0 0d 03 a1 01 'c' 40 c1 06 02 a1 01 'k' 54 01", &Close{Error: &Error{Condition: "c", Info: Map{{"k", int32(1)}}}}},
		{"begin defaults", "00 53 11 c0 05 04 40 43 43 43", &Begin{HandleMax: math.MaxUint32}},
		{"attach defaults", "00 53 12 c0 06 03 a1 01 'n' 43 42", &Attach{Name: "n", SenderSettleMode: SenderMixed}},
	} {
		b := unhex(t, c.bytes)
		p, _, err := DecodePerformative(b)
		if d := cmp.Diff(c.want, p); d != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, d)
		}
	}
}

func TestPerformativeMalformed(t *testing.T) {
	var de *DecodeError
	var ue *UnknownDescriptorError
	for _, c := range []struct {
		name, bytes string
		target      any
	}{
		{"not described", "c0 01 00", &de},
		{"descriptor is a string", "00 a1 01 'x' 45", &de},
		{"unknown ulong", "00 53 99 45", &ue},
		{"descriptor zero", "00 44 45", &ue},
		{"unknown symbol", "00 a3 03 'a:b' 45", &ue},
		{"not a frame body", "00 53 24 45", &ue},
		{"not a list", "00 53 17 c1 01 00", &de},
		{"list0 open", "00 53 10 45", &de},
		{"null handle", "00 53 16 c0 02 01 40", &de},
		{"handle is an int", "00 53 16 c0 03 01 54 01", &de},
		{"role is null", "00 53 15 c0 03 02 40 43", &de},
		{"unknown state", "00 53 15 c0 09 05 41 43 40 41 00 53 34 45", &ue},
		{"unknown target", "00 53 12 c0 0f 07 a1 01 'n' 43 42 50 00 50 00 40 00 53 99 45", &ue},
		{"source for target", "00 53 12 c0 0f 07 a1 01 'n' 43 42 50 00 50 00 40 00 53 28 45", &ue},
		{"settle mode 3", "00 53 12 c0 08 04 a1 01 'n' 43 42 50 03", &de},
		{"error without condition", "00 53 17 c0 05 01 00 53 1d 45", &de},
		{"tag of 33 bytes", "00 53 14 c0 26 03 43 43 a0 21 '" + strings.Repeat("t", 33) + "'", &de},
		{"bytes after the fields", "00 53 17 c0 03 01 40 40", &de},
		{"count above bytes", "00 53 17 d0 00 00 00 05 ff ff ff ff 40", &de},
		{"mechanisms of numbers", "00 53 40 c0 06 01 e0 03 01 50 01", &de},
		{"outcome without code", "00 53 44 45", &de},
		{"map with odd count", "00 53 10 c0 10 0a a1 01 'x' 40 40 40 40 40 40 40 40 c1 02 01 40", &de},
	} {
		b := unhex(t, c.bytes)
		if p, _, err := DecodePerformative(b); err == nil || !errors.As(err, c.target) {
			t.Errorf("%s: %+v, error %v, want a %T", c.name, p, err, c.target)
		}
	}
	var ve *ValueError
	for _, p := range []Performative{
		&Open{Properties: Map{{"k", 1}}},
		&Attach{Source: &Source{Filter: Map{{"k", 1}}}},
		&Attach{Target: &Target{DynamicNodeProperties: Map{{"k", 1}}}},
		&Transfer{State: Modified{MessageAnnotations: Map{{"k", 1}}}},
		&Close{Error: &Error{Info: Map{{"k", 1}}}},
	} {
		if b, err := p.Append(nil); !errors.As(err, &ve) {
			t.Errorf("%T: %x, %v", p, b, err)
		}
		if b, err := AppendFrame([]byte("x"), 0, p); string(b) != "x" || err == nil {
			t.Errorf("%T: a failed frame leaves %x", p, b)
		}
	}
}

func TestFilterNamed(t *testing.T) {
	const name = "apache.org:selector-filter:string"
	for _, f := range []Map{
		{{Symbol(name), Described{uint64(0x468c00000004), "x"}}},
		{{name, Described{uint64(0x137000000a), "x"}}},
		{{Symbol(name), Described{Symbol(name), "x"}}},
		{{Symbol(name), "x"}},
	} {
		want := &Attach{Name: "n", Source: &Source{Address: "a", Filter: f}}
		b, err := want.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		var got Attach
		if _, err := got.Decode(b); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, &got); d != "" {
			t.Error(d)
		}
		if v, ok := got.Source.FilterNamed(name); !ok || v.Value != "x" {
			t.Errorf("%v: %v, %v", f, v, ok)
		}
	}
	if _, ok := (*Source)(nil).FilterNamed(name); ok {
		t.Error("a null source has a filter")
	}
}
