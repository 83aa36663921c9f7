package registry

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // thumbprints
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store/memory"
)

const testKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newRegistry(t testing.TB) (*Registry, *clock) {
	t.Helper()
	st := memory.New(memory.Options{})
	t.Cleanup(func() { _ = st.Close() })
	c := &clock{now: time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)}
	r, err := New(Options{
		Records:  st.Records(),
		Now:      c.Now,
		OwnsHost: func(h, _ string) bool { return h == "localhost" || strings.HasSuffix(h, ".azure-devices.net") },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, c
}

func createDevice(t testing.TB, r *Registry, name string) iothub.Identity {
	t.Helper()
	i, err := r.Create(t.Context(), iothub.ID{DeviceID: name}, iothub.IdentityRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func wantCode(t testing.TB, what string, err error, code iothub.Code) {
	t.Helper()
	if iothub.ErrorCode(err) != code {
		t.Errorf("%s: got %v, want %s", what, err, code)
	}
}

func TestDefaultPolicies(t *testing.T) {
	r, _ := newRegistry(t)
	got := map[string]string{}
	for _, p := range r.Policies() {
		got[p.Name] = p.Rights.String()
	}
	for name, rights := range map[string]string{
		"iothubowner": "RegistryRead, RegistryWrite, ServiceConnect, DeviceConnect", "service": "ServiceConnect",
		"device": "DeviceConnect", "registryRead": "RegistryRead", "registryReadWrite": "RegistryRead, RegistryWrite",
	} {
		if got[name] != rights {
			t.Errorf("%s: %q", name, got[name])
		}
	}
	if _, err := New(Options{Records: memory.New(memory.Options{}).Records(), Policies: []iothub.AccessPolicy{{Name: "a", PrimaryKey: "?"}}}); err == nil {
		t.Error("a key that is not base64 was accepted")
	}
}

func TestCreateGeneratesKeys(t *testing.T) {
	r, _ := newRegistry(t)
	for name, req := range map[string]iothub.IdentityRequest{
		"nothing":    {},
		"type only":  {Authentication: &iothub.AuthenticationRequest{Type: iothub.AuthSAS}},
		"empty keys": {Authentication: &iothub.AuthenticationRequest{SymmetricKey: &iothub.SymmetricKey{}}},
	} {
		i, err := r.Create(t.Context(), iothub.ID{DeviceID: strings.ReplaceAll(name, " ", "-")}, req)
		if err != nil {
			t.Fatal(name, err)
		}
		k := i.Authentication.SymmetricKey
		if b, err := base64.StdEncoding.DecodeString(k.PrimaryKey); err != nil || len(b) != 32 || k.PrimaryKey == k.SecondaryKey {
			t.Errorf("%s: keys %v", name, err)
		}
		if i.Authentication.Type != iothub.AuthSAS || i.Status != iothub.StatusEnabled || !i.StatusUpdatedTime.IsZero() {
			t.Errorf("%s: %+v", name, i)
		}
	}
}

func TestCreateRefusals(t *testing.T) {
	r, _ := newRegistry(t)
	createDevice(t, r, "d")
	ctx, device := t.Context(), func(s string) iothub.ID { return iothub.ID{DeviceID: s} }
	auth := func(a iothub.AuthenticationRequest) iothub.IdentityRequest {
		return iothub.IdentityRequest{Authentication: &a}
	}
	thumb := "zz"
	for name, c := range map[string]struct {
		id   iothub.ID
		req  iothub.IdentityRequest
		code iothub.Code
	}{
		"exists":                {device("d"), iothub.IdentityRequest{}, iothub.CodeDeviceAlreadyExists},
		"bad ID":                {device("a b"), iothub.IdentityRequest{}, iothub.CodeArgumentInvalid},
		"other ID in body":      {device("x"), iothub.IdentityRequest{DeviceID: "y"}, iothub.CodeArgumentInvalid},
		"one key":               {device("x"), auth(iothub.AuthenticationRequest{SymmetricKey: &iothub.SymmetricKey{PrimaryKey: testKey}}), iothub.CodeArgumentInvalid},
		"short key":             {device("x"), auth(iothub.AuthenticationRequest{SymmetricKey: &iothub.SymmetricKey{PrimaryKey: "YWJj", SecondaryKey: "YWJj"}}), iothub.CodeArgumentInvalid},
		"no base64":             {device("x"), auth(iothub.AuthenticationRequest{SymmetricKey: &iothub.SymmetricKey{PrimaryKey: "?", SecondaryKey: "?"}}), iothub.CodeArgumentInvalid},
		"type none":             {device("x"), auth(iothub.AuthenticationRequest{Type: iothub.AuthNone}), iothub.CodeArgumentInvalid},
		"unknown type":          {device("x"), auth(iothub.AuthenticationRequest{Type: "magic"}), iothub.CodeArgumentInvalid},
		"bad thumbprint":        {device("x"), auth(iothub.AuthenticationRequest{X509Thumbprint: &iothub.X509Thumbprint{PrimaryThumbprint: &thumb}}), iothub.CodeArgumentInvalid},
		"bad status":            {device("x"), iothub.IdentityRequest{Status: "asleep"}, iothub.CodeArgumentInvalid},
		"system module":         {iothub.ID{DeviceID: "d", ModuleID: "$m"}, iothub.IdentityRequest{}, iothub.CodeArgumentInvalid},
		"module of no device":   {iothub.ID{DeviceID: "none", ModuleID: "m"}, iothub.IdentityRequest{}, iothub.CodeIotHubUnauthorizedAccess},
		"module name differs":   {iothub.ID{DeviceID: "d", ModuleID: "m"}, iothub.IdentityRequest{ModuleID: "n"}, iothub.CodeArgumentInvalid},
		"module ID not allowed": {iothub.ID{DeviceID: "d", ModuleID: "a b"}, iothub.IdentityRequest{}, iothub.CodeArgumentInvalid},
	} {
		_, err := r.Create(ctx, c.id, c.req)
		wantCode(t, name, err, c.code)
	}
	reason := strings.Repeat("x", 129)
	_, err := r.Create(ctx, device("x"), iothub.IdentityRequest{StatusReason: &reason})
	wantCode(t, "long reason", err, iothub.CodeArgumentInvalid)
	if _, err := r.Get(ctx, device("x")); iothub.ErrorCode(err) != iothub.CodeDeviceNotFound {
		t.Error("a refused create left something behind")
	}
}

func TestModules(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	createDevice(t, r, "d")
	id := iothub.ID{DeviceID: "d", ModuleID: "m"}
	by := "me"
	m, err := r.Create(ctx, id, iothub.IdentityRequest{ManagedBy: &by, Authentication: &iothub.AuthenticationRequest{Type: iothub.AuthNone}})
	if err != nil || m.Authentication.Type != iothub.AuthSAS || m.ManagedBy != "me" {
		t.Fatalf("%+v, %v", m, err)
	}
	_, err = r.Create(ctx, id, iothub.IdentityRequest{})
	wantCode(t, "again", err, iothub.CodeModuleAlreadyExistsOnDevice)
	m2, err := r.Replace(ctx, id, iothub.IdentityRequest{}, "*")
	if err != nil || m2.ManagedBy != "" || m2.Authentication.SymmetricKey == m.Authentication.SymmetricKey {
		t.Errorf("a replace that leaves out managedBy and keys: %+v, %v", m2, err)
	}
	_, err = r.Get(ctx, iothub.ID{DeviceID: "d", ModuleID: "other"})
	wantCode(t, "other module", err, iothub.CodeModuleNotFound)
	_, _, err = r.Twin(ctx, iothub.ID{DeviceID: "d", ModuleID: "other"})
	wantCode(t, "twin of other module", err, iothub.CodeDeviceNotFound)
	for i := range iothub.MaxModules - 1 {
		if _, err := r.Create(ctx, iothub.ID{DeviceID: "d", ModuleID: fmt.Sprint("m", i)}, iothub.IdentityRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = r.Create(ctx, iothub.ID{DeviceID: "d", ModuleID: "toomany"}, iothub.IdentityRequest{})
	wantCode(t, "51st module", err, iothub.CodeTooManyModulesOnDevice)
	if _, err := r.Replace(ctx, iothub.ID{DeviceID: "d"}, iothub.IdentityRequest{Status: iothub.StatusDisabled}, "*"); err != nil {
		t.Fatal(err)
	}
	_, err = r.Get(ctx, id)
	wantCode(t, "module of a disabled device", err, iothub.CodeIotHubUnauthorizedAccess)
	if _, _, err := r.Twin(ctx, id); err != nil {
		t.Errorf("the twin of a module of a disabled device: %v", err)
	}
	if err := r.Delete(ctx, iothub.ID{DeviceID: "d"}, "*"); err != nil {
		t.Fatal(err)
	}
	if c, err := r.Counts(ctx); err != nil || c.Devices != 0 || c.Modules != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestETags(t *testing.T) {
	r, c := newRegistry(t)
	ctx, id := t.Context(), iothub.ID{DeviceID: "d"}
	created := createDevice(t, r, "d")
	c.Advance(time.Minute)
	updated, err := r.Replace(ctx, id, iothub.IdentityRequest{Status: "Disabled"}, `"`+created.ETag+`"`)
	if err != nil {
		t.Fatal(err)
	}
	if updated.ETag == created.ETag || updated.GenerationID != created.GenerationID || !updated.StatusUpdatedTime.Equal(c.Now()) {
		t.Errorf("%+v", updated)
	}
	_, err = r.Replace(ctx, id, iothub.IdentityRequest{}, created.ETag)
	wantCode(t, "stale etag", err, iothub.CodePreconditionFailed)
	wantCode(t, "delete without etag", r.Delete(ctx, id, ""), iothub.CodePreconditionFailed)
	wantCode(t, "delete with stale etag", r.Delete(ctx, id, created.ETag), iothub.CodePreconditionFailed)
	for _, ok := range []string{updated.ETag, `W/"` + updated.ETag + `"`} {
		if err := matchETag(ok, updated.ETag); err != nil {
			t.Error(ok, err)
		}
	}
	wantCode(t, "quoted nothing", matchETag(`""`, updated.ETag), iothub.CodePreconditionFailed)
	if err := r.Delete(ctx, id, `"*"`); err != nil {
		t.Fatal(err)
	}
	_, err = r.Replace(ctx, id, iothub.IdentityRequest{}, "*")
	wantCode(t, "replace after delete", err, iothub.CodeDeviceNotFound)
	wantCode(t, "delete again", r.Delete(ctx, id, "*"), iothub.CodeDeviceNotFound)
	again := createDevice(t, r, "d")
	if again.GenerationID <= created.GenerationID {
		t.Errorf("generation %s after %s", again.GenerationID, created.GenerationID)
	}
}

func TestTwins(t *testing.T) {
	r, _ := newRegistry(t)
	ctx, id := t.Context(), iothub.ID{DeviceID: "d"}
	createDevice(t, r, "d")
	i, tw, err := r.PatchTwin(ctx, id, iothub.TwinPatch{Desired: map[string]any{"a": true}}, "AAAAAAAAAAE=")
	if err != nil || i.ID != id || tw.Desired.Version != 2 {
		t.Fatal(tw, err)
	}
	_, _, err = r.PatchTwin(ctx, id, iothub.TwinPatch{Tags: map[string]any{"a": true}}, `"AAAAAAAAAAE="`)
	wantCode(t, "stale etag", err, iothub.CodePreconditionFailed)
	version := int64(1)
	if tw, err = r.Report(ctx, id, map[string]any{"x": "y"}, &version); err != nil || tw.Reported.Version != 2 {
		t.Fatal(tw, err)
	}
	_, err = r.Report(ctx, id, map[string]any{"x": "z"}, &version)
	wantCode(t, "stale version", err, iothub.CodePreconditionFailed)
	if _, tw, err = r.ReplaceTwin(ctx, id, iothub.TwinPatch{}, "*"); err != nil || len(tw.Desired.Values) != 0 || len(tw.Reported.Values) != 1 {
		t.Fatal(tw, err)
	}
	if err := r.SetModelID(ctx, id, "dtmi:x;1"); err != nil {
		t.Fatal(err)
	}
	if err := r.SetMQTTSession(ctx, id, map[string]byte{"f": 1}); err != nil {
		t.Fatal(err)
	}
	after, tw2, _ := r.Twin(ctx, id)
	if tw2.ModelID != "dtmi:x;1" || tw2.ETag != tw.ETag || after.ETag != i.ETag {
		t.Errorf("model and session must move no etag: %+v", tw2)
	}
	if s, err := r.MQTTSession(ctx, id); err != nil || s["f"] != 1 {
		t.Error(s, err)
	}
	if err := r.SetMQTTSession(ctx, id, nil); err != nil {
		t.Fatal(err)
	}
	if s, err := r.MQTTSession(ctx, id); err != nil || s != nil {
		t.Error(s, err)
	}
	_, _, err = r.PatchTwin(ctx, iothub.ID{DeviceID: "none"}, iothub.TwinPatch{}, "")
	wantCode(t, "unknown device", err, iothub.CodeDeviceNotFound)
}

// Writers that meet all count: no patch is lost.
func TestConcurrentReports(t *testing.T) {
	r, _ := newRegistry(t)
	id := iothub.ID{DeviceID: "d"}
	createDevice(t, r, "d")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				if _, err := r.Report(context.Background(), id, map[string]any{fmt.Sprintf("k%d-%d", i, j): true}, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	_, tw, err := r.Twin(t.Context(), id)
	if err != nil || len(tw.Reported.Values) != 160 || tw.Reported.Version != 161 {
		t.Errorf("%d values, version %d, %v", len(tw.Reported.Values), tw.Reported.Version, err)
	}
}

func TestEdgeDevice(t *testing.T) {
	r, _ := newRegistry(t)
	ctx := t.Context()
	edge := iothub.IdentityRequest{Capabilities: &iothub.Capabilities{IoTEdge: true}}
	i, err := r.Create(ctx, iothub.ID{DeviceID: "e"}, edge)
	if err != nil || !strings.HasPrefix(i.DeviceScope, "ms-azure-iot-edge://e-") {
		t.Fatal(i, err)
	}
	modules, err := r.ListModules(ctx, "e")
	if err != nil || len(modules) != 2 || modules[0].ID.ModuleID != "$edgeAgent" || modules[1].ManagedBy != "iotEdge" {
		t.Fatal(modules, err)
	}
	leaf, err := r.Create(ctx, iothub.ID{DeviceID: "leaf"}, iothub.IdentityRequest{DeviceScope: i.DeviceScope})
	if err != nil || len(leaf.ParentScopes) != 1 || leaf.ParentScopes[0] != i.DeviceScope {
		t.Fatal(leaf, err)
	}
	edge.DeviceScope = "ms-azure-iot-edge://other-1"
	_, err = r.Replace(ctx, iothub.ID{DeviceID: "e"}, edge, "*")
	wantCode(t, "other scope", err, iothub.CodeArgumentInvalid)
}

func TestListDevices(t *testing.T) {
	r, _ := newRegistry(t)
	for _, n := range []string{"b", "a", "c"} {
		createDevice(t, r, n)
	}
	got, err := r.ListDevices(t.Context(), 2)
	if err != nil || len(got) != 2 || got[0].ID.DeviceID != "a" || got[1].ID.DeviceID != "b" {
		t.Error(got, err)
	}
	if got, _ := r.ListDevices(t.Context(), -1); len(got) != 3 {
		t.Error(got)
	}
}

func certificate(t *testing.T, notAfter time.Time) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "d"}, NotBefore: notAfter.Add(-time.Hour), NotAfter: notAfter}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestCertificates(t *testing.T) {
	r, c := newRegistry(t)
	ctx, id := t.Context(), iothub.ID{DeviceID: "d"}
	good, stranger, old := certificate(t, c.Now().Add(time.Minute)), certificate(t, c.Now().Add(time.Minute)), certificate(t, c.Now().Add(-time.Minute))
	sum1, sum256 := sha1.Sum(good.Raw), sha256.Sum256(old.Raw) //nolint:gosec // thumbprints
	first, second := strings.ToUpper(hex.EncodeToString(sum1[:])), hex.EncodeToString(sum256[:])
	_, err := r.Create(ctx, id, iothub.IdentityRequest{Authentication: &iothub.AuthenticationRequest{
		X509Thumbprint: &iothub.X509Thumbprint{PrimaryThumbprint: &first, SecondaryThumbprint: &second},
	}})
	if err != nil {
		t.Fatal(err)
	}
	g, err := r.CheckCertificate(ctx, id, []*x509.Certificate{good})
	if err != nil || g.AuthMethod.Type != "x509" {
		t.Fatal(g, err)
	}
	if _, err := r.Admit(ctx, id, g); err != nil {
		t.Error(err)
	}
	createDevice(t, r, "sas")
	for name, check := range map[string]func() (iothub.Grant, error){
		"stranger": func() (iothub.Grant, error) { return r.CheckCertificate(ctx, id, []*x509.Certificate{stranger}) },
		"expired":  func() (iothub.Grant, error) { return r.CheckCertificate(ctx, id, []*x509.Certificate{old}) },
		"none":     func() (iothub.Grant, error) { return r.CheckCertificate(ctx, id, nil) },
		"unknown device": func() (iothub.Grant, error) {
			return r.CheckCertificate(ctx, iothub.ID{DeviceID: "x"}, []*x509.Certificate{good})
		},
		"SAS device": func() (iothub.Grant, error) {
			return r.CheckCertificate(ctx, iothub.ID{DeviceID: "sas"}, []*x509.Certificate{good})
		},
	} {
		_, err := check()
		wantCode(t, name, err, iothub.CodeIotHubUnauthorizedAccess)
	}
}
