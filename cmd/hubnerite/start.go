package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/trust"
)

// shutdownTime is how long a stopping emulator waits for its clients.
const shutdownTime = 10 * time.Second

// impatience is how long after the first signal a second one is taken as such.
const impatience = 300 * time.Millisecond

// startCmd starts the emulator.
type startCmd struct {
	Settings

	Device []string `placeholder:"NAME" help:"Device to create when it does not exist, repeatable."`
}

// Settings are the emulator's, of start and of exec --start. The devices are not among them: exec names them for its own purpose, too.
type Settings struct {
	Data       string `placeholder:"DIR" help:"Where identities, messages and certificates are kept (${datadir}). One emulator at a time."`
	InMemory   bool   `help:"Keep everything in memory. Not together with --data or --durability."`
	Durability string `placeholder:"MODE" help:"What an acknowledged message survives: none, os (a killed process, the default) or fsync (a power cut)."`

	Bind          string   `default:"127.0.0.1" placeholder:"ADDRESS" help:"Address to listen on (${default}); the other loopback address goes with a loopback address."`
	Hostname      []string `placeholder:"NAME" help:"Name of the hub, repeatable; the first one goes into connection strings (localhost)."`
	MQTTPort      int      `name:"mqtt-port" default:"8883" placeholder:"PORT" help:"MQTT over TLS (${default}). For every port 0 means any free one."`
	MQTTPlainPort *int     `name:"mqtt-plain-port" placeholder:"PORT" help:"Also listen for MQTT without TLS on this port (off)."`
	AMQPPort      int      `name:"amqp-port" default:"5671" placeholder:"PORT" help:"AMQP over TLS (${default})."`
	AMQPPlainPort int      `name:"amqp-plain-port" default:"5672" placeholder:"PORT" help:"AMQP without TLS, for Event Hubs connection strings with UseDevelopmentEmulator=true (${default}; another when that is taken). -1 is off."`
	HTTPSPort     int      `name:"https-port" default:"443" placeholder:"PORT" help:"Service API (${default}; 8443 when that may not be bound)."`
	AdminPort     int      `name:"admin-port" default:"8484" placeholder:"PORT" help:"Management API, plain HTTP (${default})."`

	Cert string `placeholder:"FILE" help:"Server certificate of your own (PEM, with its chain) instead of a generated one. Needs --key."`
	Key  string `placeholder:"FILE" help:"Its private key (PEM)."`

	RootCA           []string      `name:"root-ca" placeholder:"FILE" help:"Certificate authority (PEM) of devices that have CA-signed certificates, to register as verified, repeatable."`
	Seed             []string      `placeholder:"FILE" help:"Seed file (YAML or JSON) with what the hubs shall hold: policies, devices, twins, routes, simulated devices. Repeatable; see \"hubnerite seed --help\"."`
	BuiltinEvents    []string      `name:"builtin-events" default:"TwinChangeEvents" placeholder:"SOURCES" help:"Events that go to the built-in endpoint without a route, with commas: TwinChangeEvents, DeviceLifecycleEvents, DeviceConnectionStateEvents, or none (${default})."`
	ConsumerGroup    []string      `placeholder:"NAME" help:"Consumer group to create when it does not exist, repeatable ($$Default is always there)."`
	Partitions       int           `default:"4" placeholder:"NUMBER" help:"Partitions of the telemetry, 2 to 32 (${default}). Existing data keeps its number."`
	Tier             string        `placeholder:"TIER" help:"Limit rates and messages a day as a hub of tier F1, S1, S2 or S3 (no limits)."`
	Units            int           `default:"1" placeholder:"NUMBER" help:"Units of that tier (${default})."`
	TokenGrace       time.Duration `default:"0s" placeholder:"DURATION" help:"How long connections outlive their token, at most 1h (${default}). Azure is said to give 10m."`
	StrictAPIVersion bool          `name:"strict-api-version" help:"Refuse api-versions that Azure is not known to have."`

	StorageConnectionString string `placeholder:"TEXT" help:"Storage account that devices upload files to, in Azure or another emulator (the emulator's own)."`
	StorageContainer        string `default:"uploads" placeholder:"NAME" help:"Its container, made when absent (${default})."`

	FileSASTTL           time.Duration `name:"file-sas-ttl" default:"1h" placeholder:"DURATION" help:"How long a device may write a file that it announced, 1m to 24h (${default})."`
	NoFileNotifications  bool          `name:"no-file-notifications" help:"Do not tell back ends of the files that devices have uploaded."`
	FileMaxDeliveryCount int           `name:"file-max-delivery-count" default:"10" placeholder:"NUMBER" help:"How often a back end may abandon a file notification, 1 to 100 (${default})."`

	IothubownerKey       string `placeholder:"BASE64" help:"Primary key of the access policy iothubowner instead of the published one."`
	ServiceKey           string `placeholder:"BASE64" help:"The same for the policy service."`
	DeviceKey            string `placeholder:"BASE64" help:"The same for the policy device."`
	RegistryReadKey      string `placeholder:"BASE64" help:"The same for the policy registryRead."`
	RegistryReadWriteKey string `placeholder:"BASE64" help:"The same for the policy registryReadWrite."`

	ReadyFile string `placeholder:"FILE" help:"Write ports, files and connection strings as JSON there once ready; removed at the end."`
	LogLevel  string `default:"info" enum:"debug,info,warn,error" placeholder:"LEVEL" help:"debug, info, warn or error (${default})."`
	LogJSON   bool   `name:"log-json" help:"Log JSON lines and print nothing else."`
}

