package amqp

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// keeper keeps deliveries unsettled.
type keeper struct {
	*queueNode
	kept []*Delivery
	link *Receiver
}

func keeping(change func(answer *Acceptance)) *keeper {
	k := &keeper{queueNode: newQueueNode()}
	k.received = func(d *Delivery) bool { k.kept = append(k.kept, d); return true }
	k.attached = func(a *Attach, answer *Acceptance) error {
		k.link = a.Receiver
		if change != nil {
			change(answer)
		}
		return nil
	}
	return k
}

// wait lets the server come to rest and returns what the sink was given.
func (k *keeper) wait() []*Delivery { synctest.Wait(); return k.kept }

// The session window is opened again when half is used, wherever the ids wrap.
func TestWindowReplenished(t *testing.T) {
	scripted(t, Config{Handler: keeping(nil), IncomingWindow: 10}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		p.attachSend(0, "q")
		seen := uint32(firstOut)
		left := 10
		for i := range 40 {
			p.transfer(0, i, false, "x")
			left--
			seen++
			synctest.Wait()
			for len(p.frames) > 0 {
				f := p.expect(cFlow).fields
				p.same(seen, f[0])
				left = int(f[1].(uint32))
			}
			if left < 5 {
				t.Fatalf("after %d frames the window is %d", i, left)
			}
		}
	})
}

func TestWindowViolation(t *testing.T) {
	scripted(t, Config{Handler: keeping(nil)}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		p.attachSend(0, "q")
		// Unreachable by transfers alone, because every flow opens the window before it is used up.
		s := p.session(0)
		s.conn.mu.Lock()
		s.incomingWindow = 0
		s.conn.mu.Unlock()
		p.transfer(0, 0, false, "x")
		p.same("amqp:session:window-violation", p.condition(p.expect(cEnd).fields[0]))
	})
}

// Later frames of a delivery need not, and may, repeat id, tag and format; the first frame's format counts.
func TestAssembly(t *testing.T) {
	k := keeping(nil)
	scripted(t, Config{Handler: k}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		p.attachSend(0, "q")
		frames := func(fields ...[]any) {
			for i, f := range fields {
				p.write(amqpFrame(0, 0, cTransfer, fmt.Append(nil, "part", i, ";"), f...))
			}
		}
		batch := uint32(0x80013700)
		frames([]any{0, 5, []byte("tag"), batch, false, true}, []any{0, nil, nil, nil, nil, true}, []any{0})
		frames([]any{0, 6, []byte("tag2"), 0, nil, true}, []any{0, 6, []byte("tag2"), 9, true, false})
		frames([]any{0, 7, []byte{}, nil, true})
		got := k.wait()
		p.same(3, len(got))
		p.same("part0;part1;part2;", string(got[0].Payload))
		p.same("tag", string(got[0].Tag))
		p.same(batch, got[0].Format)
		p.same(false, got[0].PreSettled)
		p.same("part0;part1;", string(got[1].Payload))
		p.same(uint32(0), got[1].Format)
		p.same(true, got[1].PreSettled) // settled on any frame
		p.same(true, got[2].PreSettled)
		for _, d := range got {
			p.same(nil, d.Accept())
		}
		f := p.expect(cDisposition).fields
		p.same([]any{true, uint32(5), nil, true, described{ulong(0x24), []any{}}, false}, f)
		p.expectNothing() // no word about the pre-settled ones
	})
}

func TestAborted(t *testing.T) {
	k := keeping(func(a *Acceptance) { a.Credit = 2 })
	scripted(t, Config{Handler: k}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		p.attachSend(0, "q")
		for i := range 10 { // an aborted delivery gives its credit back
			p.transfer(0, i, true, "half")
			p.send(0, cTransfer, 0, nil, nil, nil, nil, false, nil, nil, nil, true)
			p.expect(cFlow)
		}
		p.transfer(0, 10, false, "whole")
		p.same("whole", string(k.wait()[0].Payload))
		p.same(1, len(k.kept))
	})
}

func TestDeliveryFaults(t *testing.T) {
	first := func(id, tag any) []any { return []any{0, id, tag, 0, false, true} }
	for name, c := range map[string]struct {
		frames    [][]any
		condition string
	}{
		"no id":       {[][]any{first(nil, []byte("t"))}, "amqp:invalid-field"},
		"no tag":      {[][]any{first(0, nil)}, "amqp:invalid-field"},
		"interleaved": {[][]any{first(0, []byte("t")), first(1, []byte("u"))}, "amqp:not-allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			k := keeping(nil)
			scripted(t, Config{Handler: k}, func(t *testing.T, p *peer) {
				p.open(nil, nil, 100)
				p.attachSend(0, "q")
				for _, f := range c.frames {
					p.send(0, cTransfer, f...)
				}
				p.same(c.condition, p.condition(p.expect(cDetach).fields[2]))
				p.transfer(0, 1, false, "late")
				p.send(0, cDetach, 0, true)
				p.expectNothing()
				p.same(0, len(k.kept))
				p.attachSend(0, "q")
			})
		})
	}
}

