package registry

import (
	"context"
	"crypto/sha1" //nolint:gosec // thumbprints of X.509 certificates are SHA-1 by custom
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// unauthorized is the one refusal of credentials; the text says why, for the
// developer who reads it, and never holds a key or a token.
func unauthorized(format string, args ...any) *iothub.Error {
	return iothub.NewError(iothub.CodeIotHubUnauthorizedAccess, "Unauthorized: %s.", fmt.Sprintf(format, args...))
}

// CheckToken verifies a shared access signature: its form, its HMAC, its host
// and its expiry, by the policy named in skn or else by the key of the identity
// that sr names. It returns IotHubUnauthorizedAccess with a message that names
// the reason. That an identity named by a policy's token exists and is enabled
// is Admit's job.
func (r *Registry) CheckToken(ctx context.Context, token string) (iothub.Grant, error) {
	policies := r.access.now.Load()
	grant, known := policies.tokens.get(token)
	if !known {
		var err error
		if grant, err = r.verifyToken(ctx, policies, token); err != nil {
			return iothub.Grant{}, err
		}
	}
	if now := r.now(); !now.Before(grant.Expiry) {
		return iothub.Grant{}, unauthorized("the token expired at %s, and it is %s", iothub.FormatTime(grant.Expiry), iothub.FormatTime(now))
	}
	return grant, nil
}

// verifyToken is CheckToken but for the expiry.
func (r *Registry) verifyToken(ctx context.Context, policies *policyTable, token string) (iothub.Grant, error) {
	t, err := parseSASToken(token)
	if err != nil {
		return iothub.Grant{}, unauthorized("%v", err)
	}
	if !r.ownsHost(t.host, t.path) {
		return iothub.Grant{}, unauthorized("the token is for host %q, which is not a name of this hub", t.host)
	}
	grant := iothub.Grant{Resource: t.path, Expiry: t.expiry}
	if t.policy == "" {
		err = r.checkIdentityToken(ctx, t, &grant)
		return grant, err
	}
	if err := policies.check(t, &grant); err != nil {
		return iothub.Grant{}, err
	}
	policies.tokens.add(token, grant)
	return grant, nil
}

// check verifies a token that a policy signed.
func (policies *policyTable) check(t sasToken, g *iothub.Grant) error {
	p, ok := policies.named(t.policy)
	if !ok {
		return unauthorized("there is no access policy %q", t.policy)
	}
	if !t.signedBy(p.keys) {
		return unauthorized("the signature does not match a key of policy %q", t.policy)
	}
	g.Policy, g.Rights = p.Name, p.Rights
	g.AuthMethod = iothub.AuthMethod{Scope: "hub", Type: "sas", Issuer: "iothub"}
	return nil
}

func (r *Registry) checkIdentityToken(ctx context.Context, t sasToken, g *iothub.Grant) error {
	id, ok := identityOfPath(t.path)
	if !ok {
		return unauthorized("the token names neither a policy (skn) nor a device (sr)")
	}
	rec, err := r.records.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return unauthorized("%s is not registered", id)
	} else if err != nil {
		return err
	}
	auth := rec.Identity.Authentication
	if auth.Type != iothub.AuthSAS {
		return unauthorized("%s authenticates by %s, not by a key", id, auth.Type)
	}
	keys, err := signingKeys(auth.SymmetricKey.PrimaryKey, auth.SymmetricKey.SecondaryKey)
	if err != nil {
		return err
	}
	if !t.signedBy(keys) {
		return unauthorized("the signature does not match a key of %s", id)
	}
	g.Identity, g.Rights = id, iothub.DeviceConnect
	g.AuthMethod = iothub.AuthMethod{Scope: scopeOf(id), Type: "sas", Issuer: "iothub"}
	return nil
}

func scopeOf(id iothub.ID) string {
	if id.IsModule() {
		return "module"
	}
	return "device"
}

