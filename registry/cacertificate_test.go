package registry

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubnerite/hubnerite/internal/certtest"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
	"github.com/hubnerite/hubnerite/store/memory"
)

// newCARegistry returns a registry that can keep authorities, and another one
// over the same store when reopened.
func newCARegistry(t *testing.T) (r *Registry, c *clock, reopen func() *Registry) {
	t.Helper()
	st := memory.New(memory.Options{})
	t.Cleanup(func() { _ = st.Close() })
	c = &clock{now: time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)}
	reopen = func() *Registry {
		r, err := New(Options{Records: st.Records(), Documents: st.Documents(), Now: c.Now})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	return reopen(), c, reopen
}

func TestPutCACertificate(t *testing.T) {
	r, c, reopen := newCARegistry(t)
	ctx := t.Context()
	root, other := certtest.Root(t, "factory", c.Now()), certtest.Root(t, "other", c.Now())
	made, err := r.PutCACertificate(ctx, "Factory-1", root.PEM(), false)
	if err != nil {
		t.Fatal(err)
	}
	if made.Subject != "CN=factory" || len(made.Thumbprint) != 40 || made.Thumbprint != strings.ToUpper(made.Thumbprint) ||
		made.Verified || !made.Expiry.Equal(root.NotAfter) || !made.Created.Equal(c.Now()) {
		t.Errorf("%+v", made)
	}
	// Base64 of the certificate, and of its PEM, as the resource API takes them.
	for _, text := range []string{base64.StdEncoding.EncodeToString(other.Raw), base64.StdEncoding.EncodeToString(other.PEM()), string(other.Raw)} {
		if _, err := r.PutCACertificate(ctx, "other", []byte(text), true); err != nil {
			t.Error(err)
		}
	}
	// The same again changes nothing but the time; a verified one stays so.
	if again, err := r.PutCACertificate(ctx, "OTHER", other.PEM(), false); err != nil || !again.Verified || again.Name != "other" {
		t.Errorf("%+v, %v", again, err)
	}
	for name, tt := range map[string]struct {
		name, text string
		code       iothub.Code
		want       string
	}{
		"name":            {"a b", string(root.PEM()), iothub.CodeArgumentInvalid, "no name of a CA"},
		"no certificate":  {"x", "hello", iothub.CodeArgumentInvalid, "no certificate"},
		"two":             {"x", string(root.PEM()) + string(other.PEM()), iothub.CodeArgumentInvalid, "2 certificates"},
		"no authority":    {"x", string(root.Client(t, "d").PEM()), iothub.CodeArgumentInvalid, "basic constraints"},
		"may not sign":    {"x", string(certtest.Root(t, "x", c.Now(), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }).PEM()), iothub.CodeArgumentInvalid, "key usage"},
		"expired":         {"x", string(certtest.Root(t, "x", c.Now().AddDate(0, 0, -2)).PEM()), iothub.CodeArgumentInvalid, "expired at 2026-01-04"},
		"not yet valid":   {"x", string(certtest.Root(t, "x", c.Now().AddDate(0, 0, 2)).PEM()), iothub.CodeArgumentInvalid, "not valid before 2026-01-07"},
		"under two names": {"x", string(root.PEM()), iothub.CodeGenericConflict, "Factory-1"},
	} {
		_, err := r.PutCACertificate(ctx, tt.name, []byte(tt.text), true)
		wantCode(t, name, err, tt.code)
		if err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q in it", name, err, tt.want)
		}
	}
	if diff := cmp.Diff(r.CACertificates(), reopen().CACertificates()); diff != "" || len(r.CACertificates()) != 2 {
		t.Error("after a restart", diff)
	}
	if err := r.DeleteCACertificate(ctx, "factory-1"); err != nil {
		t.Error(err)
	}
	wantCode(t, "deleted twice", r.DeleteCACertificate(ctx, "factory-1"), iothub.CodeCertificateNotFound)
	_, err = reopen().CACertificate("factory-1")
	wantCode(t, "deleted, after a restart", err, iothub.CodeCertificateNotFound)
}

