package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubnerite/hubnerite/iothub"
)

// account is a storage account in memory. Its addresses are the containers' names.
type account struct {
	mu    sync.Mutex
	blobs map[string]string
	// hold, if set, is what downloads wait for.
	hold chan struct{}
	held chan struct{}
}

func newAccount() *account {
	return &account{blobs: map[string]string{}, held: make(chan struct{}, 10)}
}

func (a *account) open(uri string) (Container, error) {
	if strings.HasPrefix(uri, "bad") {
		return nil, errors.New("it is no address")
	}
	return accountContainer{a, uri}, nil
}

func (a *account) get(name string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.blobs[name]
}

type accountContainer struct {
	*account
	name string
}

func (c accountContainer) Download(_ context.Context, blob string) (io.ReadCloser, error) {
	c.mu.Lock()
	text, ok := c.blobs[c.name+"/"+blob]
	hold := c.hold
	c.mu.Unlock()
	if !ok {
		return nil, ErrNoBlob
	}
	return io.NopCloser(&heldReader{strings.NewReader(text), hold, c.held}), nil
}

type heldReader struct {
	io.Reader
	hold chan struct{}
	held chan struct{}
}

func (r *heldReader) Read(p []byte) (int, error) {
	if r.hold != nil {
		r.held <- struct{}{}
		<-r.hold
	}
	return r.Reader.Read(p)
}

