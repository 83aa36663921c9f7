package admin

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

func TestToken(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Token = "geheim" })
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, c := range []struct {
		path, authorization string
		status              int
	}{
		{"/info", "", http.StatusUnauthorized},
		{"/info", "Bearer geheim", http.StatusOK},
		{"/info", "bearer  geheim", http.StatusOK},
		{"/info", "Bearer geheimer", http.StatusUnauthorized},
		{"/info", "Bearer ", http.StatusUnauthorized},
		{"/info", "geheim", http.StatusUnauthorized},
		{"/info", basic("anyone:geheim"), http.StatusOK},
		{"/info", basic("geheim:"), http.StatusUnauthorized},
		{"/openapi.json", "", http.StatusUnauthorized},
		{"/docs", "", http.StatusUnauthorized},
		{"/nothing", "", http.StatusUnauthorized},
		{"/health", "", http.StatusOK},
	} {
		headers := []string{}
		if c.authorization != "" {
			headers = append(headers, "Authorization", c.authorization)
		}
		rec := w.get(c.path, headers...)
		if rec.Code != c.status {
			t.Errorf("%s with %q: %d, want %d", c.path, c.authorization, rec.Code, c.status)
		}
		if rec.Code == http.StatusUnauthorized && len(rec.Header().Values("WWW-Authenticate")) != 2 {
			t.Errorf("%s: no challenge", c.path)
		}
	}
	// The origin is judged all the same.
	if rec := w.get("/info", "Authorization", "Bearer geheim", "Origin", "http://evil.example"); rec.Code != http.StatusForbidden {
		t.Errorf("a foreign page with the token: %d", rec.Code)
	}
	if strings.Contains(w.logs.String(), "geheim") {
		t.Error("the token is in the log")
	}
}
