package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hubnerite/hubnerite/clock"
)

// ClockState is what the clock of the hubs shows and how it runs.
type ClockState struct {
	Now    time.Time `json:"now" doc:"What the clock shows. Tokens, messages, locks, time-outs, jobs, upload signatures, throttles and retention go by it." example:"2026-05-01T12:30:00Z"`
	Real   time.Time `json:"real" doc:"The real time, by which certificates are valid or not and sockets time out." example:"2026-05-01T12:00:00Z"`
	Offset string    `json:"offset" doc:"How far the clock is ahead of the real time; negative when it is behind." example:"30m0s"`
	Frozen bool      `json:"frozen" doc:"Whether the clock stands still."`
}

// ClockBody is a change of the clock. What is not given stays.
type ClockBody struct {
	Time   *time.Time `json:"time,omitempty" doc:"Set the clock to this time." example:"2026-05-01T12:00:00Z"`
	Offset string     `json:"offset,omitempty" doc:"Set the clock so far ahead of the real time; with a minus behind it. A duration such as 90s or 1h30m, or a number of seconds. Not together with time." example:"30m"`
	Frozen *bool      `json:"frozen,omitempty" doc:"true stops the clock, false lets it run."`
}

// AdvanceBody says how far the clock is moved forward.
type AdvanceBody struct {
	Duration string `json:"duration" doc:"A duration such as 90s or 1h30m, or a number of seconds." example:"1h30m" minLength:"1"`
}

type clockOutput struct{ Body ClockState }

func (s *server) registerClock() {
	huma.Register(s.api, huma.Operation{
		OperationID: "clock", Method: http.MethodGet, Path: "/clock", Summary: "The clock of the hubs", Tags: []string{"clock"},
		Description: "One clock for all hubs of the process. It begins with the real time at every start.",
	}, func(context.Context, *struct{}) (*clockOutput, error) { return s.clockState(nil) })
	huma.Register(s.api, huma.Operation{
		OperationID: "setClock", Method: http.MethodPut, Path: "/clock", Summary: "Set, stop or start the clock", Tags: []string{"clock"},
		Description: `{"frozen":true} stops it where it is, {"frozen":false} lets it run on from there, {"time":"..."} sets it, ` +
			`{"offset":"0s","frozen":false} shows the real time again. What falls due by the change has happened when the answer comes. ` +
			"A clock that is set back undoes nothing: what has expired stays so, and the enqueued times of a partition do not go back.",
	}, func(_ context.Context, in *struct{ Body ClockBody }) (*clockOutput, error) {
		return s.clockState(s.setClock(&in.Body))
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "advanceClock", Method: http.MethodPost, Path: "/clock/advance", Summary: "Move the clock forward", Tags: []string{"clock"},
		Description: "What falls due by it has happened when the answer comes: connections whose token expired are ended, messages expired and their feedback is there, " +
			"time-outs of methods are over, jobs have started.",
	}, func(_ context.Context, in *struct{ Body AdvanceBody }) (*clockOutput, error) {
		d, err := parseDuration(in.Body.Duration)
		if err == nil {
			err = s.Clock.Advance(d)
		}
		if err != nil {
			err = &huma.ErrorDetail{Message: err.Error(), Location: "body.duration", Value: in.Body.Duration}
		}
		return s.clockState(err)
	})
}

// clockState answers with the clock, or with what was wrong with a change.
func (s *server) clockState(err error) (*clockOutput, error) {
	if err != nil {
		return nil, huma.Error422UnprocessableEntity("validation failed", err)
	}
	state := s.Clock.State()
	return &clockOutput{ClockState{
		Now: state.Now.UTC(), Real: state.Real.UTC(), Offset: state.Offset.String(), Frozen: state.Frozen,
	}}, nil
}

func (s *server) setClock(b *ClockBody) error {
	state := s.Clock.State()
	at := state.Now
	switch {
	case b.Time != nil && b.Offset != "":
		return &huma.ErrorDetail{Message: "time and offset exclude each other", Location: "body.offset", Value: b.Offset}
	case b.Time != nil:
		at = *b.Time
	case b.Offset != "":
		offset, err := parseDuration(b.Offset)
		if err != nil {
			return &huma.ErrorDetail{Message: err.Error(), Location: "body.offset", Value: b.Offset}
		}
		frozen := state.Frozen
		if b.Frozen != nil {
			frozen = *b.Frozen
		}
		if offset == 0 && !frozen {
			s.Clock.Reset()
			return nil
		}
		at = state.Real.Add(offset)
	}
	var err error
	switch {
	case b.Frozen == nil:
		err = s.Clock.Set(at)
	case *b.Frozen:
		err = s.Clock.Freeze(at)
	default:
		err = s.Clock.Run(at)
	}
	if errors.Is(err, clock.ErrOutOfRange) {
		return &huma.ErrorDetail{Message: err.Error(), Location: "body", Value: at}
	}
	return err
}

// parseDuration reads a duration, or a number of seconds.
func parseDuration(s string) (time.Duration, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return d, nil
	}
	seconds, err := strconv.ParseFloat(s, 64)
	if d := seconds * float64(time.Second); err == nil && d > -1<<62 && d < 1<<62 {
		return time.Duration(d), nil
	}
	return 0, errors.New("expected a duration such as 90s or 1h30m, or a number of seconds")
}
