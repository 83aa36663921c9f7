package hub

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// maxJobCalls is how many devices all jobs together are at work on at one time.
const maxJobCalls = 100

// jobs are the scheduled jobs that the hub remembers.
type jobs struct {
	// creating orders the creations, across storage.
	creating sync.Mutex
	// slots bounds the calls in progress.
	slots chan struct{}

	// mu guards byID and the jobs' states, for memory only.
	mu   sync.Mutex
	byID map[string]*job
}

// job is a scheduled job and how far it is.
type job struct {
	// write is held across storage; who holds it alone changes doc and revision.
	write    sync.Mutex
	revision uint64

	// Guarded by jobs.mu.
	doc jobDocument
	// launched says that a goroutine runs the job, or did.
	launched bool
	counts   iothub.DeviceJobStatistics
}

// snapshotLocked returns the job as callers see it.
func (j *job) snapshotLocked() iothub.Job {
	out := j.doc.job()
	if !out.Status.Finished() {
		out.Statistics = j.counts
		out.Statistics.PendingCount = j.counts.DeviceCount - j.counts.RunningCount - j.counts.FailedCount - j.counts.SucceededCount
	}
	return out
}

func newJobs() jobs {
	return jobs{byID: map[string]*job{}, slots: make(chan struct{}, maxJobCalls)}
}

// CreateJob schedules the job that body asks for, durably, and returns it with
// the status queued. It starts as soon as its start time is there, which Sweep may bring about.
// Errors: those of iothub.DecodeJobRequest; JobAlreadyExists, also of a job that finished within the last 30 days;
// ThrottlingMaxActiveJobCountExceeded; ServiceUnavailable while closing.
// Source: IoT Hub devguide, schedule jobs on multiple devices.
func (h *Hub) CreateJob(ctx context.Context, id string, body []byte) (iothub.Job, error) {
	if !h.enter() {
		return iothub.Job{}, errClosing()
	}
	defer h.leave()
	now := h.now()
	req, err := iothub.DecodeJobRequest(id, body, now)
	if err != nil {
		return iothub.Job{}, err
	}
	j := &job{doc: newJobDocument(id, req, now)}
	if err := h.addJob(ctx, j); err != nil {
		return iothub.Job{}, err
	}
	out := j.doc.job()
	out.Status = iothub.JobQueued
	h.startDueJobs(now)
	return out, nil
}

func (h *Hub) addJob(ctx context.Context, j *job) error {
	h.jobs.creating.Lock()
	defer h.jobs.creating.Unlock()
	active := 0
	h.jobs.mu.Lock()
	for _, other := range h.jobs.byID {
		if !other.doc.Status.Finished() {
			active++
		}
	}
	h.jobs.mu.Unlock()
	if limit := h.o.Tier.MaxActiveJobs(); limit > 0 && active >= limit {
		// The duplicate is told of first.
		if _, exists := h.findJob(j.doc.ID); !exists {
			return iothub.NewError(iothub.CodeThrottlingMaxActiveJobCountExceeded,
				"The hub has %d jobs that are not finished; its tier allows %d.", active, limit)
		}
	}
	var err error
	j.revision, err = h.putJob(ctx, j.doc, 0)
	if errors.Is(err, store.ErrExists) {
		return iothub.NewError(iothub.CodeJobAlreadyExists, "A job with ID %q exists already.", j.doc.ID)
	}
	if err != nil {
		return err
	}
	h.jobs.mu.Lock()
	defer h.jobs.mu.Unlock()
	h.jobs.byID[j.doc.ID] = j
	return nil
}

func (h *Hub) findJob(id string) (*job, bool) {
	h.jobs.mu.Lock()
	defer h.jobs.mu.Unlock()
	j, ok := h.jobs.byID[id]
	return j, ok
}

// GetJob returns a job; one that there is not has type and status unknown, as
// the service answers.
func (h *Hub) GetJob(id string) iothub.Job {
	h.jobs.mu.Lock()
	defer h.jobs.mu.Unlock()
	if j, ok := h.jobs.byID[id]; ok {
		return j.snapshotLocked()
	}
	return iothub.UnknownJob(id)
}

