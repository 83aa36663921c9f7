package rest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/hubnerite/hubnerite/iothub"
)

// Source: Cloud To Device Messages of the IoT Hub service API 2021-04-12; IoT
// Hub devguide, cloud-to-device message feedback.
func feedbackOperations() []operation {
	const (
		queue = "/messages/servicebound/feedback"
		one   = queue + "/{lockToken}"
	)
	return []operation{
		{method: http.MethodGet, pattern: queue, rights: iothub.ServiceConnect, run: (*call).receiveFeedback},
		{method: http.MethodDelete, pattern: one, rights: iothub.ServiceConnect, run: (*call).completeFeedback},
		{method: http.MethodPost, pattern: one + "/abandon", rights: iothub.ServiceConnect, run: (*call).abandonFeedback},
	}
}

// receiveFeedback locks the next feedback message; its lock token is the ETag.
// 204 says that none is due.
func (c *call) receiveFeedback() error {
	f, ok, err := c.hub.ReceiveFeedback(c.r.Context())
	if err != nil {
		return err
	}
	if !ok {
		return c.noContent()
	}
	h := c.w.Header()
	h.Set("ETag", `"`+f.LockToken+`"`)
	h.Set("Content-Type", iothub.FeedbackContentType)
	h.Set("iothub-messageid", f.System.MessageID)
	h.Set("iothub-sequencenumber", strconv.FormatUint(f.SequenceNumber, 10))
	h.Set("iothub-userid", f.System.UserID)
	h.Set("iothub-enqueuedtime", iothub.FormatTime(f.EnqueuedTime))
	h.Set("iothub-deliverycount", strconv.Itoa(f.DeliveryCount))
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(f.C2DMessage.Body)
	return nil
}

func (c *call) completeFeedback() error {
	token, err := c.lockToken()
	if err != nil {
		return err
	}
	if err := c.hub.CompleteFeedback(c.r.Context(), token); err != nil {
		return err
	}
	return c.noContent()
}

func (c *call) abandonFeedback() error {
	token, err := c.lockToken()
	if err != nil {
		return err
	}
	if err := c.hub.AbandonFeedback(c.r.Context(), token); err != nil {
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
