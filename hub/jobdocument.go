package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// Where jobs are stored: the job itself under its ID; its devices, in the order
// of their IDs, in parts of targetsPerDocument under "ID number"; and a row for each device
// that it has begun with, under "ID device module". A space sorts before
// everything that an ID may hold.
const (
	jobCollection       = "jobs"
	jobTargetCollection = "jobTargets"
	jobRowCollection    = "jobRows"
	targetsPerDocument  = 1000
	documentPage        = 500
)

// jobDocument is a job as it is stored.
type jobDocument struct {
	ID             string                     `json:"id"`
	Type           iothub.JobType             `json:"type"`
	QueryCondition string                     `json:"queryCondition"`
	StartTime      time.Time                  `json:"startTime"`
	MaxTime        time.Duration              `json:"maxTime"`
	UpdateTwin     json.RawMessage            `json:"updateTwin,omitempty"`
	Method         json.RawMessage            `json:"method,omitempty"`
	Status         iothub.JobStatus           `json:"status"`
	CreatedTime    time.Time                  `json:"createdTime"`
	EndTime        time.Time                  `json:"endTime"`
	FailureReason  string                     `json:"failureReason,omitempty"`
	StatusMessage  string                     `json:"statusMessage,omitempty"`
	Statistics     iothub.DeviceJobStatistics `json:"statistics"`
	// Began is when the job began to run; Selected says that its devices are all stored.
	Began    time.Time `json:"began"`
	Selected bool      `json:"selected,omitempty"`
}

func newJobDocument(id string, req iothub.JobRequest, now time.Time) jobDocument {
	d := jobDocument{
		ID: id, Type: req.Type, QueryCondition: req.QueryCondition, StartTime: req.StartTime, MaxTime: req.MaxTime,
		UpdateTwin: req.UpdateTwin, Method: req.Method, Status: iothub.JobScheduled, CreatedTime: now,
	}
	if !d.StartTime.After(now) {
		d.StartTime, d.Status = now, iothub.JobQueued
	}
	return d
}

func (d jobDocument) request() iothub.JobRequest {
	return iothub.JobRequest{
		Type: d.Type, QueryCondition: d.QueryCondition, StartTime: d.StartTime, MaxTime: d.MaxTime, UpdateTwin: d.UpdateTwin, Method: d.Method,
	}
}

func (d jobDocument) job() iothub.Job {
	return iothub.Job{
		JobRequest: d.request(), ID: d.ID, Status: d.Status, CreatedTime: d.CreatedTime, EndTime: d.EndTime,
		FailureReason: d.FailureReason, StatusMessage: d.StatusMessage, Statistics: d.Statistics,
	}
}

func (h *Hub) putJob(ctx context.Context, d jobDocument, revision uint64) (uint64, error) {
	return putDocument(ctx, h.o.Documents, jobCollection, d.ID, revision, d)
}

// putDocument stores a value as JSON.
func putDocument(ctx context.Context, documents store.Documents, collection, key string, revision uint64, v any) (uint64, error) {
	payload, err := json.Marshal(v)
	if err != nil {
		return 0, err
	}
	return documents.PutDocument(ctx, collection, store.Document{Key: key, Payload: payload, Revision: revision})
}