// Credit is granted unasked, topped up as deliveries are settled, and never exceeded by the client.
func TestCredit(t *testing.T) {
	k := keeping(func(a *Acceptance) { a.Credit = 4 })
	scripted(t, Config{Handler: k}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		_, flow := p.attachSend(0, "q")
		p.same(uint32(4), flow.fields[6])
		for i := range 4 {
			p.transfer(0, i, false, "x")
		}
		p.expectNothing() // nothing is settled: no credit
		p.same(nil, k.wait()[2].Accept())
		p.expect(cDisposition)
		f := p.expect(cFlow).fields
		p.same(uint32(3), f[5]) // delivery-count: 4294967295 + 4
		p.same(uint32(1), f[6])
		p.transfer(0, 4, false, "x")
		p.same(nil, k.wait()[0].Accept())
		p.same(nil, k.kept[1].Accept())
		p.same(uint32(2), last(p, cFlow).fields[6])

		// The handler stops the client, and what is under way still arrives.
		k.link.SetCredit(0)
		p.same(uint32(0), p.expect(cFlow).fields[6])
		p.transfer(0, 5, false, "under way")
		p.same("under way", string(k.wait()[5].Payload))
		for _, d := range k.kept[3:] {
			p.same(nil, d.Accept())
		}
		last(p, cDisposition)
		k.link.SetCredit(10)
		p.same(uint32(10), p.expect(cFlow).fields[6])

		// The client asks.
		p.send(0, cFlow, 1, 10, uint32(0), 10, 0, nil, nil, nil, false, true)
		p.same(uint32(10), p.expect(cFlow).fields[6])
		for i := range 11 {
			p.transfer(0, 6+i, false, "x")
		}
		p.same("amqp:link:transfer-limit-exceeded", p.condition(p.expect(cDetach).fields[2]))
		p.same(16, len(k.wait()))
		for _, d := range k.kept[6:] {
			p.same(ErrLinkClosed, d.Accept())
			p.same(ErrSettled, d.Release())
		}
		p.expectNothing()
	})
}

// last takes all frames there are and returns the last of one kind.
func last(p *peer, code byte) (f frame) {
	p.t.Helper()
	for synctest.Wait(); len(p.frames) > 0; synctest.Wait() {
		if next := p.next(); next.code == code {
			f = next
		}
	}
	if f.code != code {
		p.t.Fatalf("no %#x", code)
	}
	return f
}

func TestNoCredit(t *testing.T) {
	k := keeping(func(a *Acceptance) { a.NoCredit = true })
	scripted(t, Config{Handler: k}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		p.send(0, cAttach, "l", 0, false, nil, nil, source("a"), target("b"), nil, nil, 0)
		p.expect(cAttach)
		p.expectNothing()
		k.link.SetCredit(3)
		p.same(uint32(3), p.expect(cFlow).fields[6])
	})
}

// Settlements that follow each other become one range; each keeps its own outcome, and ids wrap.
func TestDispositionRanges(t *testing.T) {
	k := keeping(nil)
	scripted(t, Config{Handler: k}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		p.attachSend(0, "q")
		for i := range uint32(8) {
			p.transfer(0, 4294967294+i, false, "x")
		}
		d := k.wait()
		p.same(8, len(d))
		// Under one lock, so that the writer cannot come between.
		conn := k.link.Conn()
		fail := newError(wire.ErrNotFound, "f")
		settle := func(i int, state wire.DeliveryState) {
			d[i].settled = true
			k.link.session.settleLocked(wire.RoleReceiver, d[i].id, state)
		}
		conn.mu.Lock()
		for i := range 4 {
			settle(i, wire.Accepted{})
		}
		settle(5, wire.Accepted{})
		settle(4, wire.Released{})
		settle(6, wire.Rejected{Error: fail})
		settle(7, wire.Modified{DeliveryFailed: true})
		conn.mu.Unlock()
		conn.signal()
		p.same([]any{true, uint32(4294967294), uint32(1), true, accepted(), false}, p.expect(cDisposition).fields)
		p.same([]any{true, uint32(3), nil, true, accepted(), false}, p.expect(cDisposition).fields)
		p.same(described{ulong(0x26), []any{}}, p.expect(cDisposition).fields[4])
		p.same("amqp:not-found", p.condition(p.expect(cDisposition).fields[4].(described).value.([]any)[0]))
		p.same(ulong(0x27), p.expect(cDisposition).fields[4].(described).descriptor)
		p.expectNothing()
	})
}

