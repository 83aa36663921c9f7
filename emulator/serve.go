package emulator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/hubnerite/hubnerite/admin"
	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/amqphub"
	"github.com/hubnerite/hubnerite/broker"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/inspect"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/rest"
)

// httpGrace is how long a closing HTTP server waits for its connections.
const httpGrace = time.Second

// serve makes the front ends and puts them on their listeners. Close undoes it
// in an order in which nothing waits for something that is gone: nobody new,
// devices told to leave while the hub still knows them, the hub with its
// pending calls, and the HTTP servers, which then have nothing to wait for but
// the farewells of WebSockets.
func (e *Emulator) serve() error {
	lookup := hub.Lookup(func(name string) (*hub.Hub, error) { return e.lookup(name).now.Load().hub, nil })

	// Made before anything is served, and called after.
	var serviceOf func(hub string) (http.Handler, error)
	management := e.httpServer(nameAdmin, admin.New(admin.Options{
		Service: func(hub string) (http.Handler, error) { return serviceOf(hub) }, Inspector: e.inspector,
		Hub: e.HubNamed, Hosting: e, Keeping: e, Token: e.cfg.AdminToken, Seeding: seedingForAdmin{e}, Simulating: e, Clock: e.clock, Info: e.infoOf, Ready: e.missing, CA: e.ca, IssueDevice: e.issueDevice, Hosts: append([]string{e.cfg.Bind}, e.cfg.HostNames...),
		Logger: e.cfg.Logger, Version: Version(),
	}), admin.Configure)
	var openWebSocket func(ctx context.Context, c net.Conn, protocol string)
	api := rest.New(rest.Options{
		Hubs: lookup, Logger: e.cfg.Logger, StrictAPIVersion: e.cfg.StrictAPIVersion, Version: Version(), Now: e.cfg.Now,
		WebSocket: func(ctx context.Context, c net.Conn, protocol string) { openWebSocket(ctx, c, protocol) },
	})
	e.onClose("websockets", api.Shutdown)
	serviceOf = e.serviceOf(api)
	service := e.httpServer(nameHTTPS, e.inspector.Handler(e.withBlobs(api), "https", iothub.WithoutSignature), rest.Configure)
	e.onClose("hub", func(context.Context) error { return e.closeHubs() })
	mqtt, err := broker.New(broker.Options{Hubs: lookup, Logger: e.cfg.Logger, Now: e.cfg.Now})
	if err != nil {
		return err
	}
	e.onClose("mqtt", mqtt.Shutdown)
	amqps := amqphub.New(amqphub.Options{Hubs: lookup, EventHubPort: portOf(e.listeners[nameAMQP]), Now: e.cfg.Now, Logger: e.cfg.Logger})
	e.onClose("amqp", amqps.Shutdown)
	e.startSweeping(amqps.Sweep)
	openWebSocket = func(ctx context.Context, c net.Conn, protocol string) {
		if protocol == rest.WebSocketMQTT {
			mqtt.ServeConn(e.inspector.Conn(c, "mqtt-ws", broker.Inspection{}), "mqtt-ws")
		} else {
			// The server has logged the error.
			_ = amqps.ServeConn(ctx, e.inspector.Conn(c, "amqp-ws", amqphub.Inspection{}))
		}
	}
	e.onClose("listeners", func(context.Context) error { return e.closeListeners() })

	e.serving(nameMQTT, func() error {
		return mqtt.Serve(e.inspected(e.tlsListener(nameMQTT), "mqtt", broker.Inspection{}), "mqtt")
	})
	if l := e.listeners[nameMQTTPlain]; l != nil {
		e.serving(nameMQTTPlain, func() error { return mqtt.Serve(e.inspected(l, "mqtt", broker.Inspection{}), "mqtt") })
	}
	if l := e.listeners[nameAMQPPlain]; l != nil {
		e.serving(nameAMQPPlain, func() error { return amqps.Serve(e.inspected(l, "amqp", amqphub.Inspection{})) })
	}
	e.serving(nameAMQP, func() error { return amqps.Serve(e.inspected(e.tlsListener(nameAMQP), "amqp", amqphub.Inspection{})) })
	e.serving(nameHTTPS, func() error { return service.Serve(e.tlsListener(nameHTTPS)) })
	// Last, so that who can ask it finds everything else served.
	e.serving(nameAdmin, func() error { return management.Serve(e.listeners[nameAdmin]) })
	return nil
}

// inspected is a listener whose connections can be looked at by the management API.
func (e *Emulator) inspected(l net.Listener, protocol string, codec inspect.Codec) net.Listener {
	return e.inspector.Listener(l, protocol, codec)
}

func (e *Emulator) tlsListener(name string) net.Listener {
	return tls.NewListener(e.listeners[name], e.withFaults(e.trust.Config(), name))
}

func (e *Emulator) httpServer(name string, h http.Handler, configure func(*http.Server)) *http.Server {
	s := &http.Server{Handler: h} //nolint:gosec // configure sets the time-outs
	configure(s)
	watchHTTP(s, e.cfg.Logger.With("listener", name))
	e.onClose(name, func(ctx context.Context) error {
		// The hub is closed by now: calls in progress end at once, and what is
		// left are clients that connected and ask nothing.
		ctx, cancel := context.WithTimeout(ctx, httpGrace)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			return s.Close()
		}
		return nil
	})
	return s
}

// serving runs a listener's loop until it returns. Any error but one that says
// it was closed makes the emulator unhealthy.
func (e *Emulator) serving(name string, loop func() error) {
	e.running.Go(func() {
		err := loop()
		if err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, http.ErrServerClosed) || errors.Is(err, amqp.ErrServerClosed) {
			return
		}
		e.mu.Lock()
		e.broken = append(e.broken, name)
		e.mu.Unlock()
		select {
		case e.failed <- fmt.Errorf("%s: %w", name, err):
		default:
		}
	})
}

// missing returns the listeners that do not serve.
func (e *Emulator) missing() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.broken...)
}

// ca returns the generated authority, or nil when the certificate was given.
func (e *Emulator) ca() []byte {
	if e.cfg.CertFile != "" {
		return nil
	}
	return e.trust.CA
}
