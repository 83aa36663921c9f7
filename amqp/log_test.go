package amqp

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// logged runs a client and returns what the server logged from info on.
func logged(t *testing.T, f func(p *peer)) []string {
	var text bytes.Buffer
	var seen Credentials
	cfg := saslConfig(&seen)
	cfg.Handler = newQueueNode()
	synctest.Test(t, func(t *testing.T) {
		cfg.Handler.(*queueNode).closed = make(chan error, 1)
		cfg.Logger = slog.New(slog.NewTextHandler(&text, nil))
		srv := NewServer(cfg)
		p := connect(t, srv)
		f(p)
		_ = p.nc.Close()
		t.Log(<-p.ended)
	})
	return strings.FieldsFunc(text.String(), func(r rune) bool { return r == '\n' })
}

// Each fatal cause is one line with the reason and without secrets; an orderly end is none.
func TestOneLinePerCause(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(p *peer)
		want []string
	}{
		"protocol": {func(p *peer) {
			p.open(nil, nil, 10)
			p.write([]byte{0, 1, 0, 1, 2, 0, 0, 0})
			p.expect(cClose)
		}, []string{"level=WARN", "framing-error", "container=peer", "host=host.example"}},
		"password": {func(p *peer) {
			p.write([]byte(saslHeader), saslFrame(0x41, sym("PLAIN"), []byte("\x00alice\x00secret"), nil))
			p.expectHeader(3)
			p.expect(0x40)
			p.expect(0x44)
		}, []string{"level=WARN", "wrong password", "PLAIN"}},
		"header": {func(p *peer) {
			p.write([]byte("GET / HTTP/1.1\r\n"))
			p.expectHeader(0)
		}, []string{"level=WARN", "handshake"}},
		"lost": {func(p *peer) { p.open(nil, nil, 10) }, []string{"level=INFO", "EOF"}},
		"silence": {func(p *peer) {
			p.open(nil, nil, 10)
			p.expectEnd()
		}, []string{"level=INFO", "no bytes for 8m0s"}},
		"orderly": {func(p *peer) {
			p.open(nil, nil, 10)
			p.send(0, cClose, nil)
			p.expect(cClose)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			lines := logged(t, c.do)
			if c.want == nil {
				if len(lines) > 0 {
					t.Errorf("logged %q", lines)
				}
				return
			}
			if len(lines) != 1 {
				t.Fatalf("logged %q", lines)
			}
			for _, want := range append(c.want, "conn=", "remote=pipe", "err=") {
				if !strings.Contains(lines[0], want) {
					t.Errorf("%q is missing in %q", want, lines[0])
				}
			}
			if strings.Contains(lines[0], "secret") {
				t.Errorf("a secret in %q", lines[0])
			}
		})
	}
}

// sessionHandler says no to a session, or ends it before it has begun.
type sessionHandler struct {
	*queueNode
	begin func(s *Session) error
	ended int
}

func (h *sessionHandler) Begin(s *Session) error { return h.begin(s) }
func (h *sessionHandler) Ended(*Session, error)  { h.ended++ }

func TestSessionHandler(t *testing.T) {
	no := newError(wire.ErrResourceLimitExceeded, "no more sessions")
	for name, c := range map[string]struct {
		begin func(s *Session) error
		ended int
	}{
		"refused": {func(*Session) error { return no }, 0},
		"ended":   {func(s *Session) error { s.End(no); s.End(nil); return nil }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := &sessionHandler{queueNode: newQueueNode(), begin: c.begin}
			scripted(t, Config{Handler: h}, func(t *testing.T, p *peer) {
				p.open(nil, nil, 10)
				p.same("amqp:resource-limit-exceeded", p.condition(p.expect(cEnd).fields[0]))
				p.send(0, cEnd, nil)
				h.begin = func(s *Session) error {
					p.same(uint16(0), s.Channel())
					p.same(uint32(7), s.Begin().IncomingWindow)
					return nil
				}
				p.begin(0, 7)
				p.same(c.ended, h.ended)
				p.attachSend(0, "q")
			})
		})
	}
}
