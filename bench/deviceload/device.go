package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubnerite/hubnerite/internal/mqtttest"
)

// connectTimeout is for a connection with all that belongs to it: in a storm the
// last in the queue waits long.
const connectTimeout = 2 * time.Minute

// methodPrefix is the beginning of the topics of direct methods.
const methodPrefix = "$iothub/methods/POST/" + methodName + "/?$rid="

const methodName = "measure"

// work is what the devices take part in at one time. A nil ledger is for what
// must not happen now.
type work struct {
	telemetry, c2d, methods *ledger
}

// device is one connection. One goroutine reads it; who sends holds mu.
type device struct {
	number int
	name   string
	work   *atomic.Pointer[work]
	fail   func(error)

	mu   sync.Mutex
	conn net.Conn
	out  []byte
	// telemetry holds the numbers of the messages in flight, by packet identifier minus 1.
	telemetry []int
	closing   bool
}

// reference is the body of what is sent, and the payload of the methods: it names
// the message or call and the device that it is for.
type reference struct {
	Phase  string `json:"phase"`
	Device string `json:"device"`
	Number int    `json:"number"`
	// Filler makes telemetry as long as it shall be.
	Filler string `json:"filler,omitempty"`
}

// connect connects over TLS, from the given source address or from any, and
// subscribes to messages and methods; the device may be used when that is granted.
func (d *device) connect(ctx context.Context, t *target, source net.IP) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	dialer := tls.Dialer{NetDialer: &net.Dialer{}, Config: t.tls}
	if source != nil {
		dialer.NetDialer.LocalAddr = &net.TCPAddr{IP: source}
	}
	conn, err := dialer.DialContext(ctx, "tcp", t.mqtt)
	if err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	in := bufio.NewReaderSize(conn, 512)
	hello := mqtttest.AppendConnect(nil, mqtttest.ConnectOptions{
		ClientID: d.name, UserName: t.host + "/" + d.name + "/?api-version=2021-04-12", Password: t.passwords[d.number], KeepAlive: 1000, Clean: true,
	})
	if err := exchange(conn, in, hello, mqtttest.Connack, func(p mqtttest.Packet) bool { return string(p.Payload) == "\x00\x00" }); err != nil {
		return errors.Join(fmt.Errorf("%s: CONNECT: %w", d.name, err), conn.Close())
	}
	for id, filter := range []string{"devices/" + d.name + "/messages/devicebound/#", "$iothub/methods/POST/#"} {
		subscribe := mqtttest.AppendSubscribe(nil, uint16(id+1), filter, 1)
		granted := func(p mqtttest.Packet) bool {
			return p.ID == uint16(id+1) && len(p.Payload) == 1 && p.Payload[0] < 2
		}
		if err := exchange(conn, in, subscribe, mqtttest.Suback, granted); err != nil {
			return errors.Join(fmt.Errorf("%s: SUBSCRIBE: %w", d.name, err), conn.Close())
		}
	}
	d.mu.Lock()
	d.conn, d.closing, d.telemetry = conn, false, d.telemetry[:0]
	d.mu.Unlock()
	go d.read(in)
	return nil
}

func exchange(conn net.Conn, in *bufio.Reader, packet []byte, want byte, good func(mqtttest.Packet) bool) error {
	if _, err := conn.Write(packet); err != nil {
		return err
	}
	p, err := mqtttest.ReadPacket(in)
	if err != nil {
		return err
	}
	if p.Type != want || !good(p) {
		return fmt.Errorf("the hub answers with packet type %d, % x", p.Type, p.Payload)
	}
	return nil
}

// close cuts the connection.
func (d *device) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closing = true
	if d.conn != nil {
		_ = d.conn.Close()
	}
}

// send publishes telemetry number n of a phase.
func (d *device) send(phase string, n, size int) error {
	body := reference{Phase: phase, Device: d.name, Number: n}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if missing := size - len(text) - len(`,"filler":""`); missing > 0 {
		body.Filler = strings.Repeat("x", missing)
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.telemetry = append(d.telemetry, n)
	if len(d.telemetry) > 1<<16-1 {
		return fmt.Errorf("%s has sent more messages than there are packet identifiers", d.name)
	}
	d.out = mqtttest.AppendPublish(d.out[:0], "devices/"+d.name+"/messages/events/", text, 1, uint16(len(d.telemetry)))
	_, err = d.conn.Write(d.out)
	return err
}

func (d *device) read(in *bufio.Reader) {
	for {
		p, err := mqtttest.ReadPacket(in)
		if err == nil {
			err = d.take(p)
		}
		if err != nil {
			d.mu.Lock()
			closing := d.closing
			d.mu.Unlock()
			if !closing {
				d.fail(fmt.Errorf("%s: %w", d.name, err))
			}
			return
		}
	}
}

// take enters what the hub sent, and answers.
func (d *device) take(p mqtttest.Packet) error {
	now, current := time.Now(), d.work.Load()
	switch {
	case p.Type == mqtttest.Puback && current.telemetry != nil:
		d.mu.Lock()
		if p.ID == 0 || int(p.ID) > len(d.telemetry) {
			d.mu.Unlock()
			return fmt.Errorf("PUBACK %d for nothing", p.ID)
		}
		number := d.telemetry[p.ID-1]
		d.mu.Unlock()
		current.telemetry.arrived(number, now)
		return nil
	case p.Type == mqtttest.Publish && p.Dup:
		return fmt.Errorf("%s is delivered again", p.Topic)
	case p.Type == mqtttest.Publish && strings.HasPrefix(p.Topic, "devices/"+d.name+"/messages/devicebound/") && current.c2d != nil:
		number, err := d.mine(p.Payload, current.c2d.phase)
		if err != nil {
			return err
		}
		current.c2d.arrived(number, now)
		return d.write(func(b []byte) []byte { return mqtttest.AppendPuback(b, p.ID) })
	case p.Type == mqtttest.Publish && strings.HasPrefix(p.Topic, methodPrefix) && current.methods != nil:
		if _, err := d.mine(p.Payload, current.methods.phase); err != nil {
			return err
		}
		answer := "$iothub/methods/res/200/?$rid=" + strings.TrimPrefix(p.Topic, methodPrefix)
		return d.write(func(b []byte) []byte {
			if p.QoS > 0 {
				b = mqtttest.AppendPuback(b, p.ID)
			}
			return mqtttest.AppendPublish(b, answer, p.Payload, 0, 0)
		})
	}
	return fmt.Errorf("unexpected packet type %d, topic %q", p.Type, p.Topic)
}

// mine returns the number that a body names, if it is for this device and phase.
func (d *device) mine(body []byte, phase string) (int, error) {
	var r reference
	if err := json.Unmarshal(body, &r); err != nil {
		return 0, fmt.Errorf("body %q: %w", body, err)
	}
	if r.Device != d.name || r.Phase != phase {
		return 0, fmt.Errorf("this is not for here and now: %s", body)
	}
	return r.Number, nil
}

func (d *device) write(packet func([]byte) []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.out = packet(d.out[:0])
	_, err := d.conn.Write(d.out)
	return err
}
