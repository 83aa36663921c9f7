package rest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// Source: IoT Hub devguide, understand and invoke direct methods.
func methodOperations() []operation {
	var list []operation
	for _, pattern := range []string{"/twins/{deviceID}/methods", "/twins/{deviceID}/modules/{moduleID}/methods"} {
		list = append(list, operation{
			method: http.MethodPost, pattern: pattern, rights: iothub.ServiceConnect,
			form: nested, versionOptional: true, run: (*call).invokeMethod,
		})
	}
	return list
}

type methodBody struct {
	MethodName string `json:"methodName"`
	// Payload stays as it was sent: back ends send JSON texts that hold JSON,
	// and the device must see the same bytes.
	Payload         json.RawMessage `json:"payload"`
	ResponseTimeout *int64          `json:"responseTimeoutInSeconds"`
	ConnectTimeout  *int64          `json:"connectTimeoutInSeconds"`
	// Timeout is the response time-out of API versions before 2018.
	Timeout *int64 `json:"timeout"`
}

func (c *call) invokeMethod() error {
	var body methodBody
	if err := c.decode(&body); err != nil {
		return err
	}
	req := iothub.MethodRequest{MethodName: body.MethodName, Payload: body.Payload}
	if body.ResponseTimeout == nil {
		body.ResponseTimeout = body.Timeout
	}
	var err error
	if req.ResponseTimeout, err = seconds("responseTimeoutInSeconds", body.ResponseTimeout, iothub.MinResponseTimeout); err != nil {
		return err
	}
	if req.ConnectTimeout, err = seconds("connectTimeoutInSeconds", body.ConnectTimeout, 0); err != nil {
		return err
	}
	answer, err := c.hub.InvokeMethod(c.r.Context(), c.id, req)
	if err != nil {
		return err
	}
	return c.replyMethod(answer)
}

// seconds reads a time-out between least and iothub.MaxMethodTimeout; nil is 0,
// which means the default. The bounds are looked at before the product can overflow.
func seconds(name string, n *int64, least time.Duration) (time.Duration, error) {
	if n == nil {
		return 0, nil
	}
	if *n < int64(least/time.Second) || *n > int64(iothub.MaxMethodTimeout/time.Second) {
		return 0, iothub.NewError(iothub.CodeArgumentInvalid, "%s must be between %d and %d.",
			name, int64(least/time.Second), int64(iothub.MaxMethodTimeout/time.Second))
	}
	return time.Duration(*n) * time.Second, nil
}

// replyMethod writes the device's answer, the payload byte for byte;
// json.Marshal would rewrite it.
func (c *call) replyMethod(a iothub.MethodResponse) error {
	payload := a.Payload
	switch {
	case len(payload) == 0:
		payload = []byte("null")
	case !json.Valid(payload):
		return iothub.NewError(iothub.CodeServerError, "The device answered with a payload that is not JSON.")
	}
	var b bytes.Buffer
	b.WriteString(`{"status":`)
	b.WriteString(strconv.Itoa(a.Status))
	b.WriteString(`,"payload":`)
	b.Write(payload)
	b.WriteByte('}')
	return c.reply("", b.Bytes())
}
