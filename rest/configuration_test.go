package rest

import (
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

const fwConfiguration = `{"id":"fw","schemaVersion":"1.0","labels":{"o":"me"},"priority":10,"targetCondition":"tags.site='n'",
	"content":{"deviceContent":{"properties.desired.fw":{"ch":"b"}}},"metrics":{"queries":{"all":"SELECT * FROM devices"}}}`

func (w *world) settle() {
	w.t.Helper()
	if err := w.hub.SettleConfigurations(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func TestConfigurations(t *testing.T) {
	w := newWorld(t)
	w.create(iothub.ID{DeviceID: "d"})
	w.do("PATCH", "/twins/d", `{"tags":{"site":"n"}}`).ok(200)
	a := w.do("PUT", "/configurations/fw", fwConfiguration)
	c := a.ok(200)
	if c["id"] != "fw" || c["schemaVersion"] != "1.0" || c["priority"] != 10.0 || c["etag"] != "MQ==" || a.header.Get("ETag") != `"MQ=="` ||
		c["createdTimeUtc"] == nil || c["lastUpdatedTimeUtc"] != c["createdTimeUtc"] || c["labels"].(map[string]any)["o"] != "me" {
		t.Errorf("created %s", a.body)
	}
	w.settle()
	twin := w.do("GET", "/twins/d", "").ok(200)
	if entry, _ := twin["configurations"].(map[string]any)["fw"].(map[string]any); entry["status"] != "Applied" {
		t.Errorf("twin %v", twin)
	}
	c = w.do("GET", "/configurations/fw", "").ok(200)
	system, custom := c["systemMetrics"].(map[string]any), c["metrics"].(map[string]any)
	if results := system["results"].(map[string]any); results["targetedCount"] != 1.0 || results["appliedCount"] != 1.0 {
		t.Errorf("system metrics %v", system)
	}
	if system["queries"].(map[string]any)["targetedCount"] != "select deviceId from devices where tags.site='n'" {
		t.Errorf("system metrics %v", system)
	}
	if custom["results"].(map[string]any)["all"] != 1.0 {
		t.Errorf("metrics %v", custom)
	}
	// The query behind each metric is one, and counts the same.
	for name, text := range system["queries"].(map[string]any) {
		if rows := w.do("POST", "/devices/query", `{"query":"`+text.(string)+`"}`).list(); len(rows) != 1 {
			t.Errorf("%s: %v", name, rows)
		}
	}

	// Only a quoted etag or a star updates.
	w.do("PUT", "/configurations/fw", fwConfiguration).refused(legacy, iothub.CodeConfigurationAlreadyExists)
	w.do("PUT", "/configurations/fw", fwConfiguration, "If-Match", "MQ==").refused(legacy, iothub.CodeConfigurationAlreadyExists)
	w.do("PUT", "/configurations/fw", fwConfiguration, "If-Match", `"MTE="`).refused(legacy, iothub.CodePreconditionFailed)
	w.do("PUT", "/configurations/other", fwConfiguration, "If-Match", `*`).refused(legacy, iothub.CodeArgumentInvalid)
	w.do("PUT", "/configurations/other", strings.Replace(fwConfiguration, `"id":"fw",`, "", 1), "If-Match", `*`).refused(legacy, iothub.CodeConfigurationNotFound)
	if c := w.do("PUT", "/configurations/fw", fwConfiguration, "If-Match", `"MQ=="`).ok(200); c["etag"] != "Mg==" {
		t.Errorf("updated %v", c)
	}
	if list := w.do("GET", "/configurations", "").list(); len(list) != 1 || list[0]["id"] != "fw" {
		t.Errorf("list %v", list)
	}
	if list := w.do("GET", "/configurations/?top=5", "").list(); len(list) != 1 {
		t.Errorf("list %v", list)
	}
	w.do("GET", "/configurations?top=x", "").refused(legacy, iothub.CodeArgumentInvalid)
	w.do("GET", "/configurations/none", "").refused(legacy, iothub.CodeConfigurationNotFound)
	w.do("DELETE", "/configurations/none", "").refused(legacy, iothub.CodeConfigurationNotFound)
	w.do("DELETE", "/configurations/fw", "", "If-Match", `"MQ=="`).refused(legacy, iothub.CodePreconditionFailed)
	if a := w.do("DELETE", "/configurations/fw", ""); a.status != 204 {
		t.Errorf("deleted: %d %s", a.status, a.body)
	}
	w.settle()
	if twin := w.do("GET", "/twins/d", "").ok(200); twin["configurations"] != nil {
		t.Errorf("twin %v", twin)
	}

	for body, want := range map[string]iothub.Code{
		``:               iothub.CodeArgumentNull,
		`{`:              iothub.CodeIotHubFormatError,
		`{"content":{}}`: iothub.CodeInvalidConfigurationContent,
		`{"targetCondition":"a b","content":{"deviceContent":{}}}`:         iothub.CodeInvalidConfigurationTargetCondition,
		`{"metrics":{"queries":{"a":"b"}},"content":{"deviceContent":{}}}`: iothub.CodeInvalidConfigurationCustomMetricsQuery,
	} {
		w.do("PUT", "/configurations/c", body).refused(legacy, want)
	}
	w.do("PUT", "/configurations/UP", fwConfiguration).refused(legacy, iothub.CodeArgumentInvalid)
	w.raw("PUT", "/configurations/c?"+testVersion, fwConfiguration, "Authorization", token(t, "registryRead", testHost, time.Now().Add(time.Hour))).
		refused(legacy, iothub.CodeIotHubUnauthorizedAccess)
}

func TestConfigurationTestQueries(t *testing.T) {
	w := newWorld(t)
	a := w.do("POST", "/configurations/testQueries", `{"targetCondition":"tags.a=1","customMetricQueries":{"m":"SELECT * FROM devices"}}`)
	if a.status != 200 || a.body != `{"targetConditionError":null,"customMetricQueryErrors":{}}` {
		t.Errorf("%d %s", a.status, a.body)
	}
	bad := w.do("POST", "/configurations/testQueries", `{"targetCondition":"*","customMetricQueries":{"m":"SELECT"}}`).ok(200)
	if bad["targetConditionError"] == nil || bad["customMetricQueryErrors"].(map[string]any)["m"] == nil {
		t.Errorf("%v", bad)
	}
	w.do("POST", "/configurations/testQueries", `[]`).refused(legacy, iothub.CodeIotHubFormatError)
	// It is no configuration of that name.
	w.do("GET", "/configurations/testQueries", "").refused(legacy, iothub.CodeConfigurationNotFound)
}

func TestApplyConfigurationContent(t *testing.T) {
	w := newWorld(t)
	w.create(iothub.ID{DeviceID: "leaf"})
	w.do("PUT", "/devices/edge", `{"capabilities":{"iotEdge":true}}`).ok(200)
	content := `{"modulesContent":{"$edgeAgent":{"properties.desired":{"modules":{"m":{"v":1}}}},"$edgeHub":{"properties.desired":{"routes":{}}},"m":{"properties.desired":{"i":5}}}}`
	if a := w.do("POST", "/devices/edge/applyConfigurationContent", content); a.status != 204 || a.body != "" {
		t.Errorf("%d %s", a.status, a.body)
	}
	desired := w.do("GET", "/twins/edge/modules/m", "").ok(200)["properties"].(map[string]any)["desired"].(map[string]any)
	if desired["i"] != 5.0 {
		t.Errorf("desired %v", desired)
	}
	if m := w.do("GET", "/devices/edge/modules/m", "").ok(200); m["managedBy"] != "iotEdge" {
		t.Errorf("module %v", m)
	}
	w.do("POST", "/devices/leaf/applyConfigurationContent", content).refused(legacy, iothub.CodeArgumentInvalid)
	w.do("POST", "/devices/none/applyConfigurationContent", content).refused(legacy, iothub.CodeDeviceNotFound)
	w.do("POST", "/devices/edge/applyConfigurationContent", `{"deviceContent":{}}`).refused(legacy, iothub.CodeInvalidConfigurationContent)
	w.do("POST", "/devices/edge/applyConfigurationContent", ``).refused(legacy, iothub.CodeArgumentNull)
}
