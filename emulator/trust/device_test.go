package trust

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func TestDeviceAuthority(t *testing.T) {
	dir := t.TempDir()
	a, made, err := LoadOrCreateDeviceAuthority(dir, start())
	if err != nil || !made {
		t.Fatal(made, err)
	}
	again, made, err := LoadOrCreateDeviceAuthority(dir, start().Add(time.Hour))
	if err != nil || made || !again.Certificate.Equal(a.Certificate) {
		t.Fatal("the second call made another one:", made, err)
	}
	if info, err := os.Stat(filepath.Join(dir, DeviceCAKeyFile)); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	if exists(filepath.Join(dir, CAFile)) {
		t.Error("it is where the authority of servers belongs")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := a.IssueClient(key.Public(), "d#1/m", start(), start().AddDate(50, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(text)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if string(rest) != string(a.PEM()) {
		t.Error("the authority does not follow")
	}
	if leaf.Subject.CommonName != "d#1/m" || !leaf.NotAfter.Equal(a.Certificate.NotAfter) || leaf.IsCA {
		t.Errorf("%s until %s, a CA: %t", leaf.Subject, leaf.NotAfter, leaf.IsCA)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate)
	for usage, good := range map[x509.ExtKeyUsage]bool{x509.ExtKeyUsageClientAuth: true, x509.ExtKeyUsageServerAuth: false} {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: start(), KeyUsages: []x509.ExtKeyUsage{usage}})
		if (err == nil) != good {
			t.Errorf("usage %d: %v", usage, err)
		}
	}
	// One that is spoilt is told, never replaced: devices have its certificates.
	if err := os.WriteFile(filepath.Join(dir, DeviceCAFile), []byte("spoilt"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadOrCreateDeviceAuthority(dir, start()); err == nil {
		t.Error("a spoilt authority was replaced")
	}
}
