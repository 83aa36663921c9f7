package rest

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/internal/certtest"
	"github.com/hubnerite/hubnerite/iothub"
)

// TestDeviceChain: requests with certificates that a registered CA has signed.
func TestDeviceChain(t *testing.T) {
	w := newWorld(t)
	now := time.Now()
	root, unverified := certtest.Root(t, "root", now), certtest.Root(t, "unverified", now)
	for name, ca := range map[string]*certtest.Certificate{"root": root, "unverified": unverified} {
		if _, err := w.hub.PutCACertificate(t.Context(), name, ca.PEM(), name == "root"); err != nil {
			t.Fatal(err)
		}
	}
	const authority = `"authentication":{"type":"certificateAuthority"}`
	w.do("PUT", "/devices/signed", `{"deviceId":"signed",`+authority+`}`).ok(200)
	w.do("PUT", "/devices/signed/modules/m", `{"deviceId":"signed","moduleId":"m",`+authority+`}`).ok(200)
	w.do("PUT", "/devices/off", `{"deviceId":"off","status":"disabled",`+authority+`}`).ok(200)
	send := func(path string, c *certtest.Certificate) answer {
		r := w.request("POST", path+"/messages/events?"+testVersion, "hello")
		r.TLS = &tls.ConnectionState{PeerCertificates: c.Chain()}
		return w.send(r)
	}
	line := root.Intermediate(t, "line 4")
	good := line.ClientRSA(t, "signed")
	send("/devices/signed", good).ok(204)
	send("/devices/signed/modules/m", line.Client(t, "signed/m")).ok(204)
	if list := w.kept("signed"); len(list) != 2 || list[0].AuthMethod.Type != "x509" || list[1].AuthMethod.Scope != "module" {
		t.Errorf("messages %+v", list)
	}
	for name, tt := range map[string]struct {
		path string
		c    *certtest.Certificate
		log  string
	}{
		"another name":    {"/devices/signed", line.Client(t, "other"), "common name"},
		"unknown root":    {"/devices/signed", certtest.Root(t, "stranger", now).Client(t, "signed"), "leads to no registered CA"},
		"unverified root": {"/devices/signed", unverified.Client(t, "signed"), "not verified"},
		"expired":         {"/devices/signed", line.Client(t, "signed", certtest.Valid(now.Add(-2*time.Hour), now.Add(-time.Hour))), "expired at"},
		"disabled":        {"/devices/off", line.Client(t, "off"), "device off is disabled"},
	} {
		w.logs.Reset()
		send(tt.path, tt.c).refused(legacy, iothub.CodeIotHubUnauthorizedAccess)
		if text := w.logs.String(); strings.Count(text, "request refused") != 1 || !strings.Contains(text, tt.log) {
			t.Errorf("%s: want one line with %q, got\n%s", name, tt.log, text)
		}
	}
	if err := w.hub.DeleteCACertificate(t.Context(), "root"); err != nil {
		t.Fatal(err)
	}
	send("/devices/signed", good).refused(legacy, iothub.CodeIotHubUnauthorizedAccess)
}
