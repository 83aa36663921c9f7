package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestGivenTime(t *testing.T) {
	for text, want := range map[string]string{
		"2026-05-01T12:00:00Z": "2026-05-01T12:00:00Z", "2026-05-01T12:00:00.5+02:00": "2026-05-01T10:00:00.5Z",
		"2026-05-01T12:00:00": "2026-05-01T12:00:00Z", "2026-05-01 12:00:00": "2026-05-01T12:00:00Z", "2026-05-01": "2026-05-01T00:00:00Z",
	} {
		var m givenTime
		if err := m.UnmarshalText([]byte(text)); err != nil || m.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %v, %v", text, m, err)
		}
	}
	var m givenTime
	if err := m.UnmarshalText([]byte("yesterday")); err == nil || !strings.Contains(err.Error(), "such as 2026-05-01T12:00:00Z") {
		t.Errorf("yesterday: %v", err)
	}
}

func TestRefusal(t *testing.T) {
	answer := &http.Response{Status: "404 Not Found"}
	for body, want := range map[string]string{
		`{"Message":"ErrorCode:DeviceNotFound;No d.","ExceptionMessage":"x"}`:                  "the hub answers 404 Not Found: ErrorCode:DeviceNotFound;No d.",
		`{"Message":"{\"errorCode\":404103,\"trackingId\":\"x\",\"message\":\"Timed out.\"}"}`: "the hub answers 404 Not Found: Timed out. (404103)",
		`{"errorCode":404001,"trackingId":"x","message":"No d."}`:                              "the hub answers 404 Not Found: No d. (404001)",
		"plain": "the hub answers 404 Not Found: plain",
	} {
		if got := refusal(answer, []byte(body)).Error(); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}
