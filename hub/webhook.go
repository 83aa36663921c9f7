package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/hubnerite/hubnerite/iothub"
)

// Bounds of what waits for a webhook. Messages beyond them are dead-lettered:
// telemetry never waits for a webhook.
const (
	maxWebhookQueue = 1000
	maxWebhookBytes = 64 << 20
)

// How a webhook is called. Waits double from the first to the longest.
const (
	webhookTimeout   = 30 * time.Second
	webhookAttempts  = 10
	webhookFirstWait = 500 * time.Millisecond
	webhookLongWait  = 30 * time.Second
	// maxWebhookAnswer is how much of an answer is read, so that the connection
	// can be used again.
	maxWebhookAnswer = 64 << 10
)

// Why a message was dead-lettered.
const (
	reasonRefused   = "refused"           // the webhook said that it will never take it
	reasonAttempts  = "deliveryAttempts"  // it did not take it in all attempts
	reasonQueueFull = "queueFull"         // too much waited
	reasonRemoved   = "endpointRemoved"   // the endpoint was deleted
	reasonClosing   = "hubClosing"        // the hub was stopped
	reasonTooLarge  = "cannotBeDelivered" // it cannot be written as JSON
)

// delivery is a message on its way to a webhook.
type delivery struct {
	id       string
	message  iothub.Telemetry
	attempts int
	lastErr  string
}

func (d *delivery) size() int {
	return iothub.MessageSize(&d.message.System, d.message.Properties, d.message.Body)
}

// webhook posts messages to an address, one after the other, in order.
type webhook struct {
	h    *Hub
	name string

	mu      sync.Mutex
	url     string
	queue   []*delivery
	bytes   int
	started bool
	stopped bool
	reason  string

	wake    chan struct{} // holds one: something waits
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func newWebhook(h *Hub, name string) *webhook {
	w := &webhook{h: h, name: name, wake: make(chan struct{}, 1)}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// start sets the address and starts the worker, once.
func (w *webhook) start(url string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.url = url
	if !w.started {
		w.started = true
		w.running.Go(w.run)
	}
}

// stop ends the worker and dead-letters what waits.
func (w *webhook) stop(reason string) {
	w.mu.Lock()
	if !w.stopped {
		w.stopped, w.reason = true, reason
	}
	w.mu.Unlock()
	w.cancel()
	w.running.Wait()
}

// offer queues a message and never waits.
func (w *webhook) offer(t iothub.Telemetry) {
	d := &delivery{id: uuid.NewString(), message: t}
	w.mu.Lock()
	switch {
	case w.stopped:
		reason := w.reason
		w.mu.Unlock()
		w.h.deadLetter(w.name, d, reason)
		return
	case len(w.queue) >= maxWebhookQueue || w.bytes+d.size() > maxWebhookBytes:
		w.mu.Unlock()
		w.h.deadLetter(w.name, d, reasonQueueFull)
		return
	}
	w.queue = append(w.queue, d)
	w.bytes += d.size()
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *webhook) run() {
	for {
		w.mu.Lock()
		var next *delivery
		if len(w.queue) > 0 {
			next = w.queue[0]
		}
		w.mu.Unlock()
		if next == nil {
			select {
			case <-w.wake:
				continue
			case <-w.ctx.Done():
			}
		}
		if w.ctx.Err() != nil {
			w.abandon()
			return
		}
		reason := w.deliver(next)
		w.mu.Lock()
		if w.ctx.Err() != nil && reason != "" && reason != reasonRefused {
			w.mu.Unlock()
			continue // it counts among those that waited
		}
		w.queue[0] = nil
		w.queue = w.queue[1:]
		w.bytes -= next.size()
		w.mu.Unlock()
		if reason != "" {
			w.h.deadLetter(w.name, next, reason)
		}
	}
}

// abandon dead-letters everything that waits after stop.
func (w *webhook) abandon() {
	w.mu.Lock()
	rest, reason := w.queue, w.reason
	w.queue, w.bytes = nil, 0
	w.mu.Unlock()
	for _, d := range rest {
		w.h.deadLetter(w.name, d, reason)
	}
}

// deliver posts a message until it is taken, and returns "" or why it was not.
func (w *webhook) deliver(d *delivery) (reason string) {
	body, err := webhookBody(w.h.o.Name, d)
	if err != nil {
		d.lastErr = err.Error()
		return reasonTooLarge
	}
	wait := webhookFirstWait
	for {
		d.attempts++
		final, err := w.post(body)
		if err == nil {
			return ""
		}
		d.lastErr = err.Error()
		w.h.o.Logger.Debug("a webhook did not take a message", "endpoint", w.name, "device", d.message.ID, "attempt", d.attempts, "err", err)
		switch {
		case final:
			return reasonRefused
		case d.attempts >= webhookAttempts || w.ctx.Err() != nil:
			return reasonAttempts
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-w.ctx.Done():
			timer.Stop()
			return reasonAttempts
		}
		wait = min(2*wait, webhookLongWait)
	}
}

// post makes one attempt. final says that another one is useless: the webhook
// answered, and neither that it is busy nor that it has a fault.
func (w *webhook) post(body []byte) (final bool, err error) {
	ctx, cancel := context.WithTimeout(w.ctx, webhookTimeout)
	defer cancel()
	w.mu.Lock()
	url := w.url
	w.mu.Unlock()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return true, errors.New("the address cannot be requested")
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("Aeg-Event-Type", "Notification")
	response, err := w.h.o.WebhookTransport.RoundTrip(req)
	if err != nil {
		return false, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxWebhookAnswer)) // the answer's content does not matter
	_ = response.Body.Close()
	switch code := response.StatusCode; {
	case code >= 200 && code < 300:
		return false, nil
	case code >= 500 || code == http.StatusRequestTimeout || code == http.StatusTooManyRequests:
		return false, fmt.Errorf("status %d", code)
	default:
		return true, fmt.Errorf("status %d", code)
	}
}
