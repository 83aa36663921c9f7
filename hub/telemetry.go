package hub

import (
	"context"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// SendTelemetry stamps and stores a device-to-cloud message. The caller sets
// System, Properties and Body; the rest is the connection's. Body is the caller's
// again when SendTelemetry returns. done runs exactly
// once, when the message is durable or refused (MessageTooLarge,
// ArgumentInvalid, closed, ErrFaultTaken), possibly before SendTelemetry returns, and must not
// block. SendTelemetry itself waits only for room in the log's buffer.
// Source: IoT Hub devguide, create and read messages.
func (c *Connection) SendTelemetry(ctx context.Context, t iothub.Telemetry, done func(error)) {
	if c.closed.Load() {
		done(errConnectionClosed())
		return
	}
	c.send(ctx, t, done)
}

// SendWill is SendTelemetry for the message that a client left for the end of
// its connection. It is sent, too, when the hub has ended the connection because
// its token expired.
// Source: MQTT 3.1.1 3.1.2.5.
func (c *Connection) SendWill(ctx context.Context, t iothub.Telemetry, done func(error)) {
	if c.closed.Load() && !c.lapsed.Load() {
		done(errConnectionClosed())
		return
	}
	c.send(ctx, t, done)
}

func (c *Connection) send(ctx context.Context, t iothub.Telemetry, done func(error)) {
	if err := checkTelemetry(&t); err != nil {
		c.h.measures.telemetry(err)
		done(err)
		return
	}
	if c.h.rules.list.Load() != nil && c.faultTelemetry(ctx, t, done) {
		return
	}
	c.pass(ctx, t, done)
}

// pass is send for a message that is well-formed and that no fault rule stopped.
func (c *Connection) pass(ctx context.Context, t iothub.Telemetry, done func(error)) {
	if c.h.faults.n.Load() != 0 || iothub.NamesFault(t.Properties) {
		if c.meetFaults(t.Properties, t.Body, done) {
			return
		}
	}
	if c.h.limits != nil {
		if err := c.h.admit(ctx, iothub.ThrottleTelemetry, 1, iothub.MessageSize(&t.System, t.Properties, t.Body)); err != nil {
			c.h.measures.telemetry(err)
			done(err)
			return
		}
	}
	now := c.h.now()
	t.ID = c.p.id
	t.ModelID = *c.modelID.Load()
	t.GenerationID = c.identity.GenerationID
	t.AuthMethod = c.grant.Load().AuthMethod
	c.p.touch(now)
	if c.edge != "" {
		if table, err := c.h.edgeTable(ctx, c.edge); table != nil || err != nil {
			c.sendByEdge(ctx, table, err, t, now, done)
			return
		}
	}
	if table := c.h.routing.Load(); !table.plain {
		routed := t // a copy, so that only this branch moves the message to the heap
		c.h.dispatch(ctx, table, &routed, now, done)
		return
	}
	c.h.store(ctx, &t, now, done)
}

// sendByEdge is the end of send for a message that an edge device routes.
func (c *Connection) sendByEdge(ctx context.Context, table *edgeTable, err error, t iothub.Telemetry, now time.Time, done func(error)) {
	if err != nil {
		done(err)
		return
	}
	c.h.dispatchEdge(ctx, c.edge, table, &t, now, done)
}

// store appends a stamped message to the telemetry log.
func (h *Hub) store(ctx context.Context, t *iothub.Telemetry, now time.Time, done func(error)) {
	// The exact size is not worth a pass over the message; this is rarely too small.
	payload := make([]byte, 0, 128+iothub.MessageSize(&t.System, t.Properties, t.Body)+4*len(t.Properties))
	payload = iothub.AppendTelemetry(payload, t)
	h.o.Log.Append(ctx, h.partition(t.ID.DeviceID), now, payload, h.stored(done, t.Source.RouteSource() == iothub.SourceDeviceMessages))
}

// storedCall is a done of the log on its way, used again and again: these are
// the messages' only traces in the heap beside their bytes.
type storedCall struct {
	done      func(error)
	telemetry bool
	call      func(store.LogRecord, error)
	// uses counts, and began is when, if this one has its time taken.
	uses  uint
	began time.Time
}

// stored makes a done of the log from one of the front end. It may be called once. Telemetry is counted, events are not.
func (h *Hub) stored(done func(error), telemetry bool) func(store.LogRecord, error) {
	s, ok := h.storedCalls.Get().(*storedCall)
	if !ok {
		s = &storedCall{}
		s.call = func(_ store.LogRecord, err error) {
			done := s.done
			if s.telemetry {
				h.measures.telemetry(err)
			}
			if !s.began.IsZero() {
				h.measures.ingress.since(s.began)
				s.began = time.Time{}
			}
			s.done = nil
			h.storedCalls.Put(s)
			done(err)
		}
	}
	s.done, s.telemetry = done, telemetry
	if telemetry {
		if s.uses%TelemetrySampling == 0 {
			s.began = time.Now()
		}
		s.uses++
	}
	return s.call
}

func checkTelemetry(t *iothub.Telemetry) error {
	if n := iothub.MessageSize(&t.System, t.Properties, t.Body); n > iothub.MaxTelemetrySize {
		return iothub.NewError(iothub.CodeMessageTooLarge,
			"The message has %d bytes; the limit is %d.", n, iothub.MaxTelemetrySize)
	}
	return iothub.ValidateMessageID(t.System.MessageID)
}

// partition returns the partition of a device and its modules.
func (h *Hub) partition(deviceID string) int {
	return int(partitionHash(deviceID) % uint32(h.o.Log.Partitions()))
}
