package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/bench/process"
)

// readingTarget is how many times Proton's send and receive reading has to be.
const readingTarget = 3

// senders send at a time on one link, each waiting for its outcome.
const senders = 32

// result of one measurement.
type result struct {
	rate           float64       // messages per second
	server, client time.Duration // processor time per message
}

// contender is one row of the comparison.
type contender struct {
	name    string
	run     func(ctx context.Context) (result, error)
	results []result
}

// compare measures reading, and sending with receiving, in alternating rounds.
func compare(ctx context.Context, s settings, emulator *server, out io.Writer) (missed int, err error) {
	body := make([]byte, s.payload)
	// The events to read again and again.
	if _, err := sendAndReceive(ctx, emulator, s, body); err != nil {
		return 0, err
	}
	rows := []*contender{
		{name: "hubnerite, read stored", run: func(ctx context.Context) (result, error) { return read(ctx, emulator, s) }},
		{name: "hubnerite, send and receive", run: func(ctx context.Context) (result, error) {
			return sendAndReceive(ctx, emulator, s, body)
		}},
	}
	if s.proton == "" {
		_, _ = fmt.Fprintln(out, "qpid proton: not run (its example broker is not there); no ratios")
	} else {
		proton, err := startProton(ctx, s.proton)
		if err != nil {
			return 0, err
		}
		defer proton.Stop()
		rows = append(rows, &contender{name: "proton broker.c, send and receive", run: func(ctx context.Context) (result, error) {
			return sendAndReceive(ctx, proton, s, body)
		}})
	}
	for round := range s.rounds {
		for i := range rows {
			row := rows[(round+i)%len(rows)]
			r, err := row.run(ctx)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", row.name, err)
			}
			row.results = append(row.results, r)
		}
	}
	return printComparison(out, s, rows), nil
}

// read reads the first events of the lone device's partition.
func read(ctx context.Context, s *server, o settings) (result, error) {
	conn, session, err := s.dial(ctx, "")
	if err != nil {
		return result{}, err
	}
	defer func() { _ = conn.Close() }()
	m := s.measure()
	receiver, err := newReceiver(ctx, session, s.source(s.partition), o)
	if err != nil {
		return result{}, err
	}
	if err := receiver.receive(ctx, o.messages, o.payload); err != nil {
		return result{}, err
	}
	return m.result(o.messages), nil
}

