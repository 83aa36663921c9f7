package hub

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/hubnerite/hubnerite/iothub"
)

// ActivityKind is what an Activity is about.
type ActivityKind string

// Kinds of activities. Telemetry is what the built-in endpoint keeps; the others are remembered for a while.
const (
	ActivityTelemetry  ActivityKind = "telemetry"
	ActivityC2D        ActivityKind = "c2d"
	ActivityFeedback   ActivityKind = "feedback"
	ActivityMethod     ActivityKind = "method"
	ActivityTwin       ActivityKind = "twin"
	ActivityConnection ActivityKind = "connection"
	ActivityIdentity   ActivityKind = "identity"
	ActivityUpload     ActivityKind = "upload"
	ActivityRefusal    ActivityKind = "refusal"
	ActivityFault      ActivityKind = "fault"
)

// ActivityKinds returns all kinds.
func ActivityKinds() []ActivityKind {
	return []ActivityKind{
		ActivityTelemetry, ActivityC2D, ActivityFeedback, ActivityMethod, ActivityTwin, ActivityConnection, ActivityIdentity,
		ActivityUpload, ActivityRefusal, ActivityFault,
	}
}

// What has happened, by kind.
const (
	EventReceived = "received" // telemetry

	EventSent      = "sent"      // c2d: a back end's message is stored
	EventDelivered = "delivered" // c2d: a device has locked it
	EventAbandoned = "abandoned" // c2d: given back
	EventEnded     = "ended"     // c2d: with an outcome

	EventRecorded = "recorded" // feedback: a record for back ends

	EventCalled   = "called"   // method
	EventAnswered = "answered" // method, with status and payload
	EventFailed   = "failed"   // method, with an error; upload

	EventPatched  = "patched"  // twin, by a back end
	EventReplaced = "replaced" // twin, by a back end
	EventReported = "reported" // twin, by the device

	EventConnected    = "connected"
	EventDisconnected = "disconnected" // with the reason as its error

	EventCreated = "created" // identity
	EventDeleted = "deleted" // identity

	EventStarted   = "started"   // upload
	EventCompleted = "completed" // upload

	EventRefused = "refused" // refusal, with the error
	EventHit     = "hit"     // fault: a rule was applied
)

// Activity is something that happened in the hub. What it points to must not be changed.
type Activity struct {
	// Number rises by one with everything but telemetry, since the hub began.
	Number int64
	Time   time.Time
	Kind   ActivityKind
	Event  string
	ID     iothub.ID
	// Protocol and RemoteAddr are those of the device's connection, where there is one.
	Protocol, RemoteAddr string
	// Operation names what was refused, or what a rule was applied to.
	Operation string
	// Rule is the ID of the rule that was applied.
	Rule string
	// Error is a reason; nil for none.
	Error *iothub.Error

	Telemetry *iothub.Telemetry
	C2D       *iothub.C2DMessage
	// Outcome of a cloud-to-device message that has ended.
	Outcome iothub.Outcome
	Method  *MethodActivity
	// Body is JSON: the change of a twin, a feedback record, a file notification.
	Body []byte
}

// MethodActivity is a direct method with what is known of its answer.
type MethodActivity struct {
	Name, RequestID   string
	Payload, Response []byte
	Status            int
	// Took is the time from the call to its end.
	Took time.Duration
}

// Bounds of what is remembered; the oldest goes first.
const (
	maxActivities    = 10000
	maxActivityBytes = 16 << 20
)

// activityLog remembers the last activities, but for telemetry, which the telemetry log keeps.
type activityLog struct {
	// run tells the positions of this hub from those of one that was here before.
	run string

	mu      sync.Mutex
	entries []Activity // a ring once it is full
	// first is the number of the oldest entry, next the number of the next one; the entry of number n is at n % maxActivities.
	first, next int64
	bytes       int
	// counts are of all there were.
	counts map[ActivityCount]int64
	// changed is closed when there is something new; nil when nobody waits.
	changed chan struct{}
}

func (l *activityLog) begin() { l.run, l.first, l.next = uuid.NewString()[:8], 1, 1 }

// note remembers an activity. Its caller may hold any lock of the hub.
func (h *Hub) note(a Activity) {
	if a.Time.IsZero() {
		a.Time = h.now()
	}
	l := &h.activities
	l.mu.Lock()
	defer l.mu.Unlock()
	a.Number = l.next
	if l.counts == nil {
		l.counts = map[ActivityCount]int64{}
	}
	l.counts[a.counted()]++
	at := int(l.next % maxActivities)
	for len(l.entries) <= at {
		l.entries = append(l.entries, Activity{})
	}
	for l.first < l.next && (l.next-l.first == maxActivities || l.bytes+a.size() > maxActivityBytes) {
		oldest := &l.entries[l.first%maxActivities]
		l.bytes -= oldest.size()
		*oldest = Activity{}
		l.first++
	}
	l.entries[at] = a
	l.bytes += a.size()
	l.next++
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

func (l *activityLog) countsNow() map[ActivityCount]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.counts)
}

