package iothub

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// JobType says what a scheduled job does on each of its devices.
type JobType string

// The types. JobTypeUnknown is that of a job that there is not.
const (
	JobTypeUnknown      JobType = "unknown"
	JobTypeUpdateTwin   JobType = "scheduleUpdateTwin"
	JobTypeDeviceMethod JobType = "scheduleDeviceMethod"
)

// JobStatus is how far a job, or its part on one device, is.
type JobStatus string

// The statuses. JobScheduled is that of a job that waits for its start time, JobQueued
// that of one that was taken in, JobPending of a device that waits for its turn.
const (
	JobUnknown   JobStatus = "unknown"
	JobEnqueued  JobStatus = "enqueued"
	JobQueued    JobStatus = "queued"
	JobScheduled JobStatus = "scheduled"
	JobPending   JobStatus = "pending"
	JobRunning   JobStatus = "running"
	JobCompleted JobStatus = "completed"
	JobFailed    JobStatus = "failed"
	JobCancelled JobStatus = "cancelled"
)

// Finished reports whether nothing more will happen to the job.
func (s JobStatus) Finished() bool { return s == JobCompleted || s == JobFailed || s == JobCancelled }

// Limits of scheduled jobs. Source: IoT Hub devguide, schedule jobs on multiple devices; quotas and throttling.
const (
	// MaxJobDelay is how far ahead a job may be scheduled.
	MaxJobDelay = 7 * 24 * time.Hour
	// MaxJobID is the longest job ID.
	MaxJobID = 64
	// DefaultJobTime is how long a job may run that says nothing of it, and
	// MaxJobTime the most that one may ask for.
	DefaultJobTime = time.Hour
	MaxJobTime     = 30 * 24 * time.Hour
	// JobRetention is how long a finished job can be asked for.
	JobRetention = 30 * 24 * time.Hour
)

// MaxActiveJobs is how many jobs a hub of the tier may have that are not
// finished, those that wait for their start time included; 0 for TierNone, which has no limit.
// Source: IoT Hub quotas and throttling; scheduled jobs holding a slot is observed.
func (t Tier) MaxActiveJobs() int {
	switch t {
	case TierF1, TierS1:
		return 1
	case TierS2:
		return 5
	case TierS3:
		return 10
	}
	return 0
}

// JobRequest is a job to be scheduled.
type JobRequest struct {
	Type JobType
	// QueryCondition selects the devices or modules; its syntax is looked at when the job starts.
	QueryCondition string
	// StartTime is zero for a job that is to start at once.
	StartTime time.Time
	// MaxTime is how long the job may run, from its start.
	MaxTime time.Duration
	// UpdateTwin or Method is what to do, as it was sent.
	UpdateTwin json.RawMessage
	Method     json.RawMessage
}

type jobRequestJSON struct {
	JobID          string          `json:"jobId"`
	Type           JobType         `json:"type"`
	QueryCondition string          `json:"queryCondition"`
	StartTime      *string         `json:"startTime"`
	MaxSeconds     *int64          `json:"maxExecutionTimeInSeconds"`
	UpdateTwin     json.RawMessage `json:"updateTwin"`
	Method         json.RawMessage `json:"cloudToDeviceMethod"`
}

