package journal

import (
	"testing"

	"github.com/hubnerite/hubnerite/store"
)

// TestTail adds to a tail and drops from its front in waves: it always holds the
// newest records, keeps nothing of the dropped ones, and stops taking memory.
func TestTail(t *testing.T) {
	var p partition
	first, next := int64(0), int64(0)
	largest := 0
	for wave := range 200 {
		for range 10 + wave*7%50 {
			p.remember(store.LogRecord{SequenceNumber: next, Payload: []byte{1}})
			next++
		}
		for len(p.tail) > 30+wave%20 {
			p.tail[0] = store.LogRecord{}
			p.tail = p.tail[1:]
			first++
		}
		if len(p.tail) != int(next-first) {
			t.Fatalf("wave %d: %d records, want %d", wave, len(p.tail), next-first)
		}
		for i, r := range p.tail {
			if r.SequenceNumber != first+int64(i) {
				t.Fatalf("wave %d: record %d at %d, want %d", wave, r.SequenceNumber, i, first+int64(i))
			}
		}
		held := 0
		for _, r := range p.room {
			if r.Payload != nil {
				held++
			}
		}
		if held != len(p.tail) {
			t.Fatalf("wave %d: the memory holds %d records, the tail %d", wave, held, len(p.tail))
		}
		largest = max(largest, len(p.room))
	}
	if largest > 2*(49+59)+minTail {
		t.Errorf("room for %d records where at most %d were kept", largest, 49+59)
	}
}
