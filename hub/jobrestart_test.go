package hub

import (
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/hubnerite/hubnerite/iothub"
)

// A restart in the middle: what was done is not done again, what was in the air
// is known to be unknown, what was not begun is done.
func TestJobRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.jobs.slots = make(chan struct{}, 1)
		for _, name := range []string{"a", "b", "c"} {
			f.device(name)
		}
		var called atomic.Int64
		f.answering("a", &called)
		stuck, client := f.connect(iothub.ID{DeviceID: "b"}, "mqtt")
		stuck.EnableMethods(true)
		f.mustSchedule("j", `{"type":"scheduleDeviceMethod","queryCondition":"*","cloudToDeviceMethod":{"methodName":"m"}}`)
		<-client.methods // b has the call and says nothing
		f.restart()
		synctest.Wait()
		f.wantJob("j", iothub.JobRunning, iothub.DeviceJobStatistics{DeviceCount: 3, SucceededCount: 1, FailedCount: 1, RunningCount: 1})
		// c is given the time to come back.
		f.answering("c", &called)
		synctest.Wait()
		f.wantJob("j", iothub.JobCompleted, iothub.DeviceJobStatistics{DeviceCount: 3, SucceededCount: 2, FailedCount: 1})
		if called.Load() != 2 {
			t.Errorf("%d calls, want one of a and one of c", called.Load())
		}
		if e, _ := f.rows()[1]["error"].(map[string]any); e["code"] != "ServiceUnavailable" {
			t.Errorf("row of b: %v", f.rows()[1])
		}
	})
}

// A twin update that was made, but not noted, is not made again after a restart.
func TestJobRestartAfterTwinUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		for _, name := range []string{"a", "b"} {
			f.device(name)
		}
		req, err := iothub.DecodeJobRequest("j", []byte(`{"type":"scheduleUpdateTwin","queryCondition":"*","updateTwin":{"etag":"*","tags":{"x":1,"gone":null},"properties":{"desired":{"o":{"p":1}}}}}`), f.now())
		if err != nil {
			t.Fatal(err)
		}
		patch, err := req.TwinPatch()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.PatchTwin(t.Context(), iothub.ID{DeviceID: "a"}, patch, ""); err != nil {
			t.Fatal(err)
		}
		doc := newJobDocument("j", req, f.now())
		doc.Status, doc.Began, doc.Selected, doc.Statistics.DeviceCount = iothub.JobRunning, f.now(), true, 2
		if _, err := f.putJob(t.Context(), doc, 0); err != nil {
			t.Fatal(err)
		}
		if err := f.storeTargets(t.Context(), "j", []iothub.ID{{DeviceID: "a"}, {DeviceID: "b"}}); err != nil {
			t.Fatal(err)
		}
		f.restart()
		synctest.Wait()
		f.wantJob("j", iothub.JobCompleted, iothub.DeviceJobStatistics{DeviceCount: 2, SucceededCount: 2})
		for _, name := range []string{"a", "b"} {
			if twin := f.twin(name).Twin; twin.Desired.Version != 2 || twin.Tags["x"] == nil {
				t.Errorf("%s: version %d, tags %v", name, twin.Desired.Version, twin.Tags)
			}
		}
	})
}
