package rest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// serviceQueue is one of the hub's queues for back ends.
type serviceQueue func(*hub.Hub) *hub.ServiceQueue

// Source: Cloud To Device Messages of the IoT Hub service API 2021-04-12; IoT
// Hub devguide, cloud-to-device message feedback, file upload notifications.
func feedbackOperations() []operation {
	var list []operation
	for name, queue := range map[string]serviceQueue{"feedback": (*hub.Hub).Feedback, "filenotifications": (*hub.Hub).FileNotifications} {
		path := "/messages/servicebound/" + name
		one := path + "/{lockToken}"
		list = append(list,
			operation{method: http.MethodGet, pattern: path, rights: iothub.ServiceConnect, run: queue.receive},
			operation{method: http.MethodDelete, pattern: one, rights: iothub.ServiceConnect, run: queue.complete},
			operation{method: http.MethodPost, pattern: one + "/abandon", rights: iothub.ServiceConnect, run: queue.abandon},
		)
	}
	return list
}

// receive locks the next message; its lock token is the ETag. 204 says that none
// is due.
func (q serviceQueue) receive(c *call) error {
	f, ok, err := q(c.hub).Receive(c.r.Context())
	if err != nil {
		return err
	}
	if !ok {
		return c.noContent()
	}
	h := c.w.Header()
	setETag(h, f.LockToken)
	h.Set("Content-Type", f.System.ContentType)
	h.Set("iothub-messageid", f.System.MessageID)
	h.Set("iothub-sequencenumber", strconv.FormatUint(f.SequenceNumber, 10))
	h.Set("iothub-userid", f.System.UserID)
	h.Set("iothub-enqueuedtime", iothub.FormatTime(f.EnqueuedTime))
	h.Set("iothub-deliverycount", strconv.Itoa(f.DeliveryCount))
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(f.Body)
	return nil
}

func (q serviceQueue) complete(c *call) error {
	token, err := c.lockToken()
	if err != nil {
		return err
	}
	if err := q(c.hub).Complete(c.r.Context(), token); err != nil {
		return err
	}
	return c.noContent()
}

func (q serviceQueue) abandon(c *call) error {
	token, err := c.lockToken()
	if err != nil {
		return err
	}
	if err := q(c.hub).Abandon(c.r.Context(), token); err != nil {
		return err
	}
	return c.noContent()
}

func (c *call) lockToken() (string, error) {
	token, err := url.PathUnescape(chi.URLParam(c.r, "lockToken"))
	// Some clients repeat the ETag with its quotes.
	token = strings.Trim(token, `"`)
	if err != nil || token == "" {
		return "", iothub.NewError(iothub.CodeArgumentInvalid, "The path has no lock token.").WithCause(err)
	}
	return token, nil
}
