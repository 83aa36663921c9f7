package netreset

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
)

// carried is a connection over another one.
type carried struct{ net.Conn }

func (c carried) Raw() net.Conn { return c.Conn }

type secured struct{ net.Conn }

func (c secured) NetConn() net.Conn { return c.Conn }

func TestReset(t *testing.T) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"plain":                  func(c net.Conn) net.Conn { return c },
		"TLS":                    func(c net.Conn) net.Conn { return secured{c} },
		"a WebSocket over TLS":   func(c net.Conn) net.Conn { return carried{secured{c}} },
		"a WebSocket over plain": func(c net.Conn) net.Conn { return carried{c} },
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			far, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = far.Close() }()
			near, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			Reset(wrap(near))
			if _, err := far.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the peer sees %v, want a reset", err)
			}
		})
	}
}

func TestResetOfWhatIsNotTCP(t *testing.T) {
	near, far := net.Pipe()
	Reset(secured{near})
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the peer sees %v, want the end", err)
	}
}
