package broker

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/internal/mqtttest"
	"github.com/hubnerite/hubnerite/iothub"
)

func TestConnectRefused(t *testing.T) {
	w := newWorld(t, Options{})
	disabled := iothub.ID{DeviceID: "off"}
	if _, err := w.hub.CreateIdentity(t.Context(), disabled, iothub.IdentityRequest{DeviceID: "off", Status: iothub.StatusDisabled}); err != nil {
		t.Fatal(err)
	}
	const none = 0xff // the connection is closed without CONNACK
	for _, test := range []struct {
		name   string
		code   byte
		change func(*mqtttest.ConnectOptions)
	}{
		{"MQTT 5", 1, func(o *mqtttest.ConnectOptions) { o.Level = 5 }},
		{"MQTT 3.1", 1, func(o *mqtttest.ConnectOptions) { o.Protocol, o.Level = "MQIsdp", 3 }},
		{"level 6", 1, func(o *mqtttest.ConnectOptions) { o.Level = 6 }},
		{"another protocol", none, func(o *mqtttest.ConnectOptions) { o.Protocol = "AMQP" }},
		{"no client identifier", 2, func(o *mqtttest.ConnectOptions) { o.ClientID = "" }},
		{"no client identifier, clean session", 2, func(o *mqtttest.ConnectOptions) { o.ClientID, o.Clean = "", true }},
		{"client identifier with a space", 2, func(o *mqtttest.ConnectOptions) { o.ClientID = "dev 1" }},
		{"user name of another device", 2, func(o *mqtttest.ConnectOptions) { o.UserName = testHost + "/dev-2/?api-version=1" }},
		{"no user name", 4, func(o *mqtttest.ConnectOptions) { o.UserName, o.Password = "", "" }},
		{"password without user name", 4, func(o *mqtttest.ConnectOptions) { o.UserName = "" }},
		{"user name without a device", 4, func(o *mqtttest.ConnectOptions) { o.UserName = testHost }},
		{"another hub", 5, func(o *mqtttest.ConnectOptions) { o.UserName = "other.net/dev-1/?api-version=1" }},
		{"neither password nor certificate", 5, func(o *mqtttest.ConnectOptions) { o.Password = "" }},
		{"password that is no token", 5, func(o *mqtttest.ConnectOptions) { o.Password = "secret" }},
		{"wrong signature", 5, func(o *mqtttest.ConnectOptions) { o.Password = strings.Replace(o.Password, "sig=", "sig=AA", 1) }},
		{"token of another device", 5, func(o *mqtttest.ConnectOptions) { o.Password = w.token(iothub.ID{DeviceID: "dev-2"}) }},
		{"expired token", 5, func(o *mqtttest.ConnectOptions) {
			o.Password = w.tokenUntil(testDevice(), time.Now().Add(-time.Minute))
		}},
		{"unknown device", 5, func(o *mqtttest.ConnectOptions) { *o = w.connectOptions(iothub.ID{DeviceID: "nobody"}) }},
		{"unknown module", 5, func(o *mqtttest.ConnectOptions) { *o = w.connectOptions(iothub.ID{DeviceID: "dev-2", ModuleID: "mod"}) }},
		{"disabled device", 5, func(o *mqtttest.ConnectOptions) { *o = w.connectOptions(disabled) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := w.dial()
			o := w.connectOptions(testDevice())
			test.change(&o)
			c.Send(mqtttest.AppendConnect(nil, o))
			if test.code != none {
				// Always the form of MQTT 3.1.1, two bytes, also towards MQTT 5.
				if p := c.Expect(mqtttest.Connack); len(p.Payload) != 2 || p.Payload[0] != 0 || p.Payload[1] != test.code {
					t.Errorf("CONNACK % x, want code %d", p.Payload, test.code)
				}
			}
			c.ExpectClose()
		})
	}
	w.logged("level=WARN", "refused", "device=dev-1", "connack=5", "code=401002", "expired")
	if w.log.has("sig=") {
		t.Error("the log holds a token")
	}
	if n := w.hub.ConnectedDevices(); n != 0 {
		t.Errorf("%d devices connected", n)
	}
}

