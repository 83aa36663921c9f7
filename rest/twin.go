package rest

import (
	"context"
	"net/http"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// Source: Twins of the IoT Hub service API 2021-04-12; IoT Hub devguide,
// understand and use device twins.
func twinOperations() []operation {
	var list []operation
	for _, pattern := range []string{"/twins/{deviceID}", "/twins/{deviceID}/modules/{moduleID}"} {
		list = append(list,
			operation{method: http.MethodGet, pattern: pattern, throttle: iothub.ThrottleTwinRead, metered: true, rights: iothub.ServiceConnect, run: (*call).getTwin},
			operation{method: http.MethodPatch, pattern: pattern, throttle: iothub.ThrottleTwinUpdate, metered: true, rights: iothub.ServiceConnect, run: func(c *call) error {
				return c.writeTwin(c.hub.PatchTwin)
			}},
			operation{method: http.MethodPut, pattern: pattern, throttle: iothub.ThrottleTwinUpdate, metered: true, rights: iothub.ServiceConnect, run: func(c *call) error {
				return c.writeTwin(c.hub.ReplaceTwin)
			}},
		)
	}
	return list
}

func (c *call) getTwin() error {
	t, err := c.hub.GetTwin(c.r.Context(), c.id)
	if err != nil {
		return err
	}
	return c.replyTwin(t)
}

// writeTwin serves PATCH and PUT. If-Match may be left out.
func (c *call) writeTwin(write func(context.Context, iothub.ID, iothub.TwinPatch, string) (hub.Twin, error)) error {
	body, err := c.readBody()
	if err != nil {
		return err
	}
	patch, err := iothub.DecodeTwinPatch(body)
	if err != nil {
		return err
	}
	t, err := write(c.r.Context(), c.id, patch, c.ifMatch())
	if err != nil {
		return err
	}
	return c.replyTwin(t)
}

func (c *call) replyTwin(t hub.Twin) error {
	body, err := iothub.MarshalTwin(t.Identity, t.Twin, t.Connection)
	if err != nil {
		return err
	}
	return c.reply(t.Twin.ETagText(), body)
}
