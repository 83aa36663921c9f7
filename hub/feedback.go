package hub

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// feedbackQueueName is the store's queue of feedback records, one per entry.
const feedbackQueueName = "/feedback"

// maxFeedbackRecords is the most records of one feedback message.
// Source: IoT Hub devguide, cloud-to-device message feedback.
const maxFeedbackRecords = 64

// feedbackQueue is what the hub tells of the ends of messages.
type feedbackQueue struct {
	ServiceQueue
	// outcomes are told to those who wait for them, whether or not a message asks
	// for feedback.
	outcomes outcomes
	// files are the notifications of uploads.
	files   ServiceQueue
	uploads uploads
}

// Feedback returns the queue of feedback messages: JSON arrays of
// iothub.FeedbackRecord, flushed with 64 records or 15 s after the last one.
// Source: IoT Hub devguide, cloud-to-device message feedback.
func (h *Hub) Feedback() *ServiceQueue { return &h.feedback.ServiceQueue }

// loadFeedback reads the records that a former run left.
func (h *Hub) loadFeedback(ctx context.Context) error {
	f := &h.feedback.ServiceQueue
	f.h, f.name, f.contentType, f.most = h, feedbackQueueName, iothub.FeedbackContentType, maxFeedbackRecords
	f.interval, f.ttl, f.lock = h.o.FeedbackInterval, h.o.C2D.FeedbackTTL, h.o.C2D.FeedbackLock
	f.maxDeliveryCount = h.o.C2D.FeedbackMaxDeliveryCount
	if err := f.load(ctx); err != nil {
		return err
	}
	if err := h.loadUploads(ctx); err != nil {
		return err
	}
	return h.loadFileNotifications(ctx)
}

func (h *Hub) sweepFeedback(now time.Time) {
	h.feedback.sweep(now)
	h.feedback.files.sweep(now)
	h.forgetUploads(func(u *upload) bool { return !now.Before(u.Expiry) })
}

func newFeedbackRecord(m *iothub.C2DMessage, o iothub.Outcome, now time.Time) *serviceRecord {
	// Texts always marshal.
	body, _ := json.Marshal(iothub.FeedbackRecord{
		OriginalMessageID:  m.System.MessageID,
		Description:        string(o),
		DeviceGenerationID: m.GenerationID,
		DeviceID:           m.ID.DeviceID,
		ModuleID:           m.ID.ModuleID,
		EnqueuedTimeUTC:    iothub.FormatTime(now),
		StatusCode:         o,
	})
	return &serviceRecord{at: now, body: body}
}

// forgetFeedback discards the unsent records of a deleted identity, and with a
// device those of its modules and its uploads.
// Source: IoT Hub devguide, cloud-to-device message feedback.
func (h *Hub) forgetFeedback(id iothub.ID) {
	f := h.Feedback()
	f.mu.Lock()
	gone := f.take(func(body json.RawMessage) bool {
		var r iothub.FeedbackRecord
		return json.Unmarshal(body, &r) == nil && r.DeviceID == id.DeviceID && (!id.IsModule() || r.ModuleID == id.ModuleID)
	})
	f.mu.Unlock()
	f.discard(gone)
	if !id.IsModule() {
		h.forgetUploads(func(u *upload) bool { return u.DeviceID == id.DeviceID })
	}
}
