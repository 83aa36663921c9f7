package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/hubnerite/hubnerite/emulator/trust"
	"github.com/hubnerite/hubnerite/internal/certtest"
)

func TestJoinJavaOptions(t *testing.T) {
	const ours = "-Djavax.net.ssl.trustStore=/data/ca-bundle.p12 -Djavax.net.ssl.trustStorePassword=changeit"
	for there, want := range map[string]string{
		"":                          ours,
		"-Xmx1g  -Dname='a b'":      "-Xmx1g -Dname='a b' " + ours,
		ours:                        ours,
		"-Xmx1g " + ours + " -Da=b": "-Xmx1g -Da=b " + ours,
		`"-Djavax.net.ssl.trustStore=/my own/x.jks" -Da=b`:     "-Da=b " + ours,
		"-Djavax.net.ssl.trustStoreType=JKS -Dtrust=something": "-Dtrust=something " + ours,
	} {
		if got := joinJavaOptions(there, "/data/ca-bundle.p12"); got != want {
			t.Errorf("after %s: %s, want %s", there, got, want)
		}
	}
	for store, want := range map[string]string{
		"/my data/x.p12": `"-Djavax.net.ssl.trustStore=/my data/x.p12" `,
		"/it's/x.p12":    `"-Djavax.net.ssl.trustStore=/it's/x.p12" `,
		`/a"b/x.p12`:     `'-Djavax.net.ssl.trustStore=/a"b/x.p12' `,
		`C:\data\x.p12`:  `-Djavax.net.ssl.trustStore=C:\data\x.p12 `,
	} {
		got := joinJavaOptions("", store)
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", store, got, want)
		}
		if again := joinJavaOptions(got, store); again != got {
			t.Errorf("a second time: %s, want %s", again, got)
		}
	}
}

// TestJavaStoreIsKept checks that the trust store is made once per bundle, beside it or, where that may not be, in the cache.
func TestJavaStoreIsKept(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv("LocalAppData", t.TempDir())
	now, dir := time.Now(), t.TempDir()
	bundle := filepath.Join(dir, trust.BundleFile)
	write := func(name string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(bundle, certtest.Root(t, name, now).PEM(), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(bundle, at, at); err != nil {
			t.Fatal(err)
		}
	}
	trusted := func() (path, name string, made time.Time) {
		t.Helper()
		path, err := javaStore(bundle)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		certificates, err := pkcs12.DecodeTrustStore(text, "changeit")
		if err != nil || len(certificates) != 1 {
			t.Fatalf("%d certificates, %v", len(certificates), err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return path, certificates[0].Subject.CommonName, info.ModTime()
	}
	write("one", now.Add(-2*time.Hour))
	path, name, made := trusted()
	if path != filepath.Join(dir, "ca-bundle.p12") || name != "one" {
		t.Fatalf("%s in %s", name, path)
	}
	if _, _, again := trusted(); !again.Equal(made) {
		t.Error("it was made anew")
	}
	write("two", now.Add(time.Hour))
	if _, name, _ = trusted(); name != "two" {
		t.Errorf("%s after the bundle changed, want two", name)
	}

	// A folder in the store's place stands for one that may not be written, which root always may.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, now.Add(-time.Hour), now.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if elsewhere, name, _ := trusted(); elsewhere == path || name != "two" {
		t.Errorf("%s in %s", name, elsewhere)
	}

	if _, ok, err := javaOptions(filepath.Join(dir, "absent.pem"), ""); ok || err != nil {
		t.Errorf("without a bundle: %v, %v", ok, err)
	}
}
