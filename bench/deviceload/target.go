package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/emulator"
	"github.com/hubnerite/hubnerite/registry"
)

// target is the running emulator and what its clients need.
type target struct {
	host, entity string
	mqtt         string // address
	amqp, https  string // URLs
	tls          *tls.Config
	names        []string // of the devices
	passwords    []string // of the devices
	service      string   // token
	client       *http.Client
	// cpu and memory tell what the server has used; 0 is unknown.
	cpu    func() time.Duration
	memory func() int64
}

func deviceName(number int) string { return fmt.Sprintf("device-%05d", number) }

// newTarget takes addresses and keys from the ready file. callers is how many back
// ends call at one time.
func newTarget(info emulator.Info, devices, callers int) (*target, error) {
	ca, err := os.ReadFile(info.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	address := func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
	t := &target{
		host: info.HostName, entity: info.EventHub.EntityPath,
		mqtt: address(info.Ports.MQTT), amqp: "amqps://" + address(info.Ports.AMQP), https: "https://" + address(info.Ports.HTTPS),
		// No session is resumed: each device makes a whole handshake, as those do that have just been started.
		tls: &tls.Config{RootCAs: roots, ServerName: info.HostName, MinVersion: tls.VersionTLS12},
		cpu: func() time.Duration { return 0 }, memory: func() int64 { return 0 },
	}
	t.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: t.tls, MaxIdleConnsPerHost: callers}}
	expiry := time.Now().Add(2 * time.Hour)
	for i := range devices {
		name := deviceName(i)
		_, key, ok := strings.Cut(info.Devices[name], ";SharedAccessKey=")
		if !ok {
			return nil, fmt.Errorf("the emulator has no %s", name)
		}
		token, err := registry.SignSASToken(t.host+"/devices/"+url.QueryEscape(name), "", key, expiry)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		t.names, t.passwords = append(t.names, name), append(t.passwords, token)
	}
	t.service, err = emulator.ServiceToken(info.ConnectionStrings["iothubowner"], expiry)
	return t, err
}

// dial connects a back end over AMQP.
func (t *target) dial(ctx context.Context) (*goamqp.Conn, *goamqp.Session, error) {
	conn, err := goamqp.Dial(ctx, t.amqp, &goamqp.ConnOptions{
		HostName: t.host, TLSConfig: t.tls.Clone(), SASLType: goamqp.SASLTypePlain("iothubowner@sas.root."+t.entity, t.service),
	})
	if err != nil {
		return nil, nil, err
	}
	session, err := conn.NewSession(ctx, nil)
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, session, nil
}