// identityOfPath returns the identity that a resource path names or lies below.
func identityOfPath(path string) (iothub.ID, bool) {
	s := strings.Split(path, "/")
	if len(s) < 2 || !strings.EqualFold(s[0], "devices") || s[1] == "" {
		return iothub.ID{}, false
	}
	id := iothub.ID{DeviceID: s[1]}
	if len(s) >= 4 && strings.EqualFold(s[2], "modules") {
		id.ModuleID = s[3]
	}
	return id, true
}

// CheckCertificate verifies a client's certificate chain, leaf first, for id: the SHA-1 or
// SHA-256 thumbprint of a selfSigned identity, whoever signed the certificate; the common name and a way
// to a registered CA for certificateAuthority, whatever the thumbprint.
// Source: IoT Hub devguide, authenticate identities with X.509 certificates.
func (r *Registry) CheckCertificate(ctx context.Context, id iothub.ID, chain []*x509.Certificate) (iothub.Grant, error) {
	if len(chain) == 0 {
		return iothub.Grant{}, unauthorized("no client certificate was presented")
	}
	rec, err := r.records.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return iothub.Grant{}, unauthorized("%s is not registered", id)
	} else if err != nil {
		return iothub.Grant{}, err
	}
	grant := iothub.Grant{
		Identity: id, Rights: iothub.DeviceConnect, Resource: id.ResourcePath(),
		AuthMethod: iothub.AuthMethod{Scope: scopeOf(id), Type: "x509", Issuer: "external"},
	}
	leaf, auth := chain[0], rec.Identity.Authentication
	switch auth.Type {
	case iothub.AuthCertificateAuthority:
		ca, err := r.checkChain(id, chain)
		if err != nil {
			return iothub.Grant{}, err
		}
		grant.CA = ca.Thumbprint
	case iothub.AuthSelfSigned:
		if !thumbprintMatches(leaf, auth.X509Thumbprint) {
			return iothub.Grant{}, unauthorized("%s authenticates by thumbprint, and the certificate's is not one of its own", id)
		}
		if err := validNow(leaf, r.real()); err != nil {
			return iothub.Grant{}, unauthorized("the certificate of %s %s", id, err)
		}
	default:
		return iothub.Grant{}, unauthorized("%s authenticates by %s, not by a certificate", id, auth.Type)
	}
	return grant, nil
}

func thumbprintMatches(cert *x509.Certificate, t iothub.X509Thumbprint) bool {
	sum1, sum256 := sha1.Sum(cert.Raw), sha256.Sum256(cert.Raw) //nolint:gosec // see the import
	for _, want := range []*string{t.PrimaryThumbprint, t.SecondaryThumbprint} {
		if want != nil && (strings.EqualFold(*want, hex.EncodeToString(sum1[:])) ||
			strings.EqualFold(*want, hex.EncodeToString(sum256[:]))) {
			return true
		}
	}
	return false
}

// Admit checks that id may use a device endpoint under the grant: the grant has
// DeviceConnect and covers it, the CA behind it is still trusted, id exists, and
// its device is enabled.
func (r *Registry) Admit(ctx context.Context, id iothub.ID, g iothub.Grant) (iothub.Identity, error) {
	if err := g.Allows(iothub.DeviceConnect, id.ResourcePath(), r.now()); err != nil {
		return iothub.Identity{}, err
	}
	// A device's key does not open its modules, though its path is a prefix of theirs.
	if g.Policy == "" && g.Identity != id {
		return iothub.Identity{}, unauthorized("the credential of %s is not one of %s", g.Identity, id)
	}
	if !r.Trusts(g) {
		return iothub.Identity{}, unauthorized("the CA that vouched for %s is no longer registered and verified", id)
	}
	rec, err := r.get(ctx, id)
	if err != nil {
		return iothub.Identity{}, err
	}
	device := rec.Identity
	if id.IsModule() {
		rec, err := r.get(ctx, id.Device())
		if err != nil {
			return iothub.Identity{}, err
		}
		device = rec.Identity
	}
	if device.Status == iothub.StatusDisabled {
		return iothub.Identity{}, unauthorized("device %s is disabled", id.DeviceID)
	}
	return rec.Identity, nil
}
