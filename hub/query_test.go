package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/query"
)

// fleet is a hub with a few devices and modules that differ in every way that queries can see.
func fleet(t *testing.T) *fixture {
	at := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	f := newFixture(t, func(o *Options) { o.Now = func() time.Time { return at } })
	for _, d := range []struct{ name, twin, reported string }{
		{"a", `{"tags":{"site":"north","floor":1,"on":true,"list":["x","y",7]},"properties":{"desired":{"ch":"beta"}}}`, `{"t":20,"fw":{"v":"1.0"}}`},
		{"b", `{"tags":{"site":"south","floor":2,"on":false,"my:key":"k"}}`, `{"t":30,"fw":{"v":"1.1"}}`},
		{"c", `{"tags":{"site":"north","floor":"2","group":"g"}}`, `{"t":25.5}`},
		{"d", `{"tags":{"Site":"north","o":{"p":{"q":1}}}}`, ``},
		{"a/m1", `{"tags":{"site":"north"}}`, `{"status":"scanning"}`},
		{"b/m1", `{"tags":{"site":"south"}}`, `{"status":"idle"}`},
		{"b/m2", ``, `{"status":"scanning"}`},
	} {
		id := f.device(d.name)
		if d.twin != "" {
			p, err := iothub.DecodeTwinPatch([]byte(d.twin))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.PatchTwin(t.Context(), id, p, ""); err != nil {
				t.Fatal(err)
			}
		}
		if d.reported != "" {
			f.report(id, d.reported)
		}
	}
	return f
}

func (f *fixture) background() context.Context { return context.Background() }

// report writes reported properties as the device does.
func (f *fixture) report(id iothub.ID, body string) {
	f.t.Helper()
	values, err := iothub.DecodeObject([]byte(body))
	if err != nil {
		f.t.Fatalf("%s: %v", body, err)
	}
	if _, err := f.registry.Report(f.background(), id, values, nil); err != nil {
		f.t.Fatalf("report of %s: %v", id, err)
	}
}

// queryAll reads all pages and returns the rows as one JSON array.
func (f *fixture) queryAll(text string, size int) (rows, itemType string, err error) {
	var all []string
	token := ""
	for {
		page, err := f.Query(f.background(), QueryRequest{Text: text, PageSize: size, Continuation: token})
		if err != nil {
			return "", "", err
		}
		if size > 0 && len(page.Items) > size {
			return "", "", fmt.Errorf("a page of %d rows, asked for %d", len(page.Items), size)
		}
		for _, item := range page.Items {
			all = append(all, string(item))
		}
		itemType = page.ItemType
		if token = page.Continuation; token == "" {
			return "[" + strings.Join(all, ",") + "]", itemType, nil
		}
	}
}

