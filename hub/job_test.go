package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// schedule creates a job of the body, with what every job has added.
func (f *fixture) schedule(id, body string) (iothub.Job, error) {
	f.t.Helper()
	return f.CreateJob(context.Background(), id, []byte(body))
}

func (f *fixture) mustSchedule(id, body string) {
	f.t.Helper()
	if j, err := f.schedule(id, body); err != nil || j.Status != iothub.JobQueued {
		f.t.Fatalf("job %s: %+v, %v", id, j, err)
	}
}

// rows returns devices.jobs.
func (f *fixture) rows() []map[string]any {
	f.t.Helper()
	var out []map[string]any
	if err := f.jobRows(context.Background(), func(row map[string]any) bool {
		out = append(out, row)
		return true
	}); err != nil {
		f.t.Fatalf("rows: %v", err)
	}
	return out
}

// tagged creates devices with a tag.
func (f *fixture) tagged(site string, names ...string) {
	f.t.Helper()
	for _, name := range names {
		id := f.device(name)
		if _, err := f.PatchTwin(context.Background(), id, iothub.TwinPatch{Tags: map[string]any{"site": site}}, ""); err != nil {
			f.t.Fatalf("tag: %v", err)
		}
	}
}

func (f *fixture) wantJob(id string, status iothub.JobStatus, stats iothub.DeviceJobStatistics) {
	f.t.Helper()
	j := f.GetJob(id)
	if j.Status != status || j.Statistics != stats {
		f.t.Errorf("job %s is %s with %+v (%s), want %s with %+v", id, j.Status, j.Statistics, j.FailureReason, status, stats)
	}
}

const northPatch = `{"type":"scheduleUpdateTwin","queryCondition":"tags.site='n'","updateTwin":{"etag":"*","tags":{"x":1},"properties":{"desired":{"ch":"b"}}}}`

func TestJobUpdatesTwins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.tagged("n", "a", "b")
		f.tagged("s", "c")
		c, client := f.connect(iothub.ID{DeviceID: "a"}, "mqtt")
		c.EnableDesired(true)
		f.mustSchedule("j", northPatch)
		synctest.Wait()
		f.wantJob("j", iothub.JobCompleted, iothub.DeviceJobStatistics{DeviceCount: 2, SucceededCount: 2})
		for name, want := range map[string]any{"a": "b", "b": "b", "c": nil} {
			twin, err := f.GetTwin(t.Context(), iothub.ID{DeviceID: name})
			if err != nil || twin.Twin.Desired.Values["ch"] != want {
				t.Errorf("%s: desired %v, %v", name, twin.Twin.Desired.Values, err)
			}
		}
		if got := client.changes(); len(got) != 1 || got[0].body != `{"$version":2,"ch":"b"}` {
			t.Errorf("notified of %v", got)
		}
		rows := f.rows()
		if len(rows) != 2 || rows[0]["deviceId"] != "a" || rows[1]["deviceId"] != "b" || rows[0]["status"] != "completed" ||
			rows[0]["jobType"] != "scheduleUpdateTwin" || rows[0]["endTimeUtc"] == nil {
			t.Errorf("rows %v", rows)
		}
		if outcome, _ := rows[0]["outcome"].(map[string]any); outcome == nil || outcome["deviceMethodResponse"] != nil {
			t.Errorf("outcome %v", rows[0]["outcome"])
		}
		// Modules are a collection of their own.
		f.device("a/m")
		f.mustSchedule("m", `{"type":"scheduleUpdateTwin","queryCondition":"FROM devices.modules WHERE moduleId='m'","updateTwin":{"etag":"*","properties":{"desired":{"ch":"m"}}}}`)
		synctest.Wait()
		f.wantJob("m", iothub.JobCompleted, iothub.DeviceJobStatistics{DeviceCount: 1, SucceededCount: 1})
		if rows := f.rows(); len(rows) != 3 || rows[2]["moduleId"] != "m" {
			t.Errorf("rows %v", rows)
		}
	})
}

// answering connects a device that answers methods with its name.
func (f *fixture) answering(name string, called *atomic.Int64) {
	f.t.Helper()
	c, client := f.connect(iothub.ID{DeviceID: name}, "mqtt")
	c.EnableMethods(true)
	go func() {
		for {
			select {
			case req := <-client.methods:
				called.Add(1)
				c.AnswerMethod(req.RequestID, iothub.MethodResponse{Status: 201, Payload: json.RawMessage(fmt.Sprintf("%q", name))})
			case reason := <-client.gone:
				_ = reason
				return
			}
		}
	}()
}

