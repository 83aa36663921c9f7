//go:build conformance

package conformance

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// docsNeed is what the word of a page's "needs" comment stands for.
type docsNeed struct {
	// scenario is what the scenario requires by it, for site.require; empty for what is always there.
	scenario string
	// prepare adds to the environment of the page's commands.
	prepare func(t *testing.T, s *site, e *docsPlace)
}

// docsPlace is where the commands of a page run.
type docsPlace struct {
	// folder is where they begin, home their HOME, bin a folder of programs that PATH begins with.
	folder, home, bin string
	env               []string
}

func (e *docsPlace) set(name, value string) { e.env = append(e.env, name+"="+value) }

// docsNeeds lists the words. Installs of packages run as the page has them, and find everything on this machine: there is no
// network in a scenario. scripts/python-env, node-env, java-env and go-env fetch what the install commands of all pages want.
func docsNeeds() map[string]docsNeed {
	return map[string]docsNeed{
		"python":     {"python", docsPython},
		"node":       {"node", docsNode},
		"java":       {"java", docsJava},
		"go":         {"", docsGo},
		"go-modules": {"", docsGoModules},
		"c":          {"c", nil},
		"checkout":   {"", docsCheckout},
		"curl":       {"curl", docsCurl},
		// For what changes the hosts file or wants certain ports to be free.
		"namespace": {"namespace", nil},
		"openssl":   {"openssl", nil},
	}
}

// scenarioNeeds translates the words for site.require. One that is not known makes the scenario fail there.
func scenarioNeeds(words []string) []string {
	needs := []string{"bash"}
	for _, word := range words {
		need, ok := docsNeeds()[word]
		switch {
		case !ok:
			needs = append(needs, word)
		case need.scenario != "":
			needs = append(needs, need.scenario)
		}
	}
	return needs
}

// docsEnvironment makes the folder and the environment of a page. Nothing of the developer's own settings is in it.
func docsEnvironment(t *testing.T, s *site, words []string) (folder string, env []string) {
	t.Helper()
	root := t.TempDir()
	e := &docsPlace{folder: filepath.Join(root, "work"), home: filepath.Join(root, "home"), bin: filepath.Join(root, "bin")}
	for _, dir := range []string{e.folder, e.home, e.bin} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(s.binary, filepath.Join(e.bin, "hubnerite")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"LANG", "LC_ALL", "USER", "LOGNAME", "TMPDIR", "JAVA_HOME"} {
		if value, ok := os.LookupEnv(name); ok {
			e.set(name, value)
		}
	}
	e.set("HOME", e.home)
	e.set("PATH", e.bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	e.set("TERM", "dumb")
	// Where there is a terminal, Python prints line by line.
	e.set("PYTHONUNBUFFERED", "1")
	for _, word := range words {
		if need := docsNeeds()[word]; need.prepare != nil {
			need.prepare(t, s, e)
		}
	}
	return e.folder, e.env
}

// docsPython is a python3 that makes virtual environments, and pip that installs from the wheels that are here.
func docsPython(t *testing.T, s *site, e *docsPlace) {
	base, err := exec.Command(s.python, "-c", "import sys; print(sys._base_executable)").Output()
	if err != nil {
		t.Fatal(err)
	}
	// A link would have Python look for its library beside the link.
	e.program(t, "python3", "#!/bin/sh\nexec '"+strings.TrimSpace(string(base))+"' \"$@\"\n")
	e.set("PIP_NO_INDEX", "1")
	e.set("PIP_FIND_LINKS", needVariable(t, "HUBNERITE_DOCS_WHEELS", "scripts/python-env"))
	e.set("PIP_NO_CACHE_DIR", "1")
	e.set("PIP_DISABLE_PIP_VERSION_CHECK", "1")
}

// docsCurl is a curl that fails when it is answered with an error, which on a page would be a mistake.
func docsCurl(t *testing.T, _ *site, e *docsPlace) {
	if err := os.WriteFile(filepath.Join(e.home, ".curlrc"), []byte("fail-with-body\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// docsNode is npm that installs from its cache.
func docsNode(t *testing.T, _ *site, e *docsPlace) {
	cache := needVariable(t, "HUBNERITE_DOCS_NPM", "scripts/node-env")
	e.set("npm_config_cache", cache)
	e.set("npm_config_userconfig", filepath.Join(cache, "npmrc"))
	e.set("npm_config_offline", "true")
	e.set("npm_config_audit", "false")
	e.set("npm_config_fund", "false")
	e.set("npm_config_update_notifier", "false")
}

// docsGo is the Go toolchain with the machine's module and build cache.
func docsGo(t *testing.T, _ *site, e *docsPlace) {
	out, err := exec.Command("go", "env", "-json", "GOMODCACHE", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	var caches map[string]string
	if err := json.Unmarshal(out, &caches); err != nil {
		t.Fatal(err)
	}
	for name, value := range caches {
		e.set(name, value)
	}
	e.set("GOPROXY", "off")
	e.set("GOTOOLCHAIN", "local")
	// As `make build` does, whose results are then found in the build cache.
	e.set("GOFLAGS", "-trimpath")
	e.set("CGO_ENABLED", "0")
}

// docsCheckout has the page begin in a copy of this checkout.
func docsCheckout(t *testing.T, s *site, e *docsPlace) {
	root := ".."
	for _, file := range checkoutFiles(t, root) {
		content, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(e.folder, file)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, content, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(e.folder, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(s.binary, filepath.Join(e.folder, "bin", "hubnerite")); err != nil {
		t.Fatal(err)
	}
}

// checkoutFiles lists what belongs to a checkout: not what was built, installed or measured in it.
func checkoutFiles(t *testing.T, root string) []string {
	var files []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || slices.Contains([]string{"bin", "dist", "node_modules", "__pycache__", "testdata"}, name)) {
				return filepath.SkipDir
			}
			return nil
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if entry.Type().IsRegular() {
			files = append(files, relative)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// program puts a script into the folder that PATH begins with.
func (e *docsPlace) program(t *testing.T, name, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(e.bin, name), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

func needVariable(t *testing.T, name, script string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: run %s, and the scenarios by scripts/conformance", name, script)
	}
	return value
}
