package amqphub

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/iothub"
)

// wireError is the one writer of errors on AMQP: the condition of the code, the
// service's error document as description, and the tracking ID.
// Source: the AMQP error tables of the service SDKs.
func wireError(e *iothub.Error, now time.Time) *amqp.Error {
	tracking := strings.ReplaceAll(uuid.NewString(), "-", "") + "-G:0-TimeStamp:" + now.UTC().Format("01/02/2006 15:04:05")
	description, err := json.Marshal(map[string]any{
		"errorCode": int(e.Code), "trackingId": tracking, "message": e.Message, "timestampUtc": iothub.FormatTime(now),
	})
	if err != nil {
		description = []byte(e.Message)
	}
	return &amqp.Error{
		Condition:   wire.Symbol(e.Code.AMQPCondition()),
		Description: string(description),
		Info:        wire.Map{}.Add(wire.Symbol("com.microsoft:tracking-id"), tracking),
	}
}

// hubContext is for work that has no caller to wait for.
func (p *peer) hubContext() context.Context { return context.Background() }

// goLink runs a link's goroutine. A fault in it ends the connection alone.
func (p *peer) goLink(what string, run func()) {
	p.server.work.Go(func() { p.conn.Protect(what, run) })
}
