package emulator

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

// TestUntrustedCertificateIsExplained has clients without the CA connect to each
// port with TLS, and one without TLS.
func TestUntrustedCertificateIsExplained(t *testing.T) {
	var out lockedBuffer
	e, err := Start(t.Context(), Config{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(t.Context()) })
	for _, listener := range []string{nameMQTT, nameAMQP, nameHTTPS} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			c, err := net.Dial("tcp", e.Addr(listener).String())
			if err != nil {
				t.Fatal(err)
			}
			config := &tls.Config{ServerName: "localhost", RootCAs: x509.NewCertPool(), MinVersion: version, MaxVersion: version}
			if err := tls.Client(c, config).Handshake(); err == nil {
				t.Error("a client without the CA trusts the certificate")
			}
			_ = c.Close()
			awaitLine(t, &out, c.LocalAddr().String(), "level=WARN", "hubnerite doctor")
		}
		c, err := net.Dial("tcp", e.Addr(listener).String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "nonsense, longer than the header of a record\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
		awaitLine(t, &out, c.LocalAddr().String(), "level=WARN", hintNoTLS)
	}
	if hint := tlsHint("local error: tls: bad record MAC"); hint != hintUntrusted {
		t.Errorf("the alert of OpenSSL: %q", hint)
	}
	if hint := tlsHint("EOF"); hint != "" {
		t.Errorf("a probe: %q", hint)
	}
}

// awaitLine waits for a line of the log that has all the texts.
func awaitLine(t *testing.T, out *lockedBuffer, texts ...string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
	lines:
		for line := range strings.Lines(out.String()) {
			for _, text := range texts {
				if !strings.Contains(line, text) {
					continue lines
				}
			}
			return
		}
		if time.Now().After(end) {
			t.Fatalf("no line with %q in\n%s", texts, out.String())
		}
	}
}
