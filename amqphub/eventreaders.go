package amqphub

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/hub"
)

// maxReaders is how many readers without owner level one partition has per
// consumer group. Source: Event Hubs quotas and limits.
const maxReaders = 5

// Conditions of Event Hubs beside the standard's.
const (
	conditionArgument   = "com.microsoft:argument-error"
	conditionOutOfRange = "com.microsoft:argument-out-of-range"
)

// readerPlace is what readers compete for.
type readerPlace struct {
	hub       *hub.Hub
	group     string // in lower case
	partition int
}

// eventReaders are the readers that are attached.
type eventReaders struct {
	mu     sync.Mutex
	places map[readerPlace][]*eventReader
}

// add lets a reader in, if its owner level (epoch) allows, and detaches those
// that have to go: at most one reader with an owner level reads a partition in a
// consumer group, the highest wins and of equals the newest.
// Source: Event Hubs, event consumers (epoch); the service's texts.
func (e *eventReaders) add(r *eventReader) *amqp.Error {
	var stolen []*eventReader
	e.mu.Lock()
	there := e.places[r.place]
	highest := int64(-1)
	var holder *eventReader
	for _, other := range there {
		if other.owned && other.epoch > highest {
			highest, holder = other.epoch, other
		}
	}
	switch {
	case !r.owned && holder != nil:
		e.mu.Unlock()
		return eventError(wire.ErrLinkStolen, r,
			"At least one receiver for the endpoint is created with epoch of '%d', and so non-epoch receiver is not allowed. "+
				"Either reconnect with a higher epoch, or make sure all epoch receivers are closed or disconnected.", highest)
	case r.owned && holder != nil && r.epoch < highest:
		e.mu.Unlock()
		return eventError(wire.ErrLinkStolen, r,
			"Receiver '%s' with a higher epoch '%d' already exists. Receiver '%s' with epoch %d cannot be created. "+
				"Make sure you are creating receiver with increasing epoch value to ensure connectivity, or ensure all old epoch receivers are closed or disconnected.",
			holder.label(), highest, r.label(), r.epoch)
	case r.owned:
		stolen, there = there, nil
	case len(there) >= maxReaders:
		names := make([]string, len(there))
		for i, other := range there {
			names[i] = other.label()
		}
		e.mu.Unlock()
		return eventError(wire.ErrResourceLimitExceeded, r,
			"Exceeded the maximum number of allowed receivers per partition in a consumer group which is %d. List of connected receivers - %s.",
			maxReaders, strings.Join(names, ", "))
	}
	e.places[r.place] = append(there, r)
	e.mu.Unlock()
	for _, other := range stolen {
		old := "nil"
		if other.owned {
			old = fmt.Sprint(other.epoch)
		}
		other.sender.Close(eventError(wire.ErrLinkStolen, r,
			"New receiver '%s' with higher epoch of '%d' is created hence current receiver '%s' with epoch '%s' is getting disconnected. "+
				"If you are recreating the receiver, make sure a higher epoch is used.", r.label(), r.epoch, other.label(), old))
		other.stop()
	}
	return nil
}

// remove forgets a reader that ended; one that was stolen is not there any more.
func (e *eventReaders) remove(r *eventReader) {
	e.mu.Lock()
	defer e.mu.Unlock()
	there := e.places[r.place]
	if i := slices.Index(there, r); i >= 0 {
		there = slices.Delete(there, i, i+1)
	}
	if len(there) == 0 {
		delete(e.places, r.place)
		return
	}
	e.places[r.place] = there
}

// eventError is an error in the words of Event Hubs, which end with where and
// when: some tools look for them.
func eventError(condition wire.Symbol, r *eventReader, format string, args ...any) *amqp.Error {
	name := r.place.hub.EventHubName()
	return trackedError(condition, fmt.Sprintf("%s:eventhub:%s~%d|%s", name, name, r.place.partition, r.place.group), r.peer.server.now(), format, args...)
}

func trackedError(condition wire.Symbol, tracker string, now time.Time, format string, args ...any) *amqp.Error {
	id := strings.ReplaceAll(uuid.NewString(), "-", "")
	return &amqp.Error{
		Condition: condition,
		Description: fmt.Sprintf(format, args...) + fmt.Sprintf(" TrackingId:%s_G0, SystemTracker:%s, Timestamp:%s",
			id, tracker, now.UTC().Format("2006-01-02T15:04:05")),
	}
}