func TestConnectMalformed(t *testing.T) {
	w := newWorld(t, Options{})
	good := mqtttest.AppendConnect(nil, w.connectOptions(testDevice()))
	patched := func(change func(b []byte)) []byte {
		b := append([]byte(nil), good...)
		change(b)
		return b
	}
	// The fixed header of good has three bytes: the body is longer than 127.
	const flags = 3 + 2 + 4 + 1
	for _, test := range []struct {
		name   string
		packet []byte
	}{
		{"another packet first", mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/", nil, 0, 0)},
		{"ping first", []byte{mqtttest.Pingreq << 4, 0}},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")},
		{"reserved flag", patched(func(b []byte) { b[flags] |= 1 })},
		{"will QoS without will", patched(func(b []byte) { b[flags] |= 1 << 3 })},
		{"flags in the fixed header", patched(func(b []byte) { b[0] |= 1 })},
		{"empty body", []byte{0x10, 0}},
		{"cut short", mqtttest.AppendPacket(nil, 0x10, good[3:40])},
		{"bytes behind the last field", mqtttest.AppendPacket(nil, 0x10, append(append([]byte(nil), good[3:]...), 'x'))},
		{"invalid UTF-8 in the user name", patched(func(b []byte) { b[bytes.Index(b, []byte("api-version"))] = 0xff })},
		{"NUL in the user name", patched(func(b []byte) { b[bytes.Index(b, []byte("api-version"))] = 0 })},
		{"length of five bytes", []byte{0x10, 0xff, 0xff, 0xff, 0xff, 0x01}},
		{"too large", []byte{0x10, 0xff, 0xff, 0xff, 0x7f}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := w.dial()
			c.Send(test.packet)
			c.ExpectClose()
		})
	}
	w.logged("level=WARN", "before CONNECT")
}

func TestConnectSpellings(t *testing.T) {
	w := newWorld(t, Options{})
	for _, name := range []string{
		testHost + "/dev-1/?api-version=2019-10-01&DeviceClientType=azure-iot-device-iothub-py%2F2.14.0",
		testHost + ":8883/dev-1/?api-version=2021-04-12&model-id=dtmi:com:x;1&DeviceClientType=azure-iot-device%2F1.18.4%20(node)",
		strings.ToUpper(testHost) + "/dev-1/api-version=2020-09-30",
		testHost + "/dev-1",
	} {
		c := w.dial()
		o := w.connectOptions(testDevice())
		o.UserName = name
		if _, code := c.Connect(o); code != 0 {
			t.Errorf("%q: CONNACK %d", name, code)
		}
		c.Send(mqtttest.AppendPublish(nil, "devices/dev-1/messages/events/", nil, 1, 1))
		c.Expect(mqtttest.Puback)
		_ = c.Close()
	}
	models := map[string]bool{}
	for _, m := range w.stored("dev-1", 4) {
		models[m.ModelID] = true
	}
	if len(models) != 2 || !models["dtmi:com:x;1"] {
		t.Errorf("models %v", models)
	}
}

// TestConnectByCertificate: TLS with a self-signed client certificate and no password.
func TestConnectByCertificate(t *testing.T) {
	w := newWorld(t, Options{})
	serverCert, clientCert := selfSigned(t, testHost), selfSigned(t, "anything")
	sum := sha256.Sum256(clientCert.Certificate[0])
	thumbprint := strings.ToUpper(hex.EncodeToString(sum[:]))
	id := iothub.ID{DeviceID: "x509"}
	_, err := w.hub.CreateIdentity(t.Context(), id, iothub.IdentityRequest{
		DeviceID: "x509",
		Authentication: &iothub.AuthenticationRequest{
			Type: iothub.AuthSelfSigned, X509Thumbprint: &iothub.X509Thumbprint{PrimaryThumbprint: &thumbprint},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := tls.NewListener(inner, &tls.Config{Certificates: []tls.Certificate{serverCert}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12})
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(l, "mqtt") }()
	dial := func(certs ...tls.Certificate) *mqtttest.Client {
		c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{Certificates: certs, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) //nolint:gosec // the test's own server
		if err != nil {
			t.Fatal(err)
		}
		return mqtttest.New(t, c)
	}
	o := w.connectOptions(id)
	o.Password = ""
	c := dial(clientCert)
	if _, code := c.Connect(o); code != 0 {
		t.Fatalf("CONNACK %d", code)
	}
	c.Send(mqtttest.AppendPublish(nil, "devices/x509/messages/events/", nil, 1, 1))
	c.Expect(mqtttest.Puback)
	if m := w.stored("x509", 1)[0]; m.AuthMethod.Type != "x509" {
		t.Errorf("authentication %+v", m.AuthMethod)
	}
	for name, refused := range map[string]*mqtttest.Client{"another certificate": dial(selfSigned(t, "x509")), "no certificate": dial()} {
		if _, code := refused.Connect(o); code != connackNotAuthorized {
			t.Errorf("%s: CONNACK %d", name, code)
		}
		refused.ExpectClose()
	}
	// A token works on TLS as well.
	c = dial()
	if _, code := c.Connect(w.connectOptions(testDevice())); code != 0 {
		t.Errorf("CONNACK %d", code)
	}
	w.stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	c.ExpectClose()
	w.start()
}

func selfSigned(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
