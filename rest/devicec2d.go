package rest

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/hubnerite/hubnerite/iothub"
)

// Source: Receive, Complete and Abandon Device Bound Notification of the IoT Hub
// device API; IoT Hub devguide, cloud-to-device messages.
func deviceC2DOperations() []operation {
	var list []operation
	for _, identity := range identities() {
		queue := identity + "/messages/devicebound"
		one := queue + "/{lockToken}"
		list = append(list,
			operation{method: http.MethodGet, pattern: queue, device: true, throttle: iothub.ThrottleC2DReceive, run: (*call).receiveC2D},
			operation{method: http.MethodDelete, pattern: one, device: true, run: (*call).settleC2D},
			operation{method: http.MethodPost, pattern: one + "/abandon", device: true, run: (*call).abandonC2D},
		)
	}
	return list
}

// receiveC2D locks the next message for iothub.C2DLock, whatever lock time-out
// the client asks for; its lock token is the ETag. 204 says that none waits.
func (c *call) receiveC2D() error {
	d, ok, err := c.hub.ReceiveC2D(c.r.Context(), c.id)
	if err != nil {
		return err
	}
	if !ok {
		return c.noContent()
	}
	m := &d.Message
	h := c.w.Header()
	setETag(h, d.LockToken)
	h.Set("Content-Type", "application/octet-stream")
	h.Set("iothub-sequencenumber", strconv.FormatUint(m.SequenceNumber, 10))
	h.Set("iothub-to", "/"+m.ID.ResourcePath()+"/messages/deviceBound")
	h.Set("iothub-enqueuedtime", iothub.FormatTime(m.EnqueuedTime))
	h.Set("iothub-expiry", iothub.FormatTime(m.ExpiryTime))
	h.Set("iothub-deliverycount", strconv.Itoa(m.DeliveryCount))
	for _, p := range []iothub.Property{
		{Name: "iothub-messageid", Value: m.System.MessageID},
		{Name: "iothub-correlationid", Value: m.System.CorrelationID},
		{Name: "iothub-userid", Value: m.System.UserID},
		{Name: "iothub-contenttype", Value: m.System.ContentType},
		{Name: "iothub-contentencoding", Value: m.System.ContentEncoding},
		// The C client reads these two.
		{Name: "ContentType", Value: m.System.ContentType},
		{Name: "ContentEncoding", Value: m.System.ContentEncoding},
	} {
		if p.Value != "" {
			h.Set(p.Name, p.Value)
		}
	}
	if m.Ack != iothub.AckNone {
		h.Set("iothub-ack", string(m.Ack))
	}
	for _, p := range m.Properties {
		// Not Set: the spelling of the name is the sender's.
		h[appPrefix+p.Name] = []string{p.Value}
	}
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(m.Body)
	return nil
}

// settleC2D completes a message, or with the parameter reject dead-letters it.
func (c *call) settleC2D() error {
	token, err := c.lockToken()
	if err != nil {
		return err
	}
	settle := c.hub.CompleteC2D
	if c.rejects() {
		settle = c.hub.RejectC2D
	}
	if err := settle(c.r.Context(), c.id, token); err != nil {
		return err
	}
	return c.noContent()
}

// rejects reports whether the query has the parameter reject, with or without a
// value. The Java client writes "?api-version=...&?reject=true".
func (c *call) rejects() bool {
	for key, values := range c.r.URL.Query() {
		if strings.EqualFold(strings.TrimLeft(key, "?"), "reject") {
			return !strings.EqualFold(values[0], "false")
		}
	}
	return false
}

func (c *call) abandonC2D() error {
	token, err := c.lockToken()
	if err != nil {
		return err
	}
	if err := c.hub.AbandonC2D(c.r.Context(), c.id, token); err != nil {
		return err
	}
	return c.noContent()
}
