package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// demandToken lets only requests through that carry the token: as a bearer token, or as the password, whatever the user, of the
// basic scheme, which browsers ask their user for. GET /health tells nothing and is for whoever watches the process.
// Source: RFC 6750 2.1; RFC 7617.
func (s *server) demandToken(next http.Handler) http.Handler {
	if s.Token == "" {
		return next
	}
	want := sha256.Sum256([]byte(s.Token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := sha256.Sum256([]byte(tokenOf(r)))
		if r.URL.Path == "/health" || subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			next.ServeHTTP(w, r)
			return
		}
		s.Logger.Warn("management request refused", "path", r.URL.Path, "remote", r.RemoteAddr, "err", "it has not the token of --admin-token")
		w.Header().Add("WWW-Authenticate", `Bearer realm="Hubnerite"`)
		w.Header().Add("WWW-Authenticate", `Basic realm="Hubnerite", charset="UTF-8"`)
		writeProblem(w, http.StatusUnauthorized, "The management API of this emulator demands its token: Authorization: Bearer TOKEN.")
	})
}

func tokenOf(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
