package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
)

//go:embed assets
var embedded embed.FS

// ContentSecurityPolicy is what the dashboard needs, and nothing more: its own
// scripts, styles and requests, and pictures that are written in the page.
const ContentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// asset is a file with its HTTP headers.
type asset struct {
	body        []byte
	contentType string
	etag        string
}

// Handler serves the dashboard: the page at "/", and its parts below. Every other
// path is 404. The browser asks again each time and gets 304 when nothing
// changed, so that a new version is never mixed with an old one.
func Handler() (http.Handler, error) {
	assets, err := load()
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
		if name == "" {
			name = "index.html"
		}
		a, ok := assets[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", a.contentType)
		h.Set("Content-Security-Policy", ContentSecurityPolicy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", a.etag)
		if r.Header.Get("If-None-Match") == a.etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if r.Method == http.MethodHead {
			return
		}
		// A failed write means that the peer is gone.
		_, _ = w.Write(a.body)
	}), nil
}

// Names returns the paths of the parts, without a slash in front.
func Names() []string {
	assets, err := load()
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(assets))
}

func load() (map[string]asset, error) {
	root, err := fs.Sub(embedded, "assets")
	if err != nil {
		return nil, err
	}
	assets := map[string]asset{}
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		kind, err := contentType(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		assets[name] = asset{body: body, contentType: kind, etag: `"` + hex.EncodeToString(sum[:8]) + `"`}
		return nil
	})
	return assets, err
}

// contentType is not left to the system's tables, which differ between machines.
func contentType(name string) (string, error) {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8", nil
	case ".js":
		return "text/javascript; charset=utf-8", nil
	case ".css":
		return "text/css; charset=utf-8", nil
	case ".svg":
		return mime.FormatMediaType("image/svg+xml", nil), nil
	default:
		return "", errors.New("web: no content type for " + name)
	}
}