// Run starts the emulator and returns when it was told to stop.
func (s *startCmd) Run(a *app) error {
	logger := s.logger(a.stderr)
	defer tuneGC()()
	cfg, err := s.config(a.sources)
	if err != nil {
		return err
	}
	cfg.Logger, cfg.AdminToken, cfg.Devices = logger, a.adminToken, s.Device
	if err := cfg.Validate(); err != nil {
		return usageError{err}
	}
	if err := s.prepareReadyFile(); err != nil {
		return err
	}

	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	e, err := emulator.Start(context.Background(), cfg)
	if err != nil {
		return explainStart(err)
	}
	if err := s.announce(a, e, cfg, logger); err != nil {
		return errors.Join(err, closeEmulator(e))
	}
	var cause error
	select {
	case got := <-signals:
		logger.Info("stopping", "signal", got.String())
	case cause = <-e.Failed():
		logger.Error("stopping, a listener failed", "err", cause)
	}
	go func() {
		// Supervisors and terminals signal a process and its group: what comes with
		// the first signal is the same wish.
		for first := time.Now(); time.Since(first) < impatience; {
			<-signals
		}
		_, _ = fmt.Fprintln(a.stderr, "hubnerite: stopped at once; clients were cut off")
		os.Exit(exitFailure)
	}()
	if s.ReadyFile != "" {
		_ = os.Remove(s.ReadyFile)
	}
	return errors.Join(cause, closeEmulator(e))
}

// closeEmulator ends the emulator, for which clients have shutdownTime.
func closeEmulator(e *emulator.Emulator) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	return e.Close(ctx)
}

func (s *Settings) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	// The flag's enum allows only names that slog knows.
	_ = level.UnmarshalText([]byte(s.LogLevel))
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: bounded}
	if s.LogJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// maxLogText is the longest text of one log attribute, in bytes. Names, paths
// and topics come from peers and can have tens of kilobytes.
const maxLogText = 512

// bounded cuts texts and errors that are too long for a log; stacks stay whole.
func bounded(_ []string, a slog.Attr) slog.Attr {
	var text string
	switch a.Value.Kind() {
	case slog.KindString:
		text = a.Value.String()
	case slog.KindAny:
		err, ok := a.Value.Any().(error)
		if !ok {
			return a
		}
		text = err.Error()
	default:
		return a
	}
	if len(text) > maxLogText && a.Key != "stack" {
		a.Value = slog.StringValue(fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(text[:maxLogText], ""), len(text)))
	}
	return a
}

