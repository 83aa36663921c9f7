//go:build conformance

package conformance

import (
	"fmt"
	"testing"
	"time"
)

// managementScenarios are jobs, configurations and digital twins, with the service SDKs.
func managementScenarios() []scenario {
	return []scenario{
		{"python_digital_twins", []string{"python"}, single("digital_twins.py")},
		{"python_plug_and_play", []string{"python"}, single("plug_and_play.py")},
		{"python_websocket_plug_and_play", []string{"python"}, single("plug_and_play.py", overWebSockets)},
		{"python_jobs", []string{"python"}, single("jobs.py")},
		{"python_configurations", []string{"python"}, single("configurations.py")},
		{"python_http_runtime", []string{"python"}, single("http_runtime.py")},
		{"node_jobs", []string{"node"}, singleNode("jobs.js")},
		{"node_configurations", []string{"node"}, singleNode("configurations.js")},
		{"node_digital_twins", []string{"node"}, singleNode("digital_twins.js")},
		{"kill9_jobs", nil, jobsKilled},
	}
}

const jobDevices = 3000

// jobsKilled kills the emulator in the middle of a job and of the application of a configuration: both go on to their end, and
// the job leaves the devices alone that it was done with.
func jobsKilled(t *testing.T, s *site) {
	h := s.startHub(t, "--log-level", "warn")
	c := newCaller(t, h)
	must := func(method, path string, body any) map[string]any {
		t.Helper()
		status, answer, err := c.call(method, path, body, "")
		if err != nil || status != 200 {
			t.Fatalf("%s %s: %d %v %v", method, path, status, answer, err)
		}
		return answer
	}
	for first := 0; first < jobDevices; first += 100 {
		var batch []map[string]any
		for i := range 100 {
			batch = append(batch, map[string]any{"id": fmt.Sprintf("d%04d", first+i), "importMode": "create", "status": "enabled"})
		}
		must("POST", "/devices", batch)
	}
	// until asks again and again, until the answer will do; short pauses, so that the middle of the work is not missed.
	until := func(path string, enough func(map[string]any) bool) map[string]any {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
			if answer := must("GET", path, nil); enough(answer) {
				return answer
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: not within a minute", path)
			}
		}
	}
	restart := func() {
		t.Helper()
		h.kill()
		h.start()
		c = newCaller(t, h)
	}
	number := func(answer map[string]any, names ...string) float64 {
		for _, name := range names[:len(names)-1] {
			answer, _ = answer[name].(map[string]any)
		}
		n, _ := answer[names[len(names)-1]].(float64)
		return n
	}

	desired := map[string]any{"etag": "*", "properties": map[string]any{"desired": map[string]any{"a": 1}}}
	must("PUT", "/jobs/v2/twins", map[string]any{"type": "scheduleUpdateTwin", "queryCondition": "*", "updateTwin": desired})
	before := until("/jobs/v2/twins", func(j map[string]any) bool { return number(j, "deviceJobStatistics", "succeededCount") >= 200 })
	restart()
	after := until("/jobs/v2/twins", func(j map[string]any) bool { return j["status"] == "completed" })
	if number(after, "deviceJobStatistics", "succeededCount") != jobDevices || number(after, "deviceJobStatistics", "deviceCount") != jobDevices {
		t.Errorf("the job ended with %v", after)
	}

	must("PUT", "/configurations/fw", map[string]any{
		"targetCondition": "*", "priority": 1, "content": map[string]any{"deviceContent": map[string]any{"properties.desired.fw": 1}},
	})
	applied := func(c map[string]any) float64 { return number(c, "systemMetrics", "results", "appliedCount") }
	half := until("/configurations/fw", func(c map[string]any) bool { return applied(c) >= 200 })
	restart()
	until("/configurations/fw", func(c map[string]any) bool { return applied(c) == jobDevices })
	// A moment later the last twins are written, too.
	for i := range jobDevices {
		path := fmt.Sprintf("/twins/d%04d", i)
		twin := until(path, func(twin map[string]any) bool { return number(twin, "properties", "desired", "fw") == 1 })
		if number(twin, "properties", "desired", "a") != 1 {
			t.Errorf("the job missed %s: %v", path, twin)
		}
		// 1 is new, then came the job and the configuration, each once.
		if version := number(twin, "properties", "desired", "$version"); version != 3 {
			t.Errorf("%s has version %v, want 3", path, version)
		}
	}
	t.Logf("killed after %v devices of the job and %v of the configuration", number(before, "deviceJobStatistics", "succeededCount"), applied(half))
}
