package hub

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// ErrNoBlob is returned by a Container that has no blob of that name.
var ErrNoBlob = errors.New("hub: no such blob")

// Container is a blob container that may be read, written or both. Errors must
// not hold its address, which is a secret.
type Container interface {
	// Download returns the content of a blob, to be closed, or ErrNoBlob.
	Download(ctx context.Context, blob string) (io.ReadCloser, error)
	// Upload makes or replaces a blob with all that body holds.
	Upload(ctx context.Context, blob string, body io.Reader) error
}

// Containers opens the container that an address with a shared access signature
// names. It may return an error without asking the storage account.
type Containers func(uri string) (Container, error)

func noContainers(string) (Container, error) {
	return nil, errors.New("this hub reaches no storage account")
}

const (
	registryJobCollection = "registry-jobs"
	// keptRegistryJobs is how many jobs that are over are remembered.
	keptRegistryJobs = 200
	// containerCheck is how long the caller waits for the storage account.
	containerCheck = 30 * time.Second
)

// errCancelled ends a job that was cancelled.
var errCancelled = errors.New("the job was cancelled")

// registryJobs holds the one import or export job that is not over. Source: IoT
// Hub quotas: one active device import or export job at a time.
type registryJobs struct {
	// creating lets one creation at a time look at its containers.
	creating sync.Mutex

	mu     sync.Mutex
	active *registryJob
}

// registryJob is a job that is not over.
type registryJob struct {
	cancel context.CancelCauseFunc
	// stopping is closed when the job is to end, done when it has ended.
	stopping <-chan struct{}
	done     chan struct{}

	// Of the goroutine that runs the job; doc.Job.ID and Type never change.
	doc      registryJobDocument
	revision uint64
}

// registryJobDocument is what is stored of a job. The request has the addresses of
// the containers, as long as the job needs them.
type registryJobDocument struct {
	Job     iothub.RegistryJob
	Request *iothub.RegistryJobRequest
}

// CreateRegistryJob starts an import or export in the background and returns it.
// Errors: those of RegistryJobRequest.Complete, JobQuotaExceeded while another
// is not over, BlobContainerValidationError when a container cannot be used.
// Source: IoT Hub service API, Jobs - Create Import Export Job.
func (h *Hub) CreateRegistryJob(ctx context.Context, req iothub.RegistryJobRequest) (iothub.RegistryJob, error) {
	if err := req.Complete(); err != nil {
		return iothub.RegistryJob{}, err
	}
	h.registryJobs.creating.Lock()
	defer h.registryJobs.creating.Unlock()
	if h.activeRegistryJob("") != nil {
		return iothub.RegistryJob{}, iothub.NewError(iothub.CodeJobQuotaExceeded, "Another import or export job is not over yet.")
	}
	if err := h.checkContainers(ctx, req); err != nil {
		return iothub.RegistryJob{}, err
	}
	if err := h.forgetRegistryJobs(ctx); err != nil {
		return iothub.RegistryJob{}, err
	}
	doc := registryJobDocument{Request: &req, Job: iothub.RegistryJob{
		ID: uuid.NewString(), Type: req.Type, Status: iothub.RegistryJobEnqueued, StartTime: h.now().UTC(),
		ExcludeKeysInExport: req.ExcludeKeysInExport, StorageAuthenticationType: "keyBased",
		IncludeConfigurations: req.IncludeConfigurations,
	}}
	j := &registryJob{doc: doc, done: make(chan struct{})}
	if err := h.saveRegistryJob(ctx, j); err != nil {
		return iothub.RegistryJob{}, err
	}
	if !h.startRegistryJob(j) {
		return iothub.RegistryJob{}, errClosing()
	}
	return doc.Job, nil
}

