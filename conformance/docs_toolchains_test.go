//go:build conformance

package conformance

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// docsJava is Maven that finds everything in a local repository.
func docsJava(t *testing.T, _ *site, e *docsPlace) {
	repository := needVariable(t, "HUBNERITE_DOCS_MAVEN", "scripts/java-env")
	e.program(t, "mvn", fmt.Sprintf("#!/bin/sh\nPATH=${PATH#*:}\nexec mvn -o -Dstyle.color=never '-Dmaven.repo.local=%s' \"$@\"\n", repository))
}

// docsGoModules is the Go toolchain with a module cache of its own, that gets modules: this project as it is in the checkout, and of others those
// that scripts/go-env kept.
func docsGoModules(t *testing.T, s *site, e *docsPlace) {
	kept := needVariable(t, "HUBNERITE_DOCS_GO", "scripts/go-env")
	docsGo(t, s, e)
	own := filepath.Join(e.home, "proxy")
	publish(t, "..", own, "github.com/hubnerite/hubnerite", "v0.1.0")
	e.set("GOPROXY", "file://"+own+",file://"+kept+"/cache/download")
	e.set("GOMODCACHE", filepath.Join(e.home, "go", "pkg", "mod"))
	e.set("GOSUMDB", "off")
	// The test removes it at its end.
	e.set("GOFLAGS", "-trimpath -modcacherw")
}

// publish lays out the checkout as a module proxy has it. Source: Go modules reference, GOPROXY protocol and module zip files.
func publish(t *testing.T, root, proxy, module, version string) {
	t.Helper()
	folder := filepath.Join(proxy, filepath.FromSlash(module), "@v")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"list": version + "\n", version + ".mod": string(mod), version + ".info": fmt.Sprintf(`{"Version":%q,"Time":"2026-01-01T00:00:00Z"}`, version),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Create(filepath.Join(folder, version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(file)
	paths := checkoutFiles(t, root)
	for _, path := range paths {
		if inOtherModule(path, paths) {
			continue
		}
		first, _, _ := strings.Cut(filepath.ToSlash(path), "/")
		if strings.HasSuffix(path, "_test.go") || first == "docs" || first == "conformance" || first == "bench" {
			continue // what nobody imports
		}
		if err := addFile(w, filepath.Join(root, path), module+"@"+version+"/"+filepath.ToSlash(path)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// inOtherModule tells whether a file is in a folder with a go.mod of its own, at any height below the root.
func inOtherModule(path string, paths []string) bool {
	for folder := filepath.Dir(path); folder != "."; folder = filepath.Dir(folder) {
		if slices.Contains(paths, filepath.Join(folder, "go.mod")) {
			return true
		}
	}
	return false
}

func addFile(w *zip.Writer, path, name string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := w.Create(name)
	if err == nil {
		_, err = io.Copy(out, in)
	}
	return err
}
