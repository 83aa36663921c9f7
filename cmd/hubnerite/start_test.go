package main

import (
	"errors"
	"strings"
	"testing"
)

// TestLogLineIsBounded: a peer's long name does not make a long line, whether it
// is a text or in an error; what the emulator itself has to say stays whole.
func TestLogLineIsBounded(t *testing.T) {
	long := strings.Repeat("é", 30000)
	for _, asJSON := range []bool{false, true} {
		var out strings.Builder
		s := Settings{}
		s.LogLevel, s.LogJSON = "debug", asJSON
		s.logger(&out).Warn("refused", "path", long, "err", errors.New(long), "code", 7, "device", "d1", "stack", strings.Repeat("s", 5000))
		line := out.String()
		if len(line) > 5000+2*(maxLogText+100)+200 || !strings.Contains(line, "60000 bytes") || !strings.Contains(line, "d1") {
			t.Errorf("json %t: %d bytes: %.300s", asJSON, len(line), line)
		}
		if !strings.Contains(line, strings.Repeat("s", 5000)) {
			t.Errorf("json %t: the stack is cut", asJSON)
		}
	}
}
