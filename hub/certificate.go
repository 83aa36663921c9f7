package hub

import (
	"context"

	"github.com/hubnerite/hubnerite/iothub"
)

// CACertificates returns the registered certificate authorities by name.
func (h *Hub) CACertificates() []iothub.CACertificate { return h.o.Registry.CACertificates() }

// CACertificate returns one of them, or CertificateNotFound.
func (h *Hub) CACertificate(name string) (iothub.CACertificate, error) {
	return h.o.Registry.CACertificate(name)
}

// PutCACertificate registers a certificate authority or replaces one; see
// registry.PutCACertificate. Whoever was let in by a certificate that is not trusted
// any more is disconnected.
func (h *Hub) PutCACertificate(ctx context.Context, name string, certificate []byte, verified bool) (iothub.CACertificate, error) {
	ca, err := h.o.Registry.PutCACertificate(ctx, name, certificate, verified)
	if err != nil {
		return iothub.CACertificate{}, err
	}
	h.disconnectUntrusted()
	return ca, nil
}

// NewVerificationCode gives a CA a new verification code; see
// registry.NewVerificationCode.
func (h *Hub) NewVerificationCode(ctx context.Context, name string) (iothub.CACertificate, error) {
	return h.o.Registry.NewVerificationCode(ctx, name)
}

// VerifyCACertificate takes the proof of possession; see registry.VerifyCACertificate.
func (h *Hub) VerifyCACertificate(ctx context.Context, name string, proof []byte) (iothub.CACertificate, error) {
	return h.o.Registry.VerifyCACertificate(ctx, name, proof)
}

// DeleteCACertificate removes a CA and disconnects those for whom it vouched.
func (h *Hub) DeleteCACertificate(ctx context.Context, name string) error {
	if err := h.o.Registry.DeleteCACertificate(ctx, name); err != nil {
		return err
	}
	h.disconnectUntrusted()
	return nil
}

// disconnectUntrusted ends the connections of which the CA is gone. One that is
// being made looks for itself once it is attached.
func (h *Hub) disconnectUntrusted() {
	for _, p := range h.allPeers() {
		p.mu.Lock()
		untrusted := p.conn != nil && !h.o.Registry.Trusts(*p.conn.grant.Load())
		p.mu.Unlock()
		if untrusted {
			h.disconnect(p, iothub.NewError(iothub.CodeIotHubUnauthorizedAccess, "The CA that vouched for %q was removed.", p.id))
		}
		h.release(p)
	}
}
