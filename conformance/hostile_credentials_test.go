//go:build conformance

package conformance

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/go-amqp"
)

// CONNACK codes (MQTT 3.1.1 3.2.2.3).
const (
	refusedLevel         = 1
	refusedClientID      = 2
	refusedLogin         = 4
	refusedAuthorization = 5
	closedSilently       = -1
)

// hostileCredentials tries to come in with credentials that prove too little, and to stay when they end.
func hostileCredentials(t *testing.T, s *site) {
	a := newSiege(t, s, "victim", "disabled", "deleted", "shortlived", "moved")
	a.mustCall("PUT", "/devices/disabled", map[string]any{
		"deviceId": "disabled", "status": "disabled", "authentication": a.authentication("disabled"),
	}, "*", http.StatusOK)
	a.mustCall("PUT", "/devices/victim/modules/m", map[string]any{"deviceId": "victim", "moduleId": "m"}, "", http.StatusOK)
	wrongKey := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	a.secrets = append(a.secrets, wrongKey)
	victim := a.host + "/devices/victim"
	tampered := a.token("victim")
	tampered = strings.Replace(tampered, "&se=", "&se=9", 1)

	type attempt struct {
		name, client, token string
		code                int
		reason              string
	}
	attempts := []attempt{
		{"wrong key", "victim", sign(victim, wrongKey, "", time.Hour), refusedAuthorization, "401"},
		{"token for another device", "victim", a.token("good"), refusedAuthorization, "401"},
		{"token for another host", "victim", sign("elsewhere.example.com/devices/victim", a.key("victim"), "", time.Hour), refusedAuthorization, "401"},
		{"resource longer than the device", "victim", sign(victim+"x", a.key("victim"), "", time.Hour), refusedAuthorization, "401"},
		{"expired", "victim", sign(victim, a.key("victim"), "", -time.Minute), refusedAuthorization, "expired"},
		{"expiry tampered with", "victim", tampered, refusedAuthorization, "401"},
		{"unknown device", "nobody", sign(a.host+"/devices/nobody", wrongKey, "", time.Hour), refusedAuthorization, "40"},
		{"disabled device", "disabled", a.token("disabled"), refusedAuthorization, "40"},
		{"no password", "victim", "", refusedAuthorization, "neither a password"},
		{"not a token", "victim", "hunter2-swordfish", refusedAuthorization, "401"},
		{"half a token", "victim", a.token("victim")[:60], refusedAuthorization, "401"},
		{"a key for a password", "victim", a.key("victim"), refusedAuthorization, "401"},
		{"policy without DeviceConnect", "victim", a.serviceToken(), refusedAuthorization, "401"},
		{"unknown policy", "victim", sign(a.host, a.key("victim"), "nosuch", time.Hour), refusedAuthorization, "401"},
		{"module with the device's key", "victim/m", sign(victim+"/modules/m", a.key("victim"), "", time.Hour), refusedAuthorization, "401"},
		{"module that does not exist", "victim/x", sign(victim+"/modules/x", wrongKey, "", time.Hour), refusedAuthorization, "40"},
	}
	a.secrets = append(a.secrets, "hunter2-swordfish")
	for _, x := range attempts {
		mark := a.mark()
		answer := a.exchange(x.name, 8883, mqttConnect{client: x.client, user: a.userName(x.client), password: &x.token}.packet())
		a.wantConnack(x.name, answer, x.code)
		a.wantOneLine(x.name, mark, x.reason)
	}

	// The same on the service's side, by REST and by AMQP's two ways.
	for name, token := range map[string]string{
		"device's token": a.token("good"), "expired": sign(a.host, connectionFields(a.ready.ConnectionStrings["service"])["SharedAccessKey"], "service", -time.Minute),
		"wrong key": sign(a.host, wrongKey, "service", time.Hour), "none": "", "nonsense": "SharedAccessSignature nonsense", "basic": "Basic aHVudGVyMjpzd29yZGZpc2g=",
	} {
		mark := a.mark()
		request, err := http.NewRequest("GET", "https://"+a.address(443)+"/twins/good?api-version=2021-04-12", nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			request.Header.Set("Authorization", token)
		}
		response, err := a.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized || response.Header.Get("iothub-errorcode") == "" {
			t.Errorf("REST with %s: %s %v", name, response.Status, response.Header)
		}
		a.wantOneLine("REST "+name, mark, "401")
		if name == "device's token" || name == "none" {
			continue // PLAIN lets a device in, which then may not use the service's links
		}
		mark = a.mark()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		conn, err := a.dialAMQP(ctx, amqp.SASLTypePlain("service@sas.root.localhost", token))
		cancel()
		if err == nil {
			_ = conn.Close()
			t.Errorf("AMQP PLAIN with %s: %v", name, errNotRefused)
		}
		a.wantOneLine("PLAIN "+name, mark, "401")
	}
	a.refuseLinks()

	// Those who are in are put out when their right ends.
	a.wantCut("token that expires", "shortlived", sign(a.host+"/devices/shortlived", a.key("shortlived"), "", 30*time.Second), "401003", func() {
		a.admin(http.MethodPost, "/clock/advance", []byte(`{"duration":"60s"}`), http.StatusOK)
	})
	a.wantCut("disabled while connected", "victim", a.token("victim"), "disabled", func() {
		a.mustCall("PUT", "/devices/victim", map[string]any{
			"deviceId": "victim", "status": "disabled", "authentication": a.authentication("victim"),
		}, "*", http.StatusOK)
	})
	a.wantCut("deleted while connected", "deleted", a.token("deleted"), "deleted", func() {
		a.mustCall("DELETE", "/devices/deleted", nil, "*", http.StatusNoContent)
	})
	a.wantCut("key changed while connected", "moved", a.token("moved"), "credential", func() {
		a.mustCall("PUT", "/devices/moved", map[string]any{"deviceId": "moved", "status": "enabled"}, "*", http.StatusOK)
	})
	a.finish()
}

