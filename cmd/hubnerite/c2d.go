package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// c2dCmd groups the commands for cloud-to-device messages.
type c2dCmd struct {
	Send c2dSendCmd `cmd:"" help:"Send a cloud-to-device message to a device or module."`
}

type c2dSendCmd struct {
	Device string `arg:"" placeholder:"DEVICE[/MODULE]" help:"Device ID, or device and module."`
	Text   string `arg:"" help:"The message."`

	Property      []string      `short:"p" placeholder:"NAME=VALUE" help:"Application property, repeatable."`
	MessageID     string        `placeholder:"ID" help:"Its message ID."`
	CorrelationID string        `placeholder:"ID" help:"Its correlation ID."`
	ContentType   string        `placeholder:"TYPE" help:"Its content type."`
	Ack           string        `default:"none" enum:"none,positive,negative,full" placeholder:"OUTCOMES" help:"For which outcomes back ends get feedback: none, positive, negative or full (${default})."`
	Expiry        time.Duration `placeholder:"DURATION" help:"Forget it after this time, such as 90s or 2h, at most 48h (1h)."`
	WaitFeedback  bool          `help:"Wait until the device has completed or rejected it, or it has expired, and print that; fail unless it was completed."`
	Timeout       time.Duration `default:"30s" placeholder:"DURATION" help:"How long --wait-feedback waits, at most 5m (${default})."`
}

// Run sends through the management API: the service's own API sends over AMQP only.
func (c *c2dSendCmd) Run(a *app) error {
	message := map[string]any{
		"body": c.Text, "messageId": c.MessageID, "correlationId": c.CorrelationID, "contentType": c.ContentType, "ack": c.Ack,
	}
	properties := map[string]string{}
	for _, p := range c.Property {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return usagef("a property is NAME=VALUE, not %q", p)
		}
		properties[name] = value
	}
	if len(properties) > 0 {
		message["applicationProperties"] = properties
	}
	if c.Expiry < 0 {
		return usagef("--expiry is in the past")
	}
	if c.Expiry > 0 {
		now, err := a.now()
		if err != nil {
			return err
		}
		message["expiryTime"] = now.Add(c.Expiry).UTC()
	}
	device, module, isModule := strings.Cut(c.Device, "/")
	path := "/devices/" + url.PathEscape(device)
	if isModule {
		path += "/modules/" + url.PathEscape(module)
	}
	path += "/c2d"
	timeout := askTimeout
	if c.WaitFeedback {
		path += "?wait=" + url.QueryEscape(c.Timeout.String())
		timeout += c.Timeout
	}
	body, err := json.Marshal(message)
	if err != nil {
		return err
	}
	text, err := a.request(http.MethodPost, path, bytes.NewReader(body), timeout)
	if errors.Is(err, errNotFound) {
		return fmt.Errorf("%s: there is no such device or module", c.Device)
	}
	if err != nil {
		return err
	}
	var sent struct {
		MessageID  string `json:"messageId"`
		ExpiryTime string `json:"expiryTime"`
		Outcome    string `json:"outcome"`
	}
	if err := json.Unmarshal(text, &sent); err != nil {
		return err
	}
	if !c.WaitFeedback {
		name := ""
		if sent.MessageID != "" {
			name = " " + sent.MessageID
		}
		_, err = fmt.Fprintf(a.stdout, "message%s waits for %s until %s: %s\n", name, c.Device, sent.ExpiryTime, extent(len(c.Text), len(c.Property)))
		return err
	}
	switch sent.Outcome {
	case "Success":
		_, err = fmt.Fprintln(a.stdout, sent.Outcome)
		return err
	case "":
		return fmt.Errorf("%s: nothing became of the message within %s; it waits until it expires", c.Device, c.Timeout)
	}
	return fmt.Errorf("%s: %s", c.Device, sent.Outcome)
}
