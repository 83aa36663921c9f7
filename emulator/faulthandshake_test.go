package emulator_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/emulator/emulatortest"
	"github.com/hubnerite/hubnerite/hub"
)

// TestFaultHandshake: on each listener a client meets each bad certificate, and is right to refuse it for that reason alone; it meets
// a reset and a silence; and each time it connects once the rule is used up.
func TestFaultHandshake(t *testing.T) {
	e := emulatortest.Run(t)
	h := hubNamed(t, e, "")
	roots := x509.NewCertPool()
	ca, err := os.ReadFile(e.Info().CAFile)
	if err != nil || !roots.AppendCertsFromPEM(ca) {
		t.Fatal("no CA: ", err)
	}
	ports := e.Info().Ports
	for listener, port := range map[string]int{"mqtt": ports.MQTT, "amqp": ports.AMQP, "https": ports.HTTPS} {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		for _, name := range []string{"localhost", "127.0.0.1"} {
			handshake := func(ctx context.Context) error {
				c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = c.Close() }()
				return tls.Client(c, &tls.Config{ServerName: name, RootCAs: roots, MinVersion: tls.VersionTLS12}).HandshakeContext(ctx)
			}
			once := func(rule hub.FaultRule) {
				t.Helper()
				h.RemoveFaultRule("")
				rule.Operation, rule.Protocols, rule.Count = hub.FaultOnHandshake, []string{listener}, 1
				if _, err := h.AddFaultRule(rule); err != nil {
					t.Fatal(err)
				}
			}
			works := func(after string) {
				t.Helper()
				if err := handshake(t.Context()); err != nil {
					t.Errorf("%s, %s, after %s: %v", listener, name, after, err)
				}
				if hits := h.FaultRules()[0].Hits; hits != 1 {
					t.Errorf("%s, %s, %s: %d hits", listener, name, after, hits)
				}
			}
			for kind, refuses := range map[hub.FaultCertificateKind]func(error) bool{
				"": isUntrusted, hub.CertificateUntrusted: isUntrusted,
				hub.CertificateExpired: func(err error) bool {
					invalid := x509.CertificateInvalidError{}
					return errors.As(err, &invalid) && invalid.Reason == x509.Expired
				},
				hub.CertificateWrongName: func(err error) bool { return errors.As(err, new(x509.HostnameError)) },
			} {
				once(hub.FaultRule{Action: hub.FaultCertificate, Certificate: kind})
				if err := handshake(t.Context()); !refuses(err) {
					t.Errorf("%s, %s, %q: %v", listener, name, kind, err)
				}
				works(string(kind))
			}
			once(hub.FaultRule{Action: hub.FaultDisconnect})
			if err := handshake(t.Context()); err == nil {
				t.Errorf("%s: the handshake survives a reset", listener)
			}
			works("a reset")
			once(hub.FaultRule{Action: hub.FaultDelay, Delays: hub.FaultDelays{Value: 20 * time.Millisecond}})
			began := time.Now()
			works("a delay")
			if took := time.Since(began); took < 20*time.Millisecond {
				t.Errorf("%s: delayed by %v", listener, took)
			}
			once(hub.FaultRule{Action: hub.FaultHalfOpen})
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() { result <- handshake(ctx) }()
			for h.FaultRules()[0].Hits == 0 {
				time.Sleep(time.Millisecond)
			}
			select {
			case err := <-result:
				t.Errorf("%s: silence ends with %v", listener, err)
			case <-time.After(20 * time.Millisecond): // silence cannot be waited for
			}
			cancel()
			works("a silence")
		}
	}
}

func isUntrusted(err error) bool { return errors.As(err, new(x509.UnknownAuthorityError)) }
