package iothub

import (
	"strings"
	"time"
	"unicode/utf8"
)

// FileNotificationContentType is the content type of a file notification.
const FileNotificationContentType = "application/vnd.microsoft.iothub.filenotification.json"

// FileNotification tells a back end that a device has uploaded a file.
// Source: IoT Hub devguide, file upload notifications.
type FileNotification struct {
	DeviceID string `json:"deviceId"`
	BlobURI  string `json:"blobUri"`
	BlobName string `json:"blobName"`
	// LastUpdatedTime has an offset where the others have a Z.
	LastUpdatedTime string `json:"lastUpdatedTime"`
	BlobSizeInBytes int64  `json:"blobSizeInBytes"`
	EnqueuedTimeUTC string `json:"enqueuedTimeUtc"`
}

// MaxActiveFileUploads is how many uploads of a device may be under way.
// Source: IoT Hub devguide, quotas and throttling (file uploads).
const MaxActiveFileUploads = 10

// FileUploadSettings are the hub's file upload properties. The zero value is not
// valid; start from DefaultFileUploadSettings.
// Source: IoT Hub devguide, file upload notification configuration options.
type FileUploadSettings struct {
	// SASTTL is how long a device may write its file, 1 min to 24 h.
	SASTTL time.Duration
	// Notifications says whether back ends are told of files.
	Notifications bool
	// NotificationTTL (1 min to 48 h), NotificationMaxDeliveryCount (1 to 100) and
	// NotificationLock (5 to 300 s) rule the queue of file notifications.
	NotificationTTL              time.Duration
	NotificationMaxDeliveryCount int
	NotificationLock             time.Duration
}

// DefaultFileUploadSettings returns the values of a new hub, except that
// notifications are on: whoever tries file upload waits for them.
func DefaultFileUploadSettings() FileUploadSettings {
	return FileUploadSettings{
		SASTTL:                       time.Hour,
		Notifications:                true,
		NotificationTTL:              time.Hour,
		NotificationMaxDeliveryCount: 10,
		NotificationLock:             time.Minute,
	}
}

// Validate returns ArgumentInvalid when a value is out of its bounds.
func (s FileUploadSettings) Validate() error {
	bad := func(what string, from, to any) error {
		return NewError(CodeArgumentInvalid, "The %s must be %v to %v.", what, from, to)
	}
	switch {
	case s.SASTTL < time.Minute || s.SASTTL > 24*time.Hour:
		return bad("time that a device has for writing a file", "1m", "24h")
	case s.NotificationTTL < time.Minute || s.NotificationTTL > 48*time.Hour:
		return bad("time to live of file notifications", "1m", "48h")
	case s.NotificationMaxDeliveryCount < 1 || s.NotificationMaxDeliveryCount > 100:
		return bad("maximum delivery count of file notifications", 1, 100)
	case s.NotificationLock < 5*time.Second || s.NotificationLock > 300*time.Second:
		return bad("lock of file notifications", "5s", "300s")
	}
	return nil
}

// FileUpload is where a device may write a file, in the form of the service.
// Source: IoT Hub devguide, file upload (initialize a file upload).
type FileUpload struct {
	CorrelationID string `json:"correlationId"`
	HostName      string `json:"hostName"`
	ContainerName string `json:"containerName"`
	BlobName      string `json:"blobName"`
	// SASToken begins with a question mark: programs put it behind the address.
	SASToken string `json:"sasToken"`
}

// FileUploadAddress is where a storage account takes a blob. HostName may have a
// port and, as storage emulators do, the account's name as a path behind it.
// SASToken is a secret and begins with a question mark; URI has none.
type FileUploadAddress struct {
	HostName, ContainerName, SASToken, URI string
}

// FileUploadCompletion is what a device says at the end of an upload.
// Source: IoT Hub devguide, file upload (notify IoT Hub of a completed file upload).
type FileUploadCompletion struct {
	CorrelationID     string `json:"correlationId"`
	IsSuccess         *bool  `json:"isSuccess"`
	StatusCode        int    `json:"statusCode"`
	StatusDescription string `json:"statusDescription"`
}

// MaxBlobName is the longest name of a blob in characters, and MaxBlobSegments
// the most parts that slashes divide it into, the device's ID included.
// Source: Naming and referencing containers, blobs, and metadata.
const (
	MaxBlobName     = 1024
	MaxBlobSegments = 254
)

// ValidateBlobName checks the name that a device gives its file.
func ValidateBlobName(name string) error {
	bad := func(why string) error {
		return NewError(CodeInvalidStorageEndpointOrBlob, "The blob name %s.", why)
	}
	switch {
	case name == "":
		return NewError(CodeArgumentNull, "blobName is missing.")
	case !utf8.ValidString(name):
		return bad("is not UTF-8")
	case utf8.RuneCountInString(name) > MaxBlobName-MaxIDLength-1:
		return bad("is too long")
	case strings.Count(name, "/") > MaxBlobSegments-2:
		return bad("has too many parts")
	case strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") || strings.Contains(name, "//"):
		return bad("has an empty part")
	case strings.HasSuffix(name, ".") || strings.Contains(name, "./"):
		return bad("has a part that ends with a dot")
	case strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7F || r == '\\' }):
		return bad("has a control character or a backslash")
	}
	return nil
}
