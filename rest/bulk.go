package rest

import (
	"encoding/json"
	"net/http"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// maxBulkBody is the largest body of a bulk registry operation in bytes: as many
// entries as it may have, each with a full twin.
const maxBulkBody = iothub.MaxBulkDevices * (iothub.MaxTagsSize + iothub.MaxDesiredSize + iothub.MaxReportedSize + 16<<10)

// Source: Bulk Registry of the IoT Hub service API 2021-04-12.
func bulkOperations() []operation {
	return []operation{{method: http.MethodPost, pattern: "/devices", rights: iothub.RegistryWrite, run: (*call).bulkRegistry}}
}

// bulkRegistry answers 200 when all entries were taken and otherwise 400 with
// BulkRegistryOperationFailure in the header and the same body: the .NET SDK tells
// a partial failure from a refused request by that name.
func (c *call) bulkRegistry() error {
	body, err := c.readBodyUpTo(maxBulkBody)
	if err != nil {
		return err
	}
	// Of more entries than there may be, none is looked at.
	var raw []json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return &syntaxFault{err}
	}
	if raw == nil {
		return iothub.NewError(iothub.CodeArgumentNull, "The body is null.")
	}
	if len(raw) > iothub.MaxBulkDevices {
		return iothub.NewError(iothub.CodeTooManyDevices, "The request has %d entries; the limit is %d.", len(raw), iothub.MaxBulkDevices)
	}
	entries := make([]iothub.ExportImportDevice, len(raw))
	seen := map[iothub.ID]bool{}
	for i := range raw {
		if err := json.Unmarshal(raw[i], &entries[i]); err != nil {
			return &syntaxFault{err}
		}
		id := entries[i].Identity()
		if seen[id] {
			return iothub.NewError(iothub.CodeDeviceDefinedMultipleTimes, "%q is there more than once.", id)
		}
		seen[id] = true
	}
	// Each entry counts as the operation that it is.
	if err := c.hub.Throttle(c.r.Context(), iothub.ThrottleRegistry, float64(len(entries))); err != nil {
		return err
	}
	result := iothub.BulkResult{Errors: []iothub.BulkError{}, Warnings: []iothub.BulkWarning{}}
	for i, err := range c.hub.Bulk(c.r.Context(), entries, hub.BulkOptions{}) {
		if err != nil {
			e := iothub.AsError(err)
			if e.Code == iothub.CodeServerError {
				c.log.Error("an entry of a bulk operation failed", "device", entries[i].Identity(), "err", err)
			}
			result.Errors = append(result.Errors, iothub.BulkError{
				DeviceID: entries[i].ID, ModuleID: entries[i].ModuleID,
				ErrorCode: e.Code.String(), ErrorStatus: e.Message, Operation: entries[i].ImportMode,
			})
		}
	}
	if result.IsSuccessful = len(result.Errors) == 0; result.IsSuccessful {
		return c.replyJSON(result)
	}
	c.w.Header().Set("iothub-errorcode", iothub.CodeBulkRegistryOperationFailure.String())
	c.w.Header().Set("Content-Type", jsonContentType)
	c.w.WriteHeader(http.StatusBadRequest)
	// A failed write means that the peer is gone.
	_, _ = c.w.Write(mustJSON(result))
	return nil
}
