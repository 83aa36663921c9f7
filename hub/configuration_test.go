package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// configuration puts a configuration of device content; ifMatch "" creates.
func (f *fixture) configuration(id, condition string, priority int, content, ifMatch string) iothub.Configuration {
	f.t.Helper()
	body := fmt.Sprintf(`{"targetCondition":%q,"priority":%d,"content":%s}`, condition, priority, content)
	c, err := f.PutConfiguration(context.Background(), id, []byte(body), ifMatch)
	if err != nil {
		f.t.Fatalf("configuration %s: %v", id, err)
	}
	return c
}

func (f *fixture) settle() {
	f.t.Helper()
	if err := f.SettleConfigurations(context.Background()); err != nil {
		f.t.Fatalf("settle: %v", err)
	}
}

func (f *fixture) twin(name string) Twin {
	f.t.Helper()
	id, err := iothub.ParseID(name)
	if err != nil {
		f.t.Fatalf("%v", err)
	}
	twin, err := f.GetTwin(context.Background(), id)
	if err != nil {
		f.t.Fatalf("twin of %s: %v", name, err)
	}
	return twin
}

// wantDesired settles and compares desired properties and configurations.
func (f *fixture) wantDesired(name, desired, configurations string) {
	f.t.Helper()
	f.settle()
	twin := f.twin(name)
	got, err := json.Marshal(twin.Twin.Desired.Values)
	if err != nil || string(got) != desired {
		f.t.Errorf("%s: desired %s, %v; want %s", name, got, err, desired)
	}
	if got, err := json.Marshal(twin.Connection.Configurations); err != nil || string(got) != configurations {
		f.t.Errorf("%s: configurations %s, %v; want %s", name, got, err, configurations)
	}
}

func (f *fixture) tag(name, value string) {
	f.t.Helper()
	id, _ := iothub.ParseID(name)
	if _, err := f.PatchTwin(context.Background(), id, iothub.TwinPatch{Tags: map[string]any{"site": value}}, ""); err != nil {
		f.t.Fatalf("tag: %v", err)
	}
}

// Twins follow configurations, and configurations follow twins.
func TestConfigurationIsApplied(t *testing.T) {
	f := newFixture(t)
	f.tagged("n", "a")
	f.tagged("s", "b")
	c, client := f.connect(iothub.ID{DeviceID: "a"}, "mqtt")
	c.EnableDesired(true)
	created := f.configuration("fw", "tags.site='n'", 10, `{"deviceContent":{"properties.desired.fw":{"ch":"b"},"properties.desired.x.y":1}}`, "")
	if created.ETagText() != "MQ==" || created.CreatedTime.IsZero() {
		t.Errorf("created %+v", created)
	}
	f.wantDesired("a", `{"fw":{"ch":"b"},"x":{"y":1}}`, `{"fw":{"status":"Applied"}}`)
	f.wantDesired("b", `{}`, `null`)
	if got := client.changes(); len(got) != 1 || got[0].body != `{"$version":2,"fw":{"ch":"b"},"x":{"y":1}}` {
		t.Errorf("notified of %v", got)
	}

	f.tag("b", "n") // comes into scope
	f.wantDesired("b", `{"fw":{"ch":"b"},"x":{"y":1}}`, `{"fw":{"status":"Applied"}}`)
	f.tag("a", "s") // leaves it
	f.wantDesired("a", `{"x":{}}`, `null`)
	f.tagged("n", "new")
	f.wantDesired("new", `{"fw":{"ch":"b"},"x":{"y":1}}`, `{"fw":{"status":"Applied"}}`)

	// A new target moves the settings; the content stays whatever the update says.
	updated := f.configuration("fw", "tags.site='s'", 10, `{"deviceContent":{"properties.desired.fw":{"ch":"c"}}}`, `"MQ=="`)
	if updated.ETagText() != "Mg==" || !updated.CreatedTime.Equal(created.CreatedTime) {
		t.Errorf("updated %+v", updated)
	}
	f.wantDesired("a", `{"fw":{"ch":"b"},"x":{"y":1}}`, `{"fw":{"status":"Applied"}}`)
	f.wantDesired("b", `{"x":{}}`, `null`)

	result, err := f.GetConfiguration(t.Context(), "fw")
	if err != nil || fmt.Sprint(result.System) != "map[appliedCount:1 targetedCount:1]" {
		t.Errorf("metrics %v, %v", result.System, err)
	}
	// Deleting leaves the settings where they are.
	if err := f.DeleteConfiguration(t.Context(), "fw", ""); err != nil {
		t.Fatal(err)
	}
	f.wantDesired("a", `{"fw":{"ch":"b"},"x":{"y":1}}`, `null`)
	if f.configurations.any.Load() {
		t.Error("there is still something to watch for")
	}
}

func TestConfigurationPriorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.device("a")
		f.configuration("low", "*", 1, `{"deviceContent":{"properties.desired.a":{"b":1,"c":1},"properties.desired.only":1}}`, "")
		f.configuration("high", "*", 5, `{"deviceContent":{"properties.desired.a.b":2}}`, "")
		f.wantDesired("a", `{"a":{"b":2,"c":1},"only":1}`, `{"high":{"status":"Applied"},"low":{"status":"Applied"}}`)
		f.configuration("top", "*", 9, `{"deviceContent":{"properties.desired":{"a":{"z":1},"only":null}}}`, "")
		f.wantDesired("a", `{"a":{"z":1}}`, `{"high":{"status":"Targeted"},"low":{"status":"Targeted"},"top":{"status":"Applied"}}`)
		// Of equals the later one wins.
		time.Sleep(time.Second)
		f.configuration("top2", "*", 9, `{"deviceContent":{"properties.desired.a":{"z":2}}}`, "")
		f.wantDesired("a", `{"a":{"z":2}}`, `{"high":{"status":"Targeted"},"low":{"status":"Targeted"},"top":{"status":"Applied"},"top2":{"status":"Applied"}}`)
		for _, id := range []string{"top", "top2"} {
			if err := f.DeleteConfiguration(t.Context(), id, "*"); err != nil {
				t.Fatal(err)
			}
		}
		f.wantDesired("a", `{"a":{"b":2,"c":1},"only":1}`, `{"high":{"status":"Applied"},"low":{"status":"Applied"}}`)
		// What a back end writes over is set again.
		if _, err := f.PatchTwin(t.Context(), iothub.ID{DeviceID: "a"}, iothub.TwinPatch{Desired: map[string]any{"only": "mine", "free": true}}, ""); err != nil {
			t.Fatal(err)
		}
		f.wantDesired("a", `{"a":{"b":2,"c":1},"free":true,"only":1}`, `{"high":{"status":"Applied"},"low":{"status":"Applied"}}`)
	})
}

// A condition on what the configuration itself sets comes to rest.
func TestConfigurationThatAnswersItself(t *testing.T) {
	f := newFixture(t)
	f.device("a")
	f.configuration("loop", "NOT is_defined(properties.desired.x)", 1, `{"deviceContent":{"properties.desired.x":1}}`, "")
	f.wantDesired("a", `{"x":1}`, `{"loop":{"status":"Applied"}}`)
}

func TestModuleConfiguration(t *testing.T) {
	f := newFixture(t)
	f.device("a")
	f.device("a/m")
	f.device("a/n")
	f.configuration("mod", "FROM devices.modules WHERE moduleId='m'", 1, `{"moduleContent":{"properties.desired.i":30}}`, "")
	f.wantDesired("a/m", `{"i":30}`, `{"mod":{"status":"Applied"}}`)
	f.wantDesired("a/n", `{}`, `null`)
	f.wantDesired("a", `{}`, `null`)
	f.device("b")
	f.device("b/m")
	f.wantDesired("b/m", `{"i":30}`, `{"mod":{"status":"Applied"}}`)
	// What is gone is forgotten, with the modules of a device.
	if err := f.DeleteIdentity(t.Context(), iothub.ID{DeviceID: "b"}, "*"); err != nil {
		t.Fatal(err)
	}
	f.settle()
	if r, err := f.GetConfiguration(t.Context(), "mod"); err != nil || r.System["targetedCount"] != 1 {
		t.Errorf("metrics %v, %v", r.System, err)
	}
}

