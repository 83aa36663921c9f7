package broker

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/internal/mqtttest"
)

// laneInput is what a lane of its own makes of a stream that comes in chunks: the
// library's bytes. There is no session, so nothing is consumed.
func laneInput(stream []byte, chunk, take func() int) []byte {
	var l lane
	var got []byte
	for {
		for {
			rest, _ := l.next(nil)
			if len(rest) == 0 {
				break
			}
			n := min(len(rest), take())
			got = append(got, rest[:n]...)
			l.handed(n)
		}
		if len(stream) == 0 {
			return got
		}
		room := l.room()
		n := copy(room, stream[:min(len(stream), chunk())])
		l.end += n
		stream = stream[n:]
	}
}

func FuzzLane(f *testing.F) {
	stream := mqtttest.AppendConnect(nil, mqtttest.ConnectOptions{ClientID: "dev-1"})
	stream = mqtttest.AppendPublish(stream, "devices/dev-1/messages/events/", make([]byte, 300), 1, 1)
	f.Add(stream, uint64(1))
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0xff, 1, 2, 3}, uint64(2))
	f.Add([]byte{0x30}, uint64(3))
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		// The end of a stream that is not whole may wait; what came out is right.
		r := rand.New(rand.NewPCG(seed, 0))
		step := func() int { return 1 + r.IntN(40) }
		got := laneInput(stream, step, step)
		if !bytes.HasPrefix(stream, got) || len(stream)-len(got) > 4 {
			t.Fatalf("of % x came % x", stream, got)
		}
	})
}

// TestLaneLeavesToLibrary names what is never consumed beside the library.
func TestLaneLeavesToLibrary(t *testing.T) {
	good := mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/a=b", []byte("x"), 1, 5)
	changed := func(at int, b byte) []byte {
		p := slices.Clone(good)
		p[at] = b
		return p
	}
	for name, packet := range map[string][]byte{
		"QoS 2":              changed(0, 0x34),
		"QoS 3":              changed(0, 0x36),
		"QoS 0, duplicate":   changed(0, 0x38),
		"identifier 0":       mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/", nil, 1, 0),
		"topic too long":     changed(3, 200),
		"topic not UTF-8":    changed(20, 0xff),
		"topic with NUL":     changed(20, 0),
		"no identifier":      mqtttest.AppendPacket(nil, 0x32, []byte{0, 2, 'd', 'e'}),
		"no topic":           mqtttest.AppendPacket(nil, 0x32, []byte{0}),
		"twin":               mqtttest.AppendPublish(nil, "$iothub/twin/GET/?$rid=1", nil, 0, 0),
		"something in front": mqtttest.AppendPublish(nil, "//devices/dev-1/messages/events/", nil, 0, 0),
	} {
		var l lane
		if p, ok := l.telemetry(packet[0], packet[2:]); ok {
			t.Errorf("%s is taken as %+v", name, p)
		}
	}
	var l lane
	for _, packet := range [][]byte{good, changed(0, 0x3a)} {
		p, ok := l.telemetry(packet[0], packet[2:])
		if !ok || p.topic != "devices/dev-1/messages/events/a=b" || string(p.payload) != "x" || p.packetID != 5 || p.qos != 1 {
			t.Errorf("got %+v, %v", p, ok)
		}
	}
}

// TestLaneOrder sends what the lane takes and what the library takes in one
// stream, cut in every way, and expects answers and messages in order.
func TestLaneOrder(t *testing.T) {
	w := newWorld(t, Options{})
	large := bytes.Repeat([]byte("L"), laneMax+100)
	medium := bytes.Repeat([]byte("M"), laneMax-100)
	sent := 0
	r := rand.New(rand.NewPCG(7, 7))
	for _, chunk := range []func() int{
		func() int { return 1 << 20 },
		func() int { return 1 + r.IntN(700) },
		func() int { return 1 + r.IntN(4*laneMax) },
	} {
		id := testDevice()
		stream := mqtttest.AppendConnect(nil, w.connectOptions(id))
		publish := func(number int, body []byte) {
			stream = mqtttest.AppendPublish(stream, "devices/dev-1/messages/events/", body, 1, uint16(number))
			sent++
		}
		publish(1, []byte("one"))
		stream = append(stream, mqtttest.Pingreq<<4, 0)
		publish(2, large)
		publish(3, []byte("three"))
		stream = mqtttest.AppendSubscribe(stream, 4, "$iothub/twin/res/#", 0)
		publish(5, medium)
		publish(6, nil)
		stream = mqtttest.AppendUnsubscribe(stream, 7, "$iothub/twin/res/#")
		publish(8, []byte("eight"))
		c := w.dial()
		wrote := make(chan error, 1)
		go func() {
			for rest := stream; len(rest) > 0; {
				n := min(len(rest), chunk())
				if _, err := c.Write(rest[:n]); err != nil {
					wrote <- err
					return
				}
				rest = rest[n:]
			}
			wrote <- nil
		}()
		c.Expect(mqtttest.Connack)
		var acks []string
		for len(acks) < 9 {
			switch p := c.Read(); p.Type {
			case mqtttest.Puback, mqtttest.Suback, mqtttest.Unsuback, mqtttest.Pingresp:
				acks = append(acks, fmt.Sprint(p.Type, "/", p.ID))
			default:
				t.Fatalf("got %+v", p)
			}
		}
		var pubacks []string
		for _, a := range acks {
			if a[0] == '4' {
				pubacks = append(pubacks, a)
			}
		}
		if fmt.Sprint(pubacks) != "[4/1 4/2 4/3 4/5 4/6 4/8]" {
			t.Fatalf("PUBACKs %v", pubacks)
		}
		if err := <-wrote; err != nil {
			t.Fatal(err)
		}
		got := w.stored("dev-1", sent)
		got = got[len(got)-6:]
		for i, want := range [][]byte{[]byte("one"), large, []byte("three"), medium, nil, []byte("eight")} {
			if !bytes.Equal(got[i].Body, want) {
				t.Fatalf("message %d has %d bytes, want %d", i, len(got[i].Body), len(want))
			}
		}
		_ = c.Close()
	}
}

// endingConn returns its data together with the end, as TLS does when the peer's
// closing alert comes with its last record.
type endingConn struct {
	net.Conn
	data []byte
}

func (c endingConn) Read(p []byte) (int, error)       { return copy(p, c.data), io.EOF }
func (c endingConn) SetReadDeadline(time.Time) error  { return nil }
func (c endingConn) SetWriteDeadline(time.Time) error { return nil }

func TestLaneKeepsDataBeforeEnd(t *testing.T) {
	data := mqtttest.AppendPacket(nil, mqtttest.Disconnect<<4, nil)
	c := newConn(endingConn{data: data}, 1, "mqtt", time.Second, time.Second)
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("read % x, %v; want % x", got, err, data)
	}
}
