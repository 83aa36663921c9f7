package rest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hubnerite/hubnerite/iothub"
)

// batchContentType announces a JSON array of messages.
// Source: the HTTPS transports of the device SDKs.
const batchContentType = "application/vnd.microsoft.iothub.json"

// identities are the two things that a path can name.
func identities() []string {
	return []string{"/devices/{deviceID}", "/devices/{deviceID}/modules/{moduleID}"}
}

// Source: Send Device Event of the IoT Hub device API; IoT Hub devguide, create
// and read messages.
func telemetryOperations() []operation {
	var list []operation
	for _, identity := range identities() {
		list = append(list, operation{method: http.MethodPost, pattern: identity + "/messages/events", device: true, run: (*call).sendTelemetry})
	}
	return list
}

// sendTelemetry takes one message, whose body is the request's, or a batch, and
// answers 204 once all of it is durable.
func (c *call) sendTelemetry() error {
	contentType, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	read := c.readMessage
	if contentType == batchContentType {
		read = c.readBatch
	}
	messages, err := read()
	if err != nil {
		return err
	}
	if err := c.hub.SendTelemetry(c.r.Context(), c.id, c.grant, messages); err != nil {
		return err
	}
	return c.noContent()
}

// readMessage returns the one message of a request.
func (c *call) readMessage() ([]iothub.Telemetry, error) {
	var t iothub.Telemetry
	for _, h := range headersOf(c.r) {
		if err := setProperty(&t, h.Name, h.Value); err != nil {
			return nil, err
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(underlying(c.w), c.r.Body, iothub.MaxTelemetrySize))
	if err != nil {
		return nil, bodyError(err)
	}
	t.Body = body
	return []iothub.Telemetry{t}, nil
}

// batched is a message of a batch. Source: the HTTPS transports of the device SDKs.
type batched struct {
	Body          *string           `json:"body"`
	Base64Encoded *bool             `json:"base64Encoded"`
	Properties    map[string]string `json:"properties"`
}

// readBatch returns the messages of a batch. Names of properties have the
// spelling of the headers.
func (c *call) readBatch() ([]iothub.Telemetry, error) {
	text, err := c.readBody()
	if err != nil {
		return nil, err
	}
	var batch []*batched
	if err := json.Unmarshal(text, &batch); err != nil {
		return nil, &syntaxFault{err}
	}
	if len(batch) > iothub.MaxTelemetryBatch {
		return nil, iothub.NewError(iothub.CodeMessageTooLarge, "The batch has %d messages; the limit is %d.", len(batch), iothub.MaxTelemetryBatch)
	}
	messages := make([]iothub.Telemetry, 0, len(batch))
	for i, b := range batch {
		if b == nil || b.Body == nil {
			return nil, &syntaxFault{fmt.Errorf("message %d has no body", i)}
		}
		var t iothub.Telemetry
		for _, name := range slices.Sorted(maps.Keys(b.Properties)) {
			if err := setProperty(&t, name, b.Properties[name]); err != nil {
				return nil, err
			}
		}
		t.Body = []byte(*b.Body)
		if b.Base64Encoded == nil || *b.Base64Encoded {
			if t.Body, err = base64.StdEncoding.DecodeString(*b.Body); err != nil {
				return nil, &syntaxFault{fmt.Errorf("the body of message %d is not base64", i)}
			}
		}
		messages = append(messages, t)
	}
	return messages, nil
}

// headersOf returns the headers of a request in the order of their names, which
// are in lower case. Of several with one name the last counts.
func headersOf(r *http.Request) []iothub.Property {
	list := make([]iothub.Property, 0, len(r.Header))
	for name, values := range r.Header {
		if len(values) > 0 {
			list = append(list, iothub.Property{Name: strings.ToLower(name), Value: values[len(values)-1]})
		}
	}
	slices.SortFunc(list, func(a, b iothub.Property) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// appPrefix begins the names of application properties.
const appPrefix = "iothub-app-"

// setProperty takes a header, or a property of a batched message: those of the
// message in all spellings of the SDKs, application properties, and nothing else.
func setProperty(t *iothub.Telemetry, name, value string) error {
	lower := strings.ToLower(name)
	var field *string
	switch lower {
	case "iothub-messageid", "iothub-message-id":
		field = &t.System.MessageID
	case "iothub-correlationid", "iothub-correlation-id":
		field = &t.System.CorrelationID
	case "iothub-userid", "iothub-user-id":
		field = &t.System.UserID
	case "iothub-to":
		field = &t.System.To
	case "iothub-expiry", "iothub-absolute-expiry-time":
		field = &t.System.Expiry
	case "iothub-contenttype", "iothub-content-type":
		field = &t.System.ContentType
	case "iothub-contentencoding", "iothub-content-encoding":
		field = &t.System.ContentEncoding
	case "iothub-creation-time-utc", "iothub-creationtimeutc":
		field = &t.System.CreationTime
	case "iothub-message-schema":
		field = &t.System.Schema
	case "iothub-interface-id":
		field = &t.System.InterfaceID
	case "iothub-outputname":
		field = &t.System.OutputName
	case "dt-subject", "iothub-dt-subject":
		field = &t.System.Component
	default:
		if !strings.HasPrefix(lower, appPrefix) {
			return nil
		}
		field = property(&t.Properties, name[len(appPrefix):])
	}
	if !utf8.ValidString(value) {
		return iothub.NewError(iothub.CodeArgumentInvalid, "The value of %q is not UTF-8.", name)
	}
	*field = value
	return nil
}

// property returns the value of a name, of which there is one.
func property(p *iothub.Properties, name string) *string {
	for i := range *p {
		if (*p)[i].Name == name {
			return &(*p)[i].Value
		}
	}
	*p = append(*p, iothub.Property{Name: name})
	return &(*p)[len(*p)-1].Value
}
