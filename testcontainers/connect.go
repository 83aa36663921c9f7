package hubnerite

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// apiVersion is the version of the service's REST API that is asked.
const apiVersion = "2021-04-12"

// info is what this package reads of the emulator's description of itself.
type info struct {
	ConnectionStrings map[string]string
	EventHub          struct {
		EntityPath               string
		ConnectionString         string
		EmulatorConnectionString string
	}
}

// HostName returns the name of the hub in connection strings, without a port: the one under which this machine reaches the container.
func (c *Container) HostName() string { return c.hostName }

// AdminURL returns the address of the management API and dashboard, without a slash at its end, such as http://localhost:32768.
func (c *Container) AdminURL(ctx context.Context) (string, error) {
	address, err := c.address(ctx, adminPort)
	return "http://" + address, err
}

// MQTTAddress returns where MQTT over TLS is reached, as host:port.
func (c *Container) MQTTAddress(ctx context.Context) (string, error) {
	return c.address(ctx, mqttPort)
}

// AMQPAddress returns where AMQP over TLS is reached, as host:port.
func (c *Container) AMQPAddress(ctx context.Context) (string, error) {
	return c.address(ctx, amqpPort)
}

// HTTPSAddress returns where the service's REST API is reached, as host:port, and MQTT and AMQP over WebSockets are.
func (c *Container) HTTPSAddress(ctx context.Context) (string, error) {
	return c.address(ctx, httpsPort)
}

// address is where a port of the container is reached. The host is the one that the container was started with, whatever Testcontainers
// says later: where it cannot tell whether it is in a container itself, it may change its mind.
func (c *Container) address(ctx context.Context, port string) (string, error) {
	mapped, err := c.MappedPort(ctx, port)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(c.hostName, mapped.Port()), nil
}

// ConnectionString returns the connection string of an access policy for back ends: iothubowner, service, device, registryRead,
// registryReadWrite, or one of a seed. It has the port of the REST API in HostName unless that is 443.
func (c *Container) ConnectionString(ctx context.Context, policy string) (string, error) {
	var about info
	if err := c.getJSON(ctx, "/info", &about); err != nil {
		return "", fmt.Errorf("connection string of policy %s: %w", policy, err)
	}
	text, ok := about.ConnectionStrings[policy]
	if !ok {
		return "", fmt.Errorf("connection string of policy %s: there is no such policy", policy)
	}
	address, err := c.HTTPSAddress(ctx)
	if err != nil {
		return "", fmt.Errorf("connection string of policy %s: %w", policy, err)
	}
	_, rest, _ := strings.Cut(text, ";")
	return "HostName=" + strings.TrimSuffix(address, ":443") + ";" + rest, nil
}

// DeviceConnectionString returns the connection string of a device: one of WithDevices or a seed, or created since. It has no port, as the
// device SDKs dial fixed ones (see WithFixedPorts). A device without keys has x509=true in it.
func (c *Container) DeviceConnectionString(ctx context.Context, id string) (string, error) {
	var device struct {
		Authentication struct {
			Type         string
			SymmetricKey struct{ PrimaryKey string }
		}
	}
	if err := c.getJSON(ctx, "/service/devices/"+url.PathEscape(id)+"?api-version="+apiVersion, &device); err != nil {
		return "", fmt.Errorf("connection string of device %s: %w", id, err)
	}
	text := "HostName=" + c.hostName + ";DeviceId=" + id
	if device.Authentication.Type != "sas" {
		return text + ";x509=true", nil
	}
	return text + ";SharedAccessKey=" + device.Authentication.SymmetricKey.PrimaryKey, nil
}

// EventHubConnectionString returns the connection string of the Event Hubs-compatible endpoint without TLS, with
// UseDevelopmentEmulator=true: clients of Event Hubs read telemetry with it, and need no certificate.
func (c *Container) EventHubConnectionString(ctx context.Context) (string, error) {
	return c.eventHub(ctx, amqpPlainPort, 5672, func(i info) string { return i.EventHub.EmulatorConnectionString })
}

// EventHubTLSConnectionString is the same with TLS; the client must trust CACertificate.
func (c *Container) EventHubTLSConnectionString(ctx context.Context) (string, error) {
	return c.eventHub(ctx, amqpPort, 5671, func(i info) string { return i.EventHub.ConnectionString })
}

// eventHub puts the published port into the emulator's own connection string.
func (c *Container) eventHub(ctx context.Context, port string, usual int, which func(info) string) (string, error) {
	var about info
	if err := c.getJSON(ctx, "/info", &about); err != nil {
		return "", fmt.Errorf("connection string of the Event Hubs endpoint: %w", err)
	}
	_, rest, ok := strings.Cut(which(about), "/;")
	if !ok {
		return "", errors.New("connection string of the Event Hubs endpoint: the emulator has none")
	}
	address, err := c.address(ctx, port)
	if err != nil {
		return "", fmt.Errorf("connection string of the Event Hubs endpoint: %w", err)
	}
	return "Endpoint=sb://" + strings.TrimSuffix(address, fmt.Sprintf(":%d", usual)) + "/;" + rest, nil
}

// CACertificate returns the certificate of the authority that clients must trust, as PEM.
func (c *Container) CACertificate(ctx context.Context) ([]byte, error) {
	pem, err := c.call(ctx, http.MethodGet, "/ca.pem", nil)
	if err != nil {
		return nil, fmt.Errorf("certificate of the emulator's authority: %w", err)
	}
	return pem, nil
}

// TLSConfig returns a configuration for clients of every port, which trusts the emulator's authority and nobody else.
func (c *Container) TLSConfig(ctx context.Context) (*tls.Config, error) {
	pem, err := c.CACertificate(ctx)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("certificate of the emulator's authority: there is none")
	}
	return &tls.Config{RootCAs: roots, ServerName: c.hostName, MinVersion: tls.VersionTLS12}, nil
}
