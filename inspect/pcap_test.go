package inspect

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// captured is a segment of a capture file.
type captured struct {
	at       time.Time
	from, to netip.AddrPort
	flags    byte
	seq, ack uint32
	data     []byte
}

// readPcap reads a capture file and demands that its lengths and checksums are right.
func readPcap(t *testing.T, file []byte) []captured {
	t.Helper()
	le, be := binary.LittleEndian, binary.BigEndian
	if len(file) < 24 || le.Uint32(file) != 0xa1b23c4d || le.Uint16(file[4:]) != 2 || le.Uint16(file[6:]) != 4 || le.Uint32(file[20:]) != 101 {
		t.Fatalf("the header is % x", file[:min(24, len(file))])
	}
	var all []captured
	for file = file[24:]; len(file) > 0; {
		n := int(le.Uint32(file[8:]))
		if int(le.Uint32(file[12:])) != n || len(file) < 16+n {
			t.Fatalf("a packet of %d bytes where there are %d", n, len(file)-16)
		}
		one := captured{at: time.Unix(int64(le.Uint32(file)), int64(le.Uint32(file[4:])))}
		ip := file[16 : 16+n]
		file = file[16+n:]
		var from, to netip.Addr
		var tcp, pseudo []byte
		if ip[0]>>4 == 4 {
			if int(be.Uint16(ip[2:])) != n || ip[9] != 6 || checksum(ip[:20]) != 0 {
				t.Errorf("IPv4 % x", ip[:20])
			}
			from, to, tcp = netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:])), ip[20:]
			pseudo = append(bytes.Clone(ip[12:20]), 0, 6, byte(len(tcp)>>8), byte(len(tcp)))
		} else {
			if ip[0]>>4 != 6 || int(be.Uint16(ip[4:])) != n-40 || ip[6] != 6 {
				t.Errorf("IPv6 % x", ip[:40])
			}
			from, to, tcp = netip.AddrFrom16([16]byte(ip[8:])), netip.AddrFrom16([16]byte(ip[24:])), ip[40:]
			pseudo = append(bytes.Clone(ip[8:40]), 0, 6, byte(len(tcp)>>8), byte(len(tcp)))
		}
		if checksum(pseudo, tcp) != 0 {
			t.Errorf("the checksum of % x", tcp[:20])
		}
		one.from, one.to = netip.AddrPortFrom(from, be.Uint16(tcp)), netip.AddrPortFrom(to, be.Uint16(tcp[2:]))
		one.seq, one.ack, one.flags, one.data = be.Uint32(tcp[4:]), be.Uint32(tcp[8:]), tcp[13], tcp[tcp[12]>>4*4:]
		all = append(all, one)
	}
	return all
}

// streams puts the data of both directions together, and demands that the sequence numbers fit.
func streams(t *testing.T, all []captured) (in, out string) {
	t.Helper()
	next := map[netip.AddrPort]uint32{}
	for i, s := range all {
		if want, known := next[s.from]; known && s.seq != want {
			t.Errorf("segment %d has number %d, want %d", i, s.seq, want)
		}
		next[s.from] = s.seq + uint32(len(s.data))
		if s.flags&(synchronize|finish) != 0 {
			next[s.from]++
		}
		if want, known := next[s.to]; known && s.flags&acknowledge != 0 && s.ack != want {
			t.Errorf("segment %d acknowledges %d, want %d", i, s.ack, want)
		}
		if s.from == all[0].from {
			in += string(s.data)
		} else {
			out += string(s.data)
		}
	}
	return in, out
}

// anyBytes is a codec whose frames are what it is given.
type anyBytes struct{}

func (anyBytes) Length(b []byte) int         { return len(b) }
func (anyBytes) Describe([]byte) Description { return Description{Type: "bytes"} }

func address(text string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text)) }