// sendAndReceive sends over one link and receives over another, at the same time.
func sendAndReceive(ctx context.Context, s *server, o settings, body []byte) (r result, err error) {
	target, sources := "queue", []string{"queue"}
	if s.host != "" {
		target, sources = "/devices/"+lone+"/messages/events", s.sources()
	}
	in, inbound, err := s.dial(ctx, "")
	if err != nil {
		return r, err
	}
	defer func() { _ = in.Close() }()
	out, outbound, err := s.dial(ctx, lone)
	if err != nil {
		return r, err
	}
	defer func() { _ = out.Close() }()
	sender, err := outbound.NewSender(ctx, target, nil)
	if err != nil {
		return r, err
	}
	// Which partition the device has is known only once it has sent.
	receivers := make([]*receiver, len(sources))
	for i, source := range sources {
		var filters []goamqp.LinkFilter
		if s.host != "" {
			filters = append(filters, latest())
		}
		if receivers[i], err = newReceiver(ctx, inbound, source, o, filters...); err != nil {
			return r, err
		}
	}
	m := s.measure()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var sending sync.WaitGroup
	for i := range senders {
		sending.Go(func() {
			for n := i; n < o.messages; n += senders {
				if err := sender.Send(ctx, goamqp.NewMessage(body), nil); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	got := make(chan int, len(receivers))
	var receiving sync.WaitGroup
	for i, receiver := range receivers {
		receiving.Go(func() {
			err := receiver.receive(ctx, o.messages, o.payload)
			switch {
			case err == nil:
				got <- i
				r = m.result(o.messages)
				cancel(errDone)
			case context.Cause(ctx) == nil:
				cancel(err)
			}
		})
	}
	receiving.Wait()
	sending.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, errDone) {
		return r, cause
	}
	s.partition = <-got
	return r, nil
}

// errDone ends a measurement that has all it needs.
var errDone = errors.New("done")

// receiver is a go-amqp receiver with credit given by hand, as the Event Hubs
// client on top of it gives it: the automatic way costs more per message.
type receiver struct {
	*goamqp.Receiver
	// owed is what was used of the credit since some was given.
	owed, credit int
}

func newReceiver(ctx context.Context, session *goamqp.Session, source string, o settings, filters ...goamqp.LinkFilter) (*receiver, error) {
	r, err := session.NewReceiver(ctx, source, &goamqp.ReceiverOptions{Credit: -1, Filters: filters})
	if err != nil {
		return nil, err
	}
	return &receiver{Receiver: r, credit: o.credit}, r.IssueCredit(uint32(o.credit))
}

func (r *receiver) receive(ctx context.Context, messages, payload int) error {
	for range messages {
		m, err := r.Receive(ctx, nil)
		if err != nil {
			return err
		}
		if n := len(m.GetData()); n != payload {
			return fmt.Errorf("received %d bytes", n)
		}
		if r.owed++; 2*r.owed >= r.credit {
			if err := r.IssueCredit(uint32(r.owed)); err != nil {
				return err
			}
			r.owed = 0
		}
	}
	return nil
}

// measurement begins with measure.
type measurement struct {
	s              *server
	began          time.Time
	server, client time.Duration
}

func (s *server) measure() measurement {
	return measurement{s, time.Now(), s.CPU(), process.CPUOf(os.Getpid())}
}

func (m measurement) result(n int) result {
	return result{
		rate:   float64(n) / time.Since(m.began).Seconds(),
		server: (m.s.CPU() - m.server) / time.Duration(n),
		client: (process.CPUOf(os.Getpid()) - m.client) / time.Duration(n),
	}
}

// printComparison returns the number of missed targets. The last row is the base,
// if Proton runs at all.
func printComparison(out io.Writer, s settings, rows []*contender) (missed int) {
	_, _ = fmt.Fprintf(out, "\n%d bytes, go-amqp, one link each way, plain: %d rounds of %d, median (lowest to highest)\n", s.payload, s.rounds, s.messages)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprint(w, "\tmessages/s\tserver CPU/msg\tclient CPU/msg")
	base := rows[len(rows)-1]
	compared := s.proton != ""
	if compared {
		_, _ = fmt.Fprint(w, "\trate : proton\tCPU : proton\ttarget")
	}
	_, _ = fmt.Fprintln(w)
	for i, row := range rows {
		rates := values(row, func(r result) float64 { return r.rate })
		_, _ = fmt.Fprintf(w, "%s\t%s\t%.1f us\t%.1f us", row.name, spread(rates, "%.0f"),
			median(values(row, func(r result) float64 { return float64(r.server) }))/1000,
			median(values(row, func(r result) float64 { return float64(r.client) }))/1000)
		if compared && row != base {
			for k, r := range base.results {
				rates[k] /= r.rate
			}
			cpu := values(row, func(r result) float64 { return float64(r.server + r.client) })
			for k, r := range base.results {
				cpu[k] /= max(float64(r.server+r.client), 1)
			}
			verdict := "-"
			if i == 0 {
				verdict = fmt.Sprintf(">= %d: met", readingTarget)
				if median(rates) < readingTarget {
					verdict = fmt.Sprintf(">= %d: MISSED", readingTarget)
					missed++
				}
			}
			_, _ = fmt.Fprintf(w, "\t%s\t%s\t%s", spread(rates, "%.2f"), spread(cpu, "%.2f"), verdict)
		}
		_, _ = fmt.Fprintln(w)
	}
	_ = w.Flush()
	return missed
}

func values(c *contender, f func(result) float64) []float64 {
	var all []float64
	for _, r := range c.results {
		all = append(all, f(r))
	}
	return all
}

func spread(v []float64, verb string) string {
	return fmt.Sprintf(verb+" ("+verb+" to "+verb+")", median(v), slices.Min(v), slices.Max(v))
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
