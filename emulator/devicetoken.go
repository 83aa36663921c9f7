package emulator

import (
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/registry"
)

// DeviceToken returns a shared access signature with the key of a device's or module's
// connection string. It fails for one without a key.
func DeviceToken(connectionString string, expiry time.Time) (string, error) {
	fields := map[string]string{}
	for field := range strings.SplitSeq(connectionString, ";") {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	resource := fields["HostName"] + "/devices/" + fields["DeviceId"]
	if module := fields["ModuleId"]; module != "" {
		resource += "/modules/" + module
	}
	return registry.SignSASToken(resource, "", fields["SharedAccessKey"], expiry)
}
