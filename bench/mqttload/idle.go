package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"text/tabwriter"
	"time"
)

// idleTarget is a server with idle connections over one transport.
type idleTarget struct {
	server    *server
	transport string
	conns     []net.Conn
	// memory in bytes: before the connections, with them, and after the time to settle.
	empty, fresh, settled int
}

// measureIdle connects s.idle devices to each server over each transport, lets
// them do nothing and prints what a connection costs the server in resident
// memory. Settling takes longer than the two minutes after which Go collects
// garbage in a program that has nothing to do.
func measureIdle(ctx context.Context, s settings, out io.Writer) error {
	_, _ = fmt.Fprintf(out, "\n%d idle MQTT connections: resident memory of the server per connection\n", s.idle)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "\ttransport\tjust connected\tafter %v\tall of the server\n", s.settle)
	for _, transport := range s.transports {
		// One after the other: a process may not have files open without end.
		targets, err := measureIdleOver(ctx, s, transport)
		if err != nil {
			return err
		}
		for _, t := range targets {
			each := func(bytes int) float64 { return float64(bytes-t.empty) / float64(s.idle) / 1024 }
			_, _ = fmt.Fprintf(w, "%s\t%s\t%.1f KiB\t%.1f KiB\t%.0f MiB\n", t.server.name, transport,
				each(t.fresh), each(t.settled), float64(t.settled)/(1<<20))
		}
	}
	return w.Flush()
}

func measureIdleOver(ctx context.Context, s settings, transport string) (targets []*idleTarget, err error) {
	defer func() {
		for _, t := range targets {
			for _, c := range t.conns {
				_ = c.Close()
			}
			t.server.Stop()
		}
	}()
	dir := filepath.Join(s.dir, transport)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	server, err := startEmulator(ctx, "hubnerite", s.binary, dir, "os", s.idle)
	if err != nil {
		return nil, err
	}
	targets = append(targets, &idleTarget{server: server, transport: transport})
	if s.mosquitto != "" {
		if server, err = startMosquitto(ctx, s.mosquitto, dir, s.idle); err != nil {
			return targets, err
		}
		targets = append(targets, &idleTarget{server: server, transport: transport})
	}
	for _, t := range targets {
		t.empty = int(t.server.Memory())
		if err := t.connect(ctx, s.idle); err != nil {
			return targets, fmt.Errorf("%s, %s: %w", t.server.name, transport, err)
		}
		t.fresh = int(t.server.Memory())
	}
	select {
	case <-time.After(s.settle):
	case <-ctx.Done():
		return targets, ctx.Err()
	}
	for _, t := range targets {
		t.settled = int(t.server.Memory())
		if err := t.alive(); err != nil {
			return targets, fmt.Errorf("%s, %s: %w", t.server.name, transport, err)
		}
	}
	return targets, nil
}

// connect opens the connections, some at a time.
func (t *idleTarget) connect(ctx context.Context, number int) error {
	t.conns = make([]net.Conn, number)
	errs := make([]error, number)
	next := make(chan int)
	var workers sync.WaitGroup
	for range 16 {
		workers.Go(func() {
			for i := range next {
				var d *device
				if d, errs[i] = dial(ctx, t.server, t.transport, i, 0, 0); errs[i] == nil {
					t.conns[i] = d.conn
				}
			}
		})
	}
	for i := range number {
		next <- i
	}
	close(next)
	workers.Wait()
	t.conns = compact(t.conns)
	return errors.Join(errs...)
}

func compact(conns []net.Conn) []net.Conn {
	kept := conns[:0]
	for _, c := range conns {
		if c != nil {
			kept = append(kept, c)
		}
	}
	return kept
}

// alive asks a few of the connections for an answer.
func (t *idleTarget) alive() error {
	for i := 0; i < len(t.conns); i += max(len(t.conns)/10, 1) {
		c := t.conns[i]
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Write([]byte{0xC0, 0}); err != nil {
			return err
		}
		var answer [2]byte
		if _, err := io.ReadFull(c, answer[:]); err != nil || answer != [2]byte{0xD0, 0} {
			return errors.Join(fmt.Errorf("PINGRESP % x", answer), err)
		}
	}
	return nil
}
