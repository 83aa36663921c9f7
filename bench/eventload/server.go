package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/bench/process"
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
	*process.Process
	name string
	amqp string // address

	// Of the emulator.
	mqtt      string
	host      string
	entity    string
	tokens    map[string]string // by device
	service   string            // token of the policy that reads
	partition int               // of the lone device
}

func startEmulator(ctx context.Context, binary, dir string) (*server, error) {
	args := []string{
		"--log-level", "warn", "--log-json", "--mqtt-plain-port=0", "--amqp-plain-port=0", "--device", lone,
	}
	for i := range devices {
		args = append(args, "--device", deviceName(i))
	}
	running, info, err := process.StartEmulator(ctx, "hubnerite", binary, filepath.Join(dir, "data"), filepath.Join(dir, "ready.json"), args...)
	if err != nil {
		return nil, err
	}
	s := &server{Process: running, name: "hubnerite", tokens: map[string]string{}}
	if err := s.adopt(info); err != nil {
		s.Stop()
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
	running, err := process.Start(ctx, "proton", program, "127.0.0.1", strconv.Itoa(address.Port))
	if err != nil {
		return nil, err
	}
	s := &server{Process: running, name: "proton", amqp: address.String()}
	err = s.Poll(func() error {
		c, err := net.Dial("tcp", s.amqp)
		if err == nil {
			err = c.Close()
		}
		return err
	})
	if err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
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
