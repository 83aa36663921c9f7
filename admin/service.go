package admin

import (
	"net/http"
	"strings"
)

// servicePrefix is where the chosen hub's own API is, for the dashboard and for people without a token.
const servicePrefix = "/service"

// service passes a request on to the service API of the chosen hub, with the rights of its owner: who may ask the
// management API may ask for the owner's key, too.
func (s *server) service(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	name := query.Get(hubParameter)
	if s.Service == nil {
		writeProblem(w, http.StatusNotImplemented, "The service API is not offered here.")
		return
	}
	handler, err := s.Service(name)
	if err != nil {
		writeProblem(w, http.StatusConflict, err.Error())
		return
	}
	query.Del(hubParameter)
	inner := r.Clone(r.Context())
	inner.URL.Path = strings.TrimPrefix(r.URL.Path, servicePrefix)
	inner.URL.RawPath = strings.TrimPrefix(r.URL.RawPath, servicePrefix)
	inner.URL.RawQuery = query.Encode()
	inner.RequestURI = inner.URL.RequestURI()
	// The management API's own, which mean nothing to the hub.
	for _, header := range []string{"Authorization", "Origin", "Cookie", "Connection", "Upgrade"} {
		inner.Header.Del(header)
	}
	handler.ServeHTTP(w, inner)
}
