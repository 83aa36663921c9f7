package admin

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFileUploadSettings(t *testing.T) {
	w := newWorld(t)
	want := FileUpload{SASTTL: "1h0m0s", Notifications: true, NotificationTTL: "1h0m0s", Lock: "1m0s", MaxDeliveryCount: 10}
	check := func(got FileUpload) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	var got FileUpload
	w.decode(w.get("/file-upload"), 200, &got)
	check(got)
	w.decode(w.call("PUT", "/file-upload", `{"sasTtl":"90","notifications":false}`), 200, &got)
	want.SASTTL, want.Notifications = "1m30s", false
	check(got)
	w.decode(w.call("PUT", "/file-upload", `{"notifications":true,"notificationTtl":"2h","lock":"30s","maxDeliveryCount":3}`), 200, &got)
	want = FileUpload{SASTTL: "1m30s", Notifications: true, NotificationTTL: "2h0m0s", Lock: "30s", MaxDeliveryCount: 3}
	check(got)
	for body, status := range map[string]int{
		`{"sasTtl":"1s"}`: 400, `{"sasTtl":"25h"}`: 400, `{"lock":"4s"}`: 400, `{"maxDeliveryCount":0}`: 400, `{"maxDeliveryCount":101}`: 400,
		`{"notificationTtl":"49h"}`: 400, `{"lock":"soon"}`: 422, `{"nothing":1}`: 422, `{`: 400,
	} {
		if rec := w.call("PUT", "/file-upload", body); rec.Code != status {
			t.Errorf("%s: %d %s, want %d", body, rec.Code, rec.Body, status)
		}
	}
	w.decode(w.get("/file-upload"), 200, &got)
	check(got)
	if w.hub.FileUploadSettings().NotificationMaxDeliveryCount != 3 {
		t.Error(w.hub.FileUploadSettings())
	}
}