// checkContainers writes to the output container, as the job will, and looks into
// the input container, whose blob may be missing.
func (h *Hub) checkContainers(ctx context.Context, req iothub.RegistryJobRequest) error {
	ctx, cancel := context.WithTimeout(ctx, containerCheck)
	defer cancel()
	out, name := req.OutputBlobName, "outputBlobContainerUri"
	if req.Type == iothub.RegistryJobImport {
		out = iothub.ImportErrorsBlob
	}
	container, err := h.o.Containers(req.OutputBlobContainerURI)
	if err == nil {
		err = container.Upload(ctx, out, strings.NewReader(""))
	}
	if err == nil && req.Type == iothub.RegistryJobImport {
		name = "inputBlobContainerUri"
		if container, err = h.o.Containers(req.InputBlobContainerURI); err == nil {
			var body io.ReadCloser
			if body, err = container.Download(ctx, req.InputBlobName); err == nil {
				err = body.Close()
			} else if errors.Is(err, ErrNoBlob) {
				err = nil
			}
		}
	}
	if err != nil {
		return iothub.NewError(iothub.CodeBlobContainerValidationError, "The container of %s cannot be used: %s.", name, err).WithCause(err)
	}
	return nil
}

// RegistryJob returns an import or export job, or JobNotFound.
func (h *Hub) RegistryJob(ctx context.Context, id string) (iothub.RegistryJob, error) {
	doc, _, err := h.readRegistryJob(ctx, id)
	return doc.Job, err
}

// RegistryJobs returns the import and export jobs, the newest first.
func (h *Hub) RegistryJobs(ctx context.Context) ([]iothub.RegistryJob, error) {
	docs, err := h.registryJobDocuments(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]iothub.RegistryJob, len(docs))
	for i, d := range docs {
		out[i] = d.Job
	}
	return out, nil
}

