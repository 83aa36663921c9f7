package emulator

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/admin"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
)

// Info describes a running emulator; it is the content of the ready file and
// the answer of the admin API's /info.
type Info = admin.Info

// Ports are the bound ports of an Info.
type Ports = admin.Ports

// Info returns ports and files, and the connection strings of the default hub.
func (e *Emulator) Info() Info { return e.first.info() }

// Addr returns the address of a listener: "mqtt", "mqtt-plain", "amqp",
// "amqp-plain", "https" or "admin"; nil for a listener that was not asked for.
func (e *Emulator) Addr(listener string) net.Addr {
	if l := e.listeners[listener]; l != nil {
		return l.Addr()
	}
	return nil
}

// info describes the hub as it is now.
func (h *hosted) info() Info {
	e, l := h.e, h.now.Load()
	port := func(name string) int {
		if l := e.listeners[name]; l != nil {
			return portOf(l)
		}
		return 0
	}
	info := Info{
		Version:   Version(),
		PID:       os.Getpid(),
		HostName:  h.hostNames[0],
		HostNames: h.hostNames,
		Ports: Ports{
			MQTT: port(nameMQTT), AMQP: port(nameAMQP), HTTPS: port(nameHTTPS), Admin: port(nameAdmin),
			MQTTPlain: port(nameMQTTPlain), AMQPPlain: port(nameAMQPPlain),
		},
		AdminURL:          "http://" + net.JoinHostPort(dialHost(e.cfg.Bind), strconv.Itoa(port(nameAdmin))),
		CAFile:            e.trust.CAFile,
		CABundleFile:      e.trust.BundleFile,
		ConnectionStrings: map[string]string{},
		Devices:           map[string]string{},
	}
	for _, h := range e.all() {
		info.Hubs = append(info.Hubs, h.name)
	}
	for _, p := range l.hub.Policies() {
		info.ConnectionStrings[p.Name] = ServiceConnectionString(info, p.Name, p.PrimaryKey)
		if p.Name == eventHubPolicy {
			info.EventHub = eventHub(info, l.hub.EventHubName(), p)
			// The entity alone names the hub there: clients need to resolve no name but the emulator's.
			common := info
			common.HostName = e.first.hostNames[0]
			info.EventHub.EmulatorConnectionString = eventHub(common, l.hub.EventHubName(), p).EmulatorConnectionString
		}
	}
	info.Storage.ConnectionString = h.storageAccount(l.blobs).ConnectionString()
	if e.cfg.StorageConnectionString == "" {
		info.Storage.Container = e.cfg.StorageContainer
	}
	// The number is kept in memory, and a hub that closes says 0.
	if counts, err := l.hub.Counts(context.Background()); err == nil {
		info.DeviceCount = counts.Devices
	}
	for _, d := range l.devices {
		info.Devices[d.ID.DeviceID] = DeviceConnectionString(info, d)
	}
	return info
}

// ServiceConnectionString returns the connection string of an access policy.
// It carries the HTTPS port when that is not 443: the Python service SDK dials
// it, and the port is cut off where it dials AMQP.
func ServiceConnectionString(info Info, policy, key string) string {
	host := info.HostName
	if info.Ports.HTTPS != DefaultHTTPSPort {
		host = net.JoinHostPort(host, strconv.Itoa(info.Ports.HTTPS))
	}
	return fmt.Sprintf("HostName=%s;SharedAccessKeyName=%s;SharedAccessKey=%s", host, policy, key)
}

// DeviceConnectionString returns the connection string of a device or module.
// It never carries a port: device SDKs dial fixed ones.
func DeviceConnectionString(info Info, d iothub.Identity) string {
	return info.DeviceConnectionString(d)
}

// eventHubPolicy is the access policy of the Event Hubs connection strings: the
// least that may read.
const eventHubPolicy = "service"

// eventHub returns the connection strings of the Event Hubs-compatible endpoint.
// A hub with a name of Azure's has the endpoint under its name there, where the
// SDKs look for it; any other name serves both. A port is named when it is not
// the one that clients dial by themselves.
func eventHub(info Info, entity string, p iothub.AccessPolicy) admin.EventHub {
	host := info.HostName
	if strings.HasSuffix(host, azureDomain) {
		host = hubName(host) + eventHubDomain
	}
	text := func(port, usual int) string {
		authority := net.JoinHostPort(host, strconv.Itoa(port))
		if port == usual {
			authority = strings.TrimSuffix(authority, ":"+strconv.Itoa(port))
		}
		return fmt.Sprintf("Endpoint=sb://%s/;SharedAccessKeyName=%s;SharedAccessKey=%s", authority, p.Name, p.PrimaryKey)
	}
	hub := admin.EventHub{EntityPath: entity, ConnectionString: text(info.Ports.AMQP, DefaultAMQPPort) + ";EntityPath=" + entity}
	if info.Ports.AMQPPlain != 0 {
		hub.EmulatorConnectionString = text(info.Ports.AMQPPlain, DefaultAMQPPlainPort) + ";UseDevelopmentEmulator=true;EntityPath=" + entity
	}
	return hub
}

// hubName returns the first label of a host name.
func hubName(host string) string {
	name, _, _ := strings.Cut(host, ".")
	return name
}

// dialHost returns where a program on this machine reaches a bind address.
func dialHost(bind string) string {
	switch ip := net.ParseIP(bind); {
	case ip == nil || ip.Equal(net.IPv4zero) || ip.Equal(net.IPv6unspecified):
		return "127.0.0.1"
	default:
		return ip.String()
	}
}

// Version returns the version of Hubnerite in this program, "(devel)" when it
// was built without one.
func Version() string {
	const module = "github.com/hubnerite/hubnerite"
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return "(devel)"
	}
	for _, m := range append(build.Deps, &build.Main) {
		if m.Path == module && m.Version != "" {
			return m.Version
		}
	}
	return "(devel)"
}

// ServiceToken returns a shared access signature for the whole hub from a
// service connection string, valid until the given time.
func ServiceToken(connectionString string, expiry time.Time) (string, error) {
	fields := map[string]string{}
	for field := range strings.SplitSeq(connectionString, ";") {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	return registry.SignSASToken(fields["HostName"], fields["SharedAccessKeyName"], fields["SharedAccessKey"], expiry)
}
