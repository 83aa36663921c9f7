package admin

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/hubnerite/hubnerite/web"
)

// serveDashboard puts the dashboard at the root, where nothing else is.
func (s *server) serveDashboard(mux chi.Router) {
	pages, err := web.Handler()
	if err != nil {
		panic(err) // the pages are part of the program: they are there or it was built wrongly
	}
	mux.Get("/", pages.ServeHTTP)
	for _, name := range web.Names() {
		mux.Method(http.MethodGet, "/"+name, pages)
		mux.Method(http.MethodHead, "/"+name, pages)
	}
}
