package wire

import (
	"bytes"
	"testing"
)

func BenchmarkAppendTransferFrame(b *testing.B) {
	payload := bytes.Repeat([]byte("p"), 256)
	tr := &Transfer{Handle: 1, DeliveryID: Some(uint32(1000)), DeliveryTag: []byte("0123456789abcdef"), MessageFormat: Some(uint32(0))}
	buf := make([]byte, 0, 4096)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, _, err = AppendTransferFrame(buf[:0], 1, tr, payload, 65536); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadTransferFrame(b *testing.B) {
	one, _, err := AppendTransferFrame(nil, 1, &Transfer{Handle: 1, DeliveryID: Some(uint32(1000)), DeliveryTag: []byte("0123456789abcdef"), MessageFormat: Some(uint32(0))}, bytes.Repeat([]byte("p"), 256), 65536)
	if err != nil {
		b.Fatal(err)
	}
	stream := &endless{data: one}
	r := NewReader(stream, 65536)
	var tr Transfer
	b.SetBytes(int64(len(one)))
	b.ReportAllocs()
	for b.Loop() {
		f, err := r.ReadFrame()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := tr.Decode(f.Body); err != nil {
			b.Fatal(err)
		}
	}
}

// endless repeats data for ever.
type endless struct {
	data []byte
	at   int
}

func (e *endless) Read(p []byte) (n int, err error) {
	for n < len(p) {
		m := copy(p[n:], e.data[e.at:])
		n += m
		e.at = (e.at + m) % len(e.data)
	}
	return n, nil
}

func BenchmarkAppendDisposition(b *testing.B) {
	p := &Disposition{Role: RoleReceiver, First: 1000, Last: Some(uint32(1000)), Settled: true, State: Accepted{}}
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = AppendFrame(buf[:0], 1, p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeDisposition(b *testing.B) {
	body, err := (&Disposition{Role: RoleReceiver, First: 1000, Last: Some(uint32(1000)), Settled: true, State: Accepted{}}).Append(nil)
	if err != nil {
		b.Fatal(err)
	}
	var p Disposition
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Decode(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScanMessage(b *testing.B) {
	msg := unhex(b, vecHeader+vecDelivery+vecMessage+vecProperties+vecApp+vecData)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		m, err := ScanMessage(msg)
		if err != nil || len(m.Data()) != 3 {
			b.Fatal(err)
		}
	}
}

// The hot paths allocate nothing at all.
func TestAllocations(t *testing.T) {
	tr := &Transfer{Handle: 1, DeliveryID: Some(uint32(1000)), DeliveryTag: []byte("0123456789abcdef"), MessageFormat: Some(uint32(0)), State: Accepted{}}
	flow := &Flow{NextIncomingID: Some(uint32(1)), Handle: Some(uint32(1)), LinkCredit: Some(uint32(100))}
	disposition := &Disposition{Role: RoleReceiver, First: 1000, Settled: true, State: Accepted{}}
	payload := make([]byte, 256)
	buf := make([]byte, 0, 4096)
	for name, f := range map[string]func() error{
		"transfer": func() error {
			out, _, err := AppendTransferFrame(buf, 1, tr, payload, 65536)
			if err == nil {
				_, err = tr.Decode(out[8:])
			}
			return err
		},
		"flow": func() error {
			out, err := AppendFrame(buf, 1, flow)
			if err == nil {
				_, err = flow.Decode(out[8:])
			}
			return err
		},
		"disposition": func() error {
			out, err := AppendFrame(buf, 1, disposition)
			if err == nil {
				_, err = disposition.Decode(out[8:])
			}
			return err
		},
	} {
		var failed error
		if n := testing.AllocsPerRun(100, func() { failed = f() }); n != 0 || failed != nil {
			t.Errorf("%s: %v allocations, %v", name, n, failed)
		}
	}
}
