package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// faultCmd groups the commands for fault rules.
type faultCmd struct {
	Add    faultAddCmd    `cmd:"" help:"Make operations go wrong; prints the rule."`
	List   faultListCmd   `cmd:"" help:"Print the rules with how often they hit."`
	Remove faultRemoveCmd `cmd:"" help:"Remove a rule, or all."`
}

type faultAddCmd struct {
	Operation string `arg:"" help:"telemetry, c2d, c2d-send, feedback, file-notification, method, twin-get, twin-report, twin-desired, connect, events, handshake, rest, or a request such as \"GET /twins/{deviceID}\"."`
	Action    string `arg:"" help:"drop, delay, duplicate, refuse, throttle, disconnect, halfOpen or certificate."`

	Device       string   `placeholder:"ID" help:"Only this device; * and ? stand for any characters and any one."`
	Protocol     []string `placeholder:"PROTOCOL" help:"Only over these protocols: mqtt, mqtt-ws, amqp, amqp-ws, https."`
	Probability  float64  `default:"1" placeholder:"P" help:"Of each operation, 0 to 1 (${default})."`
	Skip         int      `placeholder:"N" help:"Let so many through first."`
	Count        int      `placeholder:"N" help:"Hit so many at most."`
	Seed         uint64   `placeholder:"N" help:"Repeat what chance decided."`
	Code         string   `placeholder:"CODE" help:"Refuse with this code of the catalogue, by number or name (ThrottlingException)."`
	Rate         float64  `placeholder:"N" help:"Throttle to so many per second."`
	Delay        string   `placeholder:"DURATION" help:"Delay by this time, or by it in the mean with --distribution."`
	Max          string   `placeholder:"DURATION" help:"Delay uniformly from --delay to this."`
	Deviation    string   `placeholder:"DURATION" help:"Standard deviation of normal delays."`
	Distribution string   `placeholder:"NAME" default:"fixed" enum:"fixed,uniform,normal,exponential" help:"Of delays: fixed, uniform, normal or exponential (${default})."`
	Acknowledge  bool     `help:"Acknowledge the telemetry, or the back end's message, that is dropped."`
	Certificate  string   `placeholder:"KIND" help:"What is wrong with the certificate: untrusted, expired or wrongName (untrusted)."`
}

// Run adds a rule.
func (c *faultAddCmd) Run(a *app) error {
	rule := map[string]any{"operation": c.Operation, "action": c.Action}
	set := func(name string, value any, given bool) {
		if given {
			rule[name] = value
		}
	}
	set("device", c.Device, c.Device != "")
	set("protocols", c.Protocol, len(c.Protocol) > 0)
	set("probability", c.Probability, c.Probability != 1)
	set("skip", c.Skip, c.Skip != 0)
	set("count", c.Count, c.Count != 0)
	set("seed", c.Seed, c.Seed != 0)
	set("code", c.Code, c.Code != "")
	set("rate", c.Rate, c.Rate != 0)
	set("acknowledge", true, c.Acknowledge)
	set("certificate", c.Certificate, c.Certificate != "")
	if c.Delay != "" {
		delay := map[string]any{"distribution": c.Distribution}
		switch c.Distribution {
		case "uniform":
			delay["min"], delay["max"] = c.Delay, c.Max
		case "normal":
			delay["mean"], delay["deviation"] = c.Delay, c.Deviation
		case "exponential":
			delay["mean"] = c.Delay
		default:
			delay["value"] = c.Delay
		}
		rule["delay"] = delay
	}
	body, err := json.Marshal(rule)
	if err != nil {
		return err
	}
	text, err := a.request(http.MethodPost, "/faults", bytes.NewReader(body), askTimeout)
	if err != nil {
		return err
	}
	return printJSON(a, text)
}

type faultListCmd struct{}

// Run prints the rules.
func (*faultListCmd) Run(a *app) error {
	text, err := a.ask("/faults")
	if err != nil {
		return err
	}
	return printJSON(a, text)
}

type faultRemoveCmd struct {
	ID  string `arg:"" optional:"" help:"ID of the rule."`
	All bool   `help:"Remove all rules."`
}

// Run removes a rule.
func (c *faultRemoveCmd) Run(a *app) error {
	if c.All == (c.ID != "") {
		return usagef("name a rule or say --all")
	}
	path := "/faults"
	if !c.All {
		path += "/" + url.PathEscape(c.ID)
	}
	_, err := a.request(http.MethodDelete, path, nil, askTimeout)
	if errors.Is(err, errNotFound) {
		return fmt.Errorf("there is no rule %s", c.ID)
	}
	return err
}
