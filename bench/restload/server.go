package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/registry"
)

// server is the running emulator.
type server struct {
	process *exec.Cmd
	address string
	host    string
	token   string
	tls     *tls.Config
}

// start runs the emulator on the data directory and returns the time until its
// ready file was there.
func (s settings) start(ctx context.Context) (*server, time.Duration, error) {
	ready := filepath.Join(s.dir, "ready.json")
	if err := os.Remove(ready); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, 0, err
	}
	process := exec.CommandContext(ctx, s.binary, "start", "--data", s.dir, "--durability", s.durability,
		"--ready-file", ready, "--log-level", "warn",
		"--mqtt-port=0", "--amqp-port=0", "--amqp-plain-port=-1", "--https-port=0", "--admin-port=0")
	process.Stderr = os.Stderr
	began := time.Now()
	if err := process.Start(); err != nil {
		return nil, 0, err
	}
	v := &server{process: process}
	var info emulator.Info
	for {
		text, err := os.ReadFile(ready)
		if err == nil {
			err = json.Unmarshal(text, &info)
		}
		if err == nil {
			break
		}
		if time.Since(began) > time.Minute {
			v.kill()
			return nil, 0, fmt.Errorf("the emulator is not ready after a minute: %w", err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	took := time.Since(began)
	ca, err := os.ReadFile(info.CAFile)
	if err != nil {
		v.kill()
		return nil, 0, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	v.host = info.HostName
	v.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(info.Ports.HTTPS))
	v.tls = &tls.Config{RootCAs: roots, ServerName: info.HostName, MinVersion: tls.VersionTLS12}
	for field := range strings.SplitSeq(info.ConnectionStrings["iothubowner"], ";") {
		if key, ok := strings.CutPrefix(field, "SharedAccessKey="); ok {
			v.token, err = registry.SignSASToken(v.host, "iothubowner", key, time.Now().Add(time.Hour))
		}
	}
	return v, took, err
}

// stop ends the emulator in order.
func (v *server) stop() {
	if v.process.ProcessState == nil {
		_ = v.process.Process.Signal(os.Interrupt)
		_ = v.process.Wait()
	}
}

func (v *server) kill() {
	if v.process.ProcessState == nil {
		_ = v.process.Process.Kill()
		_ = v.process.Wait()
	}
}

// memory returns the resident memory of the emulator, where the system tells.
func (v *server) memory() string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.process.Process.Pid))
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			if err == nil {
				return fmt.Sprintf("%d MB", kb>>10)
			}
		}
	}
	return "unknown"
}

// cpu returns the processor time that the emulator has used, 0 where the system
// does not tell.
func (v *server) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", v.process.Process.Pid))
	if err != nil {
		return 0
	}
	// The name in brackets may hold spaces.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	const user, system, tick = 11, 12, 10 * time.Millisecond
	var total time.Duration
	for _, i := range []int{user, system} {
		if n, err := strconv.Atoi(fields[i]); err == nil {
			total += time.Duration(n) * tick
		}
	}
	return total
}
