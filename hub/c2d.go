package hub

import (
	"context"

	"github.com/hubnerite/hubnerite/iothub"
)

// Delivery is a locked cloud-to-device message. The lock lasts iothub.C2DLock,
// or, for a connection's delivery, as long as the connection if that is shorter.
type Delivery struct {
	Message iothub.C2DMessage
	// LockToken is a lower-case UUID.
	LockToken string
}

// SendC2D enqueues a message for m.ID durably. The caller sets ID, System,
// Properties, Body, Ack and, if the sender gave one, ExpiryTime; the hub sets the rest.
// Errors: DeviceNotFound, ModuleNotFound, DeviceMaximumQueueDepthExceeded,
// MessageTooLarge, InvalidMessageExpiryTime, ArgumentInvalid.
func (h *Hub) SendC2D(ctx context.Context, m iothub.C2DMessage) (iothub.C2DMessage, error) {
	panic("unwritten")
}

// ReceiveC2D locks and returns the next waiting message of id for a receiver
// without a connection (HTTPS); false when there is none.
func (h *Hub) ReceiveC2D(ctx context.Context, id iothub.ID) (Delivery, bool, error) {
	panic("unwritten")
}

// CompleteC2D ends a locked message with success. DeviceMessageLockLost when
// the lock is unknown or over.
func (h *Hub) CompleteC2D(ctx context.Context, id iothub.ID, lockToken string) error {
	panic("unwritten")
}

// CompleteC2DAsync is CompleteC2D for protocol callbacks: done (may be nil)
// runs when the completion is durable or refused, and must not block.
func (h *Hub) CompleteC2DAsync(id iothub.ID, lockToken string, done func(error)) {
	panic("unwritten")
}

// AbandonC2D gives a locked message back at its old place and raises its
// delivery count; at the hub's maximum it is dead-lettered.
func (h *Hub) AbandonC2D(ctx context.Context, id iothub.ID, lockToken string) error {
	panic("unwritten")
}

// RejectC2D dead-letters a locked message.
func (h *Hub) RejectC2D(ctx context.Context, id iothub.ID, lockToken string) error {
	panic("unwritten")
}

// PurgeC2D removes all waiting messages of id (locked ones too) and returns
// their number. Messages that ask for negative feedback get Purged.
func (h *Hub) PurgeC2D(ctx context.Context, id iothub.ID) (int, error) { panic("unwritten") }

// FeedbackDelivery is a locked feedback message.
type FeedbackDelivery struct {
	// Body is the JSON array of iothub.FeedbackRecord.
	Body []byte
	iothub.C2DMessage
	LockToken string
}

// ReceiveFeedback locks and returns the next feedback message; false when none is due.
func (h *Hub) ReceiveFeedback(ctx context.Context) (FeedbackDelivery, bool, error) {
	panic("unwritten")
}

// CompleteFeedback removes a locked feedback message, or DeviceMessageLockLost.
func (h *Hub) CompleteFeedback(ctx context.Context, lockToken string) error { panic("unwritten") }

// AbandonFeedback gives a locked feedback message back.
func (h *Hub) AbandonFeedback(ctx context.Context, lockToken string) error { panic("unwritten") }

// OnFeedback registers wake, called without blocking whenever ReceiveFeedback
// may have something; cancel unregisters it.
func (h *Hub) OnFeedback(wake func()) (cancel func()) { panic("unwritten") }