func TestQueryLists(t *testing.T) {
	f := fleet(t)
	f.connect(iothub.ID{DeviceID: "b"}, "mqtt")
	f.send(iothub.ID{DeviceID: "c"}, "m", "")
	for _, tt := range []struct{ query, want string }{
		// Collections, aliases and prefixes.
		{"SELECT deviceId FROM devices", `[{"deviceId":"a"},{"deviceId":"b"},{"deviceId":"c"},{"deviceId":"d"}]`},
		{"select d.deviceId from devices d where d.tags.site = 'south'", `[{"deviceId":"b"}]`},
		{"SELECT d.deviceId FROM devices AS d WHERE tags.site = 'south'", `[{"deviceId":"b"}]`},
		{"SELECT devices.deviceId FROM devices WHERE devices.tags.site = 'south'", `[{"deviceId":"b"}]`},
		{
			"SELECT deviceId, moduleId FROM devices.modules WHERE properties.reported.status = 'scanning'",
			`[{"deviceId":"a","moduleId":"m1"},{"deviceId":"b","moduleId":"m2"}]`,
		},
		{
			"SELECT m.moduleId FROM devices.modules m WHERE devices.modules.deviceId IN ['b'] AND m.tags.site = 'south'",
			`[{"moduleId":"m1"}]`,
		},
		{"SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'j'", `[]`},
		// The service's own spelling, aliases, paths, and what is not there.
		{"SELECT DEVICEID, ConnectionState, id FROM devices WHERE deviceid = 'b'", ``},
		{"SELECT DEVICEID, ConnectionState FROM devices WHERE deviceid = 'b'", `[{"connectionState":"Connected","deviceId":"b"}]`},
		{"SELECT id AS n, tags.site AS s, properties.reported.fw.v FROM devices WHERE id = 'a' OR id = 'd'", `[{"n":"a","s":"north","v":"1.0"},{"n":"d"}]`},
		{"SELECT tags.list[1], tags.list[2] AS n, tags.list[3] AS none FROM devices WHERE deviceId = 'a'", `[{"list":"y","n":7}]`},
		{"SELECT tags.[[my:key]] FROM devices WHERE tags.[[my:key]] = 'k'", `[{"my:key":"k"}]`},
		{"SELECT tags['my:key'] AS k FROM devices WHERE deviceId = 'b'", `[{"k":"k"}]`},
		{"SELECT tags.o, status, authenticationType AS a FROM devices WHERE deviceId = 'd'", `[{"a":"sas","o":{"p":{"q":1}},"status":"enabled"}]`},
		{
			"SELECT properties.reported.$version AS v, properties.Desired.$metadata.ch.$lastUpdated AS at FROM devices WHERE deviceId = 'a'",
			`[{"at":"2026-01-05T10:00:00.0000000Z","v":2}]`,
		},
		{
			"SELECT properties.desired FROM devices WHERE deviceId = 'd'",
			`[{"desired":{"$metadata":{"$lastUpdated":"2026-01-05T10:00:00.0000000Z"},"$version":1}}]`,
		},
		{"SELECT capabilities.IoTEdge, x509Thumbprint.PrimaryThumbprint AS p, version FROM devices WHERE deviceId = 'd'", `[{"iotEdge":false,"p":null,"version":3}]`},
		{"SELECT cloudToDeviceMessageCount AS n FROM devices WHERE cloudToDeviceMessageCount > 0", `[{"n":1}]`},
		{"SELECT lastActivityTime FROM devices WHERE deviceId = 'd'", `[{"lastActivityTime":"0001-01-01T00:00:00Z"}]`},
		{"SELECT TOP 2 deviceId FROM devices", `[{"deviceId":"a"},{"deviceId":"b"}]`},
		{"SELECT deviceId FROM devices WHERE tags.[[group]] = 'g'", `[{"deviceId":"c"}]`},
		// Conditions.
		{"SELECT deviceId FROM devices WHERE tags.floor = 2", `[{"deviceId":"b"}]`},
		{"SELECT deviceId FROM devices WHERE tags.floor = '2'", `[{"deviceId":"c"}]`},
		{"SELECT deviceId FROM devices WHERE properties.reported.t >= 0x19 AND properties.reported.t <> 30", `[{"deviceId":"c"}]`},
		{"SELECT deviceId FROM devices WHERE NOT tags.on", `[{"deviceId":"b"}]`},
		{"SELECT deviceId FROM devices WHERE tags.site NIN ['south']", `[{"deviceId":"a"},{"deviceId":"c"}]`},
		{"SELECT deviceId FROM devices WHERE tags.site = 'south' OR tags.site = 'north' AND tags.floor = 1", `[{"deviceId":"a"},{"deviceId":"b"}]`},
		{"SELECT deviceId FROM devices WHERE (tags.site = 'south' OR tags.site = 'north') AND tags.floor = 1", `[{"deviceId":"a"}]`},
		{`SELECT deviceId FROM devices WHERE tags.site = "s\u006futh"`, `[{"deviceId":"b"}]`},
		{"SELECT deviceId FROM devices WHERE is_defined(tags.Site)", `[{"deviceId":"d"}]`},
		{"SELECT deviceId FROM devices WHERE IS_OBJECT(tags.o) OR is_array(tags.list)", `[{"deviceId":"a"},{"deviceId":"d"}]`},
		{"SELECT deviceId FROM devices WHERE is_bool(tags.on) AND is_number(tags.floor) AND is_string(tags.site)", `[{"deviceId":"a"},{"deviceId":"b"}]`},
		{"SELECT deviceId FROM devices WHERE startswith(tags.site, 'so') OR ENDSWITH(properties.desired.ch, 'ta')", `[{"deviceId":"a"},{"deviceId":"b"}]`},
		{"SELECT deviceId FROM devices WHERE not startswith(tags.site, 'so')", `[{"deviceId":"a"},{"deviceId":"c"}]`},
		{"SELECT deviceId FROM devices WHERE contains(tags.site, 'ort') AND abs(0 - properties.reported.t) > 20", `[{"deviceId":"c"}]`},
		{"SELECT deviceId FROM devices WHERE array_contains(tags.list, 7) AND array_length(tags.list) = 3", `[{"deviceId":"a"}]`},
		{"SELECT deviceId FROM devices WHERE properties.reported.fw = properties.reported.fw", `[]`},
		{"SELECT deviceId FROM devices WHERE nothing.at.all = 1", `[]`},
		// Aggregates.
		{"SELECT COUNT() AS n FROM devices WHERE tags.site = 'north'", `[{"n":2}]`},
		{"SELECT COUNT() FROM devices WHERE tags.site = 'west'", `[{"$1":0}]`},
		{
			"SELECT sum(properties.reported.t) AS s, avg(properties.reported.t) AS a, min(properties.reported.t) AS least, max(properties.reported.t) AS most FROM devices",
			`[{"a":25.166666666666668,"least":20,"most":30,"s":75.5}]`,
		},
		{"SELECT avg(tags.none) AS a, sum(tags.none) AS s, max(tags.none) AS m FROM devices", `[{"s":0}]`},
		{"SELECT tags.site AS site, COUNT() AS n FROM devices GROUP BY tags.site", `[{"n":1},{"n":2,"site":"north"},{"n":1,"site":"south"}]`},
		{"SELECT tags.floor FROM devices GROUP BY tags.floor", `[{},{"floor":1},{"floor":2},{"floor":"2"}]`},
		{"SELECT COUNT() AS n FROM devices.modules GROUP BY tags.site, properties.reported.status", `[{"n":1},{"n":1},{"n":1}]`},
		{"SELECT TOP 1 tags.site, COUNT() FROM devices GROUP BY tags.site", `[{"$1":1}]`},
	} {
		t.Run(tt.query, func(t *testing.T) {
			if tt.want == "" {
				_, _, err := f.queryAll(tt.query, 0)
				wantCode(t, err, iothub.CodeArgumentInvalid)
				return
			}
			for _, size := range []int{0, 1, 2} {
				got, itemType, err := f.queryAll(tt.query, size)
				if err != nil {
					t.Fatal(err)
				}
				if got != tt.want {
					t.Errorf("pages of %d:\n got %s\nwant %s", size, got, tt.want)
				}
				if want := ItemTypeRaw; !strings.Contains(tt.query, "devices.jobs") && itemType != want {
					t.Errorf("item type %q, want %q", itemType, want)
				}
			}
		})
	}
}

