package emulator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// Jobs work with the emulator's own storage account over TLS, by a name that this
// machine cannot resolve, and keep their outcome over a restart.
func TestImportExportWithOwnAccount(t *testing.T) {
	config := Config{DataDir: t.TempDir(), HostNames: []string{"some-hub.azure-devices.net"}}
	e, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.first.now.Load().blobs.MakeContainer("registry"); err != nil {
		t.Fatal(err)
	}
	account := e.first.storageAccount(e.first.now.Load().blobs)
	sas := func(permissions string) string {
		return account.Endpoint + "/registry" + account.ContainerSAS("registry", permissions, time.Now(), time.Now().Add(time.Hour))
	}
	for i := range 2500 {
		id := iothub.ID{DeviceID: fmt.Sprintf("d%04d", i/2)}
		if i%2 == 1 {
			id.ModuleID = "m"
		}
		if _, err := e.Hub().CreateIdentity(t.Context(), id, iothub.IdentityRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	request := iothub.RegistryJobRequest{Type: "export", OutputBlobContainerURI: sas("rwdl")}
	exported := waitJob(t, e, request)
	if exported.Status != iothub.RegistryJobCompleted {
		t.Fatalf("%+v", exported)
	}
	for i := range 1250 {
		if err := e.Hub().DeleteIdentity(t.Context(), iothub.ID{DeviceID: fmt.Sprintf("d%04d", i)}, "*"); err != nil {
			t.Fatal(err)
		}
	}
	request = iothub.RegistryJobRequest{Type: "import", InputBlobContainerURI: sas("rl"), OutputBlobContainerURI: sas("rwdl")}
	if job := waitJob(t, e, request); job.Status != iothub.RegistryJobCompleted {
		t.Fatalf("%+v", job)
	}
	if counts, err := e.Hub().Counts(t.Context()); err != nil || counts.Devices != 1250 || counts.Modules != 1250 {
		t.Errorf("%+v, %v", counts, err)
	}
	if size, _, err := e.first.now.Load().blobs.Blob("registry", iothub.ImportErrorsBlob); err != nil || size != 0 {
		t.Errorf("the error log has %d bytes, %v", size, err)
	}
	// A signature that does not allow to write, and one of another container.
	for _, uri := range []string{sas("r"), strings.Replace(sas("rwdl"), "/registry", "/other", 1)} {
		_, err := e.Hub().CreateRegistryJob(t.Context(), iothub.RegistryJobRequest{Type: "export", OutputBlobContainerURI: uri})
		if iothub.ErrorCode(err) != iothub.CodeBlobContainerValidationError || strings.Contains(err.Error(), "sig=") {
			t.Errorf("%v", err)
		}
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e, err = Start(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close(t.Context()) }()
	jobs, err := e.Hub().RegistryJobs(t.Context())
	if err != nil || len(jobs) != 2 || jobs[1] != exported {
		text, _ := json.Marshal(jobs)
		t.Errorf("%s, %v", text, err)
	}
}

// waitJob runs a job to its end.
func waitJob(t *testing.T, e *Emulator, request iothub.RegistryJobRequest) iothub.RegistryJob {
	t.Helper()
	job, err := e.Hub().CreateRegistryJob(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !job.Status.Final() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the job does not end")
		}
		if job, err = e.Hub().RegistryJob(t.Context(), job.ID); err != nil {
			t.Fatal(err)
		}
	}
	return job
}
