package storetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/store"
)

// testLogHold lets senders that announce their records and senders that do not
// append at the same time: numbers follow the calls, every done runs once and in
// order, by the time that everybody has released. It is for logs that are a
// store.BatchingLog; there is nothing to ask of the others.
func testLogHold(f *logFixture) {
	f.open(LogOptions{Partitions: 2})
	log, ok := f.Log.(store.BatchingLog)
	if !ok {
		return
	}
	const senders, batches, size = 6, 40, 9
	var mu sync.Mutex
	next := map[string]int{} // by sender
	var numbers [2]int64
	var sending, stored sync.WaitGroup
	for s := range senders {
		name, p := fmt.Sprint("sender ", s), s%2
		sending.Go(func() {
			for b := range batches {
				if s < senders-2 {
					log.Hold()
				}
				for i := range size {
					want := b*size + i
					stored.Add(1)
					log.Append(context.Background(), p, start(), fmt.Appendf(nil, "%s: %d", name, want), func(r store.LogRecord, err error) {
						defer stored.Done()
						mu.Lock()
						defer mu.Unlock()
						if err != nil || r.Partition != p || r.SequenceNumber != numbers[p] || next[name] != want {
							f.t.Errorf("%s: record %d is %d of %d, %v; want record %d as %d of %d",
								name, want, r.SequenceNumber, r.Partition, err, next[name], numbers[p], p)
						}
						numbers[p]++
						next[name]++
					})
				}
				if s < senders-2 {
					log.Release()
				}
			}
		})
	}
	sending.Wait()
	stored.Wait()
	for p := range numbers {
		seen := map[string]int{}
		for _, r := range f.readAll(p, 0, 100) {
			var s, n int
			if _, err := fmt.Sscanf(string(r.Payload), "sender %d: %d", &s, &n); err != nil {
				f.t.Fatal(err)
			}
			name := fmt.Sprint("sender ", s)
			if seen[name] != n {
				f.t.Fatalf("partition %d: record %d of %s, want %d", p, n, name, seen[name])
			}
			seen[name]++
		}
		if len(seen) != senders/2 {
			f.t.Errorf("partition %d: records of %d senders", p, len(seen))
		}
	}
}

// testLogHeldClose closes the log between Hold and Release: what was appended is
// stored, and Release after the end does nothing.
func testLogHeldClose(f *logFixture) {
	f.open(LogOptions{Partitions: 2})
	log, ok := f.Log.(store.BatchingLog)
	if !ok {
		return
	}
	log.Hold()
	stored := make(chan error, 1)
	log.Append(context.Background(), 0, time.Now(), []byte("held"), func(_ store.LogRecord, err error) { stored <- err })
	if err := f.Close(); err != nil {
		f.t.Fatal(err)
	}
	if err := <-stored; err != nil {
		f.t.Errorf("held over the end: %v", err)
	}
	log.Release()
	if f.backend.Durable {
		f.open(f.options)
		if got := f.readAll(0, 0, 10); len(got) != 1 {
			f.t.Errorf("%d records", len(got))
		}
	}
}
