package hub

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// BenchmarkSendTelemetry is the hub's part of the telemetry path, many devices at once.
func BenchmarkSendTelemetry(b *testing.B) {
	f := startFixture(b)
	defer func() { _ = f.Close() }()
	var conns []*Connection
	for i := range 64 {
		c, _ := f.connect(f.device(fmt.Sprint("d", i)), "mqtt")
		conns = append(conns, c)
	}
	body := make([]byte, 256)
	var next atomic.Int64
	done := func(err error) {
		if err != nil {
			b.Error(err)
		}
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		c := conns[next.Add(1)%int64(len(conns))]
		for pb.Next() {
			c.SendTelemetry(context.Background(), iothub.Telemetry{Body: body}, done)
		}
	})
}

// BenchmarkC2D is a message's whole life: enqueued, received, completed.
func BenchmarkC2D(b *testing.B) {
	f := startFixture(b)
	defer func() { _ = f.Close() }()
	id := f.device("d")
	c, client := f.connect(id, "mqtt")
	c.EnableC2D(true)
	b.ReportAllocs()
	for b.Loop() {
		client.signals()
		f.send(id, "1", iothub.AckNone)
		d, ok := c.ReceiveC2D()
		if !ok {
			b.Fatal("nothing received")
		}
		if err := f.CompleteC2D(context.Background(), id, d.LockToken); err != nil {
			b.Fatal(err)
		}
		if _, ok := c.ReceiveC2D(); ok {
			b.Fatal("received twice")
		}
	}
}

// BenchmarkSweepIdle is a Sweep over many connected devices with nothing due.
func BenchmarkSweepIdle(b *testing.B) {
	f := startFixture(b)
	defer func() { _ = f.Close() }()
	for i := range 20_000 {
		c, _ := f.connect(f.device(fmt.Sprint("d", i)), "mqtt")
		c.EnableC2D(true)
	}
	now := time.Now()
	for b.Loop() {
		f.Sweep(now)
	}
}
