// Package mqtttest is a raw MQTT 3.1.1 client for tests: it sends exactly the
// bytes it is told and hides nothing of what comes back.
package mqtttest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// Packet types (MQTT 3.1.1 2.2.1).
const (
	Connect     byte = 1
	Connack     byte = 2
	Publish     byte = 3
	Puback      byte = 4
	Subscribe   byte = 8
	Suback      byte = 9
	Unsubscribe byte = 10
	Unsuback    byte = 11
	Pingreq     byte = 12
	Pingresp    byte = 13
	Disconnect  byte = 14
)

// Timeout bounds every read of a Client.
const Timeout = time.Minute

// Packet is a received packet. Topic, ID, QoS, Dup, Retain and Payload are set
// for PUBLISH; ID for acknowledgements; Payload holds what follows it.
type Packet struct {
	Type    byte
	Topic   string
	ID      uint16
	QoS     byte
	Dup     bool
	Retain  bool
	Payload []byte
}

// Client is one connection. Its methods fail the test on errors.
type Client struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

// New returns a client on c, which is closed when the test ends.
func New(t testing.TB, c net.Conn) *Client {
	t.Helper()
	t.Cleanup(func() { _ = c.Close() })
	return &Client{Conn: c, t: t, r: bufio.NewReader(c)}
}

// Send writes raw bytes.
func (c *Client) Send(b []byte) {
	c.t.Helper()
	if err := c.SetWriteDeadline(time.Now().Add(Timeout)); err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.Write(b); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// TryRead reads one packet or returns the error, io.EOF at an orderly end.
func (c *Client) TryRead() (Packet, error) {
	if err := c.SetReadDeadline(time.Now().Add(Timeout)); err != nil {
		return Packet{}, err
	}
	return ReadPacket(c.r)
}

// Read reads one packet.
func (c *Client) Read() Packet {
	c.t.Helper()
	p, err := c.TryRead()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return p
}

// Expect reads one packet, which must be of the given type.
func (c *Client) Expect(packetType byte) Packet {
	c.t.Helper()
	p := c.Read()
	if p.Type != packetType {
		c.t.Fatalf("got a packet of type %d (%+v), want type %d", p.Type, p, packetType)
	}
	return p
}

// ExpectClose checks that the server ends the stream in order, without another
// packet, and then closes this side too.
func (c *Client) ExpectClose() {
	c.t.Helper()
	p, err := c.TryRead()
	if err == nil {
		c.t.Fatalf("got %+v, want the end of the connection", p)
	}
	if !errors.Is(err, io.EOF) {
		c.t.Fatalf("the connection ended with %v, want an orderly end", err)
	}
	_ = c.Close()
}

// ExpectQuiet checks, with a ping, that nothing is on its way.
func (c *Client) ExpectQuiet() {
	c.t.Helper()
	c.Send([]byte{Pingreq << 4, 0})
	c.Expect(Pingresp)
}

// Connect sends CONNECT and returns the flags and the return code of CONNACK.
func (c *Client) Connect(o ConnectOptions) (sessionPresent bool, code byte) {
	c.t.Helper()
	c.Send(AppendConnect(nil, o))
	p := c.Expect(Connack)
	if len(p.Payload) != 2 {
		c.t.Fatalf("CONNACK with %d bytes", len(p.Payload))
	}
	if p.Payload[0] > 1 {
		c.t.Fatalf("CONNACK with flags %#x", p.Payload[0])
	}
	return p.Payload[0] == 1, p.Payload[1]
}

// Subscribe subscribes to one filter and returns the granted QoS or 0x80.
func (c *Client) Subscribe(id uint16, filter string, qos byte) byte {
	c.t.Helper()
	c.Send(AppendSubscribe(nil, id, filter, qos))
	p := c.Expect(Suback)
	if p.ID != id || len(p.Payload) != 1 {
		c.t.Fatalf("SUBACK %+v for identifier %d", p, id)
	}
	return p.Payload[0]
}

// ReadPacket reads one packet. It returns io.EOF only between packets.
func ReadPacket(r *bufio.Reader) (Packet, error) {
	header, err := r.ReadByte()
	if err != nil {
		return Packet{}, err
	}
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return Packet{}, fmt.Errorf("length: %w", noEOF(err))
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return Packet{}, fmt.Errorf("body: %w", noEOF(err))
	}
	p := Packet{Type: header >> 4}
	switch p.Type {
	case Publish:
		p.Dup, p.QoS, p.Retain = header&8 != 0, header>>1&3, header&1 != 0
		if len(body) < 2 || len(body) < 2+int(binary.BigEndian.Uint16(body)) {
			return Packet{}, errors.New("PUBLISH without a topic")
		}
		end := 2 + int(binary.BigEndian.Uint16(body))
		p.Topic, body = string(body[2:end]), body[end:]
		if p.QoS > 0 {
			if len(body) < 2 {
				return Packet{}, errors.New("PUBLISH without an identifier")
			}
			p.ID, body = binary.BigEndian.Uint16(body), body[2:]
		}
	case Puback, Suback, Unsuback:
		if len(body) < 2 {
			return Packet{}, errors.New("acknowledgement without an identifier")
		}
		p.ID, body = binary.BigEndian.Uint16(body), body[2:]
	}
	p.Payload = body
	return p, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
