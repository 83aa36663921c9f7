package amqp

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"testing"
	"testing/synctest"
)

// peer is a client written by hand: it shares no code with the engine, builds frames byte by byte, and checks of
// every frame it gets that it has the form that the pickiest clients need.
type peer struct {
	t      *testing.T
	nc     net.Conn
	frames chan frame
	ended  chan error // what ServeConn returned
	server *Server
}

// frame is one frame, or a protocol header (code 0, channel = protocol id).
type frame struct {
	kind    byte
	channel uint16
	code    byte
	fields  []any
	payload []byte
	size    int
	end     error // the stream has ended
}

type (
	sym       string
	described struct{ descriptor, value any }
	amqpMap   []any // key, value, key, value
	array     []any
	ubyte     byte
	ulong     uint64
)

// amqpHeader and saslHeader are the protocol headers.
const (
	amqpHeader = "AMQP\x00\x01\x00\x00"
	saslHeader = "AMQP\x03\x01\x00\x00"
)

const (
	cOpen, cBegin, cAttach, cFlow, cTransfer    = 0x10, 0x11, 0x12, 0x13, 0x14
	cDisposition, cDetach, cEnd, cClose, cError = 0x15, 0x16, 0x17, 0x18, 0x1d
)

// scripted runs a test with a peer in a bubble of its own, with its own clock.
func scripted(t *testing.T, cfg Config, f func(t *testing.T, p *peer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if cfg.Handler == nil {
			cfg.Handler = newQueueNode()
		}
		if q, ok := cfg.Handler.(*queueNode); ok {
			q.closed = make(chan error, 100) // one of this bubble
		}
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
		srv := NewServer(cfg)
		p := connect(t, srv)
		defer func() {
			_ = p.nc.Close()
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
		}()
		f(t, p)
	})
}

// connect makes one more client.
func connect(t *testing.T, srv *Server) *peer {
	p := connectStalled(t, srv)
	go p.read()
	return p
}

// connectStalled makes a client that reads nothing.
func connectStalled(t *testing.T, srv *Server) *peer {
	ours, theirs := net.Pipe()
	p := &peer{t: t, nc: ours, server: srv, frames: make(chan frame, 10_000), ended: make(chan error, 1)}
	go func() { p.ended <- srv.ServeConn(context.Background(), theirs) }()
	return p
}

// read gathers what the server sends.
func (p *peer) read() {
	for {
		f, err := readFrame(p.nc)
		if err != nil {
			p.frames <- frame{end: err}
			return
		}
		p.frames <- f
	}
}

func readFrame(r io.Reader) (f frame, err error) {
	head := make([]byte, 8)
	if _, err := io.ReadFull(r, head); err != nil {
		return f, err
	}
	if string(head[:4]) == "AMQP" {
		return frame{kind: 0xff, channel: uint16(head[4])}, nil
	}
	f.size = int(binary.BigEndian.Uint32(head))
	f.kind, f.channel = head[5], binary.BigEndian.Uint16(head[6:])
	if head[4] != 2 || f.size < 8 {
		return f, fmt.Errorf("bad frame header % x", head)
	}
	body := make([]byte, f.size-8)
	if _, err := io.ReadFull(r, body); err != nil || len(body) == 0 {
		return f, err
	}
	if body[0] != 0 || body[1] != 0x53 || (body[3] != 0xc0 && body[3] != 0xd0) {
		return f, fmt.Errorf("performative not as 00 53 code list8/list32: % x", body[:4])
	}
	f.code = body[2]
	list, rest := parse(body[3:])
	f.fields, f.payload = list.([]any), rest
	if want, ok := fieldCount(f.code); ok && len(f.fields) != want {
		return f, fmt.Errorf("performative %#x with %d fields, not %d", f.code, len(f.fields), want)
	}
	return f, nil
}

// fieldCount is the full number of fields of each performative.
func fieldCount(code byte) (n int, ok bool) {
	n, ok = map[byte]int{
		cOpen: 10, cBegin: 8, cAttach: 14, cFlow: 11, cTransfer: 11, cDisposition: 6, cDetach: 3, cEnd: 1, cClose: 1,
		0x40: 1, 0x41: 3, 0x44: 2,
	}[code]
	return n, ok
}

