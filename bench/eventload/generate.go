package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubnerite/hubnerite/internal/mqtttest"
)

// generator is the devices, which send at QoS 1 over MQTT without TLS.
type generator struct {
	acknowledged atomic.Int64
	stopping     atomic.Bool
	devices      []*device
	running      sync.WaitGroup
	failures     chan error
}

// device is one connection. It has one goroutine: it reads acknowledgements, and
// answers each batch of them with one write of as many messages.
type device struct {
	g      *generator
	conn   net.Conn
	packet []byte
	id     int // where the packet identifier is
	// rate is how many messages it sends per second; 0 is as many as it can.
	rate float64
}

// generate starts the devices, which send rate messages per second together.
func generate(ctx context.Context, s *server, payload, rate int) (*generator, error) {
	g := &generator{failures: make(chan error, devices)}
	for i := range devices {
		name := deviceName(i)
		d := &device{g: g, rate: float64(rate) / devices}
		if err := d.connect(ctx, s, name, payload); err != nil {
			return nil, errors.Join(err, g.stop())
		}
		g.devices = append(g.devices, d)
	}
	for _, d := range g.devices {
		g.running.Go(func() {
			if err := d.run(); err != nil {
				g.failures <- err
			}
		})
	}
	return g, nil
}

// stop ends the devices once everything is acknowledged that they sent.
func (g *generator) stop() error {
	g.stopping.Store(true)
	for _, d := range g.devices {
		_ = d.conn.SetDeadline(time.Now().Add(10 * time.Second))
	}
	g.running.Wait()
	for _, d := range g.devices {
		_ = d.conn.Close()
	}
	select {
	case err := <-g.failures:
		return err
	default:
		return nil
	}
}

func (d *device) connect(ctx context.Context, s *server, name string, payload int) (err error) {
	var dialer net.Dialer
	if d.conn, err = dialer.DialContext(ctx, "tcp", s.mqtt); err != nil {
		return err
	}
	_ = d.conn.SetDeadline(time.Now().Add(10 * time.Second))
	hello := mqtttest.AppendConnect(nil, mqtttest.ConnectOptions{
		ClientID: name, UserName: s.host + "/" + name + "/?api-version=2021-04-12", Password: s.tokens[name], Clean: true, KeepAlive: 240,
	})
	if _, err := d.conn.Write(hello); err != nil {
		return errors.Join(err, d.conn.Close())
	}
	var connack [4]byte
	if _, err := io.ReadFull(d.conn, connack[:]); err != nil || connack != [4]byte{0x20, 2, 0, 0} {
		return errors.Join(fmt.Errorf("CONNACK % x", connack), err, d.conn.Close())
	}
	d.packet = mqtttest.AppendPublish(nil, "devices/"+name+"/messages/events/", make([]byte, payload), 1, 1)
	d.id = len(d.packet) - payload - 2
	return d.conn.SetDeadline(time.Time{})
}

func (d *device) run() error {
	free := make([]uint16, 0, inFlight)
	for id := range inFlight {
		free = append(free, uint16(id+1))
	}
	out := make([]byte, 0, inFlight*len(d.packet))
	in := make([]byte, 4*inFlight)
	have, sent := 0, 0.0
	for began := time.Now(); ; {
		stopping := d.g.stopping.Load()
		due := len(free)
		if d.rate > 0 {
			if due = min(due, int(d.rate*time.Since(began).Seconds()-sent)); due <= 0 && len(free) == inFlight && !stopping {
				time.Sleep(time.Millisecond)
				continue
			}
		}
		if out = out[:0]; !stopping {
			for ; due > 0; due-- {
				at := len(out)
				out = append(out, d.packet...)
				binary.BigEndian.PutUint16(out[at+d.id:], free[len(free)-1])
				free = free[:len(free)-1]
				sent++
			}
			if _, err := d.conn.Write(out); err != nil {
				return err
			}
		}
		if len(free) == inFlight {
			_, err := d.conn.Write([]byte{0xE0, 0})
			return err
		}
		n, err := d.conn.Read(in[have:])
		if err != nil {
			return err
		}
		have += n
		at := 0
		for ; at+4 <= have; at += 4 {
			if in[at] != 0x40 || in[at+1] != 2 {
				return fmt.Errorf("not a PUBACK: % x", in[at:at+4])
			}
			free = append(free, binary.BigEndian.Uint16(in[at+2:]))
		}
		d.g.acknowledged.Add(int64(at / 4))
		have = copy(in, in[at:have])
	}
}
