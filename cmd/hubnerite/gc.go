package main

import (
	"os"
	"runtime/debug"
)

// gcPercent trades memory for speed: with Go's 100 the collector takes half of
// the processor time of a busy hub, because the garbage of requests is large beside the
// little that lives. Idle, the emulator gives the memory back.
const gcPercent = 400

// tuneGC leaves a choice of the user's, GOGC, alone.
func tuneGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
