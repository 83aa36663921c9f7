package rest

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/store/memory"
)

// shelf is a storage account that has every blob, with 7 bytes.
type shelf struct{}

func (shelf) Grant(_ context.Context, blobName string, _ time.Time, hostName string) (iothub.FileUploadAddress, error) {
	return iothub.FileUploadAddress{HostName: hostName, ContainerName: "c", SASToken: "?a=1&b=2", URI: "https://s/c/" + blobName}, nil
}

func (shelf) Blob(context.Context, string) (int64, time.Time, error) { return 7, time.Now(), nil }

// withFiles gives the world a hub with a storage account.
func withFiles(t *testing.T) *world {
	t.Helper()
	s := memory.New(memory.Options{})
	r, err := registry.New(registry.Options{Records: s.Records()})
	if err != nil {
		t.Fatal(err)
	}
	h, err := hub.New(hub.Options{Name: "hub1", Registry: r, Queues: s.Queues(), Documents: s.Documents(), Log: s.Log(), Files: shelf{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	w := newWorld(t, func(o *Options) { o.Hubs = func(string) (*hub.Hub, error) { return h, nil } })
	if err := w.hub.Close(); err != nil {
		t.Fatal(err)
	}
	w.hub = h
	return w
}

func TestFileUpload(t *testing.T) {
	w := withFiles(t)
	d, m, other := iothub.ID{DeviceID: "d#1"}, iothub.ID{DeviceID: "d#1", ModuleID: "m"}, iothub.ID{DeviceID: "other"}
	w.create(d, m, other)
	const files = "/devices/d%231/files"
	start := func() map[string]any {
		t.Helper()
		return w.asDevice(d, "POST", files, `{"blobName":"dir/a b.txt"}`).ok(200)
	}
	place := start()
	if place["hostName"] != testHost || place["containerName"] != "c" || place["blobName"] != "d#1/dir/a b.txt" || place["sasToken"] != "?a=1&b=2" {
		t.Errorf("%v", place)
	}
	id := func(place map[string]any) string {
		t.Helper()
		text, ok := place["correlationId"].(string)
		if !ok || text == "" {
			t.Fatalf("%v", place)
		}
		return text
	}
	const queue = "/messages/serviceBound/fileNotifications"
	w.do("GET", queue, "").ok(204)
	w.asDevice(d, "POST", files+"/notifications", `{"correlationId":"`+id(place)+`","isSuccess":true,"statusCode":200,"statusDescription":"ok"}`).ok(204)
	// The older form: the ID is in the path.
	w.asDevice(d, "POST", files+"/notifications/"+url.PathEscape(id(start())), `{"isSuccess":true}`).ok(204)
	for range 2 {
		a := w.do("GET", queue, "")
		var n iothub.FileNotification
		if err := json.Unmarshal([]byte(a.body), &n); err != nil || a.status != 200 || n.DeviceID != "d#1" || n.BlobSizeInBytes != 7 {
			t.Fatalf("%d %s, %v", a.status, a.body, err)
		}
		if got := a.header.Get("Content-Type"); got != iothub.FileNotificationContentType {
			t.Errorf("Content-Type %q", got)
		}
		one := queue + "/" + strings.Trim(a.header.Get("ETag"), `"`)
		w.do("POST", one+"/abandon", "").ok(204)
		w.do("DELETE", one, "").refused(legacy, iothub.CodeDeviceMessageLockLost)
		a = w.do("GET", queue, "")
		if a.header.Get("iothub-deliverycount") != "1" {
			t.Errorf("given back: %v", a.header)
		}
		w.do("DELETE", queue+"/"+strings.Trim(a.header.Get("ETag"), `"`), "").ok(204)
	}
	w.do("GET", queue, "").ok(204)
	w.asDevice(d, "GET", queue, "").refused(legacy, iothub.CodeIotHubUnauthorizedAccess)

	done := `{"correlationId":"` + id(start()) + `","isSuccess":true}`
	w.asDevice(other, "POST", "/devices/other/files/notifications", done).refused(legacy, iothub.CodeInvalidFileUploadCorrelationId)
	w.asDevice(d, "POST", files+"/notifications", `{"correlationId":"x"`).refused(legacy, iothub.CodeIotHubFormatError)
	w.asDevice(d, "POST", files+"/notifications", `{"isSuccess":"yes"}`).refused(legacy, iothub.CodeIotHubFormatError)
	w.asDevice(d, "POST", files+"/notifications", "").refused(legacy, iothub.CodeArgumentNull)
	w.asDevice(d, "POST", files, `{"blobName":""}`).refused(legacy, iothub.CodeArgumentNull)
	w.asDevice(d, "POST", files, `{"blobName":"a//b"}`).refused(legacy, iothub.CodeInvalidStorageEndpointOrBlob)
	w.asDevice(d, "POST", files, `[]`).refused(legacy, iothub.CodeIotHubFormatError)
	w.asDevice(m, "POST", files, `{"blobName":"x"}`).refused(legacy, iothub.CodeIotHubUnauthorizedAccess)
	w.asDevice(m, "POST", "/devices/d%231/modules/m/files", `{"blobName":"x"}`).refused(legacy, iothub.CodeGenericNotFound)
	w.do("POST", "/devices/none/files", `{"blobName":"x"}`).refused(legacy, iothub.CodeDeviceNotFound)
	for range iothub.MaxActiveFileUploads - 1 {
		start()
	}
	w.asDevice(d, "POST", files, `{"blobName":"x"}`).refused(legacy, iothub.CodeDeviceMaximumActiveFileUploadLimitExceeded)

	without := newWorld(t)
	without.create(other)
	without.asDevice(other, "POST", "/devices/other/files", `{"blobName":"x"}`).refused(legacy, iothub.CodeDefaultStorageEndpointNotConfigured)
}
