package registry

import (
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // thumbprints of X.509 certificates are SHA-1 by custom
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// caCollection holds the registered certificate authorities under their names
// in lower case.
const caCollection = "certificates"

// authorities are the registered CAs. Who authenticates reads the table, which
// is replaced as a whole; mu is for those who change it.
type authorities struct {
	documents store.Documents
	mu        sync.Mutex
	table     atomic.Pointer[caTable]
}

// registeredCA is a CA with its parsed certificate and its document's revision.
type registeredCA struct {
	iothub.CACertificate
	certificate *x509.Certificate
	revision    uint64
}

// caDocument is a CA as stored.
type caDocument struct {
	Name             string    `json:"name"`
	DER              []byte    `json:"der"`
	Verified         bool      `json:"verified"`
	VerificationCode string    `json:"verificationCode,omitempty"`
	Created          time.Time `json:"created"`
	Updated          time.Time `json:"updated"`
}

// loadCAs reads what is registered. Without documents nothing can be.
func (r *Registry) loadCAs(ctx context.Context, documents store.Documents) error {
	r.cas.documents = documents
	r.cas.table.Store(newCATable(nil))
	if documents == nil {
		return nil
	}
	var all []registeredCA
	for resume := ""; ; {
		page, next, err := documents.ListDocuments(ctx, caCollection, "", resume, 100)
		if err != nil {
			return err
		}
		for _, d := range page {
			var stored caDocument
			if err := json.Unmarshal(d.Payload, &stored); err != nil {
				return fmt.Errorf("registry: stored CA %q: %w", d.Key, err)
			}
			certificate, err := x509.ParseCertificate(stored.DER)
			if err != nil {
				return fmt.Errorf("registry: stored CA %q: %w", d.Key, err)
			}
			ca := newRegisteredCA(stored.Name, certificate)
			ca.Verified, ca.VerificationCode = stored.Verified, stored.VerificationCode
			ca.Created, ca.Updated, ca.revision = stored.Created, stored.Updated, d.Revision
			all = append(all, ca)
		}
		if resume = next; next == "" {
			break
		}
	}
	r.cas.table.Store(newCATable(all))
	return nil
}

func newRegisteredCA(name string, certificate *x509.Certificate) registeredCA {
	sum := sha1.Sum(certificate.Raw) //nolint:gosec // see the import
	return registeredCA{certificate: certificate, CACertificate: iothub.CACertificate{
		Name: name, DER: certificate.Raw, Subject: certificate.Subject.String(),
		Thumbprint: strings.ToUpper(hex.EncodeToString(sum[:])), Expiry: certificate.NotAfter,
	}}
}

// CACertificates returns the registered certificate authorities in the order of
// their names.
func (r *Registry) CACertificates() []iothub.CACertificate {
	all := r.cas.table.Load().all
	out := make([]iothub.CACertificate, len(all))
	for i, ca := range all {
		out[i] = ca.CACertificate
	}
	return out
}

// CACertificate returns one of them, or CertificateNotFound.
func (r *Registry) CACertificate(name string) (iothub.CACertificate, error) {
	ca, err := r.cas.table.Load().named(name)
	return ca.CACertificate, err
}

// PutCACertificate registers a certificate authority under a name, or replaces
// that name's. certificate is one certificate, as PEM, as base64 or as it is.
// verified says that no proof of possession is wanted; without it a new
// certificate is not verified, and one that is there already stays what it was.
// Errors: ArgumentInvalid for a bad name, what is not one certificate of an authority, and
// one that is not valid now; GenericConflict when it has another name already;
// GenericForbidden when there are iothub.MaxCACertificates.
// Source: IoT Hub resource API, Certificates - Create Or Update.
func (r *Registry) PutCACertificate(ctx context.Context, name string, certificate []byte, verified bool) (iothub.CACertificate, error) {
	if err := iothub.ValidateCAName(name); err != nil {
		return iothub.CACertificate{}, err
	}
	parsed, err := parseCertificate(certificate)
	if err != nil {
		return iothub.CACertificate{}, iothub.NewError(iothub.CodeArgumentInvalid, "The CA %s: %s.", name, err)
	}
	now := r.now()
	if err := checkCA(parsed, r.real()); err != nil {
		return iothub.CACertificate{}, iothub.NewError(iothub.CodeArgumentInvalid, "The certificate of %s %s.", name, err)
	}
	r.cas.mu.Lock()
	defer r.cas.mu.Unlock()
	table := r.cas.table.Load()
	for _, other := range table.all {
		if other.certificate.Equal(parsed) && !strings.EqualFold(other.Name, name) {
			return iothub.CACertificate{}, iothub.NewError(iothub.CodeGenericConflict, "This certificate is registered already, as %s.", other.Name)
		}
	}
	ca := newRegisteredCA(name, parsed)
	ca.Verified, ca.Created, ca.Updated = verified, now, now
	switch old, err := table.named(name); {
	case err == nil:
		if old.certificate.Equal(parsed) {
			ca.Verified = verified || old.Verified
			ca.VerificationCode = old.VerificationCode
		}
		ca.Name, ca.Created, ca.revision = old.Name, old.Created, old.revision
	case len(table.all) >= iothub.MaxCACertificates:
		return iothub.CACertificate{}, iothub.NewError(iothub.CodeGenericForbidden,
			"There are %d CAs already, which is the most that a hub has.", iothub.MaxCACertificates)
	}
	if ca.Verified {
		ca.VerificationCode = ""
	}
	return ca.CACertificate, r.storeCALocked(ctx, ca)
}

// NewVerificationCode gives a CA a new verification code: who has the CA's key
// signs a certificate with this code as its common name. Errors: CertificateNotFound.
// Source: IoT Hub resource API, Certificates - Generate Verification Code.
func (r *Registry) NewVerificationCode(ctx context.Context, name string) (iothub.CACertificate, error) {
	r.cas.mu.Lock()
	defer r.cas.mu.Unlock()
	ca, err := r.cas.table.Load().named(name)
	if err != nil {
		return iothub.CACertificate{}, err
	}
	var code [24]byte
	_, _ = rand.Read(code[:]) // never fails: crypto/rand ends the program instead
	ca.VerificationCode, ca.Updated = strings.ToUpper(hex.EncodeToString(code[:])), r.now()
	return ca.CACertificate, r.storeCALocked(ctx, ca)
}

// VerifyCACertificate takes the proof of possession: a certificate whose common
// name is the verification code and that the CA has signed. Errors:
// CertificateNotFound; ArgumentInvalid when no code was asked for or the proof is none.
// Source: IoT Hub resource API, Certificates - Verify.
func (r *Registry) VerifyCACertificate(ctx context.Context, name string, proof []byte) (iothub.CACertificate, error) {
	r.cas.mu.Lock()
	defer r.cas.mu.Unlock()
	ca, err := r.cas.table.Load().named(name)
	if err != nil {
		return iothub.CACertificate{}, err
	}
	if err := ca.checkProof(proof, r.real()); err != nil {
		return iothub.CACertificate{}, iothub.NewError(iothub.CodeArgumentInvalid, "%s is not verified: %s.", ca.Name, err)
	}
	ca.Verified, ca.VerificationCode, ca.Updated = true, "", r.now()
	return ca.CACertificate, r.storeCALocked(ctx, ca)
}

func (ca *registeredCA) checkProof(proof []byte, now time.Time) error {
	if ca.VerificationCode == "" {
		return errors.New("generate a verification code first")
	}
	certificate, err := parseCertificate(proof)
	if err != nil {
		return err
	}
	if cn := certificate.Subject.CommonName; cn != ca.VerificationCode {
		return fmt.Errorf("the common name is %.80q and not the verification code", cn)
	}
	if err := validNow(certificate, now); err != nil {
		return fmt.Errorf("the verification certificate %w", err)
	}
	if err := certificate.CheckSignatureFrom(ca.certificate); err != nil {
		return fmt.Errorf("the CA did not sign the verification certificate (%w)", err)
	}
	return nil
}

// DeleteCACertificate removes a CA, or returns CertificateNotFound.
func (r *Registry) DeleteCACertificate(ctx context.Context, name string) error {
	r.cas.mu.Lock()
	defer r.cas.mu.Unlock()
	ca, err := r.cas.table.Load().named(name)
	if err != nil {
		return err
	}
	err = r.cas.documents.DeleteDocument(ctx, caCollection, strings.ToLower(ca.Name), 0)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	r.cas.table.Store(r.cas.table.Load().without(ca.Name))
	return nil
}

// storeCALocked writes a CA and puts it into the table.
func (r *Registry) storeCALocked(ctx context.Context, ca registeredCA) error {
	if r.cas.documents == nil {
		return errors.New("registry: Options.Documents is needed to register a CA")
	}
	payload, err := json.Marshal(caDocument{ca.Name, ca.DER, ca.Verified, ca.VerificationCode, ca.Created, ca.Updated})
	if err != nil {
		return err
	}
	document := store.Document{Key: strings.ToLower(ca.Name), Payload: payload, Revision: ca.revision}
	if ca.revision, err = r.cas.documents.PutDocument(ctx, caCollection, document); err != nil {
		return err
	}
	r.cas.table.Store(newCATable(append(r.cas.table.Load().without(ca.Name).all, ca)))
	return nil
}

// parseCertificate reads the one certificate in text: PEM, base64 or DER.
func parseCertificate(text []byte) (*x509.Certificate, error) {
	der := text
	if found := pemCertificates(text); len(found) > 1 {
		return nil, fmt.Errorf("%d certificates were given; give one", len(found))
	} else if len(found) == 1 {
		der = found[0]
	} else if decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(text)), "")); err == nil {
		// The service takes its certificates so; PEM in base64 is common, too.
		der = decoded
		if found := pemCertificates(decoded); len(found) == 1 {
			der = found[0]
		}
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("this is no certificate, neither PEM nor base64 (%w)", err)
	}
	return certificate, nil
}

