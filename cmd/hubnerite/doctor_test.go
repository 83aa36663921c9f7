package main

import (
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/emulatortest"
)

func wantFinding(t *testing.T, f finding, s severity, texts ...string) {
	t.Helper()
	if f.severity != s || s == problem && f.mend == "" {
		t.Errorf("%s: want %s, with a way to mend a problem", f, s)
	}
	for _, text := range texts {
		if !strings.Contains(f.text+"\n"+f.mend, text) {
			t.Errorf("%s: does not say %q", f, text)
		}
	}
}

func (f finding) String() string { return string(f.severity) + " " + f.text + " -> " + f.mend }

func TestDoctorCertificates(t *testing.T) {
	e := emulatortest.Run(t, emulatortest.WithHostNames("hub1.test", "localhost"))
	ca, err := os.ReadFile(e.Info().CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(e.Info().Ports.MQTT))
	now := time.Now()
	wantFinding(t, checkCertificate("MQTT", address, []string{"hub1.test", "localhost"}, roots, now), fine, "hub1.test, localhost", "valid until")
	wantFinding(t, checkCertificate("MQTT", address, []string{"other.test"}, roots, now), problem, "other.test", "--hostname other.test")
	wantFinding(t, checkCertificate("MQTT", address, []string{"localhost"}, roots, now.AddDate(20, 0, 0)), problem, "not valid now", "restart")
	wantFinding(t, checkCertificate("MQTT", address, []string{"localhost"}, x509.NewCertPool(), now), problem, "unknown authority")
	wantFinding(t, checkCertificate("MQTT", address, []string{"localhost"}, roots, now.AddDate(1, 0, -5)), remark, "valid until", "renewed")
}

func TestDoctorNames(t *testing.T) {
	lookup := func(name string) ([]string, error) {
		switch name {
		case "good.test":
			return []string{"::1"}, nil
		case "elsewhere.test":
			return []string{"192.0.2.1"}, nil
		}
		return nil, errors.New("no such host")
	}
	got := checkNames(emulator.Info{HostNames: []string{"localhost", "good.test"}}, "127.0.0.1", lookup)
	if len(got) != 1 {
		t.Fatalf("%v", got)
	}
	wantFinding(t, got[0], fine, "good.test")
	got = checkNames(emulator.Info{HostNames: []string{"elsewhere.test", "hub1.azure-devices.net"}}, "127.0.0.1", lookup)
	if len(got) != 1 {
		t.Fatalf("%v", got)
	}
	wantFinding(t, got[0], problem, "elsewhere.test leads to 192.0.2.1", "hub1.azure-devices.net does not resolve", "hub1.servicebus.windows.net does not resolve",
		"hosts", "exec --map-hosts")
}

func TestDoctorClock(t *testing.T) {
	now := time.Now()
	wantFinding(t, judgeClock(now, now.Add(20*time.Second), "0s", false), fine)
	wantFinding(t, judgeClock(now, now.Add(-time.Hour), "0s", false), problem, "1h0m0s off")
	wantFinding(t, judgeClock(now, now, "2h0m0s", false), remark, "moved by 2h0m0s")
	wantFinding(t, judgeClock(now, now, "0s", true), remark, "stands still")
}

func TestDoctorProxy(t *testing.T) {
	with := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	if got := checkProxy(nil, with()); len(got) != 0 {
		t.Errorf("without a proxy: %v", got)
	}
	wantFinding(t, checkProxy([]string{"hub1.test"}, with("https_proxy", "p"))[0], remark, "localhost, hub1.test")
	wantFinding(t, checkProxy([]string{"hub1.test"}, with("HTTPS_PROXY", "p", "NO_PROXY", "localhost, hub1.test"))[0], fine)
}

func TestDoctorDataDirectory(t *testing.T) {
	dir := t.TempDir()
	wantFinding(t, checkDataDir(filepath.Join(dir, "not", "there")), fine)
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("it leaves %v behind (%v)", left, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantFinding(t, checkDataDir(filepath.Join(file, "data")), problem, "file")
	wantFinding(t, checkDataDir(""), problem, "--in-memory")
	if os.Getuid() > 0 {
		locked := filepath.Join(dir, "locked")
		if err := os.Mkdir(locked, 0o500); err != nil {
			t.Fatal(err)
		}
		wantFinding(t, checkDataDir(filepath.Join(locked, "data")), problem, "cannot be written")
	}
}

func TestDoctorPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	port := l.Addr().(*net.TCPAddr).Port
	got := checkPorts(map[string]int{"mqtt-port": port, "amqp-port": 0})
	if len(got) != 1 {
		t.Fatalf("%v", got)
	}
	wantFinding(t, got[0], problem, "port "+strconv.Itoa(port)+" is taken", "--mqtt-port")
	if runtime.GOOS == "linux" {
		wantFinding(t, got[0], problem, "process "+strconv.Itoa(os.Getpid()))
	}
	wantFinding(t, checkPorts(map[string]int{"amqp-plain-port": port})[0], remark, "another port")
}

func TestListeningSockets(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:22B3 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:22B3 0100007F:1234 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0000000000000000 100 0 0 10 0
   2: 0100007F:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4713 1 0000000000000000 100 0 0 10 0
`
	if got := strings.Join(listeningSockets(table, 8883), " "); got != "socket:[4711]" {
		t.Errorf("got %q", got)
	}
}

func TestDoctorSDKs(t *testing.T) {
	wantFinding(t, judgeSDK("Python", "/bin/python3", trusted, trusted, true), fine)
	wantFinding(t, judgeSDK("Python", "/bin/python3", "self-signed", trusted, true), remark, "self-signed", "env", "exec")
	wantFinding(t, judgeSDK("Python", "/bin/python3", "self-signed", "no answer", true), problem, "no answer", "trust.md")
	wantFinding(t, judgeSDK("Java", "/bin/java", "PKIX", "PKIX", false), remark, "PKIX", "trust.md")
}
