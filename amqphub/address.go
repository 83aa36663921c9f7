package amqphub

import (
	"net/url"
	"strings"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/iothub"
)

// addressKind says which node of the hub an address names.
type addressKind int

const (
	addressUnknown addressKind = iota
	addressCBS
	addressC2D
	addressFeedback
	addressFileNotifications
	addressEvents
	addressDevice
)

// String names the node for messages.
func (k addressKind) String() string {
	return [...]string{
		"unknown node", "$cbs", "cloud-to-device send", "feedback", "file notifications",
		"telemetry reading (Event Hubs-compatible endpoint)", "device links",
	}[k]
}

// addressOf returns the address that a link is for: where the client sends to,
// or receives from.
func addressOf(a *amqp.Attach) string {
	switch {
	case a.Receiver != nil && a.Frame.Target != nil:
		return a.Frame.Target.Address
	case a.Sender != nil && a.Frame.Source != nil:
		return a.Frame.Source.Address
	}
	return ""
}

// classify finds the node of an address. SDKs write bare paths or full URIs
// ("amqps://host:5671/messages/devicebound"), with or without a leading slash,
// and devicebound and servicebound in any case.
func classify(address string) addressKind {
	path := strings.ToLower(pathOf(address))
	switch {
	case path == "$cbs":
		return addressCBS
	case path == "messages/devicebound":
		return addressC2D
	case path == "messages/servicebound/feedback":
		return addressFeedback
	case path == "messages/servicebound/filenotifications", path == "messages/servicebound/fileuploadnotifications":
		return addressFileNotifications
	case path == "messages/events", strings.HasPrefix(path, "messages/events/"),
		strings.Contains(path, "/consumergroups/"), path == "$management", strings.HasSuffix(path, "/$management"):
		return addressEvents
	case strings.HasPrefix(path, "devices/"):
		return addressDevice
	}
	return addressUnknown
}

// pathOf strips scheme and authority of an address, and slashes at its ends.
func pathOf(address string) string {
	if _, rest, ok := strings.Cut(address, "://"); ok {
		_, address, _ = strings.Cut(rest, "/")
	}
	return strings.Trim(address, "/")
}

// parseC2DAddress finds the receiver in the to property of a cloud-to-device
// message: /devices/{id}[/modules/{id}]/messages/devicebound. Node escapes the
// IDs and Python does not.
func parseC2DAddress(to string) (iothub.ID, error) {
	refused := iothub.NewError(iothub.CodeArgumentInvalid,
		"The to property %q must be /devices/{deviceId}[/modules/{moduleId}]/messages/devicebound.", to)
	s := strings.Split(pathOf(to), "/")
	module := len(s) == 6
	if !module && len(s) != 4 || !strings.EqualFold(s[0], "devices") || module && !strings.EqualFold(s[2], "modules") ||
		!strings.EqualFold(s[len(s)-2], "messages") || !strings.EqualFold(s[len(s)-1], "devicebound") {
		return iothub.ID{}, refused
	}
	id := iothub.ID{DeviceID: unescapeID(s[1])}
	if module {
		id.ModuleID = unescapeID(s[3])
		if err := iothub.ValidateModuleID(id.ModuleID); err != nil {
			return iothub.ID{}, err
		}
	}
	return id, iothub.ValidateDeviceID(id.DeviceID)
}

// unescapeID decodes an ID, unless what comes out cannot be one: then its
// percent signs are its own.
func unescapeID(s string) string {
	if u, err := url.PathUnescape(s); err == nil && iothub.ValidateDeviceID(u) == nil {
		return u
	}
	return s
}
