package amqp

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// saslConfig knows one user, alice with the password "s=cret".
func saslConfig(seen *Credentials) Config {
	return Config{
		SASL: []Mechanism{Anonymous("MSSBCBS"), Plain(), Anonymous("ANONYMOUS"), External()},
		Authenticate: func(_ context.Context, c Credentials) (any, error) {
			*seen = c
			switch {
			case c.Mechanism == "PLAIN" && (c.Username != "alice" || c.Password != "s=cret"):
				return nil, errors.New("wrong password")
			case c.Mechanism == "EXTERNAL":
				return nil, &SASLRefusal{Code: wire.SASLSysTemp, Reason: "later"}
			}
			return c.Username + "/" + c.Mechanism, nil
		},
	}
}

func saslFrame(code byte, fields ...any) []byte { return amqpFrame(1, 0, code, nil, fields...) }

// Nothing may follow the outcome before the client's header; the mechanisms are an array.
func TestSASLThenWaitForHeader(t *testing.T) {
	var seen Credentials
	var conn *Conn
	cfg := saslConfig(&seen)
	node := newQueueNode()
	node.opened = func(c *Conn) error { conn = c; return nil }
	cfg.Handler = node
	scripted(t, cfg, func(t *testing.T, p *peer) {
		p.write([]byte(saslHeader))
		p.expectHeader(3)
		f := p.expect(0x40)
		p.same(byte(1), f.kind)
		p.same(array{sym("MSSBCBS"), sym("PLAIN"), sym("ANONYMOUS"), sym("EXTERNAL")}, f.fields[0])
		p.write(saslFrame(0x41, sym("PLAIN"), []byte("zid\x00alice\x00s=cret"), "host.example"))
		p.same(ubyte(0), p.expect(0x44).fields[0])
		p.expectNothing()
		p.write([]byte(amqpHeader))
		p.expectHeader(0)
		p.expectNothing() // open follows the client's
		p.send(0, cOpen, openFields(nil, nil)...)
		p.expect(cOpen)
		synctest.Wait()
		p.same("alice/PLAIN", conn.Principal())
		p.same("PLAIN", conn.Mechanism())
		p.same("zid", seen.AuthorizationID)
		p.same("host.example", seen.Hostname)
	})
}

func TestSASLOneMechanismIsAnArray(t *testing.T) {
	var seen Credentials
	cfg := saslConfig(&seen)
	cfg.SASL = cfg.SASL[:1]
	scripted(t, cfg, func(t *testing.T, p *peer) {
		p.write([]byte(saslHeader), saslFrame(0x41, sym("MSSBCBS"), nil, nil)) // pipelined
		p.expectHeader(3)
		p.same(array{sym("MSSBCBS")}, p.expect(0x40).fields[0])
		p.same(ubyte(0), p.expect(0x44).fields[0])
	})
}

