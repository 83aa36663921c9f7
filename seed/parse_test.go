package seed_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hubnerite/hubnerite/internal/certtest"
	"github.com/hubnerite/hubnerite/seed"
)

const key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

// TestMistakes: each is told with its place.
func TestMistakes(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"syntax", "devices:\n  - id: a\n    tags: {x: [1, 2}\n", "hub.yaml:3:"},
		{"tab", "devices:\n\t- id: a\n", "hub.yaml:2:1: found character that cannot start any token"},
		{"no object", "- a\n", "hub.yaml:1:1: a seed must be an object, not a list"},
		{"two documents", "devices: []\n---\ndevices: []\n", "hub.yaml:"},
		{"unknown member", "devices:\n  - id: a\n    key: x\n", `hub.yaml:3:5: devices[0] has no member "key"; there are id, status`},
		{"misspelt member", "device:\n  - id: a\n", `hub.yaml:1:1: a seed has no member "device"; it is called "devices"`},
		{"twice", "devices: []\ndevices: []\n", `hub.yaml:2:1: "devices" is there twice`},
		{"missing", "devices:\n  - status: enabled\n", `hub.yaml:2:5: devices[0] needs the member "id"`},
		{"type", "devices:\n  id: a\n", "hub.yaml:2:3: devices must be a list, not an object"},
		{"empty list", "devices:\n", "hub.yaml:1:9: devices must be a list, not null"},
		{"number for text", "devices:\n  - id: 12\n", "hub.yaml:2:9: id must be a text, not a number"},
		{"enum", "devices:\n  - id: a\n    status: off\n", `hub.yaml:3:13: status must be one of enabled, disabled, not "off"`},
		{"device ID", "devices:\n  - id: a/b\n", "hub.yaml:2:9: The device ID contains a character that is not allowed, at position 1."},
		{"empty ID", "devices:\n  - id: ''\n", "hub.yaml:2:9: id must not be empty"},
		{"same device", "devices:\n  - id: a\n  - id: b\n  - id: a\n", `hub.yaml:4:5: the device "a" is there already, in line 2`},
		{"twin name", "devices:\n  - id: a\n    tags:\n      a.b: 1\n", "hub.yaml:4:7: The property name \"a.b\" in tags"},
		{"twin number", "devices:\n  - id: a\n    desired: {n: 99999999999999999999}\n", "hub.yaml:3:14: properties.desired.n must be between"},
		{"reported", "devices:\n  - id: a\n    reported: {$x: 1}\n", "hub.yaml:3:15: The property name"},
		{"key", "devices:\n  - id: a\n    authentication: {primaryKey: c2hvcnQ=}\n", "hub.yaml:3:34: primaryKey is not base64 of 16 to 64 bytes"},
		{"both kinds", "devices:\n  - id: a\n    authentication: {type: selfSigned, primaryKey: " + key + "}\n", "hub.yaml:3:21: type selfSigned has no keys"},
		{"thumbprint", "devices:\n  - id: a\n    authentication: {primaryThumbprint: abc}\n", "hub.yaml:3:41: primaryThumbprint does not have the form"},
		{"ca with keys", "devices:\n  - id: a\n    authentication: {type: certificateAuthority, primaryKey: " + key + "}\n", "type certificateAuthority has neither"},
		{"parent no edge", "devices:\n  - id: a\n    parent: b\n  - id: b\n", `hub.yaml:3:13: the parent "b" is not an IoT Edge device`},
		{"own ancestor", "devices:\n  - {id: a, iotEdge: true, parent: b}\n  - {id: b, iotEdge: true, parent: a}\n", `the device "a" is its own ancestor`},
		{"module twice", "devices:\n  - id: a\n    modules: [{id: m}, {id: m}]\n", `the module "m" is there already`},
		{"system module", "devices:\n  - id: a\n    modules: [{id: $x}]\n", "module IDs that begin with $ belong to the system"},
		{"system module's key", "devices:\n  - id: a\n    modules: [{id: $edgeHub, managedBy: me}]\n", "has nothing but a twin"},
		{"system module of a leaf", "devices:\n  - id: a\n    iotEdge: false\n    modules: [{id: $edgeHub}]\n", "only an IoT Edge device has"},
		{"policy twice", "policies: [{name: p}, {name: p}]\n", `the policy "p" is there already`},
		{"rights", "policies:\n  - name: p\n    rights: [All]\n", "hub.yaml:3:14: rights[0] must be one of RegistryRead"},
		{"group", "consumerGroups: ['a b']\n", "hub.yaml:1:18: a consumer group has a name"},
		{"route source", "routes:\n  - name: r\n    source: Nothing\n", "hub.yaml:3:13: source must be one of DeviceMessages"},
		{"route condition", "routes:\n  - name: r\n    condition: a = \n", "hub.yaml:3:16: the condition is not valid"},
		{"endpoint", "endpoints:\n  - {name: e, url: 'ftp://x'}\n", "hub.yaml:2:5: Endpoint \"e\": the URL must be"},
		{"enrichment", "enrichments:\n  - {key: 'a b', value: x}\n", "hub.yaml:2:5: "},
		{"configuration", "configurations:\n  - id: a\n    content: {}\n", "hub.yaml:2:5: The content must have deviceContent"},
		{"condition", "configurations:\n  - id: a\n    targetCondition: 'tags.x ='\n    content: {deviceContent: {properties.desired.a: 1}}\n", "hub.yaml:3:22: the target condition is none"},
		{"module condition", "configurations:\n  - id: a\n    targetCondition: 'tags.x = 1'\n    content: {moduleContent: {properties.desired.a: 1}}\n", "moduleContent needs a target condition"},
		{"metric", "configurations:\n  - id: a\n    content: {deviceContent: {properties.desired.a: 1}}\n    metrics: {m: SELECT}\n", `hub.yaml:4:18: the metric "m"`},
		{"certificate", "certificates:\n  - name: c\n", "hub.yaml:2:5: a certificate needs either file or certificate"},
		{"certificate text", "certificates:\n  - name: c\n    certificate: '!'\n", "hub.yaml:3:18: this is no certificate"},
		{"certificate file", "certificates:\n  - name: c\n    file: c.pem\n", "hub.yaml:3:11: files can be named only in a seed file of this machine"},
		{"hub name", "hubs:\n  - name: a.b\n", "hub.yaml:2:11: name does not have the form"},
		{"host name", "hubs:\n  - name: a\n    hostNames: ['https://x']\n", "hub.yaml:3:17: \"https://x\" is not a host name"},
		{"hub twice", "hubs: [{name: a}, {name: A}]\n", `the hub "A" is there already`},
		{"in a hub", "hubs:\n  - name: a\n    devices: [{id: a b}]\n", "hub.yaml:3:20: The device ID contains"},
		{"count", "simulations:\n  - device: a\n    count: 2\n", "2 devices need {n} in the device ID"},
		{"count range", "simulations:\n  - device: a{n}\n    count: 0\n", "hub.yaml:3:12: count must be from 1 to 100000"},
		{"placeholder", "simulations:\n  - device: a\n    telemetry: [{every: 1s, body: {t: '{{wander 1 2}}'}}]\n", `hub.yaml:3:35: body: t: the placeholder at character 1: there is no function "wander"`},
		{"duration", "simulations:\n  - device: a\n    telemetry: [{every: fast}]\n", "hub.yaml:3:25: every must be a length of time"},
		{"duration range", "simulations:\n  - device: a\n    telemetry: [{every: 0.1ms}]\n", "hub.yaml:3:25: every must be from 1ms to 24h"},
		{"played twice", "simulations:\n  - {device: 'a-{n}', count: 3}\n  - {name: other, device: a-2}\n", `a-2 is played by the simulation "a-{n}" already`},
		{"method name", "simulations:\n  - device: a\n    methods: {'a b': {}}\n", "hub.yaml:3:22: methodName contains a character"},
		{"payload in telemetry", "simulations:\n  - device: a\n    telemetry: [{every: 1s, body: '{{payload}}'}]\n", "only the answer of a direct method has a payload"},
		{"output", "simulations:\n  - device: a\n    telemetry: [{every: 1s, output: o}]\n", "only a module has outputs"},
		{"rate", "simulations:\n  - {device: 'a{n}', count: 100000, telemetry: [{every: 1ms}]}\n", "messages a second"},
		{"alias", "a: &x 1\ndevices: [*x]\n", `has no member "a"`},
		{"own alias", "devices: &a [*a, *a]\n", "hub.yaml:1:14: this alias stands for something that it is a part of"},
		{"no meaning", "devices:\n  - id: a\n    tags: {x: !!binary aGk=}\n", "hub.yaml:3:15: the type !!binary has no meaning"},
		{"not a number", "devices:\n  - id: a\n    tags: {x: .nan}\n", "hub.yaml:3:15: \".nan\" is not a number that JSON has"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := seed.Parse("hub.yaml", []byte(tc.text), seed.Options{})
			var problems seed.Problems
			if !errors.As(err, &problems) || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got  %v\nwant %s", err, tc.want)
			}
			if strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "c2hvcnQ=") {
				t.Error("the message holds a key")
			}
		})
	}
}

