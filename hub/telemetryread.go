package hub

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// readChunk is how many records are read at a time.
const readChunk = 256

// TelemetryQuery selects kept telemetry.
type TelemetryQuery struct {
	// DeviceID selects one device (and its modules); "" selects all.
	DeviceID string
	// Source selects what the messages tell of; "" is telemetry, AllSources all.
	Source iothub.MessageSource
	// Since is the sequence number after which to begin, exclusive, in the
	// device's partition (in every partition when DeviceID is empty); -1 begins at the oldest.
	Since int64
	// Limit is the most messages to return, at least 1.
	Limit int
}

// AllSources selects telemetry and what the hub itself tells.
const AllSources iothub.MessageSource = "all"

func (q *TelemetryQuery) activities() ActivityQuery {
	return ActivityQuery{
		Kinds: []ActivityKind{ActivityTelemetry}, DeviceID: q.DeviceID, Source: q.Source,
		Select: func(a *Activity) bool { return a.Telemetry.SequenceNumber > q.Since },
	}
}

// ReadTelemetry returns kept messages, those of a page by partition, then sequence
// number. Their bodies must not be changed.
func (h *Hub) ReadTelemetry(ctx context.Context, q TelemetryQuery) ([]iothub.Telemetry, error) {
	page, err := h.ReadActivity(ctx, q.activities(), max(q.Limit, 1))
	return telemetryOf(page.Activities), err
}

// WaitTelemetry is ReadTelemetry that waits until count messages match or
// timeout (real time) has passed, and then returns what there is.
func (h *Hub) WaitTelemetry(ctx context.Context, q TelemetryQuery, count int, timeout time.Duration) ([]iothub.Telemetry, error) {
	page, err := h.WaitActivity(ctx, q.activities(), min(count, max(q.Limit, 1)), q.Limit, timeout)
	if err != nil {
		return nil, err
	}
	return telemetryOf(page.Activities), nil
}

func telemetryOf(activities []Activity) []iothub.Telemetry {
	var all []iothub.Telemetry
	for i := range activities {
		all = append(all, *activities[i].Telemetry)
	}
	slices.SortFunc(all, func(a, b iothub.Telemetry) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.SequenceNumber, b.SequenceNumber))
	})
	return all
}
