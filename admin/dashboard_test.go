package admin

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/hubnerite/hubnerite/web"
)

func TestDashboard(t *testing.T) {
	w := newWorld(t)
	page := w.get("/")
	if page.Code != http.StatusOK || !strings.HasPrefix(page.Header().Get("Content-Type"), "text/html") ||
		page.Header().Get("Content-Security-Policy") != web.ContentSecurityPolicy || page.Header().Get("X-Frame-Options") != "DENY" {
		t.Errorf("the page: %d %v", page.Code, page.Header())
	}
	if script := w.get("/app.js"); script.Code != http.StatusOK || !strings.HasPrefix(script.Header().Get("Content-Type"), "text/javascript") {
		t.Errorf("a script: %d %v", script.Code, script.Header())
	}
	if foreign := w.get("/", "Host", "evil.example"); foreign.Code != http.StatusForbidden {
		t.Errorf("by a foreign name: %d", foreign.Code)
	}
}

func TestService(t *testing.T) {
	var seen *http.Request
	w := newWorld(t, func(o *Options) {
		o.Service = func(name string) (http.Handler, error) {
			if name != "hub1" {
				return nil, errors.New("no policy with all rights")
			}
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen = r
				w.WriteHeader(http.StatusTeapot)
			}), nil
		}
	})
	answer := w.get("/service/devices/a%2Fb?hub=hub1&api-version=1", "Authorization", "Bearer x", "If-Match", "*")
	if answer.Code != http.StatusTeapot {
		t.Fatalf("answer %d %s", answer.Code, answer.Body)
	}
	if seen.URL.EscapedPath() != "/devices/a%2Fb" || seen.URL.RawQuery != "api-version=1" || seen.RequestURI != "/devices/a%2Fb?api-version=1" {
		t.Errorf("passed on as %q (%q)", seen.URL, seen.RequestURI)
	}
	if seen.Header.Get("Authorization") != "" || seen.Header.Get("If-Match") != "*" {
		t.Errorf("headers %v", seen.Header)
	}
	if refused := w.get("/service/devices"); refused.Code != http.StatusConflict || !strings.Contains(refused.Body.String(), "no policy") {
		t.Errorf("without a policy: %d %s", refused.Code, refused.Body)
	}
	if unknown := w.get("/service/devices?hub=other"); unknown.Code != http.StatusNotFound {
		t.Errorf("of an unknown hub: %d", unknown.Code)
	}
	if without := newWorld(t).get("/service/devices"); without.Code != http.StatusNotImplemented {
		t.Errorf("where it is not offered: %d", without.Code)
	}
	if foreign := w.get("/service/devices?hub=hub1", "Origin", "http://evil.example"); foreign.Code != http.StatusForbidden {
		t.Errorf("from a foreign page: %d", foreign.Code)
	}
}
