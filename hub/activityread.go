package hub

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// ActivityQuery selects activities.
type ActivityQuery struct {
	// Kinds selects some kinds; none selects all.
	Kinds []ActivityKind
	// DeviceID selects one device (and its modules); "" selects all.
	DeviceID string
	// Source selects what the telemetry log's records tell of; "" is telemetry. The hub's own events there are
	// activities of other kinds already.
	Source iothub.MessageSource
	// Select takes what else is wanted; nil takes all.
	Select func(*Activity) bool
	// Since is the position after which to begin: one that a page had, LatestPosition, or "" for the oldest that is kept. One
	// of another run of the hub is the oldest, too.
	Since string
}

// LatestPosition is the position after all that there is.
const LatestPosition = "latest"

// ActivityPage is what was found, by time; what one device did is in its order.
type ActivityPage struct {
	Activities []Activity
	// Position is the one after the page.
	Position string
}

// ActivityPosition returns the position after all that there is.
func (h *Hub) ActivityPosition() (string, error) {
	r, err := h.newActivityReader(ActivityQuery{Since: LatestPosition})
	if err != nil {
		return "", err
	}
	return r.position(), nil
}

// ReadActivity returns up to limit activities. Error: ArgumentInvalid for a position that cannot be read.
func (h *Hub) ReadActivity(ctx context.Context, q ActivityQuery, limit int) (ActivityPage, error) {
	r, err := h.newActivityReader(q)
	if err != nil {
		return ActivityPage{}, err
	}
	return r.page(ctx, nil, limit)
}

// WaitActivity is ReadActivity that waits until count activities are found or timeout (real time) has passed, and then returns
// what there is, up to limit or count.
func (h *Hub) WaitActivity(ctx context.Context, q ActivityQuery, count, limit int, timeout time.Duration) (ActivityPage, error) {
	if !h.enter() {
		return ActivityPage{}, errClosing()
	}
	defer h.leave()
	r, err := h.newActivityReader(q)
	if err != nil {
		return ActivityPage{}, err
	}
	patience, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var found ActivityPage
	for {
		if found, err = r.page(ctx, found.Activities, max(count, limit)); err != nil || len(found.Activities) >= count {
			return found, err
		}
		if err := r.wait(patience); err != nil {
			switch {
			case ctx.Err() != nil:
				return ActivityPage{}, ctx.Err()
			case patience.Err() != nil:
				return found, nil
			}
			return found, err
		}
	}
}

// FollowActivity calls take with what there is after q.Since and then with what comes, until take returns an error, ctx ends
// or the hub closes (ServiceUnavailable).
func (h *Hub) FollowActivity(ctx context.Context, q ActivityQuery, take func(ActivityPage) error) error {
	r, err := h.newActivityReader(q)
	if err != nil {
		return err
	}
	for {
		page, err := r.page(ctx, nil, readChunk)
		if err != nil {
			return err
		}
		if len(page.Activities) > 0 {
			if err := take(page); err != nil {
				return err
			}
			continue
		}
		if err := r.wait(ctx); err != nil {
			return err
		}
	}
}

// activityReader goes forward through the activities and the partitions of the telemetry log that a query is about.
type activityReader struct {
	h *Hub
	q ActivityQuery
	// others says that not only telemetry is asked for. next is the number of the next activity to look at, ahead are those that
	// were read and not yet returned. changed is closed when there is one after all that was read; nil when something was.
	others  bool
	next    int64
	ahead   []Activity
	changed <-chan struct{}
	// log are the partitions; those that are not asked for keep their place only.
	log []*activityCursor
}

// activityCursor is a place in a partition.
type activityCursor struct {
	partition int
	next      int64
	wanted    bool
	// ahead are records that were read and not yet returned.
	ahead []Activity
	// end is the place after ahead.
	end int64
}

func (h *Hub) newActivityReader(q ActivityQuery) (*activityReader, error) {
	r := &activityReader{h: h, q: q, next: 1}
	wants := func(k ActivityKind) bool { return len(q.Kinds) == 0 || slices.Contains(q.Kinds, k) }
	r.others = len(q.Kinds) == 0 || slices.ContainsFunc(q.Kinds, func(k ActivityKind) bool { return k != ActivityTelemetry })
	for p := range h.o.Log.Partitions() {
		r.log = append(r.log, &activityCursor{partition: p, wanted: wants(ActivityTelemetry) && (q.DeviceID == "" || h.partition(q.DeviceID) == p)})
	}
	switch q.Since {
	case "":
	case LatestPosition:
		l := &h.activities
		l.mu.Lock()
		r.next = l.next
		l.mu.Unlock()
		for _, c := range r.log {
			info, err := h.o.Log.Info(c.partition)
			if err != nil {
				return nil, errClosing()
			}
			c.next = info.Next
		}
	default:
		if err := r.seek(q.Since); err != nil {
			return nil, err
		}
	}
	for _, c := range r.log {
		c.end = c.next
	}
	return r, nil
}