func TestConfigurationsRefused(t *testing.T) {
	f := newFixture(t)
	const content = `{"deviceContent":{"properties.desired.a":1}}`
	good := fmt.Sprintf(`{"targetCondition":"*","content":%s}`, content)
	f.configuration("c", "*", 0, content, "")
	five := `{"a":"q","b":"q","c":"q","d":"q","e":"q","f":"q"}`
	for _, c := range []struct {
		id, body, ifMatch string
		want              iothub.Code
	}{
		{"c", good, "", iothub.CodeConfigurationAlreadyExists},
		{"c", good, "MQ==", iothub.CodeConfigurationAlreadyExists},
		{"c", good, `"MTE="`, iothub.CodePreconditionFailed},
		{"none", good, "*", iothub.CodeConfigurationNotFound},
		{"none", good, `"MQ=="`, iothub.CodeConfigurationNotFound},
		{"UPPER", good, "", iothub.CodeArgumentInvalid},
		{"d", `[]`, "", iothub.CodeIotHubFormatError},
		{"d", `{"id":"e",` + good[1:], "", iothub.CodeArgumentInvalid},
		{"d", `{"priority":-1,` + good[1:], "", iothub.CodeArgumentInvalid},
		{"d", `{"priority":"x",` + good[1:], "", iothub.CodeIotHubFormatError},
		{"d", `{"targetCondition":"*"}`, "", iothub.CodeInvalidConfigurationContent},
		{"d", `{"content":{}}`, "", iothub.CodeInvalidConfigurationContent},
		{"d", `{"content":{"deviceContent":{},"moduleContent":{}}}`, "", iothub.CodeInvalidConfigurationContent},
		{"d", `{"content":{"deviceContent":[]}}`, "", iothub.CodeInvalidConfigurationContent},
		{"d", `{"content":{"deviceContent":{"properties.reported.a":1}}}`, "", iothub.CodeInvalidConfigurationContent},
		{"d", `{"content":{"deviceContent":{"properties.desiredx":1}}}`, "", iothub.CodeInvalidConfigurationContent},
		{"d", `{"content":{"deviceContent":{"properties.desired":1}}}`, "", iothub.CodeInvalidConfigurationContent},
		{"d", `{"content":{"deviceContent":{"properties.desired.":1}}}`, "", iothub.CodeInvalidConfigurationContent},
		{"d", `{"content":{"deviceContent":{"properties.desired.a":{"b c":1}}}}`, "", iothub.CodeInvalidConfigurationContent},
		{"d", `{"content":{"modulesContent":{"$edgeHub":{}}}}`, "", iothub.CodeInvalidConfigurationContent},
		{"d", `{"content":{"modulesContent":{"$edgeAgent":{},"$other":{}}}}`, "", iothub.CodeInvalidConfigurationContent},
		{"d", `{"content":{"modulesContent":{"$edgeAgent":1}}}`, "", iothub.CodeInvalidConfigurationContent},
		{"d", `{"targetCondition":"tags. =","content":` + content + `}`, "", iothub.CodeInvalidConfigurationTargetCondition},
		{"d", `{"targetCondition":"FROM devices.modules","content":` + content + `}`, "", iothub.CodeInvalidConfigurationTargetCondition},
		{"d", `{"targetCondition":"*","content":{"moduleContent":{}}}`, "", iothub.CodeInvalidConfigurationTargetCondition},
		{"d", `{"metrics":{"queries":{"m":"SELECT"}},` + good[1:], "", iothub.CodeInvalidConfigurationCustomMetricsQuery},
		{"d", `{"metrics":{"queries":{"m":"SELECT * FROM devices.jobs"}},` + good[1:], "", iothub.CodeInvalidConfigurationCustomMetricsQuery},
		{"d", `{"metrics":{"queries":` + five + `},` + good[1:], "", iothub.CodeInvalidConfigurationCustomMetricsQuery},
	} {
		if _, err := f.PutConfiguration(t.Context(), c.id, []byte(c.body), c.ifMatch); iothub.ErrorCode(err) != c.want {
			t.Errorf("%s %s %q: %v, want %v", c.id, c.body, c.ifMatch, err, c.want)
		}
	}
	wantCode(t, f.DeleteConfiguration(t.Context(), "none", ""), iothub.CodeConfigurationNotFound)
	wantCode(t, f.DeleteConfiguration(t.Context(), "c", `"MTE="`), iothub.CodePreconditionFailed)
	_, err := f.GetConfiguration(t.Context(), "none")
	wantCode(t, err, iothub.CodeConfigurationNotFound)
}

