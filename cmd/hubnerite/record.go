package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

type recordCmd struct {
	Device   string        `placeholder:"ID" help:"Only what concerns this device and its modules; * and ? stand for any characters and any one."`
	Output   string        `short:"o" placeholder:"FILE" default:"-" help:"Where to write the recording; - is standard output (${default})."`
	Duration time.Duration `placeholder:"DURATION" help:"End after this time, such as 30s or 10m; else at Ctrl-C."`
}

// Run follows what happens in the hub and writes it, until it is interrupted, the time is over or the emulator ends.
func (c *recordCmd) Run(a *app) error {
	if c.Duration < 0 {
		return usagef("--duration is negative")
	}
	out := a.stdout
	if c.Output != "-" {
		file, err := os.OpenFile(c.Output, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		out = file
	}
	r, err := newRecorder(a, c.Device, out)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if c.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Duration)
		defer cancel()
	}
	_, _ = fmt.Fprintln(a.stderr, "hubnerite: recording")
	err = r.run(ctx)
	_, _ = fmt.Fprintln(a.stderr, "hubnerite: recorded "+counted(r.counts))
	return err
}

// recorder writes what happens after a position.
type recorder struct {
	app      *app
	query    url.Values
	out      io.Writer
	started  time.Time
	position string
	counts   map[string]int
}

// newRecorder begins a recording of what concerns a device, or of everything: what happens after it returns is in it.
func newRecorder(a *app, device string, out io.Writer) (*recorder, error) {
	info, err := a.info()
	if err != nil {
		return nil, err
	}
	r := &recorder{app: a, query: url.Values{}, out: out, counts: map[string]int{}}
	if device != "" {
		r.query.Set("device", device)
	}
	// From here on nothing is missed, whenever the stream begins.
	if r.position, err = r.page("latest", func([]byte) error { return nil }); err != nil {
		return nil, err
	}
	r.started = time.Now()
	return r, r.line(recordingHeader{Hubnerite: "recording", Version: recordingVersion, Hub: info.HostName, Started: r.started.UTC().Truncate(time.Millisecond)})
}

// run writes what happens until the context ends or the emulator does.
func (r *recorder) run(ctx context.Context) error {
	err := r.follow(ctx)
	if ctx.Err() != nil {
		err = r.rest()
	}
	return err
}

// follow reads the stream of the management API until it ends.
func (r *recorder) follow(ctx context.Context) error {
	a := r.app
	query := maps.Clone(r.query)
	query.Set("since", r.position)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.adminURL+a.ofHub(http.MethodGet, "/activity/stream?"+query.Encode()), nil)
	if err != nil {
		return usagef("the management address %q is not a URL", a.adminURL)
	}
	a.authorize(request)
	client := http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("no emulator answers at %s: %w", a.adminURL, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		return fmt.Errorf("%s answers %s: %s", a.adminURL, response.Status, problemText(text))
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxLine)
	var batch []moment
	position := ""
	for lines.Scan() {
		if data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: ")); ok {
			batch = append(batch, r.moment(bytes.Clone(data)))
		} else if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			position = id
		} else if len(lines.Bytes()) == 0 && position != "" {
			// A batch is whole: what the position is after has been written once it is taken over.
			for _, m := range batch {
				if err := r.write(m); err != nil {
					return err
				}
			}
			r.position, batch, position = position, nil, ""
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the emulator is gone: %w", err)
	}
	return errors.New("the emulator has ended, or its hub was reset")
}

// rest writes what the stream had not brought when it was left.
func (r *recorder) rest() error {
	for {
		before := r.position
		count := 0
		position, err := r.page(before, func(text []byte) error {
			count++
			return r.write(r.moment(text))
		})
		if err != nil || count == 0 {
			return err
		}
		r.position = position
	}
}

// page reads what happened after a position, and returns the one after that.
func (r *recorder) page(since string, each func([]byte) error) (string, error) {
	query := maps.Clone(r.query)
	query.Set("since", since)
	text, err := r.app.ask("/activity?" + query.Encode())
	if err != nil {
		return "", err
	}
	var page struct {
		Activity []json.RawMessage
		Position string
	}
	if err := json.Unmarshal(text, &page); err != nil {
		return "", err
	}
	for _, one := range page.Activity {
		if err := each(one); err != nil {
			return "", err
		}
	}
	return page.Position, nil
}

func (r *recorder) moment(text []byte) moment {
	return moment{OffsetMs: time.Since(r.started).Milliseconds(), Activity: text}
}

func (r *recorder) write(m moment) error {
	var a struct{ Kind string }
	if err := json.Unmarshal(m.Activity, &a); err != nil {
		return err
	}
	r.counts[a.Kind]++
	return r.line(m)
}

// line writes one line at once, so that an interrupted recording ends with a whole one.
func (r *recorder) line(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = r.out.Write(append(text, '\n'))
	return err
}

// counted is "3 connection, 2 telemetry", or nothing.
func counted(counts map[string]int) string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		if n := counts[what]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}
