package hub

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/hubnerite/hubnerite/iothub"
)

// uploadQueueName is the store's queue of uploads that are under way.
const uploadQueueName = "/fileUploads"

// FileStorage is the storage account of a hub, for the files of its devices.
type FileStorage interface {
	// Grant returns where a blob may be written until expiry. hostName is the name,
	// and port if it had one, by which the device reached the hub.
	Grant(ctx context.Context, blobName string, expiry time.Time, hostName string) (iothub.FileUploadAddress, error)
	// Blob returns the size in bytes of a blob and when it was written, or ErrNoBlob.
	Blob(ctx context.Context, blobName string) (size int64, lastModified time.Time, err error)
}

// uploads are the uploads under way.
type uploads struct {
	mu     sync.Mutex
	active map[string]*upload // by correlation ID
	// settings are those in effect.
	settings iothub.FileUploadSettings
}

// upload is an upload under way, in its stored form.
type upload struct {
	number uint64

	CorrelationID string    `json:"correlationId"`
	DeviceID      string    `json:"deviceId"`
	BlobName      string    `json:"blobName"`
	BlobURI       string    `json:"blobUri"`
	Expiry        time.Time `json:"expiry"`
}

// StartFileUpload gives a device a place for a file. The blob's name is the
// device's ID and blobName. The upload counts as under way until the device
// completes it or SASTTL is over. Errors: ArgumentNull without a name,
// InvalidStorageEndpointOrBlob for one that no blob can have,
// DefaultStorageEndpointNotConfigured without a storage account,
// DeviceMaximumActiveFileUploadLimitExceeded with iothub.MaxActiveFileUploads
// under way, DeviceNotFound.
// Source: IoT Hub devguide, file upload (initialize a file upload).
func (h *Hub) StartFileUpload(ctx context.Context, deviceID, blobName, hostName string) (iothub.FileUpload, error) {
	if !h.enter() {
		return iothub.FileUpload{}, errClosing()
	}
	defer h.leave()
	if err := iothub.ValidateBlobName(blobName); err != nil {
		return iothub.FileUpload{}, err
	}
	if h.o.Files == nil {
		return iothub.FileUpload{}, iothub.NewError(iothub.CodeDefaultStorageEndpointNotConfigured, "The hub has no storage account.")
	}
	if _, err := h.registered(ctx, iothub.ID{DeviceID: deviceID}); err != nil {
		return iothub.FileUpload{}, err
	}
	now := h.now()
	u := &upload{DeviceID: deviceID, BlobName: deviceID + "/" + blobName, Expiry: now.Add(h.FileUploadSettings().SASTTL).UTC().Truncate(time.Second)}
	u.CorrelationID = strconv.FormatInt(u.Expiry.Unix(), 10) + "_" + uuid.NewString()
	if err := h.reserveUpload(u, now); err != nil {
		return iothub.FileUpload{}, err
	}
	address, err := h.o.Files.Grant(ctx, u.BlobName, u.Expiry, hostName)
	if err == nil {
		u.BlobURI = address.URI
		// Texts and a time of this era always marshal.
		payload, _ := json.Marshal(u)
		var number uint64
		number, err = h.o.Queues.Append(context.WithoutCancel(ctx), uploadQueueName, payload)
		h.feedback.uploads.mu.Lock()
		u.number = number
		h.feedback.uploads.mu.Unlock()
	}
	if err != nil {
		h.takeUpload(u.CorrelationID)
		return iothub.FileUpload{}, err
	}
	h.note(Activity{Kind: ActivityUpload, Event: EventStarted, ID: iothub.ID{DeviceID: deviceID}, Protocol: "https", Operation: u.BlobName})
	h.o.Logger.Debug("file upload started", "device", deviceID, "blob", u.BlobName)
	return iothub.FileUpload{
		CorrelationID: u.CorrelationID, HostName: address.HostName, ContainerName: address.ContainerName,
		BlobName: u.BlobName, SASToken: address.SASToken,
	}, nil
}

// reserveUpload counts an upload, if the device may have one more.
func (h *Hub) reserveUpload(u *upload, now time.Time) error {
	all := &h.feedback.uploads
	all.mu.Lock()
	defer all.mu.Unlock()
	n := 0
	for _, other := range all.active {
		if other.DeviceID == u.DeviceID && now.Before(other.Expiry) {
			n++
		}
	}
	if n >= iothub.MaxActiveFileUploads {
		return iothub.NewError(iothub.CodeDeviceMaximumActiveFileUploadLimitExceeded,
			"The device %q has %d file uploads under way; complete one of them.", u.DeviceID, n)
	}
	if all.active == nil {
		all.active = map[string]*upload{}
	}
	all.active[u.CorrelationID] = u
	return nil
}

// takeUpload takes an upload out, so that one caller alone ends it.
func (h *Hub) takeUpload(correlationID string) *upload {
	all := &h.feedback.uploads
	all.mu.Lock()
	defer all.mu.Unlock()
	u := all.active[correlationID]
	delete(all.active, correlationID)
	return u
}

// putBackUpload undoes takeUpload.
func (h *Hub) putBackUpload(u *upload) {
	all := &h.feedback.uploads
	all.mu.Lock()
	defer all.mu.Unlock()
	all.active[u.CorrelationID] = u
}

