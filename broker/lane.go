package broker

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// Sizes of the read buffer of a connection, in bytes. It starts small, for the
// many that are idle, and grows for those that send much.
const (
	laneStart = 2 << 10
	laneMax   = 32 << 10
)

// lane takes telemetry off the stream before the MQTT library sees it: decoding
// a packet there costs more than all that happens to it here. What is not
// plainly a well-formed PUBLISH to a telemetry topic, or is larger than laneMax,
// goes to the library byte by byte and comes back through OnPacketRead, which is
// also where malformed packets are refused. A Read never hands the library more
// than the rest of one packet, so the order of packets is kept.
//
// It belongs to the reader's goroutine.
type lane struct {
	buf []byte
	// buf[at:end] was read and not yet handed on.
	at, end int
	// pass is how many bytes of the packet at hand are still the library's.
	pass int
	// raw: the stream is no MQTT from here on, the library shall say so.
	raw bool
	// holding: telemetry was sent since next was called, and the log told that
	// there may be more.
	holding bool
	// topic is the last one; devices hardly change theirs.
	topic string
	// err is what reading the connection ended with, behind what is in buf.
	err error
}

// next consumes telemetry and returns what the library gets next; nothing when
// more must be read first. What came together is stored together. An error ends
// the connection.
func (l *lane) next(s *session) ([]byte, error) {
	defer func() {
		if l.holding {
			l.holding = false
			s.link.ReleaseTelemetry()
		}
	}()
	for {
		data := l.buf[l.at:l.end]
		switch {
		case l.raw:
			return data, nil
		case l.pass > 0:
			return data[:min(l.pass, len(data))], nil
		}
		size, header, ok := packetSize(data)
		switch {
		case !ok:
			l.raw = true
			continue
		case size == 0:
			return nil, nil
		case s == nil || data[0]>>4 != publishType || size > laneMax:
			l.pass = size
			continue
		case len(data) < size:
			return nil, nil
		}
		p, ok := l.telemetry(data[0], data[header:size])
		if !ok {
			l.pass = size
			continue
		}
		l.at += size
		if s.ended() {
			return nil, errEnded
		}
		if !l.holding {
			l.holding = true
			s.link.HoldTelemetry()
		}
		if err := s.publish(p); err != nil {
			return nil, err
		}
	}
}

// handed says that the library took n bytes of what next returned.
func (l *lane) handed(n int) {
	l.at += n
	if l.pass > 0 {
		l.pass -= n
	}
}

// room returns where to read to: never empty, because next leaves behind less
// than laneMax.
func (l *lane) room() []byte {
	full := l.end == len(l.buf)
	size := len(l.buf)
	switch {
	case size == 0:
		size = laneStart
	case full && size < laneMax:
		size *= 2
	}
	if size != len(l.buf) {
		grown := make([]byte, size)
		l.end = copy(grown, l.buf[l.at:l.end])
		l.buf, l.at = grown, 0
	} else if l.at > 0 {
		l.end = copy(l.buf, l.buf[l.at:l.end])
		l.at = 0
	}
	return l.buf[l.end:]
}

// telemetry parses the variable part of a PUBLISH (MQTT 3.1.1 3.3). The payload
// is the lane's memory, so only telemetry is taken, which the hub copies. It
// reports false for whatever the library shall see.
func (l *lane) telemetry(first byte, body []byte) (publish, bool) {
	p := publish{qos: first >> 1 & 3, retain: first&1 != 0}
	dup := first&8 != 0
	if p.qos > 1 || p.qos == 0 && dup || len(body) < 2 {
		return p, false
	}
	end := 2 + int(binary.BigEndian.Uint16(body))
	if len(body) < end+2*int(p.qos) {
		return p, false
	}
	topic := body[2:end]
	if string(topic) != l.topic {
		if !bytes.HasPrefix(bytes.TrimPrefix(topic, []byte("/")), []byte("devices/")) || !utf8.Valid(topic) || bytes.IndexByte(topic, 0) >= 0 {
			return p, false
		}
		l.topic = string(topic)
	}
	p.topic, p.payload = l.topic, body[end:]
	if p.qos == 1 {
		p.packetID, p.payload = binary.BigEndian.Uint16(body[end:]), body[end+2:]
	}
	return p, p.qos == 0 || p.packetID != 0
}

// publishType is the packet type of PUBLISH.
const publishType = 3

// packetSize returns the size of the packet that data begins with and of its
// fixed header; 0 when data is too short to tell, false when its length is
// malformed (MQTT 3.1.1 2.2.3).
func packetSize(data []byte) (size, header int, ok bool) {
	length := 0
	for i := 1; i < len(data); i++ {
		length |= int(data[i]&0x7F) << (7 * (i - 1))
		switch {
		case data[i] < 0x80:
			return 1 + i + length, 1 + i, true
		case i == 4:
			return 0, 0, false
		}
	}
	return 0, 0, true
}
