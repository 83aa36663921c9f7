package broker

import (
	"strings"

	"github.com/hubnerite/hubnerite/iothub"
)

// userName is what the user name of a CONNECT says.
type userName struct {
	// host is the hub's name as the client sees it, perhaps with a port.
	host       string
	apiVersion string
	// clientType is the SDK's description of itself, decoded; for logs.
	clientType string
	modelID    string
}

// parseUserName parses
//
//	{host}/{clientId}/?api-version=...&DeviceClientType=...&model-id=...
//
// where the slash and the question mark before the parameters, and the
// parameters themselves, may be missing, and IDs and values may be
// percent-encoded or not. The client identifier is the guide, because a device
// ID may hold ? and =. A name without host or ID is IotHubFormatError, one for
// another ID is ArgumentInvalid.
// Source: IoT Hub, communicate using the MQTT protocol (configuring CONNECT).
func parseUserName(name string, id iothub.ID) (userName, error) {
	host, rest, ok := strings.Cut(name, "/")
	if !ok || host == "" || rest == "" {
		return userName{}, iothub.NewError(iothub.CodeIotHubFormatError, "the user name must be {host}/{deviceId}/?api-version=...")
	}
	rest, ok = cutID(rest, id.DeviceID)
	if ok && id.IsModule() {
		rest, ok = strings.CutPrefix(rest, "/")
		if ok {
			rest, ok = cutID(rest, id.ModuleID)
		}
	}
	u := userName{host: host}
	if ok {
		rest, ok = cutParameterMark(rest)
	}
	if !ok {
		return userName{}, iothub.NewError(iothub.CodeArgumentInvalid, "the user name and the client identifier name different devices")
	}
	for more := rest != ""; more; {
		var item string
		item, rest, more = strings.Cut(rest, "&")
		key, value, _ := strings.Cut(item, "=")
		switch key {
		case "api-version":
			u.apiVersion = unescape(value)
		case "DeviceClientType":
			u.clientType = unescape(value)
		case "model-id":
			u.modelID = unescape(value)
		}
	}
	return u, nil
}

// cutID cuts id from the front of s: as it is, or as an encoded segment.
func cutID(s, id string) (rest string, ok bool) {
	if rest, ok = strings.CutPrefix(s, id); ok && (rest == "" || rest[0] == '/' || rest[0] == '?') {
		return rest, true
	}
	end := strings.IndexAny(s, "/?")
	if end < 0 {
		end = len(s)
	}
	return s[end:], unescape(s[:end]) == id
}

// cutParameterMark cuts what stands between the ID and the parameters: "/?", "?"
// or "/". A further segment without a parameter is another ID.
func cutParameterMark(s string) (rest string, ok bool) {
	switch {
	case s == "" || s == "/":
		return "", true
	case s[0] == '?':
		return s[1:], true
	case strings.HasPrefix(s, "/?"):
		return s[2:], true
	}
	key, _, found := strings.Cut(s[1:], "=")
	return s[1:], found && !strings.ContainsAny(key, "/?")
}
