package hub

import "time"

// sweepingLog is a log that removes what is too old on its own time, and at once when it is asked.
type sweepingLog interface{ Sweep() }

// ClockMoved is called after the clock was moved by hand, at once and not by a time that passed. It does what Sweep does for the time
// that the clock shows now, and has telemetry removed that is too old then. What ended before the clock was set back stays as it is, and
// of what was begun the ends are times of the clock, which come later then; but nobody waits for a turn of a throttle that lies in the
// time that is no more.
func (h *Hub) ClockMoved(before, now time.Time) {
	if now.Before(before) && h.limits != nil {
		h.limits.forgive()
	}
	if log, ok := h.o.Log.(sweepingLog); ok && h.enter() {
		log.Sweep()
		h.leave()
	}
	h.Sweep(now)
}

// forgive lets all throttles begin anew.
func (l *limits) forgive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.due)
}
