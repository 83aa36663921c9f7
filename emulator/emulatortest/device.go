package emulatortest

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/iothub"
)

// Device makes a device with keys of the hub's making and returns its connection string.
func Device(t testing.TB, e *emulator.Emulator, hubName, id string) (connectionString string) {
	t.Helper()
	info, err := e.HubInfo(hubName)
	if err != nil {
		t.Fatalf("make the device %s: %v", id, err)
	}
	made, err := hubOf(t, e, hubName).CreateIdentity(t.Context(), iothub.ID{DeviceID: id}, iothub.IdentityRequest{DeviceID: id})
	if err != nil {
		t.Fatalf("make the device %s: %v", id, err)
	}
	return emulator.DeviceConnectionString(emulator.Info{HostName: info.HostName}, made.Identity)
}

// TLS returns a configuration that trusts the emulator's certificate, and nothing else. It is the caller's to change.
func TLS(t testing.TB, e *emulator.Emulator) *tls.Config {
	t.Helper()
	text, err := os.ReadFile(e.Info().CAFile)
	if err != nil {
		t.Fatalf("read the emulator's certificate authority: %v", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatalf("%s holds no certificate", e.Info().CAFile)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// MQTTLogin is what an MQTT 3.1.1 client needs to connect as a device. Devices send to EventsTopic.
type MQTTLogin struct {
	// URL is like tls://127.0.0.1:40001, Address what is in it.
	URL, Address string
	// ClientID, UserName and Password are those of the CONNECT; the password is a token that is valid for an hour of the hubs' clock.
	ClientID, UserName, Password string
	// TLS trusts the emulator and names the hub.
	TLS *tls.Config
	// EventsTopic is where the device publishes telemetry.
	EventsTopic string
}

// mqttAPIVersion is the version that devices name.
const mqttAPIVersion = "2021-04-12"

// tokenLife is how long a login's token is valid.
const tokenLife = time.Hour

// MQTT returns the login of a device or module that has a key, by its connection string: info.Devices has them, and Device returns one.
func MQTT(t testing.TB, e *emulator.Emulator, connectionString string) MQTTLogin {
	t.Helper()
	fields := map[string]string{}
	for field := range strings.SplitSeq(connectionString, ";") {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	id, host := iothub.ID{DeviceID: fields["DeviceId"], ModuleID: fields["ModuleId"]}, fields["HostName"]
	if id.DeviceID == "" || fields["SharedAccessKey"] == "" {
		t.Fatal("this is no connection string of a device with a key")
	}
	token, err := emulator.DeviceToken(connectionString, e.Clock().Now().Add(tokenLife))
	if err != nil {
		t.Fatalf("make a token for %s: %v", id, err)
	}
	config := TLS(t, e)
	config.ServerName = host
	topic := "devices/" + id.DeviceID
	if id.IsModule() {
		topic += "/modules/" + id.ModuleID
	}
	address := e.Addr("mqtt").String()
	return MQTTLogin{
		URL: "tls://" + address, Address: address, TLS: config,
		ClientID: id.String(), UserName: host + "/" + id.String() + "/?api-version=" + mqttAPIVersion, Password: token,
		EventsTopic: topic + "/messages/events/",
	}
}
