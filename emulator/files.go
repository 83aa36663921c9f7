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

// openFiles opens the storage account: the hub's own, which is always there,
// and the one for the files of devices, which may be another.
func (h *hosted) openFiles(ctx context.Context, l *life) (hub.FileStorage, error) {
	e := h.e
	dir := filepath.Join(l.dir, blobsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	l.blobs, err = blob.NewServer(blob.Options{
		Dir: dir, Sync: e.cfg.Durability == string(store.DurabilityFsync), Logger: e.cfg.Logger, Version: Version(), Now: e.cfg.Now, Real: e.clock.Real,
	})
	if err != nil {
		return nil, err
	}
	if e.cfg.StorageConnectionString != "" {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		account, err := blobcontainer.OpenAccount(ctx, e.cfg.StorageConnectionString, e.cfg.StorageContainer, e.clock.Real)
		return &foreignFiles{account, e.clock}, err
	}
	if err := l.blobs.MakeContainer(e.cfg.StorageContainer); err != nil {
		return nil, err
	}
	return &ownFiles{h, l}, nil
}

// ownFiles puts the files of devices into the emulator's own account.
type ownFiles struct {
	h *hosted
	l *life
}

// Grant implements hub.FileStorage. The device writes under the name by which it
// reached the hub; back ends read under the hub's first name.
func (f *ownFiles) Grant(_ context.Context, blobName string, expiry time.Time, hostName string) (iothub.FileUploadAddress, error) {
	container := f.h.e.cfg.StorageContainer
	account := f.l.blobs.Account(hostName)
	return iothub.FileUploadAddress{
		HostName: hostName + "/" + account.Name, ContainerName: container,
		SASToken: account.BlobSAS(container, blobName, "rw", f.h.e.cfg.Now(), expiry),
		URI:      f.h.storageAccount(f.l.blobs).BlobURI(container, blobName),
	}, nil
}

// Blob implements hub.FileStorage.
func (f *ownFiles) Blob(_ context.Context, blobName string) (int64, time.Time, error) {
	size, lastModified, err := f.l.blobs.Blob(f.h.e.cfg.StorageContainer, blobName)
	if errors.Is(err, blob.ErrNotFound) {
		err = hub.ErrNoBlob
	}
	return size, lastModified, err
}

// storageAccount is the hub's account under its first name.
func (h *hosted) storageAccount(blobs *blob.Server) blob.Account {
	host := h.hostNames[0]
	if port := portOf(h.e.listeners[nameHTTPS]); port != DefaultHTTPSPort {
		host = net.JoinHostPort(host, strconv.Itoa(port))
	}
	return blobs.Account(host)
}

// withBlobs serves the hubs' accounts beside the service API.
func (e *Emulator) withBlobs(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if blob.Mine(r.URL.Path) {
			e.lookup(r.Host).now.Load().blobs.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}

// fileUpload returns the hub's file upload properties.
func (c Config) fileUpload() iothub.FileUploadSettings {
	s := iothub.DefaultFileUploadSettings()
	if c.FileSASTTL != 0 {
		s.SASTTL = c.FileSASTTL
	}
	if c.FileMaxDeliveryCount != 0 {
		s.NotificationMaxDeliveryCount = c.FileMaxDeliveryCount
	}
	s.Notifications = !c.NoFileNotifications
	return s
}
