package amqp

import (
	"errors"
	"testing"
	"testing/synctest"
)

// A batch is taken as far as credit, window and the messages themselves allow, in order, and Ready tells when the rest may go.
func TestTrySendBatch(t *testing.T) {
	g := giving()
	batch := []Message{message("0"), message("1"), message("2"), message("3"), {Payload: [][]byte{[]byte("4")}, Tag: make([]byte, 33)}}
	sent := 0
	var taken []int
	var last error
	g.onReady = func(s *Sender) {
		var n int
		n, last = s.TrySendBatch(batch[sent:])
		taken = append(taken, n)
		sent += n
	}
	scripted(t, Config{Handler: g}, func(t *testing.T, p *peer) {
		p.open(nil, nil, 3)
		p.attachReceive(0, "q")
		arrive := func(want ...string) {
			t.Helper()
			for _, w := range want {
				p.same(w, string(p.expect(cTransfer).payload))
			}
			p.expectNothing()
		}
		p.credit(0, 1, 100, 0, 1, false, false) // one by credit
		arrive("0")
		if !errors.Is(last, ErrWouldBlock) {
			t.Errorf("got %v", last)
		}
		p.credit(0, 2, 2, 1, 10, false, false) // two by the window
		arrive("1", "2")
		if !errors.Is(last, ErrWouldBlock) {
			t.Errorf("got %v", last)
		}
		p.credit(0, 4, 100, 3, 10, false, false) // one until a message that cannot be sent at all
		arrive("3")
		synctest.Wait()
		p.same([]int{1, 2, 1}, taken)
		if !errors.Is(last, ErrDeliveryTag) {
			t.Errorf("got %v", last)
		}
		p.send(0, cDetach, 0, true)
		p.expect(cDetach)
		if n, err := g.link.TrySendBatch(batch[:1]); n != 0 || !errors.Is(err, ErrLinkClosed) {
			t.Errorf("after the link: %d, %v", n, err)
		}
		if n, err := g.link.TrySendBatch(nil); n != 0 || err != nil {
			t.Errorf("nothing: %d, %v", n, err)
		}
	})
}
