package admin

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// secure keeps web pages of other origins out. A page cannot choose the Host
// that a browser sends, so a name that does not belong to the emulator is a DNS
// rebinding attempt; a foreign Origin or Sec-Fetch-Site is a page that asks for
// itself. Programs other than browsers send neither.
func (s *server) secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Server", "Hubnerite/"+s.Version)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-store")
		switch {
		case !s.ownHost(r.Host):
			s.refuse(w, r, "The Host header names a host that is not the emulator's; add it with --hostname.")
		case !sameOrigin(r):
			s.refuse(w, r, "Requests from pages of another origin are not accepted.")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (s *server) refuse(w http.ResponseWriter, r *http.Request, detail string) {
	s.Logger.Warn("management request refused", "path", r.URL.Path, "host", r.Host, "origin", r.Header.Get("Origin"), "err", detail)
	writeProblem(w, http.StatusForbidden, detail)
}

// ownHost reports whether a Host header, with or without port, is ours.
func (s *server) ownHost(hostPort string) bool {
	host := hostPort
	if h, _, err := net.SplitHostPort(hostPort); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	addr, err := netip.ParseAddr(host)
	isAddr := err == nil
	switch {
	case isAddr && addr.Unmap().IsLoopback(), host == "localhost", strings.HasSuffix(host, ".localhost"):
		return true
	}
	for _, own := range s.Hosts {
		own = strings.ToLower(strings.TrimSuffix(strings.Trim(own, "[]"), "."))
		ownAddr, err := netip.ParseAddr(own)
		if own != "" && own == host || err == nil && isAddr && (ownAddr.IsUnspecified() || ownAddr.Unmap() == addr.Unmap()) {
			return true
		}
	}
	return false
}

// sameOrigin reports whether the request, if a browser sent it, comes from the
// emulator's own pages or from its user.
func sameOrigin(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return false
	}
	origins, sent := r.Header["Origin"]
	if !sent {
		return true
	}
	if len(origins) != 1 {
		return false
	}
	u, err := url.Parse(origins[0])
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}
