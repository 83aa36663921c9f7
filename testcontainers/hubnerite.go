// Package hubnerite runs Hubnerite, a local Azure IoT Hub, in a container for the time of a test, in the way of Testcontainers for Go:
//
//	hub, err := hubnerite.Run(ctx, "hubnerite:dev", hubnerite.WithDevices("d1"))
//	testcontainers.CleanupContainer(t, hub)
//
// The image is made with `docker build` of Hubnerite's repository. Options of Testcontainers itself (WithEnv, network.WithNetwork and so on)
// work beside those of this package; every setting of the emulator is an environment variable.
//
// # Ports
//
// Each protocol of the hub is published on any free port, and connection strings name these ports wherever that means something: that is
// enough for REST and for Event Hubs clients that take a port (Go, JavaScript, Java), and for MQTT and AMQP clients that a program points to
// an address itself (MQTTAddress, AMQPAddress). Microsoft's device SDKs dial 8883, 5671 and 443 whatever the connection string
// says, and so do the AMQP parts of its service SDKs: programs that use them need WithFixedPorts, one container at a time.
// So do file uploads, whose address the hub tells the device.
package hubnerite

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"
)

// The ports inside the container.
const (
	mqttPort      = "8883/tcp"
	amqpPort      = "5671/tcp"
	amqpPlainPort = "5672/tcp"
	httpsPort     = "443/tcp"
	adminPort     = "8484/tcp"
)

// startTimeout bounds the time from the start of the container to its health, generously.
const startTimeout = 90 * time.Second

// Container is a running emulator with one hub.
type Container struct {
	testcontainers.Container
	// hostName is the first name of the hub, which goes into connection strings.
	hostName string
}

// Option is an option of Run that only this package has.
type Option func(*options) error

// Customize implements testcontainers.ContainerCustomizer. It does nothing: Run applies options of this kind itself.
func (o Option) Customize(*testcontainers.GenericContainerRequest) error { return nil }

// options are what Options have said.
type options struct {
	devices, hostNames []string
	seeds              []testcontainers.ContainerFile
	fixed              bool
}

// WithDevices creates devices with generated keys; their connection strings are those of DeviceConnectionString.
func WithDevices(ids ...string) Option {
	return func(o *options) error {
		o.devices = append(o.devices, ids...)
		return nil
	}
}

// WithSeed applies seed files of this machine at the start, in their order: YAML or JSON that says what the hub shall hold. A mistake in one
// keeps the emulator from starting: Run fails, and Testcontainers prints the emulator's log with the line and column.
func WithSeed(files ...string) Option {
	return func(o *options) error {
		for _, file := range files {
			suffix := ".yaml"
			if strings.HasSuffix(file, ".json") {
				suffix = ".json"
			}
			o.seeds = append(o.seeds, testcontainers.ContainerFile{
				HostFilePath: file, ContainerFilePath: fmt.Sprintf("/seed-%d%s", len(o.seeds)+1, suffix), FileMode: 0o444,
			})
		}
		return nil
	}
}

// WithHostNames gives the hub names beside the one under which this machine reaches it. They go into its certificate: other containers reach
// it by an alias in their network, for example. They go into no connection string.
func WithHostNames(names ...string) Option {
	return func(o *options) error {
		o.hostNames = append(o.hostNames, names...)
		return nil
	}
}

// WithFixedPorts publishes MQTT, AMQP and HTTPS where Microsoft's SDKs look for them: 8883, 5671, 5672 and 443, on the loopback
// address if the containers run on this machine. The start fails when one of them is taken. The management API keeps a free port.
func WithFixedPorts() Option {
	return func(o *options) error {
		o.fixed = true
		return nil
	}
}

// Run starts an emulator from an image, for example hubnerite:dev, and returns when programs may connect. It keeps all in memory unless
// the environment says otherwise (HUBNERITE_IN_MEMORY=false). An error may come with a container: terminate it in any case.
func Run(ctx context.Context, img string, opts ...testcontainers.ContainerCustomizer) (*Container, error) {
	var o options
	for _, opt := range opts {
		if own, ok := opt.(Option); ok {
			if err := own(&o); err != nil {
				return nil, fmt.Errorf("run hubnerite: %w", err)
			}
		}
	}
	host, err := daemonHost(ctx)
	if err != nil {
		return nil, fmt.Errorf("run hubnerite: %w", err)
	}
	env := map[string]string{"HUBNERITE_IN_MEMORY": "true", "HUBNERITE_HOSTNAME": strings.Join(names(host, o.hostNames), ",")}
	if len(o.devices) > 0 {
		env["HUBNERITE_DEVICE"] = strings.Join(o.devices, ",")
	}
	var paths []string
	for _, seed := range o.seeds {
		paths = append(paths, seed.ContainerFilePath)
	}
	if len(paths) > 0 {
		env["HUBNERITE_SEED"] = strings.Join(paths, ",")
	}
	first := []testcontainers.ContainerCustomizer{
		testcontainers.WithExposedPorts(mqttPort, amqpPort, amqpPlainPort, httpsPort, adminPort),
		testcontainers.WithEnv(env),
		testcontainers.WithFiles(o.seeds...),
		testcontainers.WithWaitStrategyAndDeadline(startTimeout, wait.ForHTTP("/health").WithPort(adminPort).WithStartupTimeout(startTimeout)),
	}
	if o.fixed {
		first = append(first, testcontainers.WithHostConfigModifier(publishFixed(host)))
	}
	ctr, err := testcontainers.Run(ctx, img, append(first, opts...)...)
	var c *Container
	if ctr != nil {
		c = &Container{Container: ctr, hostName: host}
	}
	if err != nil {
		return c, fmt.Errorf("run hubnerite: %w", err)
	}
	return c, nil
}

// daemonHost is the name or address under which this machine reaches published ports.
func daemonHost(ctx context.Context) (string, error) {
	provider, err := testcontainers.NewDockerProvider()
	if err != nil {
		return "", err
	}
	host, err := provider.DaemonHost(ctx)
	return host, errors.Join(err, provider.Close())
}

// names are the names of the hub, the first one first and each once.
func names(host string, more []string) []string {
	all := []string{host}
	for _, name := range append([]string{"localhost"}, more...) {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// publishFixed publishes the ports of the SDKs under their own numbers.
func publishFixed(host string) func(*container.HostConfig) {
	return func(config *container.HostConfig) {
		if config.PortBindings == nil {
			config.PortBindings = network.PortMap{}
		}
		address := netip.Addr{} // every address of the containers' machine, for we are on another
		if host == "localhost" || net.ParseIP(host).IsLoopback() {
			address = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		for _, port := range []string{mqttPort, amqpPort, amqpPlainPort, httpsPort} {
			number, _, _ := strings.Cut(port, "/")
			config.PortBindings[network.MustParsePort(port)] = []network.PortBinding{{HostIP: address, HostPort: number}}
		}
	}
}
