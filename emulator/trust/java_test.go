package trust

import (
	"bytes"
	"crypto/x509"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/hubnerite/hubnerite/internal/certtest"
)

func TestJavaStore(t *testing.T) {
	s := load(t, Options{Dir: t.TempDir(), Now: start()})
	roots := append(certtest.Root(t, "first", start()).PEM(), certtest.Root(t, "second", start()).PEM()...)
	roots = append(roots, "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n"...)
	store, err := JavaStore(Bundle(s.CA, roots))
	if err != nil {
		t.Fatal(err)
	}
	certificates, err := pkcs12.DecodeTrustStore(store, "changeit")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range certificates {
		names = append(names, c.Subject.CommonName)
	}
	if len(certificates) != 3 || names[1] != "first" || names[2] != "second" {
		t.Fatalf("certificates of %q, want ours and both roots", names)
	}
	if !bytes.Equal(certificates[0].Raw, s.authority.Certificate.Raw) {
		t.Errorf("the first is that of %s", names[0])
	}
	if _, err := pkcs12.DecodeTrustStore(store, "wrong"); err == nil {
		t.Error("the store opens with any password")
	}
}

func TestJavaStoreOfSystem(t *testing.T) {
	// Whatever this machine trusts can be stored.
	roots := SystemRoots()
	store, err := JavaStore(roots)
	if err != nil {
		t.Fatal(err)
	}
	certificates, err := pkcs12.DecodeTrustStore(store, JavaPassword)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if want := strings.Count(string(roots), "BEGIN CERTIFICATE"); len(certificates) == 0 && pool.AppendCertsFromPEM(roots) {
		t.Errorf("none of %d certificates is in the store", want)
	}
}

func BenchmarkJavaStore(b *testing.B) {
	roots := SystemRoots()
	for b.Loop() {
		if _, err := JavaStore(roots); err != nil {
			b.Fatal(err)
		}
	}
}
