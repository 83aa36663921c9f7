//go:build conformance

package conformance

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
)

// Protocol headers (OASIS AMQP 1.0 2.2, 5.3.1).
const (
	amqpHeader = "AMQP\x00\x01\x00\x00"
	saslHeader = "AMQP\x03\x01\x00\x00"
)

// amqpFrame is a frame on channel 0 with a proper header.
func amqpFrame(body string) []byte { return rawFrame(uint32(len(body)+8), 2, 0, 0, body) }

func saslFrame(body string) []byte { return rawFrame(uint32(len(body)+8), 2, 1, 0, body) }

// rawFrame says what it is told to, true or not.
func rawFrame(size uint32, doff, kind byte, channel uint16, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, size)
	b = append(b, doff, kind)
	return append(binary.BigEndian.AppendUint16(b, channel), body...)
}

// performative is a described list32 of encoded fields.
func performative(code byte, fields ...string) string {
	body := strings.Join(fields, "")
	b := []byte{0, 0x53, code, 0xd0}
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)+4))
	b = binary.BigEndian.AppendUint32(b, uint32(len(fields)))
	return string(b) + body
}

func amqpText(s string) string {
	return string(binary.BigEndian.AppendUint32([]byte{0xb1}, uint32(len(s)))) + s
}

func amqpBinary(s string) string {
	return string(binary.BigEndian.AppendUint32([]byte{0xb0}, uint32(len(s)))) + s
}

func amqpSymbol(s string) string { return "\xa3" + string([]byte{byte(len(s))}) + s }

const (
	null = "\x40"
	yes  = "\x41"
	no   = "\x42"
	zero = "\x43"
)

func amqpUint(n uint32) string { return string(binary.BigEndian.AppendUint32([]byte{0x70}, n)) }

// hostileAMQP breaks the rules of AMQP 1.0 on port 5671.
func hostileAMQP(t *testing.T, s *site) {
	a := newSiege(t, s)
	a.badHandshakes()
	a.badFrames()
	a.badMessages()
	a.finish()
}

