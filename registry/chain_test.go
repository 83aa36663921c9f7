package registry

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/internal/certtest"
	"github.com/hubnerite/hubnerite/iothub"
)

// TestChains: what opens a device of the type certificateAuthority, and what
// does not and why.
func TestChains(t *testing.T) {
	r, c, _ := newCARegistry(t)
	ctx, now := t.Context(), c.Now()
	root, unverified, stranger := certtest.Root(t, "root", now), certtest.Root(t, "unverified", now), certtest.Root(t, "stranger", now)
	direct := stranger.Intermediate(t, "registered itself")
	for name, ca := range map[string]*certtest.Certificate{"root": root, "unverified": unverified} {
		if _, err := r.PutCACertificate(ctx, name, ca.PEM(), name != "unverified"); err != nil {
			t.Fatal(err)
		}
	}
	single := certtest.Certificate{Certificate: direct.Certificate}
	if _, err := r.PutCACertificate(ctx, "intermediate", single.PEM(), true); err != nil {
		t.Fatal(err)
	}
	device, module := iothub.ID{DeviceID: "d#1"}, iothub.ID{DeviceID: "d#1", ModuleID: "m"}
	for _, id := range []iothub.ID{device, module} {
		if _, err := r.Create(ctx, id, iothub.IdentityRequest{Authentication: &iothub.AuthenticationRequest{Type: iothub.AuthCertificateAuthority}}); err != nil {
			t.Fatal(err)
		}
	}
	factory := root.Intermediate(t, "factory")
	line := factory.Intermediate(t, "line 4")
	leaf := line.Client(t, "d#1")
	past := certtest.Valid(now.Add(-2*time.Hour), now.Add(-time.Minute))
	old := root.Intermediate(t, "old", past)
	expiredByOld := old.Client(t, "d#1", certtest.Valid(now.Add(-time.Hour), now.Add(time.Hour)))
	shuffled := []*x509.Certificate{leaf.Certificate, factory.Certificate, line.Certificate, root.Certificate}
	noConstraint := root.Client(t, "no CA")
	for name, tt := range map[string]struct {
		id    iothub.ID
		chain []*x509.Certificate
		want  string
	}{
		"two intermediates, ECC":       {device, leaf.Chain(), ""},
		"in another order, with root":  {device, shuffled, ""},
		"RSA, straight from the root":  {device, root.ClientRSA(t, "d#1").Chain(), ""},
		"of a registered intermediate": {device, direct.Client(t, "d#1").Chain()[:1], ""},
		"module":                       {module, line.Client(t, "d#1/m").Chain(), ""},
		"no extended key usage":        {device, root.Client(t, "d#1", func(c *x509.Certificate) { c.ExtKeyUsage = nil }).Chain(), ""},
		"no key usage":                 {device, root.Client(t, "d#1", func(c *x509.Certificate) { c.KeyUsage = 0 }).Chain(), ""},
		"device's for its module":      {module, leaf.Chain(), `common name is "d#1", not "d#1/m"`},
		"module's for its device":      {device, line.Client(t, "d#1/m").Chain(), `common name is "d#1/m", not "d#1"`},
		"other case":                   {device, root.Client(t, "D#1").Chain(), "common name"},
		"name only in the SAN":         {device, root.Client(t, "", func(c *x509.Certificate) { c.DNSNames = []string{"d#1"} }).Chain(), "common name"},
		"expired leaf":                 {device, root.Client(t, "d#1", past).Chain(), "expired at 2026-01-05T09:59"},
		"leaf of tomorrow":             {device, root.Client(t, "d#1", certtest.Valid(now.AddDate(0, 0, 1), now.AddDate(0, 0, 2))).Chain(), "not valid before 2026-01-06"},
		"expired intermediate":         {device, expiredByOld.Chain(), "expired"},
		"intermediates not sent":       {device, leaf.Chain()[:1], `issued by "line 4", leads to no registered CA`},
		"one intermediate missing":     {device, leaf.Chain()[:2], "leads to no registered CA"},
		"unknown root":                 {device, stranger.Client(t, "d#1").Chain(), `issued by "stranger", leads to no registered CA`},
		"root of the same name":        {device, certtest.Root(t, "root", now).Client(t, "d#1").Chain(), "leads to no registered CA"},
		"unverified root":              {device, unverified.Client(t, "d#1").Chain(), "unverified of the certificate's chain is registered and not verified"},
		"self-signed":                  {device, certtest.Root(t, "d#1", now, func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageDigitalSignature }).Chain(), "leads to no registered CA"},
		"for servers":                  {device, root.Client(t, "d#1", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }).Chain(), "usage"},
		"may only encipher":            {device, root.Client(t, "d#1", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }).Chain(), "key usage"},
		"issuer is no CA":              {device, (&certtest.Certificate{Certificate: noConstraint.Certificate, Key: noConstraint.Key}).Client(t, "d#1").Chain(), "leads to no registered CA"},
	} {
		g, err := r.CheckCertificate(ctx, tt.id, tt.chain)
		if tt.want != "" {
			wantCode(t, name, err, iothub.CodeIotHubUnauthorizedAccess)
			if err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want %q in it", name, err, tt.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if g.Identity != tt.id || g.CA == "" || g.AuthMethod.Type != "x509" || g.AuthMethod.Scope != scopeOf(tt.id) {
			t.Errorf("%s: %+v", name, g)
		}
		if _, err := r.Admit(ctx, tt.id, g); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	// The hub's clock decides, and a CA that ended vouches for nobody.
	c.Advance(48 * time.Hour)
	long := certtest.Valid(now, now.AddDate(1, 0, 0))
	_, err := r.CheckCertificate(ctx, device, root.Client(t, "d#1", long).Chain())
	wantCode(t, "CA ended", err, iothub.CodeIotHubUnauthorizedAccess)
}

