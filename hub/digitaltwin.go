package hub

import (
	"context"

	"github.com/hubnerite/hubnerite/iothub"
)

// PatchDigitalTwin applies a JSON Patch of the digital twin document to the
// desired properties, and notifies the device as PatchTwin does. A patch
// without operations writes nothing. ifMatch may be empty.
// Errors: DeviceNotFound, PreconditionFailed, and those of iothub's DigitalTwinPatch.
// Source: Manage IoT Plug and Play digital twins.
func (h *Hub) PatchDigitalTwin(ctx context.Context, id iothub.ID, patch []byte, ifMatch string) (Twin, error) {
	for {
		t, err := h.GetTwin(ctx, id)
		if err != nil {
			return Twin{}, err
		}
		etag := t.Twin.ETagText()
		if !iothub.ETagMatches(ifMatch, etag) {
			return Twin{}, iothub.NewError(iothub.CodePreconditionFailed, "Precondition failed: the etag is %q now.", etag)
		}
		desired, err := t.Twin.DigitalTwinPatch(patch)
		if err != nil || desired == nil {
			return t, err
		}
		// What the patch means depends on what is there, so that must not have changed.
		written, err := h.PatchTwin(ctx, id, iothub.TwinPatch{Desired: desired}, etag)
		if iothub.ErrorCode(err) == iothub.CodePreconditionFailed && ctx.Err() == nil {
			continue
		}
		return written, err
	}
}

// InvokeCommand calls a command of a digital twin; component is "" for a
// command of the root. It is the direct method "command" or "component*command",
// with the errors of InvokeMethod. req.MethodName is passed over.
// Source: IoT Plug and Play conventions (commands).
func (h *Hub) InvokeCommand(ctx context.Context, id iothub.ID, component, command string, req iothub.MethodRequest) (iothub.MethodResponse, error) {
	req.MethodName = command
	if component != "" {
		req.MethodName = component + "*" + command
	}
	return h.InvokeMethod(ctx, id, req)
}
