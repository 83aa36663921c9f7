package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
	"github.com/hubnerite/hubnerite/internal/certtest"
)

// commands runs command lines against an emulator.
type commands struct {
	t    *testing.T
	info emulator.Info
	dir  string
}

// run wants an exit code and returns what was printed, errors included.
func (c *commands) run(code int, args ...string) string {
	c.t.Helper()
	var out bytes.Buffer
	if got := run(append([]string{"--admin-url", c.info.AdminURL}, args...), &out, &out); got != code {
		c.t.Fatalf("%v: exit code %d, want %d\n%s", args, got, code, out.String())
	}
	return strings.TrimSpace(out.String())
}

// file writes a file and returns its path.
func (c *commands) file(name string, text []byte) string {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

func (c *commands) want(got string, parts ...string) {
	c.t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			c.t.Errorf("want %q in\n%s", part, got)
		}
	}
}

func newCommands(t *testing.T, e *emulator.Emulator) *commands {
	t.Helper()
	return &commands{t, e.Info(), t.TempDir()}
}

func TestCACommands(t *testing.T) {
	c := newCommands(t, emulatortest.Run(t))
	root, now := certtest.Root(t, "factory", time.Now()), time.Now()
	path := c.file("Factory.pem", root.PEM())
	if got := c.run(0, "ca", "list"); strings.Count(got, "\n") != 0 {
		t.Errorf("a new emulator has authorities:\n%s", got)
	}
	c.want(c.run(0, "ca", "add", path, "--unverified"), "Factory unverified ")
	c.want(c.run(0, "ca", "list"), "Factory  unverified", "CN=factory")
	code := c.run(0, "ca", "verify", "factory")
	c.want(c.run(1, "ca", "verify", "factory", "--proof", c.file("wrong.pem", root.Client(t, "wrong").PEM())), "not the verification code")
	c.want(c.run(0, "ca", "verify", "factory", "--proof", c.file("proof.pem", root.Client(t, code).PEM())), "Factory verified ")
	c.want(c.run(0, "ca", "list", "--json"), `"isVerified": true`)
	c.want(c.run(0, "ca", "add", c.file("b.pem", certtest.Root(t, "b", now).PEM()), "--name", "second"), "second verified ")
	c.want(c.run(1, "ca", "add", c.file("old.pem", certtest.Root(t, "old", now.AddDate(0, 0, -3)).PEM())), "400", "expired at")
	c.want(c.run(1, "ca", "add", c.file("soon.pem", certtest.Root(t, "soon", now.AddDate(0, 0, 3)).PEM())), "400", "not valid before")
	c.want(c.run(1, "ca", "add", path, "--name", "again"), "409", "Factory")
	c.want(c.run(1, "ca", "verify", "none"), `no CA "none"`)
	c.want(c.run(1, "ca", "verify", "none", "--proof", path), `no CA "none"`)
	c.want(c.run(1, "ca", "remove", "none"), `no CA "none"`)
	c.run(2, "ca", "add", filepath.Join(c.dir, "absent.pem"))
	c.run(2, "ca", "verify", "factory", "--proof", filepath.Join(c.dir, "absent.pem"))
	c.run(0, "ca", "remove", "factory", "second")
	c.want(c.run(0, "ca", "list", "--json"), `"certificates": []`)
	// What ca alone has always done.
	if text := c.run(0, "ca"); !strings.HasPrefix(text, "-----BEGIN CERTIFICATE") {
		t.Error(text)
	}
}

// TestCADevice: what "ca device" writes opens the device, over HTTPS here.
func TestCADevice(t *testing.T) {
	data := t.TempDir()
	cfg := emulator.Config{DataDir: data}
	e, err := emulator.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close(context.Background()) }()
	c := newCommands(t, e)
	send := func(path, files string) int {
		t.Helper()
		cert, key, _ := strings.Cut(files, "\n")
		if strings.HasSuffix(cert, "-key.pem") {
			cert, key = key, cert
		}
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		info := e.Info()
		ca, err := os.ReadFile(info.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(ca)
		client := http.Client{Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
		}}
		url := fmt.Sprintf("https://localhost:%d%s/messages/events?api-version=2021-04-12", info.Ports.HTTPS, path)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	device := c.run(0, "ca", "device", "d", "--create", "--out", filepath.Join(c.dir, "new"))
	module := c.run(0, "ca", "device", "d", "--module", "m", "--ecc", "--create", "--days", "3", "--out", c.dir)
	if got := send("/devices/d", device); got != http.StatusNoContent {
		t.Errorf("the device is answered %d", got)
	}
	if got := send("/devices/d/modules/m", module); got != http.StatusNoContent {
		t.Errorf("the module is answered %d", got)
	}
	if got := send("/devices/d", module); got != http.StatusUnauthorized {
		t.Errorf("the device with its module's certificate is answered %d", got)
	}
	c.want(c.run(1, "send", "d", "x"), "device d has a certificate and no key")
	expired := c.run(0, "ca", "device", "d", "--expired", "--ecc", "--out", filepath.Join(c.dir, "old"))
	if got := send("/devices/d", expired); got != http.StatusUnauthorized {
		t.Errorf("an expired certificate is answered %d", got)
	}
	for files, want := range map[string]string{device: "RSA", module: "ECDSA"} {
		key, cert, _ := strings.Cut(files, "\n")
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		_, isRSA := pair.PrivateKey.(*rsa.PrivateKey)
		_, isECC := pair.PrivateKey.(*ecdsa.PrivateKey)
		if isRSA != (want == "RSA") || isECC != (want == "ECDSA") {
			t.Errorf("%s: a key of type %T", cert, pair.PrivateKey)
		}
		if days := time.Until(pair.Leaf.NotAfter).Hours() / 24; want == "ECDSA" && (days < 2.9 || days > 3.1) {
			t.Errorf("%s is valid for %.1f days", cert, days)
		}
		for _, secret := range []string{key, filepath.Join(data, "device-ca-key.pem")} {
			if info, err := os.Stat(secret); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", secret, info.Mode(), err)
			}
		}
	}
	c.want(c.run(0, "ca", "list"), "hubnerite-test-devices  verified")
	c.run(1, "ca", "device", "a b")
	c.want(c.run(1, "ca", "device", "d", "--create", "--out", c.dir), "d: the hub answers 409")
	c.run(2, "ca", "device", "d", "--days", "0")

	// The authority and what it signed are good after a restart, too.
	if err := e.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if e, err = emulator.Start(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	c.info = e.Info()
	if got := send("/devices/d", device); got != http.StatusNoContent {
		t.Errorf("after a restart the device is answered %d", got)
	}
	if again := c.run(0, "ca", "device", "d", "--ecc", "--out", filepath.Join(c.dir, "new")); again != device || send("/devices/d", again) != http.StatusNoContent {
		t.Errorf("a second certificate in %s", again)
	}
}

func TestFileName(t *testing.T) {
	for id, want := range map[string]string{"d-1": "d-1", `a:b*?%`: "a_b___", "..": "_..", "d.1": "d.1"} {
		if got := fileName(id); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
}
