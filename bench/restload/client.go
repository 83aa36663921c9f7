package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const version = "?api-version=2021-04-12"

// client is a kept connection.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	out  bytes.Buffer
	head string
}

func (v *server) connect(ctx context.Context) (*client, error) {
	d := tls.Dialer{Config: v.tls}
	conn, err := d.DialContext(ctx, "tcp", v.address)
	if err != nil {
		return nil, err
	}
	return &client{
		conn: conn, in: bufio.NewReaderSize(conn, 16<<10),
		head: " HTTP/1.1\r\nHost: " + v.host + "\r\nAuthorization: " + v.token + "\r\nAccept: application/json\r\n",
	}, nil
}

// do sends a request and reads the answer, whose body counts only if it is short
// or keep is set.
func (c *client) do(method, path string, body []byte, keep bool) (status int, answer []byte, err error) {
	c.out.Reset()
	c.out.WriteString(method)
	c.out.WriteByte(' ')
	c.out.WriteString(path)
	c.out.WriteString(c.head)
	if body != nil {
		c.out.WriteString("Content-Type: application/json; charset=utf-8\r\nContent-Length: ")
		c.out.WriteString(strconv.Itoa(len(body)))
		c.out.WriteString("\r\n")
	}
	c.out.WriteString("\r\n")
	c.out.Write(body)
	if _, err := c.conn.Write(c.out.Bytes()); err != nil {
		return 0, nil, err
	}
	return c.answer(keep)
}

func (c *client) answer(keep bool) (status int, answer []byte, err error) {
	length, chunked := 0, false
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case first:
			if len(line) < 12 {
				return 0, nil, errors.New("no HTTP answer")
			}
			if status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return 0, nil, err
			}
		case len(line) == 0:
			switch {
			case chunked:
				answer, err = c.chunks()
			case keep || status >= 400:
				answer = make([]byte, length)
				_, err = io.ReadFull(c.in, answer)
			default:
				_, err = c.in.Discard(length)
			}
			return status, answer, err
		case bytes.EqualFold(name, []byte("content-length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, nil, err
			}
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			chunked = true
		}
	}
}

func (c *client) chunks() ([]byte, error) {
	var all []byte
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return nil, err
		}
		chunk := make([]byte, n+2)
		if _, err := io.ReadFull(c.in, chunk); err != nil || n == 0 {
			return all, err
		}
		all = append(all, chunk[:n]...)
	}
}

func name(i int) string { return fmt.Sprintf("device-%07d", i) }

// createAll makes the devices by bulk operations of 100.
func (v *server) createAll(ctx context.Context, devices, clients int) (time.Duration, error) {
	const batch = 100
	var (
		next  atomic.Int64
		group sync.WaitGroup
		first error
		once  sync.Once
	)
	began := time.Now()
	for range clients {
		group.Go(func() {
			err := v.with(ctx, func(c *client) error {
				var body bytes.Buffer
				for ctx.Err() == nil {
					from := int(next.Add(batch)) - batch
					if from >= devices {
						return nil
					}
					body.Reset()
					body.WriteByte('[')
					for i := from; i < min(from+batch, devices); i++ {
						if i > from {
							body.WriteByte(',')
						}
						fmt.Fprintf(&body, `{"id":%q,"importMode":"create","status":"enabled","tags":{"site":"s%d","line":%d},"properties":{"desired":{"interval":%d}}}`,
							name(i), i%1000, i%7, i%60)
					}
					body.WriteByte(']')
					status, answer, err := c.do("POST", "/devices"+version, body.Bytes(), true)
					if err != nil || status != 200 {
						return fmt.Errorf("bulk create: %d %.300s %w", status, answer, err)
					}
				}
				return ctx.Err()
			})
			if err != nil {
				once.Do(func() { first = err })
			}
		})
	}
	group.Wait()
	return time.Since(began), first
}

func (v *server) with(ctx context.Context, f func(*client) error) error {
	c, err := v.connect(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(c), c.conn.Close())
}

// list returns the shortest time of some listings.
func (v *server) list(ctx context.Context) (time.Duration, error) {
	best := time.Hour
	err := v.with(ctx, func(c *client) error {
		for range 20 {
			began := time.Now()
			status, answer, err := c.do("GET", "/devices"+version+"&top=1000", nil, true)
			if err != nil || status != 200 {
				return fmt.Errorf("list: %d %.300s %w", status, answer, err)
			}
			best = min(best, time.Since(began))
		}
		return nil
	})
	return best, err
}

// request is what a load asks for a device.
type request func(c *client, device, n int) (status int, answer []byte, err error)

func getDevice(c *client, device, _ int) (int, []byte, error) {
	return c.do("GET", "/devices/"+name(device)+version, nil, false)
}

func getTwin(c *client, device, _ int) (int, []byte, error) {
	return c.do("GET", "/twins/"+name(device)+version, nil, false)
}

func patchTwin(c *client, device, n int) (int, []byte, error) {
	return c.do("PATCH", "/twins/"+name(device)+version, fmt.Appendf(nil, `{"tags":{"n":%d},"properties":{"desired":{"interval":%d}}}`, n, n), false)
}

type result struct {
	rate     float64
	p50, p99 time.Duration
	// cpu is what one request takes of the emulator's processor time: unlike the
	// rate it says the same whatever else the machine has to do.
	cpu time.Duration
}

func (r result) String() string {
	return fmt.Sprintf("%8.0f/s   p50 %.2f ms  p99 %.2f ms  cpu %d us", r.rate, ms(r.p50), ms(r.p99), r.cpu.Microseconds())
}

// load has all clients ask for devices at random, or once for each of them.
func (v *server) load(ctx context.Context, s settings, ask request, once bool) (result, error) {
	var (
		next  atomic.Int64
		mu    sync.Mutex
		times []time.Duration
		first error
		group sync.WaitGroup
	)
	deadline := time.Now().Add(s.measure)
	began, used := time.Now(), v.CPU()
	for i := range s.clients {
		group.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			var mine []time.Duration
			err := v.with(ctx, func(c *client) error {
				for n := 0; ; n++ {
					start := time.Now()
					device := random.IntN(s.devices)
					if once {
						device = int(next.Add(1)) - 1
					}
					if once && device >= s.devices || !once && start.After(deadline) || ctx.Err() != nil {
						return ctx.Err()
					}
					status, answer, err := ask(c, device, n)
					if err != nil || status != 200 {
						return fmt.Errorf("status %d %.300s %w", status, answer, err)
					}
					mine = append(mine, time.Since(start))
				}
			})
			mu.Lock()
			defer mu.Unlock()
			times = append(times, mine...)
			if err != nil && first == nil {
				first = err
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	if first != nil || len(times) == 0 {
		return result{}, first
	}
	slices.Sort(times)
	cpu := (v.CPU() - used) / time.Duration(len(times))
	return result{float64(len(times)) / took.Seconds(), times[len(times)/2], times[len(times)*99/100], cpu}, nil
}
