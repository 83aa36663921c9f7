package amqphub

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/iothub"
)

// stalledReaderBytes is the most that a reader who takes nothing may cost on
// the heap, its connection included: what is on its way in the write buffers,
// one page of events, and what its goroutines need.
const stalledReaderBytes = 1 << 20

// heap is what is in use after everything unused is gone.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Readers who grant credit and take nothing, or grant none, cost a bounded
// amount of memory each, however much there is to read, and a well-behaved
// reader beside them gets everything.
func TestStalledReaders(t *testing.T) {
	const stored, size = 4000, 8 << 10
	r := newRig(t)
	groups := []string{"a", "b", "c", "d"} // a group takes five readers of a partition
	for _, g := range groups {
		if err := r.hub.AddConsumerGroup(g); err != nil {
			t.Fatal(err)
		}
	}
	partition := r.fill(stored, size)
	before := heap()
	var stalled []*rawPeer
	for i, g := range groups {
		for k := range maxReaders {
			p := r.dialRaw(65536)
			p.send(&wire.Begin{IncomingWindow: 1 << 30, OutgoingWindow: 100, HandleMax: 10}, nil)
			p.want(wire.CodeBegin)
			settle := wire.SenderSettled
			if k%2 == 1 {
				settle = wire.SenderUnsettled
			}
			p.attachGroup(g, partition, settle)
			if k > 0 || i > 0 { // the first grants no credit at all
				p.flow(1, 0, 1<<30, 1<<30)
				p.want(wire.CodeTransfer) // it has begun, and is not read any more
			}
			stalled = append(stalled, p)
		}
	}
	// All of it passes a reader who takes it.
	s := r.plain("service")
	good, err := s.NewReceiver(r.ctx(), readerAddress(partition), readerOptions("", 100, nil))
	if err != nil {
		t.Fatal(err)
	}
	for range stored {
		if m := r.receiveEvent(good); len(m.GetData()) != size {
			t.Fatalf("%d bytes", len(m.GetData()))
		}
	}
	// The pages that all share are not a reader's.
	each := (heap() - before - pagesBytes) / int64(len(stalled))
	t.Logf("%d bytes for each of %d stalled readers", each, len(stalled))
	if each > stalledReaderBytes {
		t.Errorf("a stalled reader costs %d bytes, the bound is %d", each, stalledReaderBytes)
	}
	// What is sent now arrives, too, past readers who are still stalled.
	c := r.connect(iothub.ID{DeviceID: "d"})
	r.sendTelemetry(c, iothub.Telemetry{Body: []byte("news")})
	if got := string(r.receiveEvent(good).GetData()); got != "news" {
		t.Errorf("got %q", got)
	}
}

// attachGroup attaches a reader in a consumer group.
func (p *rawPeer) attachGroup(group string, partition int, settle wire.SenderSettleMode) {
	p.t.Helper()
	p.send(&wire.Attach{
		Name: "r", Handle: 0, Role: wire.RoleReceiver, SenderSettleMode: settle,
		Source: &wire.Source{Address: fmt.Sprintf("hub1/ConsumerGroups/%s/Partitions/%d", group, partition)}, Target: &wire.Target{Address: "me"},
	}, nil)
	p.want(wire.CodeAttach)
}

// A reader that never settles is sent no more than maxUnsettledEvents, and goes
// on when it settles.
func TestReaderThatNeverSettles(t *testing.T) {
	r := newRig(t)
	partition := r.fill(maxUnsettledEvents+10, 1)
	before := heap()
	p := r.dialRaw(65536)
	p.read(partition, wire.SenderUnsettled, 1<<30, 1<<30)
	var ids []uint32
	for range maxUnsettledEvents {
		ids = append(ids, p.want(wire.CodeTransfer).p.(*wire.Transfer).DeliveryID.Value)
	}
	if each := heap() - before - pagesBytes; each > 8<<20 {
		t.Errorf("unsettled events cost %d bytes", each)
	}
	// The answer to an echo comes before any event that there might be.
	p.echo(maxUnsettledEvents)
	if f := p.next(); f.p.Code() != wire.CodeFlow {
		t.Fatalf("got %+v", f.p)
	}
	p.send(&wire.Disposition{Role: wire.RoleReceiver, First: ids[0], Last: wire.Some(ids[9]), Settled: true, State: wire.Accepted{}}, nil)
	for range 10 {
		p.want(wire.CodeTransfer)
	}
}

