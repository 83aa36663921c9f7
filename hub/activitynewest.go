package hub

import (
	"context"
	"slices"
)

// NewestActivity is ReadActivity that returns the last activities that the query selects, up to limit, instead of the first. The position is
// the one after all that there is. It looks backwards through the telemetry log, so it costs little when the last records are among those
// selected.
func (h *Hub) NewestActivity(ctx context.Context, q ActivityQuery, limit int) (ActivityPage, error) {
	r, err := h.newActivityReader(q)
	if err != nil {
		return ActivityPage{}, err
	}
	end, err := h.newActivityReader(ActivityQuery{Since: LatestPosition})
	if err != nil {
		return ActivityPage{}, err
	}
	var found []Activity
	if r.others {
		found = r.newestOthers(end.next, limit)
	}
	for i, c := range r.log {
		if !c.wanted {
			continue
		}
		list, err := r.newestTelemetry(ctx, c.partition, c.next, end.log[i].next, limit)
		if err != nil {
			return ActivityPage{}, err
		}
		found = append(found, list...)
	}
	// Each source is in order, and stays so.
	slices.SortStableFunc(found, func(a, b Activity) int { return a.Time.Compare(b.Time) })
	return ActivityPage{Activities: found[max(0, len(found)-limit):], Position: end.position()}, nil
}

// newestOthers returns the last activities before a number that are wanted.
func (r *activityReader) newestOthers(end int64, limit int) []Activity {
	var found []Activity
	for at := r.next; at < end; {
		entries, next, changed := r.h.activities.read(at, readChunk)
		if changed != nil {
			break
		}
		for i := range entries {
			if entries[i].Number < end && r.wants(&entries[i]) {
				found = append(found, entries[i])
			}
		}
		at = next
	}
	return found[max(0, len(found)-limit):]
}

// newestTelemetry returns the last records of a partition from the number first to before end that are wanted.
func (r *activityReader) newestTelemetry(ctx context.Context, partition int, first, end int64, limit int) ([]Activity, error) {
	info, err := r.h.o.Log.Info(partition)
	if err != nil {
		return nil, errClosing()
	}
	first = max(first, info.First)
	var found []Activity
	// Steps that grow: a device that sent long ago is found, too, and one that sends is found at once.
	for step := int64(max(limit, readChunk)); end > first && len(found) < limit; step *= 2 {
		from := max(first, end-step)
		var list []Activity
		for at := from; at < end; {
			records, err := r.h.o.Log.Read(ctx, partition, at, int(min(readChunk, end-at)))
			if err != nil {
				return nil, err
			}
			if len(records) == 0 {
				break
			}
			for i := range records {
				at = records[i].SequenceNumber + 1
				if a, ok := r.telemetry(&records[i]); ok && at <= end {
					list = append(list, a)
				}
			}
		}
		found, end = append(list, found...), from
	}
	return found[max(0, len(found)-limit):], nil
}
