package rest

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// Source: Devices of the IoT Hub service API 2021-04-12; IoT Hub devguide,
// identity registry.
func deviceOperations() []operation {
	const one = "/devices/{deviceID}"
	return []operation{
		{method: http.MethodGet, pattern: "/devices", throttle: iothub.ThrottleRegistry, rights: iothub.RegistryRead, run: (*call).listDevices},
		{method: http.MethodGet, pattern: one, throttle: iothub.ThrottleRegistry, rights: iothub.RegistryRead, run: (*call).getIdentity},
		{method: http.MethodPut, pattern: one, throttle: iothub.ThrottleRegistry, rights: iothub.RegistryWrite, run: (*call).putIdentity},
		{method: http.MethodDelete, pattern: one, throttle: iothub.ThrottleRegistry, rights: iothub.RegistryWrite, run: (*call).deleteIdentity},
	}
}

// listDevices answers up to 1000 devices; a top outside of 1 to 1000 means 1000.
func (c *call) listDevices() error {
	top := iothub.MaxListedDevices
	if text := queryValue(c.r, "top"); text != "" {
		n, err := strconv.Atoi(text)
		switch {
		case errors.Is(err, strconv.ErrRange):
		case err != nil:
			return iothub.NewError(iothub.CodeArgumentInvalid, "top must be a number.").WithCause(err)
		case n >= 1 && n <= iothub.MaxListedDevices:
			top = n
		}
	}
	devices, err := c.hub.ListDevices(c.r.Context(), top)
	if err != nil {
		return err
	}
	return c.replyIdentities(devices)
}

// getIdentity serves devices and modules.
func (c *call) getIdentity() error {
	i, err := c.hub.GetIdentity(c.r.Context(), c.id)
	if err != nil {
		return err
	}
	return c.replyIdentity(i)
}

// putIdentity creates without If-Match and updates with it, and never the other
// way round. Creation answers 200, as the service does though its API
// description says 201 for modules.
func (c *call) putIdentity() error {
	var req iothub.IdentityRequest
	if err := c.decode(&req); err != nil {
		return err
	}
	var (
		i   hub.Identity
		err error
	)
	if ifMatch := c.ifMatch(); ifMatch == "" {
		i, err = c.hub.CreateIdentity(c.r.Context(), c.id, req)
	} else {
		i, err = c.hub.ReplaceIdentity(c.r.Context(), c.id, req, ifMatch)
	}
	if err != nil {
		return err
	}
	return c.replyIdentity(i)
}

func (c *call) deleteIdentity() error {
	if err := c.hub.DeleteIdentity(c.r.Context(), c.id, c.ifMatch()); err != nil {
		return err
	}
	return c.noContent()
}

func (c *call) replyIdentity(i hub.Identity) error {
	body, err := iothub.MarshalIdentity(i.Identity, i.Connection)
	if err != nil {
		return err
	}
	return c.reply(i.ETag, body)
}

func (c *call) replyIdentities(list []hub.Identity) error {
	var b bytes.Buffer
	b.WriteByte('[')
	for n, i := range list {
		body, err := iothub.MarshalIdentity(i.Identity, i.Connection)
		if err != nil {
			return err
		}
		if n > 0 {
			b.WriteByte(',')
		}
		b.Write(body)
	}
	b.WriteByte(']')
	return c.reply("", b.Bytes())
}