func (p *rawPeer) echo(frames uint32) {
	p.t.Helper()
	p.send(&wire.Flow{NextIncomingID: wire.Some(1 + frames), IncomingWindow: 1 << 30, OutgoingWindow: 100, Echo: true}, nil)
}

// A session window of one frame delivers everything, one frame at a time, and
// one of none delivers nothing until it is opened.
func TestReaderWithTinyWindow(t *testing.T) {
	r := newRig(t)
	partition := r.fill(40, 3000)
	p := r.dialRaw(512) // so that an event takes several frames
	p.read(partition, wire.SenderSettled, 0, 1000)
	p.echo0()
	if f := p.next(); f.p.Code() != wire.CodeFlow {
		t.Fatalf("a closed window let %+v pass", f.p)
	}
	events, frames := uint32(0), uint32(0)
	size := 0
	for events < 40 {
		p.flow(1+frames, events, 1, 1000)
		f := p.want(wire.CodeTransfer)
		frames++
		size += len(f.payload)
		if !f.p.(*wire.Transfer).More {
			events++
			if size < 3000 {
				t.Fatalf("event %d has %d bytes", events, size)
			}
			size = 0
		}
	}
	if frames <= 40*3000/512 {
		t.Errorf("%d frames", frames)
	}
}

// echo0 asks for a flow while the window is shut.
func (p *rawPeer) echo0() {
	p.t.Helper()
	p.send(&wire.Flow{NextIncomingID: wire.Some(uint32(1)), IncomingWindow: 0, OutgoingWindow: 100, Echo: true}, nil)
}

// trickle writes one byte at a time.
type trickle struct{ net.Conn }

