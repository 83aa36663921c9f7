package rest

import (
	"net/http"

	"github.com/hubnerite/hubnerite/iothub"
)

// Source: Statistics of the IoT Hub service API 2021-04-12.
func statisticsOperations() []operation {
	const rights = iothub.RegistryRead | iothub.ServiceConnect
	return []operation{
		{method: http.MethodGet, pattern: "/statistics/devices", rights: rights, run: (*call).deviceStatistics},
		{method: http.MethodGet, pattern: "/statistics/service", rights: rights, run: (*call).serviceStatistics},
	}
}

func (c *call) deviceStatistics() error {
	n, err := c.hub.Counts(c.r.Context())
	if err != nil {
		return err
	}
	return c.replyJSON(struct {
		Total    int `json:"totalDeviceCount"`
		Enabled  int `json:"enabledDeviceCount"`
		Disabled int `json:"disabledDeviceCount"`
	}{n.Devices, n.Devices - n.DisabledDevices, n.DisabledDevices})
}

func (c *call) serviceStatistics() error {
	return c.replyJSON(struct {
		Connected int `json:"connectedDeviceCount"`
	}{c.hub.ConnectedDevices()})
}
