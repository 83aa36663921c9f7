package amqp

import (
	"fmt"
	"testing"
	"testing/synctest"

	client "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// nodeHandler has one request node per connection, at every address.
type nodeHandler struct {
	serve func(r *Request)
}

func (h *nodeHandler) Open(c *Conn) error { c.SetValue(&RequestNode{Serve: h.serve}); return nil }
func (h *nodeHandler) Attach(a *Attach) (*Acceptance, error) {
	return a.Session.Conn().Value().(*RequestNode).Attach(a)
}
func (h *nodeHandler) Closed(*Conn, error) {}

// answer replies with the request's message id as correlation id.
func answer(t testing.TB, r *Request) []byte {
	b, err := wire.AppendProperties(nil, &wire.Properties{To: r.Properties.ReplyTo, CorrelationID: r.Properties.MessageID})
	if err != nil {
		t.Error(err)
	}
	return wire.AppendDataSection(b, append([]byte("re: "), r.Message.Data()...))
}

// section builds a message with these properties and a body, by hand.
func section(properties []any, body string) string {
	return string(enc(described{ulong(0x73), properties})) + string(enc(described{ulong(0x75), []byte(body)}))
}

// The disposition is first, the message id's type comes back, and the answer waits for credit.
func TestRequestAndReply(t *testing.T) {
	var requests []*Request
	h := &nodeHandler{serve: func(r *Request) { requests = append(requests, r) }}
	scripted(t, Config{Handler: h}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		p.attachSend(0, "$cbs")
		p.send(0, cAttach, "reply", 1, true, nil, nil, source("$cbs"), target("$cbs"))
		p.expect(cAttach)
		ids := []any{ulong(0), "text", []byte("bin"), ulong(1 << 40)}
		for i, id := range ids {
			p.transfer(0, i, false, section([]any{id, nil, "$cbs", nil, "cbs"}, "x"))
		}
		synctest.Wait()
		for _, r := range requests {
			p.same(nil, r.Reply(answer(t, r)))
		}
		var last uint32
		for last < 3 { // accepted(), in one range or more
			f := p.expect(cDisposition).fields
			p.same(true, f[3])
			p.same(accepted(), f[4])
			if last = f[1].(uint32); f[2] != nil {
				last = f[2].(uint32)
			}
		}
		p.expectNothing()
		p.credit(1, 1, 100, 0, 10, false, false)
		for _, id := range ids {
			f := p.expect(cTransfer)
			properties, rest := parse(f.payload)
			list := properties.(described).value.([]any)
			p.same("cbs", list[2])
			p.same(id, list[5])
			data, _ := parse(rest)
			p.same("re: x", string(data.(described).value.([]byte)))
		}
		for i := range ids {
			p.send(0, cDisposition, true, i, nil, false, accepted())
			p.same([]any{false, uint32(i), nil, true}, p.expect(cDisposition).fields[:4])
		}
		// With credit, the disposition is still first.
		p.transfer(0, 4, false, section([]any{"5"}, "y"))
		synctest.Wait()
		p.same(nil, requests[4].Reply(answer(t, requests[4])))
		p.expect(cDisposition)
		p.expect(cTransfer)

		p.transfer(0, 5, false, section([]any{"6"}, "z"))
		synctest.Wait()
		p.same(nil, requests[5].Reject(newError(wire.ErrNotAllowed, "")))
		p.same(ulong(0x25), p.expect(cDisposition).fields[4].(described).descriptor)
		p.transfer(0, 6, false, "not a message")
		p.same("amqp:decode-error", p.condition(p.expect(cDisposition).fields[4].(described).value.([]any)[0]))
		// Without a link for the answer.
		p.send(0, cDetach, 1, true)
		p.expect(cDetach)
		p.transfer(0, 7, false, section([]any{"7"}, "z"))
		synctest.Wait()
		p.same(ErrLinkClosed, requests[6].Reply(answer(t, requests[6])))
		p.same(accepted(), p.expect(cDisposition).fields[4])
	})
}