func TestSASLRefused(t *testing.T) {
	for name, c := range map[string]struct {
		mechanism string
		response  any
		code      ubyte
	}{
		"password":    {"PLAIN", []byte("\x00alice\x00guess"), 1},
		"no password": {"PLAIN", []byte("alice"), 1},
		"no user":     {"PLAIN", []byte("\x00\x00x"), 1},
		"mechanism":   {"SCRAM-SHA-1", nil, 1},
		"later":       {"EXTERNAL", nil, 4},
	} {
		t.Run(name, func(t *testing.T) {
			var seen Credentials
			scripted(t, saslConfig(&seen), func(t *testing.T, p *peer) {
				p.write([]byte(saslHeader))
				p.expectHeader(3)
				p.expect(0x40)
				p.write(saslFrame(0x41, sym(c.mechanism), c.response, nil))
				p.same(c.code, p.expect(0x44).fields[0])
				p.expectEnd()
				err := <-p.ended
				if err == nil || strings.Contains(err.Error(), "guess") {
					t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

// PLAIN without initial response is asked for it by an empty challenge.
func TestSASLPlainChallenge(t *testing.T) {
	var seen Credentials
	scripted(t, saslConfig(&seen), func(t *testing.T, p *peer) {
		p.write([]byte(saslHeader))
		p.expectHeader(3)
		p.expect(0x40)
		p.write(saslFrame(0x41, sym("PLAIN"), nil, nil))
		p.expect(0x42)
		p.write(saslFrame(0x43, []byte("\x00alice\x00s=cret")))
		p.same(ubyte(0), p.expect(0x44).fields[0])
	})
}

func TestHeaderMismatch(t *testing.T) {
	var seen Credentials
	strict := saslConfig(&seen)
	strict.RequireSASL = true
	for name, c := range map[string]struct {
		cfg    Config
		header string
		answer uint16
	}{
		"http":                  {Config{}, "GET / HTTP/1.1\r\n", 0},
		"tls upgrade":           {Config{}, "AMQP\x02\x01\x00\x00", 0},
		"amqp 0-9-1":            {Config{}, "AMQP\x00\x00\x09\x01", 0},
		"no sasl here":          {Config{}, saslHeader, 0},
		"sasl required":         {strict, amqpHeader, 3},
		"http with sasl wanted": {strict, "GET / HTTP/1.1\r\n", 3},
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, c.cfg, func(t *testing.T, p *peer) {
				p.write([]byte(c.header))
				p.expectHeader(c.answer)
				p.expectEnd()
				if err := <-p.ended; err == nil {
					t.Error("no reason")
				}
			})
		})
	}
}

// pipelined is all a client can say before it hears anything.
func pipelined() []byte {
	b := []byte(amqpHeader)
	b = append(b, amqpFrame(0, 0, cOpen, nil, openFields(65536, nil)...)...)
	b = append(b, amqpFrame(0, 3, cBegin, nil, nil, 0, 100, 100)...)
	b = append(b, amqpFrame(0, 3, cAttach, nil, "l", 5, false, nil, nil, source("a"), target("b"), nil, nil, 0)...)
	b = append(b, amqpFrame(0, 3, cTransfer, []byte("x"), 5, 0, []byte("t"), 0, false, false)...)
	return b
}

func expectPipelined(p *peer) {
	p.t.Helper()
	p.expectHeader(0)
	p.expect(cOpen)
	p.same(uint16(3), p.expect(cBegin).channel)
	p.expect(cAttach)
	p.expect(cFlow)
	p.same(true, p.expect(cDisposition).fields[3])
}

func TestPipelinedInOneWrite(t *testing.T) {
	scripted(t, Config{}, func(t *testing.T, p *peer) {
		p.write(pipelined())
		expectPipelined(p)
	})
}

func TestPipelinedAfterSASL(t *testing.T) {
	var seen Credentials
	scripted(t, saslConfig(&seen), func(t *testing.T, p *peer) {
		p.write(append(append([]byte(saslHeader), saslFrame(0x41, sym("ANONYMOUS"), nil, nil)...), pipelined()...))
		p.expectHeader(3)
		p.expect(0x40)
		p.expect(0x44)
		expectPipelined(p)
	})
}

func TestOneByteAtATime(t *testing.T) {
	scripted(t, Config{}, func(t *testing.T, p *peer) {
		for _, b := range pipelined() {
			p.write([]byte{b})
		}
		expectPipelined(p)
	})
}

func TestOpenAnswer(t *testing.T) {
	cfg := Config{
		ContainerID: func() string { return "me" },
		Properties:  wire.Map{{Key: wire.Symbol("product"), Value: "p"}},
	}
	scripted(t, cfg, func(t *testing.T, p *peer) {
		p.write([]byte(amqpHeader))
		p.expectHeader(0)
		p.write([]byte{0, 0, 0, 8, 2, 0, 0, 7}) // a heartbeat before open, on any channel
		p.send(0, cOpen, openFields(65536, nil)...)
		f := p.expect(cOpen)
		p.same([]any{
			"me", nil, uint32(65536), uint16(8191), uint32(240000), nil, nil, nil, nil,
			amqpMap{sym("product"), "p"},
		}, f.fields)
		p.write([]byte{0, 0, 0, 8, 2, 0, 0, 9})
		p.send(0, cBegin, nil, 0, 77, 5000)
		p.same([]any{uint16(0), uint32(1), uint32(5000), uint32(77), uint32(262143), nil, nil, nil}, p.expect(cBegin).fields)
		p.send(0, cClose, nil)
		p.same(nil, p.expect(cClose).fields[0])
		p.expectEnd()
		if err := <-p.ended; err != nil {
			t.Errorf("orderly close ended with %v", err)
		}
	})
}

func TestBadOpen(t *testing.T) {
	for name, c := range map[string]struct {
		frame     []byte
		condition string
	}{
		"begin first":   {amqpFrame(0, 0, cBegin, nil, nil, 0, 1, 1), "amqp:not-allowed"},
		"tiny frames":   {amqpFrame(0, 0, cOpen, nil, "c", nil, 100), "amqp:invalid-field"},
		"not a frame":   {[]byte("POST /abc HTTP/1.0"), "amqp:connection:framing-error"},
		"sasl frame":    {saslFrame(0x41, sym("PLAIN"), nil, nil), "amqp:connection:framing-error"},
		"garbage":       {[]byte{0, 0, 0, 12, 2, 0, 0, 0, 9, 9, 9, 9}, "amqp:decode-error"},
		"no descriptor": {[]byte{0, 0, 0, 14, 2, 0, 0, 0, 0, 0x53, 0x99, 0xc0, 1, 0}, "amqp:not-implemented"},
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, Config{}, func(t *testing.T, p *peer) {
				p.write([]byte(amqpHeader))
				p.expectHeader(0)
				p.write(c.frame)
				p.expect(cOpen)
				p.expectClose(c.condition)
			})
		})
	}
}

func TestHandshakeTimeout(t *testing.T) {
	for name, sent := range map[string]string{
		"nothing": "", "half a header": "AMQ", "header only": amqpHeader, "half an open": amqpHeader + "\x00\x00\x01\x00\x02",
		"sasl header only": saslHeader,
	} {
		t.Run(name, func(t *testing.T) {
			var seen Credentials
			scripted(t, saslConfig(&seen), func(t *testing.T, p *peer) {
				start := time.Now()
				p.write([]byte(sent))
				for p.next().end == nil {
				}
				if d := time.Since(start); d != 30*time.Second {
					t.Errorf("ended after %v", d)
				}
			})
		})
	}
}

func TestIdle(t *testing.T) {
	scripted(t, Config{IdleTimeout: time.Minute}, func(t *testing.T, p *peer) {
		p.open(nil, 10_000, 10)
		for range 5 { // heartbeats of the peer keep the connection
			time.Sleep(110 * time.Second)
			p.write([]byte{0, 0, 0, 8, 2, 0, 0, 0})
		}
		synctest.Wait()
		// Half of 10 s of silence each.
		p.same(110, len(p.frames))
		start := time.Now()
		for p.next().end == nil { // then it is silent
		}
		if d := time.Since(start); d != 2*time.Minute {
			t.Errorf("ended after %v", d)
		}
		if err := <-p.ended; err == nil || errors.Is(err, io.EOF) {
			t.Errorf("ended with %v", err)
		}
	})
}

// A client that stops in the middle of a frame has less time than one with nothing to say, and is told so; one that
// takes its time from byte to byte is not disturbed.
func TestStallInsideAFrame(t *testing.T) {
	for name, idle := range map[string]time.Duration{"default": 0, "no idle time-out": -1} {
		t.Run(name, func(t *testing.T) {
			scripted(t, Config{IdleTimeout: idle}, func(t *testing.T, p *peer) {
				p.open(nil, nil, 10)
				begin := amqpFrame(0, 7, cBegin, nil, nil, 0, 10, 10)
				for _, b := range begin {
					p.write([]byte{b})
					time.Sleep(29 * time.Second)
				}
				if f := p.next(); f.code != cBegin {
					t.Errorf("begin sent byte by byte is answered with %+v", f)
				}
				start := time.Now()
				p.write(begin[:9])
				p.expectClose("amqp:connection:framing-error")
				if d := time.Since(start); d < 30*time.Second || d > 32*time.Second {
					t.Errorf("ended after %v", d)
				}
			})
		})
	}
}

// A connection without idle time-outs is silent and lasts.
func TestNoIdle(t *testing.T) {
	scripted(t, Config{IdleTimeout: -1}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 10)
		time.Sleep(100 * time.Hour)
		p.expectNothing()
		p.attachSend(0, "q")
	})
}