func TestPcap(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	for _, test := range []struct {
		protocol, remote, local string
		from, to                string
	}{
		{"mqtt", "192.0.2.7:40000", "192.0.2.1:8883", "192.0.2.7:40000", "192.0.2.1:1883"},
		{"amqp-ws", "[2001:db8::7]:40000", "[2001:db8::1]:443", "[2001:db8::7]:40000", "[2001:db8::1]:5672"},
		{"https", "[::ffff:127.0.0.1]:40000", "", "127.0.0.1:40000", "127.0.0.1:80"},
	} {
		r := NewRecorder(func() time.Time { return at })
		var local net.Addr
		if test.local != "" {
			local = address(test.local)
		}
		c := r.open(test.protocol, address(test.remote), local, anyBytes{})
		long := strings.Repeat("0123456789abcdef", 1000)
		r.add(c, In, 5, []byte("hello"))
		r.add(c, Out, 3, []byte("you"))
		r.add(c, In, len(long), []byte(long))
		r.end(c)
		file, ok := r.Pcap(c.id)
		if !ok {
			t.Fatal("the connection is unknown")
		}
		all := readPcap(t, file)
		in, out := streams(t, all)
		if in != "hello"+long || out != "you" {
			t.Errorf("%s: %d bytes in, %q out", test.protocol, len(in), out)
		}
		if all[0].from.String() != test.from || all[0].to.String() != test.to || all[0].flags != synchronize || !all[3].at.Equal(at) {
			t.Errorf("%s: %+v", test.protocol, all[0])
		}
		if last := all[len(all)-2]; last.flags != finish|acknowledge {
			t.Errorf("%s: the end is %+v", test.protocol, last)
		}
	}
	if _, ok := NewRecorder(nil).Pcap("mqtt-1"); ok {
		t.Error("a connection that is not there has a file")
	}
}

func TestPcapOfLongFrames(t *testing.T) {
	r := NewRecorder(nil)
	c := r.open("mqtt", address("192.0.2.7:1"), address("192.0.2.1:2"), anyBytes{})
	r.add(c, In, 100_000, make([]byte, maxFrameBytes))
	r.add(c, In, 2, []byte("on"))
	file, _ := r.Pcap(c.id)
	all := readPcap(t, file)
	last := all[len(all)-1]
	if string(last.data) != "on" || last.seq != all[0].seq+1+100_000 {
		t.Errorf("after a long frame: %+v, the first was %d", last, all[0].seq)
	}
}

func TestPcapCrossesOut(t *testing.T) {
	const token = "SharedAccessSignature sr=hub&sig=abc%2Fd%3D&se=17"
	if got := string(crossOut([]byte("a" + token + "b"))); got != "aSharedAccessSignature sr=hub&sig=xxxxxxxxxx&se=17b" {
		t.Error(got)
	}
	plain := []byte("\x00\x00\x00\x2a\x02\x01\x00\x00\x00\x53\x41\xd0\x00\x00\x00\x18\x00\x00\x00\x02\xa3\x05PLAIN\xa0\x0d\x00policy\x00secrt")
	if got := string(crossOut(plain)); strings.Contains(got, "secrt") || !strings.Contains(got, "policy\x00xxxxx") || len(got) != len(plain) {
		t.Errorf("%q", got)
	}
	for _, text := range []string{"", "sig=", "PLAIN", "\x00\x00\x00\x00\x00\x01\x00\x00PLAIN\xa0", "\x00\x00\x00\x00\x00\x01\x00\x00PLAIN\xa0\xff\x00a\x00b"} {
		if got := crossOut([]byte(text)); len(got) != len(text) {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// TestPcapInTshark: the program that people open such files with knows the protocols. The other tests here read the files without it.
func TestPcapInTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Log("tshark is not installed: the file is not opened with it")
		return
	}
	for protocol, test := range map[string]struct {
		in, out, want string
	}{
		"mqtt": {
			"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02d1", "\x20\x02\x00\x00", "Connect Command|Connect Ack",
		},
		"amqp":  {"AMQP\x00\x01\x00\x00\x00\x00\x00\x18\x02\x00\x00\x00\x00\x53\x10\xc0\x0b\x02\xa1\x02id\xa1\x04host\x00", "AMQP\x00\x01\x00\x00", "AMQP"},
		"https": {"GET /twins/d1 HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", "GET /twins/d1 HTTP/1.1|204 No Content"},
	} {
		r := NewRecorder(nil)
		c := r.open(protocol, address("127.0.0.1:40000"), address("127.0.0.1:8883"), anyBytes{})
		r.add(c, In, len(test.in), []byte(test.in))
		r.add(c, Out, len(test.out), []byte(test.out))
		r.end(c)
		file, _ := r.Pcap(c.id)
		path := filepath.Join(t.TempDir(), "c.pcap")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		said, err := exec.CommandContext(t.Context(), tshark, "-n", "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-r", path).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		for want := range strings.SplitSeq(test.want, "|") {
			if !bytes.Contains(said, []byte(want)) || bytes.Contains(said, []byte("ncorrect")) || bytes.Contains(said, []byte("Malformed")) {
				t.Errorf("%s: no %q in\n%s", protocol, want, said)
			}
		}
	}
}
