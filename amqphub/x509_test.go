package amqphub

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"net"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/iothub"
)

// certificate makes a self-signed one and returns it with its thumbprint.
func certificate(t *testing.T, name string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, hex.EncodeToString(sum[:])
}

// TestCertificates: the certificate of the TLS connection is checked against the
// device that a link names, whatever SASL mechanism the client uses, if any.
func TestCertificates(t *testing.T) {
	r := newRig(t)
	server, _ := certificate(t, "localhost")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = r.server.Serve(tls.NewListener(l, &tls.Config{
			Certificates: []tls.Certificate{server}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12,
		}))
	}()
	t.Cleanup(func() { _ = l.Close(); <-served })
	mine, thumbprint := certificate(t, "certified")
	foreign, _ := certificate(t, "certified")
	certified, module := iothub.ID{DeviceID: "certified"}, iothub.ID{DeviceID: "certified", ModuleID: "m"}
	for _, id := range []iothub.ID{certified, module} {
		if _, err := r.hub.CreateIdentity(t.Context(), id, iothub.IdentityRequest{Authentication: &iothub.AuthenticationRequest{
			Type: iothub.AuthSelfSigned, X509Thumbprint: &iothub.X509Thumbprint{PrimaryThumbprint: &thumbprint, SecondaryThumbprint: &thumbprint},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	dial := func(sasl goamqp.SASLType, certificates ...tls.Certificate) *goamqp.Session {
		t.Helper()
		conn, err := goamqp.Dial(r.ctx(), "amqps://"+l.Addr().String(), &goamqp.ConnOptions{
			SASLType: sasl, HostName: "hub1.azure-devices.net",
			TLSConfig: &tls.Config{Certificates: certificates, InsecureSkipVerify: true}, //nolint:gosec // the server's certificate is not what is tested
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		s, err := conn.NewSession(r.ctx(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for name, sasl := range map[string]goamqp.SASLType{
		"no SASL": nil, "ANONYMOUS": goamqp.SASLTypeAnonymous(), "EXTERNAL": goamqp.SASLTypeExternal(""),
	} {
		r.send(r.sender(dial(sasl, mine), "/devices/certified/messages/events", nil), goamqp.NewMessage([]byte(name)))
	}
	s := dial(nil, mine)
	r.send(r.sender(s, "/devices/certified/modules/m/messages/events", nil), goamqp.NewMessage([]byte("module")))
	kept := r.kept()
	if len(kept) != 4 {
		t.Fatalf("%d messages", len(kept))
	}
	for _, m := range kept {
		if m.AuthMethod.Type != "x509" {
			t.Errorf("%s: %+v", m.Body, m.AuthMethod)
		}
	}
	// A certificate does not expire with the clock of tokens, and survives a token that opens the same device.
	methods := r.receiver(s, "/devices/certified/methods/devicebound", nil)
	if status, _ := r.cbs(s).put("id", sasType, "hub1", r.token("device")); status != 200 {
		t.Fatal(status)
	}
	r.advance(2 * time.Minute)
	if !r.connected(certified) {
		t.Error("the end of a token ended a device with a certificate")
	}
	if err := methods.Close(r.ctx()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		s       *goamqp.Session
		address string
	}{
		"foreign certificate":    {dial(nil, foreign), "/devices/certified/messages/events"},
		"no certificate":         {dial(goamqp.SASLTypeExternal("")), "/devices/certified/messages/events"},
		"a device that has keys": {dial(nil, mine), "/devices/d/messages/events"},
		"unknown device":         {dial(nil, mine), "/devices/none/messages/events"},
	} {
		_, err := c.s.NewSender(r.ctx(), c.address, nil)
		wantCondition(t, name, err, "amqp:unauthorized-access")
	}
}
