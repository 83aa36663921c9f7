package inspect

import (
	"bytes"
	"encoding/binary"
	"math"
	"net/netip"
	"strings"
	"time"
)

// Pcap returns what is kept of a connection as a capture file that Wireshark and tshark decode: what was said inside of TLS and WebSockets, as TCP segments
// to the plain port of the protocol. Signatures and passwords are crossed out. Of a frame longer than 16 KiB the rest is missing, which shows as a lost segment. false for an unknown
// connection. Sources: libpcap, pcap-savefile(5); RFC 791, RFC 8200, RFC 9293.
func (r *Recorder) Pcap(id string) ([]byte, bool) {
	about, frames, ok := r.Frames(id, 0, maxFrames)
	if !ok {
		return nil, false
	}
	p := newPcap(&about)
	p.segment(about.Opened, In, synchronize, nil)
	p.segment(about.Opened, Out, synchronize|acknowledge, nil)
	p.segment(about.Opened, In, acknowledge, nil)
	for _, f := range frames {
		p.segment(f.Time, f.Direction, push|acknowledge, crossOut(f.Raw))
		p.next[f.Direction] += uint32(min(max(f.Size-len(f.Raw), 0), math.MaxInt32)) //nolint:gosec // bounded
	}
	if !about.Closed.IsZero() {
		p.segment(about.Closed, In, finish|acknowledge, nil)
		p.segment(about.Closed, Out, finish|acknowledge, nil)
		p.segment(about.Closed, In, acknowledge, nil)
	}
	return p.out, true
}

// The flags of a TCP segment.
const (
	finish      = 1 << 0
	synchronize = 1 << 1
	push        = 1 << 3
	acknowledge = 1 << 4
)

// Of the capture file.
const (
	// pcapMagic says that times are in nanoseconds.
	pcapMagic = 0xa1b23c4d
	// linkTypeRaw is IPv4 or IPv6 without anything around it.
	linkTypeRaw = 101
	pcapSnap    = 1 << 18
	// maxSegment is how much one segment carries.
	maxSegment = 32 << 10
)

// pcap is a capture file in the making.
type pcap struct {
	out []byte
	// addresses and next, the next sequence number, are by the direction of what is sent.
	addresses map[Direction]netip.AddrPort
	next      map[Direction]uint32
}

func newPcap(c *Connection) *pcap {
	p := &pcap{addresses: map[Direction]netip.AddrPort{}, next: map[Direction]uint32{In: 1000, Out: 5000}}
	client, server := addressOf(c.RemoteAddress), addressOf(c.LocalAddress)
	if client.Addr().Is4() != server.Addr().Is4() {
		server = addressOf("")
		if client.Addr().Is6() {
			server = netip.AddrPortFrom(netip.IPv6Loopback(), 0)
		}
	}
	port := client.Port()
	if port == 0 {
		port = 50000
	}
	p.addresses[In] = netip.AddrPortFrom(client.Addr(), port)
	p.addresses[Out] = netip.AddrPortFrom(server.Addr(), plainPort(c.Protocol))
	p.out = binary.LittleEndian.AppendUint32(p.out, pcapMagic)
	p.out = binary.LittleEndian.AppendUint16(p.out, 2)
	p.out = binary.LittleEndian.AppendUint16(p.out, 4)
	p.out = append(p.out, make([]byte, 8)...)
	p.out = binary.LittleEndian.AppendUint32(p.out, pcapSnap)
	p.out = binary.LittleEndian.AppendUint32(p.out, linkTypeRaw)
	return p
}

// addressOf reads an address; one that is none is the loopback one.
func addressOf(text string) netip.AddrPort {
	found, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
	}
	return netip.AddrPortFrom(found.Addr().Unmap().WithZone(""), found.Port())
}

// plainPort returns the port by which a reader knows the protocol when it is not inside of TLS.
func plainPort(protocol string) uint16 {
	switch {
	case strings.HasPrefix(protocol, "mqtt"):
		return 1883
	case strings.HasPrefix(protocol, "amqp"):
		return 5672
	}
	return 80
}

// segment adds TCP segments with data, or one without.
func (p *pcap) segment(at time.Time, d Direction, flags byte, data []byte) {
	for len(data) > maxSegment {
		p.packet(at, d, flags, data[:maxSegment])
		data = data[maxSegment:]
	}
	p.packet(at, d, flags, data)
}

