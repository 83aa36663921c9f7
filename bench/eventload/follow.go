package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"text/tabwriter"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/bench/process"
)

const (
	// wanted is the rate that readers have to keep up with, in messages per second.
	wanted = 100000
	// keptUp is the part of what was acknowledged meanwhile that readers have to
	// have: what is on its way just then is not late.
	keptUp = 0.95
	// partitions of the emulator by default.
	partitions = 4
)

// latest is the filter of a reader that begins behind the newest event.
func latest() goamqp.LinkFilter {
	return goamqp.NewLinkFilter(selectorFilter, 0x468C00000004, latestSelector)
}

const (
	selectorFilter = "apache.org:selector-filter:string"
	latestSelector = "amqp.annotation.x-opt-offset > '@latest'"
)

func (s *server) source(partition int) string {
	return fmt.Sprintf("%s/ConsumerGroups/$Default/Partitions/%d", s.entity, partition)
}

func (s *server) sources() []string {
	var all []string
	for i := range partitions {
		all = append(all, s.source(i))
	}
	return all
}

// following is what the process of the readers is told first.
type following struct {
	Address, Host, Entity, Service string
	Credit, Payload                int
	Lean                           bool
}

// progress is what it answers to each further line.
type progress struct {
	Events int64
	CPU    time.Duration
	Err    string
}

// followers is the process of the readers: one reader per partition, each with
// a connection of its own.
func followers(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	if !lines.Scan() {
		return errors.New("nothing to follow")
	}
	var f following
	if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
		return err
	}
	s := &server{name: "hubnerite", amqp: f.Address, host: f.Host, entity: f.Entity, service: f.Service}
	var events atomic.Int64
	failures := make(chan error, partitions)
	for i := range partitions {
		receive, hangUp, err := f.attach(ctx, s, s.source(i))
		if err != nil {
			return err
		}
		defer hangUp()
		go func() {
			for {
				if err := receive(); err != nil {
					failures <- err
					return
				}
				events.Add(1)
			}
		}()
	}
	answer := json.NewEncoder(out)
	for {
		p := progress{Events: events.Load(), CPU: process.CPUOf(os.Getpid())}
		select {
		case err := <-failures:
			p.Err = err.Error()
		default:
		}
		if err := answer.Encode(p); err != nil {
			return err
		}
		if !lines.Scan() {
			return lines.Err()
		}
	}
}

// attach starts a reader and returns how to wait for its next event.
func (f *following) attach(ctx context.Context, s *server, source string) (receive func() error, hangUp func(), err error) {
	if f.Lean {
		r, err := dialLean(ctx, s, source, f.Credit)
		if err != nil {
			return nil, nil, err
		}
		return r.receive, func() { _ = r.nc.Close() }, nil
	}
	conn, session, err := s.dial(ctx, "")
	if err != nil {
		return nil, nil, err
	}
	r, err := newReceiver(ctx, session, source, settings{credit: f.Credit}, latest())
	return func() error { return r.receive(ctx, 1, f.Payload) }, func() { _ = conn.Close() }, err
}

// readers is the other end of followers.
type readers struct {
	process *exec.Cmd
	in      io.WriteCloser
	out     *json.Decoder
}

func startReaders(ctx context.Context, s settings, emulator *server, lean bool) (*readers, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r := &readers{process: exec.CommandContext(ctx, self, "-follow")}
	r.process.Stderr = os.Stderr
	if r.in, err = r.process.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := r.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	r.out = json.NewDecoder(out)
	if err := r.process.Start(); err != nil {
		return nil, err
	}
	return r, json.NewEncoder(r.in).Encode(following{emulator.amqp, emulator.host, emulator.entity, emulator.service, s.credit, s.payload, lean})
}

// progress says how far the readers are. The first answer comes unasked, when
// they are all attached.
func (r *readers) progress() (p progress, err error) {
	if err := r.out.Decode(&p); err != nil {
		return p, err
	}
	if p.Err != "" {
		return p, errors.New(p.Err)
	}
	return p, nil
}

func (r *readers) ask() (progress, error) {
	if _, err := r.in.Write([]byte("\n")); err != nil {
		return progress{}, err
	}
	return r.progress()
}

func (r *readers) stop() error {
	return errors.Join(r.in.Close(), r.process.Wait())
}

