package amqphub

import (
	"context"
	"crypto/x509"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/hubnerite/hubnerite/amqp"
	"github.com/hubnerite/hubnerite/hub"
	"github.com/hubnerite/hubnerite/iothub"
)

// Link properties that the device SDKs send.
const (
	modelIDProperty = "com.microsoft:model-id"
	channelProperty = "com.microsoft:channel-correlation-id"
)

// deviceCredit is how many method answers or twin requests a client may have
// under way on one link, telemetryCredit how many telemetry messages.
const (
	deviceCredit    = 100
	telemetryCredit = 1000
)

// device is one identity on one AMQP connection: the hub's connection of that
// identity and the links that live by it. A connection may carry many. It begins
// with the identity's first link and ends with the last, or when the hub says so;
// then its links are detached and those of other identities stay.
//
// What may wait for storage runs on a goroutine of its own, in order, while
// there is something to do: an idle device has none.
type device struct {
	peer *peer
	id   iothub.ID
	// conn is set before the first link is.
	conn *hub.Connection
	// byCertificate says that its TLS certificate let it in.
	byCertificate bool
	// ctx ends with the device.
	ctx  context.Context
	stop context.CancelFunc

	// pumping is held while cloud-to-device messages are sent; see devicec2d.go.
	pumping sync.Mutex

	mu sync.Mutex
	// ended is why the device is over; nil while it lives.
	ended       error
	links       map[*deviceLink]struct{}
	c2d, inputs c2dKind
	// The links on which the hub sends, in the order attached: the last one counts.
	methods, twins []*outlet
	// early are twin answers that wait for the first link to send them on.
	early [][]byte
	// work is what the goroutine has to do; running says that there is one.
	work    []func()
	running bool
}

// deviceLink is a link that lives by its device.
type deviceLink struct {
	session *amqp.Session
	// fault is the fault that ends this link alone; "" for none.
	fault iothub.FaultType
	close func(*amqp.Error)
}

// errIdle ends a device whose last link was detached.
var errIdle = errors.New("amqphub: the device has no link any more")

// attachDevice answers a link of a device or module.
// Source: IoT Hub, AMQP support (device client); the device SDKs.
func (p *peer) attachDevice(a *amqp.Attach) (*amqp.Acceptance, error) {
	id, node, err := parseDeviceAddress(addressOf(a))
	if err != nil {
		return nil, err
	}
	sends := a.Receiver != nil
	if node == nodeC2D && sends || node == nodeTelemetry && !sends && !id.IsModule() {
		return nil, iothub.NewError(iothub.CodeAmqpAddressNotFound, "There is no AMQP node %.128q for this direction.", addressOf(a))
	}
	l := &deviceLink{session: a.Session, fault: linkFault(node, sends)}
	if err := p.hub().FaultOn(id, l.fault); err != nil {
		return nil, err
	}
	if sends {
		l.close = a.Receiver.Close
	} else {
		l.close = a.Sender.Close
	}
	modelID, _ := a.Frame.Properties.Text(modelIDProperty)
	d, err := p.join(id, modelID, l)
	if err != nil {
		return nil, err
	}
	switch {
	case node == nodeTelemetry && sends:
		return d.openTelemetry(l), nil
	case node == nodeTelemetry:
		return d.openInputs(l, a.Sender), nil
	case node == nodeC2D:
		return d.openC2D(l, a.Sender), nil
	case node == nodeMethods && sends:
		return d.openMethodAnswers(l), nil
	case node == nodeMethods:
		return d.openMethods(l, a.Sender), nil
	case sends:
		return d.openTwinRequests(l), nil
	default:
		return d.openTwin(l, a.Sender), nil
	}
}

// join enters a link with its device, which it makes if need be. Only the
// connection's reader calls it.
func (p *peer) join(id iothub.ID, modelID string, l *deviceLink) (*device, error) {
	p.mu.Lock()
	d := p.devices[id]
	p.mu.Unlock()
	if d != nil && d.enter(l) == nil {
		if err := d.conn.SetModelID(d.ctx, modelID); err != nil {
			d.leave(l)
			return nil, err
		}
		return d, nil
	}
	d, err := p.connect(id, modelID)
	if err != nil {
		return nil, err
	}
	if err := d.enter(l); err != nil {
		return nil, err
	}
	return d, nil
}

// connect makes the hub's connection of an identity, which evicts an older one.
func (p *peer) connect(id iothub.ID, modelID string) (*device, error) {
	d := &device{
		peer: p, id: id, links: map[*deviceLink]struct{}{},
		c2d:    c2dKind{enable: (*hub.Connection).EnableC2D, receive: (*hub.Connection).ReceiveC2D},
		inputs: c2dKind{enable: (*hub.Connection).EnableInputs, receive: (*hub.Connection).ReceiveInput},
	}
	d.ctx, d.stop = context.WithCancel(p.conn.Context())
	grant, err := p.deviceGrant(d.ctx, id)
	if err != nil {
		d.stop()
		return nil, err
	}
	d.byCertificate = grant.AuthMethod.Type == "x509"
	// Before Connect, which may call Disconnect: that removes it again.
	p.mu.Lock()
	p.devices[id] = d
	p.mu.Unlock()
	d.conn, err = p.hub().Connect(d.ctx, id, hub.ConnectionOptions{
		Grant: grant, Protocol: p.protocol, RemoteAddr: remoteAddr(p.conn.NetConn()), ModelID: modelID,
	}, d)
	if err != nil {
		d.end(err)
		return nil, err
	}
	// A certificate counts as proof only while it has let somebody in.
	p.mu.Lock()
	p.strangerAttaches = 0
	p.mu.Unlock()
	return d, nil
}

