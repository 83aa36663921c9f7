package amqp

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// giver is a source that a test drives.
type giver struct {
	*queueNode
	link      *Sender
	links     []*Sender
	turns     int
	onReady   func(s *Sender)
	outcomes  []wire.DeliveryState
	sent      []*Sent
	onOutcome func(d *Sent)
	unsettled []*Sent
}

func giving() *giver { return &giver{queueNode: newQueueNode()} }

func (g *giver) Attach(a *Attach) (*Acceptance, error) {
	g.link = a.Sender
	g.links = append(g.links, a.Sender)
	return &Acceptance{Source: giverSource{g}}, nil
}

type giverSource struct{ *giver }

func (g giverSource) Ready(s *Sender) {
	g.turns++
	if g.onReady != nil {
		g.onReady(s)
	}
}

func (g giverSource) Outcome(d *Sent, state wire.DeliveryState) {
	g.outcomes = append(g.outcomes, state)
	g.sent = append(g.sent, d)
	if g.onOutcome != nil {
		g.onOutcome(d)
	}
}

func (g giverSource) Closed(_ *Sender, unsettled []*Sent, _ error) { g.unsettled = unsettled }

func message(s string) Message { return Message{Payload: [][]byte{[]byte(s)}} }

// start attaches a receiver on handle 0 with the server's session window as given.
func (p *peer) start(maxFrame any, window int, mode ubyte) {
	p.t.Helper()
	p.open(maxFrame, nil, window)
	p.send(0, cAttach, "in", 0, true, mode, ubyte(0), source("q"), target("me"))
	p.expect(cAttach)
}

func TestSendNeedsCredit(t *testing.T) {
	g := giving()
	scripted(t, Config{Handler: g}, func(t *testing.T, p *peer) {
		p.start(nil, 100, 2)
		p.same(ErrWouldBlock, g.link.TrySend(message("x")))
		p.same(0, g.turns)
		p.credit(0, 1, 100, 0, 2, false, false)
		synctest.Wait()
		p.same(1, g.turns)
		p.same(nil, g.link.TrySend(Message{Payload: [][]byte{[]byte("a"), nil, []byte("b")}, Tag: []byte("0123456789abcdef"), Format: 7}))
		f := p.expect(cTransfer)
		p.same([]any{uint32(0), uint32(0), []byte("0123456789abcdef"), uint32(7), false, false, nil, nil, false, false, false}, f.fields)
		p.same("ab", string(f.payload))
		p.same(nil, g.link.TrySend(Message{Settled: true}))
		f = p.expect(cTransfer)
		p.same(true, f.fields[4])
		p.same(4, len(f.fields[2].([]byte)))
		p.same(ErrWouldBlock, g.link.TrySend(message("x")))
		p.same(ErrDeliveryTag, g.link.TrySend(Message{Tag: make([]byte, 33)}))
		// The same flow again changes nothing: the client had not seen the two messages.
		p.credit(0, 1, 100, 0, 2, false, false)
		synctest.Wait()
		p.same(1, g.turns)
		p.same(uint32(0), g.link.Credit())
		p.credit(0, 3, 100, 1, 4, false, false)
		synctest.Wait()
		p.same(2, g.turns)
		p.same(uint32(3), g.link.Credit())
		p.credit(0, 3, 100, 2, 0, false, false) // taken back
		synctest.Wait()
		p.same(ErrWouldBlock, g.link.TrySend(message("x")))
		// A client that knows no delivery-count yet.
		p.send(0, cFlow, 3, 100, uint32(firstOut), 5000, 0, nil, 5)
		synctest.Wait()
		p.same(uint32(3), g.link.Credit())
	})
}

// The mode of the link decides over the message's.
func TestSettleModes(t *testing.T) {
	for mode, want := range map[ubyte][]bool{0: {false, false}, 1: {true, true}, 2: {true, false}} {
		g := giving()
		scripted(t, Config{Handler: g}, func(t *testing.T, p *peer) {
			p.start(nil, 100, mode)
			p.credit(0, 1, 100, 0, 10, false, false)
			synctest.Wait()
			for i, settled := range []bool{true, false} {
				p.same(nil, g.link.TrySend(Message{Settled: settled}))
				p.same(want[i], p.expect(cTransfer).fields[4])
			}
		})
	}
}

