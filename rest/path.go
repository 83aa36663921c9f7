package rest

import (
	"net/url"
	"strings"
)

// canonicalPath brings an escaped path into the form of the routes: one slash
// at the end dropped, the fixed segments decoded and in lower case, since the
// service compares them without case and SDKs differ (deviceBound, devicebound).
// Identities and lock tokens stay as they are, escapes included.
func canonicalPath(escaped string) string {
	segments := strings.Split(strings.TrimPrefix(escaped, "/"), "/")
	if n := len(segments); n > 1 && segments[n-1] == "" {
		segments = segments[:n-1]
	}
	for i, s := range segments {
		if !fixedSegment(segments, i) {
			continue
		}
		if decoded, err := url.PathUnescape(s); err == nil && !strings.Contains(decoded, "/") {
			segments[i] = strings.ToLower(decoded)
		}
	}
	return "/" + strings.Join(segments, "/")
}

// fixedSegment reports whether segment i is a word of the API and not a name.
// The segments before it are in lower case already.
func fixedSegment(segments []string, i int) bool {
	switch {
	case i == 0:
		return true
	case segments[0] == "devices" || segments[0] == "twins":
		return fixedBelowIdentity(segments[2:], i-2)
	case segments[0] == "messages":
		// messages/servicebound/feedback/{lockToken}/abandon
		return i != 3
	case segments[0] == "digitaltwins":
		return i%2 == 0
	}
	return segments[0] == "statistics" || segments[0] == "$iothub" || segments[0] == "$servicebus"
}

// fixedBelowIdentity is fixedSegment for what follows devices/{id}.
func fixedBelowIdentity(segments []string, i int) bool {
	switch {
	case i < 0:
		return false
	case i == 0:
		return true
	case segments[0] == "modules":
		return i >= 2 && fixedBelowIdentity(segments[2:], i-2)
	}
	// messages/devicebound/{lockToken}/abandon and files/notifications/{id}
	return i != 2
}

// resourcePath returns the decoded form of a canonical path without its
// leading slash, as the scope of a token is compared with it.
func resourcePath(canonical string) string {
	decoded, err := url.PathUnescape(strings.TrimPrefix(canonical, "/"))
	if err != nil {
		return strings.TrimPrefix(canonical, "/")
	}
	return decoded
}
