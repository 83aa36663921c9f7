package amqphub

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/hub"
)

// selectorFilter is the key of a reader's filter. Its descriptor differs from
// SDK to SDK and says nothing more.
const selectorFilter = "apache.org:selector-filter:string"

// startOf returns where a reader wants to begin; without a filter at the oldest
// event.
func startOf(s *wire.Source) (hub.Position, error) {
	for _, e := range s.Filter {
		if text(e.Key) != selectorFilter {
			continue
		}
		value := e.Value
		if d, ok := value.(wire.Described); ok {
			value = d.Value
		}
		selector, ok := value.(string)
		if !ok {
			return hub.Position{}, errors.New("the selector filter is no string")
		}
		return parseSelector(selector)
	}
	return hub.Position{Kind: hub.PositionEarliest}, nil
}

// parseSelector reads "amqp.annotation.<name> > '<value>'": names are
// x-opt-offset, x-opt-sequence-number and x-opt-enqueued-time (milliseconds),
// operators > and >=, and the value may stand in quotes or not.
// Source: Event Hubs, AMQP 1.0 protocol guide; the SDKs' spellings.
func parseSelector(selector string) (hub.Position, error) {
	var p hub.Position
	bad := func(why string) (hub.Position, error) {
		return p, fmt.Errorf("the selector %.128q cannot be understood: %s", selector, why)
	}
	s := strings.TrimSpace(selector)
	at := strings.IndexAny(s, "<>= \t")
	if at < 0 {
		return bad("there is no operator")
	}
	name, s := s[:at], strings.TrimSpace(s[at:])
	operator := s[:len(s)-len(strings.TrimLeft(s, "<>="))]
	switch operator {
	case ">":
	case ">=":
		p.Inclusive = true
	default:
		return bad("the operator must be > or >=")
	}
	value := strings.TrimSpace(s[len(operator):])
	if inner, quoted := strings.CutPrefix(value, "'"); quoted {
		var closed bool
		if value, closed = strings.CutSuffix(inner, "'"); !closed {
			return bad("a quote is not closed")
		}
	}
	switch strings.ToLower(name) {
	case "amqp.annotation.x-opt-offset":
		p.Kind = hub.PositionOffset
	case "amqp.annotation.x-opt-sequence-number":
		p.Kind = hub.PositionSequenceNumber
	case "amqp.annotation.x-opt-enqueued-time", "amqp.annotation.x-opt-enqueuedtimeutc": // the second is the Azure CLI's
		p.Kind = hub.PositionEnqueuedTime
	default:
		return bad("it must compare an offset, a sequence number or an enqueued time")
	}
	if p.Kind != hub.PositionEnqueuedTime && strings.EqualFold(value, "@latest") {
		return hub.Position{Kind: hub.PositionLatest}, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		// Some programs write the time with a fraction.
		f, err := strconv.ParseFloat(value, 64)
		if err != nil || p.Kind != hub.PositionEnqueuedTime || f != f || f < -1<<53 || f > 1<<53 {
			return bad("the value is no number")
		}
		n = int64(f)
	}
	switch {
	case p.Kind == hub.PositionEnqueuedTime:
		p.Time = time.UnixMilli(n).UTC()
	case n < 0:
		return hub.Position{Kind: hub.PositionEarliest}, nil
	default:
		p.Value = n
	}
	return p, nil
}
