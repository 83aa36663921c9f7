//go:build conformance

package conformance

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/internal/certtest"
)

// certificateScenarios are devices and modules whose certificates an authority has signed, through an intermediate one.
func certificateScenarios() []scenario {
	// Only the port for WebSockets is where the SDKs look.
	elsewhere := []string{"--mqtt-port", "0", "--amqp-port", "0"}
	return []scenario{
		{"python_x509_ca", []string{"python"}, func(t *testing.T, s *site) {
			h, certs := startSigned(t, s)
			s.judgeItself(t, h, "x509_ca.py", certs)
		}},
		{"python_websocket_x509_ca", []string{"python"}, func(t *testing.T, s *site) {
			h, certs := startSigned(t, s, elsewhere...)
			s.judgeItself(t, h, "x509_ca.py", certs, overWebSockets)
		}},
		{"node_x509_ca", []string{"node"}, func(t *testing.T, s *site) {
			h, certs := startSigned(t, s)
			s.judgeItselfNode(t, h, "x509_ca.js", certs)
		}},
		{"node_websocket_x509_ca", []string{"node"}, func(t *testing.T, s *site) {
			h, certs := startSigned(t, s, elsewhere...)
			s.judgeItselfNode(t, h, "x509_ca.js", certs, overWebSockets)
		}},
	}
}

// startSigned starts a hub that knows the root of the certificates in the folder of the variable that it returns. NAME.pem is a
// certificate with what leads to its root, NAME.key its key.
func startSigned(t *testing.T, s *site, args ...string) (h *hub, folder string) {
	t.Helper()
	now, dir := time.Now(), t.TempDir()
	write := func(name string, c *certtest.Certificate) string {
		t.Helper()
		for suffix, text := range map[string][]byte{".pem": c.PEM(), ".key": c.KeyPEM(t)} {
			if err := os.WriteFile(filepath.Join(dir, name+suffix), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return filepath.Join(dir, name+".pem")
	}
	root, stranger, unverified := certtest.Root(t, "root", now), certtest.Root(t, "stranger", now), certtest.Root(t, "unverified", now)
	factory := root.Intermediate(t, "factory")
	rootFile := write("root", root)
	write("unverified-root", unverified)
	write("signed", factory.Client(t, "signed"))
	write("rsa", factory.ClientRSA(t, "rsa"))
	write("module", factory.Client(t, "signed/m"))
	write("expired", factory.Client(t, "signed", certtest.Valid(now.Add(-2*time.Hour), now.Add(-time.Hour))))
	write("unknown", stranger.Intermediate(t, "factory").Client(t, "signed"))
	write("unverified", unverified.Client(t, "signed"))
	alone := factory.Client(t, "signed")
	alone.Intermediates = nil
	write("alone", alone)
	return s.startHub(t, append(args, "--device", "d1", "--root-ca", rootFile)...), "CERTS=" + dir
}
