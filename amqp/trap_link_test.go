package amqp

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// A success echoes source, target and properties; each side's attach and first flow have what clients insist on.
func TestAttachAnswers(t *testing.T) {
	node := newQueueNode()
	node.attached = func(_ *Attach, answer *Acceptance) error {
		answer.MaxMessageSize = 0
		answer.InitialDeliveryCount = 3
		answer.OfferedCapabilities = []wire.Symbol{"cap"}
		return nil
	}
	scripted(t, Config{Handler: node, MaxMessageSize: 1 << 18}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		// Keys as symbols and as strings: both come back as they were.
		props := amqpMap{sym("a"), "x", "b", uint32(7)}
		src := described{ulong(0x28), []any{
			"from", uint32(1), nil, nil, nil, nil, nil,
			amqpMap{sym("f"), described{sym("apache.org:selector-filter:string"), "a > 'b'"}},
		}}
		p.send(0, cAttach, "l", 40, true, ubyte(0), ubyte(1), src, target("to"), nil, nil, nil, ulong(1000), nil, nil, props)
		f := p.expect(cAttach).fields
		p.same("l", f[0])
		p.same(false, f[2])    // role sender
		p.same(ubyte(0), f[3]) // modes as asked for
		p.same(ubyte(1), f[4])
		p.same("from", f[5].(described).value.([]any)[0])
		p.same(amqpMap{sym("f"), described{sym("apache.org:selector-filter:string"), "a > 'b'"}},
			f[5].(described).value.([]any)[7])
		p.same("to", f[6].(described).value.([]any)[0])
		p.same(uint32(3), f[9])    // initial-delivery-count
		p.same(ulong(1000), f[10]) // the smaller one
		p.same(array{sym("cap")}, f[11])
		p.same(props, f[13])
		p.expectNothing() // a sender has no flow to send

		p.send(0, cAttach, "l", 41, false, ubyte(2), nil, source("from"), target("to"), nil, nil, 17, ulong(0))
		f = p.expect(cAttach).fields
		p.same(true, f[2])
		p.same(ubyte(2), f[3])
		p.same(ulong(1<<18), f[10])
		p.same(nil, f[13])
		flow := p.expect(cFlow).fields
		p.same([]any{uint32(firstOut), uint32(5000), uint32(1), uint32(100)}, flow[:4])
		p.same(uint32(17), flow[5])
		p.same(uint32(100), flow[6])
		p.same(false, flow[9])
	})
}

// Null terminus and, at once, the detach with the error.
func TestRefusedAttach(t *testing.T) {
	node := newQueueNode()
	node.attached = func(*Attach, *Acceptance) error {
		return &Error{Condition: wire.ErrLinkRedirect, Info: wire.Map{{Key: wire.Symbol("hostname"), Value: "h"}}}
	}
	scripted(t, Config{Handler: node}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		for handle, role := range []bool{true, false} {
			p.send(0, cAttach, "l", handle, role, nil, nil, source("a"), target("b"), nil, nil, 0)
			f := p.expect(cAttach).fields
			p.same(!role, f[2])
			p.same(nil, f[5])
			p.same(nil, f[6])
			d := p.expect(cDetach).fields
			p.same(f[1], d[0])
			p.same(true, d[1])
			p.same("amqp:link:redirect", p.condition(d[2]))
			p.same(amqpMap{sym("hostname"), "h"}, d[2].(described).value.([]any)[2])
			p.send(0, cDetach, handle, true)
		}
		node.attached = nil
		p.attachSend(0, "q") // the handle is free again
		p.expectNothing()
	})
}

func TestCoordinatorIsRefused(t *testing.T) {
	scripted(t, Config{}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		p.send(0, cAttach, "tx", 0, false, nil, nil, source("a"), described{ulong(0x30), []any{}}, nil, nil, 0)
		p.same(nil, p.expect(cAttach).fields[6])
		p.same("amqp:not-implemented", p.condition(p.expect(cDetach).fields[2]))
	})
}

// closings records the ends of links.
type closings struct {
	*queueNode
	log []string
}

func (c *closings) Attach(a *Attach) (*Acceptance, error) {
	l := closingLink{c, a.Frame.Name}
	return &Acceptance{Sink: closingSink{l}, Source: closingSource{l}}, nil
}

func (c *closings) Begin(s *Session) error { s.SetValue(c); return nil }

func (c *closings) Ended(s *Session, err error) {
	if s.Value() != c {
		err = errors.New("value lost")
	}
	c.log = append(c.log, "session: "+condition(err))
}

func (c *closings) Closed(_ *Conn, err error) { c.log = append(c.log, "conn: "+condition(err)) }

