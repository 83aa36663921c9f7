package amqphub

import (
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/store"
)

func TestSelectors(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	for text, want := range map[string]store.Position{
		"amqp.annotation.x-opt-offset > '-1'":                         {Kind: store.PositionEarliest},
		"amqp.annotation.x-opt-offset >'-1'":                          {Kind: store.PositionEarliest},
		"amqp.annotation.x-opt-offset >= '-1'":                        {Kind: store.PositionEarliest, Inclusive: false},
		"amqp.annotation.x-opt-offset > '@latest'":                    {Kind: store.PositionLatest},
		"amqp.annotation.x-opt-offset >= '@latest'":                   {Kind: store.PositionLatest},
		"amqp.annotation.x-opt-offset > 4711":                         {Kind: store.PositionOffset, Value: 4711},
		"  amqp.annotation.x-opt-offset>='0' ":                        {Kind: store.PositionOffset, Inclusive: true},
		"amqp.annotation.x-opt-sequence-number > '4'":                 {Kind: store.PositionSequenceNumber, Value: 4},
		"amqp.annotation.x-opt-sequence-number  >=  4":                {Kind: store.PositionSequenceNumber, Value: 4, Inclusive: true},
		"amqp.annotation.x-opt-sequence-number > '-1'":                {Kind: store.PositionEarliest},
		"amqp.annotation.x-opt-enqueued-time > '1700000000123'":       {Kind: store.PositionEnqueuedTime, Time: at(1700000000123)},
		"amqp.annotation.x-opt-enqueued-time >= 1700000000123":        {Kind: store.PositionEnqueuedTime, Time: at(1700000000123), Inclusive: true},
		"amqp.annotation.x-opt-enqueuedtimeutc > 1700000000123.45":    {Kind: store.PositionEnqueuedTime, Time: at(1700000000123)},
		"amqp.annotation.x-opt-enqueued-time > '-62135596800000'":     {Kind: store.PositionEnqueuedTime, Time: at(-62135596800000)},
		"amqp.annotation.x-opt-sequence-number > 9223372036854775807": {Kind: store.PositionSequenceNumber, Value: 1<<63 - 1},
	} {
		got, err := parseSelector(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, bad := range []string{
		"", "x", "amqp.annotation.x-opt-offset", "amqp.annotation.x-opt-offset = '1'", "amqp.annotation.x-opt-offset > ", "amqp.annotation.x-opt-offset > '1",
		"amqp.annotation.x-opt-offset > 'abc'", "amqp.annotation.x-opt-partition-key > '1'", "x-opt-offset > '1'", "amqp.annotation.x-opt-offset > '1' AND 1=1",
		"amqp.annotation.x-opt-offset < '1'", "amqp.annotation.x-opt-sequence-number > 1e3", "amqp.annotation.x-opt-enqueued-time > NaN",
		"amqp.annotation.x-opt-enqueued-time > 1e300", "amqp.annotation.x-opt-sequence-number > 9223372036854775808",
	} {
		if got, err := parseSelector(bad); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func TestEventAddresses(t *testing.T) {
	reader := eventAddress{entity: "hub1", reader: true, group: "$Default", partition: "0", rest: "ConsumerGroups/$Default/Partitions/0"}
	builtIn := reader
	builtIn.entity, builtIn.builtIn = "", true
	for address, want := range map[string]eventAddress{
		"hub1/ConsumerGroups/$Default/Partitions/0":                       reader,
		"/hub1/ConsumerGroups/$Default/Partitions/0":                      reader,
		"amqps://host:5671/hub1/ConsumerGroups/$Default/Partitions/0":     reader,
		"sb://host/hub1/ConsumerGroups/$Default/Partitions/0/":            reader,
		"messages/events/ConsumerGroups/$Default/Partitions/0":            builtIn,
		"amqps://h/messages/Events/ConsumerGroups/$Default/Partitions/0/": builtIn,
		"messages/events/":                     {builtIn: true},
		"/messages/events/$management":         {builtIn: true, management: true, rest: "$management"},
		"$management":                          {management: true, rest: "$management"},
		"hub1/$management":                     {entity: "hub1", management: true, rest: "$management"},
		"amqps://h.example:5671/e/$management": {entity: "e", management: true, rest: "$management"},
		"hub1":                                 {entity: "hub1"},
		"hub1/Partitions/3":                    {entity: "hub1", partition: "3", rest: "Partitions/3"},
	} {
		if got, ok := parseEventAddress(address); !ok || got != want {
			t.Errorf("%q: %+v, %v", address, got, ok)
		}
	}
	for _, other := range []string{"devices/d/messages/devicebound", "hub1/ConsumerGroups/x", "hub1/a/b/c/d/e"} {
		if got, ok := parseEventAddress(other); ok {
			t.Errorf("%q: %+v", other, got)
		}
	}
}
