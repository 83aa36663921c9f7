package hub

import (
	"context"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// Identity is an identity with its live state.
type Identity struct {
	iothub.Identity
	Connection iothub.ConnectionInfo
}

// Twin is a twin with its identity and live state.
type Twin struct {
	Identity   iothub.Identity
	Twin       iothub.Twin
	Connection iothub.ConnectionInfo
}

// CreateIdentity adds a device or module; see registry.Create.
func (h *Hub) CreateIdentity(ctx context.Context, id iothub.ID, req iothub.IdentityRequest) (Identity, error) {
	panic("unwritten")
}

// ReplaceIdentity writes all of an identity; disabling or changing its credential disconnects
// it and, for a device, its modules.
func (h *Hub) ReplaceIdentity(ctx context.Context, id iothub.ID, req iothub.IdentityRequest, ifMatch string) (Identity, error) {
	panic("unwritten")
}

// GetIdentity returns an identity; see registry.Get.
func (h *Hub) GetIdentity(ctx context.Context, id iothub.ID) (Identity, error) { panic("unwritten") }

// DeleteIdentity removes and disconnects an identity and its modules, and
// discards its unsent feedback.
func (h *Hub) DeleteIdentity(ctx context.Context, id iothub.ID, ifMatch string) error {
	panic("unwritten")
}

// ListDevices returns up to top devices; see registry.ListDevices.
func (h *Hub) ListDevices(ctx context.Context, top int) ([]Identity, error) { panic("unwritten") }

// ListModules returns the modules of a device.
func (h *Hub) ListModules(ctx context.Context, deviceID string) ([]Identity, error) {
	panic("unwritten")
}

// Counts returns the numbers of identities.
func (h *Hub) Counts(ctx context.Context) (store.Counts, error) { panic("unwritten") }

// ConnectedDevices returns the number of devices (not modules) with a live connection.
func (h *Hub) ConnectedDevices() int { panic("unwritten") }

// GetTwin returns a twin; see registry.Twin.
func (h *Hub) GetTwin(ctx context.Context, id iothub.ID) (Twin, error) { panic("unwritten") }

// PatchTwin merges a back end's patch and notifies the device, in version order.
func (h *Hub) PatchTwin(ctx context.Context, id iothub.ID, p iothub.TwinPatch, ifMatch string) (Twin, error) {
	panic("unwritten")
}

// ReplaceTwin sets tags and desired properties and notifies the device of the
// whole new desired section.
func (h *Hub) ReplaceTwin(ctx context.Context, id iothub.ID, p iothub.TwinPatch, ifMatch string) (Twin, error) {
	panic("unwritten")
}

// InvokeMethod calls a direct method and waits for the answer. Errors:
// DeviceNotFound, ModuleNotFound, DeviceNotOnline (after the connect time-out), GatewayTimeout,
// ArgumentInvalid, MessageTooLarge; ctx's error when the caller left.
func (h *Hub) InvokeMethod(ctx context.Context, id iothub.ID, req iothub.MethodRequest) (iothub.MethodResponse, error) {
	panic("unwritten")
}

// TelemetryQuery selects kept telemetry.
type TelemetryQuery struct {
	// DeviceID selects one device (and its modules); "" selects all.
	DeviceID string
	// Since is the sequence number after which to begin, exclusive, in the
	// device's partition (in every partition when DeviceID is empty); -1 begins at the oldest.
	Since int64
	// Limit is the most messages to return, at least 1.
	Limit int
}

// ReadTelemetry returns kept messages in order (by partition, then sequence number).
func (h *Hub) ReadTelemetry(ctx context.Context, q TelemetryQuery) ([]iothub.Telemetry, error) {
	panic("unwritten")
}

// WaitTelemetry is ReadTelemetry that waits until count messages match or
// timeout has passed, and then returns what there is.
func (h *Hub) WaitTelemetry(ctx context.Context, q TelemetryQuery, count int, timeout time.Duration) ([]iothub.Telemetry, error) {
	panic("unwritten")
}

// CountUnsupported counts a call of an operation that the emulator refuses.
func (h *Hub) CountUnsupported(operation string) { panic("unwritten") }

// Unsupported returns how often each refused operation was called.
func (h *Hub) Unsupported() map[string]int { panic("unwritten") }