// parse decodes one value. It panics on what it does not know.
func parse(b []byte) (v any, rest []byte) {
	code, b := b[0], b[1:]
	be := binary.BigEndian
	take := func(n int) []byte { out := b[:n]; b = b[n:]; return out }
	items := func(n int) []any {
		list := []any{}
		for range n {
			v, b = parse(b)
			list = append(list, v)
		}
		return list
	}
	switch code {
	case 0x00:
		d, r := parse(b)
		v, r = parse(r)
		return described{d, v}, r
	case 0x40:
		return nil, b
	case 0x41, 0x42:
		return code == 0x41, b
	case 0x43:
		return uint32(0), b
	case 0x44:
		return ulong(0), b
	case 0x50:
		return ubyte(take(1)[0]), b
	case 0x52:
		return uint32(take(1)[0]), b
	case 0x53:
		return ulong(take(1)[0]), b
	case 0x54:
		return int32(int8(take(1)[0])), b
	case 0x60:
		return be.Uint16(take(2)), b
	case 0x70:
		return be.Uint32(take(4)), b
	case 0x71:
		return int32(be.Uint32(take(4))), b
	case 0x80:
		return ulong(be.Uint64(take(8))), b
	case 0xa0:
		return take(int(take(1)[0])), b
	case 0xb0:
		return take(int(be.Uint32(take(4)))), b
	case 0xa1:
		return string(take(int(take(1)[0]))), b
	case 0xa3:
		return sym(take(int(take(1)[0]))), b
	case 0xb1:
		return string(take(int(be.Uint32(take(4))))), b
	case 0xb3:
		return sym(take(int(be.Uint32(take(4))))), b
	case 0x45:
		return []any{}, b
	case 0xc0, 0xc1:
		take(1)
		v = items(int(take(1)[0]))
	case 0xd0, 0xd1:
		take(4)
		v = items(int(be.Uint32(take(4))))
	case 0xe0, 0xf0:
		var n int
		if code == 0xe0 {
			take(1)
			n = int(take(1)[0])
		} else {
			take(4)
			n = int(be.Uint32(take(4)))
		}
		constructor := take(1)[0]
		list := array{}
		for range n {
			var item any
			item, b = parse(append([]byte{constructor}, b...))
			list = append(list, item)
		}
		return list, b
	default:
		panic(fmt.Sprintf("constructor %#x", code))
	}
	if code == 0xc1 || code == 0xd1 {
		v = amqpMap(v.([]any))
	}
	return v, b
}

// enc encodes one value, always in its longest form, unlike the engine.
func enc(v any) []byte {
	be := binary.BigEndian
	long := func(code byte, body []byte) []byte {
		return append(be.AppendUint32([]byte{code}, uint32(len(body))), body...)
	}
	compound := func(code byte, items []any) []byte {
		body := be.AppendUint32(nil, uint32(len(items)))
		for _, item := range items {
			body = append(body, enc(item)...)
		}
		return long(code, body)
	}
	switch v := v.(type) {
	case nil:
		return []byte{0x40}
	case bool:
		if v {
			return []byte{0x56, 1}
		}
		return []byte{0x56, 0}
	case ubyte:
		return []byte{0x50, byte(v)}
	case uint16:
		return be.AppendUint16([]byte{0x60}, v)
	case int: // the usual field
		return be.AppendUint32([]byte{0x70}, uint32(v))
	case uint32:
		return be.AppendUint32([]byte{0x70}, v)
	case ulong:
		return be.AppendUint64([]byte{0x80}, uint64(v))
	case []byte:
		return long(0xb0, v)
	case string:
		return long(0xb1, []byte(v))
	case sym:
		return long(0xb3, []byte(v))
	case []any:
		return compound(0xd0, v)
	case amqpMap:
		return compound(0xd1, v)
	case described:
		return append(append([]byte{0}, enc(v.descriptor)...), enc(v.value)...)
	}
	panic(fmt.Sprintf("no encoding for %T", v))
}

// amqpFrame builds a frame of a performative and a payload.
func amqpFrame(kind byte, channel uint16, code byte, payload []byte, fields ...any) []byte {
	body := append(enc(described{ulong(code), fields}), payload...)
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)+8))
	b = append(b, 2, kind)
	b = binary.BigEndian.AppendUint16(b, channel)
	return append(b, body...)
}

func (p *peer) write(b ...[]byte) {
	p.t.Helper()
	for _, b := range b {
		if _, err := p.nc.Write(b); err != nil {
			p.t.Fatalf("write: %v", err)
		}
	}
}

// send sends a frame.
func (p *peer) send(channel uint16, code byte, fields ...any) {
	p.t.Helper()
	p.write(amqpFrame(0, channel, code, nil, fields...))
}

// next is the next frame that is not a heartbeat.
func (p *peer) next() frame {
	p.t.Helper()
	for {
		f := <-p.frames
		if f.end != nil || f.kind == 0xff || f.code != 0 {
			return f
		}
	}
}