func TestReplyRoutes(t *testing.T) {
	for name, c := range map[string]struct {
		replyTo any
		want    uint16 // the channel of the answer
		handle  uint32
	}{
		"no reply-to":          {nil, 0, 2},
		"reply-to of no link":  {"cbs", 0, 2},
		"by target address":    {"me-0-1", 0, 1},
		"by link name":         {"name-0-1", 0, 1},
		"in the other session": {"me-1-1", 1, 0},
		"this session first":   {"same", 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := &nodeHandler{serve: func(r *Request) { _ = r.Reply(answer(t, r)) }}
			scripted(t, Config{Handler: h}, func(t *testing.T, p *peer) {
				p.open(nil, nil, 100)
				p.begin(1, 100)
				p.attachSend(0, "$cbs")
				receive := func(channel uint16, handle int, to string) {
					p.send(channel, cAttach, fmt.Sprint("name-", channel, "-", handle), handle, true, nil, nil, source("$cbs"), target(to))
					p.expect(cAttach)
					p.send(channel, cFlow, 1, 100, uint32(firstOut), 5000, handle, 0, 5)
				}
				receive(0, 1, "me-0-1")
				receive(0, 2, "same")
				receive(1, 1, "me-1-1")
				receive(1, 2, "same")
				p.transfer(0, 0, false, section([]any{"id", nil, nil, nil, c.replyTo}, "x"))
				p.expect(cDisposition)
				f := p.expect(cTransfer)
				p.same(c.want, f.channel)
				p.same(c.handle, f.fields[0])
				p.expectNothing()
			})
		})
	}
}

// A client that asks without ever taking answers is stopped by its own credit.
func TestRepliesAreBounded(t *testing.T) {
	h := &nodeHandler{serve: func(r *Request) { _ = r.Reply(answer(t, r)) }}
	scripted(t, Config{Handler: h}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 100)
		p.attachSend(0, "$cbs")
		p.attachReceive(1, "$cbs")
		limit := uint32(100)
		sent := uint32(0)
		for sent < limit && sent < 1000 {
			p.transfer(0, sent, false, section([]any{"id"}, "x"))
			sent++
			for synctest.Wait(); len(p.frames) > 0; synctest.Wait() {
				if f := p.next(); f.code == cFlow {
					limit = f.fields[5].(uint32) + 1 + f.fields[6].(uint32)
				}
			}
		}
		if sent < 100 || sent > 164 {
			t.Errorf("%d requests were taken", sent)
		}
		p.credit(1, 1, 1000, 0, 1000, false, false)
		synctest.Wait()
		answers := 0
		for len(p.frames) > 0 {
			if p.next().code == cTransfer {
				answers++
			}
			synctest.Wait()
		}
		p.same(int(sent), answers)
	})
}

// Two connections that name the same reply-to get their own answers.
func TestRepliesStayOnTheirConnection(t *testing.T) {
	addr, _ := startServer(t, Config{Handler: &nodeHandler{serve: func(r *Request) { go func() { _ = r.Reply(answer(t, r)) }() }}})
	type end struct {
		out *client.Sender
		in  *client.Receiver
	}
	var ends []end
	for range 3 {
		s := session(t, dial(t, addr, nil))
		ends = append(ends, end{sendLink(t, s, "$cbs", nil), receiveLink(t, s, "$cbs", &client.ReceiverOptions{TargetAddress: "cbs-reply"})})
	}
	for round := range 50 {
		for i, e := range ends {
			to := "cbs-reply"
			m := client.NewMessage(fmt.Append(nil, i))
			m.Properties = &client.MessageProperties{ReplyTo: &to, MessageID: uint64(round)}
			if err := e.out.Send(limit(t), m, nil); err != nil {
				t.Fatal(err)
			}
		}
		for i, e := range ends {
			m, err := e.in.Receive(limit(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			if string(m.GetData()) != fmt.Sprint("re: ", i) || m.Properties.CorrelationID != uint64(round) {
				t.Fatalf("client %d got %q %v", i, m.GetData(), m.Properties.CorrelationID)
			}
			if err := e.in.AcceptMessage(limit(t), m); err != nil {
				t.Fatal(err)
			}
		}
	}
}
