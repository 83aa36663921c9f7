package rest

import (
	"testing"

	"github.com/hubnerite/hubnerite/iothub"
)

func TestCanonicalPath(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "/",
		"/":                           "/",
		"*":                           "/*",
		"/Devices/":                   "/devices",
		"/DEVICES/Pump%2F7":           "/devices/Pump%2F7",
		"/devices/d/MODULES/M":        "/devices/d/modules/M",
		"/devices/d/modules/M/X":      "/devices/d/modules/M/x",
		"/devices/Modules/Modules/Mo": "/devices/Modules/modules/Mo",
		"/devices/%2524/":             "/devices/%2524",
		"/dev%69ces/a":                "/devices/a",
		"/%2Fdevices/a":               "/%2Fdevices/a",
		"//devices":                   "//devices",
		"/devices//":                  "/devices/",
		"/twins/T/Methods":            "/twins/T/methods",
		"/twins/T/modules/M/Methods/": "/twins/T/modules/M/methods",
		"/messages/serviceBound/feedback/ABC/Abandon":      "/messages/servicebound/feedback/ABC/abandon",
		"/devices/D/messages/deviceBound/LOCK/Abandon":     "/devices/D/messages/devicebound/LOCK/abandon",
		"/devices/D/files/Notifications/CORR":              "/devices/D/files/notifications/CORR",
		"/%24iothub/websocket":                             "/$iothub/websocket",
		"/$servicebus/websocket/":                          "/$servicebus/websocket",
		"/digitalTwins/D/Commands/C":                       "/digitaltwins/D/commands/C",
		"/configurations/testQueries":                      "/configurations/testQueries",
		"/statistics/Devices":                              "/statistics/devices",
		"/devices/D/modules/M/messages/deviceBound/L/Aban": "/devices/D/modules/M/messages/devicebound/L/aban",
	} {
		if got := canonicalPath(in); got != want {
			t.Errorf("canonicalPath(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzCanonicalPath(f *testing.F) {
	f.Add("/devices/a/modules/b")
	f.Add("/messages/serviceBound/feedback/x/abandon")
	f.Add("//")
	f.Fuzz(func(t *testing.T, path string) {
		once := canonicalPath(path)
		if once == "" || once[0] != '/' {
			t.Errorf("canonicalPath(%q) = %q does not begin with a slash", path, once)
		}
	})
}

// Every character that an ID may have must arrive, however a client escapes it.
func TestIdentityInPath(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{
		"-:.+%_#*?!(),=@;$'", "%", "%%", "%25", "a%2Fb", "#", "?", ";", "$", "$edge", "a+b", "query", "modules", "...", ".a", "a=b,c@d",
		"A", "a",
	} {
		d := iothub.ID{DeviceID: id}
		w.create(d)
		got := w.do("GET", identityPath("/devices/", d), "").ok(200)
		if got["deviceId"] != id {
			t.Errorf("device %q came back as %q", id, got["deviceId"])
		}
		if got := w.do("GET", identityPath("/twins/", d), "").ok(200); got["deviceId"] != id {
			t.Errorf("twin of %q came back as %q", id, got["deviceId"])
		}
		m := iothub.ID{DeviceID: id, ModuleID: "m" + id}
		w.create(m)
		if got := w.do("GET", identityPath("/devices/", m)+"/", "").ok(200); got["deviceId"] != id || got["moduleId"] != "m"+id {
			t.Errorf("module %v came back as %q %q", m, got["deviceId"], got["moduleId"])
		}
	}
	// Some clients leave alone what a path segment may hold unescaped.
	for raw, id := range map[string]string{"$edge": "$edge", "a+b": "a+b", ";": ";", "a=b,c@d": "a=b,c@d", "-:.+%25_%23*%3f!(),=@;$'": "-:.+%_#*?!(),=@;$'"} {
		if got := w.do("GET", "/devices/"+raw, "").ok(200); got["deviceId"] != id {
			t.Errorf("path %q found %q, want %q", raw, got["deviceId"], id)
		}
	}
	for _, raw := range []string{"a%20b", "a%2Fb", "a%00b", "%C3%BC", "%FF", "a%7Fb"} {
		w.do("GET", "/devices/"+raw, "").refused(legacy, iothub.CodeArgumentInvalid)
	}
}