// eachDocument calls yield for the documents of a collection whose keys begin
// with prefix, in their order, until it returns an error.
func (h *Hub) eachDocument(ctx context.Context, collection, prefix string, yield func(store.Document) error) error {
	resume := ""
	for {
		page, next, err := h.o.Documents.ListDocuments(ctx, collection, prefix, resume, documentPage)
		if err != nil {
			return err
		}
		for _, d := range page {
			if err := yield(d); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		resume = next
	}
}

// loadJobs reads the jobs and goes on with those that ran when the hub stopped.
func (h *Hub) loadJobs(ctx context.Context) error {
	err := h.eachDocument(ctx, jobCollection, "", func(d store.Document) error {
		j := &job{revision: d.Revision}
		if err := json.Unmarshal(d.Payload, &j.doc); err != nil {
			return fmt.Errorf("job %q: %w", d.Key, err)
		}
		h.jobs.byID[j.doc.ID] = j
		if j.doc.Status != iothub.JobRunning || !j.doc.Selected {
			return nil
		}
		j.counts.DeviceCount = j.doc.Statistics.DeviceCount
		return h.eachRow(ctx, j.doc.ID, func(row jobRow) error {
			j.countFinished(row.Status)
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("hub: jobs: %w", err)
	}
	for _, j := range h.jobs.byID {
		if j.doc.Status == iothub.JobRunning && h.enter() {
			j.launched = true
			go h.runJob(j)
		}
	}
	return nil
}

// countFinished counts a device that the job is done with. The caller holds jobs.mu or is alone.
func (j *job) countFinished(s iothub.JobStatus) {
	switch s {
	case iothub.JobCompleted:
		j.counts.SucceededCount++
	case iothub.JobFailed:
		j.counts.FailedCount++
	}
}

// forgetJob removes what is stored of a job, the job itself last.
func (h *Hub) forgetJob(ctx context.Context, id string) error {
	if err := errors.Join(h.deleteDocuments(ctx, jobRowCollection, id+" "), h.deleteDocuments(ctx, jobTargetCollection, id+" ")); err != nil {
		return err
	}
	err := h.o.Documents.DeleteDocument(ctx, jobCollection, id, 0)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

func (h *Hub) deleteDocuments(ctx context.Context, collection, prefix string) error {
	return h.eachDocument(ctx, collection, prefix, func(d store.Document) error {
		err := h.o.Documents.DeleteDocument(ctx, collection, d.Key, 0)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
}

// storeTargets replaces the devices of a job.
func (h *Hub) storeTargets(ctx context.Context, jobID string, ids []iothub.ID) error {
	if err := h.deleteDocuments(ctx, jobTargetCollection, jobID+" "); err != nil {
		return err
	}
	for number := 0; len(ids) > 0; number++ {
		n := min(len(ids), targetsPerDocument)
		names := make([]string, n)
		for i, id := range ids[:n] {
			names[i] = id.String()
		}
		if _, err := putDocument(ctx, h.o.Documents, jobTargetCollection, fmt.Sprintf("%s %08d", jobID, number), 0, names); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// eachTarget calls yield for the devices of a job.
func (h *Hub) eachTarget(ctx context.Context, jobID string, yield func(iothub.ID) error) error {
	return h.eachDocument(ctx, jobTargetCollection, jobID+" ", func(d store.Document) error {
		var names []string
		if err := json.Unmarshal(d.Payload, &names); err != nil {
			return err
		}
		for _, name := range names {
			device, module, _ := strings.Cut(name, "/")
			if err := yield(iothub.ID{DeviceID: device, ModuleID: module}); err != nil {
				return err
			}
		}
		return nil
	})
}

// jobRow is what a job did on one device.
// Source: IoT Hub devguide, query language for jobs.
type jobRow struct {
	DeviceID    string           `json:"deviceId"`
	ModuleID    string           `json:"moduleId,omitempty"`
	JobID       string           `json:"jobId"`
	JobType     iothub.JobType   `json:"jobType"`
	Status      iothub.JobStatus `json:"status"`
	Start       string           `json:"startTimeUtc,omitempty"`
	End         string           `json:"endTimeUtc,omitempty"`
	Created     string           `json:"createdDateTimeUtc"`
	LastUpdated string           `json:"lastUpdatedDateTimeUtc"`
	Outcome     *jobOutcome      `json:"outcome,omitempty"`
	Error       *jobError        `json:"error,omitempty"`

	revision uint64
}

type jobOutcome struct {
	// Method is null for an update of a twin.
	Method *iothub.MethodResponse `json:"deviceMethodResponse"`
}

type jobError struct {
	Code        string `json:"code"`
	Description string `json:"description"`
}

func (d jobDocument) newRow(id iothub.ID) jobRow {
	created := iothub.FormatTime(d.CreatedTime)
	return jobRow{
		DeviceID: id.DeviceID, ModuleID: id.ModuleID, JobID: d.ID, JobType: d.Type, Status: iothub.JobPending,
		Created: created, LastUpdated: created,
	}
}

func rowKey(jobID string, id iothub.ID) string { return jobID + " " + id.DeviceID + " " + id.ModuleID }

// getRow returns the row of a device; ok is false when the job did not begin with it.
func (h *Hub) getRow(ctx context.Context, jobID string, id iothub.ID) (row jobRow, ok bool, err error) {
	d, err := h.o.Documents.GetDocument(ctx, jobRowCollection, rowKey(jobID, id))
	if errors.Is(err, store.ErrNotFound) {
		return jobRow{}, false, nil
	}
	if err != nil {
		return jobRow{}, false, err
	}
	row.revision = d.Revision
	return row, true, json.Unmarshal(d.Payload, &row)
}

func (h *Hub) putRow(ctx context.Context, row *jobRow) (err error) {
	id := iothub.ID{DeviceID: row.DeviceID, ModuleID: row.ModuleID}
	row.revision, err = putDocument(ctx, h.o.Documents, jobRowCollection, rowKey(row.JobID, id), row.revision, row)
	return err
}

func (h *Hub) eachRow(ctx context.Context, jobID string, yield func(jobRow) error) error {
	return h.eachDocument(ctx, jobRowCollection, jobID+" ", func(d store.Document) error {
		row := jobRow{revision: d.Revision}
		if err := json.Unmarshal(d.Payload, &row); err != nil {
			return err
		}
		return yield(row)
	})
}

// errEnough ends an iteration that has seen what it wanted.
var errEnough = errors.New("enough")

// jobRows calls yield with the rows of devices.jobs, one per job and device,
// until yield returns false. The rows are in ascending order of jobId, deviceId and
// moduleId, each compared as text, and hold those as strings.
func (h *Hub) jobRows(ctx context.Context, yield func(map[string]any) bool) error {
	var all []jobDocument
	h.jobs.mu.Lock()
	for _, j := range h.jobs.byID {
		all = append(all, j.doc)
	}
	h.jobs.mu.Unlock()
	slices.SortFunc(all, func(a, b jobDocument) int { return strings.Compare(a.ID, b.ID) })
	give := func(row jobRow) error {
		body, err := json.Marshal(row)
		if err != nil {
			return err
		}
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.UseNumber()
		var m map[string]any
		if err := dec.Decode(&m); err != nil {
			return err
		}
		if !yield(m) {
			return errEnough
		}
		return nil
	}
	for _, d := range all {
		var err error
		if d.Status.Finished() {
			err = h.eachRow(ctx, d.ID, give)
		} else {
			err = h.eachTarget(ctx, d.ID, func(id iothub.ID) error {
				row, ok, err := h.getRow(ctx, d.ID, id)
				if err != nil {
					return err
				}
				if !ok {
					row = d.newRow(id)
				}
				return give(row)
			})
		}
		if errors.Is(err, errEnough) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
