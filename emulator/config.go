package emulator

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/store"
	"github.com/hubnerite/hubnerite/store/journal"
)

// The ports that Azure's SDKs dial; most of them can dial no other.
const (
	DefaultMQTTPort  = 8883
	DefaultAMQPPort  = 5671
	DefaultHTTPSPort = 443
	DefaultAdminPort = 8484
	// DefaultAMQPPlainPort is the one of UseDevelopmentEmulator=true.
	DefaultAMQPPlainPort = 5672
	// FallbackHTTPSPort serves where an ordinary process may not bind 443.
	FallbackHTTPSPort = 8443
)

// Config says what an emulator is like. The zero value is an emulator that
// keeps everything in memory and listens on free ports of the loopback interface.
type Config struct {
	// DataDir is where identities, messages and certificates are kept; it is
	// made when absent, and one process at a time may use it. Empty keeps
	// all in memory, except for the certificate files, which then live in a
	// temporary directory until Close.
	DataDir string
	// Durability is what an acknowledged write survives: "none", "os" (a killed
	// process; the default) or "fsync" (a power cut). Without a DataDir it
	// has no meaning and must be empty.
	Durability string

	// Bind is the address to listen on; empty means 127.0.0.1. On a loopback
	// address the other loopback address (127.0.0.1 or ::1) is bound too, where
	// that is possible, because clients differ in what localhost means to them.
	Bind string
	// HostNames are the names of the hub: the first one goes into connection strings, all go into the
	// server certificate. Empty means localhost. The hub also answers to every
	// name that is not listed.
	HostNames []string
	// The ports; 0 means any free one.
	MQTTPort, AMQPPort, HTTPSPort, AdminPort int
	// HTTPSFallbackPort is used when HTTPSPort may not be bound for lack of
	// privilege; 0 means that this is an error.
	HTTPSFallbackPort int
	// PlainMQTT also listens for MQTT without TLS, on MQTTPlainPort.
	PlainMQTT     bool
	MQTTPlainPort int
	// PlainAMQP also listens for AMQP without TLS, on AMQPPlainPort: that is what
	// UseDevelopmentEmulator=true in an Event Hubs connection string means. With
	// AMQPPlainFallback any free port is taken, and a notice says so, when that
	// one cannot be had.
	PlainAMQP         bool
	AMQPPlainPort     int
	AMQPPlainFallback bool

	// Partitions of the telemetry log, 2 to 32; 0 means 4. A data directory keeps
	// the number that it was made with.
	Partitions int
	// ConsumerGroups are created at the start, beside $Default.
	ConsumerGroups []string

	// CertFile and KeyFile are a server certificate (PEM, chain included) and
	// its key to use instead of generated ones; both or none.
	CertFile, KeyFile string
	// RootCAs are PEM files of certificate authorities that are registered at the
	// start, as verified and under the names of their files, for devices of the type
	// certificateAuthority.
	RootCAs []string
	// Devices are created at the start when they do not exist, with generated keys.
	Devices []string
	// Seeds are seed files, applied in their order at the start and again by a reset that is asked for them.
	Seeds []string
	// BuiltInEvents are the events that go to the built-in endpoint as long as
	// they have no route: TwinChangeEvents, DeviceLifecycleEvents,
	// DeviceConnectionStateEvents. Nil means TwinChangeEvents, empty none.
	BuiltInEvents []string
	// Endpoints, Enrichments and Routes are added at the start, over those of the
	// same name that the data directory has; the others stay as they are.
	Endpoints   []iothub.Endpoint
	Enrichments []iothub.Enrichment
	Routes      []iothub.Route
	// StorageConnectionString is the storage account, in Azure or another emulator,
	// that devices upload files to; empty means the emulator's own.
	// StorageContainer is the container there, made when absent; empty means "uploads".
	StorageConnectionString, StorageContainer string
	// PolicyKeys replaces the primary key (base64) of shared access policies, by
	// policy name. The other policies keep their fixed, published keys. A policy
	// with a key of its own has no published secondary key either.
	PolicyKeys map[string]string
	// Tier (F1, S1, S2 or S3) and Units (0 means 1) give the hub that tier's limits of
	// rate and its daily quota; "" means none.
	Tier  string
	Units int
	// TokenGrace is how long a device's connection outlives its token, at most an hour; 0 is not at all.
	TokenGrace time.Duration
	// FileSASTTL is how long a device may write a file that it announced, 1 min to 24 h; 0 is an hour.
	FileSASTTL time.Duration
	// NoFileNotifications keeps back ends from being told of files.
	NoFileNotifications bool
	// FileMaxDeliveryCount is how often a back end may abandon a file notification, 1 to 100; 0 is 10.
	FileMaxDeliveryCount int
	// AdminToken is what the management API demands of everyone but who asks for its health; empty demands none.
	AdminToken string
	// StrictAPIVersion refuses api-versions that Azure is not known to have.
	StrictAPIVersion bool

	// Now is the real time, which the clock shows until it is moved; nil means time.Now.
	Now func() time.Time
	// Logger takes what happens; nil discards.
	Logger *slog.Logger
}