func TestMistakesInJSON(t *testing.T) {
	for text, want := range map[string]string{
		"{\n  \"devices\": [\n    {\"id\": 1}\n  ]\n}": "hub.json:3:12: id must be a text, not a number",
		"{\n\t\"devices\": [}\n}":                      "hub.json:2:14: ",
		"{\"devices\": [{\"id\": \"a\",":               "hub.json:1:25: the file ends in the middle",
		"{\"devices\": []} x":                          "hub.json:1:17: there is something after the end",
		"{\"a\": 1, \"a\": 2}":                         "hub.json:1:10: \"a\" is there twice",
		"{\"devices\": [{\"id\": \"é/b\"}]}":           "hub.json:1:21: The device ID",
		"{\"é\": 1}":                                   "hub.json:1:2: a seed has no member",
		strings.Repeat("[", 200):                       "nested deeper than 100",
	} {
		_, err := seed.Parse("hub.json", []byte(text), seed.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// TestSeveralMistakes come in the order of the file, a hundred of them cut short.
func TestSeveralMistakes(t *testing.T) {
	_, err := seed.Parse("h.yaml", []byte("consumerGroups: ['!']\ndevices:\n  - id: '!/'\n  - id: ok\n    parent: ok\n"), seed.Options{})
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], "h.yaml:1:") || !strings.HasPrefix(lines[1], "h.yaml:3:") || !strings.HasPrefix(lines[3], "h.yaml:5:") {
		t.Errorf("%s", err)
	}
	_, err = seed.Parse("h.yaml", []byte("consumerGroups:\n"+strings.Repeat("  - '!'\n", 100)), seed.Options{})
	if n := strings.Count(err.Error(), "\n") + 1; n != 51 {
		t.Errorf("%d lines", n)
	}
}

const whole = `
# Everything that a seed may hold.
policies:
  - {name: iothubowner, primaryKey: ` + key + `}
  - {name: reader, rights: [RegistryRead, ServiceConnect]}
consumerGroups: [analytics]
endpoints: [{name: hook, url: "http://localhost:9/x"}]
routes:
  - {name: hot, condition: "temperature > 40", endpoint: hook}
  - {name: changes, source: TwinChangeEvents, enabled: false}
fallbackRoute: false
enrichments: [{key: site, value: $twin.tags.site}]
configurations:
  - id: fw
    targetCondition: tags.site = 'x'
    priority: 3
    labels: {a: b}
    content: {deviceContent: {properties.desired.fw: 1}}
    metrics: {done: SELECT deviceId FROM devices}
common: &common
devices:
  - id: gateway
    iotEdge: true
    modules: [{id: $edgeHub, desired: {routes: {}}}]
  - &first
    id: thermostat
    status: disabled
    statusReason: away
    parent: gateway
    authentication: {primaryKey: ` + key + `}
    tags: {site: x, since: 2024-01-02, empty: null}
    desired: {n: 1.50, hex: 0x10, list: [1, two, {three: 3}]}
    reported: {on: true}
    modelId: dtmi:com:example:Thermostat;1
    modules: [{id: m, managedBy: me, tags: {a: 1}}]
  - {<<: *first, id: second}
simulations:
  - device: sim-{n:03}
    count: 10
    seed: 7
    telemetry: [{every: 1m30s, body: {t: "{{walk 20 30 1}}"}, properties: {a: b}}]
    methods: {reboot: {status: 201, payload: {ok: true}, delay: 2s}, "*": {ignore: true}}
    twin: {delay: 1s}
    c2d: {action: reject}
hubs:
  - name: other
    hostNames: [other.azure-devices.net]
    devices: [{id: thermostat}]
`

func TestWhole(t *testing.T) {
	text := strings.Replace(whole, "common: &common\n", "", 1)
	f, err := seed.Parse("hub.yaml", []byte(text), seed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := f.Devices[2]; d.ID != "second" || d.Status != "disabled" || *d.Parent != "gateway" {
		t.Errorf("the merged device is %+v", d)
	}
	twin := f.Devices[1].Twin
	if twin.Tags["since"] != "2024-01-02" {
		t.Errorf("a date must stay a text: %#v", twin.Tags["since"])
	}
	if v, there := twin.Tags["empty"]; v != nil || !there {
		t.Error("null is lost")
	}
	if got := f.Simulations[0].Telemetry[0].Every; time.Duration(got) != 90*time.Second || got.String() != "1m30s" {
		t.Errorf("every is %v", got)
	}
	if at := f.Place("devices", 1, "tags", "site"); at != (seed.Position{Line: 30, Column: 18}) {
		t.Errorf("the place of a tag is %v", at)
	}
	// What is written is what was read.
	for name, write := range map[string]func() ([]byte, error){
		"again.json": f.JSON, "again.yaml": func() ([]byte, error) { return f.YAML("schema.json") },
	} {
		text, err := write()
		if err != nil {
			t.Fatal(err)
		}
		again, err := seed.Parse(name, text, seed.Options{})
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, text)
		}
		if diff := cmp.Diff(f.Document, again.Document); diff != "" {
			t.Errorf("%s differs: %s\n%s", name, diff, text)
		}
	}
}

