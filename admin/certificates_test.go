package admin

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/internal/certtest"
	"github.com/hubnerite/hubnerite/iothub"
)

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCertificates(t *testing.T) {
	w := newWorld(t)
	root, other := certtest.Root(t, "factory", time.Now()), certtest.Root(t, "other", time.Now())
	names := func(want ...string) {
		t.Helper()
		var got struct{ Certificates []Certificate }
		w.decode(w.get("/certificates"), 200, &got)
		var names []string
		for _, ca := range got.Certificates {
			names = append(names, ca.Name)
		}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Error(diff)
		}
	}
	names()
	var ca Certificate
	w.decode(w.call("PUT", "/certificates/factory", asJSON(t, CertificateBody{Certificate: string(root.PEM())})), 200, &ca)
	if ca.IsVerified || ca.Subject != "CN=factory" || ca.Expiry != iothub.FormatTime(root.NotAfter) || ca.VerificationCode != "" {
		t.Errorf("%+v", ca)
	}
	w.decode(w.call("POST", "/certificates/factory/generateVerificationCode", ""), 200, &ca)
	if len(ca.VerificationCode) != 48 {
		t.Errorf("%+v", ca)
	}
	code := ca.VerificationCode
	for _, c := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"POST", "/certificates/factory/verify", asJSON(t, VerificationBody{string(other.Client(t, code).PEM())}), 400, "did not sign"},
		{"POST", "/certificates/factory/verify", asJSON(t, VerificationBody{string(root.Client(t, "x").PEM())}), 400, "not the verification code"},
		{"POST", "/certificates/none/verify", asJSON(t, VerificationBody{"x"}), 404, "no CA"},
		{"POST", "/certificates/none/generateVerificationCode", "", 404, "no CA"},
		{"GET", "/certificates/none", "", 404, "no CA"},
		{"DELETE", "/certificates/none", "", 404, "no CA"},
		{"PUT", "/certificates/a%20b", asJSON(t, CertificateBody{Certificate: string(root.PEM())}), 400, "no name of a CA"},
		{"PUT", "/certificates/again", asJSON(t, CertificateBody{Certificate: string(root.PEM())}), 409, "factory"},
		{"PUT", "/certificates/x", asJSON(t, CertificateBody{Certificate: "x"}), 400, "no certificate"},
		{"POST", "/device-certificates", "{}", 404, "no"},
	} {
		if rec := w.call(c.method, c.path, c.body); rec.Code != c.status || !strings.Contains(rec.Body.String(), c.text) {
			t.Errorf("%s %s: %d, want %d with %q; %s", c.method, c.path, rec.Code, c.status, c.text, rec.Body)
		}
	}
	ca = Certificate{}
	w.decode(w.call("POST", "/certificates/factory/verify", asJSON(t, VerificationBody{string(root.Client(t, code).PEM())})), 200, &ca)
	if !ca.IsVerified || ca.VerificationCode != "" {
		t.Errorf("%+v", ca)
	}
	w.decode(w.call("PUT", "/certificates/second", asJSON(t, CertificateBody{Certificate: string(other.PEM()), IsVerified: true})), 200, &ca)
	if w.decode(w.get("/certificates/SECOND"), 200, &ca); !ca.IsVerified || ca.Name != "second" {
		t.Errorf("%+v", ca)
	}
	names("factory", "second")
	if rec := w.call("DELETE", "/certificates/factory", ""); rec.Code != 204 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	names("second")
}

func TestIssueDeviceCertificate(t *testing.T) {
	var got DeviceCertificateRequest
	w := newWorld(t, func(o *Options) {
		o.IssueDevice = func(_ context.Context, _ *hub.Hub, r DeviceCertificateRequest) (DeviceCertificate, error) {
			if got = r; r.DeviceID == "bad" {
				return DeviceCertificate{}, iothub.NewError(iothub.CodeArgumentInvalid, "No.")
			}
			return DeviceCertificate{Chain: "PEM", CA: "tests"}, nil
		}
	})
	var issued DeviceCertificate
	w.decode(w.call("POST", "/device-certificates", `{"deviceId":"d","moduleId":"m","certificateRequest":"CSR"}`), 200, &issued)
	want := DeviceCertificateRequest{DeviceID: "d", ModuleID: "m", CertificateRequest: "CSR", Days: 365}
	if diff := cmp.Diff(want, got); diff != "" || issued != (DeviceCertificate{"PEM", "tests"}) {
		t.Error(diff, issued)
	}
	if rec := w.call("POST", "/device-certificates", `{"deviceId":"bad","certificateRequest":""}`); rec.Code != 400 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := w.call("POST", "/device-certificates", `{"deviceId":"d","certificateRequest":"","days":0}`); rec.Code != 422 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}
