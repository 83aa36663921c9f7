package hub

import (
	"sync"
	"sync/atomic"
	"time"
)

// LatencyBounds are the upper bounds of the buckets of Latency.
func LatencyBounds() []time.Duration {
	bounds := latencyBounds()
	return bounds[:]
}

func latencyBounds() [17]time.Duration {
	const us, ms = time.Microsecond, time.Millisecond
	return [...]time.Duration{
		100 * us, 250 * us, 500 * us, ms, 2500 * us, 5 * ms, 10 * ms, 25 * ms, 50 * ms,
		100 * ms, 250 * ms, 500 * ms, time.Second, 2500 * ms, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	}
}

// Latency says how long something took, in real time.
type Latency struct {
	Count int64
	Sum   time.Duration
	// Within counts, for each of LatencyBounds, what took no longer than that.
	Within []int64
}

// latency counts as it happens what Latency tells.
type latency struct {
	// buckets count what took longer than one bound and not longer than the next; the last one what took longer than all.
	buckets [18]atomic.Int64
	sum     atomic.Int64
}

// since observes what began then and has now ended.
func (l *latency) since(began time.Time) { l.observe(time.Since(began)) }

func (l *latency) observe(d time.Duration) {
	i, bounds := 0, latencyBounds()
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	l.buckets[i].Add(1)
	l.sum.Add(int64(d))
}

func (l *latency) read() Latency {
	sum := Latency{Sum: time.Duration(l.sum.Load()), Within: make([]int64, len(l.buckets)-1)}
	for i := range l.buckets {
		sum.Count += l.buckets[i].Load()
		if i < len(sum.Within) {
			sum.Within[i] = sum.Count
		}
	}
	return sum
}

// latencies are by a name of which there are few.
type latencies struct{ byName sync.Map }

func (l *latencies) of(name string) *latency {
	found, ok := l.byName.Load(name)
	if !ok {
		found, _ = l.byName.LoadOrStore(name, new(latency))
	}
	return found.(*latency)
}

func (l *latencies) read() map[string]Latency {
	all := map[string]Latency{}
	l.byName.Range(func(name, found any) bool {
		all[name.(string)] = found.(*latency).read()
		return true
	})
	return all
}

// Operations on twins whose time is taken.
const (
	twinDeviceRead = "device read"
	twinReport     = "device update"
	twinRead       = "read"
	twinPatch      = "update"
	twinReplace    = "replace"
)

// ObserveRequest notes how long an admitted request over HTTPS took; operation is its method and the pattern of its path.
func (h *Hub) ObserveRequest(operation string, took time.Duration) {
	h.measures.requests.of(operation).observe(took)
}

// ObserveEventRead notes how long it took to get a page of events for a reader.
func (h *Hub) ObserveEventRead(took time.Duration) { h.measures.eventReads.observe(took) }
