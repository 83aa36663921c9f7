package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// gcPercent trades memory for speed: with Go's 100 the collector takes half of
// the processor time of a busy hub, because the garbage of requests is large beside the
// little that lives. Once idle, the emulator gives the memory back.
const gcPercent = 400

// tuneGC leaves a choice of the user's, GOGC, alone. The returned function ends
// what it began.
func tuneGC() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	debug.SetGCPercent(gcPercent)
	stopped := make(chan struct{})
	go func() {
		ticker := time.NewTicker(idleInterval)
		defer ticker.Stop()
		var idle idleness
		samples := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/allocs:bytes"}}
		for {
			select {
			case <-stopped:
				return
			case <-ticker.C:
				metrics.Read(samples)
				if idle.observe(samples[0].Value.Uint64(), samples[1].Value.Uint64()) {
					debug.FreeOSMemory()
				}
			}
		}
	}()
	return func() { close(stopped) }
}

const (
	// idleInterval is the time between two observations of idleness.
	idleInterval = 10 * time.Second
	// idleIntervals is how many of them without a collection mean that there is little to do.
	idleIntervals = 3
	// worthFreeing is how many bytes were allocated since the last time for which it pays.
	worthFreeing = 64 << 20
)

// idleness finds out when garbage may be collected and its memory given back. Go
// by itself keeps what the next collection would allow, which is several times of what
// lives, and has no reason to collect when nothing is allocated any more.
type idleness struct {
	cycles, freed uint64
	quiet         int
}

// observe is told how many collections there were and how many bytes were allocated,
// both since the start, and reports whether it is time.
func (i *idleness) observe(cycles, allocated uint64) bool {
	if cycles != i.cycles {
		i.cycles, i.quiet = cycles, 0
		return false
	}
	if i.quiet++; i.quiet < idleIntervals || allocated-i.freed < worthFreeing {
		return false
	}
	i.freed, i.quiet = allocated, 0
	return true
}