// A hub has 100 configurations, or 10 in the free tier.
func TestConfigurationCount(t *testing.T) {
	for tier, limit := range map[iothub.Tier]int{iothub.TierNone: 100, iothub.TierF1: 10} {
		f := newFixture(t, func(o *Options) { o.Tier = tier })
		for i := range limit {
			f.configuration(fmt.Sprint("c", i), "", 0, `{"deviceContent":{}}`, "")
		}
		_, err := f.PutConfiguration(t.Context(), "more", []byte(`{"content":{"deviceContent":{}}}`), "")
		wantCode(t, err, iothub.CodeConfigurationCountLimitExceeded)
		f.configuration("c0", "", 0, `{"deviceContent":{}}`, "*")
		if all, err := f.Configurations(t.Context(), 0); err != nil || len(all) != limit {
			t.Errorf("%d configurations, %v", len(all), err)
		}
		if some, err := f.Configurations(t.Context(), 3); err != nil || len(some) != 3 {
			t.Errorf("%d configurations, %v", len(some), err)
		}
	}
}

func TestConfigurationMetrics(t *testing.T) {
	f := newFixture(t)
	f.tagged("n", "a", "b")
	body := `{"targetCondition":"tags.site='n'","content":{"deviceContent":{"properties.desired.v":1}},"metrics":{"queries":{
		"ok":"SELECT deviceId FROM devices WHERE configurations.[[fw]].status='Applied' AND properties.reported.v=1",
		"top":"SELECT TOP 1 * FROM devices", "groups":"SELECT COUNT() AS n FROM devices"}}}`
	if _, err := f.PutConfiguration(t.Context(), "fw", []byte(body), ""); err != nil {
		t.Fatal(err)
	}
	f.settle()
	c, _ := f.connect(iothub.ID{DeviceID: "a"}, "mqtt")
	if _, err := c.Report(t.Context(), []byte(`{"v":1}`), nil); err != nil {
		t.Fatal(err)
	}
	r, err := f.GetConfiguration(t.Context(), "fw")
	if err != nil || fmt.Sprint(r.System, r.Custom) != "map[appliedCount:2 targetedCount:2] map[groups:1 ok:1 top:1]" {
		t.Errorf("metrics %v %v, %v", r.System, r.Custom, err)
	}
	condition, metrics := f.TestConfigurationQueries("tags.a = 1", map[string]string{"good": "SELECT * FROM devices", "bad": "SELECT"})
	if condition != "" || len(metrics) != 1 || metrics["bad"] == "" {
		t.Errorf("tested: %q %v", condition, metrics)
	}
	for _, bad := range []string{"*", "tags.a ="} {
		if condition, _ := f.TestConfigurationQueries(bad, nil); condition == "" {
			t.Errorf("%q passes", bad)
		}
	}
}
