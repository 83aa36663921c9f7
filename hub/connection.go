package hub

import (
	"context"

	"github.com/hubnerite/hubnerite/iothub"
)

// Client is what the hub asks of a connected device's front end. The hub calls
// it from any goroutine, some while it holds the device's lock: the methods
// must not block and must not call back into the hub.
type Client interface {
	// DeliverMethod hands over a direct method call; the answer comes back
	// through Connection.AnswerMethod with the same RequestID. An error means
	// that the client cannot take it (it is gone): the call fails as not online.
	DeliverMethod(req iothub.MethodRequest) error
	// DeliverDesired hands over a change of the desired properties, in version
	// order. body is the JSON object with $version.
	DeliverDesired(version int64, body []byte)
	// C2DWaiting says that ReceiveC2D may have something. It may be called
	// without need and is not called again until ReceiveC2D found nothing.
	C2DWaiting()
	// Disconnect ends the connection: evicted by a newer one
	// (ConnectionForcefullyClosedOnNewConnection), device disabled or deleted,
	// token expired, hub closing. The front end then calls Connection.Close.
	Disconnect(reason *iothub.Error)
}

// ConnectionOptions describe a new connection.
type ConnectionOptions struct {
	Grant iothub.Grant
	// Protocol is "mqtt", "mqtt-ws", "amqp" or "amqp-ws", for logs and admin.
	Protocol string
	// RemoteAddr is the peer's address, for logs and admin.
	RemoteAddr string
	// ModelID is the announced digital twin model, or "".
	ModelID string
}

// Connection is the live attachment of one identity. Its methods are safe for
// concurrent use. After Close, sends are refused with DeviceConnectionClosedRemotely.
type Connection struct{}

// Connect attaches id after AuthenticateDevice allowed it. The identity's older
// connection, if any, is told to Disconnect first and its locked messages
// are available again: the newcomer evicts. Methods, desired changes and C2D start disabled.
func (h *Hub) Connect(ctx context.Context, id iothub.ID, o ConnectionOptions, c Client) (*Connection, error) {
	panic("unwritten")
}

// ID returns the identity.
func (c *Connection) ID() iothub.ID { panic("unwritten") }

// Close ends the connection for the hub; idempotent. Messages it had locked are
// available again (their delivery count stays); pending methods fail.
func (c *Connection) Close() { panic("unwritten") }

// Renew replaces the grant in place (AMQP put-token).
func (c *Connection) Renew(g iothub.Grant) { panic("unwritten") }

// EnableMethods says whether the client takes direct methods now. Callers that
// wait for the device to come online are woken.
func (c *Connection) EnableMethods(on bool) { panic("unwritten") }

// EnableDesired says whether the client takes desired property changes now.
func (c *Connection) EnableDesired(on bool) { panic("unwritten") }

// EnableC2D says whether the client takes cloud-to-device messages now; turning
// it on calls C2DWaiting when some wait.
func (c *Connection) EnableC2D(on bool) { panic("unwritten") }

// SendTelemetry stamps and stores a device-to-cloud message. The caller sets
// System, Properties and Body; the rest is the connection's. done runs exactly
// once, when the message is durable or refused (MessageTooLarge,
// ArgumentInvalid, closed), possibly before SendTelemetry returns, and must not
// block. SendTelemetry itself waits only for room in the log's buffer.
func (c *Connection) SendTelemetry(ctx context.Context, t iothub.Telemetry, done func(error)) {
	panic("unwritten")
}

// AnswerMethod delivers the device's answer. An unknown or late request ID is
// logged at debug level and dropped.
func (c *Connection) AnswerMethod(requestID string, r iothub.MethodResponse) { panic("unwritten") }

// Twin returns the twin as the device sees it: JSON of desired and reported.
func (c *Connection) Twin(ctx context.Context) ([]byte, error) { panic("unwritten") }

// Report merges a JSON patch into the reported properties and returns the new
// reported version. ifVersion, when not nil, must be the current version
// (PreconditionFailed). Bad JSON is IotHubFormatError, bad content ArgumentInvalid.
func (c *Connection) Report(ctx context.Context, patch []byte, ifVersion *int64) (int64, error) {
	panic("unwritten")
}

// MQTTSession returns the stored subscriptions of the identity; nil means no
// stored session.
func (c *Connection) MQTTSession(ctx context.Context) (map[string]byte, error) { panic("unwritten") }

// SetMQTTSession stores the subscriptions durably; nil ends the session.
func (c *Connection) SetMQTTSession(ctx context.Context, subscriptions map[string]byte) error {
	panic("unwritten")
}

// ReceiveC2D locks and returns the next waiting message for this connection;
// false when there is none now. It does not wait.
func (c *Connection) ReceiveC2D() (Delivery, bool) { panic("unwritten") }