// size is what is worth counting of the memory that an activity holds.
func (a *Activity) size() int {
	n := len(a.Body)
	if a.C2D != nil {
		n += len(a.C2D.Body)
	}
	if a.Method != nil {
		n += len(a.Method.Payload) + len(a.Method.Response)
	}
	return n
}

// read returns a copy of up to limit entries from a number on, and the number after them. Without any it
// returns a channel that is closed when there is one.
func (l *activityLog) read(from int64, limit int) (entries []Activity, next int64, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from = max(from, l.first)
	next = min(l.next, from+int64(limit))
	if from >= l.next {
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		return nil, from, l.changed
	}
	for n := from; n < next; n++ {
		entries = append(entries, l.entries[n%maxActivities])
	}
	return entries, next, nil
}

// Refused remembers that an operation was refused. Front ends call it where they answer with an error; what nobody
// asked for, such as a caller that left, is no refusal.
func (h *Hub) Refused(operation, protocol, remoteAddr string, id iothub.ID, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, ErrFaultTaken) || errors.Is(err, ErrUnanswered) || errors.Is(err, ErrSilent) {
		return
	}
	e := *iothub.AsError(err)
	e.Cause, e.Info = nil, nil
	h.note(Activity{Kind: ActivityRefusal, Event: EventRefused, ID: id, Protocol: protocol, RemoteAddr: remoteAddr, Operation: operation, Error: &e})
}

// messageEnded tells what became of a message. Its caller holds p.mu.
func (h *Hub) messageEnded(p *peer, e *c2dEntry, o iothub.Outcome) {
	h.feedback.outcomes.tell(p.id, e.number, o)
	h.noteC2D(EventEnded, e.m, nil, o)
}

// noteTwin remembers a change of a twin, whose event body makes, at most once; it returns that. Its caller holds the twin's lock.
func (h *Hub) noteTwin(event string, p *peer, body func() ([]byte, error)) func() ([]byte, error) {
	text, err := body()
	if err == nil {
		a := Activity{Kind: ActivityTwin, Event: event, ID: p.id, Body: text}
		p.mu.Lock()
		if event == EventReported && p.conn != nil {
			a.Protocol, a.RemoteAddr = p.conn.o.Protocol, p.conn.o.RemoteAddr
		}
		p.mu.Unlock()
		h.note(a)
	}
	return func() ([]byte, error) { return text, err }
}

// noteC2D remembers a step of a message.
func (h *Hub) noteC2D(event string, m iothub.C2DMessage, c *Connection, o iothub.Outcome) {
	if m.Input != "" {
		return // it is no cloud-to-device message
	}
	a := Activity{Kind: ActivityC2D, Event: event, ID: m.ID, C2D: &m, Outcome: o}
	if c != nil {
		a.Protocol, a.RemoteAddr = c.o.Protocol, c.o.RemoteAddr
	} else if event == EventDelivered {
		a.Protocol = "https"
	}
	h.note(a)
}

func (h *Hub) noteConnection(event string, c *Connection, at time.Time, why *iothub.Error) {
	if why != nil {
		why = &iothub.Error{Code: why.Code, Message: why.Message}
	}
	h.note(Activity{
		Kind: ActivityConnection, Event: event, Time: at, ID: c.p.id, Protocol: c.o.Protocol, RemoteAddr: c.o.RemoteAddr, Error: why,
	})
}

// noteMethod remembers the call of a direct method; ended remembers its end.
func (h *Hub) noteMethod(id iothub.ID, req *iothub.MethodRequest) (ended func(*Connection, iothub.MethodResponse, error)) {
	began := h.now()
	call := MethodActivity{Name: req.MethodName, RequestID: req.RequestID, Payload: slices.Clone(req.Payload)}
	h.note(Activity{Kind: ActivityMethod, Event: EventCalled, Time: began, ID: id, Method: &call})
	return func(c *Connection, r iothub.MethodResponse, err error) {
		end := call
		end.Took = h.now().Sub(began)
		a := Activity{Kind: ActivityMethod, Event: EventAnswered, ID: id, Method: &end}
		if err != nil {
			a.Event = EventFailed
			e := *iothub.AsError(err)
			if errors.Is(err, context.Canceled) {
				e = *iothub.NewError(iothub.CodeClientClosedRequest, "The caller left.")
			}
			e.Cause = nil
			a.Error = &e
		} else {
			end.Status, end.Response = r.Status, slices.Clone(r.Payload)
		}
		if c != nil {
			a.Protocol, a.RemoteAddr = c.o.Protocol, c.o.RemoteAddr
		}
		h.note(a)
	}
}
