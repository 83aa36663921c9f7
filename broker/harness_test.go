package broker

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/internal/mqtttest"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/store"
	"github.com/hubnerite/hubnerite/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testHost = "hub.azure-devices.net"

// world is a hub with its MQTT front end on a loopback port.
type world struct {
	t     testing.TB
	store *memory.Store
	// telemetry is the log; nil means the store's.
	telemetry store.Log
	registry  *registry.Registry
	hub       *hub.Hub
	server    *Server
	options   Options
	addr      string
	log       *logLines
	served    chan error
	// bubble says that the world lives in a bubble of synctest, where there is no network.
	bubble bool
	pipes  *pipeListener
}

// newWorld starts a world with the devices dev-1 and dev-2 and the module
// dev-1/mod. Everything ends with the test.
func newWorld(t testing.TB, o Options) *world {
	t.Helper()
	w := &world{t: t, options: o}
	w.begin()
	return w
}

// inBubble runs a test whose world has pipes for connections, so that time
// passes only when everybody waits for it, and then exactly.
func inBubble(t *testing.T, o Options, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, options: o, bubble: true}
		w.begin()
		f(t, w)
	})
}

func (w *world) begin() {
	t := w.t
	t.Helper()
	w.store, w.log = memory.New(memory.Options{}), &logLines{}
	t.Cleanup(func() {
		w.stop()
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	var err error
	if w.registry, err = registry.New(registry.Options{Records: w.store.Records(), Documents: w.store.Documents()}); err != nil {
		t.Fatal(err)
	}
	w.start()
	for _, id := range []iothub.ID{{DeviceID: "dev-1"}, {DeviceID: "dev-2"}, {DeviceID: "dev-1", ModuleID: "mod"}} {
		if _, err := w.hub.CreateIdentity(t.Context(), id, iothub.IdentityRequest{DeviceID: id.DeviceID, ModuleID: id.ModuleID}); err != nil {
			t.Fatal(err)
		}
	}
}

// start makes a hub and a server over the world's store.
func (w *world) start() {
	w.t.Helper()
	var err error
	logger := slog.New(slog.NewTextHandler(io.MultiWriter(w.log, w.t.Output()), &slog.HandlerOptions{Level: slog.LevelDebug}))
	// Benchmarks and fuzzing do not log.
	if _, ok := w.t.(*testing.T); !ok {
		logger = slog.New(slog.DiscardHandler)
	}
	telemetry := w.telemetry
	if telemetry == nil {
		telemetry = w.store.Log()
	}
	w.hub, err = hub.New(hub.Options{
		Name: "hub", Registry: w.registry, Queues: w.store.Queues(), Documents: w.store.Documents(),
		Log: telemetry, Logger: logger,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	o := w.options
	o.Logger = logger
	current := w.hub
	o.Hubs = func(host string) (*hub.Hub, error) {
		if name, _, _ := strings.Cut(host, ":"); strings.EqualFold(name, testHost) {
			return current, nil
		}
		return nil, iothub.NewError(iothub.CodeIotHubNotFound, "no hub %q", host)
	}
	if w.server, err = New(o); err != nil {
		w.t.Fatal(err)
	}
	l := w.listen()
	w.addr = l.Addr().String()
	w.served = make(chan error, 1)
	server, served := w.server, w.served
	go func() { served <- server.Serve(l, "mqtt") }()
}

func (w *world) listen() net.Listener {
	w.t.Helper()
	if w.bubble {
		w.pipes = &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
		return w.pipes
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// stop ends server and hub, in that order.
func (w *world) stop() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := w.server.Shutdown(ctx); err != nil {
		w.t.Error(err)
	}
	if err := <-w.served; err != nil {
		w.t.Error(err)
	}
	w.served <- nil
	if err := w.hub.Close(); err != nil {
		w.t.Error(err)
	}
}

// token signs a token of the device policy for the identity.
func (w *world) token(id iothub.ID) string {
	w.t.Helper()
	return w.tokenUntil(id, time.Now().Add(time.Hour))
}

func (w *world) tokenUntil(id iothub.ID, expiry time.Time) string {
	w.t.Helper()
	var key string
	for _, p := range w.registry.Policies() {
		if p.Name == "device" {
			key = p.PrimaryKey
		}
	}
	token, err := registry.SignSASToken(testHost+"/"+id.ResourcePath(), "device", key, expiry)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func (w *world) connectOptions(id iothub.ID) mqtttest.ConnectOptions {
	return mqtttest.ConnectOptions{
		ClientID: id.String(), UserName: testHost + "/" + id.String() + "/?api-version=2021-04-12", Password: w.token(id), KeepAlive: 60,
	}
}

// dial opens a raw connection.
func (w *world) dial() *mqtttest.Client {
	w.t.Helper()
	if w.bubble {
		here, there := net.Pipe()
		w.pipes.conns <- there
		return mqtttest.New(w.t, here)
	}
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	return mqtttest.New(w.t, c)
}

// pipeListener accepts what is sent to conns, until it is closed.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// connect opens a persistent session of id.
func (w *world) connect(id iothub.ID) *mqtttest.Client {
	w.t.Helper()
	c, _ := w.reconnect(id)
	return c
}

func (w *world) reconnect(id iothub.ID) (c *mqtttest.Client, present bool) {
	w.t.Helper()
	c = w.dial()
	present, code := c.Connect(w.connectOptions(id))
	if code != connackAccepted {
		w.t.Fatalf("CONNACK %d", code)
	}
	return c, present
}

// stored waits for count kept messages of the device.
func (w *world) stored(deviceID string, count int) []iothub.Telemetry {
	w.t.Helper()
	messages, err := w.hub.WaitTelemetry(w.t.Context(), hub.TelemetryQuery{DeviceID: deviceID, Since: -1, Limit: 10000}, count, time.Minute)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(messages) != count {
		w.t.Fatalf("%d messages kept, want %d", len(messages), count)
	}
	return messages
}

// sendC2D queues messages with the given bodies.
func (w *world) sendC2D(id iothub.ID, bodies ...string) {
	w.t.Helper()
	for _, b := range bodies {
		m := iothub.C2DMessage{ID: id, Body: []byte(b)}
		m.System.MessageID = "id-" + b
		if _, err := w.hub.SendC2D(w.t.Context(), m); err != nil {
			w.t.Fatal(err)
		}
	}
}

// waiting waits until so many cloud-to-device messages are in the queue.
func (w *world) waiting(id iothub.ID, count int) {
	w.t.Helper()
	w.until(func() error {
		i, err := w.hub.GetIdentity(w.t.Context(), id)
		if err == nil && i.Connection.C2DCount != count {
			err = fmt.Errorf("%d messages wait, want %d", i.Connection.C2DCount, count)
		}
		return err
	})
}

// until polls until check succeeds: for what happens after the last packet that
// a client can see.
func (w *world) until(check func() error) {
	w.t.Helper()
	deadline := time.Now().Add(time.Minute)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatal(err)
		}
		<-tick.C
	}
}

// logged waits for a line of the log that holds all the texts.
func (w *world) logged(texts ...string) {
	w.t.Helper()
	w.until(func() error {
		if !w.log.has(texts...) {
			return fmt.Errorf("no line of the log holds %q", texts)
		}
		return nil
	})
}

// logLines keeps what was logged.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) has(texts ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		found := true
		for _, t := range texts {
			found = found && strings.Contains(line, t)
		}
		if found {
			return true
		}
	}
	return false
}
