package hub

import (
	"context"
	"crypto/x509"

	"github.com/hubnerite/hubnerite/iothub"
)

// Credential is what a client presents: a shared access signature or a
// certificate chain, leaf first.
type Credential struct {
	Token        string
	Certificates []*x509.Certificate
}

// Authenticate verifies a shared access signature and says what it allows,
// whoever signed it; see registry.CheckToken.
func (h *Hub) Authenticate(ctx context.Context, token string) (iothub.Grant, error) {
	panic("unwritten")
}

// AuthenticateDevice verifies a credential for a device endpoint of id: token
// or certificate, existence, enabled status, DeviceConnect and scope.
func (h *Hub) AuthenticateDevice(ctx context.Context, id iothub.ID, c Credential) (iothub.Grant, error) {
	panic("unwritten")
}

// Authorize returns nil when the grant, still valid now, has at least one of
// the rights on path ("" is the hub itself), else IotHubUnauthorizedAccess.
func (h *Hub) Authorize(g iothub.Grant, rights iothub.AccessRights, path string) error {
	panic("unwritten")
}
