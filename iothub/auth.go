package iothub

import (
	"strings"
	"time"
)

// AccessRights is a set of permissions on a hub.
// Source: IoT Hub devguide, control access with shared access signatures.
type AccessRights uint8

// The four permissions.
const (
	RegistryRead AccessRights = 1 << iota
	RegistryWrite
	ServiceConnect
	DeviceConnect
)

// Has reports whether r contains every right of want.
func (r AccessRights) Has(want AccessRights) bool { return r&want == want }

// String returns the rights in the form of the resource manager, such as
// "RegistryRead, ServiceConnect".
func (r AccessRights) String() string {
	var names []string
	for _, n := range []struct {
		right AccessRights
		name  string
	}{{RegistryRead, "RegistryRead"}, {RegistryWrite, "RegistryWrite"}, {ServiceConnect, "ServiceConnect"}, {DeviceConnect, "DeviceConnect"}} {
		if r.Has(n.right) {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ", ")
}

// AccessPolicy is a shared access policy of the hub.
type AccessPolicy struct {
	// Name is what tokens carry as skn.
	Name string
	// PrimaryKey and SecondaryKey are base64 text; the decoded bytes sign.
	PrimaryKey, SecondaryKey string
	Rights                   AccessRights
}

// Grant says what a verified credential allows. The zero Grant allows nothing.
type Grant struct {
	// Policy is the shared access policy that signed, or "" when the key or the
	// certificate of an identity did.
	Policy string
	// Identity is the device or module whose own key or certificate was used;
	// zero when a policy signed.
	Identity ID
	Rights   AccessRights
	// Resource is the path below the host that the credential covers, decoded
	// and without slashes at its ends; "" covers the whole hub.
	Resource string
	// Expiry is when the credential ends; zero for a certificate.
	Expiry time.Time
	// CA is the thumbprint of the registered CA that vouched for the identity's
	// certificate; "" when none had to.
	CA string
	// AuthMethod describes the credential as iothub-connection-auth-method does.
	AuthMethod AuthMethod
}

// AuthMethod is how a device authenticated.
// Source: IoT Hub devguide, create and read messages (iothub-connection-auth-method).
type AuthMethod struct {
	// Scope is "hub", "device" or "module".
	Scope string `json:"scope"`
	// Type is "sas", "symkey" or "x509".
	Type string `json:"type"`
	// Issuer is "iothub" for keys; for certificates the issuer.
	Issuer string `json:"issuer"`
	// AcceptingIPFilterRule is always null: the emulator has no IP filter.
	AcceptingIPFilterRule *string `json:"acceptingIpFilterRule"`
}

// Covers reports whether the grant's resource contains path. Both are compared
// by whole segments: a/b covers a/b/c and not a/bc. Device IDs are compared
// exactly. Source: IoT Hub devguide, SAS token structure.
func (g Grant) Covers(path string) bool {
	path = strings.Trim(path, "/")
	return g.Resource == "" || path == g.Resource ||
		strings.HasPrefix(path, g.Resource) && path[len(g.Resource)] == '/'
}

// Allows returns nil when the grant has at least one of the rights and covers
// the path at the given time, and IotHubUnauthorizedAccess otherwise. The hub
// answers missing rights with 401, never 403.
func (g Grant) Allows(rights AccessRights, path string, now time.Time) error {
	switch {
	case g.Rights == 0:
		return NewError(CodeIotHubUnauthorizedAccess, "Unauthorized: no valid credential.")
	case !g.Expiry.IsZero() && !now.Before(g.Expiry):
		return NewError(CodeIotHubUnauthorizedAccess, "Unauthorized: the token expired at %s.", FormatTime(g.Expiry))
	case g.Rights&rights == 0:
		return NewError(CodeIotHubUnauthorizedAccess, "Unauthorized: the credential lacks %s.", rights)
	case !g.Covers(path):
		return NewError(CodeIotHubUnauthorizedAccess, "Unauthorized: the credential does not cover %q.", path)
	}
	return nil
}