// followed is one measurement of readers that follow the devices.
type followed struct {
	sent, read                float64 // per second
	share                     float64
	behind                    time.Duration // until the readers had everything, after the devices stopped
	server, client, generator time.Duration // processor time per message
}

// keepUp measures whether the readers keep up: those of go-amqp, and in the
// same rounds lean ones, which show whose limit it is when they do not.
func keepUp(ctx context.Context, s settings, emulator *server, out io.Writer) (missed int, err error) {
	kinds := []string{"go-amqp", "lean"}
	all := make([][]followed, len(kinds))
	for range s.rounds {
		for i, kind := range kinds {
			f, err := follow(ctx, s, emulator, kind == "lean")
			if err != nil {
				return 0, fmt.Errorf("%s readers that follow: %w", kind, err)
			}
			all[i] = append(all[i], f)
		}
	}
	_, _ = fmt.Fprintf(out, "\n%d devices over MQTT at %d/s, %d bytes, one reader per partition (%d): %d rounds, median (lowest to highest)\n",
		devices, s.rate, s.payload, partitions, s.rounds)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\tacknowledged/s\tread/s\tread : acknowledged\tbehind at the end\tCPU/msg of server\tof readers\tof devices\ttarget")
	for i, kind := range kinds {
		pick := func(f func(followed) float64) []float64 {
			var v []float64
			for _, x := range all[i] {
				v = append(v, f(x))
			}
			return v
		}
		read, share := pick(func(f followed) float64 { return f.read }), pick(func(f followed) float64 { return f.share })
		verdict := "met"
		if median(share) < keptUp && median(read) < wanted {
			verdict = "MISSED"
			missed++
		}
		micros := func(f func(followed) time.Duration) string {
			return fmt.Sprintf("%.1f us", median(pick(func(x followed) float64 { return float64(f(x)) }))/1000)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s ms\t%s\t%s\t%s\t>= %.2f or %d/s: %s\n", kind,
			spread(pick(func(f followed) float64 { return f.sent }), "%.0f"), spread(read, "%.0f"), spread(share, "%.2f"),
			spread(pick(func(f followed) float64 { return float64(f.behind.Microseconds()) / 1000 }), "%.0f"),
			micros(func(f followed) time.Duration { return f.server }), micros(func(f followed) time.Duration { return f.client }),
			micros(func(f followed) time.Duration { return f.generator }), keptUp, wanted, verdict)
	}
	return missed, w.Flush()
}

func follow(ctx context.Context, s settings, emulator *server, lean bool) (f followed, err error) {
	r, err := startReaders(ctx, s, emulator, lean)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, r.stop()) }()
	if _, err = r.progress(); err != nil {
		return f, err
	}
	g, err := generate(ctx, emulator, s.payload, s.rate)
	if err != nil {
		return f, err
	}
	stopped := false
	defer func() {
		if !stopped {
			err = errors.Join(err, g.stop())
		}
	}()
	if err := g.wait(ctx, s.warmup); err != nil {
		return f, err
	}
	before, err := r.ask()
	if err != nil {
		return f, err
	}
	m, acknowledged := emulator.measure(), g.acknowledged.Load()
	if err := g.wait(ctx, s.measure); err != nil {
		return f, err
	}
	after, err := r.ask()
	if err != nil {
		return f, err
	}
	took, n := time.Since(m.began).Seconds(), g.acknowledged.Load()-acknowledged
	whole := m.result(int(max(n, 1)))
	count := after.Events - before.Events
	f = followed{
		sent: float64(n) / took, read: float64(count) / took, share: float64(count) / float64(max(n, 1)),
		server: whole.server, generator: whole.client, client: (after.CPU - before.CPU) / time.Duration(max(count, 1)),
	}
	stopped = true
	if err := g.stop(); err != nil {
		return f, err
	}
	// Every acknowledged message has to arrive.
	all, end := g.acknowledged.Load(), time.Now()
	for after.Events < all {
		if after, err = r.ask(); err != nil {
			return f, err
		}
		if time.Since(end) > 30*time.Second {
			return f, fmt.Errorf("%d events of %d arrived", after.Events, all)
		}
		time.Sleep(time.Millisecond)
	}
	f.behind = time.Since(end)
	if after.Events > all {
		return f, fmt.Errorf("%d events of %d: some arrived twice", after.Events, all)
	}
	return f, nil
}

func (g *generator) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case err := <-g.failures:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
