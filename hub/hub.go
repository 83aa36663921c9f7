// Package hub is what happens now, and the one door that every protocol uses:
// connections, telemetry, cloud-to-device queues and their feedback, direct
// methods, twin notifications. Front ends parse, call the hub and reply.
package hub

import (
	"log/slog"
	"time"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/store"
)

// Options configure a Hub. Registry, Queues and Log are required.
type Options struct {
	// Name is the hub's name, the first label of its host name; it is the
	// user-id of feedback messages.
	Name     string
	Registry *registry.Registry
	Queues   store.Queues
	Log      store.Log
	// C2D are the cloud-to-device settings; the zero value means the defaults.
	C2D iothub.C2DSettings
	// FeedbackInterval is the time from one feedback message to the next; 0
	// means 15 s. Source: IoT Hub devguide, cloud-to-device message feedback.
	FeedbackInterval time.Duration
	// Now is the clock; nil means time.Now.
	Now    func() time.Time
	Logger *slog.Logger
}

// Hub is one IoT hub. It is safe for concurrent use.
type Hub struct{}

// New returns a hub; Close ends it.
func New(o Options) (*Hub, error) { panic("unwritten") }

// Close disconnects every client and waits for what the hub started. It does
// not close the stores.
func (h *Hub) Close() error { panic("unwritten") }

// Sweep does what is due at the given time: expired messages and locks,
// feedback to flush, connections whose token ended, method time-outs. The
// emulator calls it from a ticker, tests call it directly.
func (h *Hub) Sweep(now time.Time) { panic("unwritten") }

// Name returns the hub's name.
func (h *Hub) Name() string { panic("unwritten") }

// Lookup finds the hub that answers to a host name (with or without port, any
// case), or returns IotHubNotFound. Front ends hold a Lookup, not a Hub.
type Lookup func(hostName string) (*Hub, error)