// TestManyAliases: a file of aliases of aliases does not fill the memory.
func TestManyAliases(t *testing.T) {
	var text strings.Builder
	text.WriteString("x0: &x0 [a, b, c, d, e, f, g, h, i, j]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&text, "x%d: &x%d [%s*x%d]\n", i, i, strings.Repeat(fmt.Sprintf("*x%d, ", i-1), 9), i-1)
	}
	if _, err := seed.Parse("hub.yaml", []byte(text.String()), seed.Options{}); err == nil || !strings.Contains(err.Error(), "too many values") {
		t.Errorf("%.300v", err)
	}
}

func TestEmpty(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "{}", "\ufeff{}"} {
		if _, err := seed.Parse("hub.yaml", []byte(text), seed.Options{}); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestCertificateFiles: they are named from where the seed is.
func TestCertificateFiles(t *testing.T) {
	dir := t.TempDir()
	ca := certtest.Root(t, "seed test", time.Now())
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "hub.yaml")
	if err := os.WriteFile(path, []byte("certificates: [{name: c, file: ca.pem}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := seed.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if c := f.Certificates[0]; c.File != "" || c.Certificate != string(ca.PEM()) {
		t.Errorf("%+v", c)
	}
	if err := os.Remove(filepath.Join(dir, "ca.pem")); err != nil {
		t.Fatal(err)
	}
	if _, err := seed.Load(path); err == nil || !strings.Contains(err.Error(), "hub.yaml:1:32: ") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestDeviceIDs(t *testing.T) {
	for pattern, want := range map[string]string{
		"plain": "plain", "a-{n}": "a-7", "a-{n:04}-b": "a-0007-b", "{n:0}": "{n:0}", "{n": "{n", "{n}{n}": "7{n}",
	} {
		if got := (&seed.Simulation{Device: pattern}).DeviceID(7); got != want {
			t.Errorf("%s gives %s, want %s", pattern, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("hub.yaml", whole)
	f.Add("hub.json", `{"devices": [{"id": "a", "tags": {"x": [1, null]}}]}`)
	f.Add("hub.yaml", "a: &a [*a, *a]\n")
	f.Add("hub.yaml", "devices: [{<<: [{id: a}, {id: b}]}]")
	f.Fuzz(func(t *testing.T, name, text string) {
		file, err := seed.Parse(name, []byte(text), seed.Options{})
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without a text")
			}
			return
		}
		written, err := file.YAML("")
		if err != nil {
			t.Fatal(err)
		}
		again, err := seed.Parse("again.yaml", written, seed.Options{})
		if err != nil {
			t.Fatalf("%v in\n%s", err, written)
		}
		if diff := cmp.Diff(file.Document, again.Document, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s\n%s", diff, written)
		}
	})
}