func condition(err error) string {
	if e := (*Error)(nil); errors.As(err, &e) {
		return string(e.Condition)
	}
	if err != nil {
		return err.Error()
	}
	return "ok"
}

type closingLink struct {
	node *closings
	name string
}

type (
	closingSink   struct{ closingLink }
	closingSource struct{ closingLink }
)

func (l closingSink) Message(d *Delivery)                      { _ = d.Accept() }
func (l closingSink) Closed(_ *Receiver, err error)            { l.add(err) }
func (l closingSource) Ready(*Sender)                          {}
func (l closingSource) Outcome(*Sent, wire.DeliveryState)      {}
func (l closingSource) Closed(_ *Sender, _ []*Sent, err error) { l.add(err) }
func (l closingLink) add(err error)                            { l.node.log = append(l.node.log, l.name+": "+condition(err)) }

// Names are unique per session and direction; the newcomer takes the link over.
func TestLinkNames(t *testing.T) {
	node := &closings{queueNode: newQueueNode()}
	scripted(t, Config{Handler: node}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		p.begin(1, 100)
		attach := func(channel uint16, handle int, role bool) {
			p.send(channel, cAttach, "n", handle, role, nil, nil, source("a"), target("b"), nil, nil, 0)
		}
		attach(0, 0, true)
		attach(0, 1, false)
		attach(1, 0, true)
		attach(1, 1, false)
		for range 2 {
			p.expect(cAttach)
			p.expect(cAttach)
			p.expect(cFlow)
		}
		p.expectNothing() // nobody lost anything
		attach(0, 2, true)
		d := p.expect(cDetach)
		p.same(uint16(0), d.channel)
		p.same(uint32(0), d.fields[0])
		p.same("amqp:link:stolen", p.condition(d.fields[2]))
		p.expect(cAttach)
		synctest.Wait()
		p.same([]string{"n: amqp:link:stolen"}, node.log)
		p.send(0, cDetach, 0, true) // the answer to ours
		p.send(0, cDetach, 2, true, described{ulong(0x1d), []any{sym("x:y")}})
		p.same(true, p.expect(cDetach).fields[1])
		synctest.Wait()
		p.same([]string{"n: amqp:link:stolen", "n: x:y"}, node.log)
		p.send(1, cEnd, nil)
		p.expect(cEnd)
		p.send(0, cClose, nil)
		p.expect(cClose)
		p.expectEnd()
		t.Log(<-p.ended)
		p.same("n: amqp:link:stolen n: x:y n: ok n: ok session: ok n: ok session: ok conn: ok", strings.Join(node.log, " "))
	})
}

func TestHandleFaults(t *testing.T) {
	for name, c := range map[string]struct {
		do        func(p *peer)
		condition string
	}{
		"handle in use": {func(p *peer) {
			p.attachReceive(7, "q")
			p.send(0, cAttach, "other", 7, true, nil, nil, source("a"), target("b"))
		}, "amqp:session:handle-in-use"},
		"handle too high": {func(p *peer) {
			p.attachReceive(262143, "q")
			p.send(0, cAttach, "other", 262144, true, nil, nil, source("a"), target("b"))
		}, "amqp:not-allowed"},
		"transfer without link": {func(p *peer) { p.transfer(3, 0, false, "x") }, "amqp:session:unattached-handle"},
		"flow without link":     {func(p *peer) { p.credit(3, 1, 5, 0, 1, false, false) }, "amqp:session:unattached-handle"},
		"transfer to a receiver": {func(p *peer) {
			p.attachReceive(0, "q")
			p.transfer(0, 0, false, "x")
		}, "amqp:session:errant-link"},
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, Config{}, func(t *testing.T, p *peer) {
				p.open(nil, nil, 100)
				c.do(p)
				p.same(c.condition, p.condition(p.expect(cEnd).fields[0]))
				// What the client said before it knew is passed over.
				p.transfer(0, 1, false, "late")
				p.send(0, cDetach, 0, true)
				p.send(0, cAttach, "late", 9, true, nil, nil, source("a"), target("b"))
				p.send(0, cEnd, nil)
				p.begin(0, 10) // the channel is free again
				p.attachSend(0, "q")
			})
		})
	}
}

// Frames for a session that has ended are passed over; those for one that never was end the connection.
func TestLateFrames(t *testing.T) {
	scripted(t, Config{}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		p.attachSend(0, "q")
		p.send(0, cEnd, nil)
		p.expect(cEnd)
		p.send(0, cDetach, 0, true)
		p.transfer(0, 0, false, "x")
		p.send(0, cDisposition, true, 0)
		p.send(0, cEnd, nil)
		p.expectNothing()
		p.begin(0, 10)
		p.send(0, cDetach, 5, true) // a detach for no link is passed over too
		p.attachReceive(0, "q")
		p.send(0, cDetach, 0, true)
		p.expect(cDetach)
		p.credit(0, 1, 10, 0, 1, false, true) // and so is credit for a link that has gone
		p.expectNothing()
		p.attachSend(0, "q")
		p.send(77, cDetach, 0, true)
		p.expectClose("amqp:not-allowed")
	})
}

