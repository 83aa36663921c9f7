//go:build conformance

package conformance

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// handshakeTimeout is what the emulator gives a client to say who it is.
const handshakeTimeout = 30 * time.Second

// stall is a connection that says so much and then nothing more.
type stall struct {
	name  string
	port  int
	plain bool // no TLS
	bytes string
}

// stalls lists every place at which a peer may stop before it is let in.
func (a *siege) stalls() []stall {
	login := saslHeader + string(saslFrame(performative(0x41, amqpSymbol("ANONYMOUS"), amqpBinary("x"), null))) + amqpHeader
	connect := string(mqttConnect{client: "d0", user: a.userName("d0")}.packet())
	// The first bytes of a ClientHello.
	hello := "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("r", 20)
	var all []stall
	for _, port := range []int{8883, 5671, 443} {
		all = append(all,
			stall{fmt.Sprint("nothing on ", port), port, true, ""},
			stall{fmt.Sprint("half a TLS record on ", port), port, true, "\x16\x03"},
			stall{fmt.Sprint("half a ClientHello on ", port), port, true, hello},
			stall{fmt.Sprint("nothing after TLS on ", port), port, false, ""},
		)
	}
	return append(all,
		stall{"half a CONNECT", 8883, false, connect[:len(connect)/2]},
		stall{"one byte of MQTT", 8883, false, "\x10"},
		stall{"CONNECT that claims more", 8883, false, "\x10\xff\xff\x10" + connect[2:]},
		stall{"half an AMQP header", 5671, false, "AMQ"},
		stall{"SASL header alone", 5671, false, saslHeader},
		stall{"half a SASL frame", 5671, false, login[:20]},
		stall{"no open", 5671, false, login},
		stall{"half an open", 5671, false, login + "\x00\x00\x01\x00\x02\x00\x00\x00\x00\x53\x10"},
		stall{"half a request line", 443, false, "GET /dev"},
		stall{"half the headers", 443, false, "GET /devices/d0 HTTP/1.1\r\nHost: localhost\r\nX-A:"},
		stall{"nothing on the admin port", 8484, true, ""},
		stall{"half a request on the admin port", 8484, true, "GET /info HTTP/1.1\r\nHost: local"},
	)
}

// open makes the connection; the caller closes it.
func (a *siege) open(x stall) (net.Conn, error) {
	raw, err := net.DialTimeout("tcp", a.address(x.port), time.Minute)
	if err != nil {
		return nil, err
	}
	conn := raw
	if !x.plain {
		_ = raw.SetDeadline(time.Now().Add(time.Minute))
		conn = tls.Client(raw, a.tls)
	}
	if x.bytes != "" || !x.plain {
		if t, ok := conn.(*tls.Conn); ok {
			if err := t.Handshake(); err != nil {
				_ = raw.Close()
				return nil, err
			}
		}
		if _, err = conn.Write([]byte(x.bytes)); err != nil {
			_ = raw.Close()
			return nil, err
		}
	}
	return conn, nil
}

// hostileStalls opens hundreds of connections that stop at every place, and some that never read. They are cut off in time, with a
// line each; and when some of them are there while the emulator is stopped, it ends in time nevertheless.
func hostileStalls(t *testing.T, s *site) {
	const copies = 12
	devices := []string{"d0", "d1", "d2", "d3", "d4", "d5"}
	a := newSiege(t, s, devices...)
	mark := a.mark()
	begun := time.Now()
	open := a.openStalls(copies)
	a.checkServed("with stalled connections open")
	a.neverRead("d1", "d2")
	a.stallsAfterLogin("d3", "d4")

	// Every connection that is not let in is cut off.
	var all sync.WaitGroup
	for _, o := range open {
		all.Go(func() {
			defer func() { _ = o.conn.Close() }()
			// All of them were opened by now; a busy machine takes longer.
			_ = o.conn.SetReadDeadline(time.Now().Add(handshakeTimeout + 20*time.Second))
			_, err := io.Copy(io.Discard, o.conn)
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Errorf("%s: still open after %s", o.name, time.Since(begun).Round(time.Second))
			}
		})
	}
	all.Wait()
	t.Logf("%d stalled connections were cut off after %s", len(open), time.Since(begun).Round(time.Second))
	perName := map[string]int{}
	for _, line := range a.linesSince(mark) {
		_, message, _ := strings.Cut(line, "msg=")
		message, _, _ = strings.Cut(strings.TrimPrefix(message, `"`), `"`)
		perName[message]++
	}
	t.Logf("lines: %v", perName)
	for message, want := range map[string]int{
		"MQTT connection cut: no CONNECT in time": 7 * copies, "amqp connection lost": 8 * copies,
		"TLS handshake failed": 3 * copies, "HTTP request refused": 3 * copies,
	} {
		if perName[message] < want {
			t.Errorf("%d lines %q, want %d", perName[message], message, want)
		}
	}
	a.finishStalled()
}

