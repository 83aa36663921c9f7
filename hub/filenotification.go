package hub

import (
	"context"

	"github.com/hubnerite/hubnerite/iothub"
)

// fileNotificationQueueName is the store's queue of file notifications.
const fileNotificationQueueName = "/fileNotifications"

// FileNotifications returns the queue that tells back ends of uploaded files:
// one iothub.FileNotification a message, as soon as it is there.
// Source: IoT Hub devguide, file upload notifications.
func (h *Hub) FileNotifications() *ServiceQueue { return &h.feedback.files }

func (h *Hub) loadFileNotifications(ctx context.Context) error {
	q := &h.feedback.files
	q.h, q.name, q.contentType = h, fileNotificationQueueName, iothub.FileNotificationContentType
	h.applyFileUpload(h.o.FileUpload)
	return q.load(ctx)
}

// FileUploadSettings returns the file upload properties in effect.
func (h *Hub) FileUploadSettings() iothub.FileUploadSettings {
	u := &h.feedback.uploads
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.settings
}

// SetFileUploadSettings changes the file upload properties until the hub is closed. Uploads that are under way keep their time, and
// messages that wait for back ends theirs. It returns ArgumentInvalid for a value out of its bounds.
func (h *Hub) SetFileUploadSettings(s iothub.FileUploadSettings) error {
	if err := s.Validate(); err != nil {
		return err
	}
	h.applyFileUpload(s)
	return nil
}

func (h *Hub) applyFileUpload(s iothub.FileUploadSettings) {
	u, q := &h.feedback.uploads, &h.feedback.files
	u.mu.Lock()
	u.settings = s
	u.mu.Unlock()
	q.mu.Lock()
	q.ttl, q.lock, q.maxDeliveryCount = s.NotificationTTL, s.NotificationLock, s.NotificationMaxDeliveryCount
	q.mu.Unlock()
}