func TestConnectionFaults(t *testing.T) {
	for name, c := range map[string]struct {
		frame     []byte
		condition string
	}{
		"open twice":        {amqpFrame(0, 0, cOpen, nil, "c"), "amqp:not-allowed"},
		"begin twice":       {amqpFrame(0, 0, cBegin, nil, nil, 0, 1, 1), "amqp:not-allowed"},
		"begin as answer":   {amqpFrame(0, 1, cBegin, nil, uint16(0), 0, 1, 1), "amqp:not-allowed"},
		"channel too high":  {amqpFrame(0, 8192, cBegin, nil, nil, 0, 1, 1), "amqp:not-allowed"},
		"frame too large":   {[]byte{0, 1, 0, 1, 2, 0, 0, 0}, "amqp:connection:framing-error"},
		"frame too small":   {[]byte{0, 0, 0, 7, 2, 0, 0, 0}, "amqp:connection:framing-error"},
		"data offset":       {[]byte{0, 0, 0, 8, 1, 0, 0, 0}, "amqp:connection:framing-error"},
		"sasl frame":        {amqpFrame(1, 0, 0x41, nil, sym("PLAIN")), "amqp:connection:framing-error"},
		"unknown frame":     {amqpFrame(0, 0, 0x66, nil), "amqp:not-implemented"},
		"malformed attach":  {amqpFrame(0, 0, cAttach, nil, 5, 5, 5), "amqp:decode-error"},
		"malformed flow":    {amqpFrame(0, 0, cFlow, nil, "x"), "amqp:decode-error"},
		"long tag":          {amqpFrame(0, 0, cTransfer, nil, 0, 0, make([]byte, 33)), "amqp:decode-error"},
		"truncated":         {[]byte{0, 0, 0, 13, 2, 0, 0, 0, 0, 0x53, 0x14, 0xc0, 40}, "amqp:decode-error"},
		"sasl outcome code": {amqpFrame(0, 0, 0x44, nil, ubyte(0)), "amqp:not-implemented"},
	} {
		t.Run(name, func(t *testing.T) {
			scripted(t, Config{}, func(t *testing.T, p *peer) {
				p.open(nil, nil, 100)
				p.write(c.frame)
				// The client goes on talking for a while; it must still be able to read the reason.
				_, _ = p.nc.Write(make([]byte, 3000))
				p.same(c.condition, p.condition(p.expect(cClose).fields[0]))
				_ = p.nc.Close()
				if err := <-p.ended; condition(err) != c.condition {
					t.Errorf("ended with %v", err)
				}
			})
		})
	}
}

// A client that does not answer close is let go.
func TestCloseUnanswered(t *testing.T) {
	node := newQueueNode()
	var conn *Conn
	node.opened = func(c *Conn) error { conn = c; return nil }
	scripted(t, Config{Handler: node}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		start := time.Now()
		conn.Close(nil)
		conn.Close(newError(wire.ErrInternal, "the second does not count"))
		p.same(nil, p.expect(cClose).fields[0])
		p.expectEnd()
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("waited %v", d)
		}
		if err := <-node.closed; err != nil {
			t.Errorf("Closed: %v", err)
		}
	})
}

// The details of an error are left out when they do not fit the client's frames.
func TestErrorTooLongForFrame(t *testing.T) {
	node := newQueueNode()
	node.attached = func(a *Attach, _ *Acceptance) error {
		if a.Frame.Name == "r-ok" {
			return nil
		}
		return newError(wire.ErrNotFound, strings.Repeat("x", 1000))
	}
	scripted(t, Config{Handler: node}, func(t *testing.T, p *peer) {
		p.open(512, nil, 100)
		p.attachReceive(0, "no")
		p.same("amqp:not-found", p.condition(p.expect(cDetach).fields[2]))
		// An answer that does not fit is a refusal.
		long := amqpMap{sym("a"), strings.Repeat("x", 600)}
		p.send(0, cAttach, "r-ok", 1, true, nil, nil, source("a"), target("b"), nil, nil, nil, nil, nil, nil, long)
		p.same(nil, p.expect(cAttach).fields[5])
		p.same("amqp:frame-size-too-small", p.condition(p.expect(cDetach).fields[2]))
	})
}
