package admin

import (
	"net/http"
	"testing"
)

func TestHosts(t *testing.T) {
	for _, c := range []struct {
		hosts []string
		host  string
		want  bool
	}{
		{nil, "localhost", true},
		{nil, "localhost:8484", true},
		{nil, "LOCALHOST.:8484", true},
		{nil, "hub1.localhost:8484", true},
		{nil, "127.0.0.1:8484", true},
		{nil, "127.1.2.3", true},
		{nil, "[::1]:8484", true},
		{nil, "[::1]", true},
		{nil, "[::ffff:127.0.0.1]:8484", true},
		{nil, "", false},
		{nil, "evil.example", false},
		{nil, "localhost.evil.example:8484", false},
		{nil, "notlocalhost:8484", false},
		{nil, "127.0.0.1.evil.example", false},
		{nil, "10.0.0.5:8484", false},
		{nil, "0.0.0.0:8484", false},
		{[]string{"emulator", "10.0.0.5", ""}, "Emulator:8484", true},
		{[]string{"emulator", "10.0.0.5", ""}, "10.0.0.5:8484", true},
		{[]string{"emulator", "10.0.0.5", ""}, "10.0.0.6:8484", false},
		{[]string{"emulator", "10.0.0.5", ""}, "", false},
		{[]string{"0.0.0.0"}, "192.168.1.9:8484", true},
		{[]string{"::"}, "[fe80::1]:8484", true},
		{[]string{"0.0.0.0"}, "evil.example:8484", false},
		{[]string{"hub1.azure-devices.net"}, "hub1.azure-devices.net", true},
	} {
		w := newWorld(t, func(o *Options) { o.Hosts = c.hosts })
		rec := w.get("/info", "Host", c.host)
		if want := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[c.want]; rec.Code != want {
			t.Errorf("%v, Host %q: %d, want %d", c.hosts, c.host, rec.Code, want)
		}
	}
}

func TestOrigins(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		headers []string
		want    int
	}{
		{nil, 200},
		{[]string{"Origin", "http://localhost:8484"}, 200},
		{[]string{"Sec-Fetch-Site", "same-origin"}, 200},
		{[]string{"Sec-Fetch-Site", "none"}, 200},
		{[]string{"Origin", "http://localhost:3000"}, 403},
		{[]string{"Origin", "http://localhost"}, 403},
		{[]string{"Origin", "http://127.0.0.1:8484"}, 403},
		{[]string{"Origin", "https://evil.example"}, 403},
		{[]string{"Origin", "null"}, 403},
		{[]string{"Origin", ""}, 403},
		{[]string{"Origin", "file://localhost:8484"}, 403},
		{[]string{"Origin", "http://localhost:8484", "Sec-Fetch-Site", "cross-site"}, 403},
		{[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		{[]string{"Sec-Fetch-Site", "same-site"}, 403},
	} {
		for _, path := range []string{"/info", "/docs", "/nowhere"} {
			want := c.want
			if path == "/nowhere" && want == 200 {
				want = 404
			}
			if rec := w.get(path, c.headers...); rec.Code != want {
				t.Errorf("%s %v: %d, want %d", path, c.headers, rec.Code, want)
			} else if rec.Header().Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %v: other origins are let in", path, c.headers)
			}
		}
	}
}
