package broker

import (
	"io"
	"net"
	"testing"

	"github.com/hubnerite/hubnerite/internal/mqtttest"
)

// BenchmarkTelemetry publishes 256-byte messages at QoS 1, 64 in flight, from
// the client's socket to the PUBACK, with the memory log.
func BenchmarkTelemetry(b *testing.B) {
	for _, transport := range []string{"loopback", "pipe"} {
		b.Run(transport, func(b *testing.B) {
			w := newWorld(b, Options{})
			var c *mqtttest.Client
			ended := make(chan struct{})
			if transport == "pipe" {
				here, there := net.Pipe()
				go func() {
					w.server.ServeConn(there, "mqtt")
					close(ended)
				}()
				c = mqtttest.New(b, here)
			} else {
				close(ended)
				c = w.dial()
			}
			if _, code := c.Connect(w.connectOptions(testDevice())); code != 0 {
				b.Fatal(code)
			}
			const batch = 64
			var packets []byte
			for i := range batch {
				packets = mqtttest.AppendPublish(packets, "devices/dev-1/messages/events/%24.mid=m1&%24.ct=application%2Fjson&level=info",
					make([]byte, 256), 1, uint16(i+1))
			}
			acks := make([]byte, 4*batch)
			b.SetBytes(int64(len(packets) / batch))
			b.ReportAllocs()
			b.ResetTimer()
			rounds := (b.N + batch - 1) / batch
			// A pipe has no buffer: who only writes would wait for ever.
			next, wrote := make(chan struct{}, 1), make(chan error, 1)
			go func() {
				for range next {
					if _, err := c.Write(packets); err != nil {
						wrote <- err
						return
					}
				}
				wrote <- nil
			}()
			for range rounds {
				next <- struct{}{}
				if _, err := io.ReadFull(c.Conn, acks); err != nil {
					b.Fatal(err)
				}
			}
			close(next)
			if err := <-wrote; err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			_ = c.Close()
			<-ended
		})
	}
}

// BenchmarkConnect is CONNECT to CONNACK and DISCONNECT on a new connection,
// token check and session included.
func BenchmarkConnect(b *testing.B) {
	w := newWorld(b, Options{})
	o := w.connectOptions(testDevice())
	b.ReportAllocs()
	for b.Loop() {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			b.Fatal(err)
		}
		client := mqtttest.New(b, c)
		if _, code := client.Connect(o); code != 0 {
			b.Fatal(code)
		}
		client.Send([]byte{mqtttest.Disconnect << 4, 0})
		_ = c.Close()
	}
}

// BenchmarkParseTelemetryTopic is the topic grammar alone.
func BenchmarkParseTelemetryTopic(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		t, err := parsePublishTopic(testDevice(), "devices/dev-1/messages/events/%24.mid=m1&%24.ct=application%2Fjson&level=info")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := telemetryMessage(t.bag, nil, false); err != nil {
			b.Fatal(err)
		}
	}
}
