package hub

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// reconnectTime is how long a method of a job that goes on after a restart waits
// for a device that nobody has given the time to come back.
const reconnectTime = 30 * time.Second

// errJobTime is why a job that ran too long ends.
var errJobTime = errors.New("the job's time is over")

// runJob runs a job to its end, or until the hub closes: then it goes on at
// the next start. A job that is running when this begins was interrupted.
func (h *Hub) runJob(j *job) {
	defer h.leave()
	ctx, cancel := context.WithCancelCause(h.ending)
	defer cancel(nil)
	resumed, err := h.beginJob(ctx, j)
	if err == nil {
		deadline := h.startDeadline(max(j.doc.Began.Add(j.doc.MaxTime).Sub(h.now()), 0))
		defer deadline.stop()
		go func() {
			if over, _ := h.await(ctx, deadline, nil); over {
				cancel(errJobTime)
			}
		}()
		err = h.runDevices(ctx, j, resumed)
	}
	if h.ending.Err() != nil || iothub.ErrorCode(err) == iothub.CodeOperationNotAllowedInCurrentState {
		return // closing, or cancelled in the last moment
	}
	if errors.Is(err, errJobTime) {
		err = iothub.NewError(iothub.CodeRequestTimedOut, "The job did not finish within its maxExecutionTimeInSeconds.")
		h.failTheRest(j)
	}
	h.endJob(j, err)
}

// beginJob selects and stores the devices, unless that is done already.
func (h *Hub) beginJob(ctx context.Context, j *job) (resumed bool, err error) {
	now := h.now()
	err = h.changeJob(ctx, j, func(d *jobDocument) error {
		switch d.Status {
		case iothub.JobRunning:
			resumed = d.Selected
		case iothub.JobQueued, iothub.JobScheduled:
			d.Status, d.Began = iothub.JobRunning, now
		default:
			return iothub.NewError(iothub.CodeOperationNotAllowedInCurrentState, "The job is %s.", d.Status)
		}
		return nil
	})
	if err != nil || resumed {
		return resumed, err
	}
	var ids []iothub.ID
	err = h.SelectIdentities(ctx, "devices", j.doc.QueryCondition, func(id iothub.ID) bool {
		ids = append(ids, id)
		return ctx.Err() == nil
	})
	if err = cmp.Or(err, ctx.Err()); err != nil {
		return false, err
	}
	slices.SortFunc(ids, func(a, b iothub.ID) int {
		return cmp.Or(strings.Compare(a.DeviceID, b.DeviceID), strings.Compare(a.ModuleID, b.ModuleID))
	})
	if err := h.storeTargets(ctx, j.doc.ID, ids); err != nil {
		return false, err
	}
	err = h.changeJob(ctx, j, func(d *jobDocument) error {
		d.Selected, d.Statistics.DeviceCount = true, len(ids)
		return nil
	})
	h.jobs.mu.Lock()
	defer h.jobs.mu.Unlock()
	j.counts.DeviceCount = len(ids)
	return false, err
}

