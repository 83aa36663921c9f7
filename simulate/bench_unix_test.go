//go:build unix

package simulate_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/seed"
	"github.com/hubnerite/hubnerite/simulate"
	"github.com/hubnerite/hubnerite/store"
	"github.com/hubnerite/hubnerite/store/bolt"
	"github.com/hubnerite/hubnerite/store/journal"
	"github.com/hubnerite/hubnerite/store/memory"
)

// cpu returns the processor time that this process has had.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkThousandDevices has 1,000 devices send a message with five values each second, stored as the emulator stores it; a round
// is a second. %core is the processor time of this process for each second, as a part of one core.
func BenchmarkThousandDevices(b *testing.B) {
	b.Run("memory", func(b *testing.B) {
		m := memory.New(memory.Options{})
		thousandDevices(b, m.Records(), m.Queues(), m.Documents(), m.Log(), m.Close)
	})
	b.Run("disk", func(b *testing.B) {
		dir := b.TempDir()
		d, err := bolt.Open(dir+"/hub.db", bolt.Options{Durability: store.DurabilityOS})
		if err != nil {
			b.Fatal(err)
		}
		j, err := journal.Open(dir+"/telemetry", journal.Options{Durability: store.DurabilityOS})
		if err != nil {
			b.Fatal(err)
		}
		thousandDevices(b, d.Records(), d.Queues(), d.Documents(), j, func() error { return errors.Join(j.Close(), d.Close()) })
	})
}

func thousandDevices(b *testing.B, records store.Records, queues store.Queues, documents store.Documents, log store.Log, closeStores func() error) {
	r, err := registry.New(registry.Options{Records: records, Documents: documents})
	if err != nil {
		b.Fatal(err)
	}
	h, err := hub.New(hub.Options{Name: "hub1", Registry: r, Queues: queues, Documents: documents, Log: log})
	if err != nil {
		b.Fatal(err)
	}
	sim := simulate.New(simulate.Options{Hub: h})
	defer func() {
		sim.Close()
		if err := errors.Join(h.Close(), closeStores()); err != nil {
			b.Error(err)
		}
	}()
	f, err := seed.Parse("x.yaml", []byte(`
simulations:
  - name: fleet
    device: sim-{n:04}
    count: 1000
    telemetry:
      - every: 1s
        body: {temperature: "{{walk 18 26 0.4}}", humidity: "{{random 30 60 0}}", count: "{{sequence}}", at: "{{time}}", device: "{{deviceId}}"}
        properties: {alert: "{{choice yes no}}"}
    methods: {reboot: {}}
    twin: {}
    c2d: {}
`), seed.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if _, _, err := sim.Put(b.Context(), f.Simulations[0]); err != nil {
		b.Fatal(err)
	}
	// All are connected, and each has sent its first message.
	for {
		status, _ := sim.Get("fleet")
		if status.Connected == 1000 && status.Sent >= 1000 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	before, begin, used := mustGet(b, sim), time.Now(), cpu(b)
	b.ResetTimer()
	for b.Loop() {
		// The emulator sweeps its hubs this often.
		for range 2 {
			time.Sleep(500 * time.Millisecond)
			h.Sweep(time.Now())
		}
	}
	took, used := time.Since(begin), cpu(b)-used
	sent := mustGet(b, sim).Sent - before.Sent
	b.ReportMetric(100*used.Seconds()/took.Seconds(), "%core")
	b.ReportMetric(float64(sent)/took.Seconds(), "msgs/s")
	b.ReportMetric(float64(used.Microseconds())/float64(sent), "cpu-µs/msg")
	b.ReportMetric(0, "ns/op")
}

func mustGet(b *testing.B, sim *simulate.Simulator) simulate.Status {
	status, ok := sim.Get("fleet")
	if !ok || status.Failed != 0 {
		b.Fatalf("%v %+v", ok, status)
	}
	return status
}
