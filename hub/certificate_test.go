package hub

import (
	"context"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/internal/certtest"
	"github.com/hubnerite/hubnerite/iothub"
)

// signedDevice makes a device of the type certificateAuthority.
func (f *fixture) signedDevice(name string) iothub.ID {
	f.t.Helper()
	id := iothub.ID{DeviceID: name}
	request := iothub.IdentityRequest{Authentication: &iothub.AuthenticationRequest{Type: iothub.AuthCertificateAuthority}}
	if _, err := f.CreateIdentity(context.Background(), id, request); err != nil {
		f.t.Fatalf("%v", err)
	}
	return id
}

// TestCARemovedDisconnects: those whom the CA let in, and nobody else.
func TestCARemovedDisconnects(t *testing.T) {
	f := newFixture(t)
	now := time.Now()
	first, second := certtest.Root(t, "first", now), certtest.Root(t, "second", now)
	for name, root := range map[string]*certtest.Certificate{"first": first, "second": second} {
		if _, err := f.PutCACertificate(t.Context(), name, root.PEM(), true); err != nil {
			t.Fatal(err)
		}
	}
	connect := func(id iothub.ID, root *certtest.Certificate) (*fakeClient, iothub.Grant) {
		t.Helper()
		g, err := f.AuthenticateDevice(t.Context(), id, Credential{Certificates: root.Client(t, id.DeviceID).Chain()})
		if err != nil {
			t.Fatal(err)
		}
		client := newFakeClient()
		if _, err := f.Connect(t.Context(), id, ConnectionOptions{Protocol: "mqtt", Grant: g}, client); err != nil {
			t.Fatal(err)
		}
		return client, g
	}
	keyed, others := f.device("keyed"), f.signedDevice("others")
	_, byKey := f.connect(keyed, "mqtt")
	removed, grant := connect(f.signedDevice("removed"), first)
	replaced, _ := connect(f.signedDevice("replaced"), second)
	if _, err := f.PutCACertificate(t.Context(), "first", first.PEM(), false); err != nil {
		t.Fatal(err)
	}
	if len(removed.gone) != 0 {
		t.Error("registering the same certificate again disconnected its device")
	}
	if err := f.DeleteCACertificate(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	wantGone := func(what string, c *fakeClient) {
		t.Helper()
		select {
		case reason := <-c.gone:
			if reason.Code != iothub.CodeIotHubUnauthorizedAccess {
				t.Errorf("%s: %v", what, reason)
			}
		default:
			t.Errorf("%s is still connected", what)
		}
	}
	wantGone("the device of the removed CA", removed)
	if len(replaced.gone) != 0 || len(byKey.gone) != 0 {
		t.Error("a device of another CA, or with a key, was disconnected")
	}
	if _, err := f.PutCACertificate(t.Context(), "second", first.PEM(), true); err != nil {
		t.Fatal(err)
	}
	wantGone("the device of the replaced CA", replaced)

	// Who authenticated before the CA went is not attached after it, nor heard.
	_, early := connect(others, first)
	if err := f.DeleteCACertificate(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	_, err := f.Connect(t.Context(), others, ConnectionOptions{Protocol: "mqtt", Grant: early}, newFakeClient())
	wantCode(t, err, iothub.CodeIotHubUnauthorizedAccess)
	err = f.SendTelemetry(t.Context(), iothub.ID{DeviceID: "removed"}, grant, []iothub.Telemetry{{Body: []byte("x")}})
	wantCode(t, err, iothub.CodeIotHubUnauthorizedAccess)
	if _, err := f.CACertificate("second"); iothub.ErrorCode(err) != iothub.CodeCertificateNotFound || len(f.CACertificates()) != 0 {
		t.Errorf("%v, %d CAs", err, len(f.CACertificates()))
	}
}
