package main

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ledger keeps what became of the numbered messages or calls of a phase: each is
// due at its time and has to arrive once. Latencies count from when it was due, not
// from when the generator came to it, so that a wait that holds up the ones behind
// it counts for them, too.
type ledger struct {
	phase, what string
	count       int
	every       time.Duration // between one and the next
	begun       time.Time

	latencies []atomic.Int64 // by number, in ns, plus 1; 0 has not arrived
	left      atomic.Int64
	all       chan struct{} // closed when nothing is left

	failing sync.Once
	failed  chan struct{}
	err     error
}

func newLedger(phase, what string, count int, rate float64) *ledger {
	l := &ledger{
		phase: phase, what: what, count: count, every: time.Duration(float64(time.Second) / rate),
		latencies: make([]atomic.Int64, count), all: make(chan struct{}), failed: make(chan struct{}),
	}
	l.left.Store(int64(count))
	return l
}

func (l *ledger) due(number int) time.Time { return l.begun.Add(time.Duration(number) * l.every) }

// arrived enters an arrival. One of a number that is unknown or was there before fails the phase.
func (l *ledger) arrived(number int, at time.Time) {
	if number < 0 || number >= l.count {
		l.fail(fmt.Errorf("%s %d was never sent", l.what, number))
		return
	}
	if !l.latencies[number].CompareAndSwap(0, int64(at.Sub(l.due(number)))+1) {
		l.fail(fmt.Errorf("%s %d arrived twice", l.what, number))
		return
	}
	if l.left.Add(-1) == 0 {
		close(l.all)
	}
}

func (l *ledger) fail(err error) {
	l.failing.Do(func() {
		l.err = err
		close(l.failed)
	})
}

// problem returns what failed so far.
func (l *ledger) problem() error {
	select {
	case <-l.failed:
		return l.err
	default:
		return nil
	}
}

// missing describes what has not arrived, or is nil.
func (l *ledger) missing() error {
	var numbers []int
	for i := range l.latencies {
		if l.latencies[i].Load() == 0 {
			numbers = append(numbers, i)
		}
	}
	if len(numbers) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d %ss never arrived, %d among them", len(numbers), l.count, l.what, numbers[0])
}

// tail returns the latencies of the arrivals.
func (l *ledger) tail() tail {
	latencies := make([]time.Duration, 0, l.count)
	for i := range l.latencies {
		if v := l.latencies[i].Load(); v != 0 {
			latencies = append(latencies, time.Duration(v-1))
		}
	}
	return tailOf(latencies)
}

// tail is a distribution of latencies.
type tail struct {
	count                    int
	p50, p99, p999, greatest time.Duration
}

func tailOf(latencies []time.Duration) tail {
	if len(latencies) == 0 {
		return tail{}
	}
	slices.Sort(latencies)
	at := func(permille int) time.Duration { return latencies[(len(latencies)-1)*permille/1000] }
	return tail{len(latencies), at(500), at(990), at(999), latencies[len(latencies)-1]}
}

func (t tail) String() string {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000) }
	return fmt.Sprintf("%d\t%s\t%s\t%s\t%s", t.count, ms(t.p50), ms(t.p99), ms(t.p999), ms(t.greatest))
}