// runDevices does the job on every device that it is not done with.
func (h *Hub) runDevices(ctx context.Context, j *job, resumed bool) error {
	work, err := h.jobWork(j.doc.request(), resumed)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	defer running.Wait()
	err = h.eachTarget(ctx, j.doc.ID, func(id iothub.ID) error {
		row := j.doc.newRow(id)
		if resumed {
			before, ok, err := h.getRow(ctx, j.doc.ID, id)
			if err != nil || ok && before.Status.Finished() {
				return err
			}
			if ok {
				row = before
			}
		}
		if err := h.jobTurn(ctx); err != nil {
			return err
		}
		running.Go(func() {
			defer func() { <-h.jobs.slots }()
			h.runDevice(ctx, j, row, work)
		})
		return nil
	})
	running.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// jobTurn waits for a slot, and for the tier's rate of devices.
func (h *Hub) jobTurn(ctx context.Context) error {
	select {
	case h.jobs.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for {
		err := h.Throttle(ctx, iothub.ThrottleJobDevice, 1)
		if err == nil {
			return nil
		}
		if iothub.ErrorCode(err) == iothub.CodeThrottlingBacklogTimeout {
			pause := h.startDeadline(time.Second)
			_, err = h.await(ctx, pause, nil)
			pause.stop()
		}
		if err != nil {
			<-h.jobs.slots
			return cmp.Or(context.Cause(ctx), err)
		}
	}
}

// jobWork is what a job does on one device. interrupted says that it may have
// been done already.
type jobWork func(ctx context.Context, id iothub.ID, interrupted bool) (*iothub.MethodResponse, error)

func (h *Hub) jobWork(req iothub.JobRequest, resumed bool) (jobWork, error) {
	if req.Type == iothub.JobTypeUpdateTwin {
		patch, err := req.TwinPatch()
		return func(ctx context.Context, id iothub.ID, _ bool) (*iothub.MethodResponse, error) {
			ctx = context.WithoutCancel(ctx)
			if resumed && h.hasPatch(ctx, id, patch) {
				return nil, nil // it was made, and the row was not stored any more
			}
			_, err := h.PatchTwin(ctx, id, patch, "")
			return nil, err
		}, err
	}
	method, err := req.MethodRequest()
	if resumed {
		method.ConnectTimeout = max(method.ConnectTimeout, min(reconnectTime, method.ResponseTimeout))
	}
	return func(ctx context.Context, id iothub.ID, interrupted bool) (*iothub.MethodResponse, error) {
		if interrupted {
			return nil, iothub.NewError(iothub.CodeServiceUnavailable,
				"The hub stopped while the device was called; it is not known whether the device ran the method, and it is not called again.")
		}
		answer, err := h.InvokeMethod(ctx, id, method)
		return &answer, err
	}, err
}

// hasPatch reports whether a patch would change nothing in a twin.
func (h *Hub) hasPatch(ctx context.Context, id iothub.ID, patch iothub.TwinPatch) bool {
	_, twin, err := h.o.Registry.Twin(ctx, id)
	if err != nil {
		return false
	}
	after, err := twin.Patch(patch, h.now())
	return err == nil && iothub.Difference(twin.Tags, after.Tags) == nil &&
		iothub.Difference(twin.Desired.Values, after.Desired.Values) == nil
}

// runDevice does the job on one device and stores the outcome.
func (h *Hub) runDevice(ctx context.Context, j *job, row jobRow, work jobWork) {
	id := iothub.ID{DeviceID: row.DeviceID, ModuleID: row.ModuleID}
	store := context.WithoutCancel(ctx)
	interrupted := row.Status == iothub.JobRunning
	ended := iothub.JobPending
	h.countDevice(j, 1, "")
	defer func() { h.countDevice(j, -1, ended) }()
	if row.Start == "" {
		row.Start = iothub.FormatTime(h.now())
	}
	if j.doc.Type == iothub.JobTypeDeviceMethod && !interrupted {
		// A device must not be called twice, so the attempt is stored first.
		row.Status = iothub.JobRunning
		if err := h.putRow(store, &row); err != nil {
			h.o.Logger.Error("a job's attempt on a device was not stored", "job", row.JobID, "device", id, "err", err)
			return
		}
	}
	answer, err := work(ctx, id, interrupted)
	if err != nil && !interrupted && h.ending.Err() != nil {
		return // closing cut it off: the next start of the hub finds the row as it is
	}
	if err != nil && errors.Is(context.Cause(ctx), errJobTime) && errors.Is(err, context.Canceled) {
		err = errJobTime
	}
	ended = h.endRow(store, row, answer, err)
}

// countDevice counts a device that the job begins with (running 1) or is done with (-1).
func (h *Hub) countDevice(j *job, running int, s iothub.JobStatus) {
	h.jobs.mu.Lock()
	defer h.jobs.mu.Unlock()
	j.counts.RunningCount += running
	j.countFinished(s)
}

// endRow stores what became of the job on one device, and returns its status.
func (h *Hub) endRow(ctx context.Context, row jobRow, answer *iothub.MethodResponse, err error) iothub.JobStatus {
	row.End = iothub.FormatTime(h.now())
	row.LastUpdated = row.End
	if err == nil {
		row.Status, row.Outcome = iothub.JobCompleted, &jobOutcome{Method: answer}
	} else {
		row.Status, row.Error = iothub.JobFailed, rowError(err)
		if row.Error.Code == iothub.CodeServerError.String() {
			h.o.Logger.Error("a job failed on a device", "job", row.JobID, "device", row.DeviceID, "err", err)
		}
	}
	if err := h.putRow(ctx, &row); err != nil {
		h.o.Logger.Error("the outcome of a job on a device was not stored", "job", row.JobID, "device", row.DeviceID, "err", err)
	}
	return row.Status
}

func rowError(err error) *jobError {
	if errors.Is(err, errJobTime) {
		return &jobError{iothub.CodeRequestTimedOut.String(), "The time of the job was over."}
	}
	e := iothub.AsError(err)
	return &jobError{e.Code.String(), e.Message}
}

// failTheRest ends the rows of the devices that the job had no time for.
func (h *Hub) failTheRest(j *job) {
	err := h.eachTarget(h.ending, j.doc.ID, func(id iothub.ID) error {
		row, ok, err := h.getRow(h.ending, j.doc.ID, id)
		if err != nil || ok && row.Status.Finished() {
			return err
		}
		if !ok {
			row = j.doc.newRow(id)
		}
		h.countDevice(j, 0, h.endRow(h.ending, row, nil, errJobTime))
		return nil
	})
	if err != nil && h.ending.Err() == nil {
		h.o.Logger.Error("the rows of a job were not stored", "job", j.doc.ID, "err", err)
	}
}

// endJob stores the end of a job; reason is why it failed as a whole.
func (h *Hub) endJob(j *job, reason error) {
	if h.ending.Err() != nil {
		return
	}
	now := h.now()
	h.jobs.mu.Lock()
	counts := j.counts
	h.jobs.mu.Unlock()
	err := h.changeJob(h.ending, j, func(d *jobDocument) error {
		d.Status, d.EndTime, d.Statistics = iothub.JobCompleted, now, counts
		if reason != nil {
			d.Status, d.FailureReason = iothub.JobFailed, iothub.AsError(reason).Message
		}
		return nil
	})
	if err != nil && h.ending.Err() == nil {
		h.o.Logger.Error("the end of a job was not stored", "job", j.doc.ID, "err", err)
	}
}
