package hub

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// maxBacklog is how long a request waits for its turn before it is refused
// instead. The service's answer asks the caller to come back after that time.
const maxBacklog = 10 * time.Second

// limits are the throttles and the daily quota of a tier. A nil *limits has none.
//
// Each throttle is a virtual schedule: due is when the operations admitted so
// far would be over at the tier's rate. One period's worth may be ahead of the
// clock (bursts pass), what is further ahead waits, and what would wait longer
// than maxBacklog is refused without being counted.
// Source: IoT Hub quotas and throttling, traffic shaping.
type limits struct {
	tier  iothub.Tier
	units int

	mu   sync.Mutex
	due  map[iothub.Throttle]time.Time
	told map[iothub.Throttle]bool // that it delays
	day  string
	used int64
}

// newLimits checks the number of units; TierNone gives nil.
func newLimits(tier iothub.Tier, units int) (*limits, error) {
	if tier == iothub.TierNone {
		return nil, nil
	}
	if units == 0 {
		units = 1
	}
	if units < 1 || units > tier.MaxUnits() {
		return nil, fmt.Errorf("hub: tier %s has 1 to %d units, not %d", tier, tier.MaxUnits(), units)
	}
	return &limits{tier: tier, units: units, due: map[iothub.Throttle]time.Time{}, told: map[iothub.Throttle]bool{}}, nil
}

// reserve admits n operations at now and returns how long they have to wait; ok
// is false when that would be too long.
func (l *limits) reserve(of iothub.Throttle, n float64, now time.Time) (wait time.Duration, ok bool) {
	rate := l.tier.Rate(of, l.units)
	if rate.Amount == 0 {
		return 0, true
	}
	period := time.Duration(rate.Seconds * float64(time.Second))
	cost := time.Duration(n / rate.Amount * float64(period))
	l.mu.Lock()
	defer l.mu.Unlock()
	due := l.due[of]
	if due.Before(now) {
		due = now
	}
	// An operation that costs more than the whole burst goes through an idle
	// throttle, or it never could.
	wait = due.Add(min(cost, period)).Sub(now) - period
	if wait > maxBacklog {
		return 0, false
	}
	l.due[of] = due.Add(cost)
	return max(wait, 0), true
}

// firstDelay is true for the first delay by a throttle: whoever wonders why it is
// slow shall find a line, and not one per operation.
func (l *limits) firstDelay(of iothub.Throttle) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := !l.told[of]
	l.told[of] = true
	return first
}

// count takes n messages from the day's quota, or refuses them whole.
// Days begin at 00:00 UTC.
func (l *limits) count(n int64, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.beginDayLocked(now)
	if l.used+n > l.tier.DailyQuota(l.units) {
		return false
	}
	l.used += n
	return true
}

// charge takes up to n messages from what is left.
func (l *limits) charge(n int64, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.beginDayLocked(now)
	l.used = min(l.used+n, l.tier.DailyQuota(l.units))
}

func (l *limits) beginDayLocked(now time.Time) {
	if day := now.UTC().Format(time.DateOnly); day != l.day {
		l.day, l.used = day, 0
	}
}

// Throttle waits for the turn of n operations of a kind; n counts bytes for ThrottleMethod.
// Front ends call it for what the hub does not count itself. Errors:
// ThrottlingBacklogTimeout, ctx's error, ServiceUnavailable while closing.
func (h *Hub) Throttle(ctx context.Context, of iothub.Throttle, n float64) error {
	if h.limits == nil {
		return nil
	}
	wait, ok := h.limits.reserve(of, n, h.now())
	if !ok {
		return iothub.NewError(iothub.CodeThrottlingBacklogTimeout,
			"The request has been throttled. Wait %d seconds and try again. Operation type: %s", maxBacklog/time.Second, of)
	}
	if wait == 0 {
		return nil
	}
	if h.limits.firstDelay(of) {
		rate := h.limits.tier.Rate(of, h.limits.units)
		h.o.Logger.Info("throttled, as a hub of this tier is; further delays of this kind are not logged",
			"operation", of, "tier", h.limits.tier, "units", h.limits.units, "rate", rate.Amount, "seconds", rate.Seconds, "delay", wait)
	}
	turn := h.startDeadline(wait)
	defer turn.stop()
	_, err := h.await(ctx, turn, nil)
	return err
}

// Meter counts a payload of size bytes against the daily quota. Error:
// IotHubQuotaExceeded.
func (h *Hub) Meter(size int) error {
	if h.limits == nil || h.limits.count(h.limits.tier.Messages(size), h.now()) {
		return nil
	}
	return errQuota(h.limits.tier.DailyQuota(h.limits.units))
}

func errQuota(daily int64) *iothub.Error {
	return iothub.NewError(iothub.CodeIotHubQuotaExceeded,
		"The total number of messages on the hub exceeded the allocated quota of %d a day.", daily)
}

// QuotaLeft returns IotHubQuotaExceeded once the day's quota is used up.
func (h *Hub) QuotaLeft() error {
	if q := h.Quota(); q.Daily != 0 && q.Used >= q.Daily {
		return errQuota(q.Daily)
	}
	return nil
}

// Charge counts a payload whose operation is done, for the last of which the
// quota may not suffice.
func (h *Hub) Charge(size int) {
	if l := h.limits; l != nil {
		l.charge(l.tier.Messages(size), h.now())
	}
}

// admit is Throttle and then Meter.
func (h *Hub) admit(ctx context.Context, of iothub.Throttle, n float64, size int) error {
	if err := h.Throttle(ctx, of, n); err != nil {
		return err
	}
	return h.Meter(size)
}

// admitMethod admits a direct method, which is throttled by the bytes of its
// request in steps of 4 KiB.
func (h *Hub) admitMethod(ctx context.Context, size int) error {
	const step = 4 << 10
	return h.admit(ctx, iothub.ThrottleMethod, float64(max(1, (size+step-1)/step)*step), size)
}

// Quota is the use of the daily message quota.
type Quota struct {
	Tier  iothub.Tier
	Units int
	// Used and Daily count messages of this UTC day; both 0 for a hub without quota.
	Used, Daily int64
}

// Quota returns the use of the daily quota.
func (h *Hub) Quota() Quota {
	l := h.limits
	if l == nil {
		return Quota{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.beginDayLocked(h.now())
	return Quota{Tier: l.tier, Units: l.units, Used: l.used, Daily: l.tier.DailyQuota(l.units)}
}
