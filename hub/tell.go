package hub

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/hubnerite/hubnerite/iothub"
)

// operation is what an event tells of (opType), operationSchema the schema of its body.
// Source: IoT Hub non-telemetry event schemas.
type operation string

const (
	opUpdateTwin   operation = "updateTwin"
	opReplaceTwin  operation = "replaceTwin"
	opCreate       operation = "createDeviceIdentity"
	opDelete       operation = "deleteDeviceIdentity"
	opConnected    operation = "deviceConnected"
	opDisconnected operation = "deviceDisconnected"
)

func (op operation) source() iothub.MessageSource {
	switch op {
	case opCreate, opDelete:
		return iothub.MessageSourceDeviceLifecycle
	case opConnected, opDisconnected:
		return iothub.MessageSourceDeviceConnectionState
	}
	return iothub.MessageSourceTwinChange
}

func (op operation) schema() string {
	switch op {
	case opCreate, opDelete:
		return "deviceLifecycleNotification"
	case opConnected, opDisconnected:
		return "deviceConnectionStateNotification"
	}
	return "twinChangeNotification"
}

// wants reports whether anyone gets the events of op; if not, they need not be made.
func (h *Hub) wants(op operation) bool {
	return h.routing.Load().wants(op.source().RouteSource())
}

// event makes the message about an operation.
func (h *Hub) event(op operation, id iothub.ID, at time.Time, body []byte) iothub.Telemetry {
	properties := iothub.Properties{{Name: "hubName", Value: h.o.Name}, {Name: "deviceId", Value: id.DeviceID}}
	if id.IsModule() {
		properties = append(properties, iothub.Property{Name: "moduleId", Value: id.ModuleID})
	}
	properties = append(properties,
		iothub.Property{Name: "opType", Value: string(op)},
		iothub.Property{Name: "operationTimestamp", Value: iothub.FormatTime(at)},
		iothub.Property{Name: "iothub-message-schema", Value: op.schema()},
	)
	return iothub.Telemetry{
		ID: id, Source: op.source(), Body: body, Properties: properties,
		System: iothub.SystemProperties{
			ContentType: "application/json", ContentEncoding: "utf-8", CorrelationID: uuid.NewString(), UserID: h.o.Name,
		},
	}
}

// tell hands an event to the endpoints that it is for. The caller holds the
// lock that orders it among its like; after that it calls the returned function, which
// returns once the event is stored. An event that cannot be stored is logged: what it tells of has happened.
func (h *Hub) tell(op operation, id iothub.ID, marshal func() ([]byte, error)) (stored func()) {
	if !h.wants(op) {
		return func() {}
	}
	body, err := marshal()
	if err != nil {
		h.o.Logger.Error("an event cannot be written", "device", id, "op", string(op), "err", err)
		return func() {}
	}
	done := make(chan struct{})
	now := h.now()
	t := h.event(op, id, now, body)
	h.dispatch(context.Background(), h.routing.Load(), &t, now, func(err error) {
		if err != nil {
			h.o.Logger.Error("an event was not stored", "device", id, "op", string(op), "err", err)
		}
		close(done)
	})
	return func() { <-done }
}

// connectionEventQueue gives each start of the hub a number; it holds nothing.
const connectionEventQueue = "/connection-states"

// connectionEvents tells of connections in the order in which they came and
// went. Posting takes memory only, so that it is possible under peer.mu; a
// goroutine that lives while there is something to tell does the rest.
type connectionEvents struct {
	mu      sync.Mutex
	queue   []connectionEvent
	running bool
	closed  bool
	idle    sync.Cond

	// Of the running goroutine: the number of this start of the hub, 0 before
	// the first event, and that of the last event.
	start, last uint64
}

type connectionEvent struct {
	op operation
	id iothub.ID
	at time.Time
}

// tellConnection tells that id was connected or disconnected. Its caller may
// hold peer.mu.
func (h *Hub) tellConnection(op operation, id iothub.ID, at time.Time) {
	if !h.wants(op) {
		return
	}
	e := &h.connectionEvents
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	e.queue = append(e.queue, connectionEvent{op, id, at})
	if !e.running {
		e.running = true
		go h.tellConnections()
	}
}

func (h *Hub) tellConnections() {
	e := &h.connectionEvents
	for {
		e.mu.Lock()
		batch := e.queue
		e.queue = nil
		if len(batch) == 0 {
			e.running = false
			e.idle.Broadcast()
			e.mu.Unlock()
			return
		}
		e.mu.Unlock()
		for _, next := range batch {
			number := h.connectionSequenceNumber()
			// Nobody waits for this one: what it tells of cannot be refused.
			_ = h.tell(next.op, next.id, func() ([]byte, error) {
				return fmt.Appendf(nil, `{"sequenceNumber":%q}`, number), nil
			})
		}
	}
}

// connectionSequenceNumber returns 64 hexadecimal digits that compare as text:
// the number of this start of the hub, then that of the event. So they rise
// whatever the clock does.
// Source: IoT Hub non-telemetry event schemas (connection state events).
func (h *Hub) connectionSequenceNumber() string {
	e := &h.connectionEvents
	if e.start == 0 {
		ctx := context.Background()
		n, err := h.o.Queues.Append(ctx, connectionEventQueue, nil)
		if err != nil {
			h.o.Logger.Error("the sequence of connection events cannot be stored", "err", err)
			n = 1
		}
		_ = h.o.Queues.Remove(ctx, connectionEventQueue, n) // only the number mattered
		e.start = n
	}
	e.last++
	return fmt.Sprintf("%032x%032x", e.start, e.last)
}

// close waits until everything is told and takes no more.
func (e *connectionEvents) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for e.running {
		e.idle.Wait()
	}
}
