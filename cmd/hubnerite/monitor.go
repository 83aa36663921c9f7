package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxLine is the longest event of the live stream in bytes: a message in base64
// with its properties.
const maxLine = 2 << 20

type monitorCmd struct {
	Device string `placeholder:"ID" help:"Only what concerns this device."`
	Source string `placeholder:"SOURCE" default:"all" enum:"all,Telemetry,twinChangeEvents,deviceLifecycleEvents,deviceConnectionStateEvents" help:"Only this kind of event: Telemetry, twinChangeEvents, deviceLifecycleEvents or deviceConnectionStateEvents (${default})."`
	Kept   bool   `help:"Begin with what was kept."`
	Count  int    `placeholder:"N" help:"End after so many events."`
	JSON   bool   `name:"json" help:"Print each event as one line of JSON."`
}

// Run prints events as they come, until it is interrupted, the emulator ends
// or count is reached.
func (c *monitorCmd) Run(a *app) error {
	query := url.Values{"source": {c.Source}, "device": {c.Device}}
	if c.Kept {
		query.Set("from", "earliest")
	}
	client := http.Client{Transport: &http.Transport{Proxy: nil}}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, a.adminURL+a.ofHub(http.MethodGet, "/messages/live?"+query.Encode()), nil)
	if err != nil {
		return usagef("the management address %q is not a URL", a.adminURL)
	}
	a.authorize(request)
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("no emulator answers at %s: %w", a.adminURL, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		return fmt.Errorf("%s answers %s: %s", a.adminURL, response.Status, text)
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxLine)
	for count := 0; lines.Scan(); {
		if len(lines.Bytes()) == 0 {
			_, _ = fmt.Fprintln(a.stderr, "hubnerite: listening")
			continue
		}
		text := lines.Text()
		if !c.JSON {
			var e event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				return err
			}
			text = e.String()
		}
		if _, err := fmt.Fprintln(a.stdout, text); err != nil {
			return err
		}
		if count++; count == c.Count {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the emulator is gone: %w", err)
	}
	return errors.New("the emulator has ended")
}

// event is what is printed of an event.
type event struct {
	EnqueuedTime, Device, Module, Source, Body, BodyEncoding string
	ApplicationProperties                                    map[string]string
}

// String is one line: time, sender, properties, body.
func (e event) String() string {
	var b strings.Builder
	b.WriteString(e.EnqueuedTime + "  " + e.Device)
	if e.Module != "" {
		b.WriteString("/" + e.Module)
	}
	if e.Source != "Telemetry" {
		b.WriteString("  " + e.Source)
	}
	var names []string
	for name := range e.ApplicationProperties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "  %s=%s", name, e.ApplicationProperties[name])
	}
	if e.BodyEncoding == "base64" {
		return b.String() + "  base64:" + e.Body
	}
	return b.String() + "  " + strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(e.Body)
}

type sendCmd struct {
	Device   string   `arg:"" help:"Device ID."`
	Body     string   `arg:"" help:"The message."`
	Property []string `short:"p" placeholder:"NAME=VALUE" help:"Application property, repeatable."`
	JSON     bool     `name:"json" help:"Say that the message is JSON in UTF-8, so that routes can look into it."`
}

// extent says how much was sent.
func extent(bytes, properties int) string {
	of := func(n int, what, whats string) string {
		if n == 1 {
			return "1 " + what
		}
		return fmt.Sprintf("%d %s", n, whats)
	}
	text := of(bytes, "byte", "bytes")
	if properties > 0 {
		text += ", " + of(properties, "property", "properties")
	}
	return text
}

// Run publishes telemetry over MQTT, as the device. Like any second connection
// of a device it ends one that is there.
func (c *sendCmd) Run(a *app) error {
	s, err := a.service()
	if err != nil {
		return err
	}
	connectionString, err := s.deviceConnectionString(c.Device)
	if err != nil {
		return err
	}
	properties := url.Values{}
	if c.JSON {
		properties.Set("$.ct", "application/json")
		properties.Set("$.ce", "utf-8")
	}
	for _, p := range c.Property {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return usagef("a property is NAME=VALUE, not %q", p)
		}
		properties.Set(name, value)
	}
	if err := s.publish(connectionString, c.Device, propertyBag(properties), c.Body); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "the hub has telemetry of %s: %s\n", c.Device, extent(len(c.Body), len(c.Property)))
	return err
}

type methodCmd struct {
	Device  string `arg:"" help:"Device ID."`
	Name    string `arg:"" help:"Name of the direct method."`
	Payload string `arg:"" optional:"" default:"null" help:"Its payload, JSON (${default})."`
	Timeout int    `default:"10" placeholder:"SECONDS" help:"How long the device may take, 5 to 300 (${default})."`
}

// Run calls a direct method and prints status and payload of the answer.
func (c *methodCmd) Run(a *app) error {
	if !json.Valid([]byte(c.Payload)) {
		return usagef("the payload is not JSON")
	}
	s, err := a.service()
	if err != nil {
		return err
	}
	body := map[string]any{"methodName": c.Name, "payload": json.RawMessage(c.Payload), "responseTimeoutInSeconds": c.Timeout}
	s.client.Timeout += secondsOf(c.Timeout)
	var raw json.RawMessage
	if err := s.call(http.MethodPost, "/twins/"+url.PathEscape(c.Device)+"/methods", nil, nil, body, &raw); err != nil {
		return fmt.Errorf("device %s: %w", c.Device, err)
	}
	return printJSON(a, raw)
}

// twinCmd groups the twin commands.
type twinCmd struct {
	Get   twinGetCmd   `cmd:"" help:"Print the twin of a device."`
	Patch twinPatchCmd `cmd:"" help:"Change tags or desired properties of a twin and print it."`
}

type twinGetCmd struct {
	Device string `arg:"" help:"Device ID."`
}

// Run prints a twin.
func (c *twinGetCmd) Run(a *app) error { return a.twin(http.MethodGet, c.Device, nil) }

type twinPatchCmd struct {
	Device string `arg:"" help:"Device ID."`
	Patch  string `arg:"" help:"JSON such as {\"properties\":{\"desired\":{\"interval\":5}}}; null deletes."`
}

// Run patches a twin.
func (c *twinPatchCmd) Run(a *app) error {
	if !json.Valid([]byte(c.Patch)) {
		return usagef("the patch is not JSON")
	}
	return a.twin(http.MethodPatch, c.Device, json.RawMessage(c.Patch))
}

func (a *app) twin(method, device string, body any) error {
	s, err := a.service()
	if err != nil {
		return err
	}
	header := http.Header{}
	if body != nil {
		header.Set("If-Match", "*")
	}
	var raw json.RawMessage
	if err := s.call(method, "/twins/"+url.PathEscape(device), nil, header, body, &raw); err != nil {
		return fmt.Errorf("device %s: %w", device, err)
	}
	return printJSON(a, raw)
}
