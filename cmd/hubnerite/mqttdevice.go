package main

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/iothub"
)

// devicePulse is how often a connection of ours says that it is there.
const devicePulse = 30 * time.Second

// errNoKey is that of a device that this program cannot be, because it has a certificate.
var errNoKey = errors.New("has a certificate and no key; this command signs with a key")

// mqttDevice is the connection of a device or module over MQTT 3.1.1 with what the commands need of it: telemetry, reported
// properties and answers to direct methods. Its calls may come from several goroutines.
type mqttDevice struct {
	id     iothub.ID
	answer methodAnswers
	conn   net.Conn
	ended  chan struct{} // closed by the reader, which sets why before

	mu      sync.Mutex // of writes, and of what is below
	why     error
	next    uint16
	waiting map[string]chan []byte // by "type packet-ID", or "rid N" for answers to reports
	twin    bool                   // subscribed to these
}

// methodAnswers says what a device answers to a direct method; status 0 is nothing.
type methodAnswers func(name string) (status int, response []byte)

// deviceOptions are the lesser settings of a connection.
type deviceOptions struct {
	modelID string        // of a Plug and Play device
	life    time.Duration // of its token
	answer  methodAnswers // nil takes no methods
}

// dial connects as a device or module with the key of its connection string. Like any second connection of a device it ends
// one that is there.
func (s *service) dial(connectionString string, id iothub.ID, o deviceOptions) (*mqttDevice, error) {
	if strings.Contains(connectionString, ";x509=true") {
		return nil, fmt.Errorf("device %s %w", id, errNoKey)
	}
	password, err := emulator.DeviceToken(connectionString, s.now.Add(o.life))
	if err != nil {
		return nil, err
	}
	transport, ok := s.client.Transport.(*http.Transport)
	if !ok {
		return nil, errors.New("no TLS settings")
	}
	host, _, err := net.SplitHostPort(s.address)
	if err != nil {
		return nil, err
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: askTimeout}, Config: transport.TLSClientConfig.Clone()}
	c, err := dialer.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(s.info.Ports.MQTT)))
	if err != nil {
		return nil, err
	}
	client, user := id.DeviceID, s.info.HostName+"/"+url.PathEscape(id.DeviceID)
	if id.IsModule() {
		client, user = client+"/"+id.ModuleID, user+"/"+url.PathEscape(id.ModuleID)
	}
	user += "/?api-version=" + apiVersion
	if o.modelID != "" {
		user += "&model-id=" + url.QueryEscape(o.modelID)
	}
	// CONNECT with user name, password and a clean session (MQTT 3.1.1 3.1).
	connect := append(mqttText(nil, "MQTT"), 4, 0xC2, 0, 2*byte(devicePulse/time.Second))
	connect = mqttText(mqttText(mqttText(connect, client), user), password)
	d := &mqttDevice{id: id, answer: o.answer, conn: c, ended: make(chan struct{}), waiting: map[string]chan []byte{}}
	input := bufio.NewReader(c)
	_ = c.SetDeadline(time.Now().Add(askTimeout))
	if err = d.write(1<<4, connect); err == nil {
		var kind byte
		var body []byte
		kind, body, err = readMQTT(input)
		if err == nil && (kind != 2<<4 || len(body) != 2 || body[1] != 0) {
			err = fmt.Errorf("it answers % x", body)
		}
	}
	if err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("device %s: the hub refuses the connection: %w; the emulator's log says why", id, err)
	}
	_ = c.SetReadDeadline(time.Time{})
	go d.read(input)
	go d.pulse()
	if o.answer != nil {
		if err := d.subscribe("$iothub/methods/POST/#"); err != nil {
			d.close()
			return nil, err
		}
	}
	return d, nil
}

// telemetry publishes a message and waits for its PUBACK. The bag is of encoded properties.
func (d *mqttDevice) telemetry(bag string, body []byte) error {
	topic := "devices/" + url.QueryEscape(d.id.DeviceID)
	if d.id.IsModule() {
		topic += "/modules/" + url.QueryEscape(d.id.ModuleID)
	}
	if err := d.publish(topic+"/messages/events/"+bag, body); err != nil {
		return fmt.Errorf("device %s: the hub refuses the message: %w; the emulator's log says why", d.id, err)
	}
	return nil
}

// report patches the reported properties and waits for the hub's answer.
func (d *mqttDevice) report(patch []byte) error {
	d.mu.Lock()
	subscribed := d.twin
	d.twin = true
	d.mu.Unlock()
	if !subscribed {
		if err := d.subscribe("$iothub/twin/res/#"); err != nil {
			return err
		}
	}
	rid, answers := d.expect("rid")
	err := d.publish("$iothub/twin/PATCH/properties/reported/?$rid="+strconv.Itoa(int(rid)), patch)
	var answer []byte
	if err == nil {
		answer, err = d.await(answers)
	}
	if err == nil && (len(answer) == 0 || answer[0] != '2') {
		err = fmt.Errorf("it answers %s", answer)
	}
	if err != nil {
		return fmt.Errorf("device %s: the hub refuses the report: %w", d.id, err)
	}
	return nil
}

// close leaves in good order.
func (d *mqttDevice) close() {
	_ = d.write(14<<4, nil)
	_ = d.conn.Close()
	<-d.ended
}

func (d *mqttDevice) publish(topic string, body []byte) error {
	number, answers := d.expect("4")
	packet := binary.BigEndian.AppendUint16(mqttText(nil, topic), number)
	if err := d.write(3<<4|1<<1, append(packet, body...)); err != nil {
		return err
	}
	_, err := d.await(answers)
	return err
}

