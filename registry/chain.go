package registry

import (
	"crypto/x509"
	"errors"
	"slices"

	"github.com/hubnerite/hubnerite/iothub"
)

// checkChain verifies a chain, leaf first, for an identity of the type
// certificateAuthority: the common name of the leaf is the identity's, all is
// valid now, and it leads to a CA that is registered and verified, which is
// returned. Revocation lists are not asked, as in the service.
// Source: IoT Hub devguide, authenticate identities with X.509 certificates.
func (r *Registry) checkChain(id iothub.ID, chain []*x509.Certificate) (registeredCA, error) {
	leaf, table, now := chain[0], r.cas.table.Load(), r.real()
	if cn := leaf.Subject.CommonName; cn != id.String() {
		return registeredCA{}, unauthorized("the certificate's common name is %.140q, not %q", cn, id)
	}
	if err := validNow(leaf, now); err != nil {
		return registeredCA{}, unauthorized("the certificate of %s %s", id, err)
	}
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return registeredCA{}, unauthorized("the certificate of %s may not sign (key usage), which a TLS client does", id)
	}
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	options := x509.VerifyOptions{
		Roots: table.verified, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	paths, err := leaf.Verify(options)
	if err != nil {
		options.Roots = table.any
		return registeredCA{}, whyUntrusted(table, leaf, options, err)
	}
	path := paths[0]
	ca, ok := table.with(path[len(path)-1])
	if !ok {
		return registeredCA{}, unauthorized("the chain of %s does not end in a registered CA", id)
	}
	return ca, nil
}

// whyUntrusted explains a chain that was refused. options have the CAs that are
// not verified, too.
func whyUntrusted(table *caTable, leaf *x509.Certificate, options x509.VerifyOptions, err error) error {
	if paths, err := leaf.Verify(options); err == nil {
		path := paths[0]
		if ca, ok := table.with(path[len(path)-1]); ok {
			return unauthorized("the CA %s of the certificate's chain is registered and not verified", ca.Name)
		}
	}
	var unknown x509.UnknownAuthorityError
	switch {
	case len(table.all) == 0:
		return unauthorized("no CA is registered that could vouch for a certificate")
	case errors.As(err, &unknown):
		return unauthorized("the certificate of %.140q, issued by %.140q, leads to no registered CA with the intermediates that were sent (%v)",
			leaf.Subject.CommonName, leaf.Issuer.CommonName, err)
	}
	return unauthorized("the certificate's chain is refused (%v)", err)
}

// Trusts reports whether the CA that a grant relies on, if any, is still
// registered and verified.
func (r *Registry) Trusts(g iothub.Grant) bool {
	return g.CA == "" || slices.ContainsFunc(r.cas.table.Load().all, func(ca registeredCA) bool {
		return ca.Verified && ca.Thumbprint == g.CA
	})
}
