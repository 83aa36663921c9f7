package broker

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/internal/certtest"
	"github.com/hubnerite/hubnerite/internal/mqtttest"
	"github.com/hubnerite/hubnerite/iothub"
)

// TestConnectByChain: devices and modules whose certificates a registered CA
// has signed, and one line in the log for each that is refused.
func TestConnectByChain(t *testing.T) {
	w := newWorld(t, Options{})
	now := time.Now()
	root, unverified := certtest.Root(t, "root", now), certtest.Root(t, "unverified", now)
	for name, ca := range map[string]*certtest.Certificate{"root": root, "unverified": unverified} {
		if _, err := w.hub.PutCACertificate(t.Context(), name, ca.PEM(), name == "root"); err != nil {
			t.Fatal(err)
		}
	}
	device, module, off := iothub.ID{DeviceID: "signed"}, iothub.ID{DeviceID: "signed", ModuleID: "m"}, iothub.ID{DeviceID: "off"}
	for _, id := range []iothub.ID{device, module, off} {
		request := iothub.IdentityRequest{Authentication: &iothub.AuthenticationRequest{Type: iothub.AuthCertificateAuthority}}
		if id == off {
			request.Status = iothub.StatusDisabled
		}
		if _, err := w.hub.CreateIdentity(t.Context(), id, request); err != nil {
			t.Fatal(err)
		}
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := tls.NewListener(inner, &tls.Config{
		Certificates: []tls.Certificate{selfSigned(t, testHost)}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12,
	})
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(l, "mqtt") }()
	connect := func(id iothub.ID, certificate *certtest.Certificate) (*mqtttest.Client, byte) {
		t.Helper()
		raw, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{
			Certificates: []tls.Certificate{certificate.TLS()}, InsecureSkipVerify: true, //nolint:gosec // the test's own server
		})
		if err != nil {
			t.Fatal(err)
		}
		c := mqtttest.New(t, raw)
		o := w.connectOptions(id)
		o.Password = ""
		_, code := c.Connect(o)
		return c, code
	}
	line := root.Intermediate(t, "line 4")
	var open []*mqtttest.Client
	for id, certificate := range map[iothub.ID]*certtest.Certificate{device: line.ClientRSA(t, "signed"), module: line.Client(t, "signed/m")} {
		c, code := connect(id, certificate)
		if code != 0 {
			t.Fatalf("%s: CONNACK %d", id, code)
		}
		open = append(open, c)
	}
	for _, tt := range []struct {
		name        string
		id          iothub.ID
		certificate *certtest.Certificate
		log         string
	}{
		{"another name", device, line.Client(t, "other"), "common name"},
		{"unknown root", device, certtest.Root(t, "stranger", now).Client(t, "signed"), "leads to no registered CA"},
		{"unverified root", device, unverified.Client(t, "signed"), "not verified"},
		{"expired", device, line.Client(t, "signed", certtest.Valid(now.Add(-2*time.Hour), now.Add(-time.Hour))), "expired at"},
		{"disabled device", off, line.Client(t, "off"), "device off is disabled"},
		{"a device that has keys", testDevice(), line.Client(t, "dev-1"), "authenticates by sas"},
	} {
		c, code := connect(tt.id, tt.certificate)
		if code != connackNotAuthorized {
			t.Errorf("%s: CONNACK %d", tt.name, code)
		}
		c.ExpectClose()
		w.logged("level=WARN", "refused", "device="+tt.id.String(), "connack=5", "code=401002", tt.log)
	}
	if err := w.hub.DeleteCACertificate(t.Context(), "root"); err != nil {
		t.Fatal(err)
	}
	for _, c := range open {
		c.ExpectClose()
	}
	w.stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	w.start()
}
