package admin

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// refuseUnknown is a middleware that refuses query parameters that an operation does
// not have: one that is misspelt would otherwise be no filter at all, and answer with everything.
func (s *server) refuseUnknown(ctx huma.Context, next func(huma.Context)) {
	var known []string
	for _, p := range ctx.Operation().Parameters {
		if p.In == "query" {
			known = append(known, p.Name)
		}
	}
	address := ctx.URL()
	if name, text := unknownParameter(address.Query(), known); name != "" {
		// A failed write means that the peer is gone.
		_ = huma.WriteErr(s.api, ctx, http.StatusUnprocessableEntity, text, &huma.ErrorDetail{Message: "unknown", Location: "query." + name})
		return
	}
	next(ctx)
}

// knows is refuseUnknown for a handler that is no operation; false when it has answered.
func knows(w http.ResponseWriter, r *http.Request, known ...string) bool {
	name, text := unknownParameter(r.URL.Query(), known)
	if name != "" {
		writeProblem(w, http.StatusUnprocessableEntity, text)
	}
	return name == ""
}

// unknownParameter returns the first unknown parameter, with what to say of it.
func unknownParameter(query url.Values, known []string) (name, text string) {
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if slices.Contains(known, name) {
			continue
		}
		text := fmt.Sprintf("There is no query parameter %.64q here.", name)
		if len(known) > 0 {
			text += " Known are " + strings.Join(slices.Sorted(slices.Values(known)), ", ") + "."
		}
		return name, text
	}
	return "", ""
}