// withDefaults fills in what the zero value leaves open.
func (c Config) withDefaults() Config {
	if c.Bind == "" {
		c.Bind = "127.0.0.1"
	}
	if len(c.HostNames) == 0 {
		c.HostNames = []string{"localhost"}
	}
	if c.DataDir != "" && c.Durability == "" {
		c.Durability = string(store.DurabilityOS)
	}
	if c.StorageContainer == "" {
		c.StorageContainer = "uploads"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Logger = slog.New(hintLog{c.Logger.Handler()})
	return c
}

// Validate returns what is contradictory or impossible in the configuration,
// all of it in one error, or nil. Start calls it.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	complain := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	switch store.Durability(c.Durability) {
	case store.DurabilityNone, store.DurabilityOS, store.DurabilityFsync:
		if c.DataDir == "" {
			complain("durability %q needs a data directory: nothing that is kept in memory survives", c.Durability)
		}
	case "":
	default:
		complain("durability %q is none of none, os, fsync", c.Durability)
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		complain("a server certificate needs both its file and its key's file")
	}
	if net.ParseIP(c.Bind) == nil && c.Bind != "localhost" {
		complain("bind address %q is not an IP address", c.Bind)
	}
	for _, name := range c.HostNames {
		if !validHostName(name) {
			complain("host name %q is not a host name (write it without scheme and port)", name)
		}
	}
	for _, name := range c.Devices {
		if err := iothub.ValidateDeviceID(name); err != nil {
			complain("device %q: %w", name, err)
		}
	}
	if tier, err := iothub.ParseTier(c.Tier); err != nil {
		complain("tier: %w", err)
	} else if tier != iothub.TierNone && (c.Units < 0 || c.Units > tier.MaxUnits()) {
		complain("a hub of tier %s has 1 to %d units, not %d", tier, tier.MaxUnits(), c.Units)
	}
	if c.TokenGrace < 0 || c.TokenGrace > time.Hour {
		complain("token grace %v, must be 0 to 1h", c.TokenGrace)
	}
	if err := c.fileUpload().Validate(); err != nil {
		complain("file upload: %w", err)
	}
	errs = append(errs, c.validatePorts()...)
	if c.Partitions != 0 && (c.Partitions < journal.MinPartitions || c.Partitions > journal.MaxPartitions) {
		complain("%d partitions, must be %d to %d", c.Partitions, journal.MinPartitions, journal.MaxPartitions)
	}
	for _, name := range c.BuiltInEvents {
		if !slices.Contains(iothub.EventRouteSources(), iothub.RouteSource(name)) {
			complain("events %q are none of %v", name, iothub.EventRouteSources())
		}
	}
	errs = append(errs, c.validateRouting()...)
	known := registry.DefaultPolicies()
	for name, key := range c.PolicyKeys {
		if !slices.ContainsFunc(known, func(p iothub.AccessPolicy) bool { return p.Name == name }) {
			complain("there is no access policy %q", name)
		}
		if raw, err := base64.StdEncoding.DecodeString(key); err != nil || len(raw) < 16 || len(raw) > 64 {
			// The key itself stays out of the message.
			complain("the key of access policy %s is not base64 of 16 to 64 bytes", name)
		}
	}
	return errors.Join(errs...)
}

