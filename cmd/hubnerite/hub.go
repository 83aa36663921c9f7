package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/hubnerite/hubnerite/emulator"
)

// hubCmd groups the commands for the hubs of the running emulator.
type hubCmd struct {
	Create hubCreateCmd `cmd:"" help:"Make a hub beside the default one and print its connection strings."`
	List   hubListCmd   `cmd:"" help:"List the hubs."`
	Delete hubDeleteCmd `cmd:"" help:"Remove hubs with all they hold."`
	Reset  hubResetCmd  `cmd:"" help:"Make hubs what they were when they began."`
}

type hubCreateCmd struct {
	Name          string   `arg:"" help:"1 to 50 letters, digits and hyphens."`
	Hostname      []string `placeholder:"NAME" help:"Host name beside NAME.localhost and NAME.azure-devices.net, repeatable; the first one goes into connection strings."`
	Device        []string `placeholder:"NAME" help:"Device to create, repeatable."`
	ConsumerGroup []string `placeholder:"NAME" help:"Consumer group to create, repeatable."`
	Snapshot      string   `placeholder:"NAME" help:"Begin with what a snapshot holds of the default hub."`
	JSON          bool     `name:"json" help:"Print what the management API answers."`
}

// Run makes a hub.
func (c *hubCreateCmd) Run(a *app) error {
	body, err := json.Marshal(emulator.HubOptions{
		Name: c.Name, HostNames: c.Hostname, Devices: c.Device, ConsumerGroups: c.ConsumerGroup, Snapshot: c.Snapshot,
	})
	if err != nil {
		return err
	}
	text, err := a.request(http.MethodPost, "/hubs", bytes.NewReader(body), askTimeout)
	if err != nil {
		return err
	}
	if c.JSON {
		_, err = fmt.Fprintf(a.stdout, "%s\n", bytes.TrimSpace(text))
		return err
	}
	var made emulator.HubInfo
	if err := json.Unmarshal(text, &made); err != nil {
		return err
	}
	out := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	line := func(name, value string) { _, _ = fmt.Fprintf(out, "%s\t%s\n", name, value) }
	line("Names", strings.Join(made.HostNames, " "))
	line("Service", made.ConnectionStrings["iothubowner"])
	line("Events", made.EventHub.ConnectionString)
	for _, name := range slices.Sorted(maps.Keys(made.Devices)) {
		line("Device", made.Devices[name])
	}
	return out.Flush()
}

type hubListCmd struct {
	JSON bool `name:"json" help:"Print what the management API answers."`
}

// Run lists the hubs.
func (c *hubListCmd) Run(a *app) error {
	text, err := a.ask("/hubs")
	if err != nil {
		return err
	}
	if c.JSON {
		_, err = fmt.Fprintf(a.stdout, "%s\n", bytes.TrimSpace(text))
		return err
	}
	var answer struct{ Hubs []emulator.HubInfo }
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	out := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, h := range answer.Hubs {
		kind := ""
		if h.Default {
			kind = "default"
		}
		_, _ = fmt.Fprintf(out, "%s\t%s\t%s\n", h.Name, strings.Join(h.HostNames, " "), kind)
	}
	return out.Flush()
}

type hubDeleteCmd struct {
	Name []string `arg:"" help:"Names of hubs."`
}

// Run removes hubs.
func (c *hubDeleteCmd) Run(a *app) error {
	for _, name := range c.Name {
		if _, err := a.request(http.MethodDelete, "/hubs/"+url.PathEscape(name), nil, askTimeout); err != nil {
			return err
		}
	}
	return nil
}

type hubResetCmd struct {
	Name []string `arg:"" help:"Names of hubs."`
	Seed bool     `help:"Apply the seed that the emulator was started with."`
}

// Run resets hubs.
func (c *hubResetCmd) Run(a *app) error {
	for _, name := range c.Name {
		if _, err := a.request(http.MethodPost, fmt.Sprintf("/hubs/%s/reset?seed=%t", url.PathEscape(name), c.Seed), nil, askTimeout); err != nil {
			return err
		}
	}
	return nil
}

type resetCmd struct {
	All  bool `help:"Every hub; the default one, or that of --hub, unless given."`
	Seed bool `help:"Apply the seed that the emulator was started with."`
}

// Run resets a hub or all of them.
func (c *resetCmd) Run(a *app) error {
	if c.All {
		a.hub = emulator.AllHubs
	}
	_, err := a.request(http.MethodPost, fmt.Sprintf("/reset?seed=%t", c.Seed), nil, askTimeout)
	return err
}
