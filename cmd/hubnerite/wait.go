package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

type waitCmd struct {
	For string `arg:"" optional:"" default:"messages" enum:"messages,c2d,feedback,methods,twin-changes,connections,uploads,refusals,activity" help:"messages (from devices, the default), c2d, feedback, methods, twin-changes, connections, uploads, refusals or activity (anything)."`

	Device   string        `placeholder:"ID" help:"Only of this device; * and ? stand for any characters and any one."`
	Module   string        `placeholder:"ID" help:"Only of this module."`
	Event    []string      `placeholder:"EVENT" help:"Only these events, such as answered, ended or disconnected."`
	Protocol []string      `placeholder:"PROTOCOL" help:"Only over these protocols: mqtt, mqtt-ws, amqp, amqp-ws, https."`
	Code     []string      `placeholder:"CODE" help:"Only with these errors, by code or name."`
	Outcome  []string      `placeholder:"OUTCOME" help:"Only cloud-to-device messages that ended so: Success, Expired, DeliveryCountExceeded, Rejected, Purged."`
	Method   string        `placeholder:"NAME" help:"Only this direct method."`
	Property []string      `short:"p" sep:"none" placeholder:"NAME=VALUE" help:"Only messages with this application property, repeatable."`
	System   []string      `sep:"none" placeholder:"NAME=VALUE" help:"Only messages with this system property, such as messageId=m1, repeatable."`
	Body     []string      `sep:"none" placeholder:"PATH=VALUE" help:"Only what has this in its JSON, such as $.temperature=21.5, repeatable."`
	Since    string        `placeholder:"POSITION" help:"Only after this position; latest is now. Else from the oldest that is kept."`
	Count    int           `placeholder:"N" default:"1" help:"How many to wait for (${default})."`
	Timeout  time.Duration `placeholder:"DURATION" default:"30s" help:"How long to wait, at most 5m (${default})."`
}

// Run waits, prints what there is, one line of JSON each, and fails if that is too little.
func (c *waitCmd) Run(a *app) error {
	query := url.Values{"count": {strconv.Itoa(c.Count)}, "timeout": {c.Timeout.String()}}
	set := func(name string, values ...string) {
		for _, v := range values {
			if v != "" {
				query.Add(name, v)
			}
		}
	}
	set("device", c.Device)
	set("module", c.Module)
	set("method", c.Method)
	set("since", c.Since)
	for name, list := range map[string][]string{"event": c.Event, "protocol": c.Protocol, "code": c.Code, "outcome": c.Outcome} {
		for _, v := range list[:max(len(list)-1, 0)] {
			query.Set(name, query.Get(name)+v+",")
		}
		if len(list) > 0 {
			query.Set(name, query.Get(name)+list[len(list)-1])
		}
	}
	set("property", c.Property...)
	set("system", c.System...)
	set("body", c.Body...)
	path := "/" + c.For + "/wait?"
	if c.For == "c2d" {
		path = "/messages/wait?"
		query.Set("direction", "c2d")
	}
	text, err := a.request(http.MethodGet, path+query.Encode(), nil, askTimeout+c.Timeout)
	if err != nil {
		return err
	}
	var answer struct{ Messages, Activity []json.RawMessage }
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	found := append(answer.Messages, answer.Activity...)
	for _, one := range found {
		if _, err := fmt.Fprintf(a.stdout, "%s\n", one); err != nil {
			return err
		}
	}
	if len(found) < c.Count {
		return fmt.Errorf("%d of %d came within %s", len(found), c.Count, c.Timeout)
	}
	return nil
}