// config turns the settings into an emulator's. Settings that contradict each
// other are refused, except that the command line overrules the environment.
func (s *Settings) config(sources map[string]string) (emulator.Config, error) {
	if s.InMemory {
		for name, value := range map[string]*string{"data": &s.Data, "durability": &s.Durability} {
			switch {
			case *value == "":
			case sources[name] == sources["in-memory"]:
				return emulator.Config{}, usagef("--in-memory and --%s contradict each other: give one of them", name)
			case sources[name] == "flag":
				s.InMemory = false
			default:
				*value = ""
			}
		}
	}
	if !s.InMemory && s.Data == "" {
		if s.Data = defaultDataDir(); s.Data == "" {
			return emulator.Config{}, usagef("this account has no home directory to keep data in: give --data DIR or --in-memory")
		}
	}
	cfg := emulator.Config{
		DataDir: s.Data, Durability: s.Durability, Bind: s.Bind, HostNames: s.Hostname,
		MQTTPort: s.MQTTPort, AMQPPort: s.AMQPPort, HTTPSPort: s.HTTPSPort, AdminPort: s.AdminPort,
		CertFile: s.Cert, KeyFile: s.Key, RootCAs: s.RootCA, Seeds: s.Seed, ConsumerGroups: s.ConsumerGroup, StrictAPIVersion: s.StrictAPIVersion,
		StorageConnectionString: s.StorageConnectionString, StorageContainer: s.StorageContainer,
		FileSASTTL: s.FileSASTTL, NoFileNotifications: s.NoFileNotifications, FileMaxDeliveryCount: s.FileMaxDeliveryCount,
		PolicyKeys: map[string]string{}, BuiltInEvents: s.BuiltinEvents,
		Tier: s.Tier, Units: s.Units, TokenGrace: s.TokenGrace,
	}
	if len(s.BuiltinEvents) == 1 && s.BuiltinEvents[0] == "none" {
		cfg.BuiltInEvents = []string{}
	}
	if s.InMemory {
		cfg.DataDir = ""
	}
	if s.MQTTPlainPort != nil {
		cfg.PlainMQTT, cfg.MQTTPlainPort = true, *s.MQTTPlainPort
	}
	if sources["partitions"] != "" {
		// Data of an earlier start may have another number, and nobody asked.
		cfg.Partitions = s.Partitions
	}
	if s.AMQPPlainPort >= 0 {
		cfg.PlainAMQP, cfg.AMQPPlainPort, cfg.AMQPPlainFallback = true, s.AMQPPlainPort, sources["amqp-plain-port"] == ""
	}
	if sources["https-port"] == "" {
		// A port that was asked for is had or the start fails.
		cfg.HTTPSFallbackPort = emulator.FallbackHTTPSPort
	}
	for policy, key := range map[string]string{
		"iothubowner": s.IothubownerKey, "service": s.ServiceKey, "device": s.DeviceKey,
		"registryRead": s.RegistryReadKey, "registryReadWrite": s.RegistryReadWriteKey,
	} {
		if key != "" {
			cfg.PolicyKeys[policy] = key
		}
	}
	return cfg, nil
}

// prepareReadyFile removes what an earlier run left, so that whoever waits for
// the file does not read that, and finds out early whether it can be written.
func (s *Settings) prepareReadyFile() error {
	if s.ReadyFile == "" {
		return nil
	}
	if err := os.Remove(s.ReadyFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("ready file: %w", err)
	}
	if info, err := os.Stat(filepath.Dir(s.ReadyFile)); err != nil || !info.IsDir() {
		return usagef("ready file: %s is not a directory", filepath.Dir(s.ReadyFile))
	}
	return nil
}

// announce says that the emulator is ready: to people, to log readers and to
// whoever waits for the ready file, which comes last.
func (s *Settings) announce(a *app, e *emulator.Emulator, cfg emulator.Config, logger *slog.Logger) error {
	info := e.Info()
	if s.LogJSON {
		logReady(info, e.Notices(), cfg, logger)
	} else {
		_, _ = io.WriteString(a.stdout, banner(info, e.Notices(), cfg))
	}
	return s.writeReadyFile(info)
}

// logReady says to log readers that the emulator is ready.
func logReady(info emulator.Info, notices []string, cfg emulator.Config, logger *slog.Logger) {
	for _, notice := range notices {
		logger.Warn(notice)
	}
	logger.Info("hubnerite ready", "version", info.Version, "hostName", info.HostName, "mqtt", info.Ports.MQTT,
		"amqp", info.Ports.AMQP, "https", info.Ports.HTTPS, "admin", info.AdminURL, "ca", info.CAFile, "tier", tierText(cfg))
}

// writeReadyFile tells whoever waits for the file, if there is to be one.
func (s *Settings) writeReadyFile(info emulator.Info) error {
	if s.ReadyFile == "" {
		return nil
	}
	text, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return err
	}
	if err := trust.WriteFile(s.ReadyFile, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("ready file: %w", err)
	}
	return nil
}

// explainStart adds what to do to errors of the start.
func explainStart(err error) error {
	if errors.Is(err, emulator.ErrDataDirInUse) {
		return fmt.Errorf("%w\nIs another emulator running? Stop it, or use another directory with --data or none with --in-memory", err)
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // each of what was joined is explained
		var explained []error
		for _, each := range several.Unwrap() {
			explained = append(explained, explainStart(each))
		}
		return errors.Join(explained...)
	}
	var listen *emulator.ListenError
	if !errors.As(err, &listen) {
		return err
	}
	flag := "--" + listen.Listener + "-port"
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w\nThis account may not bind port %d. Give another port with %s, or allow it: on Linux with "+
			"\"sysctl net.ipv4.ip_unprivileged_port_start=%d\" or \"setcap cap_net_bind_service=+ep\" on the program", err, listen.Port, flag, listen.Port)
	case strings.Contains(err.Error(), "in use") || strings.Contains(err.Error(), "Only one usage"):
		return fmt.Errorf("%w\nAnother program, perhaps another emulator, has port %d. Stop it (\"%s doctor\" says who it is), or give another port with %s",
			err, listen.Port, programName(), flag)
	}
	return err
}
