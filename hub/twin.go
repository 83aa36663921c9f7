package hub

import (
	"context"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// Twin is a twin with its identity and live state.
type Twin struct {
	Identity   iothub.Identity
	Twin       iothub.Twin
	Connection iothub.ConnectionInfo
}

// GetTwin returns a twin; see registry.Twin.
func (h *Hub) GetTwin(ctx context.Context, id iothub.ID) (_ Twin, err error) {
	defer h.measures.twinReads.count(&err)
	defer h.measures.twins.of(twinRead).since(time.Now())
	identity, twin, err := h.o.Registry.Twin(ctx, id)
	if err != nil {
		return Twin{}, err
	}
	return h.withTwin(ctx, identity, twin)
}

func (h *Hub) withTwin(ctx context.Context, identity iothub.Identity, twin iothub.Twin) (Twin, error) {
	info, err := h.connectionInfo(ctx, identity)
	return Twin{Identity: identity, Twin: twin, Connection: info}, err
}

// PatchTwin merges a back end's patch and notifies the device, in version order.
// The notification is the patch as written, nulls included; a patch without
// desired properties notifies nobody.
func (h *Hub) PatchTwin(ctx context.Context, id iothub.ID, p iothub.TwinPatch, ifMatch string) (Twin, error) {
	defer h.measures.twins.of(twinPatch).since(time.Now())
	return h.changeTwin(ctx, id, opUpdateTwin, func() (iothub.Identity, iothub.Twin, map[string]any, error) {
		identity, twin, err := h.o.Registry.PatchTwin(ctx, id, p, ifMatch)
		return identity, twin, p.Desired, err
	}, func(twin iothub.Twin) ([]byte, error) { return iothub.MarshalTwinUpdate(twin, p.Tags, p.Desired, nil) })
}

// ReplaceTwin sets tags and desired properties and notifies the device of the
// whole new desired section.
func (h *Hub) ReplaceTwin(ctx context.Context, id iothub.ID, p iothub.TwinPatch, ifMatch string) (Twin, error) {
	defer h.measures.twins.of(twinReplace).since(time.Now())
	return h.changeTwin(ctx, id, opReplaceTwin, func() (iothub.Identity, iothub.Twin, map[string]any, error) {
		identity, twin, err := h.o.Registry.ReplaceTwin(ctx, id, p, ifMatch)
		desired := twin.Desired.Values
		if desired == nil {
			desired = map[string]any{}
		}
		return identity, twin, desired, err
	}, func(twin iothub.Twin) ([]byte, error) { return iothub.MarshalEventTwin(id, twin) })
}

// changeTwin holds the twin's lock from the commit until the notification and
// the event are handed over. change returns the desired properties to notify of; nil
// for none. body returns that of the event, which is stored before changeTwin returns.
// Source: IoT Hub devguide, device twins (back-end operations).
func (h *Hub) changeTwin(ctx context.Context, id iothub.ID, op operation,
	change func() (iothub.Identity, iothub.Twin, map[string]any, error), body func(iothub.Twin) ([]byte, error),
) (Twin, error) {
	peer := h.acquire(id)
	defer h.release(peer)
	peer.twin.Lock()
	identity, twin, desired, err := change()
	if err != nil {
		peer.twin.Unlock()
		return Twin{}, err
	}
	stored := h.twinChanged(peer, op, twin, desired, body)
	peer.twin.Unlock()
	stored()
	return h.withTwin(ctx, identity, twin)
}

// twinChanged notifies the device of a write that the caller made under the twin's
// lock, and tells of it. stored is that of tell.
func (h *Hub) twinChanged(p *peer, op operation, twin iothub.Twin, desired map[string]any, body func(iothub.Twin) ([]byte, error)) (stored func()) {
	if desired != nil {
		h.notifyDesired(p, desired, twin.Desired.Version)
	}
	event := EventPatched
	if op == opReplaceTwin {
		event = EventReplaced
	}
	return h.tell(op, p.id, h.noteTwin(event, p, func() ([]byte, error) { return body(twin) }))
}

// notifyDesired hands a change to the connection that wants it. A device that
// is away hears nothing: it reads its twin when it comes back.
func (h *Hub) notifyDesired(p *peer, desired map[string]any, version int64) {
	p.mu.Lock()
	c := p.conn
	wanted := c != nil && c.desired
	p.mu.Unlock()
	if !wanted {
		return
	}
	body, err := iothub.MarshalDesiredPatch(desired, version)
	if err != nil {
		h.o.Logger.Error("a desired property notification cannot be written", "device", p.id, "err", err)
		return
	}
	if !c.faultDesired(version, body) {
		c.client.DeliverDesired(version, body)
	}
}

// Twin returns the twin as the device sees it: JSON of desired and reported.
func (c *Connection) Twin(ctx context.Context) (_ []byte, err error) {
	defer c.h.measures.deviceTwinReads.count(&err)
	defer c.h.measures.twins.of(twinDeviceRead).since(time.Now())
	if c.closed.Load() {
		return nil, errConnectionClosed()
	}
	if _, err := c.h.obey(ctx, FaultOnTwinGet, c.o.Protocol, c.p.id, c.client); err != nil {
		return nil, err
	}
	if err := c.h.Throttle(ctx, iothub.ThrottleTwinRead, 1); err != nil {
		return nil, err
	}
	_, twin, err := c.h.o.Registry.Twin(ctx, c.p.id)
	if err != nil {
		return nil, err
	}
	c.p.touch(c.h.now())
	body, err := iothub.MarshalDeviceTwin(twin)
	if err != nil {
		return nil, err
	}
	return body, c.h.Meter(len(body))
}

// Report merges a JSON patch into the reported properties and returns the new
// reported version. ifVersion, when not nil, must be the current version
// (PreconditionFailed). Bad JSON is IotHubFormatError, bad content ArgumentInvalid.
func (c *Connection) Report(ctx context.Context, patch []byte, ifVersion *int64) (int64, error) {
	defer c.h.measures.twins.of(twinReport).since(time.Now())
	if c.closed.Load() {
		return 0, errConnectionClosed()
	}
	values, err := iothub.DecodeObject(patch)
	if err != nil {
		return 0, err
	}
	twice, err := c.h.obey(ctx, FaultOnTwinReport, c.o.Protocol, c.p.id, c.client)
	if err != nil {
		return 0, err
	}
	if twice {
		if _, err := c.report(ctx, len(patch), values, ifVersion); err != nil {
			return 0, err
		}
	}
	return c.report(ctx, len(patch), values, ifVersion)
}

// report is Report after the fault rules; size is that of the patch in bytes.
func (c *Connection) report(ctx context.Context, size int, values map[string]any, ifVersion *int64) (int64, error) {
	if err := c.h.admit(ctx, iothub.ThrottleTwinUpdate, 1, size); err != nil {
		return 0, err
	}
	c.p.twin.Lock()
	twin, err := c.h.o.Registry.Report(ctx, c.p.id, values, ifVersion)
	if err != nil {
		c.p.twin.Unlock()
		return 0, err
	}
	stored := c.h.tell(opUpdateTwin, c.p.id, c.h.noteTwin(EventReported, c.p, func() ([]byte, error) {
		return iothub.MarshalTwinUpdate(twin, nil, nil, values)
	}))
	c.p.twin.Unlock()
	stored()
	c.p.touch(c.h.now())
	return twin.Reported.Version, nil
}
