package trust

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func start() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func load(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFirstStartMakesEverything(t *testing.T) {
	dir := t.TempDir()
	s := load(t, Options{Dir: dir, Now: start(), Hosts: []string{"Hub1.localhost", "hub.example:8443", "192.168.7.9", "[fe80::1]"}})
	leaf := s.Certificate.Leaf

	if got := leaf.PublicKey.(*ecdsa.PublicKey).Curve.Params().Name; got != "P-256" {
		t.Errorf("server key on %s, want P-256", got)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(s.CA) {
		t.Fatal("the CA is not PEM")
	}
	for _, name := range []string{
		"localhost", "127.0.0.1", "::1", "hub1.localhost", "hub.example", "192.168.7.9", "fe80::1",
		"myhub.azure-devices.net", "myhub.device.azure-devices.net", "global.azure-devices-provisioning.net", "ns.servicebus.windows.net",
	} {
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: pool, CurrentTime: start()}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"hub2.localhost", "a.b.azure-devices.net", "example.com", "10.0.0.1"} {
		if leaf.VerifyHostname(name) == nil {
			t.Errorf("the certificate covers %s", name)
		}
	}
	if runtime.GOOS != "windows" {
		for name, want := range map[string]os.FileMode{CAFile: 0o644, CAKeyFile: 0o600, BundleFile: 0o644, ServerFile: 0o644, ServerKeyFile: 0o600} {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != want {
				t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), want)
			}
		}
	}
	if len(s.Notices) != 0 {
		t.Errorf("notices %q, want none: nobody trusted an older authority", s.Notices)
	}
}

func TestRestartKeepsCertificates(t *testing.T) {
	dir := t.TempDir()
	first := load(t, Options{Dir: dir, Now: start(), Hosts: []string{"a.localhost", "b.localhost"}})
	second := load(t, Options{Dir: dir, Now: start().Add(time.Hour), Hosts: []string{"b.localhost", "a.localhost"}})
	if !second.Certificate.Leaf.Equal(first.Certificate.Leaf) {
		t.Error("a restart with the same names made a new server certificate")
	}
	if len(second.Notices) != 0 {
		t.Errorf("notices %q, want none", second.Notices)
	}
}

func TestServerCertificateIsMadeAnew(t *testing.T) {
	tests := map[string]struct {
		now    time.Time
		hosts  []string
		spoil  string
		wantCA bool // the authority stays
		want   bool // the server certificate stays
	}{
		"nothing changed":         {now: start().Add(300 * 24 * time.Hour), wantCA: true, want: true},
		"a host name more":        {now: start(), hosts: []string{"x.localhost"}, wantCA: true},
		"30 days before its end":  {now: start().Add(336 * 24 * time.Hour), wantCA: true},
		"after its end":           {now: start().Add(500 * 24 * time.Hour), wantCA: true},
		"spoilt certificate":      {now: start(), spoil: ServerFile, wantCA: true},
		"spoilt key":              {now: start(), spoil: ServerKeyFile, wantCA: true},
		"authority ended":         {now: start().Add(11 * 365 * 24 * time.Hour)},
		"clock far in the past":   {now: start().Add(-48 * time.Hour), wantCA: true},
		"authority's last months": {now: start().Add(caLifetime - 20*24*time.Hour), wantCA: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			before := load(t, Options{Dir: dir, Now: start()})
			if tt.spoil != "" {
				if err := os.WriteFile(filepath.Join(dir, tt.spoil), []byte("spoilt"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			after := load(t, Options{Dir: dir, Now: tt.now, Hosts: tt.hosts})
			if got := string(before.CA) == string(after.CA); got != tt.wantCA {
				t.Errorf("authority stayed: %t, want %t", got, tt.wantCA)
			}
			if told := len(after.Notices) == 1 && strings.Contains(after.Notices[0], after.CAFile); told == tt.wantCA {
				t.Errorf("notices %q, want one only for a new authority", after.Notices)
			}
			if got := before.Certificate.Leaf.Equal(after.Certificate.Leaf); got != tt.want {
				t.Errorf("server certificate stayed: %t, want %t", got, tt.want)
			}
			if end := after.Certificate.Leaf.NotAfter; !end.After(tt.now) {
				t.Errorf("the new certificate ends on %s, before %s", end, tt.now)
			}
			again := load(t, Options{Dir: dir, Now: tt.now, Hosts: tt.hosts})
			if !again.Certificate.Leaf.Equal(after.Certificate.Leaf) {
				t.Error("the next start makes yet another one")
			}
		})
	}
}

func TestSpoiltAuthorityIsAnError(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		remove     bool
	}{{"certificate", CAFile, false}, {"key", CAKeyFile, false}, {"missing key", CAKeyFile, true}} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			load(t, Options{Dir: dir, Now: start()})
			path := filepath.Join(dir, tt.file)
			err := os.WriteFile(path, []byte("spoilt"), 0o600)
			if tt.remove {
				err = os.Remove(path)
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Load(Options{Dir: dir, Now: start()}); err == nil || !strings.Contains(err.Error(), tt.file) {
				t.Errorf("error %v, want one that names %s", err, tt.file)
			}
		})
	}
}

