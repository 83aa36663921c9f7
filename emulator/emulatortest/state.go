package emulatortest

import (
	"context"
	"crypto/rand"
	"testing"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/hub"
)

// Reset makes a hub what it was when it began: its configured devices with their keys, the seed, and nothing else. Clients are
// disconnected; who reconnects finds the new state.
func Reset(t testing.TB, e *emulator.Emulator, hubName string) {
	t.Helper()
	if err := e.Reset(t.Context(), hubName, true); err != nil {
		t.Fatalf("reset the hub: %v", err)
	}
}

// Snapshot keeps the state of a hub: devices, keys, twins, messages, telemetry, files. The function that it returns brings it back, as often
// as it is called; clients are disconnected by that. The snapshot is gone when the test ends.
func Snapshot(t testing.TB, e *emulator.Emulator, hubName string) (restore func()) {
	t.Helper()
	name := "t-" + rand.Text()
	if _, err := e.Snapshot(t.Context(), name, hubName); err != nil {
		t.Fatalf("take a snapshot: %v", err)
	}
	t.Cleanup(func() {
		if err := e.DeleteSnapshot(name); err != nil {
			t.Errorf("remove the snapshot: %v", err)
		}
	})
	return func() {
		t.Helper()
		if err := e.Restore(context.Background(), name, hubName); err != nil {
			t.Fatalf("restore the snapshot: %v", err)
		}
	}
}

// hubOf returns the hub of a name as it is now.
func hubOf(t testing.TB, e *emulator.Emulator, name string) *hub.Hub {
	t.Helper()
	h, ok := e.HubNamed(name)
	if !ok {
		t.Fatalf("the emulator has no hub %q", name)
	}
	return h
}
