package hubnerite

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// pollTime is how long one request waits for messages, at most; the context decides how long they are waited for.
const pollTime = 20 * time.Second

// maxAnswer bounds an answer of the management API, in bytes.
const maxAnswer = 64 << 20

// Message is telemetry that the hub has kept.
type Message struct {
	// Device and Module say who sent it; Module is empty when it was the device itself.
	Device string `json:"device"`
	Module string `json:"module"`
	// Properties are the application properties.
	Properties map[string]string `json:"applicationProperties"`
	// SystemProperties are such as messageId and contentType, under the names that IoT Hub's routing has for them.
	SystemProperties map[string]any `json:"systemProperties"`
	// EnqueuedTime is when the hub took it, by its clock.
	EnqueuedTime time.Time `json:"enqueuedTime"`
	// Body is what was sent.
	Body []byte `json:"-"`
}

// UnmarshalJSON reads the form of the management API.
func (m *Message) UnmarshalJSON(text []byte) error {
	type plain Message
	var raw struct {
		*plain
		Body         string `json:"body"`
		BodyEncoding string `json:"bodyEncoding"`
	}
	raw.plain = (*plain)(m)
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	m.Body = []byte(raw.Body)
	if raw.BodyEncoding == "base64" {
		var err error
		if m.Body, err = base64.StdEncoding.DecodeString(raw.Body); err != nil {
			return fmt.Errorf("body of a message: %w", err)
		}
	}
	return nil
}

// Filter says which messages are meant: those for which everything is true that is given.
type Filter struct {
	// Device is an ID, in which * and ? stand for any text and any character.
	Device string
	Module string
	// Property is the name of an application property that must be there, or name=value.
	Property string
	// Body is a path into the message's JSON, such as $.temperature, that must be there, or path=value.
	Body string
}

// query is the filter as the management API takes it.
func (f Filter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"device": f.Device, "module": f.Module, "property": f.Property, "body": f.Body} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// WaitForMessages waits until so many messages match the filter, those that are there already among them, and returns the first of
// them in their order. When the context ends before, it returns those that are there, and the context's error.
func (c *Container) WaitForMessages(ctx context.Context, count int, filter Filter) ([]Message, error) {
	if count < 1 || count > 1000 {
		return nil, fmt.Errorf("wait for %d messages: the number must be 1 to 1000", count)
	}
	query := filter.query()
	query.Set("count", strconv.Itoa(count))
	query.Set("limit", strconv.Itoa(count))
	query.Set("timeout", pollTime.String())
	var last []Message
	for {
		var page struct{ Messages []Message }
		err := c.getJSON(ctx, "/messages/wait?"+query.Encode(), &page)
		switch {
		case err != nil && ctx.Err() != nil:
			return last, fmt.Errorf("wait for %d messages: %w", count, ctx.Err())
		case err != nil:
			return last, fmt.Errorf("wait for %d messages: %w", count, err)
		case len(page.Messages) >= count:
			return page.Messages, nil
		}
		last = page.Messages
	}
}

// CreateDevice creates a device with generated keys, or leaves one that exists as it is, and returns its connection string.
func (c *Container) CreateDevice(ctx context.Context, id string) (string, error) {
	body, err := json.Marshal(map[string]string{"deviceId": id})
	if err != nil {
		return "", err
	}
	_, err = c.call(ctx, http.MethodPut, "/service/devices/"+url.PathEscape(id)+"?api-version="+apiVersion, body)
	var refused *refusal
	if err != nil && (!errors.As(err, &refused) || refused.status != http.StatusConflict) {
		return "", fmt.Errorf("create device %s: %w", id, err)
	}
	return c.DeviceConnectionString(ctx, id)
}

// Reset makes the hub what it was when it began, with its seeds, in milliseconds. Clients are disconnected; devices of WithDevices keep
// their keys.
func (c *Container) Reset(ctx context.Context) error {
	if _, err := c.call(ctx, http.MethodPost, "/reset?seed=true", nil); err != nil {
		return fmt.Errorf("reset the hub: %w", err)
	}
	return nil
}

// AdvanceClock moves the hub's clock forward. What falls due by it has happened when it returns.
func (c *Container) AdvanceClock(ctx context.Context, d time.Duration) error {
	body, err := json.Marshal(map[string]string{"duration": d.String()})
	if err != nil {
		return err
	}
	if _, err := c.call(ctx, http.MethodPost, "/clock/advance", body); err != nil {
		return fmt.Errorf("advance the clock by %s: %w", d, err)
	}
	return nil
}

// refusal is an answer that says no.
type refusal struct {
	status int
	text   string
}

// Error implements error.
func (r *refusal) Error() string { return r.text }

// call asks the management API, and returns what it answers.
func (c *Container) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	base, err := c.AdminURL(ctx)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 != 2 {
		return nil, &refusal{response.StatusCode, fmt.Sprintf("%s %s: %s: %s", method, path, response.Status, text)}
	}
	return text, nil
}

func (c *Container) getJSON(ctx context.Context, path string, into any) error {
	text, err := c.call(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