func TestJobCallsMethods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		var called atomic.Int64
		for _, name := range []string{"a", "b", "off"} {
			f.device(name)
			if name != "off" {
				f.answering(name, &called)
			}
		}
		f.mustSchedule("j", `{"type":"scheduleDeviceMethod","queryCondition":"*","cloudToDeviceMethod":{"methodName":"m","payload":{"x":1}}}`)
		synctest.Wait()
		// A device that is away does not fail the job.
		f.wantJob("j", iothub.JobCompleted, iothub.DeviceJobStatistics{DeviceCount: 3, SucceededCount: 2, FailedCount: 1})
		if called.Load() != 2 {
			t.Errorf("%d calls", called.Load())
		}
		rows := f.rows()
		body, err := json.Marshal(rows[0]["outcome"])
		if err != nil || string(body) != `{"deviceMethodResponse":{"payload":"a","status":201}}` {
			t.Errorf("outcome %s, %v", body, err)
		}
		body, err = json.Marshal(rows[2]["error"])
		if err != nil || rows[2]["status"] != "failed" || string(body) != `{"code":"DeviceNotOnline","description":"Timed out waiting for device to connect."}` {
			t.Errorf("row %v", rows[2])
		}
	})
}

// A job waits for its start time on the hub's clock, and can be cancelled until then.
func TestJobStartTimeAndCancel(t *testing.T) {
	clock := newMovableClock()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(o *Options) { o.Now = clock.now })
		f.tagged("n", "a")
		later := func(id string) {
			f.mustSchedule(id, `{"startTime":"2026-01-05T12:00:00+01:00",`+northPatch[1:])
		}
		later("j")
		later("k")
		synctest.Wait()
		f.Sweep(clock.advance(59 * time.Minute))
		synctest.Wait()
		f.wantJob("j", iothub.JobScheduled, iothub.DeviceJobStatistics{})
		if j := f.GetJob("j"); !j.StartTime.Equal(time.Date(2026, 1, 5, 11, 0, 0, 0, time.UTC)) {
			t.Errorf("start %v", j.StartTime)
		}
		j, err := f.CancelJob(t.Context(), "k")
		if err != nil || j.Status != iothub.JobCancelled || j.EndTime.IsZero() {
			t.Errorf("cancelled: %+v, %v", j, err)
		}
		f.restart()
		f.Sweep(clock.advance(time.Minute))
		synctest.Wait()
		f.wantJob("j", iothub.JobCompleted, iothub.DeviceJobStatistics{DeviceCount: 1, SucceededCount: 1})
		f.wantJob("k", iothub.JobCancelled, iothub.DeviceJobStatistics{})
		for _, id := range []string{"j", "k"} {
			_, err := f.CancelJob(t.Context(), id)
			wantCode(t, err, iothub.CodeOperationNotAllowedInCurrentState)
		}
		_, err = f.CancelJob(t.Context(), "none")
		wantCode(t, err, iothub.CodeJobNotFound)
		if j := f.GetJob("none"); j.Type != iothub.JobTypeUnknown || j.Status != iothub.JobUnknown {
			t.Errorf("unknown job %+v", j)
		}
		_, err = f.schedule("j", northPatch)
		wantCode(t, err, iothub.CodeJobAlreadyExists)
		// After 30 days it is forgotten, rows included, and the ID is free.
		f.Sweep(clock.advance(iothub.JobRetention))
		if rows := f.rows(); f.GetJob("j").Status != iothub.JobUnknown || len(rows) != 0 {
			t.Errorf("still there: %+v %v", f.GetJob("j"), rows)
		}
		f.mustSchedule("j", northPatch)
		synctest.Wait()
		f.restart()
		f.wantJob("j", iothub.JobCompleted, iothub.DeviceJobStatistics{DeviceCount: 1, SucceededCount: 1})
		f.wantJob("k", iothub.JobUnknown, iothub.DeviceJobStatistics{})
	})
}

// A condition that is no query is accepted and fails the job.
func TestJobWithBadCondition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.mustSchedule("j", `{"type":"scheduleDeviceMethod","queryCondition":"tags. =","cloudToDeviceMethod":{"methodName":"m"}}`)
		synctest.Wait()
		f.wantJob("j", iothub.JobFailed, iothub.DeviceJobStatistics{})
		if f.GetJob("j").FailureReason == "" {
			t.Error("no reason")
		}
	})
}

// A tier allows so many jobs that are not finished.
func TestJobsOfATier(t *testing.T) {
	for tier, limit := range map[iothub.Tier]int{iothub.TierF1: 1, iothub.TierS1: 1, iothub.TierS2: 5, iothub.TierS3: 10} {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t, func(o *Options) { o.Tier = tier })
			at := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
			for i := range limit {
				f.mustSchedule(fmt.Sprint("j", i), `{"startTime":"`+at+`",`+northPatch[1:])
			}
			_, err := f.schedule("more", northPatch)
			wantCode(t, err, iothub.CodeThrottlingMaxActiveJobCountExceeded)
			_, err = f.schedule("j0", northPatch)
			wantCode(t, err, iothub.CodeJobAlreadyExists)
			if _, err := f.CancelJob(t.Context(), "j0"); err != nil {
				t.Fatal(err)
			}
			f.mustSchedule("more", northPatch)
		})
	}
}