func (a *siege) userName(client string) *string {
	name := a.host + "/" + client + "/?api-version=2021-04-12"
	return &name
}

// authentication is the device's own, for a request that keeps it.
func (a *siege) authentication(device string) map[string]any {
	return map[string]any{"type": "sas", "symmetricKey": map[string]any{"primaryKey": a.key(device), "secondaryKey": a.key(device)}}
}

func (a *siege) mustCall(method, path string, body any, ifMatch string, want int) {
	a.t.Helper()
	status, answer, err := a.call(method, path, body, ifMatch)
	if err != nil || status != want {
		a.t.Fatalf("%s %s: %d %v %v", method, path, status, answer, err)
	}
	if authentication, ok := answer["authentication"].(map[string]any); ok {
		if keys, ok := authentication["symmetricKey"].(map[string]any); ok {
			for _, key := range keys {
				a.secrets = append(a.secrets, fmt.Sprint(key))
			}
		}
	}
}

// wantCut connects a device, does what ends its right, and waits for the end of the connection.
func (a *siege) wantCut(name, device, token, reason string, end func()) {
	a.t.Helper()
	client, err := dialMQTT(a.address(8883), a.tls, a.host, device, token, func(string, []byte) {})
	if err != nil {
		a.t.Errorf("%s: %v", name, err)
		return
	}
	mark := a.mark()
	end()
	select {
	case <-client.ended:
	case <-time.After(time.Minute):
		a.t.Errorf("%s: still connected", name)
		client.close()
	}
	a.wantOneLine(name, mark, reason)
	if name == "key changed while connected" {
		return
	}
	mark = a.mark()
	if _, err := dialMQTT(a.address(8883), a.tls, a.host, device, token, func(string, []byte) {}); err == nil {
		a.t.Errorf("%s: it came in again", name)
	}
	a.wantOneLine(name+", again", mark, "40")
}

// refuseLinks opens links to which a login gives no right: the answer is an attach and a detach with the reason.
func (a *siege) refuseLinks() {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for name, x := range map[string]struct {
		login           amqp.SASLType
		address, reason string
	}{
		"C2D without a token":    {amqp.SASLTypeAnonymous(), "/messages/devicebound", "401"},
		"C2D as a device":        {amqp.SASLTypePlain("good@sas.localhost", a.token("good")), "/messages/devicebound", "401"},
		"an address unknown":     {amqp.SASLTypePlain("service@sas.root.localhost", a.serviceToken()), "/no/such/node", "404"},
		"an address of nonsense": {amqp.SASLTypePlain("service@sas.root.localhost", a.serviceToken()), strings.Repeat("../", 5000), "404"},
	} {
		mark := a.mark()
		conn, err := a.dialAMQP(ctx, x.login)
		if err != nil {
			a.t.Errorf("%s: %v", name, err)
			continue
		}
		session, err := conn.NewSession(ctx, nil)
		if err == nil {
			_, err = session.NewSender(ctx, x.address, nil)
			if err == nil {
				a.t.Errorf("%s: %v", name, errNotRefused)
			}
		}
		_ = conn.Close()
		a.wantOneLine(name, mark, x.reason)
	}
}

// mqttConnect is a CONNECT with every part in the attacker's hands. Its zero values make a proper one.
type mqttConnect struct {
	protocol       string
	level          byte
	addFlags       byte
	header         byte // 0x10 unless set
	client         string
	afterKeepAlive []byte
	will           []byte // topic and payload, with their lengths; addFlags tells of it
	user, password *string
	trailing       []byte
	keepAlive      uint16
}

func (p mqttConnect) packet() []byte {
	if p.protocol == "" {
		p.protocol = "MQTT"
	}
	if p.level == 0 {
		p.level = 4
	}
	if p.header == 0 {
		p.header = 0x10
	}
	if p.keepAlive == 0 {
		p.keepAlive = 60
	}
	flags := byte(2) ^ p.addFlags
	if p.user != nil {
		flags ^= 0x80
	}
	if p.password != nil && *p.password != "" {
		flags ^= 0x40
	}
	body := append(appendText(nil, p.protocol), p.level, flags, byte(p.keepAlive>>8), byte(p.keepAlive))
	body = append(body, p.afterKeepAlive...)
	body = append(appendText(body, p.client), p.will...)
	if p.user != nil {
		body = appendText(body, *p.user)
	}
	if p.password != nil && *p.password != "" {
		body = appendText(body, *p.password)
	}
	return mqttPacket(p.header, append(body, p.trailing...))
}

// wantConnack checks the refusal of a CONNECT.
func (a *siege) wantConnack(name string, answer []byte, code int) {
	a.t.Helper()
	want := ""
	if code != closedSilently {
		want = string([]byte{0x20, 2, 0, byte(code)})
	}
	if string(answer) != want {
		a.t.Errorf("%s: answer % x, want % x", name, answer, want)
	}
}

// enter connects a device with bytes in the caller's hands and returns the connection after its CONNACK.
func (a *siege) enter(device string, keepAlive uint16) net.Conn {
	a.t.Helper()
	token := a.token(device)
	conn := a.dialTLS(8883)
	if _, err := conn.Write(mqttConnect{client: device, user: a.userName(device), password: &token, keepAlive: keepAlive}.packet()); err != nil {
		a.t.Fatal(err)
	}
	var answer [4]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil || answer != [4]byte{0x20, 2, 0, 0} {
		a.t.Fatalf("CONNECT of %s: % x %v", device, answer, err)
	}
	return conn
}
