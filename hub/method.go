package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/hubnerite/hubnerite/iothub"
)

// MaxInflightMethods is the most direct methods in progress for one identity,
// those that wait for it to connect included. The service has such a limit and
// does not publish its value; this one only keeps memory bounded.
const MaxInflightMethods = 1000

// minTimer keeps a stopped clock from making a time-out spin.
const minTimer = 10 * time.Millisecond

// call is a direct method that waits for its answer.
type call struct {
	// result has room for the one result; who takes the call out of peer.pending sends it.
	result chan callResult
}

type callResult struct {
	response iothub.MethodResponse
	err      error
}

// InvokeMethod calls a direct method and waits for the answer. A device that is
// not connected, or does not take methods, is waited for until the connect
// time-out; the response time-out begins when the request is handed over.
// Errors: DeviceNotFound, ModuleNotFound, DeviceNotOnline (after the connect
// time-out), GatewayTimeout, ArgumentInvalid, MessageTooLarge,
// DeviceMaximumInflightMethodExceeded; DeviceConnectionClosedRemotely or
// ConnectionForcefullyClosedOnNewConnection when the connection ends first;
// ctx's error when the caller left.
// Source: IoT Hub devguide, understand and invoke direct methods.
func (h *Hub) InvokeMethod(ctx context.Context, id iothub.ID, req iothub.MethodRequest) (iothub.MethodResponse, error) {
	if !h.enter() {
		return iothub.MethodResponse{}, errClosing()
	}
	defer h.leave()
	if err := req.Validate(); err != nil {
		return iothub.MethodResponse{}, err
	}
	if err := h.admitMethod(ctx, len(req.Payload)); err != nil {
		return iothub.MethodResponse{}, err
	}
	if _, err := h.registered(ctx, id); err != nil {
		return iothub.MethodResponse{}, err
	}
	req.RequestID = uuid.NewString()
	ended, began := h.noteMethod(id, &req), time.Now()
	c, answer, err := h.callMethod(ctx, id, &req)
	ended(c, answer, err)
	if err == nil {
		h.measures.methods.since(began)
		h.Charge(len(answer.Payload))
	}
	return answer, err
}

// callMethod calls an admitted method. The connection is the one that got it, nil for none.
func (h *Hub) callMethod(ctx context.Context, id iothub.ID, req *iothub.MethodRequest) (*Connection, iothub.MethodResponse, error) {
	p := h.acquire(id)
	defer h.release(p)
	if err := p.countCall(); err != nil {
		return nil, iothub.MethodResponse{}, err
	}
	defer p.uncountCall()
	c, waiting, err := h.startCall(ctx, p, req)
	if err != nil {
		return nil, iothub.MethodResponse{}, err
	}
	twice, err := h.obey(ctx, FaultOnMethod, c.o.Protocol, id, c.client)
	switch {
	case errors.Is(err, ErrUnanswered):
		// The request never gets to the device.
	case err != nil:
		p.takeCall(req.RequestID)
		return c, iothub.MethodResponse{}, err
	default:
		err = c.client.DeliverMethod(*req)
		if err == nil && twice {
			err = c.client.DeliverMethod(*req)
		}
	}
	if err != nil && !errors.Is(err, ErrUnanswered) {
		p.takeCall(req.RequestID)
		h.o.Logger.Debug("a direct method could not be delivered", "device", id, "rid", req.RequestID, "err", err)
		return c, iothub.MethodResponse{}, errNotOnline(req.ConnectTimeout)
	}
	answer, err := h.awaitAnswer(ctx, p, waiting, req)
	return c, answer, err
}

func errNotOnline(timeout time.Duration) *iothub.Error {
	e := iothub.NewError(iothub.CodeDeviceNotOnline, "Timed out waiting for device to connect.")
	e.Info = map[string]any{"timeout": formatTimeSpan(timeout)}
	return e
}

func errNoAnswer(timeout time.Duration) *iothub.Error {
	e := iothub.NewError(iothub.CodeGatewayTimeout, "Timed out waiting for the response from device.")
	e.Info = map[string]any{"timeout": formatTimeSpan(timeout)}
	return e
}

// formatTimeSpan writes whole seconds as the service does: hh:mm:ss.
func formatTimeSpan(d time.Duration) string {
	s := int(d / time.Second)
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}

func (p *peer) countCall() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls >= MaxInflightMethods {
		return iothub.NewError(iothub.CodeDeviceMaximumInflightMethodExceeded,
			"%d direct methods of %q are in progress already.", p.calls, p.id)
	}
	p.calls++
	return nil
}

func (p *peer) uncountCall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls--
}