// CompleteFileUpload ends an upload. After a success back ends are notified of the
// blob, when the hub is set up so; what the device says of a failure is logged.
// Errors: InvalidFileUploadCorrelationId, ExpiredFileUploadCorrelationId,
// InvalidStorageEndpointOrBlob when there is no such blob: the upload then stays.
// Source: IoT Hub devguide, file upload (notify IoT Hub of a completed file upload).
func (h *Hub) CompleteFileUpload(ctx context.Context, deviceID string, c iothub.FileUploadCompletion) error {
	if !h.enter() {
		return errClosing()
	}
	defer h.leave()
	if c.CorrelationID == "" {
		return iothub.NewError(iothub.CodeInvalidFileUploadCorrelationId, "There is no correlation ID.")
	}
	if c.IsSuccess == nil {
		return iothub.NewError(iothub.CodeInvalidFileUploadCompletionStatus, "isSuccess is missing.")
	}
	now := h.now()
	u := h.takeUpload(c.CorrelationID)
	if u == nil || u.DeviceID != deviceID {
		if u != nil {
			h.putBackUpload(u)
		}
		return errUploadUnknown(c.CorrelationID, now)
	}
	if !now.Before(u.Expiry) {
		h.removeUpload(u)
		return errUploadExpired(u.Expiry)
	}
	err := h.endUpload(ctx, u, *c.IsSuccess)
	if err != nil {
		h.putBackUpload(u)
		return err
	}
	event := EventCompleted
	if !*c.IsSuccess {
		event = EventFailed
	}
	h.note(Activity{Kind: ActivityUpload, Event: event, ID: iothub.ID{DeviceID: deviceID}, Protocol: "https", Operation: u.BlobName})
	h.o.Logger.Info("file upload ended", "device", deviceID, "blob", u.BlobName, "success", *c.IsSuccess, "status", c.StatusCode, "description", c.StatusDescription)
	return nil
}

func errUploadExpired(at time.Time) error {
	return iothub.NewError(iothub.CodeExpiredFileUploadCorrelationId, "The file upload expired at %s.", iothub.FormatTime(at))
}

// errUploadUnknown tells an ID that has expired from one that never was: its
// first part is the time of its end.
func errUploadUnknown(correlationID string, now time.Time) error {
	seconds, id, _ := strings.Cut(correlationID, "_")
	if expiry, err := strconv.ParseInt(seconds, 10, 64); err == nil && uuid.Validate(id) == nil && !now.Before(time.Unix(expiry, 0)) {
		return errUploadExpired(time.Unix(expiry, 0).UTC())
	}
	return iothub.NewError(iothub.CodeInvalidFileUploadCorrelationId, "The device has no file upload %.80q under way.", correlationID)
}

// endUpload forgets an upload durably and notifies of its file, in one step.
func (h *Hub) endUpload(ctx context.Context, u *upload, success bool) error {
	if !success {
		return h.o.Queues.Remove(context.WithoutCancel(ctx), uploadQueueName, u.number)
	}
	size, lastModified, err := h.o.Files.Blob(ctx, u.BlobName)
	if errors.Is(err, ErrNoBlob) {
		return iothub.NewError(iothub.CodeInvalidStorageEndpointOrBlob, "There is no blob %q.", u.BlobName)
	} else if err != nil {
		return err
	}
	if !h.FileUploadSettings().Notifications {
		return h.o.Queues.Remove(context.WithoutCancel(ctx), uploadQueueName, u.number)
	}
	body, err := json.Marshal(iothub.FileNotification{
		DeviceID: u.DeviceID, BlobURI: u.BlobURI, BlobName: u.BlobName, BlobSizeInBytes: size,
		LastUpdatedTime: lastModified.UTC().Format("2006-01-02T15:04:05+00:00"), EnqueuedTimeUTC: iothub.FormatTime(h.now()),
	})
	if err != nil {
		return err
	}
	return h.FileNotifications().move(ctx, uploadQueueName, u.number, body)
}

// removeUpload removes an upload from the store without waiting. The caller has
// entered the hub.
func (h *Hub) removeUpload(u *upload) {
	h.work.Add(1)
	h.o.Queues.RemoveAsync(uploadQueueName, u.number, func(err error) {
		if err != nil {
			h.o.Logger.Error("forgetting a file upload failed", "err", err)
		}
		h.leave()
	})
}

// forgetUploads ends the uploads that match. The caller has entered the hub.
func (h *Hub) forgetUploads(match func(*upload) bool) {
	all := &h.feedback.uploads
	all.mu.Lock()
	var gone []*upload
	for id, u := range all.active {
		// One without a number is still being started.
		if u.number != 0 && match(u) {
			gone = append(gone, u)
			delete(all.active, id)
		}
	}
	all.mu.Unlock()
	for _, u := range gone {
		h.removeUpload(u)
	}
}

// loadUploads reads the uploads that a former run left.
func (h *Hub) loadUploads(ctx context.Context) error {
	h.feedback.uploads.active = map[string]*upload{}
	entries, err := h.o.Queues.Load(ctx, uploadQueueName)
	if err != nil {
		return err
	}
	for _, e := range entries {
		u := &upload{number: e.Number}
		if err := json.Unmarshal(e.Payload, u); err != nil {
			h.o.Logger.Error("a stored file upload cannot be read; it is passed over", "number", e.Number, "err", err)
			continue
		}
		h.feedback.uploads.active[u.CorrelationID] = u
	}
	return nil
}