// CancelRegistryJob ends a job before its time and returns when it has stopped.
// Errors: JobNotFound, OperationNotAllowedInCurrentState for one that is over.
func (h *Hub) CancelRegistryJob(ctx context.Context, id string) error {
	if j := h.activeRegistryJob(id); j != nil {
		j.cancel(errCancelled)
		select {
		case <-j.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	doc, _, err := h.readRegistryJob(ctx, id)
	if err == nil && doc.Job.Status != iothub.RegistryJobCancelled {
		err = iothub.NewError(iothub.CodeOperationNotAllowedInCurrentState, "The job is %s.", doc.Job.Status)
	}
	return err
}

// activeRegistryJob returns the job that is not over, if there is one and it has
// the ID; "" is any.
func (h *Hub) activeRegistryJob(id string) *registryJob {
	h.registryJobs.mu.Lock()
	defer h.registryJobs.mu.Unlock()
	if j := h.registryJobs.active; j != nil && (id == "" || j.doc.Job.ID == id) {
		return j
	}
	return nil
}

// startRegistryJob runs a stored job until its end or that of the hub.
func (h *Hub) startRegistryJob(j *registryJob) bool {
	if !h.enter() {
		return false
	}
	ctx, cancel := context.WithCancelCause(h.ending)
	j.cancel, j.stopping = cancel, ctx.Done()
	h.registryJobs.mu.Lock()
	h.registryJobs.active = j
	h.registryJobs.mu.Unlock()
	go func() {
		defer h.leave()
		defer cancel(nil)
		h.runRegistryJob(ctx, j)
		h.registryJobs.mu.Lock()
		h.registryJobs.active = nil
		h.registryJobs.mu.Unlock()
		close(j.done)
	}()
	return true
}

func (h *Hub) runRegistryJob(ctx context.Context, j *registryJob) {
	log := h.o.Logger.With("job", j.doc.Job.ID, "type", string(j.doc.Job.Type))
	err := h.setRegistryJob(j, iothub.RegistryJobRunning, 0, "")
	if err == nil {
		if j.doc.Job.Type == iothub.RegistryJobExport {
			err = h.exportRegistry(ctx, j)
		} else {
			err = h.importRegistry(ctx, j)
		}
	}
	switch {
	case err == nil:
		err = h.setRegistryJob(j, iothub.RegistryJobCompleted, 100, "")
	case errors.Is(context.Cause(ctx), errCancelled):
		err = h.setRegistryJob(j, iothub.RegistryJobCancelled, j.doc.Job.Progress, "")
	case ctx.Err() != nil:
		// The hub is closing; the next start decides.
		return
	default:
		log.Warn("an import or export job failed", "err", err)
		err = h.setRegistryJob(j, iothub.RegistryJobFailed, j.doc.Job.Progress, err.Error())
	}
	if err != nil {
		log.Error("the state of an import or export job could not be stored", "err", err)
	}
}

// setRegistryJob stores how far a job is.
func (h *Hub) setRegistryJob(j *registryJob, status iothub.RegistryJobStatus, progress int, failure string) error {
	job := &j.doc.Job
	job.Status, job.Progress, job.FailureReason = status, progress, failure
	if status.Final() {
		job.EndTime, j.doc.Request = h.now().UTC(), nil
	}
	return h.saveRegistryJob(context.Background(), j)
}

func (h *Hub) saveRegistryJob(ctx context.Context, j *registryJob) error {
	payload, err := json.Marshal(j.doc)
	if err != nil {
		return err
	}
	j.revision, err = h.o.Documents.PutDocument(ctx, registryJobCollection, store.Document{
		Key: j.doc.Job.ID, Payload: payload, Revision: j.revision,
	})
	return err
}

func (h *Hub) readRegistryJob(ctx context.Context, id string) (registryJobDocument, uint64, error) {
	var doc registryJobDocument
	if id == "" || len(id) > iothub.MaxIDLength || strings.ContainsRune(id, 0) {
		return doc, 0, errNoJob(id)
	}
	d, err := h.o.Documents.GetDocument(ctx, registryJobCollection, id)
	if errors.Is(err, store.ErrNotFound) {
		return doc, 0, errNoJob(id)
	} else if err == nil {
		err = json.Unmarshal(d.Payload, &doc)
	}
	return doc, d.Revision, err
}

func errNoJob(id string) error {
	return iothub.NewError(iothub.CodeJobNotFound, "There is no job %q.", id)
}

// registryJobDocuments returns what is stored of all jobs, the newest first.
func (h *Hub) registryJobDocuments(ctx context.Context) ([]registryJobDocument, error) {
	var out []registryJobDocument
	for resume := ""; ; {
		page, next, err := h.o.Documents.ListDocuments(ctx, registryJobCollection, "", resume, keptRegistryJobs)
		if err != nil {
			return nil, err
		}
		for _, d := range page {
			var doc registryJobDocument
			if err := json.Unmarshal(d.Payload, &doc); err != nil {
				return nil, err
			}
			out = append(out, doc)
		}
		if next == "" {
			break
		}
		resume = next
	}
	slices.SortFunc(out, func(a, b registryJobDocument) int {
		if c := b.Job.StartTime.Compare(a.Job.StartTime); c != 0 {
			return c
		}
		return strings.Compare(a.Job.ID, b.Job.ID)
	})
	return out, nil
}

// forgetRegistryJobs makes room for a new job.
func (h *Hub) forgetRegistryJobs(ctx context.Context) error {
	docs, err := h.registryJobDocuments(ctx)
	if err != nil || len(docs) < keptRegistryJobs {
		return err
	}
	for _, d := range docs[keptRegistryJobs-1:] {
		if err := h.o.Documents.DeleteDocument(ctx, registryJobCollection, d.Job.ID, 0); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}

// loadRegistryJobs takes up what a restart interrupted. An export begins anew. An
// import fails, because nobody knows which lines of the last ones were taken.
func (h *Hub) loadRegistryJobs(ctx context.Context) error {
	docs, err := h.registryJobDocuments(ctx)
	if err != nil {
		return err
	}
	for _, d := range docs {
		if d.Job.Status.Final() {
			continue
		}
		doc, revision, err := h.readRegistryJob(ctx, d.Job.ID)
		if err != nil {
			return err
		}
		j := &registryJob{doc: doc, revision: revision, done: make(chan struct{})}
		if doc.Job.Type == iothub.RegistryJobExport && doc.Request != nil && h.activeRegistryJob("") == nil {
			h.startRegistryJob(j)
			continue
		}
		reason := "The hub was restarted in the middle of the job: some of the lines were taken, others not."
		if doc.Job.Status == iothub.RegistryJobEnqueued {
			reason = "The hub was restarted before the job began."
		}
		if err := h.setRegistryJob(j, iothub.RegistryJobFailed, doc.Job.Progress, reason); err != nil {
			return err
		}
	}
	return nil
}
