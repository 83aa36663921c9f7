package seedhub_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/internal/certtest"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/seed"
	"github.com/hubnerite/hubnerite/seedhub"
)

const (
	key      = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	otherKey = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY="
)

const whole = `
policies:
  - {name: iothubowner, primaryKey: ` + key + `}
  - {name: reader, rights: [RegistryRead, ServiceConnect]}
consumerGroups: [analytics]
endpoints: [{name: hook, url: "http://localhost:9/x"}]
routes:
  - {name: hot, condition: "temperature > 40", endpoint: hook}
  - {name: changes, source: TwinChangeEvents, enabled: false}
fallbackRoute: false
enrichments: [{key: site, value: $twin.tags.site, endpoints: [hook, events]}]
configurations:
  - id: fw
    targetCondition: tags.site = 'x'
    priority: 3
    labels: {a: b}
    content: {deviceContent: {properties.desired.fw: 1}}
    metrics: {done: SELECT deviceId FROM devices}
devices:
  - id: child
    parent: gateway
    status: disabled
    statusReason: away
    authentication: {primaryKey: ` + key + `, secondaryKey: ` + otherKey + `}
    tags: {site: x, floor: 2}
    desired: {interval: 30, nested: {a: [1, {b: null2}], c: true}}
    reported: {firmware: "1.0"}
    modelId: dtmi:com:example:Thermostat;1
    modules: [{id: m, managedBy: me, tags: {a: 1}, reported: {up: true}}]
  - id: gateway
    iotEdge: true
    parent: root
    modules: [{id: $edgeHub, desired: {routes: {up: FROM /messages INTO $upstream}}}]
  - {id: root, iotEdge: true}
  - {id: thumb, authentication: {primaryThumbprint: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}}
  - {id: signed, authentication: {type: certificateAuthority}}
simulations:
  - {name: fleet, device: "sim-{n:02}", count: 3, telemetry: [{every: 1h, body: {t: "{{walk 20 30 1}}"}}], methods: {"*": {payload: ok}}}
`

func TestApply(t *testing.T) {
	w := inWorld(t)
	w.apply(whole, 14, 3, 0)
	owner, reader := iothub.AccessPolicy{}, iothub.AccessPolicy{}
	for _, p := range w.Hub.Policies() {
		switch p.Name {
		case "iothubowner":
			owner = p
		case "reader":
			reader = p
		}
	}
	if owner.PrimaryKey != key || owner.SecondaryKey != registry.DefaultPolicies()[0].SecondaryKey || owner.Rights != registry.DefaultPolicies()[0].Rights {
		t.Errorf("iothubowner: %v", owner.Rights)
	}
	if reader.Rights != iothub.RegistryRead|iothub.ServiceConnect || len(reader.PrimaryKey) < 40 {
		t.Errorf("reader: %v", reader.Rights)
	}
	child := w.twin("child", "")
	if i := child.Identity; i.Status != iothub.StatusDisabled || i.StatusReason != "away" || i.Authentication.SymmetricKey.PrimaryKey != key ||
		i.DeviceScope != w.twin("gateway", "").Identity.DeviceScope {
		t.Errorf("child: %+v", i)
	}
	if got := fmt.Sprint(child.Twin.Tags, child.Twin.Desired.Values, child.Twin.Reported.Values, child.Twin.ModelID); got !=
		"map[floor:2 site:x] map[fw:1 interval:30 nested:map[a:[1 map[b:null2]] c:true]] map[firmware:1.0]dtmi:com:example:Thermostat;1" {
		t.Errorf("the twin of child is %s", got)
	}
	if scopes := w.twin("gateway", "").Identity.ParentScopes; len(scopes) != 1 || scopes[0] != w.twin("root", "").Identity.DeviceScope {
		t.Errorf("the parent of gateway is %v", scopes)
	}
	if m := w.twin("child", "m"); m.Identity.ManagedBy != "me" || fmt.Sprint(m.Twin.Reported.Values) != "map[up:true]" {
		t.Errorf("the module is %+v", m)
	}
	if got := fmt.Sprint(w.twin("gateway", "$edgeHub").Twin.Desired.Values); !strings.Contains(got, "upstream") {
		t.Errorf("$edgeHub has %s", got)
	}
	if got := w.twin("thumb", "").Identity.Authentication; got.Type != iothub.AuthSelfSigned || *got.X509Thumbprint.PrimaryThumbprint != strings.Repeat("a", 40) {
		t.Errorf("thumb: %+v", got)
	}
	if r := w.Hub.Routing(); len(r.Routes) != 2 || r.Fallback || len(r.Enrichments) != 1 || len(r.Endpoints) != 1 {
		t.Errorf("%+v", r)
	}
	if s, ok := w.Simulator.Get("fleet"); !ok || s.Devices != 3 {
		t.Errorf("%+v", s)
	}
	// Once more: nothing moves.
	before := w.versions()
	w.apply(whole, 0, 0, 17)
	if after := w.versions(); after != before {
		t.Errorf("applying it again wrote something:\n%s\n%s", before, after)
	}
}