// CancelJob cancels a job that did not start. Errors: JobNotFound, and
// OperationNotAllowedInCurrentState for one that runs or is finished.
func (h *Hub) CancelJob(ctx context.Context, id string) (iothub.Job, error) {
	if !h.enter() {
		return iothub.Job{}, errClosing()
	}
	defer h.leave()
	j, ok := h.findJob(id)
	if !ok {
		return iothub.Job{}, iothub.NewError(iothub.CodeJobNotFound, "There is no job with ID %q.", id)
	}
	now := h.now()
	err := h.changeJob(ctx, j, func(doc *jobDocument) error {
		if doc.Status != iothub.JobQueued && doc.Status != iothub.JobScheduled {
			return iothub.NewError(iothub.CodeOperationNotAllowedInCurrentState, "The job %q is %s and cannot be cancelled.", id, doc.Status)
		}
		doc.Status, doc.EndTime = iothub.JobCancelled, now
		return nil
	})
	if err != nil {
		return iothub.Job{}, err
	}
	return h.GetJob(id), nil
}

// changeJob stores a change of a job and then makes it. change may refuse.
func (h *Hub) changeJob(ctx context.Context, j *job, change func(*jobDocument) error) error {
	j.write.Lock()
	defer j.write.Unlock()
	h.jobs.mu.Lock()
	doc := j.doc
	h.jobs.mu.Unlock()
	if err := change(&doc); err != nil {
		return err
	}
	revision, err := h.putJob(ctx, doc, j.revision)
	if err != nil {
		return err
	}
	j.revision = revision
	h.jobs.mu.Lock()
	defer h.jobs.mu.Unlock()
	j.doc = doc
	return nil
}

// JobFilter says which jobs to list, compared without case; "" is any.
type JobFilter struct{ Type, Status string }

// Jobs returns up to limit jobs (1 to MaxQueryPage; else that) in the order of their IDs, those
// behind the continuation. The next one is "" after the last page.
// Errors: ArgumentInvalid for a continuation of another listing.
func (h *Hub) Jobs(f JobFilter, continuation string, limit int) (page []iothub.Job, next string, err error) {
	text := "jobs " + strings.ToLower(f.Type) + " " + strings.ToLower(f.Status)
	at, err := decodeContinuation(continuation, text)
	if err != nil {
		return nil, "", err
	}
	if limit < 1 || limit > MaxQueryPage {
		limit = MaxQueryPage
	}
	h.jobs.mu.Lock()
	defer h.jobs.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(h.jobs.byID)) {
		j := h.jobs.byID[id]
		if len(at.Key) == 1 && id <= at.Key[0] ||
			f.Type != "" && !strings.EqualFold(f.Type, string(j.doc.Type)) ||
			f.Status != "" && !strings.EqualFold(f.Status, string(j.doc.Status)) {
			continue
		}
		if len(page) == limit {
			return page, encodeContinuation(at.behind(page[limit-1].ID), text), nil
		}
		page = append(page, j.snapshotLocked())
	}
	return page, "", nil
}

func (c continuation) behind(key string) continuation { return continuation{Key: []string{key}} }

// sweepJobs starts the jobs that are due and forgets those that finished 30 days ago.
func (h *Hub) sweepJobs(now time.Time) {
	h.startDueJobs(now)
	var old []*job
	h.jobs.mu.Lock()
	for id, j := range h.jobs.byID {
		if j.doc.Status.Finished() && !now.Before(j.doc.EndTime.Add(iothub.JobRetention)) {
			delete(h.jobs.byID, id)
			old = append(old, j)
		}
	}
	h.jobs.mu.Unlock()
	for _, j := range old {
		if err := h.forgetJob(h.ending, j.doc.ID); err != nil && h.ending.Err() == nil {
			// The document is the last to go, so the next start of the hub tries again.
			h.o.Logger.Error("an old job could not be forgotten", "job", j.doc.ID, "err", err)
		}
	}
}

// startDueJobs launches the jobs whose time has come.
func (h *Hub) startDueJobs(now time.Time) {
	h.jobs.mu.Lock()
	defer h.jobs.mu.Unlock()
	for _, j := range h.jobs.byID {
		waiting := j.doc.Status == iothub.JobQueued || j.doc.Status == iothub.JobScheduled
		if waiting && !j.launched && !j.doc.StartTime.After(now) && h.enter() {
			j.launched = true
			go h.runJob(j)
		}
	}
}