// DecodeJobRequest reads and checks the body that schedules job id at the given
// time. Errors: IotHubFormatError, ArgumentInvalid, MessageTooLarge.
// Source: Jobs - Create Scheduled Job of the IoT Hub service API 2021-04-12.
func DecodeJobRequest(id string, body []byte, now time.Time) (JobRequest, error) {
	var in jobRequestJSON
	if !utf8.Valid(body) {
		return JobRequest{}, NewError(CodeIotHubFormatError, "The body is not UTF-8.")
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return JobRequest{}, NewError(CodeIotHubFormatError, "The body is not a job: %v.", err)
	}
	if err := validateJobID(id); err != nil {
		return JobRequest{}, err
	}
	if in.JobID != "" && in.JobID != id {
		return JobRequest{}, NewError(CodeArgumentInvalid, "The job ID in the body differs from the one in the address.")
	}
	if strings.TrimSpace(in.QueryCondition) == "" {
		return JobRequest{}, NewError(CodeArgumentInvalid, "queryCondition is missing; * selects all devices.")
	}
	req := JobRequest{Type: in.Type, QueryCondition: in.QueryCondition, MaxTime: DefaultJobTime}
	if in.MaxSeconds != nil {
		if *in.MaxSeconds < 1 || *in.MaxSeconds > int64(MaxJobTime/time.Second) {
			return JobRequest{}, NewError(CodeArgumentInvalid, "maxExecutionTimeInSeconds must be between 1 and %d.", int64(MaxJobTime/time.Second))
		}
		req.MaxTime = time.Duration(*in.MaxSeconds) * time.Second
	}
	var err error
	if req.StartTime, err = jobStart(in.StartTime, now); err != nil {
		return JobRequest{}, err
	}
	switch in.Type {
	case JobTypeUpdateTwin:
		req.UpdateTwin = compact(in.UpdateTwin)
		_, err = req.TwinPatch()
	case JobTypeDeviceMethod:
		req.Method = compact(in.Method)
		_, err = req.MethodRequest()
	default:
		err = NewError(CodeArgumentInvalid, "type must be %s or %s.", JobTypeUpdateTwin, JobTypeDeviceMethod)
	}
	return req, err
}

func validateJobID(id string) error {
	if id == "" || len(id) > MaxJobID {
		return NewError(CodeArgumentInvalid, "A job ID has 1 to %d characters.", MaxJobID)
	}
	for i := range len(id) {
		if !validIDByte(id[i]) {
			return NewError(CodeArgumentInvalid, "The job ID contains a character that is not allowed, at position %d.", i)
		}
	}
	return nil
}

// jobStart reads a start time; what is past is now, which is the zero time.
func jobStart(text *string, now time.Time) (time.Time, error) {
	if text == nil || *text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, *text)
	if err != nil {
		// Some programs write UTC without saying so.
		if at, err = time.Parse("2006-01-02T15:04:05.999999999", *text); err != nil {
			return time.Time{}, NewError(CodeArgumentInvalid, "startTime %.64q is not a time such as 2026-01-05T10:00:00Z.", *text)
		}
	}
	switch {
	case at.After(now.Add(MaxJobDelay)):
		return time.Time{}, NewError(CodeArgumentInvalid, "startTime must be within %d hours from now.", int(MaxJobDelay/time.Hour))
	case !at.After(now):
		return time.Time{}, nil
	}
	return at.UTC(), nil
}

func compact(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if len(raw) == 0 || json.Compact(&b, raw) != nil {
		return nil
	}
	return b.Bytes()
}

// TwinPatch returns the change that a twin update makes. Error: ArgumentInvalid.
func (r JobRequest) TwinPatch() (TwinPatch, error) {
	var etag struct {
		ETag *string `json:"etag"`
	}
	if len(r.UpdateTwin) == 0 || string(r.UpdateTwin) == "null" {
		return TwinPatch{}, NewError(CodeArgumentInvalid, "updateTwin is missing.")
	}
	if err := json.Unmarshal(r.UpdateTwin, &etag); err != nil {
		return TwinPatch{}, NewError(CodeArgumentInvalid, "updateTwin is not a twin: %v.", err)
	}
	if etag.ETag == nil || *etag.ETag != "*" {
		return TwinPatch{}, NewError(CodeArgumentInvalid, `The etag of updateTwin must be "*".`)
	}
	patch, err := DecodeTwinPatch(r.UpdateTwin)
	if err != nil {
		return TwinPatch{}, NewError(CodeArgumentInvalid, "updateTwin is not a twin: %s", AsError(err).Message)
	}
	_, err = NewTwin(time.Time{}).Patch(patch, time.Time{})
	return patch, err
}