// TestChanges: what differs is changed, and what is not named stays.
func TestChanges(t *testing.T) {
	w := inWorld(t)
	if _, err := w.try(whole); err != nil {
		t.Fatal(err)
	}
	before := w.twin("child", "")
	w.apply(`
devices:
  - id: child
    status: enabled
    tags: {floor: null, room: {a: 1}}
    desired: {nested: {c: false}}
  - id: thumb
    authentication: {type: sas}
  - {id: gateway, parent: ""}
  - {id: root, iotEdge: true}
routes: [{name: HOT, condition: "temperature > 50", endpoint: hook}]
fallbackRoute: true
policies: [{name: reader, rights: [RegistryRead]}]
configurations:
  - id: fw
    targetCondition: tags.site = 'x'
    priority: 4
    labels: {a: b}
    content: {deviceContent: {properties.desired.fw: 1}}
    metrics: {done: SELECT deviceId FROM devices}
simulations:
  - {name: fleet, device: "sim-{n:02}", count: 2}
`, 0, 8, 1)
	after := w.twin("child", "")
	if after.Identity.Status != iothub.StatusEnabled || after.Identity.StatusReason != "away" || after.Identity.Authentication.SymmetricKey.PrimaryKey != key ||
		after.Identity.DeviceScope != before.Identity.DeviceScope {
		t.Errorf("%+v", after.Identity)
	}
	if got := fmt.Sprint(after.Twin.Tags, after.Twin.Desired.Values); got != "map[room:map[a:1] site:x] map[fw:1 interval:30 nested:map[a:[1 map[b:null2]] c:false]]" {
		t.Errorf("%s", got)
	}
	if after.Twin.Reported.Version != before.Twin.Reported.Version || after.Twin.Desired.Version != before.Twin.Desired.Version+1 {
		t.Errorf("versions: %d %d", after.Twin.Reported.Version, after.Twin.Desired.Version)
	}
	if i := w.twin("thumb", "").Identity.Authentication; i.Type != iothub.AuthSAS || i.SymmetricKey.PrimaryKey == "" {
		t.Errorf("%+v", i)
	}
	if i := w.twin("gateway", "").Identity; len(i.ParentScopes) != 0 || i.DeviceScope == "" {
		t.Errorf("%+v", i)
	}
	if r := w.Hub.Routing(); len(r.Routes) != 2 || r.Routes[1].Condition != "temperature > 50" || !r.Fallback {
		t.Errorf("%+v", r)
	}
	if s, _ := w.Simulator.Get("fleet"); s.Devices != 2 {
		t.Errorf("%+v", s)
	}
	// Another content makes a configuration anew.
	w.apply("configurations: [{id: fw, targetCondition: tags.site = 'x', content: {deviceContent: {properties.desired.fw: 2}}}]", 0, 1, 0)
	if got := fmt.Sprint(w.twin("child", "").Twin.Desired.Values["fw"]); got != "2" {
		t.Errorf("fw is %s", got)
	}
	// A device becomes an edge device and has a child, and is none any more.
	w.apply("devices: [{id: thumb, iotEdge: true, parent: root}, {id: signed, parent: thumb}]", 0, 2, 0)
	if i := w.twin("signed", "").Identity; i.DeviceScope != w.twin("thumb", "").Identity.DeviceScope || i.DeviceScope == "" {
		t.Errorf("%+v", i)
	}
	w.apply("devices: [{id: signed, parent: ''}, {id: thumb, iotEdge: false}]", 0, 2, 0)
	if i := w.twin("thumb", "").Identity; i.DeviceScope != w.twin("root", "").Identity.DeviceScope || i.Capabilities.IoTEdge {
		t.Errorf("%+v", i)
	}
}

