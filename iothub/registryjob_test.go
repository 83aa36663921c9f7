package iothub

import (
	"encoding/json"
	"testing"
	"time"
)

func TestRegistryJobJSON(t *testing.T) {
	start := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	job := RegistryJob{ID: "j", Type: RegistryJobImport, Status: RegistryJobRunning, Progress: 3, StartTime: start, StorageAuthenticationType: "keyBased"}
	for _, c := range []struct {
		change func()
		want   string
	}{
		{func() {}, `{"jobId":"j","type":"import","status":"running","progress":3,"excludeKeysInExport":false,"storageAuthenticationType":"keyBased","startTimeUtc":"2026-01-05T10:00:00.0000000Z"}`},
		{func() {
			job.Status, job.EndTime, job.FailureReason = RegistryJobFailed, start.Add(time.Minute), "why"
		}, `{"jobId":"j","type":"import","status":"failed","progress":3,"excludeKeysInExport":false,"storageAuthenticationType":"keyBased","failureReason":"why","startTimeUtc":"2026-01-05T10:00:00.0000000Z","endTimeUtc":"2026-01-05T10:01:00.0000000Z"}`},
	} {
		c.change()
		text, err := json.Marshal(job)
		if err != nil || string(text) != c.want {
			t.Errorf("%s, %v", text, err)
		}
		var back RegistryJob
		if err := json.Unmarshal(text, &back); err != nil || back != job {
			t.Errorf("%+v, %v", back, err)
		}
	}
}
