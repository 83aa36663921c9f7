package hub

import (
	"context"
	"crypto/x509"

	"github.com/hubnerite/hubnerite/iothub"
)

// Credential is what a client presents: a shared access signature or a
// certificate chain, leaf first. A token counts when both are there.
type Credential struct {
	Token        string
	Certificates []*x509.Certificate
}

// Authenticate verifies a shared access signature and says what it allows,
// whoever signed it; see registry.CheckToken.
func (h *Hub) Authenticate(ctx context.Context, token string) (iothub.Grant, error) {
	return h.o.Registry.CheckToken(ctx, token)
}

// AuthenticateDevice verifies a credential for a device endpoint of id: token
// or certificate, existence, enabled status, DeviceConnect and scope.
func (h *Hub) AuthenticateDevice(ctx context.Context, id iothub.ID, c Credential) (iothub.Grant, error) {
	var (
		g   iothub.Grant
		err error
	)
	switch {
	case c.Token != "":
		g, err = h.o.Registry.CheckToken(ctx, c.Token)
	case len(c.Certificates) > 0:
		g, err = h.o.Registry.CheckCertificate(ctx, id, c.Certificates)
	default:
		err = iothub.NewError(iothub.CodeIotHubUnauthorizedAccess, "Unauthorized: neither a token nor a certificate was presented.")
	}
	if err != nil {
		return iothub.Grant{}, err
	}
	if _, err := h.o.Registry.Admit(ctx, id, g); err != nil {
		return iothub.Grant{}, err
	}
	return g, nil
}

// Authorize returns nil when the grant, still valid now, has at least one of
// the rights on path ("" is the hub itself), else IotHubUnauthorizedAccess.
func (h *Hub) Authorize(g iothub.Grant, rights iothub.AccessRights, path string) error {
	return g.Allows(rights, path, h.now())
}
