package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/emulator/trust"
)

type envCmd struct {
	Device string `placeholder:"ID" help:"Device of IOTHUB_DEVICE_CONNECTION_STRING (the one that the emulator was started with, if it is one)."`
	Shell  string `enum:"bash,fish,powershell,dotenv,auto" default:"auto" placeholder:"SHELL" help:"Form of the lines: bash (and other POSIX shells), fish, powershell or dotenv (guessed)."`
}

// Run prints assignments for a shell.
func (c *envCmd) Run(a *app) error {
	variables, err := a.variables(c.Device)
	if err != nil {
		return err
	}
	shell := c.Shell
	if shell == "auto" {
		shell = guessShell()
	}
	for _, v := range variables {
		if _, err := fmt.Fprintln(a.stdout, v.assignment(shell)); err != nil {
			return err
		}
	}
	return nil
}

func guessShell() string {
	switch {
	case runtime.GOOS == "windows" && os.Getenv("SHELL") == "":
		return "powershell"
	case filepath.Base(os.Getenv("SHELL")) == "fish":
		return "fish"
	}
	return "bash"
}

// variable is an environment variable for programs that use the emulator.
type variable struct{ name, value string }

// assignment returns the line that sets the variable in a shell.
func (v variable) assignment(shell string) string {
	switch shell {
	case "fish":
		return fmt.Sprintf("set -gx %s '%s'", v.name, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v.value))
	case "powershell":
		return fmt.Sprintf("$env:%s = '%s'", v.name, strings.ReplaceAll(v.value, "'", "''"))
	case "dotenv":
		return v.name + "=" + v.value
	}
	return fmt.Sprintf("export %s='%s'", v.name, strings.ReplaceAll(v.value, "'", `'\''`))
}

// variables returns what a program needs to trust and find the running
// emulator; docs/trust.md says who reads what.
func (a *app) variables(deviceID string) ([]variable, error) {
	info, err := a.info()
	if err != nil {
		return nil, err
	}
	ca, bundle, err := a.trustFiles(info)
	if err != nil {
		return nil, err
	}
	variables := []variable{
		{"SSL_CERT_FILE", bundle},
		{"REQUESTS_CA_BUNDLE", bundle},
		{"CURL_CA_BUNDLE", bundle},
		{"NODE_EXTRA_CA_CERTS", ca},
	}
	if java, ok, err := javaOptions(bundle, os.Getenv(javaVariable)); err != nil {
		_, _ = fmt.Fprintf(a.stderr, "hubnerite: %s is left out, so Java programs will not trust the emulator: %v\n", javaVariable, err)
	} else if ok {
		variables = append(variables, java)
	}
	variables = append(variables, variable{"IOTHUB_CONNECTION_STRING", info.ConnectionStrings["iothubowner"]})
	device, err := a.chosenDevice(info, deviceID)
	if err != nil {
		return nil, err
	}
	if device.name != "" {
		variables = append(variables, variable{"IOTHUB_DEVICE_ID", device.name}, variable{"IOTHUB_DEVICE_CONNECTION_STRING", device.value})
	}
	variables = append(variables,
		variable{"EVENTHUB_CONNECTION_STRING", info.EventHub.ConnectionString}, variable{"EVENTHUB_NAME", info.EventHub.EntityPath})
	variables = append(variables, variable{"AZURE_STORAGE_CONNECTION_STRING", info.Storage.ConnectionString})
	variables = append(variables, variable{environmentPrefix + "ADMIN_URL", a.adminURL})
	if a.adminToken != "" {
		variables = append(variables, variable{environmentPrefix + "ADMIN_TOKEN", a.adminToken})
	}
	if a.hub != "" {
		variables = append(variables, variable{environmentPrefix + "HUB", a.hub})
	}
	return append(variables, noProxy(info, os.Getenv)...), nil
}

// maxNamesShown is how many devices are named where one is to be chosen.
const maxNamesShown = 5

// chosenDevice returns the ID and connection string of the device that was
// asked for, or of the only one that the emulator was started with.
func (a *app) chosenDevice(info emulator.Info, id string) (variable, error) {
	if id == "" {
		names := slices.Sorted(maps.Keys(info.Devices))
		if len(names) == 1 {
			return variable{names[0], info.Devices[names[0]]}, nil
		}
		if len(names) > 1 {
			shown := strings.Join(names[:min(len(names), maxNamesShown)], ", ")
			if len(names) > maxNamesShown {
				shown += ", ..."
			}
			_, _ = fmt.Fprintf(a.stderr, "hubnerite: IOTHUB_DEVICE_CONNECTION_STRING is left out: there are %d devices (%s); choose one by --device ID\n", len(names), shown)
		}
		return variable{}, nil
	}
	if text, ok := info.Devices[id]; ok {
		return variable{id, text}, nil
	}
	s, err := a.service()
	if err != nil {
		return variable{}, err
	}
	text, err := s.deviceConnectionString(id)
	return variable{id, text}, err
}

// trustFiles returns paths of the CA and of the bundle on this machine. Those of
// an emulator in a container are elsewhere: then copies are made in the user's cache.
func (a *app) trustFiles(info emulator.Info) (ca, bundle string, err error) {
	text, err := a.ask("/ca.pem")
	if errors.Is(err, errNotFound) {
		// The operator's own certificate: its files are all there is.
		return info.CAFile, info.CABundleFile, nil
	}
	if err != nil {
		return "", "", err
	}
	local, err := os.ReadFile(info.CAFile)
	if err == nil && string(local) == string(text) {
		return info.CAFile, info.CABundleFile, nil
	}
	dir, err := cacheFolder(text)
	if err != nil {
		return "", "", fmt.Errorf("the emulator's %s is not on this machine and there is no place for a copy: %w", info.CAFile, err)
	}
	ca, bundle = filepath.Join(dir, trust.CAFile), filepath.Join(dir, trust.BundleFile)
	if err := trust.WriteFile(ca, text, 0o644); err != nil {
		return "", "", err
	}
	return ca, bundle, trust.WriteFile(bundle, trust.Bundle(text, trust.SystemRoots()), 0o644)
}

// cacheFolder makes a folder in the user's cache for what belongs to certificates.
func cacheFolder(certificates []byte) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "hubnerite", fmt.Sprintf("%x", sha256.Sum256(certificates))[:16])
	return dir, os.MkdirAll(dir, 0o755) //nolint:gosec // certificates are public
}

// noProxy keeps a configured proxy from being asked for the emulator's names.
// Without a proxy there is nothing to set.
func noProxy(info emulator.Info, getenv func(string) string) []variable {
	proxied := false
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		proxied = proxied || getenv(name) != ""
	}
	if !proxied {
		return nil
	}
	var hosts []string
	for host := range strings.SplitSeq(getenv("NO_PROXY")+","+getenv("no_proxy")+",localhost,127.0.0.1,::1,"+strings.Join(info.HostNames, ","), ",") {
		if host = strings.TrimSpace(host); host != "" && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	list := strings.Join(hosts, ",")
	return []variable{{"NO_PROXY", list}, {"no_proxy", list}}
}
