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
	s := h.o.FileUpload
	q := &h.feedback.files
	q.h, q.name, q.contentType = h, fileNotificationQueueName, iothub.FileNotificationContentType
	q.ttl, q.lock, q.maxDeliveryCount = s.NotificationTTL, s.NotificationLock, s.NotificationMaxDeliveryCount
	return q.load(ctx)
}
