package broker

import (
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/hubnerite/hubnerite/internal/mqtttest"
	"github.com/hubnerite/hubnerite/store"
	"github.com/hubnerite/hubnerite/store/journal"
)

// maxAllocations is what a telemetry message may cost from the socket to the
// PUBACK, the log's share included.
const maxAllocations = 4

// TestTelemetryAllocations counts over many messages at QoS 1, so that what
// happens now and then beside them hardly weighs.
func TestTelemetryAllocations(t *testing.T) {
	const plain = "devices/dev-1/messages/events/"
	for _, c := range []struct {
		name  string
		topic func(i int) string
	}{
		{"plain", func(int) string { return plain }},
		{"properties", func(int) string { return plain + "%24.ct=application%2Fjson&%24.ce=utf-8&level=info&room=1" }},
		{"own properties", func(i int) string { return plain + fmt.Sprintf("%%24.mid=message-%d&level=info&n=%d", i, i) }},
	} {
		for _, durability := range []store.Durability{store.DurabilityOS, store.DurabilityFsync} {
			t.Run(fmt.Sprint(c.name, " ", durability), func(t *testing.T) {
				const batch, batches, runs = 64, 20, 5
				w := newWorld(t, Options{})
				w.stop()
				log, err := journal.Open(t.TempDir(), journal.Options{Durability: durability})
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					w.stop()
					if err := log.Close(); err != nil {
						t.Error(err)
					}
					w.telemetry = nil
					w.start() // for the end of the world
				}()
				w.telemetry = log
				w.start()
				here, there := net.Pipe()
				served := make(chan struct{})
				go func() {
					w.server.ServeConn(there, "mqtt")
					close(served)
				}()
				defer func() { <-served }()
				client := mqtttest.New(t, here)
				defer func() { _ = client.Close() }()
				if _, code := client.Connect(w.connectOptions(testDevice())); code != 0 {
					t.Fatal(code)
				}
				var packets []byte
				for i := range batch {
					packets = mqtttest.AppendPublish(packets, c.topic(i), make([]byte, 256), 1, uint16(i+1))
				}
				// A pipe has no buffer, so another goroutine reads.
				acknowledged := make(chan error)
				go func() {
					acks := make([]byte, 4*batch)
					for {
						_, err := io.ReadFull(here, acks)
						acknowledged <- err
						if err != nil {
							return
						}
					}
				}()
				perRun := testing.AllocsPerRun(runs, func() {
					for range batches {
						if _, err := here.Write(packets); err != nil {
							t.Fatal(err)
						}
						if err := <-acknowledged; err != nil {
							t.Fatal(err)
						}
					}
				})
				stored := int64(0)
				for p := range log.Partitions() {
					info, err := log.Info(p)
					if err != nil {
						t.Fatal(err)
					}
					stored += info.Next
				}
				if want := int64((runs + 1) * batch * batches); stored != want {
					t.Fatalf("%d messages are stored, %d were sent", stored, want)
				}
				_ = here.Close()
				if err := <-acknowledged; err == nil {
					t.Error("acknowledgements went on after the end of the connection")
				}
				each := perRun / (batch * batches)
				t.Logf("%.2f allocations per message", each)
				if each > maxAllocations {
					t.Errorf("%.2f allocations per message, at most %d", each, maxAllocations)
				}
			})
		}
	}
}