func (p *pcap) packet(at time.Time, d Direction, flags byte, data []byte) {
	other := In
	if d == In {
		other = Out
	}
	from, to := p.addresses[d], p.addresses[other]
	var acknowledged uint32
	if flags&acknowledge != 0 {
		acknowledged = p.next[other]
	}
	var tcp []byte
	tcp = binary.BigEndian.AppendUint16(tcp, from.Port())
	tcp = binary.BigEndian.AppendUint16(tcp, to.Port())
	tcp = binary.BigEndian.AppendUint32(tcp, p.next[d])
	tcp = binary.BigEndian.AppendUint32(tcp, acknowledged)
	// Five words of header, the largest window, no checksum yet, nothing urgent.
	tcp = append(tcp, 5<<4, flags, 0xff, 0xff, 0, 0, 0, 0)
	tcp = append(tcp, data...)
	binary.BigEndian.PutUint16(tcp[16:], checksum(pseudoHeader(from.Addr(), to.Addr(), len(tcp)), tcp))
	p.next[d] += uint32(len(data)) //nolint:gosec // at most maxSegment
	if flags&(synchronize|finish) != 0 {
		p.next[d]++
	}
	ip := append(ipHeader(from.Addr(), to.Addr(), len(tcp)), tcp...)
	p.out = binary.LittleEndian.AppendUint32(p.out, uint32(at.Unix()))       //nolint:gosec // the format's own limit, in 2106
	p.out = binary.LittleEndian.AppendUint32(p.out, uint32(at.Nanosecond())) //nolint:gosec // below 1e9
	for range 2 {
		p.out = binary.LittleEndian.AppendUint32(p.out, uint32(len(ip))) //nolint:gosec // at most maxSegment and headers
	}
	p.out = append(p.out, ip...)
}

// tcpProtocol is the number of TCP in IP.
const tcpProtocol = 6

func ipHeader(from, to netip.Addr, payload int) []byte {
	length := uint16(payload) //nolint:gosec // at most maxSegment and a header
	if from.Is6() {
		h := []byte{6 << 4, 0, 0, 0}
		h = binary.BigEndian.AppendUint16(h, length)
		h = append(h, tcpProtocol, 64)
		return append(append(h, from.AsSlice()...), to.AsSlice()...)
	}
	h := []byte{4<<4 | 5, 0}
	h = binary.BigEndian.AppendUint16(h, 20+length)
	// No fragments, 64 hops.
	h = append(h, 0, 0, 0x40, 0, 64, tcpProtocol, 0, 0)
	h = append(append(h, from.AsSlice()...), to.AsSlice()...)
	binary.BigEndian.PutUint16(h[10:], checksum(h))
	return h
}

func pseudoHeader(from, to netip.Addr, length int) []byte {
	h := append(from.AsSlice(), to.AsSlice()...)
	h = binary.BigEndian.AppendUint32(h, uint32(length)) //nolint:gosec // at most maxSegment and a header
	return binary.BigEndian.AppendUint32(h, tcpProtocol)
}

// checksum is that of RFC 1071 over parts of which only the last may have an odd length.
func checksum(parts ...[]byte) uint16 {
	var sum uint32
	for _, part := range parts {
		for len(part) > 1 {
			sum += uint32(binary.BigEndian.Uint16(part))
			part = part[2:]
		}
		if len(part) == 1 {
			sum += uint32(part[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum) //nolint:gosec // folded above
}

// crossOut returns a frame with x in the place of signatures, and of the password of SASL PLAIN; its length stays.
func crossOut(raw []byte) []byte {
	out := bytes.Clone(raw)
	for at := 0; ; {
		i := bytes.Index(out[at:], []byte("sig="))
		if i < 0 {
			break
		}
		for at += i + len("sig="); at < len(out) && strings.IndexByte(signatureBytes, out[at]) >= 0; at++ {
			out[at] = 'x'
		}
	}
	const mechanism = "PLAIN"
	i := bytes.Index(out, []byte(mechanism))
	if i < 0 || len(out) < 8 || out[5] != 1 { // of AMQP's SASL frames alone
		return out
	}
	response := out[i+len(mechanism):]
	switch {
	case len(response) > 2 && response[0] == 0xa0:
		response = response[2:min(len(response), 2+int(response[1]))]
	case len(response) > 5 && response[0] == 0xb0:
		response = response[5:]
	default:
		return out
	}
	for j := bytes.LastIndexByte(response, 0) + 1; j < len(response); j++ {
		response[j] = 'x'
	}
	return out
}

// signatureBytes are what a signature is written with, in base64 and escaped.
const signatureBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789%+/=_-"
