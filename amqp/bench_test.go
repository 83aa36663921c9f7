package amqp

import (
	"context"
	"net"
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

// BenchmarkPump sends pre-settled 256-byte messages to a client that only reads bytes: the engine's own cost.
func BenchmarkPump(b *testing.B) {
	g := giving()
	done := make(chan struct{})
	body := [][]byte{pattern(256)}
	sent := 0
	g.onReady = func(s *Sender) {
		for sent < b.N && s.TrySend(Message{Payload: body}) == nil {
			sent++
		}
	}
	addr, _ := startServer(b, Config{Handler: g})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	hello := []byte(amqpHeader)
	hello = append(hello, amqpFrame(0, 0, cOpen, nil, openFields(65536, nil)...)...)
	hello = append(hello, amqpFrame(0, 0, cBegin, nil, nil, 0, uint32(4294967295), 5000)...)
	hello = append(hello, amqpFrame(0, 0, cAttach, nil, "in", 0, true, ubyte(1), nil, source("q"), target("me"))...)
	hello = append(hello, amqpFrame(0, 0, cFlow, nil, 1, uint32(4294967295), 0, 5000, 0, 0, uint32(4000000000))...)
	b.SetBytes(256)
	b.ReportAllocs()
	go func() {
		defer close(done)
		buf := make([]byte, 256<<10)
		for total := 0; total < b.N*256; {
			n, err := nc.Read(buf)
			if err != nil {
				b.Error(err)
				return
			}
			total += n
		}
	}()
	if _, err := nc.Write(hello); err != nil {
		b.Fatal(err)
	}
	<-done
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	_ = nc.Close()
}
