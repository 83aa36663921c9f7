package emulator_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// eachStoreBench runs a benchmark in memory and with a data directory.
func eachStoreBench(b *testing.B, f func(b *testing.B, e *emulator.Emulator)) {
	quiet := emulatortest.WithConfig(func(c *emulator.Config) { c.Logger = nil })
	b.Run("memory", func(b *testing.B) { f(b, emulatortest.Run(b, quiet)) })
	b.Run("disk", func(b *testing.B) { f(b, emulatortest.Run(b, quiet, emulatortest.WithDataDir(b.TempDir()))) })
}

// fill creates n devices with a twin each.
func fill(b *testing.B, h *hub.Hub, n int) {
	b.Helper()
	var list []hub.Seeded
	for i := range n {
		id := iothub.ID{DeviceID: fmt.Sprintf("device%05d", i)}
		list = append(list, hub.Seeded{
			ID: id, Request: iothub.IdentityRequest{DeviceID: id.DeviceID, Status: iothub.StatusEnabled},
			Twin: iothub.TwinPatch{Tags: map[string]any{"site": "here"}, Desired: map[string]any{"interval": float64(i)}}, Reported: map[string]any{"firmware": "1.2.3"},
		})
	}
	for _, err := range h.CreateSeeded(context.Background(), list) {
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReset1000(b *testing.B) {
	eachStoreBench(b, func(b *testing.B, e *emulator.Emulator) {
		for b.Loop() {
			b.StopTimer()
			fill(b, e.Hub(), 1000)
			b.StartTimer()
			if err := e.Reset(b.Context(), "", false); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkCreateHub(b *testing.B) {
	eachStoreBench(b, func(b *testing.B, e *emulator.Emulator) {
		fill(b, e.Hub(), 1000)
		for b.Loop() {
			if _, err := e.CreateHub(b.Context(), emulator.HubOptions{Name: "bench"}); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if err := e.DeleteHub(b.Context(), "bench"); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
}

func BenchmarkSnapshot10000(b *testing.B) {
	eachStoreBench(b, func(b *testing.B, e *emulator.Emulator) {
		fill(b, e.Hub(), 10000)
		for b.Loop() {
			if _, err := e.Snapshot(b.Context(), "bench", ""); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRestore10000(b *testing.B) {
	eachStoreBench(b, func(b *testing.B, e *emulator.Emulator) {
		fill(b, e.Hub(), 10000)
		if _, err := e.Snapshot(b.Context(), "bench", ""); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if err := e.Restore(b.Context(), "bench", ""); err != nil {
				b.Fatal(err)
			}
		}
	})
}
