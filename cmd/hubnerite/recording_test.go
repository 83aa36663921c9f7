package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReadRecording(t *testing.T) {
	const header = `{"hubnerite":"recording","version":1,"hub":"h","started":"2026-05-01T12:00:00Z","later":true}` + "\n"
	const one = `{"offsetMs":1500,"activity":{"kind":"telemetry","event":"received","device":"d","module":"m","body":"x","payload":12345678901234567890}}` + "\n"
	got, all, err := readRecording(strings.NewReader(header + one + "\n" + one))
	if err != nil || got.Hub != "h" || len(all) != 2 {
		t.Fatalf("%+v, %d activities, %v", got, len(all), err)
	}
	if a := all[1]; a.offset != 1500*time.Millisecond || a.id().String() != "d/m" || a.Body != "x" || string(a.Payload) != "12345678901234567890" {
		t.Errorf("the activity is %+v", a)
	}
	for want, text := range map[string]string{
		"empty":                            "",
		"line 1: this is no recording":     `{"some":"json"}`,
		"line 1: this is no recording of ": "hubs:\n",
		"version 2":                        `{"hubnerite":"recording","version":2}`,
		"version 0":                        `{"hubnerite":"recording"}`,
		"line 3: unexpected end":           header + one + `{"offsetMs":`,
		"line 2: unexpected end":           header + `{"offsetMs":1}`,
		"line 2: an activity needs":        header + `{"offsetMs":1,"activity":{"kind":"twin"}}`,
		"line 2: the offset is negative":   header + `{"offsetMs":-1,"activity":{"kind":"twin","event":"patched"}}`,
		"line 2: json":                     header + `{"offsetMs":1,"activity":{"kind":7}}`,
		"line 2: bufio":                    header + strings.Repeat("x", maxLine+1),
	} {
		if _, _, err := readRecording(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// TestPacer: activities are due by their distance from the first one, by the speed, whatever the others take.
func TestPacer(t *testing.T) {
	acts := []*activity{{offset: 5 * time.Second}, {offset: 6 * time.Second}, {offset: 6 * time.Second}, {offset: 10 * time.Second}}
	for _, tt := range []struct {
		speed float64
		takes time.Duration // each activity
		want  []time.Duration
	}{
		{1, 0, []time.Duration{0, time.Second, time.Second, 5 * time.Second}},
		{2, 0, []time.Duration{0, time.Second / 2, time.Second / 2, 5 * time.Second / 2}},
		{0.5, 0, []time.Duration{0, 2 * time.Second, 2 * time.Second, 10 * time.Second}},
		{0, 0, []time.Duration{0, 0, 0, 0}},
		{1, 2 * time.Second, []time.Duration{0, 2 * time.Second, 4 * time.Second, 6 * time.Second}},
		{1, time.Second / 2, []time.Duration{0, time.Second, 3 * time.Second / 2, 5 * time.Second}},
	} {
		start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
		now := start
		p := pacer{speed: tt.speed, now: func() time.Time { return now }, sleep: func(_ context.Context, d time.Duration) error {
			now = now.Add(d)
			return nil
		}}
		var got []time.Duration
		if err := p.play(t.Context(), acts, func(*activity) {
			got = append(got, now.Sub(start))
			now = now.Add(tt.takes)
		}); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("speed %v, each takes %s: at %v, %v; want %v", tt.speed, tt.takes, got, err, tt.want)
		}
	}
}

func TestPacerIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	count := 0
	p := pacer{speed: 1, now: time.Now, sleep: sleep}
	err := p.play(ctx, []*activity{{}, {offset: time.Hour}}, func(*activity) { count++; cancel() })
	if !errors.Is(err, context.Canceled) || count != 1 {
		t.Errorf("%d activities, %v; want one and an interruption", count, err)
	}
}

// TestPartsOfAReplay: what is done, what follows by itself, and what is said to be left out.
func TestPartsOfAReplay(t *testing.T) {
	all := []activity{
		{Kind: "connection", Event: "connected", Device: "d"},
		{Kind: "telemetry", Event: "received", Device: "d"},
		{Kind: "twin", Event: "reported", Device: "d"},
		{Kind: "twin", Event: "patched", Device: "d"},
		{Kind: "twin", Event: "replaced", Device: "e"},
		{Kind: "c2d", Event: "sent", Device: "d"},
		{Kind: "c2d", Event: "delivered", Device: "d"},
		{Kind: "c2d", Event: "ended", Device: "d"},
		{Kind: "feedback", Event: "recorded", Device: "d"},
		{Kind: "method", Event: "called", Device: "d", RequestID: "1"},
		{Kind: "method", Event: "answered", Device: "d", RequestID: "1"},
		{Kind: "method", Event: "called", Device: "d", RequestID: "2"},
		{Kind: "method", Event: "failed", Device: "d", RequestID: "2"},
		{Kind: "identity", Event: "created", Device: "d"},
		{Kind: "upload", Event: "completed", Device: "d"},
		{Kind: "refusal", Event: "refused", Device: "d"},
		{Kind: "fault", Event: "hit", Device: "d"},
	}
	const left = "1 connection, 1 fault, 1 identity, 1 refusal, 1 upload"
	for _, tt := range []struct {
		cmd  replayCmd
		acts int
		left string
	}{
		{replayCmd{Devices: true, Service: true}, 6, "1 connection, 1 fault, 1 identity, 1 method without an answer, 1 refusal, 1 upload"},
		{replayCmd{Devices: true}, 2, left},
		{replayCmd{Service: true}, 5, left},
		{replayCmd{Service: true, Devices: true, Device: "e*"}, 1, "nothing"},
	} {
		p := newPlayer(&app{}, &service{}, &tt.cmd, all)
		if len(p.acts) != tt.acts || counted(p.left) != tt.left {
			t.Errorf("%+v: %d activities, left out %s; want %d, %s", tt.cmd, len(p.acts), counted(p.left), tt.acts, tt.left)
		}
	}
}
