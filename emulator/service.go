package emulator

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
)

// ownTokenLife is how long a token for the management API's own requests is valid.
const ownTokenLife = time.Minute

// serviceOf returns the service API of a hub for callers who need no token: requests get one of a policy that
// has all rights of a back end.
func (e *Emulator) serviceOf(api http.Handler) func(name string) (http.Handler, error) {
	return func(name string) (http.Handler, error) {
		h := e.named(name)
		if h == nil {
			return nil, fmt.Errorf("there is no hub %.64q", name)
		}
		host := h.hostNames[0]
		for _, policy := range h.now.Load().hub.Policies() {
			if !policy.Rights.Has(iothub.RegistryRead | iothub.RegistryWrite | iothub.ServiceConnect) {
				continue
			}
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				token, err := registry.SignSASToken(host, policy.Name, policy.PrimaryKey, e.cfg.Now().Add(ownTokenLife))
				if err != nil {
					http.Error(w, "no token can be made: "+err.Error(), http.StatusInternalServerError)
					return
				}
				r.Host = host
				r.Header.Set("Authorization", token)
				api.ServeHTTP(w, r.WithContext(hub.WithoutFaults(r.Context())))
			}), nil
		}
		return nil, errors.New("the hub has no access policy with all rights of a back end, which this needs")
	}
}
