package rest

import (
	"net/http"
	"net/url"

	"github.com/go-chi/chi/v5"

	"github.com/hubnerite/hubnerite/iothub"
)

// Source: Jobs of the IoT Hub service API 2021-04-12 (import and export jobs).
func registryJobOperations() []operation {
	const one = "/jobs/{job}"
	return []operation{
		{method: http.MethodPost, pattern: "/jobs/create", rights: iothub.RegistryWrite, throttle: iothub.ThrottleJob, run: (*call).createRegistryJob},
		{method: http.MethodGet, pattern: "/jobs", rights: iothub.RegistryWrite, throttle: iothub.ThrottleJob, run: (*call).listRegistryJobs},
		{method: http.MethodGet, pattern: one, rights: iothub.RegistryWrite, throttle: iothub.ThrottleJob, run: (*call).getRegistryJob},
		{method: http.MethodDelete, pattern: one, rights: iothub.RegistryWrite, throttle: iothub.ThrottleJob, run: (*call).cancelRegistryJob},
	}
}

func (c *call) createRegistryJob() error {
	var req iothub.RegistryJobRequest
	if err := c.decode(&req); err != nil {
		return err
	}
	job, err := c.hub.CreateRegistryJob(c.r.Context(), req)
	if err != nil {
		return err
	}
	return c.replyJSON(job)
}

func (c *call) listRegistryJobs() error {
	jobs, err := c.hub.RegistryJobs(c.r.Context())
	if err != nil {
		return err
	}
	return c.replyJSON(jobs)
}

func (c *call) getRegistryJob() error {
	job, err := c.hub.RegistryJob(c.r.Context(), c.pathText("job"))
	if err != nil {
		return err
	}
	return c.replyJSON(job)
}

func (c *call) cancelRegistryJob() error {
	if err := c.hub.CancelRegistryJob(c.r.Context(), c.pathText("job")); err != nil {
		return err
	}
	return c.noContent()
}

// pathText returns a part of the path, decoded once; text that is no proper escape
// stays as it is.
func (c *call) pathText(name string) string {
	raw := chi.URLParam(c.r, name)
	if text, err := url.PathUnescape(raw); err == nil {
		return text
	}
	return raw
}
