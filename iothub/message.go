package iothub

import (
	"strings"
	"time"
)

// Property is an application property of a message.
type Property struct {
	Name, Value string
}

// Properties are the application properties of a message in the order they
// arrived. Names are compared exactly; front ends collapse duplicates.
type Properties []Property

// Get returns the value of the named property.
func (p Properties) Get(name string) (string, bool) {
	for _, q := range p {
		if q.Name == name {
			return q.Value, true
		}
	}
	return "", false
}

// Map returns the properties as a map, for JSON.
func (p Properties) Map() map[string]string {
	m := make(map[string]string, len(p))
	for _, q := range p {
		m[q.Name] = q.Value
	}
	return m
}

// SystemProperties are what the hub understands of a message, in either
// direction. Empty text and zero times mean absent.
// Source: IoT Hub devguide, create and read messages (system properties).
type SystemProperties struct {
	MessageID       string
	CorrelationID   string
	UserID          string
	To              string
	ContentType     string
	ContentEncoding string
	// Expiry is the absolute expiry time as text, exactly as a device sent it
	// with telemetry. Cloud-to-device messages use C2DMessage.ExpiryTime.
	Expiry string
	// CreationTime is $.ctime, as sent.
	CreationTime string
	// Schema is $.schema (iothub-message-schema).
	Schema string
	// Component is $.sub (dt-subject).
	Component string
	// InterfaceID is $.ifid (iothub-interface-id).
	InterfaceID string
	// OutputName is $.on, the output of an edge module.
	OutputName string
}

// size is the sum of the values, as the message size rule counts them.
func (s *SystemProperties) size() int {
	return len(s.MessageID) + len(s.CorrelationID) + len(s.UserID) + len(s.To) + len(s.ContentType) +
		len(s.ContentEncoding) + len(s.Expiry) + len(s.CreationTime) + len(s.Schema) + len(s.Component) +
		len(s.InterfaceID) + len(s.OutputName)
}

// MessageSize is the size that the hub's limits count: body, system property
// values, application property names and values, in bytes.
// Source: IoT Hub devguide, create and read messages (message size).
func MessageSize(s *SystemProperties, p Properties, body []byte) int {
	n := len(body) + s.size()
	for _, q := range p {
		n += len(q.Name) + len(q.Value)
	}
	return n
}

// ValidateMessageID checks a message ID of telemetry or a cloud-to-device
// message: at most 128 bytes; empty is allowed. The documentation names the
// characters of device IDs too, but not what the hub does about others.
func ValidateMessageID(s string) error {
	if len(s) > MaxIDLength {
		return NewError(CodeArgumentInvalid, "The message ID is longer than %d characters.", MaxIDLength)
	}
	return nil
}

// MessageSource says what made a message that the event endpoint hands out.
// Source: IoT Hub devguide, read from the built-in endpoint (iothub-message-source).
type MessageSource string

// The sources.
const (
	MessageSourceTelemetry             MessageSource = "Telemetry"
	MessageSourceTwinChange            MessageSource = "twinChangeEvents"
	MessageSourceDeviceLifecycle       MessageSource = "deviceLifecycleEvents"
	MessageSourceDeviceConnectionState MessageSource = "deviceConnectionStateEvents"
)

// Telemetry is one device-to-cloud message with what the hub stamps on it.
type Telemetry struct {
	// ID is the sending device or module.
	ID         ID
	System     SystemProperties
	Properties Properties
	Body       []byte
	// ModelID is the digital twin model of the connection (dt-dataschema), or "".
	ModelID string
	// GenerationID of the sending identity and how it authenticated.
	GenerationID string
	AuthMethod   AuthMethod
	// Source says what made the message; "" is MessageSourceTelemetry.
	Source MessageSource
	// EnqueuedTime is when the hub took the message.
	EnqueuedTime time.Time
	// Partition, SequenceNumber and Offset place the message in the telemetry
	// log; the log sets them.
	Partition      int
	SequenceNumber int64
	Offset         int64
}

// Ack says for which outcomes a cloud-to-device message wants feedback.
type Ack string

// The four values of iothub-ack.
const (
	AckNone     Ack = "none"
	AckPositive Ack = "positive"
	AckNegative Ack = "negative"
	AckFull     Ack = "full"
)

// ParseAck parses the value of iothub-ack in any case; empty is AckNone. The
// Java service client says positiveOnly and negativeOnly.
// It returns ArgumentInvalid for other text.
func ParseAck(s string) (Ack, error) {
	switch a := Ack(strings.ToLower(s)); a {
	case "":
		return AckNone, nil
	case AckNone, AckPositive, AckNegative, AckFull:
		return a, nil
	case "positiveonly":
		return AckPositive, nil
	case "negativeonly":
		return AckNegative, nil
	}
	return "", NewError(CodeArgumentInvalid, "iothub-ack must be none, positive, negative or full.")
}

// C2DMessage is a cloud-to-device message in its queue.
type C2DMessage struct {
	// ID is the device or module that shall receive it.
	ID         ID
	System     SystemProperties
	Properties Properties
	Body       []byte
	Ack        Ack
	// GenerationID of the device when the message was enqueued.
	GenerationID string
	// SequenceNumber orders the messages of one queue, from 1.
	SequenceNumber uint64
	EnqueuedTime   time.Time
	ExpiryTime     time.Time
	// DeliveryCount is how often a receiver abandoned the message.
	DeliveryCount int
	// Input names the module's input that a route of its edge device chose, From who
	// sent the message, and Priority the route's, 0 first. Input is "" for what a back
	// end sent.
	Input    string
	From     ID
	Priority uint32
}

// Outcome is the terminal state of a cloud-to-device message.
type Outcome string

// The outcomes, spelled as feedback records do.
const (
	OutcomeSuccess               Outcome = "Success"
	OutcomeExpired               Outcome = "Expired"
	OutcomeDeliveryCountExceeded Outcome = "DeliveryCountExceeded"
	OutcomeRejected              Outcome = "Rejected"
	OutcomePurged                Outcome = "Purged"
)

// WantsFeedback reports whether a message with this ack asks to hear of o.
// Source: IoT Hub devguide, cloud-to-device message feedback.
func (a Ack) WantsFeedback(o Outcome) bool {
	switch a {
	case AckPositive:
		return o == OutcomeSuccess
	case AckNegative:
		return o != OutcomeSuccess
	case AckFull:
		return true
	}
	return false
}

// FeedbackRecord tells a back end what became of a message. A feedback message
// holds a JSON array of records.
// Source: IoT Hub devguide, cloud-to-device message feedback.
type FeedbackRecord struct {
	OriginalMessageID  string  `json:"originalMessageId"`
	Description        string  `json:"description"`
	DeviceGenerationID string  `json:"deviceGenerationId"`
	DeviceID           string  `json:"deviceId"`
	ModuleID           string  `json:"moduleId,omitempty"`
	EnqueuedTimeUTC    string  `json:"enqueuedTimeUtc"`
	StatusCode         Outcome `json:"statusCode"`
}

// FeedbackContentType is the content type of a feedback message.
const FeedbackContentType = "application/vnd.microsoft.iothub.feedback.json"
