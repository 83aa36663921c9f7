package iothub

import "time"

// Sizes in bytes and counts. Source: IoT Hub devguide, quotas and throttling;
// understand and use device twins; direct methods; cloud-to-device messages.
const (
	// MaxTelemetrySize counts body, system property values and application
	// property names and values of one device-to-cloud message or batch.
	MaxTelemetrySize = 256 << 10
	// MaxTelemetryBatch is the most messages one batch may hold.
	MaxTelemetryBatch = 500
	// MaxC2DSize counts like MaxTelemetrySize.
	MaxC2DSize = 64 << 10
	// MaxC2DQueue is the most messages that wait for one device or module.
	MaxC2DQueue = 50
	// MaxMethodPayload is the largest payload of a direct method, each way.
	MaxMethodPayload = 128 << 10
	// MaxTagsSize, MaxDesiredSize and MaxReportedSize bound the twin sections.
	MaxTagsSize     = 8 << 10
	MaxDesiredSize  = 32 << 10
	MaxReportedSize = 32 << 10
	// MaxTwinDepth is the deepest nesting of objects in a twin section, and of arrays.
	MaxTwinDepth = 10
	// MaxTwinKey and MaxTwinString are the longest property name and text.
	MaxTwinKey    = 1024
	MaxTwinString = 4096
	// MaxTwinInteger and MinTwinInteger bound whole numbers.
	MaxTwinInteger = 4503599627370495
	MinTwinInteger = -4503599627370496
	// MaxModules is the most modules of one device.
	MaxModules = 50
	// MaxIdentities is the most devices and modules of a hub.
	MaxIdentities = 1_000_000
	// MaxBulkDevices is the most entries of one bulk registry operation.
	MaxBulkDevices = 100
	// MaxStatusReason is the longest status reason in characters.
	MaxStatusReason = 128
	// MaxListedDevices is the most identities that one list call returns.
	MaxListedDevices = 1000
	// MaxAccessPolicies is the most shared access policies of a hub.
	MaxAccessPolicies = 16
	// MaxSubscriptions is the most MQTT subscriptions of one device.
	MaxSubscriptions = 5
)

// Fixed times.
const (
	// C2DLock is how long a received cloud-to-device message stays invisible.
	C2DLock = 60 * time.Second
	// DefaultResponseTimeout is how long a direct method waits for its answer.
	DefaultResponseTimeout = 30 * time.Second
	// MinResponseTimeout and MaxMethodTimeout bound what a caller may ask for.
	MinResponseTimeout = 5 * time.Second
	MaxMethodTimeout   = 300 * time.Second
)

// C2DSettings are the hub's cloud-to-device properties. The zero value is not
// valid; start from DefaultC2DSettings.
// Source: IoT Hub devguide, cloud-to-device configuration options.
type C2DSettings struct {
	// DefaultTTL is the time to live of a message without an expiry, 1 min to 48 h.
	DefaultTTL time.Duration
	// MaxDeliveryCount is how often a message may be abandoned, 1 to 100.
	MaxDeliveryCount int
	// FeedbackTTL, FeedbackMaxDeliveryCount and FeedbackLock (5 to 300 s) rule
	// the hub's feedback queue.
	FeedbackTTL              time.Duration
	FeedbackMaxDeliveryCount int
	FeedbackLock             time.Duration
}

// DefaultC2DSettings returns the values of a new hub.
func DefaultC2DSettings() C2DSettings {
	return C2DSettings{
		DefaultTTL:               time.Hour,
		MaxDeliveryCount:         10,
		FeedbackTTL:              time.Hour,
		FeedbackMaxDeliveryCount: 10,
		FeedbackLock:             time.Minute,
	}
}