type openStall struct {
	stall
	conn net.Conn
}

func (a *siege) openStalls(copies int) []openStall {
	a.t.Helper()
	var mu sync.Mutex
	var open []openStall
	var all sync.WaitGroup
	slots := make(chan struct{}, 32)
	for _, x := range a.stalls() {
		for range copies {
			all.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				conn, err := a.open(x)
				if err != nil {
					a.t.Errorf("%s: %v", x.name, err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				open = append(open, openStall{x, conn})
			})
		}
	}
	all.Wait()
	return open
}

// neverRead asks for more and more and reads nothing of it: the emulator stops reading, and then cuts the connection off.
func (a *siege) neverRead(devices ...string) {
	a.t.Helper()
	for _, device := range devices {
		conn := a.enter(device, 1200)
		a.t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(4 * time.Second))
		_, _ = conn.Write(mqttSubscribe(0x82, 1, "$iothub/twin/res/#"))
		flood := []byte(strings.Repeat(string(mqttPublish(0x30, "$iothub/twin/GET/?$rid="+strings.Repeat("r", 4000), 0, "")), 50))
		a.t.Logf("%s wrote %d MiB of requests whose answers it did not read", device, writeUntilStuck(conn, flood)>>20)
	}
	// AMQP: flows that ask for an echo.
	opened := saslHeader + string(saslFrame(performative(0x41, amqpSymbol("ANONYMOUS"), amqpBinary("x"), null))) + amqpHeader +
		string(amqpFrame(performative(0x10, amqpText("attacker"), amqpText("localhost"), amqpUint(65536)))) +
		string(amqpFrame(performative(0x11, null, zero, amqpUint(5000), amqpUint(5000))))
	conn := a.dialTLS(5671)
	a.t.Cleanup(func() { _ = conn.Close() })
	_, _ = conn.Write([]byte(opened))
	_ = conn.SetDeadline(time.Now().Add(4 * time.Second))
	echo := string(amqpFrame(performative(0x13, zero, amqpUint(5000), zero, amqpUint(5000), null, null, null, null, null, yes)))
	a.t.Logf("AMQP wrote %d MiB of flows", writeUntilStuck(conn, []byte(strings.Repeat(echo, 500)))>>20)
	// HTTP: one request behind the other.
	conn = a.dialTLS(443)
	a.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(4 * time.Second))
	a.t.Logf("HTTP wrote %d MiB of requests", writeUntilStuck(conn, []byte(strings.Repeat(a.request("GET /none HTTP/1.1", ""), 200)))>>20)
	now := a.usage()
	if more := now.memory - a.before.memory; more > maxMoreMemory {
		a.t.Errorf("clients that do not read cost %d MiB", more>>20)
	}
}

// writeUntilStuck returns how many bytes were taken before the deadline, at most 64 MiB.
func writeUntilStuck(conn net.Conn, b []byte) int {
	total := 0
	for total < 64<<20 {
		n, err := conn.Write(b)
		total += n
		if err != nil {
			return total
		}
	}
	return total
}

// stallsAfterLogin stops in the middle of a packet after CONNECT: keep-alive ends it.
func (a *siege) stallsAfterLogin(devices ...string) {
	a.t.Helper()
	for _, device := range devices {
		begun := time.Now()
		conn := a.enter(device, 2)
		mark := a.mark()
		_, _ = conn.Write(mqttPublish(0x32, "devices/"+device+"/messages/events/", 1, strings.Repeat("x", 1000))[:500])
		if _, err := io.Copy(io.Discard, conn); err != nil {
			a.t.Errorf("%s: stalled in a PUBLISH: %v", device, err)
		}
		if took := time.Since(begun); took < 3*time.Second || took > handshakeTimeout {
			a.t.Errorf("%s: a keep-alive of 2 s ended after %s", device, took)
		}
		_ = conn.Close()
		a.wantLine("stalled in a PUBLISH", mark, "keep-alive")
	}
}

