package rest

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestRefusalsAreLogged: each refusal is one line with its cause, the device if the request names one, and where it came from.
func TestRefusalsAreLogged(t *testing.T) {
	w := newWorld(t)
	service := token(t, "service", testHost, time.Now().Add(time.Hour))
	for name, c := range map[string]struct {
		method, path, body, token string
		want                      []string
	}{
		"no token":   {"GET", "/devices/d?" + testVersion, "", "", []string{"code=401002", "device=d"}},
		"no right":   {"PUT", "/devices/d?" + testVersion, "{}", service, []string{"code=401002", "device=d"}},
		"no version": {"GET", "/devices/d", "", service, []string{"code=400001", "device=d"}},
		"no device":  {"POST", "/twins/nobody/methods?" + testVersion, `{"methodName":"m"}`, service, []string{"code=404001", "device=nobody"}},
		"no JSON":    {"POST", "/devices/query?" + testVersion, `{`, service, []string{"code=400006", `device=""`}},
	} {
		t.Run(name, func(t *testing.T) {
			w.logs.Reset()
			r := w.request(c.method, c.path, c.body, "Authorization", c.token, "Content-Type", "application/json")
			r.RemoteAddr = "192.0.2.1:4711"
			if a := w.send(r); a.status < http.StatusBadRequest {
				t.Fatal(a.status, a.body)
			}
			lines := 0
			for line := range strings.Lines(w.logs.String()) {
				if !strings.Contains(line, "request refused") {
					continue
				}
				lines++
				for _, want := range append(c.want, "level=INFO", "conn=192.0.2.1:4711", "err=", "rid=", "method="+c.method) {
					if !strings.Contains(line, want) {
						t.Errorf("no %s in %s", want, line)
					}
				}
				if strings.Contains(line, "sig=") {
					t.Errorf("a signature in %s", line)
				}
			}
			if lines != 1 {
				t.Errorf("%d lines in\n%s", lines, w.logs)
			}
		})
	}
}
