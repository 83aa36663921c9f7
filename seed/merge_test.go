package seed_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/internal/certtest"
	"github.com/hubnerite/hubnerite/seed"
)

// parsed reads texts as a.yaml, b.yaml and so on.
func parsed(t *testing.T, texts ...string) []*seed.File {
	t.Helper()
	var files []*seed.File
	for i, text := range texts {
		f, err := seed.Parse(string(rune('a'+i))+".yaml", []byte(text), seed.Options{})
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

func TestMerge(t *testing.T) {
	merged, err := seed.Merge(parsed(t, `
consumerGroups: [one, two]
fallbackRoute: true
devices:
  - id: edge
    iotEdge: true
    desired: {a: {x: 1}, list: [1, 2]}
  - {id: leaf, parent: edge}
hubs:
  - {name: Other, consumerGroups: [o1], devices: [{id: d}]}
`, ``, `
consumerGroups: [two, three]
fallbackRoute: true
policies: [{name: mine, rights: [ServiceConnect]}]
devices:
  - id: leaf
    status: disabled
    tags: {site: north}
  - id: edge
    desired: {a: {y: 1.50}, list: [1, 2]}
    modules: [{id: $edgeHub, desired: {routes: {}}}, {id: m, tags: {k: v}}]
hubs:
  - {name: other, consumerGroups: [o2], devices: [{id: d, modules: [{id: m}]}]}
  - {name: third}
`, `
devices: [{id: edge, modules: [{id: m, tags: {l: w}}]}]
`)...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := merged.JSON()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"consumerGroups":["one","two","three"],"fallbackRoute":true,"policies":[{"name":"mine","rights":["ServiceConnect"]}],
"devices":[{"id":"edge","iotEdge":true,"desired":{"a":{"x":1,"y":1.50},"list":[1,2]},"modules":[{"id":"$edgeHub","desired":{"routes":{}}},{"id":"m","tags":{"k":"v","l":"w"}}]},
{"id":"leaf","status":"disabled","parent":"edge","tags":{"site":"north"}}],
"hubs":[{"name":"Other","consumerGroups":["o1","o2"],"devices":[{"id":"d","modules":[{"id":"m"}]}]},{"name":"third"}]}`
	expected, err := seed.Parse("want.json", []byte(want), seed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := expected.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != string(wanted) {
		t.Errorf("%s\nwant %s", text, wanted)
	}
	if merged.Name != "a.yaml b.yaml c.yaml d.yaml" {
		t.Error(merged.Name)
	}
}

func TestMergeRefuses(t *testing.T) {
	for name, test := range map[string]struct{ a, b, want string }{
		"another status":           {"devices: [{id: d, status: enabled}]", "devices: [{id: d, status: disabled}]", `b.yaml:1:27: status is there already, at a.yaml:1:27, with another value`},
		"another key":              {"devices: [{id: d, authentication: {primaryKey: " + key1 + "}}]", "devices: [{id: d, authentication: {type: certificateAuthority}}]", "authentication is there already"},
		"another value of a twin":  {"devices: [{id: d, desired: {a: {b: 1, c: 2}}}]", "devices:\n  - {id: d, desired: {a: {b: 2}}}", "b.yaml:2:30: b is there already, at a.yaml:1:36, with another value"},
		"a number for an object":   {"devices: [{id: d, tags: {a: {b: 1}}}]", "devices: [{id: d, tags: {a: 1}}]", "a is there already"},
		"null for a value":         {"devices: [{id: d, tags: {a: 1}}]", "devices: [{id: d, tags: {a: null}}]", "a is there already"},
		"another list":             {"devices: [{id: d, tags: {a: [1]}}]", "devices: [{id: d, tags: {a: [1, 2]}}]", "a is there already"},
		"another route":            {"routes: [{name: r}]", "routes:\n  - {name: R, condition: a = 'b'}", `b.yaml:2:5: the route "R" is there already, at a.yaml:1:10`},
		"another policy":           {"policies: [{name: p, rights: [ServiceConnect]}]", "policies: [{name: p, rights: [DeviceConnect]}]", `the policy "p" is there already, at a.yaml:1:12`},
		"the fallback":             {"fallbackRoute: true", "fallbackRoute: false", "b.yaml:1:16: fallbackRoute is there already, at a.yaml:1:16"},
		"its own ancestor":         {"devices: [{id: a, iotEdge: true, parent: b}]", "devices: [{id: b, iotEdge: true, parent: a}]", `is its own ancestor`},
		"a parent that is no edge": {"devices: [{id: a, parent: b}]", "devices: [{id: b}]", `a.yaml:1:27: the parent "b" is not an IoT Edge device`},
		"one that is played twice": {`simulations: [{device: "s{n}", count: 3}]`, "simulations: [{device: s2}]", `b.yaml:1:24: s2 is played by the simulation "s{n}" already`},
		"a simulation's name":      {`simulations: [{name: s, device: a}]`, "simulations: [{name: s, device: b}]", `b.yaml:1:22: the simulation "s" is there already, at a.yaml:1:22`},
		"a host name of two hubs":  {`hubs: [{name: a, hostNames: [x.example]}]`, "hubs: [{name: b, hostNames: [x.example]}]", `b.yaml:1:30: the host name "x.example" is there already`},
	} {
		_, err := seed.Merge(parsed(t, test.a, test.b)...)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
}

const key1 = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// TestMergeFilesElsewhere: the files that a seed names are found from its own folder, whichever other seeds there are.
func TestMergeFilesElsewhere(t *testing.T) {
	dir := t.TempDir()
	authority := certtest.Root(t, "factory", time.Now())
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("one/ca.pem", authority.PEM())
	var files []*seed.File
	for _, path := range []string{
		write("one/hub.yaml", []byte("certificates: [{name: factory, file: ca.pem}]\n")), write("two/hub.yaml", []byte("devices: [{id: d}]\n")),
	} {
		f, err := seed.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	merged, err := seed.Merge(files...)
	if err != nil || len(merged.Certificates) != 1 || merged.Certificates[0].Certificate != string(authority.PEM()) || !merged.NamesFiles || len(merged.Devices) != 1 {
		t.Errorf("%+v %v", merged, err)
	}
}
