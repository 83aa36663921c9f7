package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

const (
	// liveChunk is how many events of a partition are read at a time.
	liveChunk = 100
	// liveWrite is how long one write to a follower may take.
	liveWrite = 30 * time.Second
)

// live answers with what arrives from now on, one Message as JSON per line, until
// the client or the emulator ends. A first empty line says that it listens. What
// one device sends is in order. Query: device, source ("all" unless given) and
// from=earliest for what was kept, too.
func (s *server) live(w http.ResponseWriter, r *http.Request) {
	if !knows(w, r, "device", "source", "from", hubParameter) {
		return
	}
	query := r.URL.Query()
	source := query.Get("source")
	if source == "" {
		source = string(hub.AllSources)
	}
	known := []string{
		string(hub.AllSources), string(iothub.MessageSourceTelemetry), string(iothub.MessageSourceTwinChange),
		string(iothub.MessageSourceDeviceLifecycle), string(iothub.MessageSourceDeviceConnectionState),
	}
	from := query.Get("from")
	if !slices.Contains(known, source) || from != "" && from != "latest" && from != "earliest" {
		writeProblem(w, http.StatusUnprocessableEntity, "source must be a message source or all, from must be latest or earliest.")
		return
	}
	h := s.hub(r.Context())
	next := make([]int64, h.Partitions())
	for p := range next {
		info, err := h.PartitionInfo(p)
		if err != nil {
			writeProblem(w, http.StatusServiceUnavailable, "The telemetry log is closed.")
			return
		}
		next[p] = info.Next
		if from == "earliest" {
			next[p] = info.First
		}
	}
	ctx, cancel := context.WithCancel(r.Context())
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	events := make(chan iothub.Telemetry, liveChunk)
	for p := range next {
		readers.Go(func() {
			defer cancel() // the hub closes, or the log fails: no partition is followed alone
			s.follow(ctx, p, next[p], events)
		})
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	send := func(line []byte) bool {
		// A recorder in a test has no deadlines.
		_ = out.SetWriteDeadline(time.Now().Add(liveWrite))
		_, err := w.Write(append(line, '\n'))
		return err == nil && out.Flush() == nil
	}
	if !send(nil) {
		return
	}
	device := query.Get("device")
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-events:
			m, err := message(t)
			if err != nil || device != "" && m.Device != device || source != string(hub.AllSources) && m.Source != source {
				continue
			}
			line, err := json.Marshal(m)
			if err != nil || !send(line) {
				return
			}
		}
	}
}

// follow sends the events of a partition until ctx ends or the hub closes.
func (s *server) follow(ctx context.Context, p int, next int64, events chan<- iothub.Telemetry) {
	for {
		if err := s.hub(ctx).WaitEvent(ctx, p, next); err != nil {
			return
		}
		list, err := s.hub(ctx).ReadEvents(ctx, p, next, liveChunk)
		if err != nil {
			if ctx.Err() == nil {
				s.Logger.Error("telemetry cannot be read", "partition", p, "err", err)
			}
			return
		}
		for _, t := range list {
			select {
			case events <- t:
				next = t.SequenceNumber + 1
			case <-ctx.Done():
				return
			}
		}
	}
}
