package hubnerite_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/hubnerite/hubnerite"

// rooms lists every package and which of our packages its code may import; docs/architecture.md explains why. A trailing
// "/..." stands for the package and everything below it.
func rooms() map[string][]string {
	front := []string{"iothub", "hub", "inspect", "internal/netreset", "internal/halfopen"}
	return map[string][]string{
		"iothub":         {},
		"query/...":      {"iothub"},
		"store":          {"iothub"},
		"store/...":      {"iothub", "store", "internal/filelock"},
		"registry":       {"iothub", "query", "store"},
		"hub":            {"iothub", "query", "store", "registry"},
		"amqp/wire":      {},
		"amqp":           {"amqp/wire"},
		"broker/...":     append([]string{"broker/..."}, front...),
		"amqphub/...":    append([]string{"amqphub/...", "amqp", "amqp/wire"}, front...),
		"rest/...":       append([]string{"rest/..."}, front...),
		"blob":           {},
		"clock":          {},
		"blobcontainer":  {"hub", "iothub"},
		"admin/...":      append([]string{"admin/...", "clock", "web"}, front...),
		"web":            {},
		"inspect":        {},
		"emulator/trust": {},
		"emulator": {
			"emulator/trust", "iothub", "query", "store/...", "registry", "hub", "broker/...", "amqp", "amqphub/...", "rest/...", "admin/...", "web",
			"seed", "seedhub", "simulate",
			"blob", "blobcontainer", "clock", "internal/filelock", "internal/halfopen", "internal/netreset", "inspect",
		},
		"emulator/emulatortest": {"iothub", "hub", "emulator"},
		"cmd/hubnerite/...":     {"iothub", "emulator", "emulator/trust", "seed", "cmd/hubnerite/..."},
		"conformance/...":       {"conformance/..."},
		"bench/...":             {"iothub", "registry", "emulator", "emulator/emulatortest", "bench/...", "amqp/wire", "internal/..."},
		"internal/...":          {"internal/..."},
		"docs":                  {},
		// A module of its own.
		"testcontainers": {},
		".":              {"internal/docpage"},

		// A seed file is data; seedhub makes it true of a hub.
		"simulate/template": {},
		"seed":              {"iothub", "query", "simulate/template"},
		"simulate":          {"iothub", "hub", "seed", "simulate/template"},
		"seedhub":           {"iothub", "hub", "seed", "simulate"},
	}
}

// libraries lists the modules that only some rooms may import, tests of those rooms included.
func libraries() map[string][]string {
	return map[string][]string{
		"github.com/mochi-mqtt/server": {"broker/..."},
		"github.com/go-chi/chi":        {"rest/...", "admin/..."},
		"github.com/danielgtaylor/huma": {
			"admin/...",
		},
		"github.com/prometheus/client_golang": {
			"admin/...",
		},
		"github.com/testcontainers/testcontainers-go": {"testcontainers"},

		"go.etcd.io/bbolt":                 {"store/bolt"},
		"go.yaml.in/yaml":                  {"seed", "."},
		"github.com/alecthomas/kong":       {"cmd/hubnerite/..."},
		"github.com/alecthomas/participle": {"query"},
		// A test of amqp has a client on the other end.
		"github.com/coder/websocket": {"rest/...", "amqp"},
	}
}

// testOnly lists the modules that no code outside tests may import.
func testOnly() []string {
	return []string{
		"github.com/Azure/go-amqp",
		"github.com/google/go-cmp",
		"github.com/rogpeppe/go-internal",
		"github.com/santhosh-tekuri/jsonschema",
		"go.uber.org/goleak",
		"pgregory.net/rapid",
		"testing",
	}
}

// testHelpers may import "testing" and the test libraries although their files are not named _test.go:
// nothing of them is in the emulator.
func testHelpers() []string {
	return []string{"store/storetest", "emulator/emulatortest", "internal/mqtttest", "internal/certtest", "conformance/...", "bench/..."}
}

