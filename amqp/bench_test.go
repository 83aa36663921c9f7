package amqp

import (
	"context"
	"sync"
	"testing"

	client "github.com/Azure/go-amqp"
)

// BenchmarkThroughput sends 256-byte messages with 32 senders on one link and receives them, unsettled both ways.
func BenchmarkThroughput(b *testing.B) {
	addr, _ := startServer(b, Config{Handler: newQueueNode()})
	conn := dial(b, addr, nil)
	out := sendLink(b, session(b, conn), "q", nil)
	in := receiveLink(b, session(b, dial(b, addr, nil)), "q", &client.ReceiverOptions{Credit: 500})
	body := pattern(256)
	ctx := context.Background()
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for n := i; n < b.N; n += 32 {
				if err := out.Send(ctx, client.NewMessage(body), nil); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	for range b.N {
		m, err := in.Receive(ctx, nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := in.AcceptMessage(ctx, m); err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

// BenchmarkRoundTrip sends one message and waits for its outcome, then receives and settles it.
func BenchmarkRoundTrip(b *testing.B) {
	addr, _ := startServer(b, Config{Handler: newQueueNode()})
	s := session(b, dial(b, addr, nil))
	out := sendLink(b, s, "q", nil)
	in := receiveLink(b, s, "q", &client.ReceiverOptions{Credit: 10})
	body := pattern(256)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if err := out.Send(ctx, client.NewMessage(body), nil); err != nil {
			b.Fatal(err)
		}
		m, err := in.Receive(ctx, nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := in.AcceptMessage(ctx, m); err != nil {
			b.Fatal(err)
		}
	}
}
