package amqphub

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goamqp "github.com/Azure/go-amqp"

	"github.com/hubnerite/hubnerite/amqp/wire"
	"github.com/hubnerite/hubnerite/iothub"
	"github.com/hubnerite/hubnerite/registry"
)

const sasType = "servicebus.windows.net:sastoken"

// The identities that every rig has.
func deviceD() iothub.ID { return iothub.ID{DeviceID: "d"} }
func moduleM() iothub.ID { return iothub.ID{DeviceID: "d", ModuleID: "m"} }

// deviceToken signs with the identity's own key, valid for a minute.
func (r *rig) deviceToken(id iothub.ID) string {
	r.t.Helper()
	identity, err := r.hub.GetIdentity(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	token, err := registry.SignSASToken("hub1.azure-devices.net/"+id.ResourcePath(), "", identity.Authentication.SymmetricKey.PrimaryKey, r.Now().Add(time.Minute))
	if err != nil {
		r.t.Fatal(err)
	}
	return token
}

// device opens a session of a connection that a device's own token authorised.
func (r *rig) device(id iothub.ID) *goamqp.Session {
	r.t.Helper()
	s := r.dial(goamqp.SASLTypeAnonymous())
	r.putDevice(r.cbs(s), id)
	return s
}

func (r *rig) putDevice(c *cbs, id iothub.ID) {
	r.t.Helper()
	// The audience of the Java client: the device, also for a module.
	if status, _ := c.put("id", sasType, "hub1.azure-devices.net/devices/"+id.DeviceID, r.deviceToken(id)); status != 200 {
		r.t.Fatal("put-token: ", status)
	}
}

func (r *rig) sender(s *goamqp.Session, address string, o *goamqp.SenderOptions) *goamqp.Sender {
	r.t.Helper()
	snd, err := s.NewSender(r.ctx(), address, o)
	if err != nil {
		r.t.Fatal(address, err)
	}
	return snd
}

func (r *rig) receiver(s *goamqp.Session, address string, o *goamqp.ReceiverOptions) *goamqp.Receiver {
	r.t.Helper()
	if o == nil {
		o = &goamqp.ReceiverOptions{}
	}
	if o.Credit == 0 { // the client's default is 1, and these tests do not settle everything
		o.Credit = 100
	}
	rcv, err := s.NewReceiver(r.ctx(), address, o)
	if err != nil {
		r.t.Fatal(address, err)
	}
	return rcv
}

func (r *rig) send(snd *goamqp.Sender, m *goamqp.Message) {
	r.t.Helper()
	if err := snd.Send(r.ctx(), m, nil); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) receive(rcv *goamqp.Receiver) *goamqp.Message {
	r.t.Helper()
	m, err := rcv.Receive(r.ctx(), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// gone waits until the link ended and checks the condition.
func (r *rig) gone(what string, rcv *goamqp.Receiver, condition string) {
	r.t.Helper()
	_, err := rcv.Receive(r.ctx(), nil)
	wantCondition(r.t, what, err, condition)
}

// eventually waits for what another goroutine brings about.
func (r *rig) eventually(what string, condition func() bool) {
	r.t.Helper()
	ctx, tick := r.ctx(), time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Fatal("never: " + what)
		}
	}
}

// connected reports whether the hub has a connection of id.
func (r *rig) connected(id iothub.ID) bool {
	for _, c := range r.hub.Connections() {
		if c.ID == id {
			return true
		}
	}
	return false
}

func TestDeviceAddress(t *testing.T) {
	for address, want := range map[string]struct {
		id   iothub.ID
		node deviceNode
	}{
		"/devices/d/messages/events":                                   {deviceD(), nodeTelemetry},
		"/devices/d/messages/deviceBound":                              {deviceD(), nodeC2D},
		"amqps://hub1.azure-devices.net:5671/devices/d/modules/m/twin": {moduleM(), nodeTwin},
		"amqps://h/devices/a%23b/methods/deviceBound":                  {iothub.ID{DeviceID: "a#b"}, nodeMethods},
		"/devices/d/modules/%24edgeAgent/messages/events/":             {iothub.ID{DeviceID: "d", ModuleID: "$edgeAgent"}, nodeTelemetry},
		"devices/modules/modules/twin/twin":                            {iothub.ID{DeviceID: "modules", ModuleID: "twin"}, nodeTwin},
	} {
		id, node, err := parseDeviceAddress(address)
		if err != nil || id != want.id || node != want.node {
			t.Errorf("%s: %v %v %v", address, id, node, err)
		}
	}
	for _, address := range []string{
		"", "/devices", "/devices/d", "/devices/d/", "/devices//twin", "/devices/d/other", "/devices/d/modules/m", "/devices/d/modules//twin",
		"/devices/a b/twin", "/devices/d/modules/m/twin/x", "/devices/d/messages", "/messages/events", "/devices/" + strings.Repeat("x", 129) + "/twin",
	} {
		if id, node, err := parseDeviceAddress(address); err == nil {
			t.Errorf("%q: %v %v", address, id, node)
		}
	}
}

func FuzzParseDeviceAddress(f *testing.F) {
	f.Add("amqps://h/devices/a%23b/modules/m/methods/deviceBound")
	f.Add("/devices/d/twin")
	f.Fuzz(func(t *testing.T, address string) {
		id, _, err := parseDeviceAddress(address)
		if err != nil {
			return
		}
		if iothub.ValidateDeviceID(id.DeviceID) != nil || id.IsModule() && iothub.ValidateModuleID(id.ModuleID) != nil {
			t.Errorf("%q: %v", address, id)
		}
	})
}

func TestDeviceRefusals(t *testing.T) {
	r := newRig(t)
	const events = "/devices/d/messages/events"
	attach := func(s *goamqp.Session, address string) error {
		_, err := s.NewSender(r.ctx(), address, nil)
		return err
	}
	wantCondition(t, "no token", attach(r.dial(goamqp.SASLTypeAnonymous()), events), "amqp:unauthorized-access")
	wantCondition(t, "EXTERNAL without TLS", attach(r.dial(goamqp.SASLTypeExternal("")), events), "amqp:unauthorized-access")
	wantCondition(t, "policy without DeviceConnect", attach(r.plain("service"), events), "amqp:unauthorized-access")
	wantCondition(t, "unknown device", attach(r.plain("device"), "/devices/none/messages/events"), "amqp:not-found")
	wantCondition(t, "a device's token for its module", attach(r.device(deviceD()), "/devices/d/modules/m/messages/events"), "amqp:unauthorized-access")
	wantCondition(t, "a module's token for its device", attach(r.device(moduleM()), events), "amqp:unauthorized-access")
	wantCondition(t, "no such node", attach(r.device(deviceD()), "/devices/d/other"), "amqp:not-found")
	wantCondition(t, "sending to devicebound", attach(r.device(deviceD()), "/devices/d/messages/devicebound"), "amqp:not-found")
	_, err := r.device(deviceD()).NewReceiver(r.ctx(), events, nil)
	wantCondition(t, "receiving from events", err, "amqp:not-found")
	if r.connected(deviceD()) {
		t.Error("a refused link made a connection")
	}
	token := r.deviceToken(deviceD())
	disabled := iothub.StatusDisabled
	r.replace(deviceD(), func(req *iothub.IdentityRequest) { req.Status = disabled })
	c := r.cbs(r.dial(goamqp.SASLTypeAnonymous()))
	if status, _ := c.put("id", sasType, "hub1.azure-devices.net/devices/d", token); status != 401 {
		t.Errorf("put-token of a disabled device: %d", status)
	}
	wantCondition(t, "disabled device, policy's token", attach(r.plain("device"), events), "amqp:unauthorized-access")
}

// TestDeviceLogins opens the same link with every kind of login.
func TestDeviceLogins(t *testing.T) {
	r := newRig(t)
	for name, s := range map[string]*goamqp.Session{
		"own token by PLAIN":      r.dial(goamqp.SASLTypePlain("d@sas.hub1", r.deviceToken(deviceD()))),
		"policy's token by PLAIN": r.plain("device"),
		"own token by put-token":  r.device(deviceD()),
	} {
		snd := r.sender(s, "/devices/d/messages/events", nil)
		r.send(snd, goamqp.NewMessage([]byte(name)))
	}
}

// TestPutTokenKeepsLinks renews the token of one of two devices on a connection:
// only the other one's links end.
func TestPutTokenKeepsLinks(t *testing.T) {
	r := newRig(t)
	s := r.dial(goamqp.SASLTypeAnonymous())
	c := r.cbs(s)
	r.putDevice(c, deviceD())
	r.putDevice(c, moduleM())
	kept := r.sender(s, "/devices/d/messages/events", nil)
	lost := r.receiver(s, "/devices/d/modules/m/messages/devicebound", nil)
	r.advance(50 * time.Second)
	r.putDevice(c, deviceD())
	r.advance(30 * time.Second)
	r.gone("after expiry", lost, "amqp:unauthorized-access")
	r.send(kept, goamqp.NewMessage([]byte("x")))
	if !r.connected(deviceD()) || r.connected(moduleM()) {
		t.Error(r.hub.Connections())
	}
	// The connection is good for the module again with a new token.
	r.putDevice(c, moduleM())
	r.receiver(s, "/devices/d/modules/m/messages/devicebound", nil)
}

// TestTakeover: the newer connection of an identity evicts the older one, once,
// and leaves others on that connection alone.
func TestTakeover(t *testing.T) {
	r := newRig(t)
	s := r.dial(goamqp.SASLTypeAnonymous())
	c := r.cbs(s)
	r.putDevice(c, deviceD())
	r.putDevice(c, moduleM())
	methods := r.receiver(s, "/devices/d/methods/devicebound", nil)
	module := r.sender(s, "/devices/d/modules/m/messages/events", nil)
	r.receiver(r.device(deviceD()), "/devices/d/methods/devicebound", nil)
	r.gone("evicted", methods, "amqp:link:stolen")
	r.send(module, goamqp.NewMessage([]byte("x")))
	if n := len(r.hub.Connections()); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// replace changes an identity and keeps the rest of it.
func (r *rig) replace(id iothub.ID, change func(*iothub.IdentityRequest)) {
	r.t.Helper()
	identity, err := r.hub.GetIdentity(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	a := identity.Authentication
	req := iothub.IdentityRequest{Authentication: &iothub.AuthenticationRequest{Type: a.Type, SymmetricKey: &a.SymmetricKey, X509Thumbprint: &a.X509Thumbprint}}
	change(&req)
	if _, err := r.hub.ReplaceIdentity(r.t.Context(), id, req, "*"); err != nil {
		r.t.Fatal(err)
	}
}

// TestDisableAndDelete end the links of the identity and of no other.
func TestDisableAndDelete(t *testing.T) {
	r := newRig(t)
	other := iothub.ID{DeviceID: "other"}
	if _, err := r.hub.CreateIdentity(t.Context(), other, iothub.IdentityRequest{}); err != nil {
		t.Fatal(err)
	}
	s := r.plain("device")
	stays := r.sender(s, "/devices/other/messages/events", nil)
	device := r.receiver(s, "/devices/d/methods/devicebound", nil)
	module := r.receiver(s, "/devices/d/modules/m/methods/devicebound", nil)
	r.replace(deviceD(), func(req *iothub.IdentityRequest) { req.Status = iothub.StatusDisabled })
	r.gone("disabled", device, "amqp:unauthorized-access")
	r.gone("module of a disabled device", module, "amqp:unauthorized-access")
	r.replace(deviceD(), func(req *iothub.IdentityRequest) { req.Status = iothub.StatusEnabled })
	device = r.receiver(s, "/devices/d/methods/devicebound", nil)
	if err := r.hub.DeleteIdentity(t.Context(), deviceD(), "*"); err != nil {
		t.Fatal(err)
	}
	r.gone("deleted", device, "amqp:not-found")
	r.send(stays, goamqp.NewMessage([]byte("x")))
}

// TestDeviceEndsWithItsLinks: the hub's connection lives from the first link to
// the last, and no longer than the AMQP connection.
func TestDeviceEndsWithItsLinks(t *testing.T) {
	r := newRig(t)
	s := r.device(deviceD())
	if r.connected(deviceD()) {
		t.Error("connected without a link")
	}
	first := r.sender(s, "/devices/d/messages/events", nil)
	second := r.receiver(s, "/devices/d/twin", nil)
	if !r.connected(deviceD()) {
		t.Error("not connected with two links")
	}
	if err := first.Close(r.ctx()); err != nil {
		t.Fatal(err)
	}
	if !r.connected(deviceD()) {
		t.Error("not connected with one link")
	}
	if err := second.Close(r.ctx()); err != nil {
		t.Fatal(err)
	}
	r.eventually("disconnected", func() bool { return !r.connected(deviceD()) })
	r.sender(s, "/devices/d/messages/events", nil)
	if !r.connected(deviceD()) {
		t.Error("not connected again")
	}
	if err := s.Close(r.ctx()); err != nil {
		t.Fatal(err)
	}
	r.eventually("disconnected", func() bool { return !r.connected(deviceD()) })
}

// TestModelID arrives with any link.
func TestModelID(t *testing.T) {
	r := newRig(t)
	s := r.device(deviceD())
	r.receiver(s, "/devices/d/twin", nil)
	const model = "dtmi:com:example:Thermostat;1"
	snd := r.sender(s, "/devices/d/messages/events", &goamqp.SenderOptions{Properties: map[string]any{modelIDProperty: model}})
	r.send(snd, goamqp.NewMessage([]byte("x")))
	if twin, err := r.hub.GetTwin(t.Context(), deviceD()); err != nil || twin.Twin.ModelID != model {
		t.Error(twin.Twin.ModelID, err)
	}
	if kept := r.kept(); len(kept) != 1 || kept[0].ModelID != model {
		t.Errorf("%+v", kept)
	}
}

// TestShutdownDetaches: devices are told before the connection is closed.
func TestShutdownDetaches(t *testing.T) {
	r := newRig(t)
	p := r.dialRawAs("d@sas.hub1", r.deviceToken(deviceD()), 65536)
	p.send(&wire.Begin{IncomingWindow: 100, OutgoingWindow: 100, HandleMax: 10}, nil)
	p.want(wire.CodeBegin)
	p.send(&wire.Attach{
		Name: "r", Role: wire.RoleReceiver, Source: &wire.Source{Address: "/devices/d/methods/devicebound"}, Target: &wire.Target{Address: "me"},
	}, nil)
	p.want(wire.CodeAttach)
	ended := make(chan error, 1)
	go func() { ended <- r.server.Shutdown(r.ctx()) }()
	// A close that came before would be the last frame.
	if e := p.want(wire.CodeDetach).p.(*wire.Detach).Error; e == nil || e.Condition != detachForced {
		t.Errorf("detached with %+v", e)
	}
	if e := p.want(wire.CodeClose).p.(*wire.Close).Error; e == nil || e.Condition != wire.ErrConnectionForced {
		t.Errorf("closed with %+v", e)
	}
	p.send(&wire.Close{}, nil)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if r.connected(deviceD()) {
		t.Error("still connected")
	}
}

// TestMultiplexed has 1,000 devices on one connection, each with a session of its
// own and links of the same names, as the C# and Java clients do.
func TestMultiplexed(t *testing.T) {
	const count = 1000
	r := newRig(t)
	ids := make([]iothub.ID, count)
	for i := range ids {
		ids[i] = iothub.ID{DeviceID: fmt.Sprintf("dev%d", i)}
		if _, err := r.hub.CreateIdentity(t.Context(), ids[i], iothub.IdentityRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context() // a busy machine takes minutes
	conn, err := goamqp.Dial(ctx, "amqp://"+r.addr, &goamqp.ConnOptions{SASLType: goamqp.SASLTypeAnonymous(), HostName: "hub1.azure-devices.net"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	first, err := conn.NewSession(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := r.cbs(first)
	senders, methods := make([]*goamqp.Sender, count), make([]*goamqp.Receiver, count)
	for i, id := range ids {
		// 1,000 tokens fit; one more is refused below.
		r.putDevice(c, id)
		s, err := conn.NewSession(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if senders[i], err = s.NewSender(ctx, "/"+id.ResourcePath()+"/messages/events", &goamqp.SenderOptions{Name: "TelemetrySenderLink"}); err != nil {
			t.Fatal(err)
		}
		if methods[i], err = s.NewReceiver(ctx, "/"+id.ResourcePath()+"/methods/devicebound", &goamqp.ReceiverOptions{Name: "MethodsReceiverLink"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.hub.ConnectedDevices(); n != count {
		t.Fatalf("%d devices are connected", n)
	}
	if status, _ := c.put("id", sasType, "hub1.azure-devices.net/devices/d", r.deviceToken(deviceD())); status != 403 {
		t.Errorf("token %d: %d, want 403", count+1, status)
	}
	var failed atomic.Int32
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			if senders[i].Send(ctx, goamqp.NewMessage([]byte(ids[i].DeviceID)), nil) != nil {
				failed.Add(1)
			}
		})
	}
	wg.Wait()
	kept := r.kept()
	for _, m := range kept {
		if m.ID.DeviceID != string(m.Body) {
			t.Fatalf("%s sent %q", m.ID, m.Body)
		}
	}
	if failed.Load() != 0 || len(kept) != count {
		t.Errorf("%d failed, %d kept", failed.Load(), len(kept))
	}
	// One device is disabled: the others do not notice.
	r.replace(ids[500], func(req *iothub.IdentityRequest) { req.Status = iothub.StatusDisabled })
	r.gone("disabled", methods[500], "amqp:unauthorized-access")
	for _, i := range []int{0, 499, 501, 999} {
		if err := senders[i].Send(ctx, goamqp.NewMessage([]byte("again")), nil); err != nil {
			t.Error(i, err)
		}
	}
	// The connection is cut: all are gone.
	_ = conn.Close()
	r.eventually("all disconnected", func() bool { return r.hub.ConnectedDevices() == 0 })
}

// cutConn closes itself in the middle of a write, once the budget is used up.
type cutConn struct {
	net.Conn
	budget atomic.Int64
}

func (c *cutConn) Write(b []byte) (int, error) {
	if left := c.budget.Add(-int64(len(b))); left < 0 {
		n, _ := c.Conn.Write(b[:max(0, int(left)+len(b))])
		_ = c.Close()
		return n, net.ErrClosed
	}
	return c.Conn.Write(b)
}

// TestKilledMidTransfer: a message that arrived in part leaves nothing behind,
// and messages that were not settled come again.
func TestKilledMidTransfer(t *testing.T) {
	r := newRig(t)
	tcp, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	cut := &cutConn{Conn: tcp}
	cut.budget.Store(1 << 30)
	conn, err := goamqp.NewConn(r.ctx(), cut, &goamqp.ConnOptions{
		SASLType: goamqp.SASLTypePlain("d@sas.hub1", r.deviceToken(deviceD())), HostName: "hub1.azure-devices.net", MaxFrameSize: 4096,
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := conn.NewSession(r.ctx(), nil)
	if err != nil {
		t.Fatal(err)
	}
	rcv := r.receiver(s, "/devices/d/messages/devicebound", nil)
	r.c2d(deviceD(), "unsettled")
	r.receive(rcv)
	snd := r.sender(s, "/devices/d/messages/events", nil)
	cut.budget.Store(100 << 10)
	if err := snd.Send(r.ctx(), goamqp.NewMessage(make([]byte, 200<<10)), nil); err == nil {
		t.Fatal("sent")
	}
	r.eventually("disconnected", func() bool { return !r.connected(deviceD()) })
	if kept := r.kept(); len(kept) != 0 {
		t.Errorf("%d messages are kept", len(kept))
	}
	m := r.receive(r.receiver(r.device(deviceD()), "/devices/d/messages/devicebound", nil))
	if string(m.GetData()) != "unsettled" || m.Annotations["iothub-deliverycount"] != uint8(0) {
		t.Errorf("%s, %v", m.GetData(), m.Annotations)
	}
}