// TestCARemoved: a grant is worth nothing once its CA is gone.
func TestCARemoved(t *testing.T) {
	r, c, _ := newCARegistry(t)
	ctx, id := t.Context(), iothub.ID{DeviceID: "d"}
	if _, err := r.Create(ctx, id, iothub.IdentityRequest{Authentication: &iothub.AuthenticationRequest{Type: iothub.AuthCertificateAuthority}}); err != nil {
		t.Fatal(err)
	}
	root := certtest.Root(t, "root", c.Now())
	chain := root.Client(t, "d").Chain()
	_, err := r.CheckCertificate(ctx, id, chain)
	wantCode(t, "no CA at all", err, iothub.CodeIotHubUnauthorizedAccess)
	for name, undo := range map[string]func() error{
		"removed": func() error { return r.DeleteCACertificate(ctx, "root") },
		"replaced": func() error {
			_, err := r.PutCACertificate(ctx, "root", certtest.Root(t, "root", c.Now()).PEM(), true)
			return err
		},
	} {
		if _, err := r.PutCACertificate(ctx, "root", root.PEM(), true); err != nil {
			t.Fatal(err)
		}
		g, err := r.CheckCertificate(ctx, id, chain)
		if err != nil || !r.Trusts(g) {
			t.Fatal(name, err)
		}
		if err := undo(); err != nil {
			t.Fatal(name, err)
		}
		_, err = r.Admit(ctx, id, g)
		wantCode(t, name+", Admit", err, iothub.CodeIotHubUnauthorizedAccess)
		_, err = r.CheckCertificate(ctx, id, chain)
		wantCode(t, name+", CheckCertificate", err, iothub.CodeIotHubUnauthorizedAccess)
	}
}

// TestCertificateOfTheOtherType: a thumbprint does not open a device of
// certificateAuthority, nor a chain one of selfSigned.
func TestCertificateOfTheOtherType(t *testing.T) {
	r, c, _ := newCARegistry(t)
	ctx := t.Context()
	root := certtest.Root(t, "root", c.Now())
	if _, err := r.PutCACertificate(ctx, "root", root.PEM(), true); err != nil {
		t.Fatal(err)
	}
	pinned := root.Client(t, "pinned")
	sum := sha256.Sum256(pinned.Raw)
	thumbprint := hex.EncodeToString(sum[:])
	for id, auth := range map[string]iothub.AuthenticationRequest{
		"pinned": {X509Thumbprint: &iothub.X509Thumbprint{PrimaryThumbprint: &thumbprint}},
		"signed": {Type: iothub.AuthCertificateAuthority, X509Thumbprint: &iothub.X509Thumbprint{PrimaryThumbprint: &thumbprint}},
		"keyed":  {Type: iothub.AuthSAS},
	} {
		if _, err := r.Create(ctx, iothub.ID{DeviceID: id}, iothub.IdentityRequest{Authentication: &auth}); err != nil {
			t.Fatal(err)
		}
	}
	if g, err := r.CheckCertificate(ctx, iothub.ID{DeviceID: "pinned"}, pinned.Chain()); err != nil || g.CA != "" {
		t.Errorf("a certificate that a CA signed, by its thumbprint: %+v, %v", g, err)
	}
	for id, tt := range map[string]struct {
		chain []*x509.Certificate
		want  string
	}{
		"pinned": {root.Client(t, "pinned").Chain(), "authenticates by thumbprint"},
		"signed": {pinned.Chain(), "common name"},
		"keyed":  {root.Client(t, "keyed").Chain(), "authenticates by sas"},
	} {
		_, err := r.CheckCertificate(ctx, iothub.ID{DeviceID: id}, tt.chain)
		wantCode(t, id, err, iothub.CodeIotHubUnauthorizedAccess)
		if err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q in it", id, err, tt.want)
		}
	}
}
