package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hubnerite/hubnerite/bench/process"
	"github.com/hubnerite/hubnerite/registry"
)

// server is the running emulator.
type server struct {
	*process.Process
	address string
	host    string
	token   string
	tls     *tls.Config
}

// start runs the emulator on the data directory and returns the time until its
// ready file was there.
func (s settings) start(ctx context.Context) (*server, time.Duration, error) {
	began := time.Now()
	running, info, err := process.StartEmulator(ctx, "hubnerite", s.binary, s.dir, filepath.Join(s.dir, "ready.json"),
		"--durability", s.durability, "--log-level", "warn")
	if err != nil {
		return nil, 0, err
	}
	v := &server{Process: running}
	took := time.Since(began)
	ca, err := os.ReadFile(info.CAFile)
	if err != nil {
		v.Kill()
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

// memory returns the resident memory of the emulator, where the system tells.
func (v *server) memory() string {
	if bytes := v.Memory(); bytes != 0 {
		return fmt.Sprintf("%d MB", bytes>>20)
	}
	return "unknown"
}