// badHandshakes end before an open frame could say why.
func (a *siege) badHandshakes() {
	long := strings.Repeat("x", 60000)
	init := func(mechanism, response string) string {
		return saslHeader + string(saslFrame(performative(0x41, amqpSymbol(mechanism), amqpBinary(response), null)))
	}
	var all sync.WaitGroup
	for _, x := range []struct{ name, bytes, ends, reason string }{
		{"HTTP", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", amqpHeader, ""},
		{"AMQP 0.9.1", "AMQP\x00\x00\x09\x01", amqpHeader, ""},
		{"AMQP 2.0", "AMQP\x00\x02\x00\x00", amqpHeader, ""},
		{"AMQP's TLS header", "AMQP\x02\x01\x00\x00", amqpHeader, ""},
		{"protocol 9", "AMQP\x09\x01\x00\x00", amqpHeader, ""},
		{"SASL mechanism unknown", init("SCRAM-SHA-512", "x"), "\x50\x01", "SCRAM"},
		{"PLAIN with nonsense", init("PLAIN", "hunter2"), "\x50\x01", "malformed"},
		{"PLAIN with too many parts", init("PLAIN", "\x00a\x00b\x00c"), "\x50\x01", "malformed"},
		{"PLAIN with invalid UTF-8", init("PLAIN", "\x00a\x00\xff"), "\x50\x01", "malformed"},
		{"PLAIN with a key as password", init("PLAIN", "\x00service@sas.root.localhost\x00"+a.key("good")), "\x50\x01", "401"},
		{"PLAIN with a long user name", init("PLAIN", "\x00"+long+"\x00x"), "\x50\x01", "401"},
		{"PLAIN with user name and password swapped", init("PLAIN", "\x00"+a.serviceToken()+"\x00service@sas.root.localhost"), "\x50\x01", "401"},
		{"SASL frame of 4 GB", saslHeader + string(rawFrame(0xffffffff, 2, 1, 0, "")), "", ""},
		{"SASL frame of 100 KB", saslHeader + string(rawFrame(100000, 2, 1, 0, long)), "", ""},
		{"SASL frame of 7 bytes", saslHeader + string(rawFrame(7, 2, 1, 0, "")), "", ""},
		{"AMQP frame during SASL", saslHeader + string(amqpFrame(performative(0x10, amqpText("x")))), "", ""},
		{"sasl-outcome from the client", saslHeader + string(saslFrame(performative(0x44, "\x50\x00"))), "", ""},
		{"no list in sasl-init", saslHeader + string(saslFrame("\x00\x53\x41\x71\x00\x00\x00\x01")), "", ""},
		{"SASL twice", init("ANONYMOUS", "x") + saslHeader, amqpHeader, ""},
		{"no AMQP after SASL", init("ANONYMOUS", "x") + "nonsense", amqpHeader, ""},
	} {
		// All at once: the emulator waits 2 s for the peer to end, and these do not.
		conn := a.dialTLS(5671)
		all.Go(func() {
			defer func() { _ = conn.Close() }()
			if answer := a.exchangeOn(x.name, conn, []byte(x.bytes)); !strings.Contains(string(answer), x.ends) {
				a.t.Errorf("%s: answer %q, want %q in it", x.name, answer, x.ends)
			}
			time.Sleep(100 * time.Millisecond)
			a.wantOneLineOf(x.name, conn, x.reason)
		})
	}
	all.Wait()
}

// wantOneLineOf is wantOneLine for the lines that name a connection.
func (a *siege) wantOneLineOf(name string, conn net.Conn, reason string) {
	var lines []string
	for _, line := range a.linesSince(0) {
		if strings.Contains(line, " remote="+conn.LocalAddr().String()+" ") {
			lines = append(lines, line)
		}
	}
	if len(lines) != 1 || !strings.Contains(lines[0], reason) {
		a.t.Errorf("%s: want one line with %q in the log:\n%s", name, reason, strings.Join(lines, "\n"))
	}
}

// badFrames come after a login; the close, or for faults of one session or link its end or detach, names the condition.
func (a *siege) badFrames() {
	login := saslHeader + string(saslFrame(performative(0x41, amqpSymbol("PLAIN"), amqpBinary("\x00service@sas.root.localhost\x00"+a.serviceToken()), null))) + amqpHeader
	open := performative(0x10, amqpText("attacker"), amqpText("localhost"), amqpUint(65536), "\x60\xff\xff")
	opened := login + string(amqpFrame(open))
	begun := opened + string(amqpFrame(performative(0x11, null, zero, amqpUint(5000), amqpUint(5000))))
	source := "\x00" + performative(0x28, amqpText("x"))[1:]
	target := func(address string) string { return performative(0x29, amqpText(address)) }
	attach := func(name, handle, role, from, to string) string {
		return string(amqpFrame(performative(0x12, name, handle, role, null, null, from, to, null, null, zero)))
	}
	attached := begun + attach(amqpText("l"), zero, no, source, target("/messages/devicebound"))
	deepList := strings.Repeat("\xd0\x00\x00\x10\x00\x00\x00\x00\x01", 1000)
	deepDescribed := strings.Repeat("\x00", 30000)
	// An array of four thousand million nulls takes no bytes for them.
	bomb := "\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40"
	listBomb := "\xd0\x00\x00\x00\x04\xff\xff\xff\xff"
	withProperties := func(value string) string {
		return login + string(amqpFrame(performative(0x10, amqpText("attacker"), amqpText("localhost"), amqpUint(65536), null, null, null, null, null, null, value)))
	}
	transfer := func(handle, id, settled, payload string) string {
		return string(amqpFrame(performative(0x14, handle, id, amqpBinary("t"), zero, settled) + payload))
	}
	for _, x := range []struct{ name, bytes, condition string }{
		{"begin before open", login + string(amqpFrame(performative(0x11, null, zero, zero, zero))), "amqp:not-allowed"},
		{"max-frame-size 100", login + string(amqpFrame(performative(0x10, amqpText("x"), amqpText("localhost"), amqpUint(100)))), "amqp:invalid-field"},
		{"open without container", login + string(amqpFrame(performative(0x10))), "amqp:"},
		{"SASL frame for an open", login + string(saslFrame(open)), "framing-error"},
		{"first frame of 4 GB", login + string(rawFrame(0xffffffff, 2, 0, 0, "")), "framing-error"},
		{"deep lists", withProperties(deepList), "amqp:decode-error"},
		{"deep descriptors", withProperties(deepDescribed), "amqp:decode-error"},
		{"array of 4 G nulls", withProperties(bomb), "amqp:decode-error"},
		{"list of 4 G items", withProperties(listBomb), "amqp:decode-error"},
		{"map of three", withProperties("\xd1\x00\x00\x00\x07\x00\x00\x00\x03\x40\x40\x40"), "amqp:decode-error"},
		{"text that claims 2 GB", withProperties("\xb1\x7f\xff\xff\xff"), "amqp:decode-error"},
		{"invalid UTF-8 in the container id", login + string(amqpFrame(performative(0x10, amqpText("\xff\xfe"), amqpText("x")))), "amqp:decode-error"},
		{"open twice", opened + string(amqpFrame(open)), "amqp:not-allowed"},
		{"frame of 4 GB", opened + string(rawFrame(0xffffffff, 2, 0, 0, "xxxx")), "framing-error"},
		{"frame of 65537 bytes", opened + string(rawFrame(65537, 2, 0, 0, "xxxx")), "framing-error"},
		{"frame of 7 bytes", opened + string(rawFrame(7, 2, 0, 0, "")), "framing-error"},
		{"frame of 0 bytes", opened + string(rawFrame(0, 2, 0, 0, "")), "framing-error"},
		{"doff 0", opened + string(rawFrame(8, 0, 0, 0, "")), "framing-error"},
		{"doff 1", opened + string(rawFrame(8, 1, 0, 0, "")), "framing-error"},
		{"doff behind the frame", opened + string(rawFrame(12, 4, 0, 0, "xxxx")), "framing-error"},
		{"frame type 7", opened + string(rawFrame(12, 2, 7, 0, "xxxx")), "framing-error"},
		{"attach before begin", opened + attach(amqpText("l"), zero, no, source, target("$cbs")), "amqp:not-allowed"},
		{"transfer before begin", opened + transfer(zero, zero, yes, "x"), "amqp:not-allowed"},
		{"end before begin", opened + string(amqpFrame(performative(0x17))), "amqp:not-allowed"},
		{"begin twice", begun + string(amqpFrame(performative(0x11, null, zero, amqpUint(9), amqpUint(9)))), "amqp:not-allowed"},
		{"begin above channel-max", opened + string(rawFrame(uint32(8+len(performative(0x11, null, zero, zero, zero))), 2, 0, 0xffff, performative(0x11, null, zero, zero, zero))), "amqp:not-allowed"},
		{"begin that answers", opened + string(amqpFrame(performative(0x11, "\x60\x00\x07", zero, zero, zero))), "amqp:not-allowed"},
		{"unknown performative", begun + string(amqpFrame(performative(0x77, zero))), "amqp:not-implemented"},
		{"performative by a long symbol", begun + string(amqpFrame("\x00\xb3\x00\x00\x40\x00"+strings.Repeat("s", 0x4000)+"\x45")), "amqp:"},
		{"no performative", begun + string(amqpFrame("nonsense")), "amqp:decode-error"},
		{"transfer on no link", begun + transfer(amqpUint(5), zero, yes, "x"), "amqp:session:unattached-handle"},
		{"flow for no link", begun + string(amqpFrame(performative(0x13, zero, amqpUint(1), zero, amqpUint(1), amqpUint(99)))), "amqp:session:unattached-handle"},
		{"handle in use", attached + attach(amqpText("m"), zero, no, source, target("/messages/devicebound")), "amqp:session:handle-in-use"},
		{"handle above handle-max", begun + attach(amqpText("l"), amqpUint(0xfffffff0), no, source, target("/messages/devicebound")), "amqp:"},
		{"attach with a number for a name", begun + attach(zero, zero, no, source, target("x")), "amqp:decode-error"},
		{"attach with a huge address", begun + attach(amqpText("l"), zero, no, source, target(strings.Repeat("y", 50000))), "amqp:not-found"},
		{"transfer without an id", attached + transfer(zero, null, yes, "x"), "amqp:"},
		{"transfers far beyond the credit", attached + strings.Repeat(transfer(zero, zero, yes, "x"), 3000), "amqp:"},
	} {
		mark := a.mark()
		conn := a.dialTLS(5671)
		// The handshake in its steps: some faults are about what follows it.
		go func() { _, _ = conn.Write([]byte(x.bytes)) }()
		answer, ended := readUntilError(conn)
		if !bytes.Contains(answer, []byte(x.condition)) {
			a.t.Errorf("%s: answer %.600q, want %s in it (ended: %t)", x.name, answer, x.condition, ended)
		}
		_ = conn.Close()
		if !strings.HasPrefix(x.name, "transfers") { // each of which is refused
			a.wantAtLeastOneLine(x.name, mark)
		}
	}
}

// readUntilError reads AMQP until the connection ends, or a second after an error came in a frame that does not end it.
func readUntilError(conn io.Reader) (answer []byte, ended bool) {
	type deadline interface{ SetReadDeadline(time.Time) error }
	buffer := make([]byte, 4096)
	for {
		if c, ok := conn.(deadline); ok && bytes.Contains(answer, []byte("\x00\x53\x1d")) {
			_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		}
		n, err := conn.Read(buffer)
		answer = append(answer, buffer[:n]...)
		if err != nil {
			return answer, err == io.EOF
		}
	}
}

// wantAtLeastOneLine is for faults after which the client leaves without a goodbye, which is another line.
func (a *siege) wantAtLeastOneLine(name string, mark int64) {
	a.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for len(a.linesSince(mark)) == 0 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(10 * time.Millisecond)
	if lines := a.linesSince(mark); len(lines) == 0 || len(lines) > 2 {
		a.t.Errorf("%s: %d lines in the log, want one:\n%s", name, len(lines), strings.Join(lines, "\n"))
	}
}

// badMessages are proper AMQP that the hub refuses: the outcome is rejected, or the answer of $cbs a status, and links stay.
func (a *siege) badMessages() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	conn, err := a.dialAMQP(ctx, amqp.SASLTypePlain("service@sas.root.localhost", a.serviceToken()))
	if err != nil {
		a.t.Error(err)
		return
	}
	defer func() { _ = conn.Close() }()
	session, err := conn.NewSession(ctx, nil)
	if err != nil {
		a.t.Error(err)
		return
	}
	sender, err := session.NewSender(ctx, "/messages/devicebound", nil)
	if err != nil {
		a.t.Error(err)
		return
	}
	good, nobody := "/devices/good/messages/devicebound", "/devices/nobody/messages/devicebound"
	elsewhere, long := "/queues/x", "/devices/"+strings.Repeat("x", 5000)+"/messages/devicebound"
	for name, message := range map[string]*amqp.Message{
		"no address":      {Data: [][]byte{{1}}},
		"unknown device":  {Properties: &amqp.MessageProperties{To: &nobody}, Data: [][]byte{{1}}},
		"unknown address": {Properties: &amqp.MessageProperties{To: &elsewhere}, Data: [][]byte{{1}}},
		"long address":    {Properties: &amqp.MessageProperties{To: &long}, Data: [][]byte{{1}}},
		"too large":       {Properties: &amqp.MessageProperties{To: &good}, Data: [][]byte{make([]byte, 70<<10)}},
		"bad iothub-ack": {
			Properties: &amqp.MessageProperties{To: &good}, Data: [][]byte{{1}}, ApplicationProperties: map[string]any{"iothub-ack": "perhaps"},
		},
	} {
		mark := a.mark()
		if err := sender.Send(ctx, message, nil); err == nil {
			a.t.Errorf("C2D, %s: %v", name, errNotRefused)
		}
		a.wantOneLine("C2D, "+name, mark, "code=4")
	}
	receiver, err := session.NewReceiver(ctx, "$cbs", nil)
	if err != nil {
		a.t.Error(err)
		return
	}
	cbs, err := session.NewSender(ctx, "$cbs", nil)
	if err != nil {
		a.t.Error(err)
		return
	}
	put := func(operation, kind string, value any) *amqp.Message {
		replyTo, id := "cbs", "1"
		return &amqp.Message{
			Properties:            &amqp.MessageProperties{MessageID: id, ReplyTo: &replyTo},
			ApplicationProperties: map[string]any{"operation": operation, "type": kind, "name": "x"}, Value: value,
		}
	}
	const sas = "servicebus.windows.net:sastoken"
	for name, message := range map[string]*amqp.Message{
		"expired token":     put("put-token", sas, sign(a.host+"/devices/good", a.key("good"), "", -time.Minute)),
		"nonsense":          put("put-token", sas, "hunter2"),
		"a number":          put("put-token", sas, 7),
		"another operation": put("delete-token", sas, "x"),
		"another type":      put("put-token", "x", "x"),
		"no body":           put("put-token", sas, nil),
		"long nonsense":     put("put-token", strings.Repeat("t", 20000), strings.Repeat("x", 20000)),
	} {
		mark := a.mark()
		if err := cbs.Send(ctx, message, nil); err != nil {
			a.t.Errorf("$cbs, %s: %v", name, err)
			return
		}
		answer, err := receiver.Receive(ctx, nil)
		if err != nil {
			a.t.Errorf("$cbs, %s: %v", name, err)
			return
		}
		_ = receiver.AcceptMessage(ctx, answer)
		if status, _ := answer.ApplicationProperties["status-code"].(int32); status < 400 || status > 499 {
			a.t.Errorf("$cbs, %s: status %v", name, answer.ApplicationProperties)
		}
		a.wantOneLine("$cbs, "+name, mark, "code=4")
	}
}
