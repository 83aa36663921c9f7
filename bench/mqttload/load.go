package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// result of one measurement of one server.
type result struct {
	rate     float64 // acknowledged messages per second
	p50, p99 time.Duration
	cpu      time.Duration // of the server, per message
}

// phases of a measurement.
const (
	warming = iota
	measuring
	ending
)

// load runs a scenario against a server once, on fresh connections.
func load(ctx context.Context, s *server, transport string, sc scenario, o settings) (result, error) {
	devices := make([]*device, sc.devices)
	defer func() {
		for _, d := range devices {
			if d != nil {
				_ = d.conn.Close()
			}
		}
	}()
	for i := range devices {
		var err error
		if devices[i], err = dial(ctx, s, transport, i, sc.window, o.payload); err != nil {
			return result{}, err
		}
	}
	var phase atomic.Int32
	var running sync.WaitGroup
	failures := make(chan error, len(devices))
	for _, d := range devices {
		running.Go(func() {
			if err := d.run(&phase); err != nil {
				failures <- err
			}
		})
	}
	wait := func(d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case err := <-failures:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	err := wait(o.warmup)
	cpu, began := s.CPU(), time.Now()
	phase.Store(measuring)
	if err == nil {
		err = wait(o.measure)
	}
	phase.Store(ending)
	took, cpu := time.Since(began), s.CPU()-cpu
	for _, d := range devices {
		_ = d.conn.SetDeadline(time.Now().Add(5 * time.Second))
	}
	running.Wait()
	if err != nil {
		return result{}, err
	}
	select {
	case err := <-failures:
		return result{}, err
	default:
	}
	var all histogram
	for _, d := range devices {
		all.add(&d.latencies)
	}
	if all.count == 0 {
		return result{}, errors.New("nothing was acknowledged")
	}
	return result{
		rate: float64(all.count) / took.Seconds(), p50: all.quantile(0.50), p99: all.quantile(0.99),
		cpu: cpu / time.Duration(all.count),
	}, nil
}

// device is one connection. It has one goroutine: it reads acknowledgements,
// and answers each batch of them with one write of as many messages.
type device struct {
	conn   net.Conn
	window int
	// packet is a PUBLISH; its identifier is at id.
	packet    []byte
	id        int
	sent      []time.Time // by packet identifier
	latencies histogram
}

func dial(ctx context.Context, s *server, transport string, number, window, payload int) (*device, error) {
	conn, err := s.dial(ctx, transport)
	if err != nil {
		return nil, err
	}
	name := deviceName(number)
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	connect := appendText(nil, "MQTT")
	connect = append(connect, 4, 0xC2, 0, 240)
	connect = appendText(connect, name)
	connect = appendText(connect, s.userName(name))
	connect = appendText(connect, s.passwords[name])
	if _, err := conn.Write(appendPacket(nil, 1<<4, connect)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	var connack [4]byte
	if _, err := io.ReadFull(conn, connack[:]); err != nil || connack != [4]byte{0x20, 2, 0, 0} {
		return nil, errors.Join(fmt.Errorf("CONNACK % x", connack), err, conn.Close())
	}
	_ = conn.SetDeadline(time.Time{})
	body := appendText(nil, "devices/"+name+"/messages/events/")
	at := len(body)
	body = append(body, 0, 0)
	body = append(body, make([]byte, payload)...)
	packet := appendPacket(nil, 3<<4|1<<1, body)
	return &device{
		conn: conn, window: window, packet: packet, id: len(packet) - len(body) + at, sent: make([]time.Time, window+1),
	}, nil
}

// run keeps the window full until the phase is ending, then waits for what is
// still in flight.
func (d *device) run(phase *atomic.Int32) error {
	out := make([]byte, 0, d.window*len(d.packet))
	publish := func(id uint16, now time.Time) {
		start := len(out)
		out = append(out, d.packet...)
		binary.BigEndian.PutUint16(out[start+d.id:], id)
		d.sent[id] = now
	}
	now := time.Now()
	for id := range d.window {
		publish(uint16(id+1), now)
	}
	if _, err := d.conn.Write(out); err != nil {
		return err
	}
	in := make([]byte, 4*d.window)
	have := 0
	for flying := d.window; flying > 0; {
		n, err := d.conn.Read(in[have:])
		if err != nil {
			return err
		}
		have += n
		now, current := time.Now(), phase.Load()
		out = out[:0]
		at := 0
		for ; at+4 <= have; at += 4 {
			id := binary.BigEndian.Uint16(in[at+2:])
			if in[at] != 0x40 || in[at+1] != 2 || id == 0 || int(id) > d.window || d.sent[id].IsZero() {
				return fmt.Errorf("not a PUBACK that is due: % x", in[at:at+4])
			}
			if current == measuring {
				d.latencies.record(now.Sub(d.sent[id]))
			}
			d.sent[id] = time.Time{}
			if current == ending {
				flying--
				continue
			}
			publish(id, now)
		}
		have = copy(in, in[at:have])
		if len(out) > 0 {
			if _, err := d.conn.Write(out); err != nil {
				return err
			}
		}
	}
	_, err := d.conn.Write([]byte{0xE0, 0})
	return err
}

// histogram of latencies in steps of about 3 percent.
type histogram struct {
	counts [64 * 32]uint64
	count  uint64
}

func (h *histogram) record(d time.Duration) {
	v := uint64(max(d, 1))
	exponent := bits.Len64(v) - 1
	var step uint64
	if exponent > 5 {
		step = v >> (exponent - 5)
	} else {
		step = v << (5 - exponent)
	}
	h.counts[exponent*32+int(step&31)]++
	h.count++
}

func (h *histogram) add(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.count += other.count
}

func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.count))
	for i, n := range h.counts {
		if rank < n {
			exponent, step := i/32, uint64(i%32)+32
			if exponent > 5 {
				return time.Duration(step << (exponent - 5))
			}
			return time.Duration(step >> (5 - exponent))
		}
		rank -= n
	}
	return 0
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func appendPacket(b []byte, first byte, body []byte) []byte {
	b = binary.AppendUvarint(append(b, first), uint64(len(body)))
	return append(b, body...)
}
