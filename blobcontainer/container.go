// Package blobcontainer opens the blob containers of import and export jobs by
// their addresses with shared access signatures: in a storage account of Azure, or
// in anything that speaks its protocol.
package blobcontainer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/hubnerite/hubnerite/hub"
)

const (
	// retries is how often the client tries again what may succeed then, the first
	// time after retryDelay.
	retries    = 2
	retryDelay = 500 * time.Millisecond
	// blockSize and blocks bound the memory of an upload.
	blockSize = 1 << 20
	blocks    = 4
)

// Opener returns what opens containers through the client, whose transport knows
// the certificates to trust; nil is http.DefaultClient.
func Opener(client *http.Client) hub.Containers {
	if client == nil {
		client = http.DefaultClient
	}
	return func(uri string) (hub.Container, error) {
		if err := check(uri); err != nil {
			return nil, err
		}
		c, err := container.NewClientWithNoCredential(uri, &container.ClientOptions{ClientOptions: azcore.ClientOptions{
			Transport: client,
			Retry:     policy.RetryOptions{MaxRetries: retries, RetryDelay: retryDelay},
			Telemetry: policy.TelemetryOptions{Disabled: true},
		}})
		if err != nil {
			return nil, harmless(err)
		}
		return blobs{c}, nil
	}
}

// check refuses what cannot be the address of a container.
func check(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return errors.New("it is no URI")
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "":
		return errors.New("it is no http or https URI")
	case strings.Trim(u.Path, "/") == "":
		return errors.New("it names no container")
	case u.Query().Get("sig") == "":
		return errors.New("it has no shared access signature")
	}
	return nil
}

type blobs struct{ client *container.Client }

// Download reads on where a broken connection stopped.
func (b blobs) Download(ctx context.Context, name string) (io.ReadCloser, error) {
	answer, err := b.client.NewBlobClient(name).DownloadStream(ctx, nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		return nil, hub.ErrNoBlob
	} else if err != nil {
		return nil, harmless(err)
	}
	return reader{answer.NewRetryReader(ctx, nil)}, nil
}

// reader makes errors harmless.
type reader struct{ io.ReadCloser }

func (r reader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = harmless(err)
	}
	return n, err
}

// Upload makes nothing visible before the end of body.
func (b blobs) Upload(ctx context.Context, name string, body io.Reader) error {
	_, err := b.client.NewBlockBlobClient(name).UploadStream(ctx, body, &blockblob.UploadStreamOptions{
		BlockSize: blockSize, Concurrency: blocks,
	})
	return harmless(err)
}

// harmless returns an error that says what was wrong and does not hold the address
// with its signature, which the errors of the client do.
func harmless(err error) error {
	var (
		answer *azcore.ResponseError
		broken *url.Error
	)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("the storage account did not answer in time")
	case errors.As(err, &answer):
		return fmt.Errorf("the storage account answered %d %s", answer.StatusCode, answer.ErrorCode)
	case errors.As(err, &broken):
		return fmt.Errorf("the storage account cannot be reached: %w", broken.Err)
	}
	return err
}