// SELECT * gives the same documents as reading the twins one by one.
func TestQueryTwins(t *testing.T) {
	f := fleet(t)
	f.connect(iothub.ID{DeviceID: "b"}, "mqtt")
	for collection, names := range map[string][]string{"devices": {"a", "b", "c", "d"}, "devices.modules": {"a/m1", "b/m1", "b/m2"}} {
		var want []string
		for _, name := range names {
			id, err := iothub.ParseID(name)
			if err != nil {
				t.Fatal(err)
			}
			twin, err := f.GetTwin(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			body, err := iothub.MarshalTwin(twin.Identity, twin.Twin, twin.Connection)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, string(body))
		}
		got, itemType, err := f.queryAll("SELECT * FROM "+collection, 2)
		if err != nil || itemType != ItemTypeTwin {
			t.Fatalf("%s: type %q, error %v", collection, itemType, err)
		}
		if diff := cmp.Diff("["+strings.Join(want, ",")+"]", got); diff != "" {
			t.Errorf("%s: %s", collection, diff)
		}
	}
}

func TestQueryRefusals(t *testing.T) {
	f := fleet(t)
	for _, tt := range []struct {
		query string
		at    int // the position, counted from 1
	}{
		{"SELEC * FROM devices", 1},
		{"SELECT * FROM devices WHERE", 28},
		{"SELECT * FROM twins", 15},
		{"SELECT * FROM devices.twins", 15},
		{"SELECT * FROM devices ORDER BY deviceId", 23},
		{"SELECT * FROM devices d JOIN devices.modules m", 25},
		{"SELECT DISTINCT tags.site FROM devices", 17},
		{"SELECT * FROM devices WHERE tags.site LIKE 'n%'", 39},
		{"SELECT * FROM devices WHERE tags.site IN ('n')", 42},
		{"SELECT * FROM devices WHERE tags.group = 'g'", 29},
		{"SELECT * FROM devices WHERE nosuch(tags.a)", 29},
		{"SELECT * FROM devices WHERE startswith(tags.a)", 29},
		{"SELECT * FROM devices WHERE tags.a = 'x", 38},
		{`SELECT * FROM devices WHERE tags.a = '\q'`, 38},
		{"SELECT *, deviceId FROM devices", 9},
		{"SELECT COUNT(*) FROM devices", 13},
		{"SELECT COUNT(deviceId) FROM devices", 8},
		{"SELECT SUM() FROM devices", 8},
		{"SELECT AVG(1) FROM devices", 8},
		{"SELECT ABS(tags.a) FROM devices", 8},
		{"SELECT deviceId, COUNT() FROM devices", 18},
		{"SELECT deviceId, COUNT() FROM devices GROUP BY tags.site", 8},
		{"SELECT tags.a, properties.desired.a FROM devices", 16},
		{"SELECT * FROM devices GROUP BY tags.site", 23},
		{"SELECT TOP 0 deviceId FROM devices", 12},
		{"SELECT jobId FROM devices.jobs", 8},
		{"SELECT * FROM devices.jobs WHERE devices.tags.a = 1", 34},
		{"SELECT * FROM devices WHERE devices.modules.tags.a = 1", 29},
		{"SELECT * FROM devices.modules WHERE devices.tags.a = 1", 37},
		{"SELECT * FROM devices; DELETE", 22},
		{"SELECT * FROM devices WHERE " + strings.Repeat("(", 200), 129},
		{"SELECT * FROM devices WHERE tags.a = '" + strings.Repeat("x", query.MaxLength), query.MaxLength + 1},
	} {
		_, err := f.Query(t.Context(), QueryRequest{Text: tt.query})
		wantCode(t, err, iothub.CodeArgumentInvalid)
		if e := iothub.AsError(err); e.Info["position"] != tt.at {
			t.Errorf("%.60s: error at %v, want %d: %s", tt.query, e.Info["position"], tt.at, e.Message)
		}
	}
	_, err := f.Query(t.Context(), QueryRequest{})
	wantCode(t, err, iothub.CodeArgumentNull)

	page, err := f.Query(t.Context(), QueryRequest{Text: "SELECT * FROM devices", PageSize: 2})
	if err != nil || page.Continuation == "" {
		t.Fatalf("continuation %q, error %v", page.Continuation, err)
	}
	for _, token := range []string{"x", page.Continuation[4:], "e30=", "AAAA"} {
		_, err := f.Query(t.Context(), QueryRequest{Text: "SELECT * FROM devices", Continuation: token})
		wantCode(t, err, iothub.CodeArgumentInvalid)
	}
	_, err = f.Query(t.Context(), QueryRequest{Text: "SELECT deviceId FROM devices", Continuation: page.Continuation})
	wantCode(t, err, iothub.CodeArgumentInvalid)
}

