package iothub

import "time"

// FormatTime formats t as the service does: UTC with seven fractional digits.
// The zero time is "0001-01-01T00:00:00Z", which stands for "never".
// Source: the SDKs' strict date parsers.
func FormatTime(t time.Time) string {
	if t.IsZero() {
		return "0001-01-01T00:00:00Z"
	}
	return t.UTC().Format(timeLayout)
}

const timeLayout = "2006-01-02T15:04:05.0000000Z"
