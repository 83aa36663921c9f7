package rest

import (
	"net/http"

	"github.com/hubnerite/hubnerite/iothub"
)

// Source: Modules of the IoT Hub service API 2021-04-12; IoT Hub devguide,
// module identities.
func moduleOperations() []operation {
	const (
		all = "/devices/{deviceID}/modules"
		one = all + "/{moduleID}"
	)
	return []operation{
		{method: http.MethodGet, pattern: all, throttle: iothub.ThrottleRegistry, rights: iothub.RegistryRead, form: flat, run: (*call).listModules},
		{method: http.MethodGet, pattern: one, throttle: iothub.ThrottleRegistry, rights: iothub.RegistryRead, form: flat, run: (*call).getIdentity},
		{method: http.MethodPut, pattern: one, throttle: iothub.ThrottleRegistry, rights: iothub.RegistryWrite, form: flat, run: (*call).putIdentity},
		{method: http.MethodDelete, pattern: one, throttle: iothub.ThrottleRegistry, rights: iothub.RegistryWrite, form: flat, run: (*call).deleteIdentity},
	}
}

func (c *call) listModules() error {
	modules, err := c.hub.ListModules(c.r.Context(), c.id.DeviceID)
	if err != nil {
		return err
	}
	return c.replyIdentities(modules)
}