func (d *mqttDevice) subscribe(filter string) error {
	number, answers := d.expect("9")
	packet := append(mqttText(binary.BigEndian.AppendUint16(nil, number), filter), 0)
	err := d.write(8<<4|1<<1, packet)
	var granted []byte
	if err == nil {
		granted, err = d.await(answers)
	}
	if err == nil && (len(granted) != 1 || granted[0] > 2) {
		err = fmt.Errorf("it answers % x", granted)
	}
	if err != nil {
		return fmt.Errorf("device %s: the hub refuses the subscription %s: %w", d.id, filter, err)
	}
	return nil
}

// expect makes a packet identifier, and the channel for the answer of that kind to it.
func (d *mqttDevice) expect(kind string) (uint16, <-chan []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.next++; d.next == 0 {
		d.next = 1 // MQTT has no packet 0
	}
	answers := make(chan []byte, 1)
	d.waiting[kind+" "+strconv.Itoa(int(d.next))] = answers
	return d.next, answers
}

// await waits for an answer in real time, as the hub's peers do.
func (d *mqttDevice) await(answers <-chan []byte) ([]byte, error) {
	timeout := time.NewTimer(askTimeout)
	defer timeout.Stop()
	select {
	case answer := <-answers:
		return answer, nil
	case <-timeout.C:
		return nil, errors.New("no answer")
	case <-d.ended:
	}
	select {
	case answer := <-answers: // the last before the end
		return answer, nil
	default:
		return nil, d.why
	}
}

// arrived hands an answer to who waits for it.
func (d *mqttDevice) arrived(kind, number string, answer []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if answers := d.waiting[kind+" "+number]; answers != nil {
		delete(d.waiting, kind+" "+number)
		answers <- answer
	}
}

// read takes what the hub sends, until the connection ends.
func (d *mqttDevice) read(input *bufio.Reader) {
	defer close(d.ended)
	for {
		kind, body, err := readMQTT(input)
		if err != nil {
			_ = d.conn.Close()
			d.why = fmt.Errorf("the connection has ended: %w", err)
			return
		}
		switch kind >> 4 {
		case 3: // PUBLISH; we ask for QoS 0 only
			if len(body) < 2 || len(body)-2 < int(binary.BigEndian.Uint16(body)) {
				continue
			}
			length := 2 + int(binary.BigEndian.Uint16(body))
			d.published(string(body[2:length]))
		case 4, 9: // PUBACK, SUBACK
			if len(body) >= 2 {
				d.arrived(strconv.Itoa(int(kind>>4)), strconv.Itoa(int(binary.BigEndian.Uint16(body))), body[2:])
			}
		}
	}
}

// published takes an answer to a report, or a direct method.
func (d *mqttDevice) published(topic string) {
	path, query, _ := strings.Cut(topic, "?")
	rid := ""
	for item := range strings.SplitSeq(query, "&") {
		if value, ok := strings.CutPrefix(item, "$rid="); ok {
			rid = value
		}
	}
	if status, ok := strings.CutPrefix(path, "$iothub/twin/res/"); ok {
		d.arrived("rid", rid, []byte(strings.TrimSuffix(status, "/")))
	}
	if name, ok := strings.CutPrefix(path, "$iothub/methods/POST/"); ok && d.answer != nil {
		name, err := url.PathUnescape(strings.TrimSuffix(name, "/"))
		if err != nil {
			return
		}
		if status, response := d.answer(name); status != 0 {
			// QoS 0: this goroutine, which would have to read the PUBACK, cannot wait for it.
			packet := append(mqttText(nil, fmt.Sprintf("$iothub/methods/res/%d/?$rid=%s", status, rid)), response...)
			_ = d.write(3<<4, packet)
		}
	}
}

// pulse keeps the connection from looking idle.
func (d *mqttDevice) pulse() {
	ticker := time.NewTicker(devicePulse)
	defer ticker.Stop()
	for {
		select {
		case <-d.ended:
			return
		case <-ticker.C:
			_ = d.write(12<<4, nil)
		}
	}
}

func (d *mqttDevice) write(first byte, body []byte) error {
	packet := append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...)
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.conn.SetWriteDeadline(time.Now().Add(askTimeout))
	_, err := d.conn.Write(packet)
	return err
}

// readMQTT reads a packet: its first byte, and what follows the length.
func readMQTT(input *bufio.Reader) (byte, []byte, error) {
	first, err := input.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	length, err := binary.ReadUvarint(input)
	if err != nil {
		return 0, nil, err
	}
	if length >= 1<<28 {
		return 0, nil, errors.New("a packet that is too long")
	}
	body := make([]byte, length)
	_, err = io.ReadFull(input, body)
	return first, body, err
}

func mqttText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// systemBag are the names of system properties in property bags, by those of the management API.
// Source: IoT Hub devguide, create and read messages.
func systemBag() map[string]string {
	return map[string]string{
		"messageId": "$.mid", "correlationId": "$.cid", "userId": "$.uid", "to": "$.to", "contentType": "$.ct", "contentEncoding": "$.ce",
		"expiry": "$.exp", "creationTime": "$.ctime", "schema": "$.schema", "component": "$.sub", "interfaceId": "$.ifid", "outputName": "$.on",
	}
}

// propertyBag encodes properties for a topic, where a plus sign is one.
func propertyBag(properties url.Values) string {
	return strings.ReplaceAll(properties.Encode(), "+", "%20")
}

// withoutMetadata takes $version and $metadata from the properties of a twin.
func withoutMetadata(properties map[string]json.RawMessage) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	for name, value := range properties {
		if !strings.HasPrefix(name, "$") {
			out[name] = value
		}
	}
	return out
}