func (t trickle) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := t.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// A client that sends one byte at a time reads like any other.
func TestReaderOneByteAtATime(t *testing.T) {
	r := newRig(t)
	partition := r.bodies(20)
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := goamqp.NewConn(r.ctx(), trickle{nc}, &goamqp.ConnOptions{
		SASLType: goamqp.SASLTypePlain("service@sas.root.hub1", r.token("service")), HostName: "hub1.azure-devices.net",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s, err := conn.NewSession(r.ctx(), nil)
	if err != nil {
		t.Fatal(err)
	}
	rcv, err := s.NewReceiver(r.ctx(), readerAddress(partition), readerOptions("", 2, nil))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if got := string(r.receiveEvent(rcv).GetData()); got != fmt.Sprint(i) {
			t.Fatalf("got %q, want %d", got, i)
		}
	}
}

// A reader that dies in the middle of an event leaves nothing behind, and a
// device that dies in the middle of a message has sent none.
func TestDeathInsideATransfer(t *testing.T) {
	r := newRig(t)
	partition := r.fill(10, 100_000)
	for range 20 {
		p := r.dialRaw(512)
		p.read(partition, wire.SenderSettled, 7, 10) // an event takes some 200 frames
		for range 7 {
			p.want(wire.CodeTransfer)
		}
		_ = p.nc.Close()
	}
	d := r.dialRaw(65536)
	d.send(&wire.Begin{IncomingWindow: 100, OutgoingWindow: 100, HandleMax: 10}, nil)
	d.want(wire.CodeBegin)
	d.send(&wire.Attach{
		Name: "s", Role: wire.RoleSender, Source: &wire.Source{Address: "me"}, Target: &wire.Target{Address: "/messages/devicebound"},
		InitialDeliveryCount: wire.Some(uint32(0)),
	}, nil)
	d.want(wire.CodeFlow)
	whole := encodeFrame(t, &wire.Transfer{
		DeliveryID: wire.Some(uint32(0)), DeliveryTag: []byte("t"), MessageFormat: wire.Some(uint32(0)), More: true,
	}, c2dBytes(t, "/devices/d/messages/devicebound"))
	d.bytes(whole[:len(whole)-3]) // the frame is not whole, and neither is the message
	_ = d.nc.Close()
	// Closing ends the hub's side of them all; only then are the readers' places free again.
	s := r.plain("service")
	for i := range maxReaders {
		rcv, err := r.retryReceiver(s, readerAddress(partition))
		if err != nil {
			t.Fatalf("reader %d: %v", i, err)
		}
		if n := len(r.receiveEvent(rcv).GetData()); n != 100_000 {
			t.Errorf("%d bytes", n)
		}
	}
	if m, waits, err := r.hub.ReceiveC2D(t.Context(), iothub.ID{DeviceID: "d"}); err != nil || waits {
		t.Errorf("a message waits: %+v, %v", m, err)
	}
}

// retryReceiver attaches a reader; the place of one that died is free as soon as
// the server has noticed.
func (r *rig) retryReceiver(s *goamqp.Session, address string) (*goamqp.Receiver, error) {
	for {
		rcv, err := s.NewReceiver(r.ctx(), address, readerOptions("", 1, nil))
		var e *goamqp.Error
		if !errors.As(err, &e) || string(e.Condition) != string(wire.ErrResourceLimitExceeded) {
			return rcv, err
		}
		runtime.Gosched()
	}
}

// c2dBytes is an encoded cloud-to-device message.
func c2dBytes(t *testing.T, to string) []byte {
	t.Helper()
	b, err := wire.AppendProperties(nil, &wire.Properties{To: to, MessageID: "m"})
	if err != nil {
		t.Fatal(err)
	}
	return wire.AppendDataSection(b, bytes.Repeat([]byte("x"), 1000))
}

// Frames larger than the endpoint takes are refused before anything is made for
// them: with a close frame once the connection is open, with the end of the
// connection before.
func TestOversizedFrames(t *testing.T) {
	r := newRig(t)
	header := binary.BigEndian.AppendUint32(nil, 65537)
	header = append(header, 2, 0, 0, 0)
	t.Run("after open", func(t *testing.T) {
		p := r.dialRaw(65536)
		p.bytes(header)
		e := p.want(wire.CodeClose).p.(*wire.Close).Error
		if e == nil || e.Condition != wire.ErrConnectionFraming || !strings.Contains(e.Description, "max-frame-size") {
			t.Errorf("closed with %+v", e)
		}
		p.send(&wire.Close{}, nil)
		p.wantEnd()
	})
	t.Run("as open", func(t *testing.T) {
		p := r.dialRaw(0)
		p.bytes(header)
		p.want(wire.CodeOpen) // nothing may be closed that is not open
		if e := p.want(wire.CodeClose).p.(*wire.Close).Error; e == nil || e.Condition != wire.ErrConnectionFraming {
			t.Errorf("closed with %+v", e)
		}
		_ = p.nc.Close()
	})
	t.Run("as SASL frame", func(t *testing.T) {
		nc, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		p := &rawPeer{t, nc, wire.NewReader(nc, 1<<20)}
		p.bytes(wire.AppendProtocolHeader(nil, wire.ProtocolSASL))
		p.header()
		p.next()
		header[5] = 1
		p.bytes(header)
		p.wantEnd()
	})
}

// wantEnd waits for the end of the stream.
func (p *rawPeer) wantEnd() {
	p.t.Helper()
	_ = p.nc.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(io.Discard, p.nc); err != nil && errors.Is(err, net.ErrClosed) {
		p.t.Error(err)
	}
	_ = p.nc.Close()
}
