package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	goamqp "github.com/Azure/go-amqp"
)

// patience is how long a phase waits for what is still missing after the last was due.
const patience = time.Minute

// fleet is all devices.
type fleet struct {
	settings
	target  *target
	devices []*device
	sources []net.IP // source addresses of the connections, one after the other; none is any
	work    atomic.Pointer[work]

	failing sync.Once
	failed  chan struct{}
	err     error

	// stored is the telemetry of all phases so far, which the hub must have.
	stored map[reference]struct{}
}

func newFleet(s settings, t *target) *fleet {
	f := &fleet{settings: s, target: t, failed: make(chan struct{}), stored: map[reference]struct{}{}}
	f.work.Store(&work{})
	for i, name := range t.names {
		f.devices = append(f.devices, &device{number: i, name: name, work: &f.work, fail: f.fail})
	}
	for i := range s.sources {
		f.sources = append(f.sources, net.IPv4(127, 0, 0, byte(2+i)))
	}
	return f
}

func (f *fleet) fail(err error) {
	f.failing.Do(func() {
		f.err = err
		close(f.failed)
	})
}

// connectAll connects every device, so many at one time, and returns how long that
// took for all and for each.
func (f *fleet) connectAll(ctx context.Context) (time.Duration, tail, error) {
	var (
		next      atomic.Int64
		group     sync.WaitGroup
		latencies = make([]time.Duration, len(f.devices))
	)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now()
	for range f.connectors {
		group.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(f.devices) || ctx.Err() != nil {
					return
				}
				var source net.IP
				if len(f.sources) > 0 {
					source = f.sources[i%len(f.sources)]
				}
				start := time.Now()
				if err := f.devices[i].connect(ctx, f.target, source); err != nil {
					cancel(err)
					return
				}
				latencies[i] = time.Since(start)
			}
		})
	}
	group.Wait()
	return time.Since(began), tailOf(latencies), context.Cause(ctx)
}

func (f *fleet) close() {
	for _, d := range f.devices {
		d.close()
	}
}

// run has the devices and the back ends do what the work has ledgers for, all at
// once, until everything has arrived.
func (f *fleet) run(ctx context.Context, w *work) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var starts []func(context.Context) error
	begun := time.Now().Add(50 * time.Millisecond)
	for _, l := range []struct {
		ledger *ledger
		start  func(context.Context, *ledger) error
	}{{w.telemetry, f.sendTelemetry}, {w.c2d, f.sendC2D}, {w.methods, f.callMethods}} {
		if l.ledger != nil {
			l.ledger.begun = begun
			starts = append(starts, func(ctx context.Context) error {
				if err := l.start(ctx, l.ledger); err != nil {
					return fmt.Errorf("%s: %w", l.ledger.what, err)
				}
				return f.await(ctx, l.ledger)
			})
		}
	}
	for _, d := range f.devices {
		d.mu.Lock()
		d.telemetry = d.telemetry[:0]
		d.mu.Unlock()
	}
	f.work.Store(w)
	var group sync.WaitGroup
	for _, start := range starts {
		group.Go(func() {
			if err := start(ctx); err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	if l := w.telemetry; l != nil {
		of := f.order()
		for n := range l.count {
			f.stored[reference{Phase: l.phase, Device: of(n).name, Number: n}] = struct{}{}
		}
	}
	return context.Cause(ctx)
}

// await waits until everything has arrived.
func (f *fleet) await(ctx context.Context, l *ledger) error {
	select {
	case <-l.all:
		return l.problem()
	case <-l.failed:
		return l.err
	case <-f.failed:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(patience):
		return l.missing()
	}
}

// pace calls do with every number of a ledger when it is due, so many at one time.
func (f *fleet) pace(ctx context.Context, l *ledger, workers int, do func(ctx context.Context, worker, number int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		next  atomic.Int64
		group sync.WaitGroup
	)
	for worker := range workers {
		group.Go(func() {
			for {
				number := int(next.Add(1)) - 1
				if number >= l.count {
					return
				}
				select {
				case <-time.After(time.Until(l.due(number))):
				case <-ctx.Done():
					return
				case <-f.failed:
					cancel(f.err)
					return
				case <-l.failed:
					cancel(l.err)
					return
				}
				if err := do(ctx, worker, number); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// order returns the device of each number: all of them in turn, shuffled.
func (f *fleet) order() func(number int) *device {
	shuffled := rand.New(rand.NewPCG(1, uint64(len(f.devices)))).Perm(len(f.devices)) //nolint:gosec // the same each time
	return func(number int) *device { return f.devices[shuffled[number%len(shuffled)]] }
}

func (f *fleet) sendTelemetry(ctx context.Context, l *ledger) error {
	of := f.order()
	return f.pace(ctx, l, 16, func(_ context.Context, _, number int) error { return of(number).send(l.phase, number, f.payload) })
}

// sendC2D sends over AMQP, as the service SDKs do, on some connections.
func (f *fleet) sendC2D(ctx context.Context, l *ledger) error {
	const links, perLink = 4, 16
	var senders []*goamqp.Sender
	for range links {
		conn, session, err := f.target.dial(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		sender, err := session.NewSender(ctx, "/messages/devicebound", nil)
		if err != nil {
			return err
		}
		senders = append(senders, sender)
	}
	of := f.order()
	return f.pace(ctx, l, links*perLink, func(ctx context.Context, worker, number int) error {
		d := of(number)
		body, err := json.Marshal(reference{Phase: l.phase, Device: d.name, Number: number})
		if err != nil {
			return err
		}
		to := "/devices/" + d.name + "/messages/devicebound"
		return senders[worker%links].Send(ctx, &goamqp.Message{
			Properties: &goamqp.MessageProperties{MessageID: "c2d-" + strconv.Itoa(number), To: &to}, Data: [][]byte{body},
		}, nil)
	})
}

// callMethods calls over HTTPS. A call that is answered, by the right device and
// with what was sent, has arrived.
func (f *fleet) callMethods(ctx context.Context, l *ledger) error {
	of := f.order()
	return f.pace(ctx, l, f.callers, func(ctx context.Context, _, number int) error {
		d := of(number)
		sent := reference{Phase: l.phase, Device: d.name, Number: number}
		body, err := json.Marshal(map[string]any{"methodName": methodName, "payload": sent, "responseTimeoutInSeconds": 60})
		if err != nil {
			return err
		}
		var answer struct {
			Status  int       `json:"status"`
			Payload reference `json:"payload"`
		}
		if _, err := f.target.post(ctx, "/twins/"+d.name+"/methods", body, "", &answer); err != nil {
			return err
		}
		if answer.Status != 200 || answer.Payload != sent {
			return fmt.Errorf("call %d of %s is answered with status %d by %+v", number, d.name, answer.Status, answer.Payload)
		}
		l.arrived(number, time.Now())
		return nil
	})
}

// post makes a request of the service API and returns the continuation token of its answer.
func (t *target) post(ctx context.Context, path string, body []byte, continuation string, answer any) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.https+path+"?api-version=2021-04-12", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Host = t.host
	r.Header.Set("Authorization", t.service)
	r.Header.Set("Content-Type", "application/json")
	if continuation != "" {
		r.Header.Set("x-ms-continuation", continuation)
	}
	response, err := t.client.Do(r)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s %s", path, response.Status, text)
	}
	return response.Header.Get("x-ms-continuation"), json.Unmarshal(text, answer)
}
