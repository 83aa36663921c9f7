package emulator

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hubnerite/hubnerite/blob"
	"github.com/hubnerite/hubnerite/blobcontainer"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/store"
)

// blobsDir is the folder of the storage account in the data directory.
const blobsDir = "blobs"

// openFiles opens the storage account: the emulator's own, which is always there,
// and the one for the files of devices, which may be another.
func (e *Emulator) openFiles(ctx context.Context, dir string) (hub.FileStorage, error) {
	dir = filepath.Join(dir, blobsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	e.blobs, err = blob.NewServer(blob.Options{
		Dir: dir, Sync: e.cfg.Durability == string(store.DurabilityFsync), Logger: e.cfg.Logger, Version: Version(), Now: e.cfg.Now,
	})
	if err != nil {
		return nil, err
	}
	if e.cfg.StorageConnectionString != "" {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		return blobcontainer.OpenAccount(ctx, e.cfg.StorageConnectionString, e.cfg.StorageContainer, e.cfg.Now)
	}
	if err := e.blobs.MakeContainer(e.cfg.StorageContainer); err != nil {
		return nil, err
	}
	return &ownFiles{e}, nil
}

// ownFiles puts the files of devices into the emulator's own account.
type ownFiles struct{ e *Emulator }

// Grant implements hub.FileStorage. The device writes under the name by which it
// reached the hub; back ends read under the hub's first name.
func (f *ownFiles) Grant(_ context.Context, blobName string, expiry time.Time, hostName string) (iothub.FileUploadAddress, error) {
	container := f.e.cfg.StorageContainer
	account := f.e.blobs.Account(hostName)
	return iothub.FileUploadAddress{
		HostName: hostName + "/" + account.Name, ContainerName: container,
		SASToken: account.BlobSAS(container, blobName, "rw", f.e.cfg.Now(), expiry),
		URI:      f.e.storageAccount().BlobURI(container, blobName),
	}, nil
}

// Blob implements hub.FileStorage.
func (f *ownFiles) Blob(_ context.Context, blobName string) (int64, time.Time, error) {
	size, lastModified, err := f.e.blobs.Blob(f.e.cfg.StorageContainer, blobName)
	if errors.Is(err, blob.ErrNotFound) {
		err = hub.ErrNoBlob
	}
	return size, lastModified, err
}

// storageAccount is the emulator's account under the hub's first name.
func (e *Emulator) storageAccount() blob.Account {
	host := e.cfg.HostNames[0]
	if port := portOf(e.listeners[nameHTTPS]); port != DefaultHTTPSPort {
		host = net.JoinHostPort(host, strconv.Itoa(port))
	}
	return e.blobs.Account(host)
}

// withBlobs serves the account beside the service API.
func (e *Emulator) withBlobs(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if blob.Mine(r.URL.Path) {
			e.blobs.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}
