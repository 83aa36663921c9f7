package halfopen

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

type carried struct{ net.Conn }

func (c carried) Raw() net.Conn { return c.Conn }

// dial returns both ends of a connection.
func dial(t *testing.T) (l *Listener, near, far net.Conn) {
	t.Helper()
	below, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = NewListener(below)
	t.Cleanup(func() { _ = l.Close() })
	if far, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	if near, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return l, near, far
}

func TestSilence(t *testing.T) {
	l, near, far := dial(t)
	exchange := func(from, to net.Conn, text string) {
		t.Helper()
		if _, err := from.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(text))
		if _, err := io.ReadFull(to, got); err != nil || string(got) != text {
			t.Fatalf("%q, %v", got, err)
		}
	}
	exchange(near, far, "hello")
	exchange(far, near, "hello")
	if !Silence(carried{near}) {
		t.Fatal("cannot fall silent")
	}
	if n, err := near.Write([]byte("lost")); n != 4 || err != nil {
		t.Errorf("a write in silence: %d, %v", n, err)
	}
	if _, err := far.Write([]byte("lost, too")); err != nil {
		t.Error(err)
	}
	_ = near.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := near.Read(make([]byte, 100)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reads %d, %v in silence", n, err)
	}
	if w, ok := near.(*Conn); !ok || w.CloseWrite() != nil || near.Close() != nil {
		t.Error("cannot be closed in silence")
	}
	// For the peer the connection is still there.
	_ = far.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the peer sees %v", err)
	}
	if _, err := far.Write([]byte("still lost")); err != nil {
		t.Errorf("the peer cannot write: %v", err)
	}
	_ = l.Close()
	_ = far.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := far.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the listener closed the peer sees %v", err)
	}
}

func TestSilenceNeedsAConn(t *testing.T) {
	near, _ := net.Pipe()
	if Silence(near) {
		t.Error("a pipe fell silent")
	}
	_, c, far := dial(t)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the peer of a connection that was not silent sees %v", err)
	}
}