// deviceGrant finds what lets id in: the identity's own token before a policy's,
// the one that lasts longest, and, without any, the certificate of the TLS
// connection. The certificate is not asked for a name: the link names the device.
func (p *peer) deviceGrant(ctx context.Context, id iothub.ID) (iothub.Grant, error) {
	p.mu.Lock()
	var best *iothub.Grant
	for _, g := range p.grants {
		if p.opens(g, id) && (best == nil || best.Policy != "" && g.Policy == "" ||
			(best.Policy == "") == (g.Policy == "") && g.Expiry.After(best.Expiry)) {
			best = &g
		}
	}
	p.mu.Unlock()
	if best != nil {
		return *best, nil
	}
	var certificates []*x509.Certificate
	if tls := p.conn.TLS(); tls != nil {
		certificates = tls.PeerCertificates
	}
	if len(certificates) == 0 {
		return iothub.Grant{}, iothub.NewError(iothub.CodeIotHubUnauthorizedAccess,
			"Unauthorized: this connection has neither a token nor a certificate for %s.", id)
	}
	return p.hub().AuthenticateDevice(ctx, id, hub.Credential{Certificates: certificates})
}

// opens reports whether a grant lets id in now. A device's key does not open its modules.
func (p *peer) opens(g iothub.Grant, id iothub.ID) bool {
	return (g.Policy != "" || g.Identity == id) && p.hub().Authorize(g, iothub.DeviceConnect, id.ResourcePath()) == nil
}

// renew gives the devices that a new token opens that token, without touching
// their links. A device that came in by a certificate keeps it. Only the
// connection's reader calls it, as it does connect.
func (p *peer) renew(g iothub.Grant) {
	var renewed []*device
	p.mu.Lock()
	for id, d := range p.devices {
		if !d.byCertificate && p.opens(g, id) {
			renewed = append(renewed, d)
		}
	}
	p.mu.Unlock()
	for _, d := range renewed {
		d.conn.Renew(g)
	}
}

// enter adds a link, unless the device is over.
func (d *device) enter(l *deviceLink) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended == nil {
		d.links[l] = struct{}{}
	}
	return d.ended
}

// leave removes a link. After the last one the device ends, once what its links
// left to do is done, unless there is a new link by then.
func (d *device) leave(l *deviceLink) {
	d.mu.Lock()
	delete(d.links, l)
	last := len(d.links) == 0 && d.ended == nil
	d.mu.Unlock()
	if last {
		d.do(d.endIfIdle)
	}
}

func (d *device) endIfIdle() {
	d.mu.Lock()
	idle := len(d.links) == 0 && d.ended == nil
	if idle {
		d.ended = errIdle
	}
	d.mu.Unlock()
	if idle {
		d.over()
		d.conn.Close()
	}
}

// Disconnect implements hub.Client: the links of this identity are detached with
// the error. The connection stays, for it may carry others, and because some
// clients notice a detached link but not a closed connection.
func (d *device) Disconnect(reason *iothub.Error) {
	links := d.end(reason)
	if len(links) == 0 {
		return
	}
	seen := d.peer.say("connection", d.id, reason)
	for _, l := range links {
		l.close(seen)
	}
}

// detachDevices detaches the links of all devices of a connection, which ends them.
func (p *peer) detachDevices(seen *amqp.Error) {
	p.mu.Lock()
	devices := slices.Collect(maps.Values(p.devices))
	p.mu.Unlock()
	for _, d := range devices {
		d.mu.Lock()
		links := slices.Collect(maps.Keys(d.links))
		d.mu.Unlock()
		for _, l := range links {
			l.close(seen)
		}
	}
}

// end marks the device as over and returns the links it had.
func (d *device) end(reason error) []*deviceLink {
	d.mu.Lock()
	if d.ended != nil {
		d.mu.Unlock()
		return nil
	}
	d.ended = reason
	links := slices.Collect(maps.Keys(d.links))
	d.mu.Unlock()
	d.over()
	return links
}

// over takes the device from its connection.
func (d *device) over() {
	d.stop()
	p := d.peer
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.devices[d.id] == d {
		delete(p.devices, d.id)
	}
}

// do has f run on the device's goroutine, after what was given to it before.
func (d *device) do(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.doLocked(f)
}

func (d *device) doLocked(f func()) {
	d.work = append(d.work, f)
	if !d.running {
		d.running = true
		d.peer.goLink("device", d.run)
	}
}

func (d *device) run() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.work) > 0 {
		f := d.work[0]
		d.work[0] = nil
		d.work = d.work[1:]
		d.mu.Unlock()
		f()
		d.mu.Lock()
	}
	d.work, d.running = nil, false
}
