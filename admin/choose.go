package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hubnerite/hubnerite/hub"
)

// hubParameter is the query parameter by which a request names its hub.
const hubParameter = "hub"

// chosenKey is where the context of a request holds its hub.
type chosenKey struct{}

// chooseHub puts the hub that ?hub= names, or else the default one, into the context of a request.
// Operations that are about no single hub (aboutAll) read the parameter themselves.
func (s *server) chooseHub(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if aboutAll(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		name := r.URL.Query().Get(hubParameter)
		h, ok := s.Hub(name)
		if !ok {
			writeProblem(w, http.StatusNotFound, fmt.Sprintf("There is no hub %.64q; see /hubs.", name))
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), chosenKey{}, h)))
	})
}

// hub returns the hub of the request. It stays the same for all of the request, even when
// a reset replaces it meanwhile.
func (s *server) hub(ctx context.Context) *hub.Hub { return ctx.Value(chosenKey{}).(*hub.Hub) }

// aboutAll reports whether what is at the path is about the emulator or names its hubs in
// another way.
func aboutAll(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "", "clock", "health", "ca.pem", "docs", "openapi.json", "openapi.yaml", "hubs", "metrics", "inspector", "snapshots", "reset", "seed", "seed.schema.json", "export", "simulations":
		return true
	}
	return false
}

// describeHubParameter adds ?hub= to the description of every operation that takes it. It
// comes after the registrations.
func (s *server) describeHubParameter() {
	for path, item := range s.api.OpenAPI().Paths {
		if aboutAll(path) {
			continue
		}
		for _, operation := range []*huma.Operation{item.Get, item.Put, item.Delete, item.Post, item.Patch} {
			if operation == nil || slices.ContainsFunc(operation.Parameters, func(p *huma.Param) bool { return p.Name == hubParameter }) {
				continue
			}
			operation.Parameters = append(operation.Parameters, &huma.Param{
				Name: hubParameter, In: "query", Description: "Name of the hub; the default one unless given.",
				Schema: &huma.Schema{Type: huma.TypeString, Description: "Name of the hub; the default one unless given."},
			})
		}
	}
}

// unescapePath has the router see a path as it means, so that parameters are not escaped: IDs may have characters that some clients
// escape and others do not. A slash that is escaped stays so.
func unescapePath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawPath != "" && !strings.Contains(strings.ToLower(r.URL.RawPath), "%2f") && !strings.HasPrefix(r.URL.Path, servicePrefix+"/") {
			r = r.Clone(r.Context())
			r.URL.RawPath = ""
		}
		next.ServeHTTP(w, r)
	})
}
