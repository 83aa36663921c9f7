package admin

import (
	"bytes"
	"cmp"
	"html/template"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
)

// docsPage needs no script and nothing from elsewhere, so that it works without
// a network.
const docsPage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 50rem; padding: 0 1rem; color: #1d2733; background: #fff }
h2 { font: 600 1.1rem ui-monospace, monospace; margin: 2.5rem 0 .25rem; border-top: 1px solid #d5dce3; padding-top: 1rem }
table { border-collapse: collapse; margin: .5rem 0 } th, td { text-align: left; padding: .2rem 1rem .2rem 0; vertical-align: top }
code { font: .95em ui-monospace, monospace } p { margin: .25rem 0 }
@media (prefers-color-scheme: dark) { body { color: #dde4ea; background: #14191f } a { color: #7db7ff } h2 { border-color: #3a444f } }
</style>
</head>
<body>
<h1>{{.Title}} {{.Version}}</h1>
<p>{{.Description}} Machine-readable: <a href="/openapi.json">openapi.json</a>, <a href="/openapi.yaml">openapi.yaml</a>.</p>
{{range .Operations}}
<h2>{{.Method}} <a href="{{.Path}}">{{.Path}}</a></h2>
<p>{{.Summary}}. {{.Description}}</p>
{{if .Parameters}}<table>
<tr><th>Parameter</th><th>Default</th><th>Meaning</th></tr>
{{range .Parameters}}<tr><td><code>{{.Name}}</code></td><td>{{if .Schema.Default}}<code>{{.Schema.Default}}</code>{{end}}</td><td>{{.Schema.Description}}</td></tr>
{{end}}</table>{{end}}
{{end}}
</body>
</html>
`

type docsData struct {
	Title, Version, Description string
	Operations                  []*huma.Operation
}

// docs answers the page made from the OpenAPI document.
func (s *server) docs(w http.ResponseWriter, _ *http.Request) {
	doc := s.api.OpenAPI()
	data := docsData{Title: doc.Info.Title, Version: doc.Info.Version, Description: doc.Info.Description}
	for _, item := range doc.Paths {
		for _, operation := range []*huma.Operation{item.Get, item.Put, item.Delete, item.Post} {
			if operation != nil {
				data.Operations = append(data.Operations, operation)
			}
		}
	}
	slices.SortStableFunc(data.Operations, func(a, b *huma.Operation) int { return cmp.Compare(a.Path, b.Path) })
	var page bytes.Buffer
	if err := template.Must(template.New("docs").Parse(docsPage)).Execute(&page, data); err != nil {
		s.Logger.Error("documentation page", "err", err)
		writeProblem(w, http.StatusInternalServerError, "Internal server error.")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	// A failed write means that the peer is gone.
	_, _ = w.Write(page.Bytes())
}
