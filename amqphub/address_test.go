package amqphub

import (
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
)

func TestClassify(t *testing.T) {
	for address, want := range map[string]addressKind{
		"$cbs":                                        addressCBS,
		"amqps://hub1.azure-devices.net/$cbs":         addressCBS,
		"/messages/devicebound":                       addressC2D,
		"amqps://localhost/messages/deviceBound":      addressC2D,
		"amqps://localhost:5671/messages/devicebound": addressC2D,
		"/messages/serviceBound/feedback":             addressFeedback,
		"amqps://h/messages/servicebound/feedback":    addressFeedback,
		"/messages/serviceBound/filenotifications":    addressFileNotifications,
		"messages/events/$management":                 addressEvents,
		"hub1/ConsumerGroups/$Default/Partitions/0":   addressEvents,
		"/devices/d/messages/events":                  addressDevice,
		"amqps://h/devices/d/twin":                    addressDevice,
		"":                                            addressUnknown, "/": addressUnknown, "queue": addressUnknown, "amqps://h": addressUnknown,
	} {
		if got := classify(address); got != want {
			t.Errorf("%q: %v, want %v", address, got, want)
		}
	}
}

func TestParseC2DAddress(t *testing.T) {
	for to, want := range map[string]iothub.ID{
		"/devices/d/messages/devicebound":                  {DeviceID: "d"},
		"/devices/d/messages/deviceBound":                  {DeviceID: "d"},
		"devices/d/messages/devicebound":                   {DeviceID: "d"},
		"/devices/d/modules/m/messages/devicebound":        {DeviceID: "d", ModuleID: "m"},
		"amqps://h:5671/devices/d%23/messages/devicebound": {DeviceID: "d#"},
		"/devices/a%b/messages/devicebound":                {DeviceID: "a%b"},
		"/devices/a%20b/messages/devicebound":              {DeviceID: "a%20b"},
	} {
		got, err := parseC2DAddress(to)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", to, got, err)
		}
	}
	for _, bad := range []string{
		"", "/", "/devices//messages/devicebound", "/devices/d/messages/events", "/devices/d/messages/devicebound/x",
		"/devices/a b/messages/devicebound", "/devices/d/modules//messages/devicebound", "/things/d/messages/devicebound",
	} {
		if id, err := parseC2DAddress(bad); iothub.ErrorCode(err) != iothub.CodeArgumentInvalid {
			t.Errorf("%q: %+v, %v", bad, id, err)
		}
	}
}

func TestUserHub(t *testing.T) {
	for user, want := range map[string]string{
		"iothubowner@sas.root.hub1":  "hub1.azure-devices.net",
		"dev@sas.hub1":               "hub1.azure-devices.net",
		"service@sas.root.localhost": "localhost",
		"nobody":                     "",
	} {
		if got := userHub(user); got != want {
			t.Errorf("%q: %q", user, got)
		}
	}
}
