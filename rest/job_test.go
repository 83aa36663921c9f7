package rest

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

const twinJob = `{"type":"scheduleUpdateTwin","queryCondition":"*","updateTwin":{"etag":"*","properties":{"desired":{"a":1}}}}`

func TestJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.create(iothub.ID{DeviceID: "d"})
		job := w.do("PUT", "/jobs/v2/fw-1", twinJob).ok(200)
		if job["jobId"] != "fw-1" || job["status"] != "queued" || job["type"] != "scheduleUpdateTwin" || job["maxExecutionTimeInSeconds"] != 3600.0 ||
			job["queryCondition"] != "*" || job["createdTime"] == nil || job["startTime"] != job["createdTime"] || job["endTime"] != nil {
			t.Errorf("created %v", job)
		}
		synctest.Wait()
		job = w.do("GET", "/jobs/v2/fw-1", "").ok(200)
		stats, _ := job["deviceJobStatistics"].(map[string]any)
		if job["status"] != "completed" || job["endTime"] == nil || stats["deviceCount"] != 1.0 || stats["succeededCount"] != 1.0 || stats["pendingCount"] != 0.0 {
			t.Errorf("completed %v", job)
		}
		if patch, _ := job["updateTwin"].(map[string]any); patch["etag"] != "*" {
			t.Errorf("updateTwin %v", job["updateTwin"])
		}

		later := `{"startTime":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano) + `","maxExecutionTimeInSeconds":60,` +
			`"type":"scheduleDeviceMethod","queryCondition":"deviceId IN ['d']","cloudToDeviceMethod":{"methodName":"m","payload":"x"}}`
		if job := w.do("PUT", "/jobs/v2/later", later).ok(200); job["status"] != "queued" || job["cloudToDeviceMethod"] == nil {
			t.Errorf("created %v", job)
		}
		if job := w.do("GET", "/Jobs/v2/later", "").ok(200); job["status"] != "scheduled" {
			t.Errorf("scheduled %v", job)
		}
		if job := w.do("POST", "/jobs/v2/later/cancel", "").ok(200); job["status"] != "cancelled" {
			t.Errorf("cancelled %v", job)
		}
		w.do("POST", "/jobs/v2/later/cancel", "").refused(legacy, iothub.CodeOperationNotAllowedInCurrentState)
		w.do("POST", "/jobs/v2/fw-1/cancel", "").refused(legacy, iothub.CodeOperationNotAllowedInCurrentState)
		w.do("POST", "/jobs/v2/none/cancel", "").refused(legacy, iothub.CodeJobNotFound)
		w.do("PUT", "/jobs/v2/fw-1", twinJob).refused(legacy, iothub.CodeJobAlreadyExists)
		if a := w.do("GET", "/jobs/v2/none", ""); a.status != 200 || a.body != `{"jobId":"none","status":"unknown","type":"unknown"}` {
			t.Errorf("unknown: %d %s", a.status, a.body)
		}

		a := w.do("GET", "/jobs/v2/query", "", "x-ms-max-item-count", "1")
		if rows := a.list(); len(rows) != 1 || rows[0]["jobId"] != "fw-1" || a.header.Get("x-ms-item-type") != "JobResponse" {
			t.Errorf("first page %v", a.body)
		}
		a = w.do("GET", "/jobs/v2/query", "", "x-ms-continuation", a.header.Get("x-ms-continuation"))
		if _, more := a.header["X-Ms-Continuation"]; len(a.list()) != 1 || more {
			t.Errorf("second page %s", a.body)
		}
		if rows := w.do("GET", "/jobs/v2/query?jobType=scheduleDeviceMethod&jobStatus=cancelled", "").list(); len(rows) != 1 || rows[0]["jobId"] != "later" {
			t.Errorf("filtered: %v", rows)
		}
		w.do("GET", "/jobs/v2/query", "", "x-ms-continuation", "x").refused(legacy, iothub.CodeArgumentInvalid)
		w.do("GET", "/jobs/v2/query", "", "x-ms-max-item-count", "x").refused(legacy, iothub.CodeArgumentInvalid)

		// The rows are a collection of the query language.
		rows := w.do("POST", "/devices/query", `{"query":"SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'fw-1' AND devices.jobs.status = 'completed'"}`).list()
		if len(rows) != 1 || rows[0]["deviceId"] != "d" {
			t.Errorf("rows %v", rows)
		}
	})
}

