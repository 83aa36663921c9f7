package hub

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// readChunk is how many log records are read at a time.
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

// selects reports whether the query asks for messages of a source.
func (q *TelemetryQuery) selects(source iothub.MessageSource) bool {
	if source == "" {
		source = iothub.MessageSourceTelemetry
	}
	return q.Source == AllSources || source == q.Source || q.Source == "" && source == iothub.MessageSourceTelemetry
}

// ReadTelemetry returns kept messages in order (by partition, then sequence
// number). Their bodies must not be changed.
func (h *Hub) ReadTelemetry(ctx context.Context, q TelemetryQuery) ([]iothub.Telemetry, error) {
	r := h.newTelemetryReader(q)
	if err := r.read(ctx); err != nil {
		return nil, err
	}
	return r.result(), nil
}

// WaitTelemetry is ReadTelemetry that waits until count messages match or
// timeout (real time) has passed, and then returns what there is.
func (h *Hub) WaitTelemetry(ctx context.Context, q TelemetryQuery, count int, timeout time.Duration) ([]iothub.Telemetry, error) {
	if !h.enter() {
		return nil, errClosing()
	}
	defer h.leave()
	count = min(count, max(q.Limit, 1))
	waitCtx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r := h.newTelemetryReader(q)
	for {
		if err := r.read(ctx); err != nil {
			return nil, err
		}
		if r.count() >= count {
			return r.result(), nil
		}
		if err := r.wait(waitCtx); err != nil {
			switch {
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case waitCtx.Err() != nil || errors.Is(err, context.Canceled):
				return r.result(), nil
			}
			return nil, err
		}
	}
}

// telemetryReader goes forward through the partitions that a query concerns.
type telemetryReader struct {
	h       *Hub
	q       TelemetryQuery
	cursors []*telemetryCursor
}

type telemetryCursor struct {
	partition int
	next      int64
	found     []iothub.Telemetry
}

func (h *Hub) newTelemetryReader(q TelemetryQuery) *telemetryReader {
	q.Limit = max(q.Limit, 1)
	r := &telemetryReader{h: h, q: q}
	add := func(partition int) {
		r.cursors = append(r.cursors, &telemetryCursor{partition: partition, next: max(q.Since+1, 0)})
	}
	if q.DeviceID != "" {
		add(h.partition(q.DeviceID))
		return r
	}
	for i := range h.o.Log.Partitions() {
		add(i)
	}
	return r
}

// read takes in what the log has, up to the limit per partition.
func (r *telemetryReader) read(ctx context.Context) error {
	for _, c := range r.cursors {
		for len(c.found) < r.q.Limit {
			records, err := r.h.o.Log.Read(ctx, c.partition, c.next, readChunk)
			if err != nil {
				return err
			}
			if len(records) == 0 {
				break
			}
			for i := 0; i < len(records) && len(c.found) < r.q.Limit; i++ {
				record := &records[i]
				c.next = record.SequenceNumber + 1
				if id, err := iothub.TelemetryDeviceID(record.Payload); err == nil && r.q.DeviceID != "" && string(id) != r.q.DeviceID {
					continue
				}
				t, err := iothub.DecodeTelemetry(record.Payload)
				if err != nil {
					r.h.o.Logger.Error("a stored message cannot be read; it is passed over",
						"partition", record.Partition, "number", record.SequenceNumber, "err", err)
					continue
				}
				if !r.q.selects(t.Source) {
					continue
				}
				t.EnqueuedTime, t.Partition = record.EnqueuedTime, record.Partition
				t.SequenceNumber, t.Offset = record.SequenceNumber, record.Offset
				c.found = append(c.found, t)
			}
		}
	}
	return nil
}

// wait returns once a partition has something to read.
func (r *telemetryReader) wait(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var waits sync.WaitGroup
	defer waits.Wait() // No goroutine outlives the wait.
	defer cancel()
	results := make(chan error, len(r.cursors))
	for _, c := range r.cursors {
		waits.Go(func() { results <- r.h.o.Log.Wait(ctx, c.partition, c.next) })
	}
	select {
	case err := <-results:
		return err
	case <-r.h.closing:
		return errClosing()
	}
}

func (r *telemetryReader) count() int {
	n := 0
	for _, c := range r.cursors {
		n += len(c.found)
	}
	return n
}

func (r *telemetryReader) result() []iothub.Telemetry {
	var all []iothub.Telemetry
	for _, c := range r.cursors {
		all = slices.Concat(all, c.found)
	}
	return all[:min(len(all), r.q.Limit)]
}
