package emulator

import (
	"context"
	"time"

	"github.com/hubnerite/hubnerite/clock"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// Clock returns the clock of all hubs: what expires, falls due or times out there does so by it. Sockets and the validity of
// certificates go by the real time.
func (e *Emulator) Clock() *clock.Clock { return e.clock }

// watchClock has the hubs, and then further, do what is due whenever the clock is moved.
func (e *Emulator) watchClock(further func()) (stop func()) {
	return e.clock.Watch(func(before, now time.Time) {
		for _, h := range e.all() {
			l := h.now.Load()
			l.hub.ClockMoved(before, now)
			l.simulator.Wake()
		}
		further()
	})
}

// foreignFiles puts the files of devices into an account that knows nothing of the emulator's clock.
type foreignFiles struct {
	hub.FileStorage
	clock *clock.Clock
}

// Grant implements hub.FileStorage: for as long as the hub wants, from the real time on.
func (f *foreignFiles) Grant(ctx context.Context, blobName string, expiry time.Time, hostName string) (iothub.FileUploadAddress, error) {
	return f.FileStorage.Grant(ctx, blobName, f.clock.Real().Add(expiry.Sub(f.clock.Now())), hostName)
}