func TestCACertificateCount(t *testing.T) {
	r, c, _ := newCARegistry(t)
	for i := range iothub.MaxCACertificates {
		if _, err := r.PutCACertificate(t.Context(), fmt.Sprint("ca", i), certtest.Root(t, "r", c.Now()).PEM(), true); err != nil {
			t.Fatal(err)
		}
	}
	more := certtest.Root(t, "r", c.Now()).PEM()
	_, err := r.PutCACertificate(t.Context(), "more", more, true)
	wantCode(t, "one too many", err, iothub.CodeGenericForbidden)
	if _, err := r.PutCACertificate(t.Context(), "ca7", more, true); err != nil {
		t.Error("replacing one:", err)
	}
}

func TestProofOfPossession(t *testing.T) {
	r, c, reopen := newCARegistry(t)
	ctx := t.Context()
	root, stranger := certtest.Root(t, "factory", c.Now()), certtest.Root(t, "factory", c.Now())
	verify := func(what string, proof *certtest.Certificate, want string) {
		t.Helper()
		ca, err := r.VerifyCACertificate(ctx, "f", proof.PEM())
		switch {
		case want == "" && (err != nil || !ca.Verified || ca.VerificationCode != ""):
			t.Errorf("%s: %+v, %v", what, ca, err)
		case want != "":
			wantCode(t, what, err, iothub.CodeArgumentInvalid)
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q in it", what, err, want)
			}
		}
	}
	_, err := r.NewVerificationCode(ctx, "f")
	wantCode(t, "code for nobody", err, iothub.CodeCertificateNotFound)
	if _, err := r.PutCACertificate(ctx, "f", root.PEM(), false); err != nil {
		t.Fatal(err)
	}
	verify("no code yet", root.Client(t, ""), "generate a verification code first")
	first, err := r.NewVerificationCode(ctx, "f")
	if err != nil || len(first.VerificationCode) != 48 {
		t.Fatal(first, err)
	}
	second, err := r.NewVerificationCode(ctx, "f")
	if err != nil || second.VerificationCode == first.VerificationCode {
		t.Fatal(second, err)
	}
	r = reopen() // the code is kept
	verify("an older code", root.Client(t, first.VerificationCode), "not the verification code")
	verify("another authority of that name", stranger.Client(t, second.VerificationCode), "did not sign")
	verify("expired", root.Client(t, second.VerificationCode, certtest.Valid(c.Now().Add(-2*time.Hour), c.Now().Add(-time.Hour))), "expired")
	if ca, _ := r.CACertificate("f"); ca.Verified {
		t.Error("verified without proof")
	}
	verify("good", root.Client(t, second.VerificationCode), "")
	if ca, _ := reopen().CACertificate("f"); !ca.Verified {
		t.Error("not verified any more after a restart")
	}
	verify("twice", root.Client(t, second.VerificationCode), "generate a verification code first")
	// Another certificate under the name is another authority.
	if ca, err := r.PutCACertificate(ctx, "f", stranger.PEM(), false); err != nil || ca.Verified {
		t.Errorf("%+v, %v", ca, err)
	}
}

// TestStoredCAIsSpoilt: a registry that cannot read an authority does not start
// without it.
func TestStoredCAIsSpoilt(t *testing.T) {
	for name, payload := range map[string]string{"JSON": "{", "certificate": `{"name":"x","der":"AAAA"}`} {
		st := memory.New(memory.Options{})
		if _, err := st.Documents().PutDocument(t.Context(), caCollection, store.Document{Key: "x", Payload: []byte(payload)}); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{Records: st.Records(), Documents: st.Documents()}); err == nil || !strings.Contains(err.Error(), `"x"`) {
			t.Errorf("%s: %v", name, err)
		}
		_ = st.Close()
	}
}
