//go:build conformance

package conformance

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"
)

// notCovered is what the log says of a token that is good, but not for this.
const notCovered = "does not cover|neither a token nor|is not one of"

// refusedIdentities shows tokens of others, of other times and of other hubs, over MQTT, AMQP and HTTPS.
func refusedIdentities(t *testing.T, s *site) {
	h := s.startHub(t, "--device", "victim", "--device", "other", "--device", "disabled", "--device", "deleted", "--device", "moved", "--device", "short")
	a := newGate(t, s, h)
	status := func(device, status string) func() {
		return func() {
			a.mustCall(http.MethodPut, "/devices/"+device, map[string]any{
				"deviceId": device, "status": status, "authentication": a.authentication(device),
			}, "*", http.StatusOK)
		}
	}
	module := a.newModule("victim", "m")
	victim := a.host + "/devices/victim"
	unknownKey := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	service := connectionFields(a.ready.ConnectionStrings["service"])["SharedAccessKey"]
	device := connectionFields(a.ready.ConnectionStrings["device"])["SharedAccessKey"]
	token := func(text string) credential { return credential{token: text} }

	a.wantAdmitted("its own token", "victim", token(a.token("victim")))
	a.wantAdmitted("the module's own token", "victim/m", token(module))
	a.wantAdmitted("a policy with DeviceConnect", "victim", token(sign(a.host, device, "device", time.Hour)))

	for _, x := range []struct{ name, id, token, reason string }{
		{"another device's token", "victim", a.token("other"), notCovered},
		{"the token of its module", "victim", module, notCovered},
		{"the device's token for its module", "victim/m", a.token("victim"), notCovered},
		{"its resource signed by another device", "victim", sign(victim, a.key("other"), "", time.Hour), "does not match a key"},
		{"another hub's host name", "victim", sign("elsewhere.example.com/devices/victim", a.key("victim"), "", time.Hour), "not a name of this hub"},
		{"expired", "victim", sign(victim, a.key("victim"), "", -time.Minute), "expired"},
		{"a longer life than was signed", "victim", strings.Replace(a.token("victim"), "&se=", "&se=9", 1), "does not match a key"},
		{"a service token", "victim", sign(a.host, service, "service", time.Hour), "DeviceConnect|" + notCovered},
		{"a service token for the device", "victim", sign(victim, service, "service", time.Hour), "DeviceConnect|" + notCovered},
		{"a policy's token for another device", "victim", sign(a.host+"/devices/other", device, "device", time.Hour), notCovered},
		{"a policy that there is not", "victim", sign(a.host, device, "nobody", time.Hour), "no access policy"},
		{"a device that is not there", "nobody", sign(a.host+"/devices/nobody", unknownKey, "", time.Hour), "not registered"},
		{"a module that is not there", "victim/n", sign(victim+"/modules/n", unknownKey, "", time.Hour), "not registered"},
		{"no token", "victim", "SharedAccessSignature nonsense", "401"},
	} {
		a.wantRefused(x.name, x.id, token(x.token), x.reason)
	}

	// What was good ends: those inside are put out, and stay out.
	old := a.token("disabled")
	a.wantPutOut("disabled", "disabled", token(old), "disabled", status("disabled", "disabled"), status("disabled", "enabled"))
	status("disabled", "disabled")()
	a.wantRefused("disabled, later", "disabled", token(old), "disabled")

	old = a.token("deleted")
	create := func() {
		a.mustCall(http.MethodPut, "/devices/deleted", map[string]any{"deviceId": "deleted", "authentication": a.authentication("deleted")}, "", http.StatusOK)
	}
	remove := func() { a.mustCall(http.MethodDelete, "/devices/deleted", nil, "*", http.StatusNoContent) }
	a.wantPutOut("deleted", "deleted", token(old), "deleted", remove, create)
	remove()
	a.wantRefused("deleted, later", "deleted", token(old), "not registered")

	old = a.token("moved")
	keys := func(key string) func() {
		authentication := map[string]any{"type": "sas", "symmetricKey": map[string]any{"primaryKey": key, "secondaryKey": key}}
		return func() {
			a.mustCall(http.MethodPut, "/devices/moved", map[string]any{"deviceId": "moved", "authentication": authentication}, "*", http.StatusOK)
		}
	}
	newKey := base64.StdEncoding.EncodeToString([]byte("fedcba9876543210fedcba9876543210"))
	a.wantPutOut("new keys", "moved", token(old), "credential", keys(newKey), keys(a.key("moved")))
	keys(newKey)()
	a.wantRefused("a token from before the new keys", "moved", token(old), "does not match a key")
	a.wantAdmitted("a token of the new keys", "moved", token(sign(a.host+"/devices/moved", newKey, "", time.Hour)))

	ahead := time.Duration(0) // the hub's clock
	for _, d := range a.doors() {
		// Time enough to come in on a busy machine.
		gone, leave, err := d.enter("short", token(sign(a.host+"/devices/short", a.key("short"), "", ahead+time.Minute)))
		if err != nil {
			t.Errorf("a short token, %s: %v", d.name, err)
			continue
		}
		if gone == nil {
			continue
		}
		mark := a.mark()
		a.admin(http.MethodPost, "/clock/advance", []byte(`{"duration":"2m"}`), http.StatusOK)
		ahead += 2 * time.Minute
		select {
		case err := <-gone:
			a.checkPutOut("a token that expires, "+d.name, err)
		case <-time.After(doorTimeout):
			t.Errorf("a token that expires, %s: still inside", d.name)
		}
		leave()
		a.wantLogged("a token that expires, "+d.name, mark, "expired")
	}

	// A device's token opens nothing of the service.
	for _, path := range []string{"/twins/victim/methods", "/devices/query", "/devices"} {
		mark := a.mark()
		status, code, text, err := a.post(a.client, path, a.token("victim"), "{}")
		if err != nil || status != http.StatusUnauthorized || code != "IotHubUnauthorizedAccess" {
			t.Errorf("%s with a device's token: %d %s %s %v", path, status, code, text, err)
		}
		a.wantLogged(path, mark, "401")
	}
	a.checkLog()
}

// newModule creates a module and returns a token of its own.
func (a *siege) newModule(device, module string) string {
	a.t.Helper()
	key := base64.StdEncoding.EncodeToString([]byte("the key of a module, 32 bytes...")[:32])
	a.secrets = append(a.secrets, key)
	a.mustCall(http.MethodPut, "/devices/"+device+"/modules/"+module, map[string]any{
		"deviceId": device, "moduleId": module,
		"authentication": map[string]any{"type": "sas", "symmetricKey": map[string]any{"primaryKey": key, "secondaryKey": key}},
	}, "", http.StatusOK)
	return sign(a.host+"/devices/"+device+"/modules/"+module, key, "", time.Hour)
}
