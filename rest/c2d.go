package rest

import (
	"net/http"

	"github.com/hubnerite/hubnerite/iothub"
)

// Source: Purge Command Queue of the IoT Hub service API 2021-04-12. The
// service API sends cloud-to-device messages over AMQP only.
func c2dOperations() []operation {
	return []operation{{
		method: http.MethodDelete, pattern: "/devices/{deviceID}/commands",
		rights: iothub.ServiceConnect | iothub.RegistryWrite, run: (*call).purge,
	}}
}

type purgeResult struct {
	DeviceID            string  `json:"deviceId"`
	ModuleID            *string `json:"moduleId"`
	TotalMessagesPurged int     `json:"totalMessagesPurged"`
}

func (c *call) purge() error {
	n, err := c.hub.PurgeC2D(c.r.Context(), c.id)
	if err != nil {
		return err
	}
	return c.replyJSON(purgeResult{DeviceID: c.id.DeviceID, TotalMessagesPurged: n})
}
