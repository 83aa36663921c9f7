package hub

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
	"github.com/hubnerite/hubnerite/store"
	"github.com/hubnerite/hubnerite/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reporter is what *testing.T and *rapid.T have in common.
type reporter interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// fixture is a hub over a memory store that outlives it.
type fixture struct {
	*Hub
	t        reporter
	store    *memory.Store
	registry *registry.Registry
	options  Options
}

func newFixture(t *testing.T, change ...func(*Options)) *fixture {
	f := startFixture(t, change...)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func startFixture(t reporter, change ...func(*Options)) *fixture {
	t.Helper()
	return startFixtureOn(t, nil, change...)
}

// startFixtureOn puts what wrap returns between the hub and its queues.
func startFixtureOn(t reporter, wrap func(store.Queues) store.Queues, change ...func(*Options)) *fixture {
	t.Helper()
	f := &fixture{t: t, options: Options{Name: "hub1", Logger: slog.New(slog.DiscardHandler)}}
	for _, c := range change {
		c(&f.options)
	}
	f.store = memory.New(memory.Options{Now: f.options.Now})
	var err error
	if f.registry, err = registry.New(registry.Options{Records: f.store.Records(), Documents: f.store.Documents(), Now: f.options.Now}); err != nil {
		t.Fatalf("registry: %v", err)
	}
	f.options.Registry, f.options.Log = f.registry, f.store.Log()
	f.options.Queues, f.options.Documents = f.store.Queues(), f.store.Documents()
	if wrap != nil {
		f.options.Queues = wrap(f.options.Queues)
	}
	f.start()
	return f
}

func (f *fixture) start() {
	f.t.Helper()
	var err error
	if f.Hub, err = New(f.options); err != nil {
		f.t.Fatalf("hub: %v", err)
	}
}

// restart closes the hub and opens another one over the same store.
func (f *fixture) restart() {
	f.t.Helper()
	if err := f.Close(); err != nil {
		f.t.Fatalf("close: %v", err)
	}
	f.start()
}

func (f *fixture) device(name string) iothub.ID {
	f.t.Helper()
	id, err := iothub.ParseID(name)
	if err != nil {
		f.t.Fatalf("%q: %v", name, err)
	}
	if _, err := f.CreateIdentity(context.Background(), id, iothub.IdentityRequest{}); err != nil {
		f.t.Fatalf("create %q: %v", name, err)
	}
	return id
}

func (f *fixture) connect(id iothub.ID, protocol string) (*Connection, *fakeClient) {
	f.t.Helper()
	client := newFakeClient()
	c, err := f.Connect(context.Background(), id, options(protocol), client)
	if err != nil {
		f.t.Fatalf("connect %q: %v", id, err)
	}
	return c, client
}

func options(protocol string) ConnectionOptions {
	return ConnectionOptions{Protocol: protocol, RemoteAddr: "test", Grant: iothub.Grant{
		Policy: "device", Rights: iothub.DeviceConnect,
		AuthMethod: iothub.AuthMethod{Scope: "hub", Type: "sas", Issuer: "iothub"},
	}}
}

func (f *fixture) send(id iothub.ID, messageID string, ack iothub.Ack) iothub.C2DMessage {
	f.t.Helper()
	m, err := f.SendC2D(context.Background(), iothub.C2DMessage{
		ID: id, System: iothub.SystemProperties{MessageID: messageID}, Ack: ack,
	})
	if err != nil {
		f.t.Fatalf("send %q: %v", messageID, err)
	}
	return m
}

// receive takes the next message as an HTTPS receiver; "" when there is none.
func (f *fixture) receive(id iothub.ID) (messageID, token string) {
	f.t.Helper()
	d, ok, err := f.ReceiveC2D(context.Background(), id)
	if err != nil {
		f.t.Fatalf("receive: %v", err)
	}
	if !ok {
		return "", ""
	}
	return d.Message.System.MessageID, d.LockToken
}

func (f *fixture) count(id iothub.ID) int {
	f.t.Helper()
	i, err := f.GetIdentity(context.Background(), id)
	if err != nil {
		f.t.Fatalf("get %q: %v", id, err)
	}
	return i.Connection.C2DCount
}

func wantCode(t reporter, err error, code iothub.Code) {
	t.Helper()
	if iothub.ErrorCode(err) != code {
		t.Errorf("got %v, want %v", err, code)
	}
}

// fakeClient notes what the hub asks of it.
type fakeClient struct {
	methods chan iothub.MethodRequest
	waiting chan struct{}
	gone    chan *iothub.Error

	mu      sync.Mutex
	desired []desiredChange
	refuse  bool
}

type desiredChange struct {
	version int64
	body    string
}

func newFakeClient() *fakeClient {
	return &fakeClient{
		methods: make(chan iothub.MethodRequest, 2*MaxInflightMethods),
		waiting: make(chan struct{}, 1000), gone: make(chan *iothub.Error, 10),
	}
}

func (c *fakeClient) DeliverMethod(req iothub.MethodRequest) error {
	if c.refuse {
		return errors.New("gone")
	}
	c.methods <- req
	return nil
}

func (c *fakeClient) DeliverDesired(version int64, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.desired = append(c.desired, desiredChange{version, string(body)})
}

func (c *fakeClient) C2DWaiting() { c.waiting <- struct{}{} }

func (c *fakeClient) Disconnect(reason *iothub.Error) { c.gone <- reason }

func (c *fakeClient) changes() []desiredChange {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]desiredChange(nil), c.desired...)
}

// signals takes the C2DWaiting calls so far.
func (c *fakeClient) signals() (n int) {
	for {
		select {
		case <-c.waiting:
			n++
		default:
			return n
		}
	}
}

// movableClock is a clock that stands still until it is moved.
type movableClock struct {
	mu sync.Mutex
	at time.Time
}

func newMovableClock() *movableClock {
	return &movableClock{at: time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)}
}

func (c *movableClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *movableClock) advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
	return c.at
}