func TestGivenCertificate(t *testing.T) {
	source := t.TempDir()
	load(t, Options{Dir: source, Now: start(), Hosts: []string{"mine.example"}})
	cert, key := filepath.Join(source, ServerFile), filepath.Join(source, ServerKeyFile)

	dir := t.TempDir()
	s := load(t, Options{Dir: dir, CertFile: cert, KeyFile: key, Now: start(), Hosts: []string{"mine.example", "other.example"}})
	if s.CAFile != cert {
		t.Errorf("CA file %s, want %s", s.CAFile, cert)
	}
	if _, err := os.Stat(filepath.Join(dir, CAFile)); err == nil {
		t.Error("an authority was made although the certificate was given")
	}
	if len(s.Notices) != 1 || !strings.Contains(s.Notices[0], "other.example") {
		t.Errorf("notices %q, want one about other.example", s.Notices)
	}
	if !strings.Contains(read(t, s.BundleFile), strings.TrimSpace(string(s.CA))) {
		t.Error("the bundle does not begin with the given chain")
	}
	late := load(t, Options{Dir: dir, CertFile: cert, KeyFile: key, Now: start().AddDate(2, 0, 0)})
	if len(late.Notices) != 1 || !strings.Contains(late.Notices[0], "ended") {
		t.Errorf("notices %q, want one about the end", late.Notices)
	}

	for name, o := range map[string]Options{
		"no key":      {Dir: dir, CertFile: cert},
		"no cert":     {Dir: dir, KeyFile: key},
		"absent":      {Dir: dir, CertFile: cert + "x", KeyFile: key},
		"wrong key":   {Dir: dir, CertFile: cert, KeyFile: filepath.Join(source, CAKeyFile)},
		"no such dir": {Dir: filepath.Join(dir, "absent"), Now: start()},
	} {
		if _, err := Load(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBundle(t *testing.T) {
	ca := load(t, Options{Dir: t.TempDir(), Now: start()}).CA
	root := load(t, Options{Dir: t.TempDir(), Now: start()}).CA
	roots := append([]byte("# a comment\n"), root...)
	roots = append(roots, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("no")})...)
	roots = append(append(roots, ca...), root...)
	got := Bundle(ca, roots)
	if want := bundleMark + string(ca) + string(root); string(got) != want {
		t.Errorf("bundle is\n%s\nwant\n%s", got, want)
	}
}

func TestSystemRootsPassOverOurOwnBundle(t *testing.T) {
	dir := t.TempDir()
	s := load(t, Options{Dir: dir, Now: start()})
	platform := func() []byte { return []byte("platform") }
	theirs := filepath.Join(dir, "theirs.pem")
	if err := os.WriteFile(theirs, s.CA, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ env, want string }{
		"unset":          {"", "platform"},
		"a file":         {theirs, string(s.CA)},
		"our own bundle": {s.BundleFile, "platform"},
		"absent file":    {theirs + "x", "platform"},
	} {
		if got := string(systemRoots(tt.env, platform)); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func TestRootsFromFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.pem": "A", "b.pem": "B", "empty": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	if got := string(rootsFromFiles([]string{in("none"), in("empty"), in("b.pem"), in("a.pem")}, nil)); got != "B" {
		t.Errorf("got %q, want the first readable file", got)
	}
	if got := string(rootsFromFiles([]string{in("none")}, []string{in("nodir"), dir})); got != "A\nB\n\n" {
		t.Errorf("got %q, want every file of the directory", got)
	}
	if got := rootsFromFiles(nil, []string{in("nodir")}); got != nil {
		t.Errorf("got %q, want nothing", got)
	}
}

func TestHandshakes(t *testing.T) {
	s := load(t, Options{Dir: t.TempDir()})
	stranger := load(t, Options{Dir: t.TempDir()})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.CA)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", s.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	states := make(chan tls.ConnectionState, 1)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).Handshake()
			states <- c.(*tls.Conn).ConnectionState()
			_, _ = c.Write([]byte("x"))
			_ = c.Close()
		}
	}()
	cache := tls.NewLRUClientSessionCache(4)
	gcm := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	for _, tt := range []struct {
		name    string
		config  *tls.Config
		peers   int
		resumed bool
		wantErr bool
	}{
		{name: "1.2 with ECDHE and AES-GCM", config: &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: gcm}},
		{name: "1.3", config: &tls.Config{MinVersion: tls.VersionTLS13, ClientSessionCache: cache}},
		{name: "1.3 resumed", config: &tls.Config{MinVersion: tls.VersionTLS13, ClientSessionCache: cache}, resumed: true},
		{name: "a stranger's client certificate", config: &tls.Config{Certificates: []tls.Certificate{stranger.Certificate}}, peers: 2},
		{name: "1.1", config: &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, wantErr: true}, //nolint:gosec // The server must refuse it.
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.RootCAs, tt.config.ServerName = pool, "hub.azure-devices.net"
			raw, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = raw.Close() }()
			c := tls.Client(raw, tt.config)
			err = c.Handshake()
			if err == nil {
				// Reading takes in the session ticket too.
				_, err = io.ReadFull(c, make([]byte, 1))
			}
			state := <-states
			if (err != nil) != tt.wantErr {
				t.Fatalf("error %v, want an error: %t", err, tt.wantErr)
			}
			if got := len(state.PeerCertificates); got != tt.peers {
				t.Errorf("the server saw %d client certificates, want %d", got, tt.peers)
			}
			if state.DidResume != tt.resumed {
				t.Errorf("resumed %t, want %t", state.DidResume, tt.resumed)
			}
		})
	}
}

func TestWriteFileLeavesNoTrace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, content := range []string{"one", "two", "two"} {
		if err := WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != content {
			t.Errorf("content %q, want %q", got, content)
		}
	}
	// A directory cannot be replaced by a file: the attempt must clean up.
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(dir, "taken"), nil, 0o600); err == nil {
		t.Error("replaced a directory")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("entries %v, want file and taken only", entries)
	}
}
