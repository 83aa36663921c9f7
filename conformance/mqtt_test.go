//go:build conformance

package conformance

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// mqttClient is the least MQTT 3.1.1 client that can tell what was acknowledged: clean session 0, QoS 1, no retries. It writes
// packets by hand, so that it shares no code with the product.
type mqttClient struct {
	conn net.Conn

	mu      sync.Mutex
	nextID  uint16
	pending map[uint16]func()

	// onPublish receives what the hub publishes; the client acknowledges it afterwards.
	onPublish func(topic string, payload []byte)
	// ended is closed when the connection is gone.
	ended chan struct{}
}

var errRefused = errors.New("connection refused by the hub")

// dialMQTT connects a device. The token is a shared access signature.
func dialMQTT(address string, config *tls.Config, host, device, token string, onPublish func(string, []byte)) (*mqttClient, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Minute}, "tcp", address, config)
	if err != nil {
		return nil, err
	}
	c := &mqttClient{conn: conn, pending: map[uint16]func(){}, onPublish: onPublish, ended: make(chan struct{})}
	var body []byte
	body = appendText(body, "MQTT")
	body = append(body, 4, 0xc0) // level 4; user name, password, no clean session
	body = binary.BigEndian.AppendUint16(body, 60)
	body = appendText(body, device)
	body = appendText(body, host+"/"+device+"/?api-version=2021-04-12")
	body = appendText(body, token)
	reader := bufio.NewReader(conn)
	err = c.write(0x10, body)
	if err == nil {
		err = conn.SetReadDeadline(time.Now().Add(time.Minute))
	}
	if err == nil {
		var kind byte
		var answer []byte
		kind, answer, err = readPacket(reader)
		if err == nil && (kind != 0x20 || len(answer) != 2 || answer[1] != 0) {
			err = fmt.Errorf("%w: % x", errRefused, answer)
		}
	}
	if err == nil {
		err = conn.SetReadDeadline(time.Time{})
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	go c.read(reader)
	return c, nil
}

// publish sends a QoS 1 message; acknowledged is called when its PUBACK is in.
func (c *mqttClient) publish(topic string, payload []byte, acknowledged func()) error {
	id := c.take(acknowledged)
	body := binary.BigEndian.AppendUint16(appendText(nil, topic), id)
	return c.write(0x32, append(body, payload...))
}

// subscribe asks for a filter at QoS 1 and waits for the answer.
func (c *mqttClient) subscribe(filter string) error {
	done := make(chan struct{})
	id := c.take(func() { close(done) })
	body := append(appendText(binary.BigEndian.AppendUint16(nil, id), filter), 1)
	if err := c.write(0x82, body); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-c.ended:
		return io.ErrUnexpectedEOF
	case <-time.After(time.Minute):
		return errors.New("no SUBACK within 10 s")
	}
}

func (c *mqttClient) close() {
	_ = c.write(0xe0, nil)
	_ = c.conn.Close()
	<-c.ended
}

// take reserves a packet identifier.
func (c *mqttClient) take(acknowledged func()) uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		c.nextID++
		if _, used := c.pending[c.nextID]; c.nextID != 0 && !used {
			c.pending[c.nextID] = acknowledged
			return c.nextID
		}
	}
}

func (c *mqttClient) read(reader *bufio.Reader) {
	defer close(c.ended)
	defer func() { _ = c.conn.Close() }()
	for {
		kind, body, err := readPacket(reader)
		if err != nil {
			return
		}
		switch kind & 0xf0 {
		case 0x40, 0x90: // PUBACK, SUBACK
			if len(body) < 2 {
				return
			}
			id := binary.BigEndian.Uint16(body)
			c.mu.Lock()
			acknowledged := c.pending[id]
			delete(c.pending, id)
			c.mu.Unlock()
			if acknowledged != nil {
				acknowledged()
			}
		case 0x30:
			length := int(binary.BigEndian.Uint16(body))
			topic, rest := string(body[2:2+length]), body[2+length:]
			var id []byte
			if kind&0x06 != 0 {
				id, rest = rest[:2], rest[2:]
			}
			c.onPublish(topic, rest)
			if id != nil {
				if err := c.write(0x40, id); err != nil {
					return
				}
			}
		}
	}
}

func (c *mqttClient) write(kind byte, body []byte) error {
	packet := []byte{kind}
	packet = binary.AppendUvarint(packet, uint64(len(body)))
	packet = append(packet, body...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	_, err := c.conn.Write(packet)
	return err
}

func readPacket(reader *bufio.Reader) (byte, []byte, error) {
	kind, err := reader.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	length, err := binary.ReadUvarint(reader)
	if err != nil {
		return 0, nil, err
	}
	body := make([]byte, length)
	_, err = io.ReadFull(reader, body)
	return kind, body, err
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}