// What is too large is rejected, or, where there is no outcome, ends the link.
func TestMessageTooLarge(t *testing.T) {
	k := keeping(func(a *Acceptance) { a.MaxMessageSize = 100 })
	scripted(t, Config{Handler: k}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		answer, _ := p.attachSend(0, "q")
		p.same(ulong(100), answer.fields[10])
		p.transfer(0, 0, false, strings.Repeat("x", 100))
		p.same(100, len(k.wait()[0].Payload))
		for i := range 30 {
			p.transfer(0, 1, i < 29, strings.Repeat("x", 50))
		}
		f := p.expect(cDisposition).fields
		p.same([]any{true, uint32(1), nil, true}, f[:4])
		p.same("amqp:link:message-size-exceeded", p.condition(f[4].(described).value.([]any)[0]))
		p.transfer(0, 2, false, "fits")
		p.same("fits", string(k.wait()[1].Payload))
		p.write(amqpFrame(0, 0, cTransfer, make([]byte, 101), 0, 3, []byte("t"), 0, true))
		p.same("amqp:link:message-size-exceeded", p.condition(p.expect(cDetach).fields[2]))
	})
}

// Half-sent messages on many links do not add up without bound.
func TestTooManyHalfSentMessages(t *testing.T) {
	cfg := Config{Handler: keeping(func(a *Acceptance) { a.MaxMessageSize = 1000 }), MaxUnsettledBytes: 3000}
	scripted(t, cfg, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		for i := range 4 {
			p.attachSend(i, fmt.Sprint("q", i))
		}
		for i := range 3 {
			p.transfer(i, i, true, strings.Repeat("x", 900))
		}
		p.expectNothing()
		p.transfer(3, 3, true, strings.Repeat("x", 900))
		f := p.expect(cDetach).fields
		p.same("amqp:resource-limit-exceeded", p.condition(f[2]))
		// A link that goes gives its share back.
		p.send(0, cDetach, 0, true)
		p.expect(cDetach)
		c := p.session(0).conn
		c.mu.Lock()
		defer c.mu.Unlock()
		p.same(1800, c.partial)
	})
}

// The engine stops reading while a sink holds too much, and goes on when it settles.
func TestUnsettledBytesStopReading(t *testing.T) {
	k := keeping(nil)
	scripted(t, Config{Handler: k, MaxUnsettledBytes: 1000, IdleTimeout: time.Minute}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		p.attachSend(0, "q")
		written := make(chan int, 100)
		go func() {
			for i := range 20 {
				if _, err := p.nc.Write(amqpFrame(0, 0, cTransfer, make([]byte, 40_000), 0, i, []byte("t"), 0)); err != nil {
					return
				}
				written <- i
			}
		}()
		p.same(1, len(k.wait()))
		if n := len(written); n > 3 {
			t.Errorf("%d frames were taken", n)
		}
		time.Sleep(time.Hour) // it is not the client who is silent
		for i := range 20 {
			got := k.wait()
			p.same(i+1, len(got))
			p.same(nil, got[i].Accept())
		}
	})
}

// A client that dies in a message leaves nothing behind.
func TestDiesInTransfer(t *testing.T) {
	k := keeping(nil)
	scripted(t, Config{Handler: k}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		p.attachSend(0, "q")
		p.transfer(0, 0, false, "kept")
		p.transfer(0, 1, true, "half")
		b := amqpFrame(0, 0, cTransfer, []byte("more"), 0)
		p.write(b[:len(b)-2])
		_ = p.nc.Close()
		if err := <-p.ended; err == nil {
			t.Error("no reason")
		}
		p.same(1, len(k.kept))
		p.same(ErrLinkClosed, k.kept[0].Accept())
		if err := <-k.closed; err == nil {
			t.Error("no reason")
		}
	})
}

// session finds the server's session of a channel. There must be exactly one connection.
func (p *peer) session(channel uint16) *Session {
	p.t.Helper()
	synctest.Wait()
	for _, c := range p.server.list() {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.sessions[channel]
	}
	p.t.Fatal("no connection")
	return nil
}
