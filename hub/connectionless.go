package hub

import (
	"context"
	"slices"
	"sync"

	"github.com/hubnerite/hubnerite/iothub"
)

// SendTelemetry stores messages of a device or module that has no connection
// (HTTPS), in their order and all or none of them, and returns when they are
// durable. The caller has verified g by AuthenticateDevice and sets System,
// Properties and Body of each message. It is activity of the identity and no
// connection. Errors: those of Admit, MessageTooLarge (one message, or all
// together, over iothub.MaxTelemetrySize; more than iothub.MaxTelemetryBatch),
// NullMessage, ArgumentInvalid.
// Source: IoT Hub devguide, quotas and throttling (device-to-cloud batches).
func (h *Hub) SendTelemetry(ctx context.Context, id iothub.ID, g iothub.Grant, messages []iothub.Telemetry) error {
	if !h.enter() {
		return errClosing()
	}
	defer h.leave()
	identity, err := h.o.Registry.Admit(ctx, id, g)
	if err != nil {
		return err
	}
	size, err := checkBatch(messages)
	if err != nil {
		return err
	}
	if e, hit := h.fault(FaultOnTelemetry, "https", id); hit {
		if e.rule.Acknowledge {
			return nil
		}
		twice, err := h.carryOut(ctx, e, hit, nil)
		if err != nil {
			return err
		}
		if twice {
			messages = slices.Concat(messages, messages)
		}
	}
	if h.faults.n.Load() != 0 || slices.ContainsFunc(messages, func(t iothub.Telemetry) bool { return iothub.NamesFault(t.Properties) }) {
		if messages, err = h.meetFaultsHTTPS(id, messages); err != nil {
			return err
		}
	}
	if err := h.admit(ctx, iothub.ThrottleTelemetry, 1, size); err != nil {
		h.measures.telemetry(err)
		return err
	}
	now := h.now()
	p := h.acquire(id)
	p.touch(now)
	h.release(p)
	var (
		all    sync.WaitGroup
		mu     sync.Mutex
		failed error
	)
	table := h.routing.Load()
	device := edgeOf(&identity)
	routes, err := h.edgeTable(ctx, device)
	if err != nil {
		return err
	}
	all.Add(len(messages))
	for i := range messages {
		t := messages[i]
		t.ID, t.GenerationID, t.AuthMethod = id, identity.GenerationID, g.AuthMethod
		done := func(err error) {
			mu.Lock()
			if err != nil && failed == nil {
				failed = err
			}
			mu.Unlock()
			all.Done()
		}
		if routes != nil {
			h.dispatchEdge(ctx, device, routes, &t, now, done)
		} else {
			h.dispatch(ctx, table, &t, now, done)
		}
	}
	all.Wait()
	return failed
}

// checkBatch returns the size of all messages together.
func checkBatch(messages []iothub.Telemetry) (size int, err error) {
	switch {
	case len(messages) == 0:
		return 0, iothub.NewError(iothub.CodeNullMessage, "The batch holds no message.")
	case len(messages) > iothub.MaxTelemetryBatch:
		return 0, iothub.NewError(iothub.CodeMessageTooLarge, "The batch has %d messages; the limit is %d.", len(messages), iothub.MaxTelemetryBatch)
	}
	for i := range messages {
		if err := checkTelemetry(&messages[i]); err != nil {
			return 0, err
		}
		size += iothub.MessageSize(&messages[i].System, messages[i].Properties, messages[i].Body)
	}
	if size > iothub.MaxTelemetrySize {
		return 0, iothub.NewError(iothub.CodeMessageTooLarge, "The batch has %d bytes; the limit is %d.", size, iothub.MaxTelemetrySize)
	}
	return size, nil
}
