package simulate

import (
	"testing"
	"time"
)

// TestRhythm: a sender's messages are whole intervals apart, also when the clock was advanced before its first one, so that the
// devices of a simulation stay spread over the interval; when the clock was set back, it begins anew from there.
func TestRhythm(t *testing.T) {
	const every = int64(10 * time.Second)
	plan := &telemetryPlan{every: time.Duration(every)}
	for place := range int64(10) {
		start := place * every / 10
		s := &sender{plan: plan, scheduled: start}
		if got := s.next(start + 7); got != start+every {
			t.Errorf("device %d: the second message at %d, want %d", place, got, start+every)
		}
		advanced := int64(time.Hour) + 1
		s = &sender{plan: plan, scheduled: start}
		got := s.next(advanced)
		if got <= advanced || got > advanced+every || (got-start)%every != 0 {
			t.Errorf("device %d: %d after an advance to %d", place, got, advanced)
		}
		if got := s.next(5); got != 5+every {
			t.Errorf("device %d: %d after the clock was set back to 5", place, got)
		}
	}
}
