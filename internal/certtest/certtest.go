// Package certtest makes certificate authorities and clients' certificates for
// tests.
package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

// Certificate is a certificate with its key and those that lead to its root.
type Certificate struct {
	*x509.Certificate
	Key crypto.Signer
	// Intermediates are those between it and the root, nearest first.
	Intermediates []*x509.Certificate

	root bool
}

// Change alters a template before it is signed.
type Change func(*x509.Certificate)

// Valid sets the time of validity.
func Valid(from, until time.Time) Change {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = from, until }
}

// Root makes a self-signed authority, valid around now.
func Root(t testing.TB, name string, now time.Time, changes ...Change) *Certificate {
	t.Helper()
	return issue(t, nil, authority(name, now), ecc(t), changes)
}

// Intermediate makes an authority that c has signed.
func (c *Certificate) Intermediate(t testing.TB, name string, changes ...Change) *Certificate {
	t.Helper()
	return issue(t, c, authority(name, c.NotBefore.Add(time.Hour)), ecc(t), changes)
}

// Client makes a certificate for a client, with an ECC key.
func (c *Certificate) Client(t testing.TB, commonName string, changes ...Change) *Certificate {
	t.Helper()
	return issue(t, c, client(commonName, c), ecc(t), changes)
}

// ClientRSA is Client with an RSA key.
func (c *Certificate) ClientRSA(t testing.TB, commonName string, changes ...Change) *Certificate {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return issue(t, c, client(commonName, c), key, changes)
}

// Chain returns the certificate and its intermediates.
func (c *Certificate) Chain() []*x509.Certificate {
	return append([]*x509.Certificate{c.Certificate}, c.Intermediates...)
}

// TLS returns what a TLS client presents: the chain without its root.
func (c *Certificate) TLS() tls.Certificate {
	out := tls.Certificate{PrivateKey: c.Key, Leaf: c.Certificate}
	for _, one := range c.Chain() {
		out.Certificate = append(out.Certificate, one.Raw)
	}
	return out
}

// PEM returns the chain.
func (c *Certificate) PEM() []byte {
	var out []byte
	for _, one := range c.Chain() {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.Raw})...)
	}
	return out
}

// KeyPEM returns the private key.
func (c *Certificate) KeyPEM(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func authority(name string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
}

func client(commonName string, by *Certificate) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: commonName}, NotBefore: by.NotBefore, NotAfter: by.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

func ecc(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue signs a template; without an issuer it signs itself.
func issue(t testing.TB, by *Certificate, template *x509.Certificate, key crypto.Signer, changes []Change) *Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	for _, change := range changes {
		change(template)
	}
	made := &Certificate{Key: key, root: by == nil}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.Certificate, by.Key
		if !by.root {
			made.Intermediates = by.Chain()
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if made.Certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return made
}