// position is the place after all that was returned: the run, the number of the next activity, the next records of the partitions.
func (r *activityReader) position() string {
	next := r.next
	var b strings.Builder
	fmt.Fprintf(&b, "%s-%d-", r.h.activities.run, next)
	for i, c := range r.log {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(strconv.FormatInt(c.next, 10))
	}
	return b.String()
}

func (r *activityReader) seek(position string) error {
	bad := iothub.NewError(iothub.CodeArgumentInvalid, "%.100q is no position: take one from an answer, or %q.", position, LatestPosition)
	parts := strings.Split(position, "-")
	if len(parts) != 3 {
		return bad
	}
	next, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || next < 0 {
		return bad
	}
	places := strings.Split(parts[2], ".")
	numbers := make([]int64, len(places))
	for i, text := range places {
		if numbers[i], err = strconv.ParseInt(text, 10, 64); err != nil || numbers[i] < 0 {
			return bad
		}
	}
	if parts[0] != r.h.activities.run || len(numbers) != len(r.log) {
		return nil // of another run: from the beginning
	}
	r.next = next
	for i, c := range r.log {
		c.next = numbers[i]
	}
	return nil
}

// page adds what there is to found until there are limit, in the order of time among the sources.
func (r *activityReader) page(ctx context.Context, found []Activity, limit int) (ActivityPage, error) {
	for len(found) < limit {
		if err := r.look(ctx); err != nil {
			return ActivityPage{}, err
		}
		var source *activityCursor
		var first *Activity
		if len(r.ahead) > 0 {
			first = &r.ahead[0]
		}
		for _, c := range r.log {
			if len(c.ahead) > 0 && (first == nil || c.ahead[0].Time.Before(first.Time)) {
				first, source = &c.ahead[0], c
			}
		}
		if first == nil {
			break
		}
		found = append(found, *first)
		if source == nil {
			r.next, r.ahead = first.Number+1, r.ahead[1:]
		} else {
			source.next, source.ahead = first.Telemetry.SequenceNumber+1, source.ahead[1:]
		}
	}
	return ActivityPage{Activities: found, Position: r.position()}, nil
}

// look sees to it that every source that has something wanted has it in ahead.
func (r *activityReader) look(ctx context.Context) error {
	for r.others && len(r.ahead) == 0 {
		entries, next, changed := r.h.activities.read(r.next, readChunk)
		if r.changed = changed; changed != nil {
			break
		}
		for i := range entries {
			if r.wants(&entries[i]) {
				r.ahead = append(r.ahead, entries[i])
			}
		}
		if len(r.ahead) == 0 {
			r.next = next
		}
	}
	for _, c := range r.log {
		if !c.wanted {
			continue
		}
		for len(c.ahead) == 0 {
			c.next = c.end
			records, err := r.h.o.Log.Read(ctx, c.partition, c.next, readChunk)
			if err != nil {
				return err
			}
			if len(records) == 0 {
				break
			}
			for i := range records {
				c.end = records[i].SequenceNumber + 1
				if a, ok := r.telemetry(&records[i]); ok {
					c.ahead = append(c.ahead, a)
				}
			}
		}
	}
	return nil
}

// telemetry makes an activity of a record, if it is wanted.
func (r *activityReader) telemetry(record *store.LogRecord) (Activity, bool) {
	// Before the record is decoded, which costs more.
	if id, err := iothub.TelemetryDeviceID(record.Payload); err == nil && r.q.DeviceID != "" && string(id) != r.q.DeviceID {
		return Activity{}, false
	}
	t, err := iothub.DecodeTelemetry(record.Payload)
	if err != nil {
		r.h.o.Logger.Error("a stored message cannot be read; it is passed over",
			"partition", record.Partition, "number", record.SequenceNumber, "err", err)
		return Activity{}, false
	}
	source := cmp.Or(t.Source, iothub.MessageSourceTelemetry)
	if r.q.Source != AllSources && source != cmp.Or(r.q.Source, iothub.MessageSourceTelemetry) {
		return Activity{}, false
	}
	t.EnqueuedTime, t.Partition = record.EnqueuedTime, record.Partition
	t.SequenceNumber, t.Offset = record.SequenceNumber, record.Offset
	a := Activity{Time: t.EnqueuedTime, Kind: ActivityTelemetry, Event: EventReceived, ID: t.ID, Telemetry: &t}
	return a, r.wants(&a)
}

func (r *activityReader) wants(a *Activity) bool {
	return (len(r.q.Kinds) == 0 || slices.Contains(r.q.Kinds, a.Kind)) && (r.q.DeviceID == "" || a.ID.DeviceID == r.q.DeviceID) &&
		(r.q.Select == nil || r.q.Select(a))
}

// wait returns once there is something new that may be wanted. look has found nothing.
func (r *activityReader) wait(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var waits sync.WaitGroup
	defer waits.Wait() // no goroutine outlives the wait
	defer cancel()
	results := make(chan error, len(r.log))
	for _, c := range r.log {
		if c.wanted {
			waits.Go(func() { results <- r.h.o.Log.Wait(ctx, c.partition, c.next) })
		}
	}
	select {
	case err := <-results:
		return err
	case <-r.changed: // nil when only telemetry is wanted
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.h.closing:
		return errClosing()
	}
}
