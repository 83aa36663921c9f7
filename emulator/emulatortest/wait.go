package emulatortest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// Filter says what to wait for. All that is given must match; the zero value matches everything.
type Filter struct {
	// Hub is the name of the hub; "" is the one that every emulator has.
	Hub string
	// Device selects one device, with its modules.
	Device string
	// Kind and Event are of the constants of package hub, such as hub.ActivityMethod and hub.EventAnswered.
	Kind  hub.ActivityKind
	Event string
	// Properties are application properties that a message has, in either direction.
	Properties map[string]string
	// Match decides about what passed the rest; nil takes all of it. What it gets must not be changed.
	Match func(*hub.Activity) bool
	// Since is a Position after which to begin; "" is the hub's beginning.
	Since string
	// Count is how many to wait for; 0 is 1.
	Count int
	// Timeout is how long to wait, in real time; 0 is 30 s.
	Timeout time.Duration
}

// What a Filter has without its own.
const (
	defaultCount   = 1
	defaultTimeout = 30 * time.Second
)

// shownActivities is how many of the last things that happened are told when what was waited for did not happen.
const shownActivities = 12

// Wait waits until Count things that match have happened and returns them, by time. There may be more than Count. The test
// fails at once when they do not happen in time.
func Wait(t testing.TB, e *emulator.Emulator, f Filter) []hub.Activity {
	t.Helper()
	if f.Count == 0 {
		f.Count = defaultCount
	}
	if f.Timeout == 0 {
		f.Timeout = defaultTimeout
	}
	h := hubOf(t, e, f.Hub)
	page, err := h.WaitActivity(t.Context(), f.query(), f.Count, f.Count, f.Timeout)
	if err != nil {
		t.Fatalf("wait for %s: %v", f, err)
	}
	if len(page.Activities) < f.Count {
		t.Fatalf("waited %v for %d of %s, and there were %d. The last that happened:\n%s", f.Timeout, f.Count, f, len(page.Activities), lately(h))
	}
	return page.Activities
}

// WaitMessage waits for a message of a device and returns the first that matches; it is WaitMessages with a Count of 1.
// The test fails at once when none comes in time.
func WaitMessage(t testing.TB, e *emulator.Emulator, f Filter) iothub.Telemetry {
	t.Helper()
	return WaitMessages(t, e, f)[0]
}

// WaitMessages waits for Count messages of devices and returns them, by time; what one device sent is in its order. Kind is
// hub.ActivityTelemetry, whatever the filter says.
func WaitMessages(t testing.TB, e *emulator.Emulator, f Filter) []iothub.Telemetry {
	t.Helper()
	f.Kind = hub.ActivityTelemetry
	var messages []iothub.Telemetry
	for _, a := range Wait(t, e, f) {
		messages = append(messages, *a.Telemetry)
	}
	return messages
}

// Position returns where the hub's record of what happens is now, for Filter.Since.
func Position(t testing.TB, e *emulator.Emulator, hubName string) string {
	t.Helper()
	position, err := hubOf(t, e, hubName).ActivityPosition()
	if err != nil {
		t.Fatalf("position: %v", err)
	}
	return position
}

func (f Filter) query() hub.ActivityQuery {
	q := hub.ActivityQuery{DeviceID: f.Device, Since: f.Since, Select: f.matches}
	if f.Kind != "" {
		q.Kinds = []hub.ActivityKind{f.Kind}
	}
	return q
}

func (f Filter) matches(a *hub.Activity) bool {
	if f.Event != "" && a.Event != f.Event {
		return false
	}
	if len(f.Properties) > 0 {
		var properties iothub.Properties
		switch {
		case a.Telemetry != nil:
			properties = a.Telemetry.Properties
		case a.C2D != nil:
			properties = a.C2D.Properties
		}
		for name, value := range f.Properties {
			if got, ok := properties.Get(name); !ok || got != value {
				return false
			}
		}
	}
	return f.Match == nil || f.Match(a)
}

// String describes the filter in a failure.
func (f Filter) String() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+" "+value)
		}
	}
	add("hub", f.Hub)
	add("kind", string(f.Kind))
	add("event", f.Event)
	add("device", f.Device)
	if len(f.Properties) > 0 {
		add("properties", fmt.Sprint(f.Properties))
	}
	if f.Match != nil {
		parts = append(parts, "what Match takes")
	}
	if len(parts) == 0 {
		return "anything"
	}
	return strings.Join(parts, ", ")
}

// lately tells the last things that happened in a hub, one a line.
func lately(h *hub.Hub) string {
	var b strings.Builder
	q, found := hub.ActivityQuery{}, []hub.Activity(nil)
	for {
		page, err := h.ReadActivity(context.Background(), q, 1000)
		if err != nil || len(page.Activities) == 0 {
			break
		}
		found, q.Since = append(found, page.Activities...), page.Position
		found = found[max(0, len(found)-shownActivities):]
	}
	for _, a := range found {
		fmt.Fprintf(&b, "  %s %s %s", a.Time.Format("15:04:05.000"), a.Kind, a.Event)
		for _, part := range []string{a.ID.String(), a.Protocol, a.Operation} {
			if part != "" {
				b.WriteString(" " + part)
			}
		}
		if a.Telemetry != nil {
			fmt.Fprintf(&b, " %.80q %v", a.Telemetry.Body, a.Telemetry.Properties.Map())
		}
		if a.Method != nil {
			fmt.Fprintf(&b, " %s %d", a.Method.Name, a.Method.Status)
		}
		if a.Error != nil {
			fmt.Fprintf(&b, ": %s", a.Error.Message)
		}
		b.WriteByte('\n')
	}
	if len(found) == 0 {
		return "  nothing"
	}
	return strings.TrimSuffix(b.String(), "\n")
}