// MethodRequest returns the direct method that the job calls, checked as by
// MethodRequest.Validate.
func (r JobRequest) MethodRequest() (MethodRequest, error) {
	var in struct {
		MethodName      string          `json:"methodName"`
		Payload         json.RawMessage `json:"payload"`
		ResponseTimeout *int64          `json:"responseTimeoutInSeconds"`
		ConnectTimeout  *int64          `json:"connectTimeoutInSeconds"`
	}
	if len(r.Method) == 0 || string(r.Method) == "null" {
		return MethodRequest{}, NewError(CodeArgumentInvalid, "cloudToDeviceMethod is missing.")
	}
	if err := json.Unmarshal(r.Method, &in); err != nil {
		return MethodRequest{}, NewError(CodeArgumentInvalid, "cloudToDeviceMethod is not a method: %v.", err)
	}
	req := MethodRequest{MethodName: in.MethodName, Payload: in.Payload}
	for _, timeout := range []struct {
		name    string
		seconds *int64
		to      *time.Duration
		least   time.Duration
	}{
		{"responseTimeoutInSeconds", in.ResponseTimeout, &req.ResponseTimeout, MinResponseTimeout},
		{"connectTimeoutInSeconds", in.ConnectTimeout, &req.ConnectTimeout, 0},
	} {
		if timeout.seconds == nil {
			continue
		}
		if n := *timeout.seconds; n < int64(timeout.least/time.Second) || n > int64(MaxMethodTimeout/time.Second) {
			return MethodRequest{}, NewError(CodeArgumentInvalid, "%s must be between %d and %d.",
				timeout.name, int64(timeout.least/time.Second), int64(MaxMethodTimeout/time.Second))
		}
		*timeout.to = time.Duration(*timeout.seconds) * time.Second
	}
	return req, req.Validate()
}

// DeviceJobStatistics counts the devices of a job by how far they are.
type DeviceJobStatistics struct {
	DeviceCount    int `json:"deviceCount"`
	FailedCount    int `json:"failedCount"`
	SucceededCount int `json:"succeededCount"`
	RunningCount   int `json:"runningCount"`
	PendingCount   int `json:"pendingCount"`
}

// Job is a scheduled job.
type Job struct {
	JobRequest
	ID                   string
	Status               JobStatus
	CreatedTime, EndTime time.Time
	// FailureReason says why the job as a whole failed, StatusMessage what else is worth saying.
	FailureReason, StatusMessage string
	Statistics                   DeviceJobStatistics
}

// UnknownJob is the answer to the question for a job that there is not.
func UnknownJob(id string) Job {
	return Job{ID: id, JobRequest: JobRequest{Type: JobTypeUnknown}, Status: JobUnknown}
}

// MarshalJSON writes the job as the jobs API answers it.
// Source: JobResponse of the IoT Hub service API 2021-04-12.
func (j Job) MarshalJSON() ([]byte, error) {
	out := map[string]any{"jobId": j.ID, "type": j.Type, "status": j.Status}
	if j.Type == JobTypeUnknown {
		return json.Marshal(out)
	}
	out["queryCondition"] = j.QueryCondition
	out["maxExecutionTimeInSeconds"] = int64(j.MaxTime / time.Second)
	out["deviceJobStatistics"] = j.Statistics
	for name, at := range map[string]time.Time{"createdTime": j.CreatedTime, "startTime": j.StartTime, "endTime": j.EndTime} {
		if !at.IsZero() {
			out[name] = FormatTime(at)
		}
	}
	for name, text := range map[string]string{"failureReason": j.FailureReason, "statusMessage": j.StatusMessage} {
		if text != "" {
			out[name] = text
		}
	}
	if j.Type == JobTypeUpdateTwin {
		out["updateTwin"] = j.UpdateTwin
	} else {
		out["cloudToDeviceMethod"] = j.Method
	}
	return json.Marshal(out)
}
