package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/hubnerite/hubnerite/hub"
)

// streamPulse is how long a stream is silent at most, so that nothing in between takes it for dead.
const streamPulse = 15 * time.Second

func (s *server) registerStream() {
	huma.Register(s.api, huma.Operation{
		OperationID: "activityStream", Method: http.MethodGet, Path: "/activity/stream", Summary: "What happens, as it happens", Tags: []string{"activity"},
		Description: "Server-sent events: the data of each is an Activity, the id of the last one of a batch a position. It begins with what happens from now on, or after since, " +
			"or after the header Last-Event-ID; since=oldest begins with all that is kept. It lasts until the client leaves or the hub ends.",
		Responses: map[string]*huma.Response{"200": {
			Description: "The stream.", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, func(ctx context.Context, in *struct {
		ActivityQuery
		LastEventID string `header:"Last-Event-ID" doc:"A position."`
	},
	) (*huma.StreamResponse, error) {
		switch {
		case in.LastEventID != "":
			in.Since = in.LastEventID
		case in.Since == "":
			in.Since = hub.LatestPosition
		case in.Since == "oldest":
			in.Since = ""
		}
		q, err := in.query(in.Kind)
		if err != nil {
			return nil, err
		}
		// A position that cannot be read is refused now; what is before this moment is not missed later.
		if _, err := s.hub(ctx).ReadActivity(ctx, hub.ActivityQuery{Kinds: []hub.ActivityKind{hub.ActivityFault}, Since: in.Since}, 1); err != nil {
			return nil, s.activityError(err)
		}
		if in.Since == hub.LatestPosition {
			if q.Since, err = s.hub(ctx).ActivityPosition(); err != nil {
				return nil, s.activityError(err)
			}
		}
		return &huma.StreamResponse{Body: func(out huma.Context) { s.stream(out, q) }}, nil
	})
}

// stream sends what the query selects until the client leaves or the hub ends.
func (s *server) stream(out huma.Context, q hub.ActivityQuery) {
	ctx, cancel := context.WithCancel(out.Context())
	defer cancel()
	out.SetHeader("Content-Type", "text/event-stream")
	out.SetHeader("Cache-Control", "no-store")
	body := out.BodyWriter()
	writer, ok := body.(http.ResponseWriter)
	if !ok {
		return // there is no other router than chi
	}
	control := http.NewResponseController(writer)
	send := func(text []byte) bool {
		// A recorder in a test has no deadlines.
		_ = control.SetWriteDeadline(time.Now().Add(liveWrite))
		_, err := writer.Write(text)
		return err == nil && control.Flush() == nil
	}
	if !send([]byte(": listening\n\n")) {
		return
	}
	h := s.hub(ctx)
	pages, followed := make(chan hub.ActivityPage), make(chan struct{})
	go func() {
		defer close(followed)
		defer cancel()
		_ = h.FollowActivity(ctx, q, func(page hub.ActivityPage) error {
			select {
			case pages <- page:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	defer func() { cancel(); <-followed }()
	pulse := time.NewTicker(streamPulse)
	defer pulse.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pulse.C:
			if !send([]byte(":\n\n")) {
				return
			}
		case page := <-pages:
			text, err := eventsOf(h.Name(), page)
			if err != nil {
				s.Logger.Error("an activity cannot be written", "err", err)
			}
			if !send(text) {
				return
			}
		}
	}
}

// eventsOf writes a page as server-sent events.
func eventsOf(hubName string, page hub.ActivityPage) ([]byte, error) {
	var b bytes.Buffer
	for i := range page.Activities {
		a, err := activity(hubName, &page.Activities[i])
		if err != nil {
			return b.Bytes(), err
		}
		text, err := json.Marshal(a)
		if err != nil {
			return b.Bytes(), err
		}
		if i == len(page.Activities)-1 {
			b.WriteString("id: " + page.Position + "\n")
		}
		b.WriteString("data: ")
		b.Write(text)
		b.WriteString("\n\n")
	}
	return b.Bytes(), nil
}
