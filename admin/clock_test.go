package admin

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hubnerite/hubnerite/clock"
)

// clockWorld has a clock that stands at noon.
func clockWorld(t *testing.T) (*world, *clock.Clock) {
	noon := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	c := clock.New(func() time.Time { return noon })
	return newWorld(t, func(o *Options) { o.Clock = c }), c
}

func TestClock(t *testing.T) {
	w, _ := clockWorld(t)
	at := func(hour, minute, second int) time.Time {
		return time.Date(2026, 5, 1, hour, minute, second, 0, time.UTC)
	}
	for _, step := range []struct {
		method, path, body string
		now                time.Time
		offset             string
		frozen             bool
	}{
		{"GET", "/clock", "", at(12, 0, 0), "0s", false},
		{"POST", "/clock/advance", `{"duration":"1h30m"}`, at(13, 30, 0), "1h30m0s", false},
		{"POST", "/clock/advance", `{"duration":"2.5"}`, at(13, 30, 2).Add(500 * time.Millisecond), "1h30m2.5s", false},
		{"PUT", "/clock", `{"time":"2026-05-01T13:30:00+02:00"}`, at(11, 30, 0), "-30m0s", false},
		{"PUT", "/clock", `{"frozen":true}`, at(11, 30, 0), "-30m0s", true},
		{"POST", "/clock/advance", `{"duration":"1m"}`, at(11, 31, 0), "-29m0s", true},
		{"PUT", "/clock", `{"offset":"-1h"}`, at(11, 0, 0), "-1h0m0s", true},
		{"PUT", "/clock", `{"time":"2026-05-01T14:00:00Z","frozen":false}`, at(14, 0, 0), "2h0m0s", false},
		{"PUT", "/clock", `{"offset":"0s"}`, at(12, 0, 0), "0s", false},
		{"GET", "/clock", "", at(12, 0, 0), "0s", false},
	} {
		var state ClockState
		w.decode(w.call(step.method, step.path, step.body), http.StatusOK, &state)
		if !state.Now.Equal(step.now) || !state.Real.Equal(at(12, 0, 0)) || state.Offset != step.offset || state.Frozen != step.frozen {
			t.Errorf("%s %s %s: %+v, want %v, %s, frozen %v", step.method, step.path, step.body, state, step.now, step.offset, step.frozen)
		}
	}
}

func TestClockRefusals(t *testing.T) {
	w, c := clockWorld(t)
	for _, bad := range []struct{ method, path, body, says string }{
		{"POST", "/clock/advance", `{"duration":"soon"}`, "body.duration"},
		{"POST", "/clock/advance", `{"duration":"-1s"}`, "set it to go back"},
		{"POST", "/clock/advance", `{"duration":"9999999999999999999"}`, "expected a duration"},
		{"POST", "/clock/advance", `{}`, "duration"},
		{"PUT", "/clock", `{"time":"2026-05-01T12:00:00Z","offset":"1h"}`, "exclude each other"},
		{"PUT", "/clock", `{"time":"1960-05-01T12:00:00Z"}`, "1970 to 2200"},
		{"PUT", "/clock", `{"offset":"x"}`, "body.offset"},
		{"PUT", "/clock", `{"time":"noon"}`, "body.time"},
	} {
		rec := w.call(bad.method, bad.path, bad.body)
		if text := rec.Body.String(); rec.Code != http.StatusUnprocessableEntity || !strings.Contains(text, bad.says) {
			t.Errorf("%s %s: %d %s, want it to say %q", bad.path, bad.body, rec.Code, text, bad.says)
		}
	}
	if c.State().Offset != 0 {
		t.Error("the clock was moved")
	}
}
