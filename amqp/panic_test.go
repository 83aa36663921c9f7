package amqp

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// fragile is a handler that panics at one of its calls.
type fragile struct{ at string }

func (f *fragile) call(name string) {
	if f.at == name {
		panic("at " + name)
	}
}

func (f *fragile) Open(*Conn) error      { f.call("open"); return nil }
func (f *fragile) Closed(*Conn, error)   { f.call("closed") }
func (f *fragile) Begin(*Session) error  { f.call("begin"); return nil }
func (f *fragile) Ended(*Session, error) { f.call("ended") }
func (f *fragile) Attach(*Attach) (*Acceptance, error) {
	f.call("attach")
	return &Acceptance{Sink: (*fragileSink)(f), Source: (*fragileSource)(f)}, nil
}

type fragileSink fragile

func (s *fragileSink) Message(d *Delivery) {
	(*fragile)(s).call("message")
	_ = d.Accept()
}
func (s *fragileSink) Closed(*Receiver, error) { (*fragile)(s).call("sink closed") }

type fragileSource fragile

func (s *fragileSource) Ready(l *Sender) {
	(*fragile)(s).call("ready")
	_ = l.TrySend(Message{Payload: [][]byte{wire.AppendDataSection(nil, []byte("x"))}})
}

func (s *fragileSource) Outcome(d *Sent, _ wire.DeliveryState) {
	(*fragile)(s).call("outcome")
	_ = d.Settle(nil)
}
func (s *fragileSource) Closed(*Sender, []*Sent, error) { (*fragile)(s).call("source closed") }

// A handler that panics ends its connection with an error, is logged once with its stack, and disturbs no other
// connection.
func TestPanickingHandler(t *testing.T) {
	for at, told := range map[string]bool{
		"open": true, "begin": true, "attach": true, "message": true, "ready": true, "outcome": true,
		"sink closed": true, "source closed": true, "ended": true, "closed": false,
	} {
		t.Run(at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var text bytes.Buffer
				h := &fragile{}
				srv := NewServer(Config{Handler: h, Logger: slog.New(slog.NewTextHandler(&text, nil))})
				bystander := connect(t, srv)
				bystander.open(nil, nil, 10)
				bystander.attachSend(0, "q")
				synctest.Wait()

				h.at = at
				p := connect(t, srv)
				var script []byte
				for _, f := range [][]byte{
					[]byte(amqpHeader),
					amqpFrame(0, 0, cOpen, nil, openFields(nil, nil)...),
					amqpFrame(0, 0, cBegin, nil, nil, firstOut, 100, 5000, 4294967295),
					amqpFrame(0, 0, cAttach, nil, "s", 0, false, ubyte(2), ubyte(0), source("me"), target("q"), nil, nil, 0),
					amqpFrame(0, 0, cTransfer, []byte("x"), 0, 0, []byte("t"), 0, false, false),
					amqpFrame(0, 0, cAttach, nil, "r", 1, true, ubyte(0), ubyte(0), source("q"), target("me")),
					amqpFrame(0, 0, cFlow, nil, nil, 100, firstOut, 100, 1, 0, 1),
				} {
					script = append(script, f...)
				}
				p.write(script)
				synctest.Wait() // whatever was sent is sent
				closing := func() []byte {
					var b []byte
					for _, f := range [][]byte{
						amqpFrame(0, 0, cDisposition, nil, true, 0, nil, true, accepted()),
						amqpFrame(0, 0, cDetach, nil, 0, true), amqpFrame(0, 0, cDetach, nil, 1, true), amqpFrame(0, 0, cEnd, nil, nil),
					} {
						b = append(b, f...)
					}
					return b
				}
				_, _ = p.nc.Write(closing())
				synctest.Wait()
				_, _ = p.nc.Write(amqpFrame(0, 0, cClose, nil, nil))
				condition := ""
				for f := p.next(); f.end == nil; f = p.next() {
					if f.code == cClose {
						condition = p.condition(f.fields[0])
					}
				}
				t.Log(<-p.ended)
				if want := map[bool]string{true: "amqp:internal-error"}[told]; condition != want {
					t.Errorf("closed with %q, want %q", condition, want)
				}
				h.at = ""
				bystander.transfer(0, 0, false, "still here")
				bystander.expect(cDisposition)
				if err := srv.Close(); err != nil {
					t.Error(err)
				}
				_ = bystander.nc.Close()
				t.Log(<-bystander.ended)
				if n := strings.Count(text.String(), `msg="amqp handler panicked`); n != 1 || !strings.Contains(text.String(), "panic_test.go") ||
					strings.Contains(text.String(), "handler failed") {
					t.Errorf("logged %d times:\n%s", n, text.String())
				}
			})
		})
	}
}

// An authenticator that panics refuses.
func TestPanickingAuthenticator(t *testing.T) {
	var text bytes.Buffer
	cfg := Config{
		Handler: newQueueNode(), SASL: []Mechanism{Anonymous("ANONYMOUS")},
		Authenticate: func(context.Context, Credentials) (any, error) { panic("no") },
	}
	synctest.Test(t, func(t *testing.T) {
		cfg.Logger = slog.New(slog.NewTextHandler(&text, nil))
		p := connect(t, NewServer(cfg))
		p.write([]byte(saslHeader), saslFrame(0x41, sym("ANONYMOUS"), nil, nil))
		p.expectHeader(3)
		p.expect(0x40)
		p.same(ubyte(wire.SASLSys), p.expect(0x44).fields[0])
		_ = p.nc.Close()
		t.Log(<-p.ended)
	})
	if strings.Count(text.String(), `msg="amqp handler panicked`) != 1 {
		t.Error(text.String())
	}
}
