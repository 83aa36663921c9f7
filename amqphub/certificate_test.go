package amqphub

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/internal/certtest"
	"github.com/hubnerite/hubnerite/iothub"
)

// TestChains: certificates that a registered CA has signed, on links.
func TestChains(t *testing.T) {
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
	root, unverified := certtest.Root(t, "root", r.Now()), certtest.Root(t, "unverified", r.Now())
	for name, ca := range map[string]*certtest.Certificate{"root": root, "unverified": unverified} {
		if _, err := r.hub.PutCACertificate(t.Context(), name, ca.PEM(), name == "root"); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []iothub.ID{{DeviceID: "signed"}, {DeviceID: "signed", ModuleID: "m"}, {DeviceID: "off"}} {
		request := iothub.IdentityRequest{Authentication: &iothub.AuthenticationRequest{Type: iothub.AuthCertificateAuthority}}
		if id.DeviceID == "off" {
			request.Status = iothub.StatusDisabled
		}
		if _, err := r.hub.CreateIdentity(t.Context(), id, request); err != nil {
			t.Fatal(err)
		}
	}
	dial := func(c *certtest.Certificate) *goamqp.Conn {
		t.Helper()
		conn, err := goamqp.Dial(r.ctx(), "amqps://"+l.Addr().String(), &goamqp.ConnOptions{
			HostName:  "hub1.azure-devices.net",
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{c.TLS()}, InsecureSkipVerify: true}, //nolint:gosec // the server's certificate is not what is tested
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	session := func(conn *goamqp.Conn) *goamqp.Session {
		t.Helper()
		s, err := conn.NewSession(r.ctx(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	line := root.Intermediate(t, "line 4")
	conn := dial(line.ClientRSA(t, "signed"))
	good := session(conn)
	r.send(r.sender(good, "/devices/signed/messages/events", nil), goamqp.NewMessage([]byte("device")))
	r.send(r.sender(session(dial(line.Client(t, "signed/m"))), "/devices/signed/modules/m/messages/events", nil), goamqp.NewMessage([]byte("module")))
	kept := r.kept()
	if len(kept) != 2 {
		t.Fatalf("%d messages", len(kept))
	}
	for _, m := range kept {
		if m.AuthMethod.Type != "x509" {
			t.Errorf("%s: %+v", m.Body, m.AuthMethod)
		}
	}
	for name, tt := range map[string]struct {
		certificate *certtest.Certificate
		address     string
	}{
		"another name":          {line.Client(t, "other"), "/devices/signed/messages/events"},
		"a device's for module": {line.Client(t, "signed"), "/devices/signed/modules/m/messages/events"},
		"unknown root":          {certtest.Root(t, "stranger", r.Now()).Client(t, "signed"), "/devices/signed/messages/events"},
		"unverified root":       {unverified.Client(t, "signed"), "/devices/signed/messages/events"},
		"expired":               {line.Client(t, "signed", certtest.Valid(r.Now().Add(-2*time.Hour), r.Now().Add(-time.Hour))), "/devices/signed/messages/events"},
		"disabled device":       {line.Client(t, "off"), "/devices/off/messages/events"},
		"a device with keys":    {line.Client(t, "d"), "/devices/d/messages/events"},
	} {
		_, err := session(dial(tt.certificate)).NewSender(r.ctx(), tt.address, nil)
		wantCondition(t, name, err, "amqp:unauthorized-access")
	}
	// Removing the CA detaches, and the certificate opens nothing more on the same connection.
	methods := r.receiver(good, "/devices/signed/methods/devicebound", nil)
	if err := r.hub.DeleteCACertificate(t.Context(), "root"); err != nil {
		t.Fatal(err)
	}
	r.gone("methods of a device whose CA was removed", methods, "amqp:unauthorized-access")
	// In a session of its own: the client may still be answering the detach on a handle that it uses again.
	_, err = session(conn).NewSender(r.ctx(), "/devices/signed/messages/events", nil)
	wantCondition(t, "CA removed", err, "amqp:unauthorized-access")
}
