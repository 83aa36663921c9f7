// Package registry knows who exists and who may enter: identities, keys, access
// policies, shared access signatures, certificates, twins and etags. What it
// says is true after a restart; what happens now belongs to package hub.
package registry

import (
	"context"
	"crypto/x509"
	"log/slog"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// Options configure a Registry. Records is required.
type Options struct {
	Records store.Records
	// OwnsHost reports whether a host name (lower case, without port) is one of this hub's
	// names: the resource of a token must begin with one. nil accepts any name.
	OwnsHost func(host string) bool
	// Policies are the shared access policies; nil means DefaultPolicies.
	Policies []iothub.AccessPolicy
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger takes debug lines; nil discards.
	Logger *slog.Logger
}

// Registry implements the identity registry. It is safe for concurrent use.
type Registry struct{}

// New returns a registry over the given records.
func New(o Options) (*Registry, error) { panic("unwritten") }

// Policies returns the shared access policies.
func (r *Registry) Policies() []iothub.AccessPolicy { panic("unwritten") }

// CheckToken verifies a shared access signature: its form, its HMAC, its host and its expiry, by
// the policy named in skn or else by the key of the identity that sr names. It
// returns IotHubUnauthorizedAccess with a message that names the reason. The
// existence and status of an identity named by a policy token are Admit's job.
func (r *Registry) CheckToken(ctx context.Context, token string) (iothub.Grant, error) {
	panic("unwritten")
}

// CheckCertificate verifies a client's certificate chain for id: the thumbprint
// of a selfSigned identity, or a chain to a registered CA with the ID as common
// name (without any registered CA: refused with that reason).
func (r *Registry) CheckCertificate(ctx context.Context, id iothub.ID, chain []*x509.Certificate) (iothub.Grant, error) {
	panic("unwritten")
}

// Admit checks that id may use a device endpoint under the grant: it exists, it
// and its device are enabled, and the grant has DeviceConnect and covers it.
func (r *Registry) Admit(ctx context.Context, id iothub.ID, g iothub.Grant) (iothub.Identity, error) {
	panic("unwritten")
}

// Create adds a device or module, making keys that the request leaves out.
// Errors: DeviceAlreadyExists, ModuleAlreadyExistsOnDevice, DeviceNotFound (of a
// module's device), ArgumentInvalid, TooManyModulesOnDevice.
func (r *Registry) Create(ctx context.Context, id iothub.ID, req iothub.IdentityRequest) (iothub.Identity, error) {
	panic("unwritten")
}

// Replace writes all of an identity. ifMatch is an etag, quoted or bare, or *
// or "*". Errors: DeviceNotFound, ModuleNotFound, PreconditionFailed, ArgumentInvalid.
func (r *Registry) Replace(ctx context.Context, id iothub.ID, req iothub.IdentityRequest, ifMatch string) (iothub.Identity, error) {
	panic("unwritten")
}

// Get returns an identity, or DeviceNotFound or ModuleNotFound.
func (r *Registry) Get(ctx context.Context, id iothub.ID) (iothub.Identity, error) {
	panic("unwritten")
}

// Delete removes an identity, its twin, its modules and its queues. An empty
// ifMatch is refused with PreconditionFailed ("Etag missing").
func (r *Registry) Delete(ctx context.Context, id iothub.ID, ifMatch string) error {
	panic("unwritten")
}

// ListDevices returns up to top devices in ID order; top outside 1 to 1000 means 1000.
func (r *Registry) ListDevices(ctx context.Context, top int) ([]iothub.Identity, error) {
	panic("unwritten")
}

// ListModules returns the modules of a device, or DeviceNotFound.
func (r *Registry) ListModules(ctx context.Context, deviceID string) ([]iothub.Identity, error) {
	panic("unwritten")
}

// Counts returns the number of stored identities.
func (r *Registry) Counts(ctx context.Context) (store.Counts, error) { panic("unwritten") }

// Twin returns an identity and its twin, or DeviceNotFound or ModuleNotFound.
func (r *Registry) Twin(ctx context.Context, id iothub.ID) (iothub.Identity, iothub.Twin, error) {
	panic("unwritten")
}

// PatchTwin merges a back end's patch. ifMatch may be empty. It returns the
// identity and the twin after the write. Errors: DeviceNotFound, ModuleNotFound, PreconditionFailed,
// ArgumentInvalid.
func (r *Registry) PatchTwin(ctx context.Context, id iothub.ID, p iothub.TwinPatch, ifMatch string) (iothub.Identity, iothub.Twin, error) {
	panic("unwritten")
}

// ReplaceTwin sets tags and desired properties wholly, under the rules of PatchTwin.
func (r *Registry) ReplaceTwin(ctx context.Context, id iothub.ID, p iothub.TwinPatch, ifMatch string) (iothub.Identity, iothub.Twin, error) {
	panic("unwritten")
}

// Report merges a device's patch into the reported properties. A non-nil
// ifVersion must equal the current reported version: PreconditionFailed otherwise.
func (r *Registry) Report(ctx context.Context, id iothub.ID, patch map[string]any, ifVersion *int64) (iothub.Twin, error) {
	panic("unwritten")
}

// SetModelID remembers the digital twin model that a device announced; it moves no etag.
func (r *Registry) SetModelID(ctx context.Context, id iothub.ID, modelID string) error {
	panic("unwritten")
}

// MQTTSession returns the stored subscriptions of id (topic filter to QoS), nil when there is no session.
func (r *Registry) MQTTSession(ctx context.Context, id iothub.ID) (map[string]byte, error) {
	panic("unwritten")
}

// SetMQTTSession stores the subscriptions of id; nil ends the session. No etag moves.
func (r *Registry) SetMQTTSession(ctx context.Context, id iothub.ID, subscriptions map[string]byte) error {
	panic("unwritten")
}
