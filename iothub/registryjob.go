package iothub

import (
	"encoding/json"
	"strings"
	"time"
)

// RegistryJobType is what an import or export job does.
type RegistryJobType string

// The types of jobs.
const (
	RegistryJobImport RegistryJobType = "import"
	RegistryJobExport RegistryJobType = "export"
)

// RegistryJobStatus is how far an import or export job is.
type RegistryJobStatus string

// The states of a job, the last three final.
const (
	RegistryJobEnqueued  RegistryJobStatus = "enqueued"
	RegistryJobRunning   RegistryJobStatus = "running"
	RegistryJobCompleted RegistryJobStatus = "completed"
	RegistryJobFailed    RegistryJobStatus = "failed"
	RegistryJobCancelled RegistryJobStatus = "cancelled"
)

// Final reports whether the job is over.
func (s RegistryJobStatus) Final() bool {
	return s == RegistryJobCompleted || s == RegistryJobFailed || s == RegistryJobCancelled
}

// The names of blobs that a job takes when it is given none.
const (
	DefaultDevicesBlob        = "devices.txt"
	DefaultConfigurationsBlob = "configurations.txt"
	// ImportErrorsBlob is written into the output container of every import.
	ImportErrorsBlob = "importErrors.log"
)

// RegistryJobRequest asks for an import or export job. The container addresses
// hold signatures: they are not to be logged or shown.
// Source: JobProperties of the IoT Hub service API 2021-04-12.
type RegistryJobRequest struct {
	Type                      RegistryJobType `json:"type"`
	InputBlobContainerURI     string          `json:"inputBlobContainerUri"`
	InputBlobName             string          `json:"inputBlobName"`
	OutputBlobContainerURI    string          `json:"outputBlobContainerUri"`
	OutputBlobName            string          `json:"outputBlobName"`
	ExcludeKeysInExport       bool            `json:"excludeKeysInExport"`
	StorageAuthenticationType string          `json:"storageAuthenticationType"`
	IncludeConfigurations     bool            `json:"includeConfigurations"`
	ConfigurationsBlobName    string          `json:"configurationsBlobName"`
}

// Complete checks what needs no look at the containers and sets the defaults.
// Errors: ArgumentInvalid, BlobContainerValidationError, ManagedIdentityNotEnabled.
func (r *RegistryJobRequest) Complete() error {
	r.Type = RegistryJobType(strings.ToLower(string(r.Type)))
	if r.Type != RegistryJobImport && r.Type != RegistryJobExport {
		return NewError(CodeArgumentInvalid, "type must be import or export.")
	}
	switch strings.ToLower(r.StorageAuthenticationType) {
	case "", "keybased":
	case "identitybased":
		return NewError(CodeManagedIdentityNotEnabled, "The hub has no managed identity: give container addresses with a shared access signature.")
	default:
		return NewError(CodeArgumentInvalid, "storageAuthenticationType must be keyBased or identityBased.")
	}
	if r.OutputBlobContainerURI == "" {
		return NewError(CodeBlobContainerValidationError, "outputBlobContainerUri is missing.")
	}
	if r.Type == RegistryJobImport && r.InputBlobContainerURI == "" {
		return NewError(CodeBlobContainerValidationError, "inputBlobContainerUri is missing.")
	}
	if r.InputBlobName == "" {
		r.InputBlobName = DefaultDevicesBlob
	}
	if r.OutputBlobName == "" {
		r.OutputBlobName = DefaultDevicesBlob
	}
	if r.ConfigurationsBlobName == "" {
		r.ConfigurationsBlobName = DefaultConfigurationsBlob
	}
	for _, name := range []string{r.InputBlobName, r.OutputBlobName, r.ConfigurationsBlobName} {
		if len(name) > 1024 {
			return NewError(CodeArgumentInvalid, "A blob's name has at most 1024 characters.")
		}
	}
	return nil
}

// RegistryJob is an import or export job as callers see it, without the addresses
// of the containers.
// Source: JobProperties of the IoT Hub service API 2021-04-12.
type RegistryJob struct {
	ID     string            `json:"jobId"`
	Type   RegistryJobType   `json:"type"`
	Status RegistryJobStatus `json:"status"`
	// Progress is in percent.
	Progress  int       `json:"progress"`
	StartTime time.Time `json:"startTimeUtc"`
	// EndTime is zero before the end.
	EndTime                   time.Time `json:"endTimeUtc,omitzero"`
	ExcludeKeysInExport       bool      `json:"excludeKeysInExport"`
	StorageAuthenticationType string    `json:"storageAuthenticationType"`
	IncludeConfigurations     bool      `json:"includeConfigurations,omitempty"`
	FailureReason             string    `json:"failureReason,omitempty"`
}

// MarshalJSON writes the times as the service does.
func (j RegistryJob) MarshalJSON() ([]byte, error) {
	type plain RegistryJob
	out := struct {
		plain
		StartTime string `json:"startTimeUtc"`
		EndTime   string `json:"endTimeUtc,omitempty"`
	}{plain: plain(j), StartTime: FormatTime(j.StartTime)}
	if !j.EndTime.IsZero() {
		out.EndTime = FormatTime(j.EndTime)
	}
	return json.Marshal(out)
}
