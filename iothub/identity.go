package iothub

import (
	"encoding/json"
	"strconv"
	"time"
)

// Status says whether an identity may connect. Modules have none of their own
// and follow their device.
type Status string

// The two statuses.
const (
	StatusEnabled  Status = "enabled"
	StatusDisabled Status = "disabled"
)

// AuthenticationType is how an identity proves itself.
type AuthenticationType string

// The four types.
const (
	AuthSAS                  AuthenticationType = "sas"
	AuthSelfSigned           AuthenticationType = "selfSigned"
	AuthCertificateAuthority AuthenticationType = "certificateAuthority"
	AuthNone                 AuthenticationType = "none"
)

// SymmetricKey is a pair of base64 keys of 16 to 64 bytes each.
type SymmetricKey struct {
	PrimaryKey   string `json:"primaryKey"`
	SecondaryKey string `json:"secondaryKey"`
}

// MarshalJSON writes null for a key that is not set, as the service does for
// identities without symmetric keys.
func (k SymmetricKey) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		PrimaryKey   *string `json:"primaryKey"`
		SecondaryKey *string `json:"secondaryKey"`
	}{stringOrNull(k.PrimaryKey), stringOrNull(k.SecondaryKey)})
}

// X509Thumbprint is a pair of SHA-1 (40) or SHA-256 (64) hex thumbprints. The
// service sends null for one that is not set.
type X509Thumbprint struct {
	PrimaryThumbprint   *string `json:"primaryThumbprint"`
	SecondaryThumbprint *string `json:"secondaryThumbprint"`
}

// Authentication is the credential of an identity.
type Authentication struct {
	SymmetricKey   SymmetricKey       `json:"symmetricKey"`
	X509Thumbprint X509Thumbprint     `json:"x509Thumbprint"`
	Type           AuthenticationType `json:"type"`
}

// Capabilities of a device.
type Capabilities struct {
	IoTEdge bool `json:"iotEdge"`
}

// Identity is what the registry knows of a device or module. Everything here
// survives a restart; connection state and queue depth are the hub's knowledge.
// Source: Device and Module of the IoT Hub service API 2021-04-12.
type Identity struct {
	ID ID
	// GenerationID tells re-created identities apart: digits, new on each create.
	GenerationID string
	// ETag moves with every write of the identity: base64 of a decimal counter,
	// without quotes.
	ETag              string
	Status            Status
	StatusReason      string
	StatusUpdatedTime time.Time
	Authentication    Authentication
	// Capabilities, DeviceScope and ParentScopes are for devices only.
	Capabilities Capabilities
	DeviceScope  string
	ParentScopes []string
	// ManagedBy is for modules only; empty is null on the wire.
	ManagedBy string
}

// ConnectionInfo is what the hub knows of an identity beside what is in the registry.
type ConnectionInfo struct {
	Connected        bool
	StateUpdatedTime time.Time
	LastActivityTime time.Time
	// C2DCount is the number of waiting cloud-to-device messages.
	C2DCount int
	// Configurations is what automatic device management says of the twin, by
	// configuration ID: {"fw": {"status": "Applied"}}; nil for nothing.
	Configurations map[string]any
}

// ConnectionState returns "Connected" or "Disconnected".
func (c ConnectionInfo) ConnectionState() string {
	if c.Connected {
		return "Connected"
	}
	return "Disconnected"
}

// MarshalIdentity returns the JSON of a device or a module as the registry
// operations answer it. Source: Device and Module, service API 2021-04-12.
func MarshalIdentity(i Identity, c ConnectionInfo) ([]byte, error) {
	b := append(make([]byte, 0, 1024), '{')
	if i.ID.IsModule() {
		b = appendJSONString(appendJSONMember(b, "moduleId"), i.ID.ModuleID)
		b = appendJSONText(b, "managedBy", i.ManagedBy)
	}
	b = appendJSONString(appendJSONMember(b, "deviceId"), i.ID.DeviceID)
	b = appendJSONString(appendJSONMember(b, "generationId"), i.GenerationID)
	b = appendJSONString(appendJSONMember(b, "etag"), i.ETag)
	b = appendJSONString(appendJSONMember(b, "connectionState"), c.ConnectionState())
	if !i.ID.IsModule() {
		b = appendJSONString(appendJSONMember(b, "status"), string(i.Status))
		b = appendJSONText(b, "statusReason", i.StatusReason)
		b = appendJSONTime(b, "statusUpdatedTime", i.StatusUpdatedTime)
	}
	b = appendJSONTime(b, "connectionStateUpdatedTime", c.StateUpdatedTime)
	b = appendJSONTime(b, "lastActivityTime", c.LastActivityTime)
	b = strconv.AppendInt(appendJSONMember(b, "cloudToDeviceMessageCount"), int64(c.C2DCount), 10)
	b = appendAuthentication(appendJSONMember(b, "authentication"), i.Authentication)
	if !i.ID.IsModule() {
		b = appendJSONScopes(b, i)
	}
	return append(b, '}'), nil
}

func stringOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// IdentityRequest is the body of a create or replace call. Absent members are
// nil or empty, which on a full replace means their default.
type IdentityRequest struct {
	DeviceID       string                 `json:"deviceId"`
	ModuleID       string                 `json:"moduleId"`
	ETag           string                 `json:"etag"`
	Status         Status                 `json:"status"`
	StatusReason   *string                `json:"statusReason"`
	Authentication *AuthenticationRequest `json:"authentication"`
	Capabilities   *Capabilities          `json:"capabilities"`
	DeviceScope    string                 `json:"deviceScope"`
	ParentScopes   []string               `json:"parentScopes"`
	ManagedBy      *string                `json:"managedBy"`
}

// AuthenticationRequest is the authentication of an IdentityRequest; every part
// may be absent.
type AuthenticationRequest struct {
	SymmetricKey   *SymmetricKey      `json:"symmetricKey"`
	X509Thumbprint *X509Thumbprint    `json:"x509Thumbprint"`
	Type           AuthenticationType `json:"type"`
}
