package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/iothub"
)

// deviceCmd groups the device commands.
type deviceCmd struct {
	Create deviceCreateCmd `cmd:"" help:"Create devices and print their connection strings."`
	List   deviceListCmd   `cmd:"" help:"List the devices with their connections."`
	Show   deviceShowCmd   `cmd:"" help:"Print the identity of a device, keys included."`
	Delete deviceDeleteCmd `cmd:"" help:"Delete devices with their twins, modules and waiting messages."`
}

// device is what the commands read of the service API's device.
type device struct {
	DeviceID       string                `json:"deviceId"`
	Authentication iothub.Authentication `json:"authentication"`
}

func (d device) connectionString(info emulator.Info) string {
	return d.identityString(info, iothub.ID{DeviceID: d.DeviceID})
}

// identityString is that of the device or a module of it.
func (d device) identityString(info emulator.Info, id iothub.ID) string {
	return emulator.DeviceConnectionString(info, iothub.Identity{ID: id, Authentication: d.Authentication})
}

func devicePath(name string) string { return "/devices/" + url.PathEscape(name) }

type deviceCreateCmd struct {
	Name     []string `arg:"" help:"Device IDs."`
	Disabled bool     `help:"Create them disabled."`
}

// Run creates devices with generated keys.
func (c *deviceCreateCmd) Run(a *app) error {
	s, err := a.service()
	if err != nil {
		return err
	}
	status := iothub.StatusEnabled
	if c.Disabled {
		status = iothub.StatusDisabled
	}
	for _, name := range c.Name {
		var made device
		body := iothub.IdentityRequest{DeviceID: name, Status: status, Authentication: &iothub.AuthenticationRequest{Type: iothub.AuthSAS}}
		if err := s.call(http.MethodPut, devicePath(name), nil, nil, body, &made); err != nil {
			return fmt.Errorf("device %s: %w", name, err)
		}
		if _, err := fmt.Fprintln(a.stdout, made.connectionString(s.info)); err != nil {
			return err
		}
	}
	return nil
}

type deviceListCmd struct {
	Search string `placeholder:"TEXT" help:"Only devices whose ID has this in it; with * and ? the whole ID must match."`
	State  string `enum:",connected,disconnected" default:"" placeholder:"STATE" help:"Only those that are connected, or disconnected."`
	JSON   bool   `name:"json" help:"Print them as the management API answers them, connection strings included."`
}

// Run lists the devices.
func (c *deviceListCmd) Run(a *app) error {
	if c.JSON {
		all := []json.RawMessage{}
		if err := eachDevice(a, c, func(one json.RawMessage) error { all = append(all, one); return nil }); err != nil {
			return err
		}
		text, err := json.Marshal(all)
		if err != nil {
			return err
		}
		return printJSON(a, text)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "DEVICE\tSTATUS\tCONNECTION")
	err := eachDevice(a, c, func(one json.RawMessage) error {
		var d struct {
			DeviceID   string
			Status     string
			Connection *struct{ Protocol string }
		}
		if err := json.Unmarshal(one, &d); err != nil {
			return err
		}
		state := "Disconnected"
		if d.Connection != nil {
			state = "Connected (" + d.Connection.Protocol + ")"
		}
		_, err := fmt.Fprintf(w, "%s\t%s\t%s\n", d.DeviceID, d.Status, state)
		return err
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

// eachDevice calls yield with the devices of all pages.
func eachDevice(a *app, c *deviceListCmd, yield func(json.RawMessage) error) error {
	for after := ""; ; {
		query := url.Values{"limit": {"1000"}, "after": {after}, "search": {c.Search}}
		if c.State != "" {
			query.Set("state", c.State)
		}
		var page struct {
			Devices []json.RawMessage `json:"devices"`
			Next    string            `json:"next"`
		}
		text, err := a.ask("/devices?" + query.Encode())
		if err == nil {
			err = json.Unmarshal(text, &page)
		}
		if err != nil {
			return a.noHub(err)
		}
		for _, one := range page.Devices {
			if err := yield(one); err != nil {
				return err
			}
		}
		if after = page.Next; after == "" {
			return nil
		}
	}
}

type deviceShowCmd struct {
	Name string `arg:"" help:"Device ID."`
}

// Run prints a device's identity.
func (c *deviceShowCmd) Run(a *app) error {
	s, err := a.service()
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := s.call(http.MethodGet, devicePath(c.Name), nil, nil, nil, &raw); err != nil {
		return fmt.Errorf("device %s: %w", c.Name, err)
	}
	return printJSON(a, raw)
}

type deviceDeleteCmd struct {
	Name []string `arg:"" help:"Device IDs."`
}

// Run deletes devices whatever their etag.
func (c *deviceDeleteCmd) Run(a *app) error {
	s, err := a.service()
	if err != nil {
		return err
	}
	for _, name := range c.Name {
		if err := s.call(http.MethodDelete, devicePath(name), nil, http.Header{"If-Match": {"*"}}, nil, nil); err != nil {
			return fmt.Errorf("device %s: %w", name, err)
		}
	}
	return nil
}

func printJSON(a *app, raw json.RawMessage) error {
	text, err := json.MarshalIndent(raw, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.stdout, string(text))
	return err
}

type connectionStringCmd struct {
	Device string `xor:"whose" placeholder:"ID" help:"Of this device."`
	Policy string `xor:"whose" placeholder:"NAME" help:"Of this access policy (iothubowner)."`

	EventHub bool `name:"eventhub" xor:"whose" help:"Of the Event Hubs-compatible endpoint, for reading telemetry."`
	Plain    bool `help:"With --eventhub: with UseDevelopmentEmulator=true, for clients that know it; without TLS."`
}

// Run prints one connection string.
func (c *connectionStringCmd) Run(a *app) error {
	if c.Device != "" {
		s, err := a.service()
		if err != nil {
			return err
		}
		text, err := s.deviceConnectionString(c.Device)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(a.stdout, text)
		return err
	}
	info, err := a.info()
	if err != nil {
		return err
	}
	switch {
	case c.EventHub && c.Plain && info.EventHub.EmulatorConnectionString == "":
		return errors.New("the emulator does not listen for plain AMQP: start it with --amqp-plain-port")
	case c.EventHub && c.Plain:
		_, err = fmt.Fprintln(a.stdout, info.EventHub.EmulatorConnectionString)
		return err
	case c.EventHub:
		_, err = fmt.Fprintln(a.stdout, info.EventHub.ConnectionString)
		return err
	case c.Plain:
		return usagef("--plain is for --eventhub")
	}
	policy := c.Policy
	if policy == "" {
		policy = "iothubowner"
	}
	text, ok := info.ConnectionStrings[policy]
	if !ok {
		return fmt.Errorf("there is no access policy %q", policy)
	}
	_, err = fmt.Fprintln(a.stdout, text)
	return err
}

// deviceConnectionString asks the hub for a device's key.
func (s *service) deviceConnectionString(name string) (string, error) {
	var d device
	if err := s.call(http.MethodGet, devicePath(name), nil, nil, nil, &d); err != nil {
		return "", fmt.Errorf("device %s: %w", name, err)
	}
	return d.connectionString(s.info), nil
}
