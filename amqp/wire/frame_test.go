package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestFrameVectors(t *testing.T) {
	b := AppendProtocolHeader(nil, ProtocolSASL)
	b, err := AppendFrame(b, 9, &SASLOutcome{})
	if err != nil {
		t.Fatal(err)
	}
	b = AppendProtocolHeader(b, ProtocolAMQP)
	b = AppendEmptyFrame(b)
	if b, err = AppendFrame(b, 0x102, &End{}); err != nil {
		t.Fatal(err)
	}
	want := unhex(t, "'AMQP' 03 01 00 00"+
		"00 00 00 11 02 01 00 00 00 53 44 c0 04 02 50 00 40"+
		"'AMQP' 00 01 00 00"+
		"00 00 00 08 02 00 00 00"+
		"00 00 00 0f 02 00 01 02 00 53 17 c0 02 01 40")
	if !bytes.Equal(b, want) {
		t.Fatalf("got  %x\nwant %x", b, want)
	}
	for name, stream := range map[string]io.Reader{
		"all at once":    bytes.NewReader(b),
		"byte by byte":   iotest.OneByteReader(bytes.NewReader(b)),
		"data with EOF":  iotest.DataErrReader(bytes.NewReader(b)),
		"halves":         iotest.HalfReader(bytes.NewReader(b)),
		"extended frame": io.MultiReader(bytes.NewReader(b[:33]), bytes.NewReader(unhex(t, "00 00 00 0c 03 00 00 00 de ad be ef")), bytes.NewReader(b[41:])),
	} {
		r := NewReader(stream, 512)
		if id, err := r.ReadProtocolHeader(); id != ProtocolSASL || err != nil {
			t.Errorf("%s: header %d, %v", name, id, err)
		}
		if f, err := r.ReadFrame(); err != nil || f.Type != FrameSASL || f.Channel != 0 || len(f.Body) != 9 {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
		if id, err := r.ReadProtocolHeader(); id != ProtocolAMQP || err != nil {
			t.Errorf("%s: header %d, %v", name, id, err)
		}
		if f, err := r.ReadFrame(); err != nil || f.Type != FrameAMQP || len(f.Body) != 0 {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
		if f, err := r.ReadFrame(); err != nil || f.Channel != 0x102 || !bytes.Equal(f.Body, b[len(b)-7:]) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
		if _, err := r.ReadFrame(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: end of stream gives %v", name, err)
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	for _, c := range []struct{ name, bytes string }{
		{"size 0", "00 00 00 00 02 00 00 00"},
		{"size 7", "00 00 00 07 02 00 00 00"},
		{"above the limit", "00 00 02 01 02 00 00 00"},
		{"4 GiB", "ff ff ff ff 02 00 00 00"},
		{"doff 1", "00 00 00 08 01 00 00 00"},
		{"doff past the end", "00 00 00 0b 03 00 00 00 00 00 00"},
		{"type 2", "00 00 00 08 02 02 00 00"},
		{"http", "'GET / HTTP/1.1'"},
	} {
		r := NewReader(bytes.NewReader(unhex(t, c.bytes)), 0)
		var fe *FramingError
		if f, err := r.ReadFrame(); !errors.As(err, &fe) {
			t.Errorf("%s: %+v, %v, want a FramingError", c.name, f, err)
		}
		if len(r.buf) > firstBuffer {
			t.Errorf("%s: buffer grew to %d", c.name, len(r.buf))
		}
	}
	for _, h := range []string{"'AMQX' 00 01 00 00", "'AMQP' 00 00 09 01", "'AMQP' 00 01 00 01"} {
		var fe *FramingError
		if _, err := NewReader(bytes.NewReader(unhex(t, h)), 512).ReadProtocolHeader(); !errors.As(err, &fe) {
			t.Errorf("header %s: %v", h, err)
		}
	}
	whole := unhex(t, "00 00 00 0f 02 00 01 02 00 53 17 c0 02 01 40")
	for n := 1; n < len(whole); n++ {
		if _, err := NewReader(bytes.NewReader(whole[:n]), 512).ReadFrame(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("frame cut after %d bytes: %v", n, err)
		}
	}
	broken := errors.New("broken")
	if _, err := NewReader(iotest.ErrReader(broken), 512).ReadFrame(); !errors.Is(err, broken) {
		t.Errorf("stream error comes as %v", err)
	}
}

// The buffer grows to the frames that arrive, not past the limit, and shrinks
// when only small ones follow.
func TestReaderBuffer(t *testing.T) {
	var stream []byte
	payload := bytes.Repeat([]byte("p"), 60000)
	frame := func(p []byte) {
		var err error
		stream, _, err = AppendTransferFrame(stream, 1, &Transfer{}, p, 65536)
		if err != nil {
			t.Fatal(err)
		}
	}
	frame(payload)
	for range 2000 {
		frame(payload[:100])
	}
	r := NewReader(bytes.NewReader(stream), 65536)
	f, err := r.ReadFrame()
	if err != nil || !bytes.HasSuffix(f.Body, payload) {
		t.Fatalf("%d bytes, %v", len(f.Body), err)
	}
	if len(r.buf) > 65536 {
		t.Errorf("buffer of %d for a limit of 65536", len(r.buf))
	}
	for range 2000 {
		f, err := r.ReadFrame()
		if err != nil || !bytes.HasSuffix(f.Body, payload[:100]) {
			t.Fatalf("%d bytes, %v", len(f.Body), err)
		}
	}
	if len(r.buf) != firstBuffer {
		t.Errorf("buffer stays at %d", len(r.buf))
	}
	if r.Buffered() != 0 {
		t.Errorf("%d bytes left", r.Buffered())
	}
}

// A payload is split so that no frame exceeds the peer's limit, and the parts
// make the whole again.
func TestTransferFrames(t *testing.T) {
	payload := bytes.Repeat([]byte("0123456789"), 500)
	for _, limit := range []uint32{512, 513, 4096, 65536} {
		tr := &Transfer{Handle: 1, DeliveryID: Some(uint32(7)), DeliveryTag: []byte("tag"), MessageFormat: Some(uint32(0)), State: Rejected{Error: &Error{Condition: "c", Description: string(payload[:300])}}}
		if limit == 4096 {
			tr.State = nil
		}
		rest := payload
		var got []byte
		for len(rest) > 0 {
			b, next, err := AppendTransferFrame(nil, 3, tr, rest, limit)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) > int(limit) {
				t.Fatalf("frame of %d bytes for a limit of %d", len(b), limit)
			}
			f, err := NewReader(bytes.NewReader(b), limit).ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			var back Transfer
			part, err := back.Decode(f.Body)
			if err != nil {
				t.Fatal(err)
			}
			if back.More != (len(next) > 0) {
				t.Fatalf("more is %v with %d bytes left", back.More, len(next))
			}
			back.More = false
			if d := cmp.Diff(tr, &back); d != "" {
				t.Fatal(d)
			}
			got = append(got, part...)
			rest = next
		}
		if !bytes.Equal(got, payload) {
			t.Errorf("limit %d: payload changed", limit)
		}
	}
	b, rest, err := AppendTransferFrame([]byte("x"), 0, &Transfer{DeliveryTag: make([]byte, 32)}, payload, 40)
	if err == nil || string(b) != "x" || len(rest) != len(payload) {
		t.Errorf("a frame of 40 bytes: %x, %v", b, err)
	}
	if b, _, err := AppendTransferFrame(nil, 0, &Transfer{More: true}, nil, 512); err != nil || b[19] != codeTrue {
		t.Errorf("more is not kept: %x, %v", b, err)
	}
}
