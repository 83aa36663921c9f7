package blob

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
)

func TestSignatures(t *testing.T) {
	s := newSite(t)
	c := s.container("uploads")
	other := c.NewBlockBlobClient("other")
	if _, err := other.Upload(s.ctx(), body("secret"), nil); err != nil {
		t.Fatal(err)
	}
	now, hour := time.Now(), time.Now().Add(time.Hour)
	account := s.account()
	open := func(name, sas string) *blockblob.Client {
		t.Helper()
		b, err := blockblob.NewClientWithNoCredential(account.BlobURI("uploads", name)+sas, nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	put := func(name, sas string) error {
		_, err := open(name, sas).Upload(s.ctx(), body("x"), nil)
		return err
	}
	for what, sas := range map[string]string{
		"write": account.BlobSAS("uploads", "a b/ü", "rw", now, hour), "create": account.BlobSAS("uploads", "a b/ü", "c", now, hour),
		"container": account.ContainerSAS("uploads", "rw", now, hour),
	} {
		s.server.files.forget(t, "uploads", "a b/ü")
		if err := put("a b/ü", sas); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	good := account.BlobSAS("uploads", "a", "rw", now, hour)
	wantCode(t, "another blob", put("other", good), 403, "AuthenticationFailed")
	wantCode(t, "a changed one", put("a", strings.Replace(good, "sp=rw", "sp=rwd", 1)), 403, "AuthenticationFailed")
	wantCode(t, "for reading", put("a", account.BlobSAS("uploads", "a", "r", now, hour)), 403, "AuthorizationPermissionMismatch")
	wantCode(t, "over what is there", put("other", account.BlobSAS("uploads", "other", "c", now, hour)), 403, "UnauthorizedBlobOverwrite")
	wantCode(t, "expired", put("a", account.BlobSAS("uploads", "a", "rw", now.Add(-2*time.Hour), now.Add(-time.Hour))), 403, "AuthenticationFailed")
	wantCode(t, "not yet", put("a", account.BlobSAS("uploads", "a", "rw", hour, hour.Add(time.Hour))), 403, "AuthenticationFailed")
	wantCode(t, "nothing", put("a", ""), 401, "NoAuthenticationInformation")
	wantCode(t, "another key", put("a", Account{Name: account.Name, Key: []byte("x"), Endpoint: account.Endpoint}.BlobSAS("uploads", "a", "rw", now, hour)), 403, "AuthenticationFailed")
	wantCode(t, "an old version", put("a", strings.Replace(good, "sv=2021-12-02", "sv=2012-02-12", 1)), 403, "AuthenticationFailed")
	_, err := open("other", account.ContainerSAS("uploads", "rw", now, hour)).Delete(s.ctx(), nil)
	wantCode(t, "deleting", err, 403, "AuthorizationPermissionMismatch")

	// As the Go SDK makes them.
	signed, err := c.GetSASURL(sas.ContainerPermissions{Read: true, List: true}, hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := container.NewClientWithNoCredential(signed, nil)
	if err != nil {
		t.Fatal(err)
	}
	if page, err := reader.NewListBlobsFlatPager(nil).NextPage(s.ctx()); err != nil || len(page.Segment.BlobItems) != 2 {
		t.Errorf("list: %v", err)
	}
	if got := read(t, reader.NewBlockBlobClient("other")); got != "secret" {
		t.Errorf("%q", got)
	}
	_, err = reader.Delete(s.ctx(), nil)
	wantCode(t, "the container by a signature for it", err, 403, "AuthorizationResourceTypeMismatch")
	all, err := s.client.ServiceClient().GetSASURL(sas.AccountResourceTypes{Service: true, Container: true, Object: true},
		sas.AccountPermissions{Read: true, Write: true, Create: true, List: true, Delete: true}, hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := service.NewClientWithNoCredential(all, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateContainer(s.ctx(), "made", nil); err != nil {
		t.Error(err)
	}
	objects, err := s.client.ServiceClient().GetSASURL(sas.AccountResourceTypes{Object: true}, sas.AccountPermissions{Read: true, Create: true}, hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	if admin, err = service.NewClientWithNoCredential(objects, nil); err != nil {
		t.Fatal(err)
	}
	_, err = admin.CreateContainer(s.ctx(), "made2", nil)
	wantCode(t, "an account signature for blobs only", err, 403, "AuthorizationResourceTypeMismatch")
	if got := read(t, admin.NewContainerClient("uploads").NewBlobClient("other")); got != "secret" {
		t.Errorf("%q", got)
	}
	wrong, err := azblob.NewClientFromConnectionString(Account{Name: account.Name, Key: []byte("x"), Endpoint: account.Endpoint}.ConnectionString(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = wrong.CreateContainer(s.ctx(), "wrong", nil)
	wantCode(t, "SharedKey with another key", err, 403, "AuthenticationFailed")
	s.now = func() time.Time { return time.Now().Add(time.Hour) }
	_, err = s.client.CreateContainer(s.ctx(), "late", nil)
	wantCode(t, "SharedKey of an hour ago", err, 403, "AuthenticationFailed")
}

// forget removes a blob, if it is there.
func (f *files) forget(t *testing.T, in, name string) {
	t.Helper()
	err := f.removeBlob(in, name, func(*entry) error { return nil })
	if err != nil && !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
}
