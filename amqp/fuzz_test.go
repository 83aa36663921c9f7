package amqp

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// FuzzConn feeds arbitrary bytes to a connection: it must end, without panic and without leaving a goroutine, and
// every frame it writes must have the full form.
func FuzzConn(f *testing.F) {
	f.Add([]byte(saslHeader), false)
	f.Add(append([]byte(saslHeader), saslFrame(0x41, sym("PLAIN"), []byte("\x00alice\x00s=cret"), nil)...), false)
	f.Add(pipelined(), false)
	session := pipelined()[8:]
	f.Add(session, true)
	more := [][]byte{
		amqpFrame(0, 3, cAttach, nil, "in", 6, true, ubyte(0), ubyte(1), source("b"), target("b")),
		amqpFrame(0, 3, cFlow, nil, 1, 100, 0, 100, 6, 0, 10, nil, true, true),
		amqpFrame(0, 3, cDisposition, nil, true, 0, 4000000000, false, accepted()),
		amqpFrame(0, 3, cDisposition, nil, true, 0, nil, true, described{ulong(0x26), []any{}}),
		amqpFrame(0, 3, cTransfer, []byte("y"), 5, 1, []byte("u"), 0, true, true),
		amqpFrame(0, 3, cTransfer, []byte("z"), 5, nil, nil, nil, nil, false, nil, nil, nil, true),
		amqpFrame(0, 3, cDetach, nil, 5, true, described{ulong(0x1d), []any{sym("a:b")}}),
		amqpFrame(0, 3, cEnd, nil, nil),
		amqpFrame(0, 0, cClose, nil, nil),
	}
	for _, b := range more {
		session = append(session, b...)
		f.Add(session, true)
	}
	f.Fuzz(func(t *testing.T, input []byte, opened bool) {
		synctest.Test(t, func(t *testing.T) {
			var seen Credentials
			cfg := saslConfig(&seen)
			cfg.Handler = newQueueNode()
			cfg.IdleTimeout = time.Minute
			srv := NewServer(cfg)
			ours, theirs := net.Pipe()
			ended := make(chan error, 1)
			go func() { ended <- srv.ServeConn(context.Background(), theirs) }()
			read := make(chan error, 1)
			go func() {
				for {
					if _, err := readFrame(ours); err != nil {
						read <- err
						return
					}
				}
			}()
			if opened {
				_, _ = ours.Write([]byte(amqpHeader))
				_, _ = ours.Write(amqpFrame(0, 0, cOpen, nil, openFields(512, 1000)...))
			}
			_, _ = ours.Write(input)
			start := time.Now()
			err := <-ended // at the latest when it has been silent for twice the idle time-out
			if d := time.Since(start); d > 3*time.Minute {
				t.Errorf("ended after %v: %v", d, err)
			}
			if err := <-read; !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the server wrote: %v", err)
			}
			_ = ours.Close()
		})
	})
}
