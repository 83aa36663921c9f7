package rest

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// The headers of queries.
const (
	continuationHeader = "x-ms-continuation"
	itemTypeHeader     = "x-ms-item-type"
	pageSizeHeader     = "x-ms-max-item-count"
)

// Source: Query of the IoT Hub service API 2021-04-12. The documents disagree on
// the right that it needs, so either will do.
func queryOperations() []operation {
	return []operation{{
		method: http.MethodPost, pattern: "/devices/query", throttle: iothub.ThrottleQuery, metered: true,
		rights: iothub.ServiceConnect | iothub.RegistryRead, run: (*call).query,
	}}
}

func (c *call) query() error {
	var req struct {
		Query string `json:"query"`
	}
	if err := c.decode(&req); err != nil {
		return err
	}
	size, err := c.pageSize()
	if err != nil {
		return err
	}
	page, err := c.hub.Query(c.r.Context(), hub.QueryRequest{
		Text: req.Query, PageSize: size, Continuation: c.r.Header.Get(continuationHeader),
	})
	if err != nil {
		return err
	}
	return c.replyPage(page)
}

// pageSize reads the number of rows that a request asks for; 0 when it leaves
// that to the hub. More than the hub's own limit is allowed and has no effect.
func (c *call) pageSize() (int, error) {
	text := c.r.Header.Get(pageSizeHeader)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return 0, iothub.NewError(iothub.CodeArgumentInvalid, "%s must be a whole number of at least 1.", pageSizeHeader).WithCause(err)
	}
	return int(n), nil
}

// replyPage writes a page. SDKs take any continuation header, an empty one too,
// for a sign that there is more.
func (c *call) replyPage(page hub.QueryPage) error {
	header := c.w.Header()
	header.Set(itemTypeHeader, page.ItemType)
	if page.Continuation != "" {
		header.Set(continuationHeader, page.Continuation)
	}
	var body bytes.Buffer
	body.WriteByte('[')
	for i, item := range page.Items {
		if i > 0 {
			body.WriteByte(',')
		}
		body.Write(item)
	}
	body.WriteByte(']')
	return c.reply("", body.Bytes())
}