func TestRefusedJobs(t *testing.T) {
	w := newWorld(t)
	method := func(m string) string {
		return `{"type":"scheduleDeviceMethod","queryCondition":"*","cloudToDeviceMethod":` + m + `}`
	}
	twin := func(p string) string {
		return `{"type":"scheduleUpdateTwin","queryCondition":"*","updateTwin":` + p + `}`
	}
	with := func(member string) string { return "{" + member + "," + twinJob[1:] }
	for body, want := range map[string]iothub.Code{
		``:                                      iothub.CodeArgumentNull,
		`[`:                                     iothub.CodeIotHubFormatError,
		`[1]`:                                   iothub.CodeIotHubFormatError,
		`{}`:                                    iothub.CodeArgumentInvalid,
		`null`:                                  iothub.CodeArgumentInvalid,
		method(`{"methodName":"m"}`)[:20] + `}`: iothub.CodeIotHubFormatError,
		strings.Replace(twinJob, "scheduleUpdateTwin", "export", 1):                      iothub.CodeArgumentInvalid,
		strings.Replace(twinJob, `"*"`, `" "`, 1):                                        iothub.CodeArgumentInvalid,
		with(`"jobId":"other"`):                                                          iothub.CodeArgumentInvalid,
		with(`"startTime":"tomorrow"`):                                                   iothub.CodeArgumentInvalid,
		with(`"startTime":"` + time.Now().Add(169*time.Hour).Format(time.RFC3339) + `"`): iothub.CodeArgumentInvalid,
		with(`"maxExecutionTimeInSeconds":0`):                                            iothub.CodeArgumentInvalid,
		with(`"maxExecutionTimeInSeconds":9223372036854775807`):                          iothub.CodeArgumentInvalid,
		with(`"maxExecutionTimeInSeconds":"x"`):                                          iothub.CodeIotHubFormatError,
		twin(`null`):                                                                     iothub.CodeArgumentInvalid,
		twin(`[]`):                                                                       iothub.CodeArgumentInvalid,
		twin(`{"tags":{"a":1}}`):                                                         iothub.CodeArgumentInvalid,
		twin(`{"etag":"AAAA","tags":{"a":1}}`):                                           iothub.CodeArgumentInvalid,
		twin(`{"etag":"*","tags":{"a.b":1}}`):                                            iothub.CodeArgumentInvalid,
		twin(`{"etag":"*","tags":1}`):                                                    iothub.CodeArgumentInvalid,
		method(`null`):                                                                   iothub.CodeArgumentInvalid,
		method(`{}`):                                                                     iothub.CodeArgumentInvalid,
		method(`{"methodName":"a b"}`):                                                   iothub.CodeArgumentInvalid,
		method(`{"methodName":"m","responseTimeoutInSeconds":4}`):                        iothub.CodeArgumentInvalid,
		method(`{"methodName":"m","connectTimeoutInSeconds":301}`):                       iothub.CodeArgumentInvalid,
	} {
		a := w.do("PUT", "/jobs/v2/j", body)
		if a.header.Get("iothub-errorcode") != want.String() {
			t.Errorf("%s: %s, want %s", body, a.body, want)
			continue
		}
		a.refused(legacy, want)
	}
	for _, id := range []string{"a%20b", strings.Repeat("x", 65), "a%2Fb"} {
		w.do("PUT", "/jobs/v2/"+id, twinJob).refused(legacy, iothub.CodeArgumentInvalid)
	}
	w.raw("PUT", "/jobs/v2/j?"+testVersion, twinJob, "Authorization", token(t, "registryRead", testHost, time.Now().Add(time.Hour))).
		refused(legacy, iothub.CodeIotHubUnauthorizedAccess)
}