// One frame of window is one frame, not one message; no frame is larger than the client takes; what is begun is
// never aborted.
func TestTinyWindowAndFrames(t *testing.T) {
	g := giving()
	// Ids wrap on the way.
	scripted(t, Config{Handler: g, firstID: 4294967291}, func(t *testing.T, p *peer) {
		p.start(512, 1, 2)
		id := uint32(4294967292)
		credit := func(window int, dc uint32) {
			p.send(0, cFlow, id, window, uint32(firstOut), 5000, 0, dc, 5)
		}
		credit(1, 0)
		body := strings.Repeat("0123456789", 500)
		synctest.Wait()
		p.same(nil, g.link.TrySend(message(body)))
		p.same(ErrWouldBlock, g.link.TrySend(message("next")))
		var got strings.Builder
		for n := 0; ; n++ {
			f := p.expect(cTransfer)
			p.expectNothing()
			if f.size > 512 {
				t.Fatalf("frame of %d bytes", f.size)
			}
			if n == 0 {
				p.same(uint32(4294967291), f.fields[1])
			}
			p.same(false, f.fields[9])
			got.Write(f.payload)
			id++
			if f.fields[5] == false {
				break
			}
			if n%2 == 0 { // with and without the link part
				credit(1, 0)
			} else {
				p.send(0, cFlow, id, 1, uint32(firstOut), 5000)
			}
		}
		p.same(body, got.String())
		p.same(1, g.turns)
		g.onReady = func(s *Sender) { _ = s.TrySend(message("next")) }
		credit(1, 1)
		p.same("next", string(p.expect(cTransfer).payload))
		id++

		// A link that is closed in the middle of a message says so and no more.
		g.onReady = nil
		credit(2, 2)
		synctest.Wait()
		p.same(nil, g.link.TrySend(message(body)))
		p.expect(cTransfer)
		p.expect(cTransfer)
		id += 2
		g.link.Close(nil)
		p.expect(cDetach)
		credit(100, 2)
		p.expectNothing()
	})
}

// A window of one frame reaches every link in the end.
func TestTinyWindowIsShared(t *testing.T) {
	g := giving()
	g.onReady = func(s *Sender) {
		for s.TrySend(message(s.Name())) == nil {
		}
	}
	scripted(t, Config{Handler: g}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 0)
		for i, name := range []string{"a", "b", "c"} {
			p.send(0, cAttach, name, i, true, nil, nil, source("q"), target("me"))
			p.expect(cAttach)
			p.credit(i, 1, 0, 0, 1000, false, false)
		}
		count := map[string]int{}
		for i := range uint32(30) {
			p.send(0, cFlow, 1+i, 1, uint32(firstOut), 5000)
			count[string(p.expect(cTransfer).payload)]++
			p.expectNothing()
		}
		p.same(map[string]int{"a": 10, "b": 10, "c": 10}, count)
	})
}

func TestDrain(t *testing.T) {
	g := giving()
	have := 3
	g.onReady = func(s *Sender) {
		for have > 0 && s.TrySend(message("x")) == nil {
			have--
		}
		s.SetAvailable(uint32(have))
	}
	scripted(t, Config{Handler: g}, func(t *testing.T, p *peer) {
		p.start(nil, 100, 2)
		drained := func(count, available int) {
			t.Helper()
			f := p.expect(cFlow).fields
			p.same([]any{uint32(0), uint32(count), uint32(0), uint32(available), true, false}, f[4:10])
			p.expectNothing()
		}
		p.credit(0, 1, 100, 0, 10, true, false)
		for range 3 {
			p.expect(cTransfer)
		}
		drained(10, 0)
		p.same(uint32(0), g.link.Credit())
		p.credit(0, 4, 100, 10, 0, true, false) // nothing to drain
		drained(10, 0)
		have = 5
		p.credit(0, 4, 100, 10, 3, true, true)
		for range 3 {
			p.expect(cTransfer)
		}
		drained(13, 2)
		// Without drain, echo is answered with the state.
		have = 0
		p.credit(0, 7, 100, 13, 4, false, true)
		f := p.expect(cFlow).fields
		p.same([]any{uint32(0), uint32(13), uint32(4), uint32(2), false, false}, f[4:10])
		p.send(0, cFlow, 7, 100, uint32(firstOut), 5000, nil, nil, nil, nil, nil, true)
		f = p.expect(cFlow).fields
		p.same([]any{uint32(firstOut), uint32(5000), uint32(7), uint32(100), nil}, f[:5])
	})
}

