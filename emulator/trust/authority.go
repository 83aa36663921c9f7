package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// Lifetimes. A server certificate of more than 825 days is refused by Apple's
// trust store even under a private authority, hence one year.
const (
	caLifetime     = 10 * 365 * 24 * time.Hour
	serverLifetime = 365 * 24 * time.Hour
	// renewBefore is how long before its end a server certificate is made anew.
	renewBefore = 30 * 24 * time.Hour
	// backdate tolerates clients whose clock runs behind.
	backdate = time.Hour
)

// Authority is a private certificate authority with its key.
type Authority struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// PEM returns the authority's certificate in PEM form.
func (a *Authority) PEM() []byte { return certificatePEM(a.Certificate.Raw) }

// LoadOrCreateAuthority returns the authority kept in dir. It makes one when
// there is none; made says so. An authority that has ended is replaced: every
// client must trust the new one then. A file that is there but unusable is an error, never
// overwritten.
func LoadOrCreateAuthority(dir string, now time.Time) (a *Authority, made bool, err error) {
	return loadOrCreate(filepath.Join(dir, CAFile), filepath.Join(dir, CAKeyFile), "Hubnerite local CA", now)
}

func loadOrCreate(certFile, keyFile, name string, now time.Time) (a *Authority, made bool, err error) {
	certificate, key, err := loadPair(certFile, keyFile)
	switch {
	case err == nil && now.Before(certificate.NotAfter):
		return &Authority{Certificate: certificate, key: key}, false, nil
	case err != nil && exists(certFile):
		return nil, false, fmt.Errorf("certificate authority: %w", err)
	}
	a, err = newAuthority(name, now)
	if err != nil {
		return nil, false, err
	}
	if err := writePair(certFile, a.PEM(), keyFile, a.key); err != nil {
		return nil, false, err
	}
	return a, true, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func newAuthority(name string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		// The name is distinct per authority: some clients look an issuer up by
		// name alone and would try the wrong one.
		Subject:               pkix.Name{Organization: []string{"Hubnerite"}, CommonName: fmt.Sprintf("%s %x", name, serial.Bytes()[:4])},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
	}
	certificate, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &Authority{Certificate: certificate, key: key}, nil
}

// Server returns the server certificate kept in dir for the given names, with
// the authority in its chain. It makes a new one when there is none, when the
// names changed, when it is another authority's, or when its end is near; made
// says so.
func (a *Authority) Server(dir string, names Names, now time.Time) (c tls.Certificate, made bool, err error) {
	certFile, keyFile := filepath.Join(dir, ServerFile), filepath.Join(dir, ServerKeyFile)
	leaf, key, err := loadPair(certFile, keyFile)
	if err != nil || !a.serves(leaf, names, now) {
		// Whatever is wrong with a server certificate of ours, a new one heals it.
		if leaf, key, err = a.issue(names, now); err != nil {
			return c, false, err
		}
		chain := append(certificatePEM(leaf.Raw), a.PEM()...)
		if err := writePair(certFile, chain, keyFile, key); err != nil {
			return c, false, err
		}
		made = true
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, a.Certificate.Raw}, PrivateKey: key, Leaf: leaf}, made, nil
}

// serves reports whether a stored server certificate can be used as it is.
func (a *Authority) serves(leaf *x509.Certificate, names Names, now time.Time) bool {
	end := leaf.NotAfter
	nearEnd := now.Add(renewBefore).After(end) && end.Before(a.Certificate.NotAfter)
	return leaf.CheckSignatureFrom(a.Certificate) == nil && !nearEnd &&
		!now.Before(leaf.NotBefore) && now.Before(end) && names.equal(leaf)
}

// issue makes a server certificate that lasts as long as it may.
func (a *Authority) issue(names Names, now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	end := now.Add(serverLifetime)
	if end.After(a.Certificate.NotAfter) {
		end = a.Certificate.NotAfter
	}
	return a.issueFor(names, now.Add(-backdate), end)
}

func (a *Authority) issueFor(names Names, notBefore, notAfter time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, nil, err
	}
	leaf, err := sign(&x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{"Hubnerite"}, CommonName: "localhost"},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              names.DNS,
		IPAddresses:           names.IP,
	}, a.Certificate, &key.PublicKey, a.key)
	return leaf, key, err
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// newSerial returns a positive number of 127 random bits whose first byte is
// never zero.
func newSerial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return nil, err
	}
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b), nil
}

// loadPair reads the first certificate of a file and the key that belongs to it.
func loadPair(certFile, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certText, err := os.ReadFile(certFile)
	if err != nil {
		return nil, nil, err
	}
	keyText, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, nil, err
	}
	pair, err := tls.X509KeyPair(certText, keyText)
	if err != nil {
		return nil, nil, fmt.Errorf("%s with %s: %w", certFile, keyFile, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("%s: not an ECDSA key", keyFile)
	}
	return pair.Leaf, key, nil
}

// writePair writes the key first: a certificate without its key is never seen.
func writePair(certFile string, certText []byte, keyFile string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	keyText := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := WriteFile(keyFile, keyText, 0o600); err != nil {
		return err
	}
	return WriteFile(certFile, certText, 0o644)
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// WriteFile replaces a file in one step, so that a reader sees the old content
// or the new and nothing between. An unchanged file is left alone.
func WriteFile(path string, content []byte, mode fs.FileMode) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return os.Chmod(path, mode)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