// TestRefused: what does not fit the hub is told with its place, and nothing of the file is applied.
func TestRefused(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"rights", "policies: [{name: new}]\n", `hub.yaml:1:12: the policy "new" is new and needs rights`},
		{"endpoint", "routes: [{name: r, endpoint: nowhere}]\n", `hub.yaml:1:30: there is no endpoint "nowhere"`},
		{"enrichment", "enrichments:\n  - {key: k, value: v, endpoints: [events, no]}\n", `hub.yaml:2:44: there is no endpoint "no"`},
		{"parent", "devices: [{id: x, parent: nobody}]\n", `hub.yaml:1:27: the parent "nobody" is neither in the seed nor in the hub`},
		{"leaf parent", "devices: [{id: x, parent: leaf}]\n", `hub.yaml:1:27: the parent "leaf" is not an IoT Edge device`},
		{"system module", "devices: [{id: leaf, modules: [{id: $edgeHub, tags: {a: 1}}]}]\n", "only an IoT Edge device has the module $edgeHub"},
		{"twin size", "devices: [{id: leaf, tags: {b: " + strings.Repeat("y", 4000) + ", c: " + strings.Repeat("z", 4000) + "}}]\n", "the limit is 8192"},
		{"played", "simulations: [{name: b, device: sim}]\n", `hub.yaml:1:15: sim is played by the simulation "a" already`},
		{"groups", "consumerGroups: [" + groups(25) + "]\n", "the hub would have 26 consumer groups"},
		{"routes", "routes:\n" + routes(101), "the hub would have 101 routes; 100 are the most"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := inWorld(t)
			w.apply("devices: [{id: leaf, tags: {a: "+strings.Repeat("x", 3000)+"}}]\nsimulations: [{name: a, device: sim}]\n", 2, 0, 0)
			before := w.exported()
			_, err := w.try(tc.text + "fallbackRoute: false\n")
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %s", err, tc.want)
			}
			if w.exported() != before {
				t.Error("something was applied")
			}
		})
	}
}

func groups(n int) string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("g%d", i))
	}
	return strings.Join(names, ", ")
}

func routes(n int) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, "  - name: r%d\n", i)
	}
	return out.String()
}

func TestCertificates(t *testing.T) {
	w := inWorld(t)
	ca, other := certtest.Root(t, "first", time.Now()), certtest.Root(t, "second", time.Now())
	text := func(name string, c *certtest.Certificate, verified bool) string {
		return fmt.Sprintf("certificates:\n  - name: %s\n    verified: %v\n    certificate: |\n      %s\n", name, verified,
			strings.ReplaceAll(strings.TrimSpace(string(c.PEM())), "\n", "\n      "))
	}
	w.apply(text("one", ca, false), 1, 0, 0)
	w.apply(text("one", ca, false), 0, 0, 1)
	w.apply(text("ONE", ca, true), 0, 1, 0)
	w.apply(text("one", ca, true), 0, 0, 1)
	if _, err := w.try(text("two", ca, true)); err == nil || !strings.Contains(err.Error(), `hub.yaml:2:5: this certificate is there already, as "one"`) {
		t.Errorf("%v", err)
	}
	w.apply(text("one", other, false), 0, 1, 0)
	if c, err := w.Hub.CACertificate("one"); err != nil || c.Verified {
		t.Errorf("%+v %v", c, err)
	}
	again := inWorld(t)
	again.apply(w.exported(), 1, 0, 0)
	if again.exported() != w.exported() {
		t.Error("the exported certificate is another one")
	}
}

// TestManyDevices: thousands are applied in a moment, and again in less.
func TestManyDevices(t *testing.T) {
	w := inWorld(t)
	var text strings.Builder
	text.WriteString("devices:\n")
	for i := range 3000 {
		fmt.Fprintf(&text, "  - {id: d%d, tags: {n: %d}, reported: {a: 1}}\n", i, i)
	}
	w.apply(text.String(), 3000, 0, 0)
	before := w.versions()
	w.apply(text.String(), 0, 0, 3000)
	if w.versions() != before {
		t.Error("applying it again wrote something")
	}
}

// TestPartOfADocument: the places of what is in a further hub are told, too.
func TestPartOfADocument(t *testing.T) {
	w := inWorld(t)
	f, err := seed.Parse("x.yaml", []byte("hubs:\n  - name: other\n    routes: [{name: r, endpoint: no}]\n"), seed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = w.Check(context.Background(), seedhub.Part{File: f, Hub: &f.Hubs[0].Hub, Path: []any{"hubs", 0}})
	if err == nil || err.Error() != `x.yaml:3:34: there is no endpoint "no"` {
		t.Errorf("%v", err)
	}
}