// wantLine waits for a line among others.
func (a *siege) wantLine(name string, mark int64, reason string) {
	a.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		for _, line := range a.linesSince(mark) {
			if strings.Contains(line, reason) {
				return
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	a.t.Errorf("%s: no line with %q in the log", name, reason)
}

// finishStalled checks that all is as it was, then stops the emulator with new stalled connections open.
func (a *siege) finishStalled() {
	a.t.Helper()
	close(a.stop)
	<-a.ended
	a.checkServed("after the stalls")
	a.checkUsage("after the stalls")
	if worst := time.Duration(a.worst.Load()); worst > maxAckTime {
		a.t.Errorf("the good client waited %s for an acknowledgement", worst)
	}
	a.t.Logf("%d of %d messages acknowledged meanwhile, the slowest after %s", a.acked.Load(), a.sent.Load(), time.Duration(a.worst.Load()))
	for _, o := range a.openStalls(4) {
		defer func() { _ = o.conn.Close() }()
	}
	conn := a.enter("d5", 60)
	defer func() { _ = conn.Close() }()
	_, _ = conn.Write([]byte{0x32, 0x80, 0x10, 0})
	cmd := a.hub.cmd
	a.hub.cmd = nil
	begun := time.Now()
	_ = cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-a.hub.done:
		if err != nil {
			a.t.Errorf("SIGTERM with stalled connections: %v, want exit code 0", err)
		}
		a.t.Logf("ended %s after SIGTERM", time.Since(begun).Round(time.Millisecond))
	case <-time.After(handshakeTimeout - 5*time.Second):
		_ = cmd.Process.Kill()
		a.t.Errorf("SIGTERM with stalled connections: it waits for them: %v", <-a.hub.done)
	}
	a.checkLog()
}

// noiseVariable repeats the noise of an earlier run.
const noiseVariable = "HUBNERITE_NOISE_SEED"

// hostileNoise sends random bytes, and proper beginnings with random ends, to every port.
func hostileNoise(t *testing.T, s *site) {
	a := newSiege(t, s, "d0")
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv(noiseVariable); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s=%d", noiseVariable, seed)
	login := saslHeader + string(saslFrame(performative(0x41, amqpSymbol("ANONYMOUS"), amqpBinary("x"), null))) + amqpHeader
	opened := login + string(amqpFrame(performative(0x10, amqpText("attacker"), amqpText("localhost"), amqpUint(65536))))
	token := a.token("d0")
	connect := string(mqttConnect{client: "d0", user: a.userName("d0"), password: &token}.packet())
	owner := connectionFields(a.ready.ConnectionStrings["iothubowner"])
	authorization := "Authorization: " + sign(a.host, owner["SharedAccessKey"], "iothubowner", time.Hour)
	beginnings := []stall{
		{"8883", 8883, true, ""},
		{"5671", 5671, true, ""},
		{"443", 443, true, ""},
		{"admin", 8484, true, ""},
		{"MQTT", 8883, false, ""},
		{"CONNECT", 8883, false, connect},
		{"AMQP", 5671, false, ""},
		{"SASL", 5671, false, login},
		{"session", 5671, false, opened + string(amqpFrame(performative(0x11, null, zero, amqpUint(5000), amqpUint(5000))))},
		{"HTTP", 443, false, "GET /devices/"},
		{"twin", 443, false, a.request("PATCH /twins/d0?api-version=2021-04-12 HTTP/1.1", "", authorization, "Content-Length: 600")},
		{"admin query", 8484, true, "GET /messages?device="},
	}
	var all sync.WaitGroup
	end := time.Now().Add(15 * time.Second)
	rounds := make([]int, len(beginnings))
	for i, x := range beginnings {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for time.Now().Before(end) || rounds[i] < 20 {
				conn, err := a.open(x)
				if err != nil {
					t.Errorf("%s: %v", x.name, err)
					return
				}
				noise := make([]byte, 1+random.IntN(700))
				for i := range noise {
					noise[i] = byte(random.Uint32())
				}
				frameNoise(random, x.port, noise)
				_ = conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
				_, _ = conn.Write(noise)
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
				rounds[i]++
				// A machine has other things to do, too.
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	all.Wait()
	t.Logf("rounds: %v", rounds)
	if status, _, err := a.call("GET", "/twins/d0", nil, ""); err != nil || status != http.StatusOK {
		t.Errorf("the twin after the noise: %d %v", status, err)
	}
	a.finish()
}

// frameNoise makes half of the noise look like packets and frames, so that it comes further than their headers.
func frameNoise(random *rand.Rand, port int, noise []byte) {
	if random.IntN(2) == 0 {
		return
	}
	switch port {
	case 8883:
		for at := 0; at+2 < len(noise); {
			length := random.IntN(100)
			noise[at] = []byte{0x10, 0x30, 0x32, 0x40, 0x82, 0xa2, 0xc0}[random.IntN(7)]
			noise[at+1] = byte(length)
			at += 2 + length
		}
	case 5671:
		for at := 0; at+12 < len(noise); {
			length := 12 + random.IntN(100)
			copy(noise[at:], rawFrame(uint32(length), 2, byte(random.IntN(2)), 0, ""))
			copy(noise[at+8:], []byte{0, 0x53, 0x10 + byte(random.IntN(9)), 0xc0})
			at += length
		}
	}
}