func (c Config) validatePorts() (errs []error) {
	seen := map[int]string{}
	for _, p := range c.listeners() {
		switch other := seen[p.port]; {
		case p.port < 0 || p.port > 65535:
			errs = append(errs, fmt.Errorf("%s port %d is not between 0 and 65535", p.name, p.port))
		case p.port != 0 && other != "":
			errs = append(errs, fmt.Errorf("%s and %s cannot both have port %d", other, p.name, p.port))
		default:
			seen[p.port] = p.name
		}
	}
	return errs
}

// validateRouting looks at each part by itself; how they fit together is known
// only with what the data directory has.
func (c Config) validateRouting() (errs []error) {
	add := func(err error) {
		if e := (*iothub.Error)(nil); errors.As(err, &e) {
			errs = append(errs, errors.New(e.Message))
		}
	}
	for _, e := range c.Endpoints {
		add(e.Validate())
	}
	for _, e := range c.Enrichments {
		add(e.Validate())
	}
	for _, r := range c.Routes {
		add(r.Validate())
	}
	return errs
}

// builtInEvents returns the configured sources; nil stays nil.
func (c Config) builtInEvents() []iothub.RouteSource {
	if c.BuiltInEvents == nil {
		return nil
	}
	sources := make([]iothub.RouteSource, len(c.BuiltInEvents))
	for i, name := range c.BuiltInEvents {
		sources[i] = iothub.RouteSource(name)
	}
	return sources
}

// listener is a port to bind and what speaks there.
type listenerConfig struct {
	name string
	port int
}

func (c Config) listeners() []listenerConfig {
	all := []listenerConfig{{nameMQTT, c.MQTTPort}, {nameAMQP, c.AMQPPort}, {nameHTTPS, c.HTTPSPort}, {nameAdmin, c.AdminPort}}
	if c.PlainMQTT {
		all = append(all, listenerConfig{nameMQTTPlain, c.MQTTPlainPort})
	}
	if c.PlainAMQP {
		all = append(all, listenerConfig{nameAMQPPlain, c.AMQPPlainPort})
	}
	return all
}

// Names of the listeners in logs, errors and the health answer.
const (
	nameMQTT      = "mqtt"
	nameMQTTPlain = "mqtt-plain"
	nameAMQP      = "amqp"
	nameAMQPPlain = "amqp-plain"
	nameHTTPS     = "https"
	nameAdmin     = "admin"
)

// policies returns the access policies under the configured keys.
func (c Config) policies() []iothub.AccessPolicy {
	policies := registry.DefaultPolicies()
	for i, p := range policies {
		if key := c.PolicyKeys[p.Name]; key != "" {
			policies[i].PrimaryKey, policies[i].SecondaryKey = key, key
		}
	}
	return policies
}

// publishedPolicies returns the names of the policies whose keys anyone can
// look up.
func (c Config) publishedPolicies() []string {
	var names []string
	for _, p := range registry.DefaultPolicies() {
		if key := c.PolicyKeys[p.Name]; key == "" || key == p.PrimaryKey || key == p.SecondaryKey {
			names = append(names, p.Name)
		}
	}
	return names
}

// reachable reports whether other machines can reach the listeners.
func (c Config) reachable() bool {
	ip := net.ParseIP(c.Bind)
	return ip != nil && !ip.IsLoopback()
}

// certificateHosts are the names and addresses that the server certificate
// covers besides the ones it always does.
func (c Config) certificateHosts() []string {
	hosts := slices.Clone(c.HostNames)
	if ip := net.ParseIP(c.Bind); ip != nil && !ip.IsUnspecified() {
		hosts = append(hosts, c.Bind)
	}
	return hosts
}

// validHostName reports whether name is an IP address or a host name of
// letters, digits, hyphens and dots (RFC 1123, with underscores tolerated as
// container engines use them).
func validHostName(name string) bool {
	if net.ParseIP(name) != nil {
		return true
	}
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
				return false
			}
		}
	}
	return true
}
