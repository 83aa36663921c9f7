package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/bench/process"
	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/registry"
)

// server is a running server to measure.
type server struct {
	*process.Process
	name string
	// durability of the emulator, "" for mosquitto.
	durability string
	addresses  map[string]string // by transport
	tls        *tls.Config
	host       string // of the emulator, for user names
	passwords  map[string]string
}

func deviceName(number int) string { return fmt.Sprintf("bench-%03d", number) }

// userName is what IoT Hub asks for. Mosquitto does not look at it.
func (s *server) userName(device string) string {
	return s.host + "/" + device + "/?api-version=2021-04-12"
}

func (s *server) dial(ctx context.Context, transport string) (net.Conn, error) {
	address, ok := s.addresses[transport]
	if !ok {
		return nil, fmt.Errorf("no transport %q", transport)
	}
	if transport == "tls" {
		d := tls.Dialer{Config: s.tls}
		return d.DialContext(ctx, "tcp", address)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}

func startEmulator(ctx context.Context, name, binary, dir, durability string, devices int) (*server, error) {
	data := filepath.Join(dir, name+"-"+durability)
	ready := filepath.Join(dir, "ready-"+name+"-"+durability+".json")
	args := []string{"--durability", durability, "--log-level", "error", "--mqtt-plain-port=0"}
	names := make([]string, devices)
	for i := range names {
		names[i] = deviceName(i)
	}
	for some := range slices.Chunk(names, 1000) {
		args = append(args, "--device="+strings.Join(some, ","))
	}
	s := &server{name: name + " " + durability, durability: durability, passwords: map[string]string{}}
	var info emulator.Info
	var err error
	if s.Process, info, err = process.StartEmulator(ctx, s.name, binary, data, ready, args...); err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(info.CAFile)
	if err != nil {
		s.Stop()
		return nil, err
	}
	s.host = info.HostName
	s.tls = clientTLS(ca, info.HostName)
	s.addresses = map[string]string{
		"tls":   net.JoinHostPort("127.0.0.1", strconv.Itoa(info.Ports.MQTT)),
		"plain": net.JoinHostPort("127.0.0.1", strconv.Itoa(info.Ports.MQTTPlain)),
	}
	for i := range devices {
		name := deviceName(i)
		_, key, _ := strings.Cut(info.Devices[name], ";SharedAccessKey=")
		s.passwords[name], err = registry.SignSASToken(info.HostName+"/devices/"+url.QueryEscape(name), "", key, time.Now().Add(time.Hour))
		if err != nil {
			s.Stop()
			return nil, fmt.Errorf("device %s: %w", name, err)
		}
	}
	return s, nil
}

// startMosquitto starts mosquitto without persistence, limits or Nagle's
// algorithm. Mosquitto cannot choose a free port itself.
func startMosquitto(ctx context.Context, program, dir string, devices int) (*server, error) {
	plain, err := freePort()
	if err != nil {
		return nil, err
	}
	encrypted, err := freePort()
	if err != nil {
		return nil, err
	}
	cert, key, err := writeCertificate(dir)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "mosquitto.conf")
	text := fmt.Sprintf(`per_listener_settings false
allow_anonymous true
persistence false
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
log_dest none
listener %d 127.0.0.1
listener %d 127.0.0.1
certfile %s
keyfile %s
`, plain, encrypted, cert, key)
	if os.Geteuid() == 0 {
		text = "user root\n" + text
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(cert)
	if err != nil {
		return nil, err
	}
	s := &server{
		name: "mosquitto", tls: clientTLS(ca, "localhost"), host: "localhost", passwords: map[string]string{},
		addresses: map[string]string{
			"plain": fmt.Sprintf("127.0.0.1:%d", plain), "tls": fmt.Sprintf("127.0.0.1:%d", encrypted),
		},
	}
	for i := range devices {
		s.passwords[deviceName(i)] = "none"
	}
	// It does not raise its limit of open files itself, as Go programs do.
	shell := `ulimit -n "$(ulimit -H -n)" && exec "$0" "$@"`
	if s.Process, err = process.Start(ctx, s.name, "/bin/sh", "-c", shell, program, "-c", config); err != nil {
		return nil, err
	}
	err = s.Poll(func() error {
		c, err := net.Dial("tcp", s.addresses["tls"])
		if err == nil {
			err = c.Close()
		}
		return err
	})
	if err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func clientTLS(ca []byte, name string) *tls.Config {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &tls.Config{RootCAs: pool, ServerName: name, MinVersion: tls.VersionTLS12}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// writeCertificate makes a self-signed P-256 certificate for localhost, the kind
// that the emulator uses too.
func writeCertificate(dir string) (certFile, keyFile string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return "", "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(dir, "mosquitto.pem"), filepath.Join(dir, "mosquitto.key")
	return certFile, keyFile, errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
}
