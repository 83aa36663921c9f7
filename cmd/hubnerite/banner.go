package main

import (
	"fmt"
	"maps"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/hubnerite/hubnerite/emulator"
)

// readyLine is the last line of the banner. Scripts wait for it: it never changes.
const readyLine = "hubnerite ready"

// tierText names the tier with its units; nothing without limits.
func tierText(cfg emulator.Config) string {
	if cfg.Tier == "" {
		return ""
	}
	units := max(cfg.Units, 1)
	if units == 1 {
		return strings.ToUpper(cfg.Tier) + ", 1 unit"
	}
	return fmt.Sprintf("%s, %d units", strings.ToUpper(cfg.Tier), units)
}

// banner is what a person needs to go on: where everything listens, strings to
// paste, how to trust the certificates.
func banner(info emulator.Info, notices []string, cfg emulator.Config) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }

	at := func(port int) string { return net.JoinHostPort(cfg.Bind, strconv.Itoa(port)) }
	line("Hubnerite %s, a local Azure IoT Hub named %s", info.Version, info.HostName)
	line("")
	line("  MQTT    %s", at(info.Ports.MQTT))
	if info.Ports.MQTTPlain != 0 {
		line("          %s without TLS", at(info.Ports.MQTTPlain))
	}
	line("  AMQP    %s", at(info.Ports.AMQP))
	if info.Ports.AMQPPlain != 0 {
		line("          %s without TLS", at(info.Ports.AMQPPlain))
	}
	line("  HTTPS   %s", at(info.Ports.HTTPS))
	line("  Admin   %s (dashboard; its API is explained at /docs)", info.AdminURL)
	if cfg.DataDir == "" {
		line("  Data    in memory, gone at the end")
	} else {
		durability := cfg.Durability
		if durability == "" {
			durability = "os"
		}
		line("  Data    %s (durability %s)", cfg.DataDir, durability)
	}
	line("  CA      %s", info.CAFile)
	if tier := tierText(cfg); tier != "" {
		line("  Tier    %s: rates and messages a day are limited", tier)
	}
	for _, notice := range notices {
		line("")
		line("  ATTENTION: %s", notice)
	}

	ask := ""
	if info.AdminURL != defaultAdminURL() {
		ask = " --admin-url " + info.AdminURL
	}
	line("")
	line("Service programs connect with")
	line("  %s", info.ConnectionStrings["iothubowner"])
	line("Event Hubs clients read telemetry with")
	line("  %s", info.EventHub.ConnectionString)
	for _, name := range slices.Sorted(maps.Keys(info.Devices)) {
		line("Device %s connects with", name)
		line("  %s", info.Devices[name])
	}
	if len(info.Devices) == 0 {
		line("Make a device and print its connection string with")
		line("  %s device create NAME%s", programName(), ask)
	}
	line("Programs trust the certificates after")
	if runtime.GOOS == "windows" {
		line("  %s env%s | Out-String | Invoke-Expression", programName(), ask)
	} else {
		line("  eval \"$(%s env%s)\"", programName(), ask)
	}
	line("")
	line(readyLine)
	return b.String()
}
