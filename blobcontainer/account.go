package blobcontainer

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// files is a container of somebody's storage account for the files of devices.
type files struct {
	client *container.Client
	name   string
	now    func() time.Time
}

// OpenAccount opens a container of the account that a connection string names, in
// Azure or in a storage emulator, and makes the container when it is not there.
// Errors do not hold the key.
func OpenAccount(ctx context.Context, connectionString, name string, now func() time.Time) (hub.FileStorage, error) {
	client, err := container.NewClientFromConnectionString(connectionString, name, &container.ClientOptions{ClientOptions: azcore.ClientOptions{
		Retry:     policy.RetryOptions{MaxRetries: retries, RetryDelay: retryDelay},
		Telemetry: policy.TelemetryOptions{Disabled: true},
	}})
	if err != nil {
		return nil, errors.New("the storage connection string must have AccountName, AccountKey and a blob endpoint")
	}
	f := &files{client, name, now}
	if _, err := client.Create(ctx, nil); err != nil && !bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
		return nil, harmless(err)
	}
	return f, nil
}

// Grant implements hub.FileStorage; the name by which the device reached the hub
// says nothing of another's account.
func (f *files) Grant(_ context.Context, blobName string, expiry time.Time, _ string) (iothub.FileUploadAddress, error) {
	client := f.client.NewBlobClient(blobName)
	start := f.now().Add(-5 * time.Minute)
	signed, err := client.GetSASURL(sas.BlobPermissions{Read: true, Write: true}, expiry, &blob.GetSASURLOptions{StartTime: &start})
	if err != nil {
		return iothub.FileUploadAddress{}, harmless(err)
	}
	u, err := url.Parse(signed)
	if err != nil {
		return iothub.FileUploadAddress{}, errors.New("the storage account's address cannot be read")
	}
	token := "?" + u.RawQuery
	u.RawQuery, u.RawPath = "", "" // the client escapes slashes
	uri := u.String()
	// What is before the container: the host, and of a storage emulator the account.
	_, rest, _ := strings.Cut(f.client.URL(), "://")
	return iothub.FileUploadAddress{HostName: strings.TrimSuffix(strings.TrimSuffix(rest, "/"), "/"+f.name), ContainerName: f.name, SASToken: token, URI: uri}, nil
}

// Blob implements hub.FileStorage.
func (f *files) Blob(ctx context.Context, blobName string) (int64, time.Time, error) {
	p, err := f.client.NewBlobClient(blobName).GetProperties(ctx, nil)
	if err != nil {
		var answer *azcore.ResponseError
		if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
			return 0, time.Time{}, hub.ErrNoBlob
		}
		return 0, time.Time{}, harmless(err)
	}
	if p.ContentLength == nil || p.LastModified == nil {
		return 0, time.Time{}, errors.New("the storage account does not say how large the blob is")
	}
	return *p.ContentLength, *p.LastModified, nil
}
