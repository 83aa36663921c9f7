package amqphub

import (
	"context"
	"net"
	"testing"

	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/iothub"
)

// rawPeer is a client that does what the test says and nothing more: no frame
// is read, answered or settled by itself.
type rawPeer struct {
	t  testing.TB
	nc net.Conn
	rd *wire.Reader
}

// rawFrame is a frame as it came.
type rawFrame struct {
	p       wire.Performative
	payload []byte
}

// dialRaw connects, proves the service policy by SASL PLAIN, and opens.
func (r *rig) dialRaw(maxFrame uint32) *rawPeer {
	r.t.Helper()
	return r.dialRawAs("service@sas.root.hub1", r.token("service"), maxFrame)
}

// dialRawAs is dialRaw with the credentials of SASL PLAIN.
func (r *rig) dialRawAs(user, password string, maxFrame uint32) *rawPeer {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = nc.Close() })
	p := &rawPeer{r.t, nc, wire.NewReader(nc, 1<<20)}
	p.bytes(wire.AppendProtocolHeader(nil, wire.ProtocolSASL))
	p.header()
	p.next() // mechanisms
	p.send(&wire.SASLInit{Mechanism: "PLAIN", InitialResponse: []byte("\x00" + user + "\x00" + password)}, nil)
	if outcome, ok := p.next().p.(*wire.SASLOutcome); !ok || outcome.Result != wire.SASLOK {
		r.t.Fatal("not let in")
	}
	p.bytes(wire.AppendProtocolHeader(nil, wire.ProtocolAMQP))
	p.header()
	if maxFrame == 0 {
		return p // the test sends open itself
	}
	p.send(&wire.Open{ContainerID: "raw", HostName: "hub1.azure-devices.net", MaxFrameSize: maxFrame}, nil)
	p.want(wire.CodeOpen)
	return p
}

func (p *rawPeer) bytes(b []byte) {
	p.t.Helper()
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

func (p *rawPeer) header() {
	p.t.Helper()
	if _, err := p.rd.ReadProtocolHeader(); err != nil {
		p.t.Fatal(err)
	}
}

// send writes one frame on channel 0.
func (p *rawPeer) send(frame wire.Performative, payload []byte) {
	p.t.Helper()
	p.bytes(encodeFrame(p.t, frame, payload))
}

func encodeFrame(t testing.TB, frame wire.Performative, payload []byte) []byte {
	t.Helper()
	var b []byte
	var err error
	if transfer, ok := frame.(*wire.Transfer); ok {
		b, _, err = wire.AppendTransferFrame(nil, 0, transfer, payload, 1<<20)
	} else {
		b, err = wire.AppendFrame(nil, 0, frame)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// next waits for the next frame that is no heartbeat.
func (p *rawPeer) next() rawFrame {
	p.t.Helper()
	for {
		f, err := p.rd.ReadFrame()
		if err != nil {
			p.t.Fatal(err)
		}
		if len(f.Body) == 0 {
			continue
		}
		decoded, rest, err := wire.DecodePerformative(f.Body)
		if err != nil {
			p.t.Fatal(err)
		}
		return rawFrame{decoded, rest}
	}
}

// want waits for a frame of a kind and passes over the others.
func (p *rawPeer) want(code wire.Code) rawFrame {
	p.t.Helper()
	for {
		if f := p.next(); f.p.Code() == code {
			return f
		}
	}
}

// read attaches a reader of a partition, from its first event on, with a session
// window of so many frames and so much credit.
func (p *rawPeer) read(partition int, settle wire.SenderSettleMode, window, credit uint32) {
	p.t.Helper()
	p.send(&wire.Begin{NextOutgoingID: 0, IncomingWindow: window, OutgoingWindow: 100, HandleMax: 10}, nil)
	p.want(wire.CodeBegin)
	p.attach(0, partition, settle)
	if credit > 0 {
		p.flow(1, 0, window, credit)
	}
}

func (p *rawPeer) attach(handle uint32, partition int, settle wire.SenderSettleMode) {
	p.t.Helper()
	p.send(&wire.Attach{
		Name: "r", Handle: handle, Role: wire.RoleReceiver, SenderSettleMode: settle,
		Source: &wire.Source{Address: readerAddress(partition)}, Target: &wire.Target{Address: "me"},
	}, nil)
	p.want(wire.CodeAttach)
}

// flow opens the window for frames from next on and gives credit after so many deliveries.
func (p *rawPeer) flow(next, deliveries, window, credit uint32) {
	p.t.Helper()
	p.send(&wire.Flow{
		NextIncomingID: wire.Some(next), IncomingWindow: window, OutgoingWindow: 100,
		Handle: wire.Some(uint32(0)), DeliveryCount: wire.Some(deliveries), LinkCredit: wire.Some(credit),
	}, nil)
}

// fill stores n events of size bytes and returns the partition they are in. It
// waits for the last only, so that many take little time.
func (r *rig) fill(n, size int) int {
	r.t.Helper()
	c := r.connect(iothub.ID{DeviceID: "d"})
	defer c.Close()
	body := make([]byte, size)
	done := make(chan error, n)
	for range n {
		c.SendTelemetry(context.Background(), iothub.Telemetry{Body: body}, func(err error) { done <- err })
	}
	for range n {
		if err := <-done; err != nil {
			r.t.Fatal(err)
		}
	}
	for p := range r.hub.Partitions() {
		if info, err := r.hub.PartitionInfo(p); err == nil && info.Next > 0 {
			return p
		}
	}
	r.t.Fatal("nothing stored")
	return 0
}
