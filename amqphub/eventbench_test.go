package amqphub

import (
	"fmt"
	"io"
	"testing"

	"github.com/hubnerite/hubnerite/amqp/wire"
)

// BenchmarkReadEvents reads stored events of 256 bytes, sent settled, with clients
// that only take bytes: what is measured is the endpoint itself. With several
// readers, one operation is one event at each of them.
func BenchmarkReadEvents(b *testing.B) {
	for _, readers := range []int{1, 5} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
			const stored = 20000
			r := newRig(b)
			partition := r.fill(stored, 256)
			b.ReportAllocs()
			b.ResetTimer()
			for left := b.N; left > 0; left -= stored {
				n := min(left, stored)
				b.StopTimer()
				peers := make([]*rawPeer, readers)
				for i := range peers {
					peers[i] = r.dialRaw(65536)
					peers[i].read(partition, wire.SenderSettled, 1<<30, 0)
				}
				b.StartTimer()
				ends := make(chan error, readers)
				for _, p := range peers {
					p.flow(1, 0, 1<<30, uint32(n))
					go func() { ends <- p.take(n) }()
				}
				for range peers {
					if err := <-ends; err != nil {
						b.Fatal(err)
					}
				}
				b.StopTimer()
				for _, p := range peers {
					p.send(&wire.Detach{Handle: 0, Closed: true}, nil)
					p.want(wire.CodeDetach) // a partition takes five readers
					_ = p.nc.Close()
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(b.N)*float64(readers)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// take reads n transfers and looks at nothing but the size of the frames.
func (p *rawPeer) take(n int) error {
	for range n {
		f, err := p.rd.ReadFrame()
		if err != nil {
			return err
		}
		if code, err := wire.PeekCode(f.Body); err != nil || code != wire.CodeTransfer {
			return fmt.Errorf("a frame of %v, %w", code, err)
		}
	}
	return nil
}

// BenchmarkEncodeEvent encodes one stored event for readers.
func BenchmarkEncodeEvent(b *testing.B) {
	r := newRig(b)
	partition := r.fill(1, 256)
	events, err := r.hub.ReadEvents(b.Context(), partition, 0, 1)
	if err != nil || len(events) != 1 {
		b.Fatal(len(events), err)
	}
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		if buffer, err = appendEvent(buffer[:0], &events[0]); err != nil {
			b.Fatal(err)
		}
	}
	_, _ = io.Discard.Write(buffer)
}
