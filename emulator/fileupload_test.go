package emulator

import (
	"strings"
	"testing"
	"time"
)

// TestFileUploadSettings: the settings reach the hub, and are checked.
func TestFileUploadSettings(t *testing.T) {
	c := Config{FileSASTTL: 5 * time.Minute, NoFileNotifications: true, FileMaxDeliveryCount: 3}
	if s := c.fileUpload(); s.SASTTL != 5*time.Minute || s.Notifications || s.NotificationMaxDeliveryCount != 3 || s.Validate() != nil {
		t.Errorf("%+v", s)
	}
	if s := (Config{}).fileUpload(); s.SASTTL != time.Hour || !s.Notifications || s.NotificationMaxDeliveryCount != 10 {
		t.Errorf("by default: %+v", s)
	}
	for _, bad := range []Config{{FileSASTTL: time.Second}, {FileSASTTL: 25 * time.Hour}, {FileMaxDeliveryCount: 101}, {FileMaxDeliveryCount: -1}} {
		if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), "file upload") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
