package admin

import (
	"net/http"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

func TestUnknownQueryParametersAreRefused(t *testing.T) {
	w := newWorld(t)
	for target, want := range map[string]string{
		"/messages?devise=d":       `There is no query parameter "devise" here. Known are `,
		"/messages?device=d&x=":    `There is no query parameter "x" here. Known are `,
		"/messages/live?devise=d":  `There is no query parameter "devise" here. Known are device, from, hub, source.`,
		"/health?verbose=1":        `There is no query parameter "verbose" here.`,
		"/unsupported?hub=&page=2": `There is no query parameter "page" here. Known are hub.`,
	} {
		var problem huma.ErrorModel
		w.decode(w.get(target), http.StatusUnprocessableEntity, &problem)
		if len(problem.Detail) < len(want) || problem.Detail[:len(want)] != want {
			t.Errorf("%s: %q, want %q", target, problem.Detail, want)
		}
	}
	for _, target := range []string{"/messages?hub=", "/health", "/unsupported", "/messages?device=d&limit=1"} {
		if got := w.get(target); got.Code != http.StatusOK {
			t.Errorf("%s: %d %s", target, got.Code, got.Body)
		}
	}
}
