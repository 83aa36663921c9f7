package rest

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// Source: Configuration of the IoT Hub service API 2021-04-12; IoT Hub,
// automatic device and module management.
func configurationOperations() []operation {
	const (
		all   = "/configurations"
		one   = all + "/{configuration}"
		read  = iothub.ServiceConnect | iothub.RegistryRead
		write = iothub.ServiceConnect | iothub.RegistryWrite
		turn  = iothub.ThrottleConfigurations
	)
	return []operation{
		{method: http.MethodGet, pattern: all, rights: read, throttle: turn, run: (*call).listConfigurations},
		{method: http.MethodPost, pattern: all + "/testQueries", rights: read, throttle: turn, run: (*call).testConfigurationQueries},
		{method: http.MethodGet, pattern: one, rights: read, throttle: turn, run: (*call).getConfiguration},
		{method: http.MethodPut, pattern: one, rights: write, throttle: turn, run: (*call).putConfiguration},
		{method: http.MethodDelete, pattern: one, rights: write, throttle: turn, run: (*call).deleteConfiguration},
		{
			method: http.MethodPost, pattern: "/devices/{deviceID}/applyconfigurationcontent", rights: write, throttle: turn,
			run: (*call).applyConfigurationContent,
		},
	}
}

// putConfiguration creates, or with If-Match updates. The metrics of a new
// configuration are not known yet.
func (c *call) putConfiguration() error {
	id, err := c.pathName("configuration")
	if err != nil {
		return err
	}
	body, err := c.readBody()
	if err != nil {
		return err
	}
	saved, err := c.hub.PutConfiguration(c.r.Context(), id, body, c.ifMatch())
	if err != nil {
		return err
	}
	return c.replyConfiguration(hub.ConfigurationResult{Configuration: saved})
}

func (c *call) getConfiguration() error {
	id, err := c.pathName("configuration")
	if err != nil {
		return err
	}
	found, err := c.hub.GetConfiguration(c.r.Context(), id)
	if err != nil {
		return err
	}
	return c.replyConfiguration(found)
}

func (c *call) replyConfiguration(r hub.ConfigurationResult) error {
	body, err := iothub.MarshalConfiguration(r.Configuration, r.System, r.Custom)
	if err != nil {
		return err
	}
	return c.reply(r.ETagText(), body)
}

func (c *call) deleteConfiguration() error {
	id, err := c.pathName("configuration")
	if err != nil {
		return err
	}
	if err := c.hub.DeleteConfiguration(c.r.Context(), id, c.ifMatch()); err != nil {
		return err
	}
	return c.noContent()
}

// listConfigurations answers all configurations, or the first top ones; there are no pages.
func (c *call) listConfigurations() error {
	top := 0
	if text := queryValue(c.r, "top"); text != "" {
		var err error
		if top, err = strconv.Atoi(text); err != nil {
			return iothub.NewError(iothub.CodeArgumentInvalid, "top must be a number.").WithCause(err)
		}
	}
	found, err := c.hub.Configurations(c.r.Context(), top)
	if err != nil {
		return err
	}
	list := make([]json.RawMessage, len(found))
	for i, r := range found {
		if list[i], err = iothub.MarshalConfiguration(r.Configuration, r.System, r.Custom); err != nil {
			return err
		}
	}
	return c.replyJSON(list)
}

// testConfigurationQueries answers 200 whatever the queries are worth.
func (c *call) testConfigurationQueries() error {
	var in struct {
		TargetCondition string            `json:"targetCondition"`
		Metrics         map[string]string `json:"customMetricQueries"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	condition, metrics := c.hub.TestConfigurationQueries(in.TargetCondition, in.Metrics)
	out := struct {
		TargetConditionError *string           `json:"targetConditionError"`
		MetricErrors         map[string]string `json:"customMetricQueryErrors"`
	}{MetricErrors: metrics}
	if condition != "" {
		out.TargetConditionError = &condition
	}
	return c.replyJSON(out)
}

func (c *call) applyConfigurationContent() error {
	body, err := c.readBody()
	if err != nil {
		return err
	}
	if err := c.hub.ApplyContent(c.r.Context(), c.id.DeviceID, body); err != nil {
		return err
	}
	return c.noContent()
}
