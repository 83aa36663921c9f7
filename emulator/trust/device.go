package trust

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"path/filepath"
	"time"
)

// Names of the files of the authority that issues certificates to devices for
// tests. No client has to trust it: the hub does.
const (
	DeviceCAFile    = "device-ca.pem"
	DeviceCAKeyFile = "device-ca-key.pem"
)

// LoadOrCreateDeviceAuthority is LoadOrCreateAuthority for the authority of
// devices' certificates.
func LoadOrCreateDeviceAuthority(dir string, now time.Time) (a *Authority, made bool, err error) {
	return loadOrCreate(filepath.Join(dir, DeviceCAFile), filepath.Join(dir, DeviceCAKeyFile), "Hubnerite test devices", now)
}

// IssueClient signs a certificate for the client that has the private key to
// public, and returns it with the authority's, as PEM. It ends with the
// authority at the latest.
func (a *Authority) IssueClient(public crypto.PublicKey, commonName string, notBefore, notAfter time.Time) ([]byte, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	if notAfter.After(a.Certificate.NotAfter) {
		notAfter = a.Certificate.NotAfter
	}
	leaf, err := sign(&x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: commonName}, NotBefore: notBefore, NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}, a.Certificate, public, a.key)
	if err != nil {
		return nil, err
	}
	return append(certificatePEM(leaf.Raw), a.PEM()...), nil
}
