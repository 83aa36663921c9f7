package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/registry"
)

const (
	// devices of the load generator. Partitions go by device, so there must be some for each.
	devices = 32
	// inFlight is how many messages a device has unacknowledged.
	inFlight = 64
	// lone is the device whose events are read alone.
	lone = "bench-lone"
)

func deviceName(number int) string { return fmt.Sprintf("bench-%03d", number) }

// server is a running server to measure.
type server struct {
	name    string
	process *exec.Cmd
	exited  chan struct{}
	amqp    string // address

	// Of the emulator.
	mqtt      string
	host      string
	entity    string
	tokens    map[string]string // by device
	service   string            // token of the policy that reads
	partition int               // of the lone device
}

func startEmulator(ctx context.Context, binary, dir string) (*server, error) {
	ready := filepath.Join(dir, "ready.json")
	args := []string{
		"start", "--data", filepath.Join(dir, "data"), "--ready-file", ready, "--log-level", "warn", "--log-json",
		"--mqtt-port=0", "--mqtt-plain-port=0", "--amqp-port=0", "--amqp-plain-port=0", "--https-port=0", "--admin-port=0",
		"--device", lone,
	}
	for i := range devices {
		args = append(args, "--device", deviceName(i))
	}
	s := &server{name: "hubnerite", tokens: map[string]string{}}
	if err := s.start(ctx, binary, args); err != nil {
		return nil, err
	}
	var info emulator.Info
	err := s.poll(func() error {
		text, err := os.ReadFile(ready)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &info)
	})
	if err == nil {
		err = s.adopt(info)
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// adopt takes addresses and keys from the ready file.
func (s *server) adopt(info emulator.Info) error {
	s.host, s.entity = info.HostName, info.EventHub.EntityPath
	s.amqp = net.JoinHostPort("127.0.0.1", strconv.Itoa(info.Ports.AMQPPlain))
	s.mqtt = net.JoinHostPort("127.0.0.1", strconv.Itoa(info.Ports.MQTTPlain))
	expiry := time.Now().Add(time.Hour)
	for name, text := range info.Devices {
		_, key, _ := strings.Cut(text, ";SharedAccessKey=")
		token, err := registry.SignSASToken(s.host+"/devices/"+url.QueryEscape(name), "", key, expiry)
		if err != nil {
			return fmt.Errorf("device %s: %w", name, err)
		}
		s.tokens[name] = token
	}
	_, key, _ := strings.Cut(info.ConnectionStrings["service"], ";SharedAccessKey=")
	token, err := registry.SignSASToken(s.host, "service", key, expiry)
	s.service = token
	return err
}

// startProton starts the example broker, which takes a host and a port.
func startProton(ctx context.Context, program string) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil {
		return nil, err
	}
	s := &server{name: "proton", amqp: address.String()}
	if err := s.start(ctx, program, []string{"127.0.0.1", strconv.Itoa(address.Port)}); err != nil {
		return nil, err
	}
	err = s.poll(func() error {
		c, err := net.Dial("tcp", s.amqp)
		if err == nil {
			err = c.Close()
		}
		return err
	})
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *server) start(ctx context.Context, program string, args []string) error {
	s.process = exec.CommandContext(ctx, program, args...)
	s.process.Stderr = os.Stderr
	s.exited = make(chan struct{})
	if err := s.process.Start(); err != nil {
		return err
	}
	go func() {
		_ = s.process.Wait()
		close(s.exited)
	}()
	return nil
}

// poll repeats f until it succeeds, for 20 seconds at most.
func (s *server) poll(f func() error) error {
	for end := time.Now().Add(20 * time.Second); ; {
		err := f()
		if err == nil || time.Now().After(end) {
			return err
		}
		select {
		case <-s.exited:
			return fmt.Errorf("%s ended: %v", s.name, s.process.ProcessState)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *server) stop() {
	_ = s.process.Process.Signal(os.Interrupt)
	select {
	case <-s.exited:
	case <-time.After(10 * time.Second):
		_ = s.process.Process.Kill()
		<-s.exited
	}
}

// dial connects as the service, or as a device; Proton's broker lets everyone in.
func (s *server) dial(ctx context.Context, device string) (*goamqp.Conn, *goamqp.Session, error) {
	o := &goamqp.ConnOptions{HostName: s.host}
	switch {
	case s.host == "":
		o.SASLType = goamqp.SASLTypeAnonymous()
	case device == "":
		o.SASLType = goamqp.SASLTypePlain("service@sas.root."+s.entity, s.service)
	default:
		o.SASLType = goamqp.SASLTypePlain(device+"@sas."+s.entity, s.tokens[device])
	}
	conn, err := goamqp.Dial(ctx, "amqp://"+s.amqp, o)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", s.name, err)
	}
	session, err := conn.NewSession(ctx, nil)
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, session, nil
}

// cpuOf returns the processor time of a process so far; 0 where the system does
// not say so in Linux's way. The clock ticks 100 times a second.
func cpuOf(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The second field is a name in parentheses that may hold spaces.
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if errors.Join(err1, err2) != nil {
		return 0
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}
