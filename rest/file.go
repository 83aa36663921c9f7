package rest

import (
	"net/http"
	"net/url"

	"github.com/go-chi/chi/v5"

	"github.com/hubnerite/hubnerite/iothub"
)

// Modules have no file upload.
// Source: IoT Hub devguide, file upload; the device SDKs (the correlation ID in
// the path is the older form, which the Node.js one uses).
func fileOperations() []operation {
	const files = "/devices/{deviceID}/files"
	return []operation{
		{method: http.MethodPost, pattern: files, device: true, throttle: iothub.ThrottleFileUpload, metered: true, run: (*call).startFileUpload},
		{method: http.MethodPost, pattern: files + "/notifications", device: true, metered: true, run: (*call).completeFileUpload},
		{method: http.MethodPost, pattern: files + "/notifications/{correlationID}", device: true, metered: true, run: (*call).completeFileUpload},
	}
}

// startFileUpload answers where the file may be written.
func (c *call) startFileUpload() error {
	var request struct {
		BlobName string `json:"blobName"`
	}
	if err := c.decode(&request); err != nil {
		return err
	}
	upload, err := c.hub.StartFileUpload(c.r.Context(), c.id.DeviceID, request.BlobName, c.r.Host)
	if err != nil {
		return err
	}
	return c.replyJSON(upload)
}

// completeFileUpload ends an upload; an ID in the path counts before one in the body.
func (c *call) completeFileUpload() error {
	var completion iothub.FileUploadCompletion
	if err := c.decode(&completion); err != nil {
		return err
	}
	if raw := chi.URLParam(c.r, "correlationID"); raw != "" {
		id, err := url.PathUnescape(raw)
		if err != nil {
			return iothub.NewError(iothub.CodeInvalidFileUploadCorrelationId, "The correlation ID has a malformed escape.").WithCause(err)
		}
		completion.CorrelationID = id
	}
	if err := c.hub.CompleteFileUpload(c.r.Context(), c.id.DeviceID, completion); err != nil {
		return err
	}
	return c.noContent()
}