func (c accountContainer) Upload(ctx context.Context, blob string, body io.Reader) error {
	if c.name == "readonly" {
		return errors.New("403 AuthorizationPermissionMismatch")
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(body); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blobs[c.name+"/"+blob] = b.String()
	return nil
}

// run creates a job and waits for its end.
func (f *fixture) run(req iothub.RegistryJobRequest) iothub.RegistryJob {
	f.t.Helper()
	job, err := f.CreateRegistryJob(context.Background(), req)
	if err != nil {
		f.t.Fatalf("create: %v", err)
	}
	if job.Status != iothub.RegistryJobEnqueued || job.ID == "" {
		f.t.Errorf("new job %+v", job)
	}
	return f.wait(job.ID)
}

func (f *fixture) wait(id string) iothub.RegistryJob {
	f.t.Helper()
	if j := f.activeRegistryJob(id); j != nil {
		<-j.done
	}
	job, err := f.RegistryJob(context.Background(), id)
	if err != nil {
		f.t.Fatalf("job: %v", err)
	}
	return job
}

func withAccount(a *account) func(*Options) { return func(o *Options) { o.Containers = a.open } }

func importOf(container string) iothub.RegistryJobRequest {
	return iothub.RegistryJobRequest{Type: "import", InputBlobContainerURI: container, OutputBlobContainerURI: container}
}

func exportTo(container string) iothub.RegistryJobRequest {
	return iothub.RegistryJobRequest{Type: "Export", OutputBlobContainerURI: container}
}

// What one hub exports makes another one the same.
func TestExportImport(t *testing.T) {
	a := newAccount()
	f := newFixture(t, withAccount(a))
	thumbprint := strings.Repeat("A", 40)
	var parent string
	for _, c := range []struct {
		id  string
		req iothub.IdentityRequest
	}{
		{"parent", iothub.IdentityRequest{Capabilities: &iothub.Capabilities{IoTEdge: true}}},
		{"a-child", iothub.IdentityRequest{DeviceScope: "PARENT", Status: iothub.StatusDisabled}},
		{"zedge", iothub.IdentityRequest{Capabilities: &iothub.Capabilities{IoTEdge: true}, ParentScopes: []string{"PARENT"}}},
		{"cert", iothub.IdentityRequest{Authentication: &iothub.AuthenticationRequest{X509Thumbprint: &iothub.X509Thumbprint{PrimaryThumbprint: &thumbprint}}}},
		{"ca", iothub.IdentityRequest{Authentication: &iothub.AuthenticationRequest{Type: iothub.AuthCertificateAuthority}}},
		{"cert/m", iothub.IdentityRequest{}},
	} {
		id, err := iothub.ParseID(c.id)
		if err != nil {
			t.Fatal(err)
		}
		if c.req.DeviceScope != "" {
			c.req.DeviceScope = parent
		}
		if c.req.ParentScopes != nil {
			c.req.ParentScopes = []string{parent}
		}
		reason := "for " + c.id
		c.req.StatusReason = &reason
		i, err := f.CreateIdentity(t.Context(), id, c.req)
		if err != nil {
			t.Fatal(err)
		}
		if c.id == "parent" {
			parent = i.DeviceScope
		}
		patch, err := iothub.DecodeTwinPatch([]byte(`{"tags":{"of":"` + c.id + `","n":1.50},"properties":{"desired":{"deep":{"er":[1,2]}}}}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.PatchTwin(t.Context(), id, patch, ""); err != nil {
			t.Fatal(err)
		}
	}
	if job := f.run(exportTo("out")); job.Status != iothub.RegistryJobCompleted || job.Progress != 100 || job.EndTime.IsZero() {
		t.Fatalf("export %+v", job)
	}
	exported := a.get("out/devices.txt")
	if n := strings.Count(exported, "\n"); n != 10 { // with the modules of the system
		t.Fatalf("%d lines:\n%s", n, exported)
	}
	other := newFixture(t, withAccount(a))
	if job := other.run(importOf("out")); job.Status != iothub.RegistryJobCompleted {
		t.Fatalf("import %+v", job)
	}
	if refused := a.get("out/importErrors.log"); refused != "" {
		t.Errorf("refused:\n%s", refused)
	}
	if d := cmp.Diff(f.contents(), other.contents()); d != "" {
		t.Errorf("the other hub has not the same:\n%s", d)
	}
	// Once more onto itself changes nothing but versions.
	if job := f.run(importOf("out")); job.Status != iothub.RegistryJobCompleted || a.get("out/importErrors.log") != "" {
		t.Errorf("%+v %s", job, a.get("out/importErrors.log"))
	}
	if d := cmp.Diff(f.contents(), other.contents()); d != "" {
		t.Errorf("importing it again:\n%s", d)
	}
}

// contents is what an import preserves, by identity.
func (f *fixture) contents() map[string]any {
	f.t.Helper()
	out := map[string]any{}
	records, _, err := f.registry.Export(context.Background(), "", 1000)
	if err != nil {
		f.t.Fatalf("%v", err)
	}
	for _, r := range records {
		i := r.Identity
		var authentication any = i.Authentication
		if i.ID.ModuleID != "" && i.ID.ModuleID[0] == '$' {
			authentication = i.Authentication.Type
		}
		out[i.ID.String()] = []any{
			i.Status, i.StatusReason, authentication, i.Capabilities, i.DeviceScope, i.ParentScopes, i.ManagedBy,
			r.Twin.Tags, r.Twin.Desired.Values,
		}
	}
	return out
}

func TestExportWithoutKeys(t *testing.T) {
	a := newAccount()
	f := newFixture(t, withAccount(a))
	id := f.device("d")
	before, err := f.GetIdentity(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	req := exportTo("out")
	req.ExcludeKeysInExport, req.OutputBlobName = true, "other.txt"
	if job := f.run(req); job.Status != iothub.RegistryJobCompleted || !job.ExcludeKeysInExport {
		t.Fatalf("%+v", job)
	}
	text := a.get("out/other.txt")
	warning, line, _ := strings.Cut(text, "\r\n")
	var entry map[string]any
	if err := json.Unmarshal([]byte(line), &entry); err != nil || json.Valid([]byte(warning)) || entry["id"] != "d" || entry["authentication"] != nil {
		t.Errorf("%v\n%s", err, text)
	}
	if strings.Contains(text, before.Authentication.SymmetricKey.PrimaryKey) {
		t.Error("a key was exported")
	}
	// The warning is a line that cannot be imported, and no more.
	in := importOf("out")
	in.InputBlobName = "other.txt"
	if job := f.run(in); job.Status != iothub.RegistryJobCompleted {
		t.Fatalf("%+v", job)
	}
	if refused := a.get("out/importErrors.log"); strings.Count(refused, "\n") != 1 || !strings.Contains(refused, "DeserializationError") {
		t.Errorf("refused: %s", refused)
	}
}

// A line that is refused is told in the error log; the job completes.
func TestImportLines(t *testing.T) {
	a := newAccount()
	f := newFixture(t, withAccount(a))
	f.device("there")
	a.blobs["in/devices.txt"] = "\ufeff" + `{"id":"a","importMode":"create","status":"enabled"}
{"id":"there","importMode":"create","status":"enabled"}

{"id":"nostatus","importMode":"create"}
{"id":"a","moduleId":"m","importMode":"create","authentication":{"type":"sas"}}
no JSON
{"id":"gone","importMode":"delete"}
{"id":"there","importMode":"updateTwin","tags":{"a":1}}
{"id":"b","status":"disabled"}
{"id":"b","importMode":"delete"}`
	if job := f.run(importOf("in")); job.Status != iothub.RegistryJobCompleted {
		t.Fatalf("%+v", job)
	}
	got := map[string]string{}
	for line := range strings.Lines(a.get("in/importErrors.log")) {
		var e iothub.BulkError
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		got[e.DeviceID] = e.ErrorCode
	}
	want := map[string]string{
		"there": "DeviceAlreadyExists", "nostatus": "ArgumentNull", "": "DeserializationError", "gone": "DeviceNotFound",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	var ids []string
	records, _, err := f.registry.Export(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		ids = append(ids, r.Identity.ID.String())
	}
	if d := cmp.Diff([]string{"a", "a/m", "there"}, ids); d != "" {
		t.Error(d)
	}
}

func TestRegistryJobRefusals(t *testing.T) {
	a := newAccount()
	f := newFixture(t, withAccount(a))
	long := exportTo("out")
	long.OutputBlobName = strings.Repeat("x", 1025)
	identity := exportTo("out")
	identity.StorageAuthenticationType = "IdentityBased"
	for _, c := range []struct {
		req  iothub.RegistryJobRequest
		code iothub.Code
	}{
		{iothub.RegistryJobRequest{}, iothub.CodeArgumentInvalid},
		{iothub.RegistryJobRequest{Type: "copy", OutputBlobContainerURI: "out"}, iothub.CodeArgumentInvalid},
		{iothub.RegistryJobRequest{Type: "export", OutputBlobContainerURI: "out", StorageAuthenticationType: "magic"}, iothub.CodeArgumentInvalid},
		{iothub.RegistryJobRequest{Type: "export"}, iothub.CodeBlobContainerValidationError},
		{iothub.RegistryJobRequest{Type: "import", OutputBlobContainerURI: "out"}, iothub.CodeBlobContainerValidationError},
		{exportTo("bad"), iothub.CodeBlobContainerValidationError},
		{exportTo("readonly"), iothub.CodeBlobContainerValidationError},
		{iothub.RegistryJobRequest{Type: "import", InputBlobContainerURI: "bad", OutputBlobContainerURI: "out"}, iothub.CodeBlobContainerValidationError},
		{identity, iothub.CodeManagedIdentityNotEnabled},
		{long, iothub.CodeArgumentInvalid},
	} {
		_, err := f.CreateRegistryJob(t.Context(), c.req)
		wantCode(t, err, c.code)
	}
	for _, id := range []string{"", "none", strings.Repeat("x", 2000), "a\x00b"} {
		_, err := f.RegistryJob(t.Context(), id)
		wantCode(t, err, iothub.CodeJobNotFound)
		wantCode(t, f.CancelRegistryJob(t.Context(), id), iothub.CodeJobNotFound)
	}
	if jobs, err := f.RegistryJobs(t.Context()); err != nil || len(jobs) != 0 {
		t.Errorf("%v, %v", jobs, err)
	}
	// A missing blob fails the job.
	job := f.run(importOf("in"))
	if job.Status != iothub.RegistryJobFailed || !strings.Contains(job.FailureReason, "devices.txt") {
		t.Errorf("%+v", job)
	}
	wantCode(t, f.CancelRegistryJob(t.Context(), job.ID), iothub.CodeOperationNotAllowedInCurrentState)
}

func TestRegistryJobCancelled(t *testing.T) {
	a := newAccount()
	f := newFixture(t, withAccount(a))
	a.blobs["in/devices.txt"] = `{"id":"a","status":"enabled"}`
	a.hold = make(chan struct{})
	job, err := f.CreateRegistryJob(t.Context(), importOf("in"))
	if err != nil {
		t.Fatal(err)
	}
	<-a.held
	_, err = f.CreateRegistryJob(t.Context(), exportTo("out"))
	wantCode(t, err, iothub.CodeJobQuotaExceeded)
	if running, err := f.RegistryJob(t.Context(), job.ID); err != nil || running.Status != iothub.RegistryJobRunning || !running.EndTime.IsZero() {
		t.Errorf("%+v, %v", running, err)
	}
	cancelled := make(chan error)
	go func() { cancelled <- f.CancelRegistryJob(context.Background(), job.ID) }()
	// The cancellation has begun before the blob goes on.
	active := f.activeRegistryJob(job.ID)
	<-active.stopping
	close(a.hold)
	if err := <-cancelled; err != nil {
		t.Fatal(err)
	}
	if job := f.wait(job.ID); job.Status != iothub.RegistryJobCancelled || job.EndTime.IsZero() {
		t.Errorf("%+v", job)
	}
	if _, err := f.GetIdentity(t.Context(), iothub.ID{DeviceID: "a"}); err == nil {
		t.Error("a cancelled import went on")
	}
	if job := f.run(exportTo("out")); job.Status != iothub.RegistryJobCompleted {
		t.Errorf("the next job: %+v", job)
	}
}

// Configurations go along when they are asked for, and come back only to where the etag fits.
func TestConfigurationsExportImport(t *testing.T) {
	a := newAccount()
	f := newFixture(t, withAccount(a))
	body := []byte(`{"id":"fw","labels":{"a":"b"},"content":{"deviceContent":{"properties.desired.fw":{"v":1}}},"targetCondition":"tags.site='n'","priority":7,"metrics":{"queries":{"q":"SELECT deviceId FROM devices"}}}`)
	if _, err := f.PutConfiguration(t.Context(), "fw", body, ""); err != nil {
		t.Fatal(err)
	}
	request := exportTo("out")
	request.IncludeConfigurations = true
	if job := f.run(request); job.Status != iothub.RegistryJobCompleted || !job.IncludeConfigurations {
		t.Fatalf("%+v", job)
	}
	in := importOf("out")
	in.IncludeConfigurations = true
	other := newFixture(t, withAccount(a))
	if job := other.run(in); job.Status != iothub.RegistryJobCompleted || a.get("out/importErrors.log") != "" {
		t.Fatalf("%+v %s", job, a.get("out/importErrors.log"))
	}
	want, err := f.GetConfiguration(t.Context(), "fw")
	if err != nil {
		t.Fatal(err)
	}
	got, err := other.GetConfiguration(t.Context(), "fw")
	if err != nil || got.TargetCondition != want.TargetCondition || got.Priority != 7 || got.Labels["a"] != "b" || string(got.Content.Raw) != string(want.Content.Raw) {
		t.Errorf("%+v, %v", got, err)
	}
	// The same etag again updates, and a second time it does not fit any more.
	for _, refused := range []bool{false, true} {
		if job := other.run(in); job.Status != iothub.RegistryJobCompleted || strings.Contains(a.get("out/importErrors.log"), "PreconditionFailed") != refused {
			t.Errorf("%+v %s", job, a.get("out/importErrors.log"))
		}
	}
	a.mu.Lock()
	a.blobs["out/configurations.txt"] = "nonsense\n{\"id\":\"UPPER\"}\n"
	a.mu.Unlock()
	if job := other.run(in); job.Status != iothub.RegistryJobCompleted {
		t.Errorf("%+v", job)
	}
	if log := a.get("out/importErrors.log"); !strings.Contains(log, "DeserializationError") || !strings.Contains(log, "ArgumentInvalid") {
		t.Error(log)
	}
	in.ConfigurationsBlobName = "none.txt"
	if job := other.run(in); job.Status != iothub.RegistryJobFailed || !strings.Contains(job.FailureReason, "none.txt") {
		t.Errorf("%+v", job)
	}
}

// After a restart an export begins anew; an import says that it was interrupted.
func TestRegistryJobsRestart(t *testing.T) {
	for _, kind := range []iothub.RegistryJobType{iothub.RegistryJobImport, iothub.RegistryJobExport} {
		t.Run(string(kind), func(t *testing.T) {
			a := newAccount()
			f := newFixture(t, withAccount(a))
			f.device("d")
			request := importOf("in")
			if kind == iothub.RegistryJobExport {
				request = exportTo("in")
			}
			if err := request.Complete(); err != nil {
				t.Fatal(err)
			}
			// What is stored when the process was killed in the middle.
			j := &registryJob{doc: registryJobDocument{Request: &request, Job: iothub.RegistryJob{
				ID: "interrupted", Type: kind, Status: iothub.RegistryJobRunning, Progress: 20, StartTime: f.now(),
			}}}
			if err := f.saveRegistryJob(t.Context(), j); err != nil {
				t.Fatal(err)
			}
			f.restart()
			job := f.wait("interrupted")
			if kind == iothub.RegistryJobExport {
				if job.Status != iothub.RegistryJobCompleted || !strings.Contains(a.get("in/devices.txt"), `"id":"d"`) {
					t.Errorf("%+v", job)
				}
			} else if job.Status != iothub.RegistryJobFailed || !strings.Contains(job.FailureReason, "restarted") || job.Progress != 20 {
				t.Errorf("%+v", job)
			}
			f.restart()
			if again := f.wait("interrupted"); again != job {
				t.Errorf("another restart changed %+v to %+v", job, again)
			}
		})
	}
}

// Jobs that are over are forgotten one day, the oldest first, and keep no address.
func TestRegistryJobsKept(t *testing.T) {
	a, clock := newAccount(), newMovableClock()
	f := newFixture(t, withAccount(a), func(o *Options) { o.Now = clock.now })
	var first, last string
	for i := range keptRegistryJobs + 3 {
		clock.advance(1e9)
		last = f.run(exportTo(fmt.Sprint("secret", i))).ID
		if i == 0 {
			first = last
		}
	}
	jobs, err := f.RegistryJobs(t.Context())
	if err != nil || len(jobs) != keptRegistryJobs || jobs[0].ID != last {
		t.Fatalf("%d jobs, %v", len(jobs), err)
	}
	_, err = f.RegistryJob(t.Context(), first)
	wantCode(t, err, iothub.CodeJobNotFound)
	docs, _, err := f.store.Documents().ListDocuments(t.Context(), registryJobCollection, "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range docs {
		if strings.Contains(string(d.Payload), "secret") {
			t.Fatalf("an address is still stored: %s", d.Payload)
		}
	}
}
