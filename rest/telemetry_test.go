package rest

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
)

// asDevice sends a request with a token of the identity's own.
func (w *world) asDevice(id iothub.ID, method, path, body string, headers ...string) answer {
	w.t.Helper()
	return w.do(method, path, body, append([]string{"Authorization", w.deviceToken(id, id.ResourcePath())}, headers...)...)
}

// deviceToken signs a resource with the identity's key.
func (w *world) deviceToken(id iothub.ID, resource string) string {
	w.t.Helper()
	i, err := w.hub.GetIdentity(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := registry.SignSASToken(testHost+"/"+resource, "", i.Authentication.SymmetricKey.PrimaryKey, time.Now().Add(time.Hour))
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

// kept returns the telemetry of a device, and forgets the times.
func (w *world) kept(device string) []iothub.Telemetry {
	w.t.Helper()
	list, err := w.hub.ReadTelemetry(w.t.Context(), hub.TelemetryQuery{DeviceID: device, Since: -1, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

func TestSendTelemetry(t *testing.T) {
	w := newWorld(t)
	d := iothub.ID{DeviceID: "d"}
	m := iothub.ID{DeviceID: "d", ModuleID: "m"}
	w.create(d, m)
	// As Node.js, Java and C# spell them.
	w.asDevice(d, "POST", "/devices/d/messages/events", "\x00\xffbody",
		"IoTHub-MessageId", "m1", "iothub-correlationid", "c1", "IoTHub-UserId", "u1", "iothub-to", "/x", "IoTHub-Expiry", "Sun Nov 22 2026",
		"iothub-contenttype", "application/json", "iothub-contentencoding", "utf-8", "iothub-creationtimeutc", "2026-01-01T00:00:00Z",
		"iothub-interface-id", "urn:x", "dt-subject", "thermostat", "iothub-message-schema", "s1",
		"iothub-app-zone", "north", "IoTHub-App-empty", "", "iothub-messagelocktimeout", "60", "X-Other", "y").ok(204)
	w.asDevice(m, "POST", "/devices/d/modules/m/messages/events/", "", "iothub-creation-time-utc", "2026-02-02T00:00:00Z").ok(204)
	list := w.kept("d")
	if len(list) != 2 {
		t.Fatalf("%d messages, want 2", len(list))
	}
	got := list[0]
	want := iothub.SystemProperties{
		MessageID: "m1", CorrelationID: "c1", UserID: "u1", To: "/x", Expiry: "Sun Nov 22 2026", ContentType: "application/json",
		ContentEncoding: "utf-8", CreationTime: "2026-01-01T00:00:00Z", InterfaceID: "urn:x", Component: "thermostat", Schema: "s1",
	}
	if got.System != want || string(got.Body) != "\x00\xffbody" || got.ID != d {
		t.Errorf("message %+v, want %+v", got, want)
	}
	if !reflect.DeepEqual(got.Properties, iothub.Properties{{Name: "zone", Value: "north"}}) {
		t.Errorf("properties %v", got.Properties)
	}
	if got.AuthMethod.Scope != "device" || got.AuthMethod.Type != "sas" || got.GenerationID == "" {
		t.Errorf("stamped %+v, generation %q", got.AuthMethod, got.GenerationID)
	}
	if list[1].ID != m || len(list[1].Body) != 0 || list[1].System.CreationTime != "2026-02-02T00:00:00Z" || list[1].AuthMethod.Scope != "module" {
		t.Errorf("of the module %+v", list[1])
	}
	i, err := w.hub.GetIdentity(t.Context(), d)
	if err != nil || i.Connection.Connected || i.Connection.LastActivityTime.IsZero() {
		t.Errorf("connection %+v, %v: sending over HTTPS is activity and no connection", i.Connection, err)
	}
}

func TestSendTelemetryBatch(t *testing.T) {
	w := newWorld(t)
	d := iothub.ID{DeviceID: "d"}
	w.create(d)
	send := func(body string) answer {
		return w.asDevice(d, "POST", "/devices/d/messages/events", body, "Content-Type", batchContentType+"; charset=utf-8")
	}
	send(`[{"body":"AP8=","properties":{"iothub-app-Zone":"n","iothub-app-empty":"","iothub-messageid":"m1","other":"x"}},` +
		`{"body":"plain","base64Encoded":false},{"body":"","base64Encoded":true,"properties":null}]`).ok(204)
	list := w.kept("d")
	if len(list) != 3 || string(list[0].Body) != "\x00\xff" || string(list[1].Body) != "plain" || len(list[2].Body) != 0 {
		t.Fatalf("messages %+v", list)
	}
	if want := (iothub.Properties{{Name: "Zone", Value: "n"}, {Name: "empty"}}); !reflect.DeepEqual(list[0].Properties, want) || list[0].System.MessageID != "m1" {
		t.Errorf("properties %v, ID %q", list[0].Properties, list[0].System.MessageID)
	}

	one := `{"body":"AA=="}`
	for name, tt := range map[string]struct {
		body string
		code iothub.Code
	}{
		"empty":            {`[]`, iothub.CodeNullMessage},
		"null":             {`null`, iothub.CodeNullMessage},
		"nothing":          {``, iothub.CodeArgumentNull},
		"null message":     {`[` + one + `,null]`, iothub.CodeIotHubFormatError},
		"no body":          {`[` + one + `,{"properties":{}}]`, iothub.CodeIotHubFormatError},
		"no base64":        {`[` + one + `,{"body":"%%"}]`, iothub.CodeIotHubFormatError},
		"an object":        {one, iothub.CodeIotHubFormatError},
		"half":             {`[` + one, iothub.CodeIotHubFormatError},
		"a number":         {`[{"body":"","properties":{"iothub-app-n":1}}]`, iothub.CodeIotHubFormatError},
		"long message ID":  {`[` + one + `,{"body":"","properties":{"iothub-messageid":"` + strings.Repeat("x", 129) + `"}}]`, iothub.CodeArgumentInvalid},
		"501 messages":     {`[` + strings.Repeat(one+`,`, 500) + one + `]`, iothub.CodeMessageTooLarge},
		"too large in sum": {`[` + strings.Repeat(fmt.Sprintf(`{"body":%q,"base64Encoded":false},`, strings.Repeat("x", 100<<10)), 3) + one + `]`, iothub.CodeMessageTooLarge},
		"deep":             {strings.Repeat("[", 100), iothub.CodeIotHubFormatError},
	} {
		if a := send(tt.body); a.status != tt.code.HTTPStatus() || a.header.Get("iothub-errorcode") != tt.code.String() {
			t.Errorf("%s: %d %s, want %s", name, a.status, a.body, tt.code)
		}
	}
	if n := len(w.kept("d")); n != 3 {
		t.Errorf("%d messages are kept: of a batch that was refused nothing may stay", n)
	}
	send(`[` + strings.Repeat(one+`,`, 499) + one + `]`).ok(204)
	if n := len(w.kept("d")); n != 503 {
		t.Errorf("%d messages after a batch of 500", n)
	}
}

func TestSendTelemetryRefused(t *testing.T) {
	w := newWorld(t)
	d, m, other := iothub.ID{DeviceID: "d"}, iothub.ID{DeviceID: "d", ModuleID: "m"}, iothub.ID{DeviceID: "other"}
	w.create(d, m, other)
	const path = "/devices/d/messages/events"
	expired, err := registry.SignSASToken(testHost+"/devices/d", "", base64.StdEncoding.EncodeToString(make([]byte, 32)), time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for name, credential := range map[string]string{
		"none": "", "another device's": w.deviceToken(other, "devices/other"), "another scope": w.deviceToken(other, "devices/d"),
		"the module's": w.deviceToken(m, m.ResourcePath()), "expired": expired, "of a bearer": "Bearer x", "of a service": token(t, "service", testHost, time.Now().Add(time.Hour)),
		"half": "SharedAccessSignature sr=x", "cut off": w.deviceToken(d, "devices/d")[:80],
	} {
		if a := w.do("POST", path, "x", "Authorization", credential); a.status != 401 || a.header.Get("iothub-errorcode") != "IotHubUnauthorizedAccess" {
			t.Errorf("token %s: %d %s", name, a.status, a.body)
		}
	}
	w.asDevice(d, "POST", path, strings.Repeat("x", iothub.MaxTelemetrySize+1)).refused(legacy, iothub.CodeMessageTooLarge)
	w.asDevice(d, "POST", path, strings.Repeat("x", iothub.MaxTelemetrySize-1), "iothub-messageid", "12").refused(legacy, iothub.CodeMessageTooLarge)
	w.asDevice(d, "POST", path, "x", "iothub-messageid", strings.Repeat("i", 129)).refused(legacy, iothub.CodeArgumentInvalid)
	w.asDevice(d, "POST", path, "x", "iothub-app-x", "\xff").refused(legacy, iothub.CodeArgumentInvalid)
	w.asDevice(d, "GET", path, "").refused(legacy, iothub.CodeGenericMethodNotAllowed)
	w.raw("POST", path, "x", "Authorization", w.deviceToken(d, "devices/d")).refused(legacy, iothub.CodeInvalidProtocolVersion)
	w.do("POST", "/devices/none/messages/events", "x").refused(legacy, iothub.CodeDeviceNotFound)
	if n := len(w.kept("d")); n != 0 {
		t.Fatalf("%d messages kept of refused ones", n)
	}
	w.asDevice(d, "POST", path, strings.Repeat("x", iothub.MaxTelemetrySize)).ok(204)
	w.do("POST", path, "x", "Authorization", token(t, "device", testHost+"/devices/d", time.Now().Add(time.Hour))).ok(204)

	w.do("PUT", "/devices/d", `{"deviceId":"d","status":"disabled"}`, "If-Match", "*").ok(200)
	for _, id := range []iothub.ID{d, m} {
		w.do("POST", "/"+id.ResourcePath()+"/messages/events", "x").refused(legacy, iothub.CodeIotHubUnauthorizedAccess)
	}
}

func TestDeviceCertificate(t *testing.T) {
	w := newWorld(t)
	srv := httptest.NewTLSServer(nil)
	srv.Close()
	certificate := srv.Certificate()
	sum := sha256.Sum256(certificate.Raw)
	body, err := json.Marshal(map[string]any{"deviceId": "x", "authentication": map[string]any{
		"type": "selfSigned", "x509Thumbprint": map[string]string{"primaryThumbprint": hex.EncodeToString(sum[:])},
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.do("PUT", "/devices/x", string(body)).ok(200)
	w.create(iothub.ID{DeviceID: "sas"})
	send := func(device string) answer {
		r := w.request("POST", "/devices/"+device+"/messages/events?"+testVersion, "hello")
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate}}
		return w.send(r)
	}
	send("x").ok(204)
	send("sas").refused(legacy, iothub.CodeIotHubUnauthorizedAccess)
	send("none").refused(legacy, iothub.CodeIotHubUnauthorizedAccess)
	if list := w.kept("x"); len(list) != 1 || list[0].AuthMethod.Type != "x509" {
		t.Errorf("messages %+v", list)
	}
}
