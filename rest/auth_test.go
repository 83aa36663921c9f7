package rest

import (
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
)

func TestRefusedCredentials(t *testing.T) {
	w := newWorld(t)
	w.create(iothub.ID{DeviceID: "d"})
	auth := w.do("GET", "/devices/d", "").ok(200)["authentication"].(map[string]any)
	deviceKey := auth["symmetricKey"].(map[string]any)["primaryKey"].(string)
	deviceToken, err := registry.SignSASToken(testHost+"/devices/d", "", deviceKey, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	good := token(t, "iothubowner", testHost, time.Now().Add(time.Hour))
	for name, credential := range map[string]string{
		"none":             "",
		"scheme only":      "SharedAccessSignature",
		"basic":            "Basic YTpi",
		"bearer":           "Bearer eyJ0.eyJ1.x",
		"garbage":          "SharedAccessSignature sr=&sig=&se=",
		"expired":          token(t, "iothubowner", testHost, time.Now().Add(-time.Hour)),
		"bad signature":    strings.Replace(good, "sig=", "sig=AAAA", 1),
		"unknown policy":   strings.Replace(good, "skn=iothubowner", "skn=nobody", 1),
		"device's own key": deviceToken,
		"other scope":      token(t, "iothubowner", testHost+"/devices/other", time.Now().Add(time.Hour)),
		"prefix of scope":  token(t, "iothubowner", testHost+"/device", time.Now().Add(time.Hour)),
	} {
		t.Run(name, func(t *testing.T) {
			a := w.raw("GET", "/devices/d?"+testVersion, "", "Authorization", credential)
			a.t = t
			a.refused(legacy, iothub.CodeIotHubUnauthorizedAccess)
		})
	}
	for _, secret := range []string{deviceKey, strings.SplitN(good, "sig=", 2)[1]} {
		if strings.Contains(w.logs.String(), secret) {
			t.Error("a secret is in the log")
		}
	}
}

func TestScopedTokens(t *testing.T) {
	w := newWorld(t)
	w.create(iothub.ID{DeviceID: "d"})
	for _, c := range []struct{ scope, path string }{
		{"/devices/d", "/devices/d"},
		{"/devices", "/devices/"},
		{"/twins/d", "/twins/d/"},
		{"/messages/serviceBound", "/messages/serviceBound/feedback"},
		{"/messages/servicebound/feedback", "/messages/serviceBound/feedback"},
	} {
		a := w.raw("GET", c.path+"?"+testVersion, "", "Authorization",
			token(t, "iothubowner", testHost+c.scope, time.Now().Add(time.Hour)))
		if a.status >= 300 {
			t.Errorf("scope %s on %s: %d %s", c.scope, c.path, a.status, a.body)
		}
	}
}

func TestAPIVersion(t *testing.T) {
	lenient := newWorld(t)
	strict := newWorld(t, func(o *Options) { o.StrictAPIVersion = true })
	for _, c := range []struct {
		query           string
		lenient, strict bool
	}{
		{"?api-version=2021-04-12", true, true},
		{"?api-version=2020-05-31-preview", true, true},
		{"?api-version=2016-11-14", true, true},
		{"?api-version=2031-01-01", true, false},
		{"?api-version=2031-01-01-preview", true, false},
		{"?top=3&api-version=2021-04-12", true, true},
		{"", false, false},
		{"?api-version=", false, false},
		{"?api-version=2021-4-12", false, false},
		{"?api-version=2021-13-12", false, false},
		{"?api-version=2021-04-12-beta", false, false},
		{"?api-version=2021-04-12%20", false, false},
		{"?api-version=latest", false, false},
		{"?API-version=2021-04-12", true, true},
	} {
		for _, side := range []struct {
			w    *world
			pass bool
		}{{lenient, c.lenient}, {strict, c.strict}} {
			a := side.w.raw("GET", "/devices"+c.query, "", "Authorization", token(t, "iothubowner", testHost, time.Now().Add(time.Hour)))
			if side.pass {
				a.list()
			} else {
				a.refused(legacy, iothub.CodeInvalidProtocolVersion)
			}
		}
	}
}

// Module clients call methods without api-version and name themselves in a header.
func TestModuleClientsSendNoVersion(t *testing.T) {
	w := newWorld(t)
	w.create(iothub.ID{DeviceID: "d"})
	owner := token(t, "iothubowner", testHost, time.Now().Add(time.Hour))
	const body = `{"methodName":"m"}`
	w.raw("POST", "/twins/d/methods", body, "Authorization", owner).refused(legacy, iothub.CodeInvalidProtocolVersion)
	w.raw("POST", "/twins/d/methods", body, "Authorization", owner, "x-ms-edge-moduleId", "d/m").
		refused(nested, iothub.CodeDeviceNotOnline)
	w.raw("GET", "/twins/d", "", "Authorization", owner, "x-ms-edge-moduleId", "d/m").refused(legacy, iothub.CodeInvalidProtocolVersion)
}

func TestUnknownHost(t *testing.T) {
	w := newWorld(t)
	r := w.request("GET", "/devices?"+testVersion, "")
	r.Host = "other.azure-devices.net"
	w.send(r).refused(legacy, iothub.CodeIotHubNotFound)
	r = w.request("POST", "/twins/d/streams/s?"+testVersion, "{}")
	r.Host = "other.azure-devices.net"
	w.send(r).refused(legacy, iothub.CodeIotHubNotFound)
}