func TestOutcomeRanges(t *testing.T) {
	g := giving()
	scripted(t, Config{Handler: g, firstID: 4294967293}, func(t *testing.T, p *peer) {
		p.start(nil, 100, 0)
		p.credit(0, 4294967294, 100, 0, 50, false, false)
		synctest.Wait()
		for range 8 {
			p.same(nil, g.link.TrySend(message("x")))
			p.expect(cTransfer)
		}
		tell := func(first, last any, settled bool, state any) []wire.DeliveryState {
			g.outcomes = nil
			p.send(0, cDisposition, true, first, last, settled, state)
			synctest.Wait()
			return g.outcomes
		}
		a, r := wire.DeliveryState(wire.Accepted{}), wire.DeliveryState(wire.Released{})
		p.same([]wire.DeliveryState{a, a, a}, tell(4294967294, 0, true, accepted())) // wraps
		p.same([]wire.DeliveryState{a}, tell(4294967293, nil, true, accepted()))
		p.same(0, len(tell(4294967293, 0, true, accepted())))                         // known no more
		p.same(0, len(tell(500, 4000000, true, accepted())))                          // never known
		p.same(0, len(tell(3, 1, true, accepted())))                                  // no range
		p.same(0, len(tell(1, 1, false, nil)))                                        // says nothing
		p.same(0, len(tell(1, 1, false, described{ulong(0x23), []any{0, ulong(0)}}))) // received is no outcome
		p.same([]wire.DeliveryState{r}, tell(1, 1, true, nil))                        // settled without saying how
		p.same([]wire.DeliveryState{a, a, a}, tell(0, 2000000000, true, accepted()))
		for i, d := range g.sent[:3] {
			p.same(nil, d.Settle(nil))
			p.same(byte(i+1), d.Tag[3])
		}
		p.expectNothing()                                      // the client had settled
		p.send(0, cDisposition, false, 0, 5, true, accepted()) // a sender's disposition concerns nobody here
		p.expectNothing()
	})
}

// Receiver settle mode second: the client waits for the same outcome, settled.
func TestTwoPhaseSettlement(t *testing.T) {
	g := giving()
	scripted(t, Config{Handler: g}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		p.send(0, cAttach, "in", 0, true, ubyte(0), ubyte(1), source("q"), target("me"))
		p.same(ubyte(1), p.expect(cAttach).fields[4])
		p.credit(0, 1, 100, 0, 50, false, false)
		synctest.Wait()
		modified := described{ulong(0x27), []any{true, false, nil}}
		rejected := described{ulong(0x25), []any{described{ulong(0x1d), []any{sym("x:y"), "d", nil}}}}
		for i, state := range []any{accepted(), described{ulong(0x26), []any{}}, modified, rejected} {
			p.same(nil, g.link.TrySend(message("x")))
			p.expect(cTransfer)
			p.send(0, cDisposition, true, i, nil, false, state)
			p.expectNothing() // until the handler says so
			p.send(0, cDisposition, true, i, nil, false, state)
			synctest.Wait()
			p.same(i+1, len(g.sent)) // told once
			p.same(false, g.sent[i].PeerSettled())
			p.same(nil, g.sent[i].Settle(nil))
			f := p.expect(cDisposition).fields
			want := state
			if i == 3 { // an error would mean: your rejection is refused
				want = described{ulong(0x25), []any{nil}}
			}
			p.same([]any{false, uint32(i), nil, true, want, false}, f)
			p.same(ErrSettled, g.sent[i].Settle(nil))
		}
		// The handler found that it is too late.
		p.same(nil, g.link.TrySend(message("x")))
		p.expect(cTransfer)
		p.send(0, cDisposition, true, 4, nil, false, accepted())
		synctest.Wait()
		p.same(nil, g.sent[4].Settle(wire.Rejected{Error: newError("x:lock-lost", "")}))
		p.same("x:lock-lost", p.condition(p.expect(cDisposition).fields[4].(described).value.([]any)[0]))
	})
}

