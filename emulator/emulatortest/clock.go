package emulatortest

import (
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
)

// Advance moves the clock of the hubs forward. What falls due by it has happened when it returns: messages have expired and
// their feedback is there, time-outs of direct methods are over, connections whose token expired are being ended.
func Advance(t testing.TB, e *emulator.Emulator, d time.Duration) {
	t.Helper()
	if err := e.Clock().Advance(d); err != nil {
		t.Fatalf("advance the clock by %v: %v", d, err)
	}
}

// Freeze stops the clock of the hubs at a time; zero is the one that it shows. Advance moves it on, Resume lets it run.
func Freeze(t testing.TB, e *emulator.Emulator, at time.Time) {
	t.Helper()
	if err := e.Clock().Freeze(at); err != nil {
		t.Fatalf("freeze the clock at %v: %v", at, err)
	}
}

// Resume lets the clock of the hubs run from the time that it shows.
func Resume(t testing.TB, e *emulator.Emulator) {
	t.Helper()
	if err := e.Clock().Run(time.Time{}); err != nil {
		t.Fatalf("let the clock run: %v", err)
	}
}