// frontEnds speak one protocol each and never know of each other, not even in tests.
func frontEnds() []string { return []string{"broker", "amqphub", "rest", "admin"} }

func TestImports(t *testing.T) {
	files := 0
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			name := entry.Name()
			if name == "testdata" || name == "node_modules" || name == "dist" || name != "." && strings.HasPrefix(name, ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		files++
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		from := path.Dir(filepath.ToSlash(file))
		isTest := strings.HasSuffix(file, "_test.go")
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if complaint := checkImport(from, imported, isTest); complaint != "" {
				t.Errorf("%s: imports %s: %s", file, imported, complaint)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Fatal("no Go file found: the walk is broken")
	}
}

// TestImportRules makes sure that the check above can fail.
func TestImportRules(t *testing.T) {
	for _, tc := range []struct {
		from, imported string
		isTest, ok     bool
	}{
		{"broker", module + "/hub", false, true},
		{"broker", module + "/registry", false, false},
		{"broker", module + "/rest", false, false},
		{"broker", module + "/rest", true, false},
		{"broker", module + "/registry", true, true},
		{"broker", "github.com/mochi-mqtt/server/v2", false, true},
		{"hub", "github.com/mochi-mqtt/server/v2", false, false},
		{"hub", "github.com/mochi-mqtt/server/v2", true, false},
		{"rest", "github.com/go-chi/chi/v5", false, true},
		{"store/bolt", "go.etcd.io/bbolt", false, true},
		{"registry", "go.etcd.io/bbolt", false, false},
		{"amqp", module + "/iothub", false, false},
		{"rest", module + "/amqp", false, false},
		{"amqphub", module + "/amqp", false, true},
		{"iothub", module + "/hub", false, false},
		{"iothub", "github.com/google/go-cmp/cmp", false, false},
		{"iothub", "github.com/google/go-cmp/cmp", true, true},
		{"shed", "fmt", false, false},
	} {
		if complaint := checkImport(tc.from, tc.imported, tc.isTest); (complaint == "") != tc.ok {
			t.Errorf("checkImport(%q, %q, %v) = %q, want ok %v", tc.from, tc.imported, tc.isTest, complaint, tc.ok)
		}
	}
}

// checkImport says what is wrong with package from importing imported, or nothing.
func checkImport(from, imported string, isTest bool) string {
	room := roomOf(from)
	if room == "" {
		return "package " + from + " belongs to no room: add it to rooms and to docs/architecture.md"
	}
	if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
		if isTest {
			// A test may put real neighbours around what it tests, but a front end's tests stay with its own protocol.
			if slices.Contains(frontEnds(), topFolder(from)) && slices.Contains(frontEnds(), topFolder(ours)) &&
				topFolder(from) != topFolder(ours) {
				return "front ends never import each other"
			}
			return ""
		}
		if from == ours || matchesAny(rooms()[room], ours) {
			return ""
		}
		return "not allowed from " + from
	}
	for library, allowed := range libraries() {
		if within(imported, library) && !matchesAny(allowed, from) {
			return "only for " + strings.Join(allowed, ", ")
		}
	}
	if !isTest && !matchesAny(testHelpers(), from) {
		for _, library := range testOnly() {
			if within(imported, library) {
				return "only for tests"
			}
		}
	}
	return ""
}

// roomOf returns the key of rooms that package belongs to, the most exact one first.
func roomOf(pkg string) string {
	if _, ok := rooms()[pkg]; ok {
		return pkg
	}
	best := ""
	for pattern := range rooms() {
		if matches(pattern, pkg) && len(pattern) > len(best) {
			best = pattern
		}
	}
	return best
}

func matchesAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, pkg) })
}

func matches(pattern, pkg string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return within(pkg, base)
	}
	return pattern == pkg
}

// within tells whether pkg is base or below it.
func within(pkg, base string) bool {
	return pkg == base || strings.HasPrefix(pkg, base+"/")
}

func topFolder(pkg string) string {
	top, _, _ := strings.Cut(pkg, "/")
	return top
}
