package rest

import (
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
)

// The device API: what the hub invokes is answered with the error itself, and
// what ends connections is telemetry.
func TestFaultInjection(t *testing.T) {
	w := newWorld(t)
	d, other := iothub.ID{DeviceID: "d"}, iothub.ID{DeviceID: "e"}
	w.create(d, other)
	send := func(id iothub.ID, headers ...string) answer {
		return w.asDevice(id, "POST", "/devices/"+id.DeviceID+"/messages/events", "x", headers...)
	}
	for which, code := range map[string]iothub.Code{
		"InvokeThrottling": iothub.CodeThrottlingException, "InvokeQuotaExceeded": iothub.CodeIotHubQuotaExceeded,
		"InvokeAuthError": iothub.CodeIotHubUnauthorizedAccess,
	} {
		send(d, "iothub-app-AzIoTHub_FaultOperationType", which, "iothub-app-AzIoTHub_FaultOperationDelayInSecs", "3600").refused(legacy, code)
	}
	send(d).ok(204)
	w.asDevice(d, "POST", "/devices/d/messages/events", `[{"body":"eA=="},{"body":"eA==","properties":{"iothub-app-AzIoTHub_FaultOperationType":"InvokeMaxMessageQuota"}}]`,
		"Content-Type", batchContentType).refused(legacy, iothub.CodeIotHubQuotaExceeded)
	if n := len(w.kept("d")); n != 1 {
		t.Errorf("%d messages are kept, want 1", n)
	}
	send(other, "iothub-app-AzIoTHub_FaultOperationType", "KillTcp").ok(204)
	send(other, "iothub-app-AzIoTHub_FaultOperationType", "InvokeAuthError", "iothub-app-AzIoTHub_FaultOperationDelayInSecs", "x").refused(legacy, iothub.CodeArgumentInvalid)
	if kept := w.kept("e"); len(kept) != 1 || len(kept[0].Properties) != 1 {
		t.Errorf("kept: %+v", kept)
	}
}
