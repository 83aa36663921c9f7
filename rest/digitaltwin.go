package rest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/hubnerite/hubnerite/iothub"
)

// Source: Digital Twin of the IoT Hub service API 2021-04-12.
func digitalTwinOperations() []operation {
	const one = "/digitaltwins/{deviceID}"
	list := []operation{
		{method: http.MethodGet, pattern: one, throttle: iothub.ThrottleTwinRead, metered: true, rights: iothub.ServiceConnect, run: (*call).getDigitalTwin},
		{method: http.MethodPatch, pattern: one, throttle: iothub.ThrottleTwinUpdate, metered: true, rights: iothub.ServiceConnect, run: (*call).patchDigitalTwin},
	}
	for _, pattern := range []string{one + "/commands/{command}", one + "/components/{component}/commands/{command}"} {
		list = append(list, operation{
			method: http.MethodPost, pattern: pattern, rights: iothub.ServiceConnect, form: nested, run: (*call).invokeCommand,
		})
	}
	return list
}

func (c *call) getDigitalTwin() error {
	t, err := c.hub.GetTwin(c.r.Context(), c.id)
	if err != nil {
		return err
	}
	body, err := iothub.MarshalDigitalTwin(c.id, t.Twin)
	if err != nil {
		return err
	}
	return c.reply(t.Twin.ETagText(), body)
}

// patchDigitalTwin answers 202: the device is yet to take the change over.
func (c *call) patchDigitalTwin() error {
	body, err := c.readBody()
	if err != nil {
		return err
	}
	t, err := c.hub.PatchDigitalTwin(c.r.Context(), c.id, body, c.ifMatch())
	if err != nil {
		return err
	}
	header := c.w.Header()
	setETag(header, t.Twin.ETagText())
	header.Set("Location", "https://"+c.r.Host+"/digitaltwins/"+url.PathEscape(c.id.DeviceID))
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// invokeCommand answers with the device's payload as the body and its status as
// a header, whatever that status is.
func (c *call) invokeCommand() error {
	var names [2]string
	for i, name := range []string{"component", "command"} {
		var err error
		if names[i], err = url.PathUnescape(chi.URLParam(c.r, name)); err != nil {
			return iothub.NewError(iothub.CodeArgumentInvalid, "The path has a malformed escape.").WithCause(err)
		}
	}
	var req iothub.MethodRequest
	var err error
	if c.r.ContentLength != 0 {
		if req.Payload, err = c.readBody(); err != nil {
			return err
		}
		if !json.Valid(req.Payload) {
			return iothub.NewError(iothub.CodeIotHubFormatError, "The payload of the command is not JSON.")
		}
	}
	if req.ResponseTimeout, err = c.querySeconds("responseTimeoutInSeconds", iothub.MinResponseTimeout); err != nil {
		return err
	}
	if req.ConnectTimeout, err = c.querySeconds("connectTimeoutInSeconds", 0); err != nil {
		return err
	}
	answer, err := c.hub.InvokeCommand(c.r.Context(), c.id, names[0], names[1], req)
	if err != nil {
		return err
	}
	setExact(c.w.Header(), "x-ms-command-statuscode", strconv.Itoa(answer.Status))
	if len(answer.Payload) == 0 {
		answer.Payload = []byte("null")
	}
	return c.reply("", answer.Payload)
}

// querySeconds reads a time-out from the query; absent is 0.
func (c *call) querySeconds(name string, least time.Duration) (time.Duration, error) {
	text := queryValue(c.r, name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, iothub.NewError(iothub.CodeArgumentInvalid, "%s must be a whole number of seconds.", name).WithCause(err)
	}
	return seconds(name, &n, least)
}
