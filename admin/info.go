package admin

import (
	"fmt"

	"github.com/hubnerite/hubnerite/iothub"
)

// Info describes a running emulator. GET /info answers it and the ready file
// holds the same JSON, so that a program that starts the emulator on free ports
// learns all it needs from either.
type Info struct {
	Version string `json:"version" doc:"Version of the emulator."`
	PID     int    `json:"pid" doc:"Process ID."`
	// HostName is the name that goes into connection strings.
	HostName string `json:"hostName" doc:"Host name in the connection strings."`
	// HostNames are all configured names, HostName first.
	HostNames []string `json:"hostNames" nullable:"false" doc:"All configured host names."`
	// Hubs are the names of all hubs, the default one first.
	Hubs     []string `json:"hubs,omitempty" doc:"Names of all hubs, the default one first."`
	Ports    Ports    `json:"ports" doc:"The ports that are bound."`
	AdminURL string   `json:"adminUrl" doc:"Address of this API, without a slash at its end."`
	// CAFile holds the emulator's CA certificate alone, CABundleFile also the
	// system's roots. Both are absolute paths; either may be empty when the
	// operator brought a certificate of his own.
	CAFile       string `json:"caFile" doc:"PEM file with the certificate authority."`
	CABundleFile string `json:"caBundleFile" doc:"PEM file with the certificate authority and the system's roots."`
	// ConnectionStrings are those of the shared access policies, by policy name.
	ConnectionStrings map[string]string `json:"connectionStrings" doc:"Service connection strings by policy name."`
	EventHub          EventHub          `json:"eventHub" doc:"How to read telemetry with the Event Hubs SDKs."`
	Storage           Storage           `json:"storage" doc:"The emulator's own storage account."`
	// Devices are the connection strings of the devices that the emulator was
	// started with, by device ID; DeviceCount is how many devices the hub has now.
	Devices     map[string]string `json:"devices" doc:"Connection strings of the devices of the configuration, by device ID; GET /devices has all."`
	DeviceCount int               `json:"deviceCount" doc:"How many devices the hub has; GET /devices lists them with their connection strings."`
}

// DeviceConnectionString returns the connection string of a device or module of the hub that the info describes.
// It never carries a port: device SDKs dial fixed ones.
func (i *Info) DeviceConnectionString(d iothub.Identity) string {
	s := fmt.Sprintf("HostName=%s;DeviceId=%s", i.HostName, d.ID.DeviceID)
	if d.ID.IsModule() {
		s += ";ModuleId=" + d.ID.ModuleID
	}
	if d.Authentication.Type == iothub.AuthSAS {
		return s + ";SharedAccessKey=" + d.Authentication.SymmetricKey.PrimaryKey
	}
	return s + ";x509=true"
}

// EventHub is the Event Hubs-compatible endpoint. Its key is that of the access
// policy service.
type EventHub struct {
	ConnectionString string `json:"connectionString" doc:"For every Event Hubs SDK; over TLS."`
	// EmulatorConnectionString has UseDevelopmentEmulator=true: clients that know
	// it speak plain AMQP. Empty when that listener is off.
	EmulatorConnectionString string `json:"emulatorConnectionString,omitempty" doc:"The same with UseDevelopmentEmulator=true, without TLS."`
	EntityPath               string `json:"entityPath" doc:"Name of the event hub, which is the hub's."`
}

// Storage is the emulator's storage account. Its name and key are the published
// ones of storage emulators.
type Storage struct {
	ConnectionString string `json:"connectionString" doc:"For every Azure Blob SDK; over TLS."`
	// Container is where devices upload files to; empty when that is in another account.
	Container string `json:"container,omitempty" doc:"Where devices upload files to, unless they have another account."`
}

// Ports are the bound TCP ports.
type Ports struct {
	MQTT  int `json:"mqtt" doc:"MQTT over TLS."`
	AMQP  int `json:"amqp" doc:"AMQP over TLS."`
	HTTPS int `json:"https" doc:"Service API."`
	Admin int `json:"admin" doc:"This API."`
	// MQTTPlain is 0 unless the plaintext MQTT listener was asked for.
	MQTTPlain int `json:"mqttPlain,omitempty" doc:"MQTT without TLS."`
	// AMQPPlain is 0 when the plaintext AMQP listener is off.
	AMQPPlain int `json:"amqpPlain,omitempty" doc:"AMQP without TLS."`
}
