//go:build conformance

package conformance

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // thumbprints are SHA-1 by custom
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/internal/certtest"
)

// refusedCertificates shows certificates that prove nothing, or nothing any more, over MQTT, AMQP and HTTPS.
func refusedCertificates(t *testing.T, s *site) {
	now := time.Now()
	root, stranger, unverified := certtest.Root(t, "root", now), certtest.Root(t, "stranger", now), certtest.Root(t, "unverified", now)
	rootFile := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(rootFile, root.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	h := s.startHub(t, "--device", "keyed", "--root-ca", rootFile)
	a := newGate(t, s, h)
	a.putCA("unverified", unverified, false)
	factory := root.Intermediate(t, "factory")

	bring := func(c *certtest.Certificate) credential {
		presented := c.TLS()
		return credential{certificate: &presented}
	}
	signed := func(name string, authentication map[string]any) {
		t.Helper()
		a.mustCall(http.MethodPut, "/devices/"+name, map[string]any{"deviceId": name, "authentication": authentication}, "", http.StatusOK)
	}
	pinned := func(c *certtest.Certificate) map[string]any {
		sum := sha1.Sum(c.Raw) //nolint:gosec // see the import
		return map[string]any{"type": "selfSigned", "x509Thumbprint": map[string]any{"primaryThumbprint": hex.EncodeToString(sum[:])}}
	}
	signed("signed", map[string]any{"type": "certificateAuthority"})
	own, next := certtest.Root(t, "pinned", now), certtest.Root(t, "pinned", now)
	signed("pinned", pinned(own))
	expired := certtest.Root(t, "old", now, certtest.Valid(now.Add(-2*time.Hour), now.Add(-time.Hour)))
	signed("old", pinned(expired))
	early := certtest.Root(t, "early", now, certtest.Valid(now.Add(time.Hour), now.Add(2*time.Hour)))
	signed("early", pinned(early))

	good := bring(factory.Client(t, "signed"))
	a.wantAdmitted("a chain to a registered authority", "signed", good)
	a.wantAdmitted("a certificate with the device's thumbprint", "pinned", bring(own))

	alone := factory.Client(t, "signed")
	alone.Intermediates = nil
	usage := func(usage x509.KeyUsage, extended ...x509.ExtKeyUsage) certtest.Change {
		return func(c *x509.Certificate) { c.KeyUsage, c.ExtKeyUsage = usage, extended }
	}
	lapsed := root.Intermediate(t, "lapsed", certtest.Valid(now.Add(-time.Hour), now.Add(-time.Minute)))
	leaf := root.Intermediate(t, "no authority", func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
	for _, x := range []struct {
		name, id string
		bring    *certtest.Certificate
		reason   string
	}{
		{"expired", "signed", factory.Client(t, "signed", certtest.Valid(now.Add(-2*time.Hour), now.Add(-time.Hour))), "expired at"},
		{"not yet valid", "signed", factory.Client(t, "signed", certtest.Valid(now.Add(time.Hour), now.Add(2*time.Hour))), "not valid before"},
		{"the name of another device", "signed", factory.Client(t, "other"), "common name"},
		{"the name of a module", "signed", factory.Client(t, "signed/m"), "common name"},
		{"no name", "signed", factory.Client(t, ""), "common name"},
		{"an unknown authority", "signed", stranger.Intermediate(t, "factory").Client(t, "signed"), "no registered CA"},
		{"its own authority", "signed", certtest.Root(t, "signed", now, usage(x509.KeyUsageDigitalSignature, x509.ExtKeyUsageClientAuth)), "no registered CA"},
		{"an authority without proof of possession", "signed", unverified.Client(t, "signed"), "not verified"},
		{"without its intermediate", "signed", alone, "no registered CA"},
		{"an intermediate that has expired", "signed", lapsed.Client(t, "signed", certtest.Valid(now.Add(-time.Hour), now.Add(time.Hour))), "expired"},
		{"signed by what is no authority", "signed", leaf.Client(t, "signed"), "registered CA"},
		{"a key that may not sign", "signed", factory.Client(t, "signed", usage(x509.KeyUsageKeyEncipherment, x509.ExtKeyUsageClientAuth)), "key usage"},
		{"a server's certificate", "signed", factory.Client(t, "signed", usage(x509.KeyUsageDigitalSignature, x509.ExtKeyUsageServerAuth)), "key usage"},
		{"another thumbprint", "pinned", next, "thumbprint"},
		{"a chain for a device with a thumbprint", "pinned", factory.Client(t, "pinned"), "thumbprint"},
		{"the thumbprint of a certificate that has expired", "old", expired, "expired at"},
		{"the thumbprint of a certificate of tomorrow", "early", early, "not valid before"},
		{"a certificate for a device with a key", "keyed", factory.Client(t, "keyed"), "not by a certificate"},
		{"a device that is not there", "nobody", factory.Client(t, "nobody"), "not registered"},
	} {
		a.wantRefused(x.name, x.id, bring(x.bring), x.reason)
	}
	a.wantRefused("neither a certificate nor a token", "signed", credential{}, "certificate")

	// What was good is revoked: those inside are put out, and stay out.
	thumbprint := func(c *certtest.Certificate) func() {
		return func() {
			a.mustCall(http.MethodPut, "/devices/pinned", map[string]any{"deviceId": "pinned", "authentication": pinned(c)}, "*", http.StatusOK)
		}
	}
	a.wantPutOut("a new thumbprint", "pinned", bring(own), "credential", thumbprint(next), thumbprint(own))
	thumbprint(next)()
	a.wantRefused("the old thumbprint", "pinned", bring(own), "thumbprint")
	a.wantAdmitted("the new thumbprint", "pinned", bring(next))
	a.wantPutOut("a removed authority", "signed", good, "vouched for", func() { a.deleteCA("root") }, func() { a.putCA("root", root, true) })
	a.deleteCA("root")
	a.wantRefused("a removed authority, later", "signed", good, "no registered CA")
	a.checkLog()
}

// putCA registers an authority through the management API.
func (a *siege) putCA(name string, c *certtest.Certificate, verified bool) {
	a.t.Helper()
	body, err := json.Marshal(map[string]any{"certificate": string(c.PEM()), "isVerified": verified})
	if err != nil {
		a.t.Fatal(err)
	}
	a.admin(http.MethodPut, "/certificates/"+name, body, http.StatusOK)
}

func (a *siege) deleteCA(name string) {
	a.t.Helper()
	a.admin(http.MethodDelete, "/certificates/"+name, nil, http.StatusNoContent)
}

func (a *siege) admin(method, path string, body []byte, want int) {
	a.t.Helper()
	request, err := http.NewRequest(method, a.ready.AdminURL+path, bytes.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != want {
		a.t.Fatalf("%s %s of the management API: %s", method, path, response.Status)
	}
}