func TestTwinConditions(t *testing.T) {
	f := fleet(t)
	for _, tt := range []struct {
		collection, condition, want string
	}{
		{"devices", "", "[a b c d]"},
		{"devices", "*", "[a b c d]"},
		{"devices.modules", "*", "[a/m1 b/m1 b/m2]"},
		{"devices", "tags.site = 'north'", "[a c]"},
		{"devices", "deviceId IN ['b', 'd', 'x']", "[b d]"},
		{"devices", "FROM devices.modules WHERE tags.site = 'north'", "[a/m1]"},
		{"devices", "FROM devices.modules", "[a/m1 b/m1 b/m2]"},
		{"devices", "FROM devices WHERE devices.tags.on = true", "[a]"},
	} {
		var got []string
		err := f.SelectIdentities(t.Context(), tt.collection, tt.condition, func(id iothub.ID) bool {
			got = append(got, id.String())
			return true
		})
		if err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("%s, %q: %v, %v; want %s", tt.collection, tt.condition, got, err, tt.want)
		}
		if tt.collection != "devices" {
			continue
		}
		// One by one, the same condition says the same.
		c, err := f.CompileTwinCondition(tt.condition)
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, name := range []string{"a", "a/m1", "b", "b/m1", "b/m2", "c", "d"} {
			id, _ := iothub.ParseID(name)
			twin, err := f.GetTwin(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if c.Matches(twin) {
				got = append(got, name)
			}
		}
		if fmt.Sprint(got) != tt.want {
			t.Errorf("%q matches %v, want %s", tt.condition, got, tt.want)
		}
	}
	for _, text := range []string{"tags.site =", "FROM devices.jobs", "SELECT * FROM devices", "FROM devices WHERE"} {
		_, err := f.CompileTwinCondition(text)
		wantCode(t, err, iothub.CodeArgumentInvalid)
	}
}

func TestQueryRowsAreJSON(t *testing.T) {
	f := fleet(t)
	rows, _, err := f.queryAll("SELECT * FROM devices WHERE tags.site = 'north'", 1)
	if err != nil {
		t.Fatal(err)
	}
	var twins []struct {
		DeviceID string `json:"deviceId"`
		Tags     map[string]any
	}
	if err := json.Unmarshal([]byte(rows), &twins); err != nil || len(twins) != 2 || twins[1].Tags["group"] != "g" {
		t.Errorf("%v, error %v", twins, err)
	}
}
