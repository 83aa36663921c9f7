package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// shelf is a storage account that knows sizes.
type shelf struct {
	mu     sync.Mutex
	sizes  map[string]int64
	broken error
}

func (s *shelf) Grant(_ context.Context, blobName string, expiry time.Time, hostName string) (iothub.FileUploadAddress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return iothub.FileUploadAddress{
		HostName: hostName, ContainerName: "c", SASToken: "?se=" + expiry.Format(time.RFC3339), URI: "https://s/c/" + blobName,
	}, s.broken
}

func (s *shelf) Blob(_ context.Context, blobName string) (int64, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size, ok := s.sizes[blobName]
	if !ok {
		return 0, time.Time{}, ErrNoBlob
	}
	return size, time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC), nil
}

func (s *shelf) write(blobName string, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes[blobName] = size
}

func withShelf(t *testing.T, change ...func(*Options)) (*fixture, *shelf) {
	s := &shelf{sizes: map[string]int64{}}
	f := newFixture(t, append(change, func(o *Options) { o.Files = s })...)
	return f, s
}

func (f *fixture) upload(device, blob string) (iothub.FileUpload, error) {
	return f.StartFileUpload(context.Background(), device, blob, "host:1")
}

func (f *fixture) uploaded(device, correlationID string, success bool) error {
	return f.CompleteFileUpload(context.Background(), device, iothub.FileUploadCompletion{CorrelationID: correlationID, IsSuccess: &success})
}

// notified receives and completes one notification; nil when there is none.
func (f *fixture) notified(t *testing.T) *iothub.FileNotification {
	t.Helper()
	d, ok, err := f.FileNotifications().Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return nil
	}
	if d.System.ContentType != iothub.FileNotificationContentType || d.System.UserID != "hub1" {
		t.Errorf("%+v", d.System)
	}
	n := new(iothub.FileNotification)
	if err := json.Unmarshal(d.Body, n); err != nil {
		t.Fatalf("%s: %v", d.Body, err)
	}
	if err := f.FileNotifications().Complete(t.Context(), d.LockToken); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestFileUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := withShelf(t)
		f.device("d")
		f.device("e")
		u, err := f.upload("d", "a/b.txt")
		if err != nil {
			t.Fatal(err)
		}
		if u.HostName != "host:1" || u.ContainerName != "c" || u.BlobName != "d/a/b.txt" || !strings.HasPrefix(u.SASToken, "?") || u.CorrelationID == "" {
			t.Errorf("%+v", u)
		}
		wantCode(t, f.uploaded("d", u.CorrelationID, true), iothub.CodeInvalidStorageEndpointOrBlob)
		wantCode(t, f.uploaded("e", u.CorrelationID, true), iothub.CodeInvalidFileUploadCorrelationId)
		wantCode(t, f.uploaded("d", "x"+u.CorrelationID, true), iothub.CodeInvalidFileUploadCorrelationId)
		wantCode(t, f.uploaded("d", "", true), iothub.CodeInvalidFileUploadCorrelationId)
		wantCode(t, f.CompleteFileUpload(t.Context(), "d", iothub.FileUploadCompletion{CorrelationID: u.CorrelationID}), iothub.CodeInvalidFileUploadCompletionStatus)
		s.write("d/a/b.txt", 12)
		if err := f.uploaded("d", u.CorrelationID, true); err != nil {
			t.Fatal(err)
		}
		want := iothub.FileNotification{
			DeviceID: "d", BlobURI: "https://s/c/d/a/b.txt", BlobName: "d/a/b.txt", LastUpdatedTime: "2026-01-05T10:00:00+00:00",
			BlobSizeInBytes: 12, EnqueuedTimeUTC: iothub.FormatTime(time.Now()),
		}
		if n := f.notified(t); n == nil || *n != want {
			t.Errorf("%+v, want %+v", n, want)
		}
		wantCode(t, f.uploaded("d", u.CorrelationID, true), iothub.CodeInvalidFileUploadCorrelationId)

		// A failure ends an upload and tells nobody.
		if u, err = f.upload("d", "b"); err != nil {
			t.Fatal(err)
		}
		if err := f.uploaded("d", u.CorrelationID, false); err != nil {
			t.Fatal(err)
		}
		if n := f.notified(t); n != nil {
			t.Errorf("%+v", n)
		}
		for name, code := range map[string]iothub.Code{
			"": iothub.CodeArgumentNull, "/x": iothub.CodeInvalidStorageEndpointOrBlob, "x/": iothub.CodeInvalidStorageEndpointOrBlob,
			"a//b": iothub.CodeInvalidStorageEndpointOrBlob, "x.": iothub.CodeInvalidStorageEndpointOrBlob, `a\b`: iothub.CodeInvalidStorageEndpointOrBlob,
			"\x01": iothub.CodeInvalidStorageEndpointOrBlob, "\xff": iothub.CodeInvalidStorageEndpointOrBlob, "../x": iothub.CodeInvalidStorageEndpointOrBlob,
			strings.Repeat("x", 1024): iothub.CodeInvalidStorageEndpointOrBlob, strings.Repeat("x/", 253) + "x": iothub.CodeInvalidStorageEndpointOrBlob,
		} {
			_, err := f.upload("d", name)
			wantCode(t, err, code)
		}
		_, err = f.upload("nobody", "x")
		wantCode(t, err, iothub.CodeDeviceNotFound)
	})
}

func TestFileUploadLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := withShelf(t)
		f.device("d")
		f.device("e")
		var first iothub.FileUpload
		for i := range iothub.MaxActiveFileUploads {
			u, err := f.upload("d", fmt.Sprint(i))
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = u
			}
		}
		_, err := f.upload("d", "x")
		wantCode(t, err, iothub.CodeDeviceMaximumActiveFileUploadLimitExceeded)
		if _, err := f.upload("e", "x"); err != nil {
			t.Errorf("of another device: %v", err)
		}
		// They survive a restart, and end with their signatures.
		f.restart()
		_, err = f.upload("d", "x")
		wantCode(t, err, iothub.CodeDeviceMaximumActiveFileUploadLimitExceeded)
		s.write(first.BlobName, 1)
		if err := f.uploaded("d", first.CorrelationID, true); err != nil {
			t.Errorf("after a restart: %v", err)
		}
		last, err := f.upload("d", "x")
		if err != nil {
			t.Error(err)
		}
		time.Sleep(f.options.FileUpload.SASTTL + iothub.DefaultFileUploadSettings().SASTTL)
		s.write(last.BlobName, 1)
		wantCode(t, f.uploaded("d", last.CorrelationID, true), iothub.CodeExpiredFileUploadCorrelationId)
		f.Sweep(time.Now())
		wantCode(t, f.uploaded("d", last.CorrelationID, true), iothub.CodeExpiredFileUploadCorrelationId)
		if _, err := f.upload("d", "x"); err != nil {
			t.Errorf("after the others ended: %v", err)
		}
		if err := f.DeleteIdentity(t.Context(), iothub.ID{DeviceID: "d"}, "*"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if entries, err := f.options.Queues.Load(t.Context(), uploadQueueName); err != nil || len(entries) != 0 {
			t.Errorf("%d uploads are stored, %v", len(entries), err)
		}
	})
}

func TestFileNotificationLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := withShelf(t)
		f.device("d")
		s.write("d/x", 1)
		u, err := f.upload("d", "x")
		if err != nil {
			t.Fatal(err)
		}
		woken := 0
		defer f.FileNotifications().OnWaiting(func() { woken++ })()
		if err := f.uploaded("d", u.CorrelationID, true); err != nil {
			t.Fatal(err)
		}
		if woken != 1 {
			t.Errorf("woken %d times", woken)
		}
		q := f.FileNotifications()
		receive := func(count int) string {
			t.Helper()
			d, ok, err := q.Receive(t.Context())
			if err != nil || !ok || d.DeliveryCount != count {
				t.Fatalf("%v, %+v, %v; want count %d", ok, d, err, count)
			}
			if _, again, _ := q.Receive(t.Context()); again {
				t.Fatal("two have it")
			}
			return d.LockToken
		}
		token := receive(0)
		time.Sleep(time.Minute) // the lock lapses
		wantCode(t, q.Complete(t.Context(), token), iothub.CodeDeviceMessageLockLost)
		q.Release(receive(0))
		// Once given back, it survives a restart with its count.
		if err := q.Abandon(t.Context(), receive(0)); err != nil {
			t.Fatal(err)
		}
		f.restart()
		q = f.FileNotifications()
		for count := 1; count < 10; count++ {
			if err := q.Abandon(t.Context(), receive(count)); err != nil {
				t.Fatal(err)
			}
		}
		if _, ok, _ := q.Receive(t.Context()); ok {
			t.Error("ten times given back, and still there")
		}
		// Time to live.
		if u, err = f.upload("d", "x"); err != nil {
			t.Fatal(err)
		}
		if err := f.uploaded("d", u.CorrelationID, true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if n := f.notified(t); n != nil {
			t.Errorf("an hour later %+v", n)
		}
	})
}

func TestFileUploadWithoutStorage(t *testing.T) {
	f := newFixture(t)
	f.device("d")
	_, err := f.upload("d", "x")
	wantCode(t, err, iothub.CodeDefaultStorageEndpointNotConfigured)

	broken, s := withShelf(t)
	broken.device("d")
	s.broken = errors.New("disk full")
	for range iothub.MaxActiveFileUploads + 1 {
		if _, err := broken.upload("d", "x"); !errors.Is(err, s.broken) {
			t.Fatalf("%v: a failed start must not count", err)
		}
	}
	silent, s := withShelf(t, func(o *Options) {
		o.FileUpload = iothub.DefaultFileUploadSettings()
		o.FileUpload.Notifications = false
	})
	silent.device("d")
	s.write("d/x", 1)
	u, err := silent.upload("d", "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := silent.uploaded("d", u.CorrelationID, true); err != nil {
		t.Fatal(err)
	}
	if n := silent.notified(t); n != nil {
		t.Errorf("notified although that is off: %+v", n)
	}
}