// startCall waits for a connection that takes methods and registers the call with it.
func (h *Hub) startCall(ctx context.Context, p *peer, req *iothub.MethodRequest) (*Connection, *call, error) {
	var timeout *deadline
	for {
		p.mu.Lock()
		if c := p.conn; c != nil && c.methods {
			waiting := &call{result: make(chan callResult, 1)}
			if p.pending == nil {
				p.pending = map[string]*call{}
			}
			p.pending[req.RequestID] = waiting
			p.mu.Unlock()
			return c, waiting, nil
		}
		if req.ConnectTimeout == 0 {
			p.mu.Unlock()
			return nil, nil, errNotOnline(0)
		}
		if p.online == nil {
			p.online = make(chan struct{})
		}
		online := p.online
		p.mu.Unlock()
		if timeout == nil {
			timeout = h.startDeadline(req.ConnectTimeout)
			defer timeout.stop()
		}
		if over, err := h.await(ctx, timeout, online); err != nil {
			return nil, nil, err
		} else if over {
			return nil, nil, errNotOnline(req.ConnectTimeout)
		}
	}
}

// awaitAnswer waits for what becomes of a delivered call.
func (h *Hub) awaitAnswer(ctx context.Context, p *peer, waiting *call, req *iothub.MethodRequest) (iothub.MethodResponse, error) {
	timeout := h.startDeadline(req.ResponseTimeout)
	defer timeout.stop()
	for {
		select {
		case r := <-waiting.result:
			return r.response, r.err
		case <-timeout.timer.C:
			if timeout.again() {
				continue
			}
		case <-timeout.swept:
		case <-ctx.Done():
			if p.takeCall(req.RequestID) != nil {
				return iothub.MethodResponse{}, ctx.Err()
			}
		}
		// Whoever took the call first decides; its result is on the way.
		if p.takeCall(req.RequestID) != nil {
			return iothub.MethodResponse{}, errNoAnswer(req.ResponseTimeout)
		}
		r := <-waiting.result
		return r.response, r.err
	}
}

// takeCall removes a pending call, so that nobody else answers it; nil when
// somebody else did.
func (p *peer) takeCall(requestID string) *call {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.pending[requestID]
	delete(p.pending, requestID)
	return c
}

// AnswerMethod delivers the device's answer. An unknown or late request ID is
// logged at debug level and dropped. A payload that is not JSON or too large
// fails the call, with IotHubFormatError or MessageTooLarge.
func (c *Connection) AnswerMethod(requestID string, r iothub.MethodResponse) {
	p := c.p
	p.mu.Lock()
	var waiting *call
	if p.conn == c {
		waiting = p.pending[requestID]
		delete(p.pending, requestID)
	}
	p.mu.Unlock()
	if waiting == nil {
		c.h.o.Logger.Debug("an answer to no pending direct method is dropped", "device", p.id, "rid", requestID)
		return
	}
	p.touch(c.h.now())
	result := callResult{response: r}
	switch {
	case len(r.Payload) > iothub.MaxMethodPayload:
		result = callResult{err: iothub.NewError(iothub.CodeMessageTooLarge,
			"The device's answer exceeds %d bytes.", iothub.MaxMethodPayload)}
	case len(r.Payload) == 0:
		result.response.Payload = nil
	case !utf8.Valid(r.Payload) || !json.Valid(r.Payload):
		result = callResult{err: iothub.NewError(iothub.CodeIotHubFormatError, "The device's answer is not JSON.")}
	}
	waiting.result <- result
}

// deadline is a time-out on the hub's clock.
type deadline struct {
	h     *Hub
	at    time.Time
	timer *time.Timer
	// swept receives once when Sweep found the deadline over.
	swept chan struct{}
}

func (h *Hub) startDeadline(d time.Duration) *deadline {
	t := &deadline{h: h, at: h.now().Add(d), timer: time.NewTimer(d), swept: make(chan struct{}, 1)}
	h.waitsMu.Lock()
	defer h.waitsMu.Unlock()
	h.waits[t] = struct{}{}
	return t
}

func (d *deadline) stop() {
	d.timer.Stop()
	d.h.waitsMu.Lock()
	defer d.h.waitsMu.Unlock()
	delete(d.h.waits, d)
}

// again restarts the timer when the hub's clock says that it is too early.
func (d *deadline) again() bool {
	left := d.at.Sub(d.h.now())
	if left <= 0 {
		return false
	}
	d.timer.Reset(max(left, minTimer))
	return true
}

// await waits for a signal; over says that the deadline came first.
func (h *Hub) await(ctx context.Context, d *deadline, signal <-chan struct{}) (over bool, err error) {
	for {
		select {
		case <-signal:
			return false, nil
		case <-d.timer.C:
			if !d.again() {
				return true, nil
			}
		case <-d.swept:
			return true, nil
		case <-ctx.Done():
			return false, ctx.Err()
		case <-h.closing:
			return false, errClosing()
		}
	}
}

func (h *Hub) sweepDeadlines(now time.Time) {
	h.waitsMu.Lock()
	defer h.waitsMu.Unlock()
	for d := range h.waits {
		if !now.Before(d.at) {
			select {
			case d.swept <- struct{}{}:
			default:
			}
		}
	}
}
