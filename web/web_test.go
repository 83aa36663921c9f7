package web

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	handler, err := Handler()
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

func TestHandler(t *testing.T) {
	page := get(t, "/")
	if page.Code != http.StatusOK || page.Header().Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(page.Body.String(), "app.js") {
		t.Errorf("/: %d %v", page.Code, page.Header())
	}
	script := get(t, "/views/devices.js")
	if script.Code != http.StatusOK || script.Header().Get("Content-Type") != "text/javascript; charset=utf-8" ||
		script.Header().Get("Content-Security-Policy") != ContentSecurityPolicy {
		t.Errorf("a script: %d %v", script.Code, script.Header())
	}
	if again := get(t, "/views/devices.js", "If-None-Match", script.Header().Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() != 0 {
		t.Errorf("what the browser has already: %d, %d bytes", again.Code, again.Body.Len())
	}
	for _, absent := range []string{"/nothing.js", "/views", "/../web.go", "/assets/app.js"} {
		if got := get(t, absent); got.Code != http.StatusNotFound {
			t.Errorf("%s: %d", absent, got.Code)
		}
	}
}

// TestNothingFromElsewhere reads every file for addresses: the dashboard works without a network, and what it imports is there.
func TestNothingFromElsewhere(t *testing.T) {
	address := regexp.MustCompile(`(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}`)
	imported := regexp.MustCompile(`from '(\.[^']+)'`)
	there := map[string]bool{}
	for _, name := range Names() {
		there[name] = true
	}
	if len(there) < 10 {
		t.Fatalf("only %d files", len(there))
	}
	for name := range there {
		text, err := fs.ReadFile(embedded, "assets/"+name)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range address.FindAllString(string(text), -1) {
			if found != "http://www.w3.org" { // the name of SVG, which nobody fetches
				t.Errorf("%s names %s", name, found)
			}
		}
		for _, m := range imported.FindAllStringSubmatch(string(text), -1) {
			if wanted := path.Join(path.Dir(name), m[1]); !there[wanted] {
				t.Errorf("%s imports %s, which is not there", name, wanted)
			}
		}
		if strings.Contains(string(text), "innerHTML") {
			t.Errorf("%s makes elements of text", name)
		}
	}
}
