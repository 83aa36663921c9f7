package main

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/hubnerite/hubnerite/emulator"
)

type hostsCmd struct {
	Name []string `arg:"" optional:"" help:"Further names, such as hub1.azure-devices.net. The hub answers to all."`
}

// Run prints lines for /etc/hosts or its like.
func (c *hostsCmd) Run(a *app) error {
	info, err := a.info()
	if err != nil {
		return err
	}
	names := namesToMap(info, c.Name)
	if len(names) == 0 {
		_, _ = fmt.Fprintln(a.stderr, "hubnerite: localhost needs no line; name the hosts that do")
		return nil
	}
	_, err = fmt.Fprint(a.stdout, hostsLines(a.emulatorAddress(), names))
	return err
}

// emulatorAddress is where the hub's names lead: the machine of the management
// address.
func (a *app) emulatorAddress() string {
	admin, err := url.Parse(a.adminURL)
	if err == nil && net.ParseIP(admin.Hostname()) != nil {
		return admin.Hostname()
	}
	return "127.0.0.1"
}

// namesToMap returns the hub's names and the further ones that do not resolve
// by themselves.
func namesToMap(info emulator.Info, further []string) []string {
	var names []string
	for _, name := range slices.Concat(info.HostNames, further) {
		name = strings.ToLower(name)
		if name != "localhost" && net.ParseIP(name) == nil && !slices.Contains(names, name) {
			names = append(names, name)
		}
		// A hub's readers are sent to its Event Hubs name.
		if hub, ok := strings.CutSuffix(name, ".azure-devices.net"); ok && !strings.Contains(hub, ".") && !slices.Contains(names, hub+".servicebus.windows.net") {
			names = append(names, hub+".servicebus.windows.net")
		}
	}
	return names
}

func hostsLines(address string, names []string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%s\t%s\n", address, name)
	}
	return b.String()
}

// mapHosts returns a hosts file with the lines in front and without any older
// line's claim on the names.
func mapHosts(hosts, address string, names []string) string {
	b := strings.Builder{}
	b.WriteString(hostsLines(address, names))
	for line := range strings.Lines(hosts) {
		text, comment, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "#")
		fields := strings.Fields(text)
		kept := slices.DeleteFunc(slices.Clone(fields), func(f string) bool { return slices.Contains(names, strings.ToLower(f)) })
		switch {
		case len(kept) == len(fields):
			b.WriteString(strings.TrimRight(line, "\r\n") + "\n")
		case len(kept) > 1:
			b.WriteString(strings.Join(kept, " "))
			if comment != "" {
				b.WriteString(" #" + comment)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}