// What a job has no time for fails, and so does the job.
func TestJobTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.jobs.slots = make(chan struct{}, 2)
		for _, name := range []string{"a", "b", "c"} {
			f.device(name)
		}
		f.mustSchedule("j", `{"type":"scheduleDeviceMethod","queryCondition":"*","maxExecutionTimeInSeconds":60,
			"cloudToDeviceMethod":{"methodName":"m","connectTimeoutInSeconds":300,"responseTimeoutInSeconds":300}}`)
		synctest.Wait()
		f.wantJob("j", iothub.JobRunning, iothub.DeviceJobStatistics{DeviceCount: 3, RunningCount: 2, PendingCount: 1})
		if rows := f.rows(); len(rows) != 3 || rows[0]["status"] != "running" || rows[2]["status"] != "pending" {
			t.Errorf("rows %v", rows)
		}
		_, err := f.CancelJob(t.Context(), "j")
		wantCode(t, err, iothub.CodeOperationNotAllowedInCurrentState)
		time.Sleep(59 * time.Second)
		synctest.Wait()
		f.wantJob("j", iothub.JobRunning, iothub.DeviceJobStatistics{DeviceCount: 3, RunningCount: 2, PendingCount: 1})
		time.Sleep(time.Second)
		synctest.Wait()
		f.wantJob("j", iothub.JobFailed, iothub.DeviceJobStatistics{DeviceCount: 3, FailedCount: 3})
		for _, row := range f.rows() {
			if e, _ := row["error"].(map[string]any); e["code"] != "RequestTimedOut" {
				t.Errorf("row %v", row)
			}
		}
	})
}

// All jobs together call so many devices at one time.
func TestJobCallsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		const devices = 130
		var atOnce, most atomic.Int64
		for i := range devices {
			name := fmt.Sprintf("d%03d", i)
			f.device(name)
			c, client := f.connect(iothub.ID{DeviceID: name}, "mqtt")
			c.EnableMethods(true)
			go func() {
				for {
					select {
					case req := <-client.methods:
						if n := atOnce.Add(1); n > most.Load() {
							most.Store(n)
						}
						time.Sleep(time.Second)
						atOnce.Add(-1)
						c.AnswerMethod(req.RequestID, iothub.MethodResponse{Status: 200})
					case reason := <-client.gone:
						_ = reason
						return
					}
				}
			}()
		}
		for _, id := range []string{"j", "k"} {
			f.mustSchedule(id, `{"type":"scheduleDeviceMethod","queryCondition":"*","cloudToDeviceMethod":{"methodName":"m"}}`)
		}
		time.Sleep(10 * time.Second)
		for _, id := range []string{"j", "k"} {
			f.wantJob(id, iothub.JobCompleted, iothub.DeviceJobStatistics{DeviceCount: devices, SucceededCount: devices})
		}
		if most.Load() > maxJobCalls || most.Load() < maxJobCalls/2 {
			t.Errorf("%d calls at once, want up to %d", most.Load(), maxJobCalls)
		}
	})
}

func TestJobList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		for i := range 5 {
			f.mustSchedule(fmt.Sprint("j", i), northPatch)
		}
		f.mustSchedule("m", `{"type":"scheduleDeviceMethod","queryCondition":"*","cloudToDeviceMethod":{"methodName":"m"}}`)
		synctest.Wait()
		filter := JobFilter{Type: "ScheduleUpdateTwin", Status: "Completed"}
		var got []string
		token := ""
		for {
			page, next, err := f.Jobs(filter, token, 2)
			if err != nil || len(page) > 2 {
				t.Fatalf("%v, %v", page, err)
			}
			for _, j := range page {
				got = append(got, j.ID)
			}
			if token = next; token == "" {
				break
			}
			_, _, err = f.Jobs(JobFilter{}, token, 2)
			wantCode(t, err, iothub.CodeArgumentInvalid)
		}
		if fmt.Sprint(got) != "[j0 j1 j2 j3 j4]" {
			t.Errorf("got %v", got)
		}
		if page, _, _ := f.Jobs(JobFilter{Status: "failed"}, "", 0); len(page) != 0 {
			t.Errorf("failed ones: %v", page)
		}
		if page, _, _ := f.Jobs(JobFilter{}, "", 0); len(page) != 6 {
			t.Errorf("all: %v", page)
		}
	})
}

// A tier's rate of devices slows jobs down, and refuses nothing.
func TestJobRateOfATier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(o *Options) { o.Tier = iothub.TierS1 })
		for i := range 200 {
			f.device(fmt.Sprintf("d%03d", i))
		}
		f.mustSchedule("j", `{"type":"scheduleUpdateTwin","queryCondition":"*","updateTwin":{"etag":"*","tags":{"a":1}}}`)
		synctest.Wait()
		// A second's worth at once, then ten a second.
		if n := f.GetJob("j").Statistics.SucceededCount; n < 5 || n > 20 {
			t.Errorf("%d devices at once", n)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := f.GetJob("j").Statistics.SucceededCount; n < 95 || n > 125 {
			t.Errorf("%d devices after 10 s", n)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		f.wantJob("j", iothub.JobCompleted, iothub.DeviceJobStatistics{DeviceCount: 200, SucceededCount: 200})
	})
}
