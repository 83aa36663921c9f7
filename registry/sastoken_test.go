package registry

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// sign makes a token over sr exactly as given, as each SDK spells it.
func sign(key []byte, sr, se string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(sr + "\n" + se))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// The same token in the spellings of the SDKs: what is escaped, the case of the
// hex digits, the order of the fields, ports and case in the host name.
func TestTokenSpellings(t *testing.T) {
	r, c := newRegistry(t)
	ctx := t.Context()
	device, err := r.Create(ctx, iothub.ID{DeviceID: "d*v'1"}, iothub.IdentityRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Create(ctx, iothub.ID{DeviceID: "d*v'1", ModuleID: "m"}, iothub.IdentityRequest{
		Authentication: &iothub.AuthenticationRequest{SymmetricKey: &device.Authentication.SymmetricKey},
	}); err != nil {
		t.Fatal(err)
	}
	owner := DefaultPolicies()[0]
	deviceKey, _ := base64.StdEncoding.DecodeString(device.Authentication.SymmetricKey.SecondaryKey)
	policyKey, _ := base64.StdEncoding.DecodeString(owner.PrimaryKey)
	se := "1767607260" // a minute after the clock's time
	for name, token := range map[string]string{
		"Python device":     "sr=localhost%2Fdevices%2Fd%2Av%271&sig=" + url.QueryEscape(sign(deviceKey, "localhost%2Fdevices%2Fd%2Av%271", se)) + "&se=" + se,
		"Node device":       "sr=localhost%2Fdevices%2Fd%2av%271&sig=" + url.QueryEscape(sign(deviceKey, "localhost%2Fdevices%2Fd%2av%271", se)) + "&se=" + se,
		"with a port":       "sr=LOCALHOST%3A8443%2Fdevices%2Fd*v'1&sig=" + url.QueryEscape(sign(deviceKey, "LOCALHOST%3A8443%2Fdevices%2Fd*v'1", se)) + "&se=" + se,
		"module":            "sr=localhost%2Fdevices%2Fd*v'1%2Fmodules%2Fm&sig=" + url.QueryEscape(sign(deviceKey, "localhost%2Fdevices%2Fd*v'1%2Fmodules%2Fm", se)) + "&se=" + se,
		"Python service":    "sr=localhost%3A8443&sig=" + sign(policyKey, "localhost%3A8443", se) + "&se=" + se + "&skn=iothubowner",
		"uamqp service":     "sr=hub1.azure-devices.net&sig=" + url.QueryEscape(sign(policyKey, "hub1.azure-devices.net", se)) + "&se=" + se + "&skn=iothubowner",
		"C service":         "sr=hub1.azure-devices.net&sig=" + strings.NewReplacer("+", "%2b", "/", "%2f", "=", "%3d").Replace(sign(policyKey, "hub1.azure-devices.net", se)) + "&se=" + se + "&skn=iothubowner",
		"another order":     "skn=iothubowner&se=" + se + "&sr=localhost&sig=" + url.QueryEscape(sign(policyKey, "localhost", se)),
		"Event Hubs scheme": "sr=sb%3A%2F%2Flocalhost%2Fhub&sig=" + url.QueryEscape(sign([]byte(owner.PrimaryKey), "sb%3A%2F%2Flocalhost%2Fhub", se)) + "&se=" + se + "&skn=iothubowner",
	} {
		g, err := r.CheckToken(ctx, "SharedAccessSignature "+token)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !g.Expiry.After(c.Now()) || g.Rights == 0 {
			t.Errorf("%s: %+v", name, g)
		}
	}
}

func TestTokenRefusals(t *testing.T) {
	r, c := newRegistry(t)
	ctx := t.Context()
	device := createDevice(t, r, "d")
	owner := DefaultPolicies()[0]
	future := c.Now().Add(time.Minute)
	token := func(resource, policy, key string, expiry time.Time) string {
		s, err := SignSASToken(resource, policy, key, expiry)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good := token("localhost", "iothubowner", owner.PrimaryKey, future)
	if _, err := r.CheckToken(ctx, good); err != nil {
		t.Fatal(err)
	}
	flipped := []byte(good)
	at := strings.Index(good, "sig=") + 6
	flipped[at] ^= 1
	thumbprint := iothub.IdentityRequest{Authentication: &iothub.AuthenticationRequest{Type: iothub.AuthSelfSigned}}
	if _, err := r.Create(ctx, iothub.ID{DeviceID: "x509"}, thumbprint); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"empty":                   "",
		"no scheme":               strings.TrimPrefix(good, "SharedAccessSignature "),
		"bearer":                  "Bearer abc",
		"no sr":                   "SharedAccessSignature sig=YQ==&se=1",
		"no se":                   "SharedAccessSignature sr=a&sig=YQ==",
		"sr twice":                good + "&sr=localhost",
		"se not a number":         "SharedAccessSignature sr=localhost&sig=YQ==&se=soon",
		"negative se":             "SharedAccessSignature sr=localhost&sig=YQ==&se=-5",
		"sig not base64":          "SharedAccessSignature sr=localhost&sig=%%%&se=5",
		"too long":                good + strings.Repeat("x", 9000),
		"signature changed":       string(flipped),
		"expiry changed":          strings.Replace(good, "&se=", "&se=1", 1),
		"expired":                 token("localhost", "iothubowner", owner.PrimaryKey, c.Now()),
		"other host":              token("elsewhere", "iothubowner", owner.PrimaryKey, future),
		"unknown policy":          token("localhost", "nobody", owner.PrimaryKey, future),
		"key of other policy":     token("localhost", "service", owner.PrimaryKey, future),
		"no policy, no device":    token("localhost", "", owner.PrimaryKey, future),
		"unknown device":          token("localhost/devices/none", "", owner.PrimaryKey, future),
		"wrong device key":        token("localhost/devices/d", "", owner.PrimaryKey, future),
		"certificate device":      token("localhost/devices/x509", "", device.Authentication.SymmetricKey.PrimaryKey, future),
		"device ID in other case": token("localhost/devices/D", "", device.Authentication.SymmetricKey.PrimaryKey, future),
	} {
		g, err := r.CheckToken(ctx, bad)
		wantCode(t, name, err, iothub.CodeIotHubUnauthorizedAccess)
		if g.Rights != 0 {
			t.Errorf("%s: a refused token grants %s", name, g.Rights)
		}
		if err != nil && len(bad) > 20 && strings.Contains(err.Error(), bad[len(bad)-15:]) {
			t.Errorf("%s: the message shows the token: %v", name, err)
		}
	}
}

func TestAdmit(t *testing.T) {
	r, c := newRegistry(t)
	ctx := t.Context()
	d, m := iothub.ID{DeviceID: "d"}, iothub.ID{DeviceID: "d", ModuleID: "m"}
	key := createDevice(t, r, "d").Authentication.SymmetricKey.PrimaryKey
	if _, err := r.Create(ctx, m, iothub.IdentityRequest{}); err != nil {
		t.Fatal(err)
	}
	createDevice(t, r, "e")
	grant := func(resource, policy, key string) iothub.Grant {
		s, err := SignSASToken(resource, policy, key, c.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		g, err := r.CheckToken(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	policies := DefaultPolicies()
	own := grant("localhost/devices/d", "", key)
	if _, err := r.Admit(ctx, d, own); err != nil {
		t.Error(err)
	}
	if _, err := r.Admit(ctx, m, grant("localhost/devices", "device", policies[2].SecondaryKey)); err != nil {
		t.Error("a device policy opens modules:", err)
	}
	_, err := r.Admit(ctx, m, own)
	wantCode(t, "device key for its module", err, iothub.CodeIotHubUnauthorizedAccess)
	_, err = r.Admit(ctx, iothub.ID{DeviceID: "e"}, own)
	wantCode(t, "device key for another device", err, iothub.CodeIotHubUnauthorizedAccess)
	_, err = r.Admit(ctx, d, grant("localhost", "service", policies[1].PrimaryKey))
	wantCode(t, "policy without DeviceConnect", err, iothub.CodeIotHubUnauthorizedAccess)
	_, err = r.Admit(ctx, d, grant("localhost/devices/e", "device", policies[2].PrimaryKey))
	wantCode(t, "policy token for another device", err, iothub.CodeIotHubUnauthorizedAccess)
	_, err = r.Admit(ctx, iothub.ID{DeviceID: "none"}, grant("localhost", "device", policies[2].PrimaryKey))
	wantCode(t, "unknown device", err, iothub.CodeDeviceNotFound)
	c.Advance(2 * time.Minute)
	_, err = r.Admit(ctx, d, own)
	wantCode(t, "after expiry", err, iothub.CodeIotHubUnauthorizedAccess)
	c.Advance(-2 * time.Minute)
	if _, err := r.Replace(ctx, d, iothub.IdentityRequest{Status: iothub.StatusDisabled, Authentication: &iothub.AuthenticationRequest{
		SymmetricKey: &iothub.SymmetricKey{PrimaryKey: key, SecondaryKey: key},
	}}, "*"); err != nil {
		t.Fatal(err)
	}
	_, err = r.Admit(ctx, d, own)
	wantCode(t, "disabled", err, iothub.CodeIotHubUnauthorizedAccess)
	_, err = r.Admit(ctx, m, grant("localhost", "device", policies[2].PrimaryKey))
	wantCode(t, "module of a disabled device", err, iothub.CodeIotHubUnauthorizedAccess)
}

func FuzzSASToken(f *testing.F) {
	f.Add("SharedAccessSignature sr=localhost%2Fdevices%2Fd&sig=YWJj&se=1767607260")
	f.Add("SharedAccessSignature sr=sb%3A%2F%2Fh%3A1%2Fx&sig=YWJj%3D&se=99999999999999999999&skn=a%20b")
	f.Add("SharedAccessSignature sr=[::1]:5&sig=&se=&&&==&sr")
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := parseSASToken(text)
		if err != nil {
			return
		}
		if strings.ToLower(tok.host) != tok.host || strings.HasPrefix(tok.path, "/") || strings.Contains(tok.host, "/") {
			t.Fatalf("host %q, path %q", tok.host, tok.path)
		}
		if tok.expiry.Year() > 9999 {
			t.Fatal("the expiry cannot be formatted")
		}
		// Nobody signed this with a key of ours.
		if tok.signedBy([]signingKey{{decoded: []byte("secret"), text: []byte("c2VjcmV0")}}) {
			t.Fatal("a made-up signature matches")
		}
	})
}

func BenchmarkCheckPolicyToken(b *testing.B) {
	r, c := newRegistry(b)
	token, err := SignSASToken("localhost", "iothubowner", DefaultPolicies()[0].PrimaryKey, c.Now().Add(time.Hour))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.CheckToken(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
