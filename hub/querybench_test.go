package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/store"
	"github.com/hubnerite/hubnerite/store/bolt"
	"github.com/hubnerite/hubnerite/store/memory"
)

// BenchmarkQuery runs queries over many devices with twins of 1 KB in the
// embedded store: 100,000, or as many as HUBNERITE_BENCH_DEVICES says. It prints
// the first run, which reads the twins, beside the later ones, and the memory
// that queries keep.
func BenchmarkQuery(b *testing.B) {
	devices := 100_000
	if text := os.Getenv("HUBNERITE_BENCH_DEVICES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
		devices = n
	}
	h := manyDevices(b, devices)
	before := heap()
	for _, q := range []struct {
		name, text string
		rows       int
	}{
		{"equality", "SELECT * FROM devices WHERE tags.site = 'site-7'", 100},
		{"equality-and", "SELECT * FROM devices WHERE tags.site = 'site-7' AND properties.reported.battery.level >= 0", 100},
		{"scan", "SELECT COUNT() AS n FROM devices WHERE properties.reported.battery.level > 50 OR startswith(properties.reported.firmware, '2.')", 1},
		{"scan-none", "SELECT * FROM devices WHERE properties.reported.battery.level > 1000", 0},
		{"group", "SELECT properties.reported.firmware AS fw, COUNT() AS n FROM devices GROUP BY properties.reported.firmware", 5},
		{"page", "SELECT deviceId FROM devices", 100},
	} {
		b.Run(q.name, func(b *testing.B) {
			run := func() {
				page, err := h.Query(b.Context(), QueryRequest{Text: q.text})
				if err != nil || len(page.Items) != min(q.rows, devices) {
					b.Fatalf("%d rows, error %v", len(page.Items), err)
				}
			}
			if b.N == 1 {
				start := time.Now()
				run()
				b.Logf("%s: the first time %v", q.name, time.Since(start).Round(time.Microsecond))
			}
			times := make([]time.Duration, 0, b.N)
			for b.Loop() {
				start := time.Now()
				run()
				times = append(times, time.Since(start))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "ms-median")
			b.ReportMetric(float64(times[len(times)-1].Microseconds())/1000, "ms-max")
		})
	}
	b.Run("memory", func(b *testing.B) {
		for b.Loop() {
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(before>>20), "MB-before-queries")
		b.ReportMetric(float64(heap()>>20), "MB-after")
		runtime.KeepAlive(h)
	})
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// manyDevices returns a hub with n devices in 1,000 sites of 100 and up.
func manyDevices(b *testing.B, n int) *Hub {
	b.Helper()
	s, err := bolt.Open(filepath.Join(b.TempDir(), "hub.db"), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	const batch = 2000
	for from := 0; from < n; from += batch {
		records := make([]store.Record, 0, batch)
		for i := from; i < min(from+batch, n); i++ {
			records = append(records, benchRecord(b, i, max(n/100, 1)))
		}
		for _, err := range s.Records().PutMany(context.Background(), records) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Logf("%d devices written in %v", n, time.Since(start).Round(time.Millisecond))
	reg, err := registry.New(registry.Options{Records: s.Records()})
	if err != nil {
		b.Fatal(err)
	}
	h, err := New(Options{
		Name: "hub1", Registry: reg, Queues: s.Queues(), Documents: s.Documents(),
		Log: memory.New(memory.Options{}).Log(), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := h.Close(); err != nil {
			b.Error(err)
		}
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return h
}

func benchRecord(b *testing.B, i, sites int) store.Record {
	b.Helper()
	at := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	twin := iothub.NewTwin(at)
	patch, err := iothub.DecodeTwinPatch(fmt.Appendf(nil, `{
		"tags":{"site":"site-%d","location":{"building":%d,"floor":%d,"room":"room-%d"},"owner":"team-%d"},
		"properties":{"desired":{"telemetry":{"interval":%d,"unit":"celsius","enabled":true},"firmware":"2.1.%d","note":"%0200d"}}}`,
		i%sites, i%7, i%11, i%501, i%13, i%60, i%3, i))
	if err != nil {
		b.Fatal(err)
	}
	if twin, err = twin.Patch(patch, at); err != nil {
		b.Fatal(err)
	}
	twin, err = twin.Report(map[string]any{
		"firmware": fmt.Sprint(i%5, ".0"), "serial": fmt.Sprintf("SN-%012d", i), "note": fmt.Sprintf("%0250d", i),
		"battery": map[string]any{"level": json.Number(strconv.Itoa(i % 101)), "charging": i%2 == 0},
	}, at)
	if err != nil {
		b.Fatal(err)
	}
	id := iothub.ID{DeviceID: fmt.Sprintf("device-%07d", i)}
	return store.Record{Twin: twin, Identity: iothub.Identity{
		ID: id, GenerationID: strconv.Itoa(638000000000000000 + i), ETag: "MQ==", Status: iothub.StatusEnabled,
		Authentication: iothub.Authentication{Type: iothub.AuthSAS, SymmetricKey: iothub.SymmetricKey{
			PrimaryKey: "AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCwwNDg8=", SecondaryKey: "AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCwwNDg8=",
		}},
	}}
}
