package emulator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"time"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/internal/halfopen"
	"github.com/hubnerite/hubnerite/internal/netreset"
	"github.com/hubnerite/hubnerite/iothub"
)

// withFaults has a TLS configuration obey the fault rules about handshakes.
func (e *Emulator) withFaults(config *tls.Config, listener string) *tls.Config {
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		// The listeners are called as the protocols that begin on them: "mqtt", "amqp" or "https".
		h := e.lookup(hello.ServerName).now.Load().hub
		kind, err := h.FaultHandshake(hello.Context(), listener, handshakeSocket{hello.Conn})
		if err != nil || kind == "" {
			return nil, err
		}
		bad, err := e.badCertificate(kind, hello)
		if err != nil {
			return nil, err
		}
		return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{bad}, ClientAuth: tls.RequestClientCert}, nil
	}
	return config
}

// handshakeSocket is a connection in its handshake, for fault rules.
type handshakeSocket struct{ net.Conn }

// Reset implements hub.Socket.
func (s handshakeSocket) Reset(*iothub.Error) { netreset.Reset(s.Conn) }

// Silence implements hub.Socket.
func (s handshakeSocket) Silence() { halfopen.Silence(s.Conn) }

// badCertificate makes a certificate that is right but for one thing.
func (e *Emulator) badCertificate(kind hub.FaultCertificateKind, hello *tls.ClientHelloInfo) (tls.Certificate, error) {
	now, host := e.clock.Real(), hello.ServerName
	if host == "" { // clients send no addresses
		host, _, _ = net.SplitHostPort(hello.Conn.LocalAddr().String())
	}
	switch kind {
	case hub.CertificateExpired:
		return e.trust.Issue([]string{host}, now.Add(-48*time.Hour), now.Add(-24*time.Hour))
	case hub.CertificateWrongName:
		return e.trust.Issue([]string{"wrong-name.invalid"}, now.Add(-time.Hour), now.Add(24*time.Hour))
	}
	return untrustedCertificate(host, now)
}

// untrustedCertificate is right but for who has signed it, which is itself.
func untrustedCertificate(host string, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "Hubnerite, on purpose not to be trusted"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else if host != "" {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