// The deliveries without outcome come back when the link goes.
func TestUnsettledComeBack(t *testing.T) {
	for _, end := range []string{"detach", "end", "close", "cut", "our detach"} {
		t.Run(end, func(t *testing.T) {
			g := giving()
			scripted(t, Config{Handler: g}, func(t *testing.T, p *peer) {
				p.start(nil, 100, 0)
				p.credit(0, 1, 100, 0, 4, false, false)
				synctest.Wait()
				for i := range 4 {
					p.same(nil, g.link.TrySend(Message{Value: i}))
					p.expect(cTransfer)
				}
				p.send(0, cDisposition, true, 1, nil, true, accepted())
				p.send(0, cDisposition, true, 2, nil, false, accepted()) // has an outcome, too
				waiting := make(chan error, 1)
				go func() { waiting <- g.link.Send(context.Background(), message("x")) }()
				synctest.Wait()
				switch end {
				case "detach":
					p.send(0, cDetach, 0, true)
				case "end":
					p.send(0, cEnd, nil)
				case "close":
					p.send(0, cClose, nil)
				case "cut":
					_ = p.nc.Close()
				case "our detach":
					g.link.Close(nil)
					p.expect(cDetach)
					p.send(0, cDetach, 0, true)
				}
				synctest.Wait()
				p.same(2, len(g.unsettled))
				p.same(0, g.unsettled[0].Value)
				p.same(3, g.unsettled[1].Value)
				p.same(ErrLinkClosed, g.unsettled[0].Settle(nil))
				p.same(ErrLinkClosed, <-waiting)
				p.same(ErrLinkClosed, g.link.TrySend(message("x")))
				p.same(ErrLinkClosed, g.link.Send(context.Background(), message("x")))
			})
		})
	}
}

func TestBlockingSend(t *testing.T) {
	g := giving()
	scripted(t, Config{Handler: g}, func(t *testing.T, p *peer) {
		p.start(nil, 100, 1)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		results := make(chan error, 3)
		go func() { results <- g.link.Send(ctx, message("late")) }()
		synctest.Wait()
		time.Sleep(2 * time.Minute)
		if err := <-results; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("send: %v", err)
		}
		for _, s := range []string{"a", "b", "c"} {
			go func() { results <- g.link.Send(context.Background(), message(s)) }()
			synctest.Wait()
		}
		p.same(ErrWouldBlock, g.link.TrySend(message("not before them")))
		p.credit(0, 1, 100, 0, 2, false, false)
		p.same("a", string(p.expect(cTransfer).payload))
		p.same("b", string(p.expect(cTransfer).payload))
		p.expectNothing()
		// What waits is sent before a drain is answered.
		p.credit(0, 3, 100, 2, 10, true, false)
		p.same("c", string(p.expect(cTransfer).payload))
		p.expect(cFlow)
		for range 3 {
			p.same(nil, <-results)
		}
	})
}

// A client that does not read is cut off, and nobody else notices.
func TestStalledReader(t *testing.T) {
	g := giving()
	g.onReady = func(s *Sender) {
		for s.TrySend(message(strings.Repeat("x", 10_000))) == nil {
		}
	}
	scripted(t, Config{Handler: g, WriteTimeout: 20 * time.Second}, func(t *testing.T, p *peer) {
		stalled := connectStalled(t, p.server)
		start := time.Now()
		b := []byte(amqpHeader)
		b = append(b, amqpFrame(0, 0, cOpen, nil, openFields(nil, nil)...)...)
		b = append(b, amqpFrame(0, 0, cBegin, nil, nil, 0, 4294967295, 5000)...)
		b = append(b, amqpFrame(0, 0, cAttach, nil, "in", 0, true, ubyte(1), nil, source("q"), target("me"))...)
		b = append(b, amqpFrame(0, 0, cFlow, nil, 1, uint32(4294967295), 0, 5000, 0, 0, uint32(4000000000))...)
		for range 3000 { // and asks all the time
			b = append(b, amqpFrame(0, 0, cFlow, nil, 1, uint32(4294967295), 0, 5000, 0, 0, uint32(4000000000), nil, false, true)...)
		}
		go func() { _, _ = stalled.nc.Write(b) }()
		synctest.Wait()
		p.open(nil, nil, 10)
		p.attachReceive(0, "q")
		p.credit(0, 1, 10, 0, 1, false, false)
		p.expect(cTransfer)
		for _, c := range p.server.list() {
			c.mu.Lock()
			if len(c.out) > outHighWater+senderQuantum+defaultMaxFrameSize {
				t.Errorf("%d bytes are buffered", len(c.out))
			}
			c.mu.Unlock()
		}
		if err := <-stalled.ended; err == nil {
			t.Error("no reason")
		}
		if d := time.Since(start); d != 20*time.Second {
			t.Errorf("cut off after %v", d)
		}
	})
}
