package rest

import (
	"net/http"
	"net/url"

	"github.com/go-chi/chi/v5"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// Source: Jobs (scheduled) of the IoT Hub service API 2021-04-12; IoT Hub
// devguide, schedule jobs on multiple devices.
func jobOperations() []operation {
	const (
		one   = "/jobs/v2/{job}"
		read  = iothub.ServiceConnect | iothub.RegistryRead
		write = iothub.ServiceConnect | iothub.RegistryWrite
	)
	return []operation{
		{method: http.MethodGet, pattern: "/jobs/v2/query", rights: read, throttle: iothub.ThrottleJob, run: (*call).listJobs},
		{method: http.MethodGet, pattern: one, rights: read, throttle: iothub.ThrottleJob, run: (*call).getJob},
		{method: http.MethodPut, pattern: one, rights: write, throttle: iothub.ThrottleJob, run: (*call).createJob},
		{method: http.MethodPost, pattern: one + "/cancel", rights: write, throttle: iothub.ThrottleJob, run: (*call).cancelJob},
	}
}

// pathName returns a decoded name in the path.
func (c *call) pathName(name string) (string, error) {
	text, err := url.PathUnescape(chi.URLParam(c.r, name))
	if err != nil {
		return "", iothub.NewError(iothub.CodeArgumentInvalid, "The path has a malformed escape.").WithCause(err)
	}
	return text, nil
}

func (c *call) createJob() error {
	id, err := c.pathName("job")
	if err != nil {
		return err
	}
	body, err := c.readBody()
	if err != nil {
		return err
	}
	j, err := c.hub.CreateJob(c.r.Context(), id, body)
	if err != nil {
		return err
	}
	return c.replyJSON(j)
}

// getJob answers 200 also for a job that there is not, as the service does.
func (c *call) getJob() error {
	id, err := c.pathName("job")
	if err != nil {
		return err
	}
	return c.replyJSON(c.hub.GetJob(id))
}

func (c *call) cancelJob() error {
	id, err := c.pathName("job")
	if err != nil {
		return err
	}
	j, err := c.hub.CancelJob(c.r.Context(), id)
	if err != nil {
		return err
	}
	return c.replyJSON(j)
}

// listJobs answers an array and the continuation in a header, which is what the
// service sends, though its API description has an object.
func (c *call) listJobs() error {
	size, err := c.pageSize()
	if err != nil {
		return err
	}
	filter := hub.JobFilter{Type: queryValue(c.r, "jobType"), Status: queryValue(c.r, "jobStatus")}
	jobs, next, err := c.hub.Jobs(filter, c.r.Header.Get(continuationHeader), size)
	if err != nil {
		return err
	}
	page := hub.QueryPage{ItemType: "JobResponse", Continuation: next}
	for _, j := range jobs {
		page.Items = append(page.Items, mustJSON(j))
	}
	return c.replyPage(page)
}