func pemCertificates(text []byte) (found [][]byte) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return found
		}
		if block.Type == "CERTIFICATE" {
			found = append(found, block.Bytes)
		}
	}
}

// checkCA reports why a certificate cannot be registered.
func checkCA(c *x509.Certificate, now time.Time) error {
	switch {
	case !c.BasicConstraintsValid || !c.IsCA:
		return errors.New("is not one of a certificate authority (basic constraints: CA)")
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return errors.New("may not sign certificates (key usage)")
	}
	return validNow(c, now)
}

func validNow(c *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(c.NotBefore):
		return fmt.Errorf("is not valid before %s, and it is %s", iothub.FormatTime(c.NotBefore), iothub.FormatTime(now))
	case now.After(c.NotAfter):
		return fmt.Errorf("expired at %s, and it is %s", iothub.FormatTime(c.NotAfter), iothub.FormatTime(now))
	}
	return nil
}

// compareCA sorts by name.
func compareCA(a, b registeredCA) int {
	return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
}

// caTable is never changed.
type caTable struct {
	all []registeredCA // by name
	// verified and any are what chains may end in.
	verified, any *x509.CertPool
}

func newCATable(all []registeredCA) *caTable {
	t := &caTable{all: slices.Clone(all), verified: x509.NewCertPool(), any: x509.NewCertPool()}
	slices.SortFunc(t.all, compareCA)
	for _, ca := range t.all {
		t.any.AddCert(ca.certificate)
		if ca.Verified {
			t.verified.AddCert(ca.certificate)
		}
	}
	return t
}

func (t *caTable) named(name string) (registeredCA, error) {
	for _, ca := range t.all {
		if strings.EqualFold(ca.Name, name) {
			return ca, nil
		}
	}
	return registeredCA{}, iothub.NewError(iothub.CodeCertificateNotFound, "There is no CA %.80q.", name)
}

// with returns the CA of a certificate.
func (t *caTable) with(certificate *x509.Certificate) (registeredCA, bool) {
	for _, ca := range t.all {
		if ca.certificate.Equal(certificate) {
			return ca, true
		}
	}
	return registeredCA{}, false
}

func (t *caTable) without(name string) *caTable {
	return newCATable(slices.DeleteFunc(slices.Clone(t.all), func(ca registeredCA) bool { return strings.EqualFold(ca.Name, name) }))
}
