package hub

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
)

// TestFileUploadSettings: each change holds for what begins afterwards.
func TestFileUploadSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := withShelf(t)
		f.device("d")
		before, err := f.upload("d", "before")
		if err != nil {
			t.Fatal(err)
		}
		settings := f.FileUploadSettings()
		settings.SASTTL, settings.NotificationMaxDeliveryCount, settings.NotificationLock = time.Minute, 2, 10*time.Second
		if err := f.SetFileUploadSettings(settings); err != nil {
			t.Fatal(err)
		}
		after, err := f.upload("d", "after")
		if err != nil {
			t.Fatal(err)
		}
		s.write(before.BlobName, 1)
		s.write(after.BlobName, 1)
		time.Sleep(61 * time.Second)
		wantCode(t, f.uploaded("d", after.CorrelationID, true), iothub.CodeExpiredFileUploadCorrelationId)
		if err := f.uploaded("d", before.CorrelationID, true); err != nil {
			t.Error(err)
		}
		q := f.FileNotifications()
		for count := range 2 {
			d, ok, err := q.Receive(t.Context())
			if err != nil || !ok || d.DeliveryCount != count {
				t.Fatalf("delivery %d: %+v, %v, %v", count, d, ok, err)
			}
			if count == 0 {
				time.Sleep(9 * time.Second)
			}
			if err := q.Abandon(t.Context(), d.LockToken); err != nil {
				t.Error(err)
			}
		}
		if d, ok, _ := q.Receive(t.Context()); ok {
			t.Errorf("after two deliveries: %+v", d)
		}

		settings.Notifications = false
		if err := f.SetFileUploadSettings(settings); err != nil {
			t.Fatal(err)
		}
		silent, err := f.upload("d", "silent")
		if err != nil {
			t.Fatal(err)
		}
		s.write(silent.BlobName, 1)
		if err := f.uploaded("d", silent.CorrelationID, true); err != nil {
			t.Error(err)
		}
		if n := f.notified(t); n != nil {
			t.Errorf("told of %+v", n)
		}
		settings.SASTTL = 25 * time.Hour
		wantCode(t, f.SetFileUploadSettings(settings), iothub.CodeArgumentInvalid)
		if got := f.FileUploadSettings().SASTTL; got != time.Minute {
			t.Errorf("refused, and %s", got)
		}
	})
}