// expect takes the next frame, which must have this code.
func (p *peer) expect(code byte) frame {
	p.t.Helper()
	f := p.next()
	if f.end != nil || f.code != code {
		p.t.Fatalf("got %#x %v (%v), want %#x", f.code, f.fields, f.end, code)
	}
	return f
}

// expectHeader takes the next protocol header.
func (p *peer) expectHeader(id uint16) {
	p.t.Helper()
	if f := p.next(); f.kind != 0xff || f.channel != id {
		p.t.Fatalf("got %+v, want header %d", f, id)
	}
}

// expectEnd takes the end of the stream.
func (p *peer) expectEnd() {
	p.t.Helper()
	if f := p.next(); f.end == nil {
		p.t.Fatalf("got %#x %v, want the end", f.code, f.fields)
	}
}

// expectNothing checks that the server has nothing more to say now.
func (p *peer) expectNothing() {
	p.t.Helper()
	synctest.Wait()
	select {
	case f := <-p.frames:
		p.t.Fatalf("got %#x %v %v, want nothing", f.code, f.fields, f.end)
	default:
	}
}

// expectClose takes a close with a condition, answers it, and takes the end.
func (p *peer) expectClose(condition string) {
	p.t.Helper()
	p.same(condition, p.condition(p.expect(cClose).fields[0]))
	_, _ = p.nc.Write(amqpFrame(0, 0, cClose, nil, nil))
	p.expectEnd()
}

// condition is that of an error field, or "".
func (p *peer) condition(field any) string {
	p.t.Helper()
	if field == nil {
		return ""
	}
	d := field.(described)
	if d.descriptor != ulong(cError) {
		p.t.Fatalf("not an error: %v", d)
	}
	list := d.value.([]any)
	if len(list) != 3 {
		p.t.Fatalf("error with %d fields", len(list))
	}
	return string(list[0].(sym))
}

func (p *peer) same(want, got any) {
	p.t.Helper()
	if !reflect.DeepEqual(want, got) {
		p.t.Errorf("got %#v, want %#v", got, want)
	}
}

func openFields(maxFrame, idle any) []any {
	return []any{"peer", "host.example", maxFrame, uint16(9), idle}
}

// open goes to an open connection with a session on channel 0 with a window.
func (p *peer) open(maxFrame, idle any, window int) {
	p.t.Helper()
	p.write([]byte(amqpHeader))
	p.expectHeader(0)
	p.send(0, cOpen, openFields(maxFrame, idle)...)
	p.expect(cOpen)
	p.begin(0, window)
}

func (p *peer) begin(channel uint16, window int) {
	p.t.Helper()
	p.send(channel, cBegin, nil, firstOut, window, 5000, 4294967295)
	f := p.expect(cBegin)
	p.same(channel, f.fields[0])
	p.same(channel, f.channel)
}

// firstOut is the peer's first transfer id: it wraps soon.
const firstOut = 4294967290

func source(address string) any { return described{ulong(0x28), []any{address}} }
func target(address string) any { return described{ulong(0x29), []any{address}} }

// attachSend attaches a link on which the peer sends and takes the answer and the credit.
func (p *peer) attachSend(handle int, address string) (answer, credit frame) {
	p.t.Helper()
	p.send(0, cAttach, "s-"+address, handle, false, ubyte(2), ubyte(0), source("me"), target(address), nil, nil, 4294967295)
	return p.expect(cAttach), p.expect(cFlow)
}

// attachReceive attaches a link on which the peer receives.
func (p *peer) attachReceive(handle int, address string) frame {
	p.t.Helper()
	p.send(0, cAttach, "r-"+address, handle, true, ubyte(2), ubyte(0), source(address), target("me"))
	return p.expect(cAttach)
}

// credit gives credit on a link; the session part claims to have seen all frames up to seen.
func (p *peer) credit(handle int, seen uint32, window int, deliveryCount, credit int, drain, echo bool) {
	p.t.Helper()
	p.send(0, cFlow, seen, window, uint32(firstOut), 5000, handle, deliveryCount, credit, nil, drain, echo)
}

// transfer sends one transfer frame of a delivery: id and more are the fields that matter.
func (p *peer) transfer(handle int, id any, more bool, payload string) {
	p.t.Helper()
	var tag, format any
	if id != nil {
		tag, format = []byte("t"), 0
	}
	p.write(amqpFrame(0, 0, cTransfer, []byte(payload), handle, id, tag, format, false, more))
}

// accepted is the outcome.
func accepted() any { return described{ulong(0x24), []any{}} }
